//! What was claimed, as letters: deliveries of one message that go over one transaction, and how large a letter counts as.
//!
//! Called by [`super::Mail`] when it claims.

use super::Shared;
use crate::deliver::relay::Letter;
use std::sync::Arc;
use store::{Claim, DeliveryId};

/// Small before large, in steps of sixteen times.
pub(super) fn size_class(letter: &Letter) -> u32 {
    letter
        .deliveries
        .first()
        .map_or(0, |delivery| (delivery.size >> 16).checked_ilog2().map_or(0, |log| log / 4 + 1))
}

/// The claims as letters: one for each message, and for each way in which it is forwarded, in the order of its first recipient. Also those
/// whose envelopes could not be read just now.
pub(super) async fn letters(shared: &Arc<Shared>, claims: Vec<Claim>) -> (Vec<Letter>, Vec<DeliveryId>) {
    let (mut letters, mut unread): (Vec<Letter>, Vec<DeliveryId>) = (Vec::new(), Vec::new());
    for Claim { delivery, lease } in claims {
        let spool = delivery.id.spool;
        let together = |letter: &&mut Letter| letter.spool == spool && letter.forward == delivery.forward;
        if let Some(letter) = letters.iter_mut().rev().find(together) {
            letter.envelope.recipients.push(delivery.recipient.clone());
            letter.deliveries.push(delivery);
            continue;
        }
        match shared.outbound.store.envelope(spool).await {
            Ok(mut envelope) => {
                envelope.recipients = vec![delivery.recipient.clone()];
                let forward = delivery.forward.clone();
                let deliveries = vec![delivery];
                letters.push(Letter { spool, envelope, forward, deliveries, lease, failures: 0 });
            }
            // It was removed meanwhile.
            Err(store::Error::NoSuchMessage(_)) => {}
            // That may pass, unlike damage, which must not keep the rest of the destination back again and again.
            Err(error @ store::Error::Damaged(_)) => {
                tracing::error!(id = %spool, recipient = delivery.id.recipient, %error, "a queued envelope is damaged; it is looked at again when its lease has ended");
            }
            Err(error) => {
                tracing::error!(id = %spool, %error, "a queued envelope cannot be read; trying again shortly");
                unread.push(delivery.id);
            }
        }
    }
    (letters, unread)
}
