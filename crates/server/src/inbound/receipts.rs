//! Reports about what is decided when a message is accepted: that it is in a mailbox here, that it went to everybody for whom an address
//! stands, or that a recipient was left out because the mail goes round in circles.
//!
//! They are made after the commit and before `250`: a crash in between, or a failure that must be told and cannot be stored, makes the client send
//! again, which repeats a message and loses nothing.

use super::Context;
use super::transaction::Owed;
use crate::dsn::{self, Desk, Host, Kind, Notice};
use crate::session::SessionId;
use smtp::{Envelope, Recipient, Reply, replies};
use store::{SpoolId, Timestamp};

/// A message that was accepted.
pub(super) struct Message {
    pub(super) session: SessionId,
    pub(super) id: SpoolId,
    pub(super) now: Timestamp,
}

/// Commits the reports. The error is for a failure that is not reported.
pub(super) async fn report(
    context: &Context,
    message: Message,
    owed: &(Envelope, Owed),
) -> store::Result<()> {
    let Message { session, id, .. } = &message;
    let (envelope, Owed { receipts, looping }) = owed;
    let all = |kind| -> Vec<Recipient> {
        receipts.iter().filter(|(_, of)| *of == kind).map(|(recipient, _)| recipient.clone()).collect()
    };
    for kind in [Kind::Delivered, Kind::Expanded] {
        if let Err(error) =
            tell(context, &message, (envelope, all(kind)), (kind, &replies::RECIPIENT_OK)).await
        {
            tracing::error!(%session, %id, %error, "its sender wants to hear of success, and cannot be told");
        }
    }
    if !looping.is_empty() {
        tracing::warn!(%session, %id, recipients = looping.len(), "left out: it was forwarded from here before");
    }
    tell(context, &message, (envelope, looping.clone()), (Kind::Failed, &replies::FORWARDING_LOOP)).await
}

async fn tell(
    context: &Context,
    message: &Message,
    (envelope, recipients): (&Envelope, Vec<Recipient>),
    (kind, reply): (Kind, &Reply),
) -> store::Result<()> {
    let desk = Desk {
        store: &context.store,
        rules: &context.rules,
        postmaster_copies: context.postmaster_copies,
        rate: Some(&context.report_rate),
        wake: &context.queued,
    };
    let envelope = Envelope { recipients, ..envelope.clone() };
    let notice = Notice {
        kind,
        id: message.id,
        envelope: &envelope,
        received: message.now,
        recipients: (0..envelope.recipients.len()).map(|place| (place, reply)).collect(),
        host: Host::Public(None),
        retry_until: None,
        now: message.now,
    };
    dsn::send(&desk, notice).await.map(drop)
}
