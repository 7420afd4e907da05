//! How a session behaves: tells [`crate::abuse`] of it, and acts on what that says.
//!
//! A refused command counts as an error, slows the session's replies, and may lead to a ban. A ban ends the session with the next command,
//! whichever of the host's sessions that is in; one transaction's content is never cut off.

use super::{Inbound, now};
use crate::abuse::{Party, Refusal};
use smtp::{Reply, Severity, replies};
use tracing::{info, warn};

impl Inbound {
    /// Counts one more command; a reply when there were too many or the peer is banned, and with it the session ends.
    pub(super) fn too_many_commands(&self) -> Option<Reply> {
        let refusal = self.context.abuse.command(self.party(), now()).err()?;
        info!(session = %self.id, "sent away: {refusal}");
        Some(refusal.closing())
    }

    /// Counts one more message; a reply when there were too many, or too large ones.
    pub(super) fn too_many_messages(&self) -> Option<Reply> {
        self.put_off(self.context.abuse.message(self.party(), now()).err()?)
    }

    /// Counts one more recipient; a reply when there were too many.
    pub(super) fn too_many_recipients(&self) -> Option<Reply> {
        self.put_off(self.context.abuse.recipient(self.party(), now()).err()?)
    }

    /// Counts content that came.
    pub(super) fn count_content(&self, octets: usize) {
        self.context.abuse.content(self.party(), octets as u64, now());
    }

    /// Takes note of what a command is answered with, waits a while if it is one of many errors, and returns what is to be said
    /// in the end.
    pub(super) async fn judged(&mut self, reply: Reply) -> Reply {
        if reply.severity() != Severity::Permanent {
            return reply;
        }
        let unknown = replies::NO_SUCH_MAILBOX;
        if (reply.code(), reply.status()) == (unknown.code(), unknown.status()) {
            let banned = self.context.abuse.unknown_recipient(self.peer.address.ip(), now());
            return self.after_error(reply, banned).await;
        }
        self.judged_as_error(reply).await
    }

    /// The same for what is an error whatever the reply is.
    pub(super) async fn judged_as_error(&mut self, reply: Reply) -> Reply {
        let banned = self.context.abuse.error(self.peer.address.ip(), now());
        self.after_error(reply, banned).await
    }

    async fn after_error(&mut self, reply: Reply, banned: Option<Refusal>) -> Reply {
        self.errors = self.errors.saturating_add(1);
        let account = self.grant.as_ref().map(|opened| opened.account().as_str());
        let refusal = banned.or_else(|| self.context.abuse.account_error(account?, now()));
        if let Some(refusal) = refusal {
            warn!(session = %self.id, "{refusal}");
            return refusal.closing();
        }
        self.context.hold_up(self.peer.address.ip(), self.errors, &mut self.stopping).await;
        reply
    }

    /// A message was accepted: what went wrong before it was a mistake.
    pub(super) fn forgive_errors(&mut self) {
        self.errors = 0;
    }

    /// Who this is to the limits.
    fn party(&self) -> Party<'_> {
        Party {
            address: self.peer.address.ip(),
            account: self.grant.as_ref().map(|grant| grant.account().as_str()),
        }
    }

    fn put_off(&self, refusal: Refusal) -> Option<Reply> {
        info!(session = %self.id, "put off: {refusal}");
        Some(refusal.putting_off())
    }
}
