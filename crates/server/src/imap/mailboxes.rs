//! Mailboxes are made, renamed, removed, subscribed to; quotas (RFC 9051 §6.3, RFC 6154, RFC 9208).

use super::Session;
use super::select::{mailbox_id, ranges};
use imap::Numbers;
use imap::answer::{Code, QuotaResource, Status, Untagged};
use imap::server::Server;
use store::{Error, Flags, MailboxName, MailboxStatus, Quota, SEPARATOR, SpecialUse};

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
        self.notification.note_own(&name);
        Ok(Status::ok("Create completed").with(Code::MailboxId(mailbox_id(made.id))))
    }

    /// DELETE. Where it is the mailbox that is selected here, none is from then on.
    pub(super) async fn delete(&mut self, endpoint: &mut Server, mailbox: &str) -> Result<Status, Error> {
        let (name, store) = (MailboxName::new(mailbox)?, &self.visit.context.store);
        let id = store.mailbox(self.account()?, &name).await?.id;
        store.delete_mailbox(self.account()?, &name).await?;
        self.notification.note_own(&name);
        if self.open.take_if(|open| open.id == id).is_some() {
            endpoint.mailbox_is_gone();
        }
        Ok(Status::ok("Delete completed"))
    }

    /// RENAME.
    pub(super) async fn rename(&mut self, from: &str, to: &str) -> Result<Status, Error> {
        let (from, to) = (MailboxName::new(from)?, new_name(to)?);
        self.visit.context.store.rename_mailbox(self.account()?, &from, &to).await?;
        self.notification.note_own(&to);
        Ok(Status::ok("Rename completed"))
    }

    /// SUBSCRIBE.
    pub(super) async fn subscribe(&mut self, mailbox: &str) -> Result<Status, Error> {
        let name = MailboxName::new(mailbox)?;
        self.visit.context.store.subscribe(self.account()?, &name).await?;
        self.notification.note_subscribed(&name);
        Ok(Status::ok("Subscribe completed"))
    }

    /// UNSUBSCRIBE.
    pub(super) async fn unsubscribe(&mut self, mailbox: &str) -> Result<Status, Error> {
        let name = MailboxName::new(mailbox)?;
        self.visit.context.store.unsubscribe(self.account()?, &name).await?;
        self.notification.note_unsubscribed(&name);
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
        let standing = standing.ok_or_else(|| Error::NoSuchAccount(name.to_string()))?;
        // What is bounded by nothing is no resource of the root (RFC 9208 §3.1).
        let bound = |limit: Option<u64>| limit.filter(|limit| *limit != Quota::NO_BOUND);
        let (usage, allowance) = (standing.usage, standing.allowance());
        let bytes = bound(allowance.bytes).map(|limit| QuotaResource {
            name: "STORAGE",
            usage: units(usage.bytes),
            limit: units(limit),
        });
        let messages = bound(allowance.messages);
        let messages = messages.map(|limit| QuotaResource { name: "MESSAGE", usage: usage.messages, limit });
        let resources = bytes.into_iter().chain(messages).collect();
        endpoint.tell(&Untagged::Quota { root: ROOT.to_owned(), resources });
        Ok(())
    }

    /// How much storage EXPUNGE would give back in a mailbox (DELETED-STORAGE, RFC 9208 §4.1.4).
    pub(super) async fn deleted_storage(&mut self, status: &MailboxStatus) -> Result<u64, Error> {
        if status.deleted == 0 {
            return Ok(0);
        }
        let store = &self.visit.context.store;
        let roll = store.roll(status.id).await?;
        let deleted = roll.marks.iter().filter(|mark| mark.flags.contains(Flags::DELETED));
        let mut left: Numbers = deleted.map(|mark| mark.uid.0).collect();
        let mut bytes = 0u64;
        loop {
            let page = store.entries_in(status.id, &ranges(&left), PAGE).await?;
            bytes = page.iter().fold(bytes, |bytes, entry| bytes.saturating_add(entry.size));
            match page.last() {
                Some(last) if page.len() == PAGE => {
                    left = left.difference(&Numbers::range(1, last.uid.0));
                }
                _ => return Ok(units(bytes)),
            }
        }
    }
}

/// STORAGE counts units of 1024 octets (RFC 9208 §5.1).
fn units(bytes: u64) -> u64 {
    bytes.div_ceil(1024)
}

/// How many messages are looked up at once.
const PAGE: usize = 1000;

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
