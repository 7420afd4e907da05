//! What is asked of a submission (RFC 6409) that is not asked of other mail: a sender that the account may use, in the envelope and
//! in From; and what is mended in return.

use super::transaction::Received;
use super::{Context, Inbound, shown, storage_reply};
use crate::policy::Verdict;
use crate::policy::recipient::Known;
use crate::policy::sender::{self, Authorship, Ownership, Step};
use crate::settings::Service;
use crate::tls::TlsSession;
use message::Date;
use message::submission::{Additions, Findings};
use smtp::server::{Mail, Server};
use smtp::{Mailbox, Reply, replies};
use std::sync::Arc;
use store::{AccountName, Timestamp};
use tracing::{info, warn};

/// Whose session it is, and where to look things up.
struct Submitter {
    context: Arc<Context>,
    account: AccountName,
}

impl Inbound {
    pub(super) fn is_submission(&self) -> bool {
        self.peer.service == Service::Submission
    }

    /// MAIL for a submission.
    pub(super) async fn submit(&mut self, mail: Mail, endpoint: &Server) -> Reply {
        let hello = endpoint.hello_name().unwrap_or_default().to_owned();
        let allowed = match self.still_logged_in().await {
            Ok(submitter) => submitter.may_send_as(&mail, &hello).await,
            Err(reply) => Err(reply),
        };
        match allowed {
            Ok(()) => self.mail(mail),
            Err(reply) => {
                info!(session = %self.id, "MAIL FROM:{} refused: {reply}", shown(&mail.reverse_path));
                reply
            }
        }
    }

    /// Looks whether the account may be the author that From names; the fields that the message lacks, to be put before it. Nothing for
    /// mail that is not a submission.
    pub(super) async fn additions(
        &mut self,
        received: &mut Received,
        now: Timestamp,
    ) -> Result<Vec<u8>, Reply> {
        let Some((id, findings)) = received.mended(&self.context.store).await else { return Ok(Vec::new()) };
        if findings.removed > 0 {
            info!(session = %self.id, fields = findings.removed, "blind copies taken out of the header");
        }
        let submitter = self.submitter()?;
        let account = submitter.account.as_str();
        let authorship = submitter.authorship(&findings).await?;
        let host_name = self.context.rules.host_name.ascii();
        Ok(findings.missing_fields(Additions {
            date: Date::utc(now.0),
            message_id: &format!("{id}@{host_name}"),
            from: &received.sender().map_or_else(|| account.to_owned(), ToString::to_string),
            sender: (authorship == Authorship::OnBehalf).then_some(account),
        }))
    }

    /// Offers the mechanisms that the connection's TLS makes possible.
    pub(super) fn offer_mechanisms(&mut self, endpoint: &mut Server, tls: &TlsSession) {
        // What was said in clear is forgotten (RFC 3207 §4.2), and a login with it.
        (self.login, self.grant) = (None, None);
        let Some(authenticator) = self.context.authenticator.as_ref().filter(|_| self.is_submission()) else {
            return;
        };
        for mechanism in authenticator.mechanisms_over(tls) {
            endpoint.offer_mechanism(mechanism.as_str());
        }
    }

    /// The same while what the session has logged in with is good. A transaction that has begun is not cut off.
    async fn still_logged_in(&mut self) -> Result<Submitter, Reply> {
        let grant = self.grant.as_ref().ok_or(replies::AUTH_REQUIRED)?;
        match self.desk().holds(grant).await {
            Ok(true) => self.submitter(),
            Ok(false) => Err(replies::LOGIN_REVOKED),
            Err(unavailable) => {
                warn!(session = %self.id, "cannot tell whether the login is still good: {unavailable}");
                Err(replies::STORAGE_FAILED)
            }
        }
    }

    /// The endpoint lets no MAIL through before AUTH.
    fn submitter(&self) -> Result<Submitter, Reply> {
        let grant = self.grant.as_ref().ok_or(replies::AUTH_REQUIRED)?;
        Ok(Submitter { context: Arc::clone(&self.context), account: grant.account().clone() })
    }
}

impl Submitter {
    async fn may_send_as(&self, mail: &Mail, hello: &str) -> Result<(), Reply> {
        let ownership = match mail.reverse_path.as_mailbox() {
            Some(mailbox) => self.ownership(mailbox).await?,
            None => Ownership::Own,
        };
        let rules = &self.context.senders;
        decided(sender::reverse_path(rules, &mail.reverse_path, ownership, &self.account, hello))
    }

    async fn authorship(&self, findings: &Findings) -> Result<Authorship, Reply> {
        let rules = &self.context.senders;
        let mut authors = Vec::new();
        for author in sender::authors(rules, findings)? {
            let ownership = self.ownership(&author).await?;
            authors.push((author, ownership));
        }
        decided(sender::header_from(rules, &authors, &self.account))
    }

    /// How an address stands to the account.
    async fn ownership(&self, address: &Mailbox) -> Result<Ownership, Reply> {
        let mut known = Known::new();
        loop {
            // Ends: it asks for nothing twice, and follows so many addresses only.
            match sender::ownership(&self.context.rules, &self.account, address, &known) {
                Step::Ownership(ownership) => return Ok(ownership),
                Step::LookUp(addresses) => {
                    for address in addresses {
                        let resolution = self.context.store.resolve(&address).await.map_err(|error| {
                            warn!(account = %self.account, %error, "cannot look up a sender");
                            storage_reply(&error)
                        })?;
                        known.insert(address, resolution);
                    }
                }
            }
        }
    }
}

fn decided<T>(verdict: Verdict<T>) -> Result<T, Reply> {
    match verdict {
        Verdict::Accept(decided) => Ok(decided),
        Verdict::Defer(reply) | Verdict::Reject(reply) => Err(reply),
    }
}
