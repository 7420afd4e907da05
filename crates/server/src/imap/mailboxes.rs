//! Mailboxes are made, renamed, removed, subscribed to; quotas (RFC 9051 §6.3, RFC 6154, RFC 9208).

use super::Session;
use super::select::mailbox_id;
use imap::answer::{Code, QuotaResource, Status, Untagged};
use imap::server::Server;
use store::{Error, MailboxName, SEPARATOR, SpecialUse, Standing};

/// The one root that there is for quotas: the account's.
const ROOT: &str = "Account";

impl Session {
    /// CREATE. A separator at the end says that there will be mailboxes below it, which all may have.
    pub(super) async fn create(&mut self, mailbox: &str, uses: &[String]) -> Result<Status, Error> {
        let name = new_name(mailbox.strip_suffix(SEPARATOR).unwrap_or(mailbox))?;
        let special_use = match uses {
            [] => None,
            [one] => match format!("\\{one}").parse::<SpecialUse>() {
                Ok(special_use) => Some(special_use),
                Err(_) => return Ok(no_such_use()),
            },
            _ => return Ok(no_such_use()),
        };
        let made = self.visit.context.store.create_mailbox(self.account()?, &name, special_use).await?;
        Ok(Status::ok("Create completed").with(Code::MailboxId(mailbox_id(made.id))))
    }

    /// DELETE.
    pub(super) async fn delete(&mut self, mailbox: &str) -> Result<Status, Error> {
        let name = MailboxName::new(mailbox)?;
        self.visit.context.store.delete_mailbox(self.account()?, &name).await?;
        Ok(Status::ok("Delete completed"))
    }

    /// RENAME.
    pub(super) async fn rename(&mut self, from: &str, to: &str) -> Result<Status, Error> {
        let (from, to) = (MailboxName::new(from)?, new_name(to)?);
        self.visit.context.store.rename_mailbox(self.account()?, &from, &to).await?;
        Ok(Status::ok("Rename completed"))
    }

    /// SUBSCRIBE.
    pub(super) async fn subscribe(&mut self, mailbox: &str) -> Result<Status, Error> {
        let name = MailboxName::new(mailbox)?;
        self.visit.context.store.subscribe(self.account()?, &name).await?;
        Ok(Status::ok("Subscribe completed"))
    }

    /// UNSUBSCRIBE.
    pub(super) async fn unsubscribe(&mut self, mailbox: &str) -> Result<Status, Error> {
        let name = MailboxName::new(mailbox)?;
        self.visit.context.store.unsubscribe(self.account()?, &name).await?;
        Ok(Status::ok("Unsubscribe completed"))
    }

    /// GETQUOTAROOT.
    pub(super) async fn quota_root(&mut self, endpoint: &mut Server, mailbox: &str) -> Result<Status, Error> {
        let name = MailboxName::new(mailbox)?;
        self.visit.context.store.mailbox(self.account()?, &name).await?;
        let roots = vec![ROOT.to_owned()];
        endpoint.tell(&Untagged::QuotaRoot { mailbox: name.as_str().to_owned(), roots });
        self.tell_quota(endpoint).await?;
        Ok(Status::ok("Getquotaroot completed"))
    }

    /// GETQUOTA.
    pub(super) async fn quota(&mut self, endpoint: &mut Server, root: &str) -> Result<Status, Error> {
        if root != ROOT {
            return Ok(Status::no("There is no such root").with(Code::NonExistent));
        }
        self.tell_quota(endpoint).await?;
        Ok(Status::ok("Getquota completed"))
    }

    async fn tell_quota(&mut self, endpoint: &mut Server) -> Result<(), Error> {
        let name = self.account()?.clone();
        let standing = self.visit.context.store.standing(&name).await?;
        let Standing { usage, quota, .. } = standing.ok_or_else(|| Error::NoSuchAccount(name.to_string()))?;
        // RFC 9208 §5.1: STORAGE counts units of 1024 octets.
        let bytes = quota.bytes.map(|limit| QuotaResource {
            name: "STORAGE",
            usage: usage.bytes.div_ceil(1024),
            limit: limit.div_ceil(1024),
        });
        let messages =
            quota.messages.map(|limit| QuotaResource { name: "MESSAGE", usage: usage.messages, limit });
        let resources = bytes.into_iter().chain(messages).collect();
        endpoint.tell(&Untagged::Quota { root: ROOT.to_owned(), resources });
        Ok(())
    }
}

/// A name that a mailbox may get: no level of it is empty.
fn new_name(name: &str) -> Result<MailboxName, Error> {
    if name.split(SEPARATOR).any(str::is_empty) {
        return Err(Error::Invalid(format!("{name:?} has a level without a name")));
    }
    MailboxName::new(name)
}

fn no_such_use() -> Status {
    Status::no("A mailbox is for one of the uses that RFC 6154 knows").with(Code::UseAttr)
}
