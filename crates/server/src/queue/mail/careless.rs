//! Mail whose senders want it sent whatever becomes of TLS (`TLS-Required: No`, RFC 8689 §3), picked out of what a worker has in hand when no host meets
//! what the destination asks of TLS.

use super::{Claims, Mail};
use crate::deliver::relay::Letter;
use std::collections::VecDeque;

impl Mail {
    /// Leaves out of what is in hand all but the letters whose senders want them sent whatever becomes of TLS (RFC 8689 §3), and takes no others in
    /// until [`Mail::take_back`]; returns what was left out.
    pub(in crate::queue) async fn keep_careless(&mut self) -> VecDeque<Letter> {
        self.claims = Claims::Suspended;
        let mut others = VecDeque::new();
        for mut letter in std::mem::take(&mut self.letters) {
            match !letter.envelope.require_tls && self.is_careless(&letter).await {
                true => {
                    letter.failures = 0;
                    self.letters.push_back(letter);
                }
                false => others.push_back(letter),
            }
        }
        others
    }

    /// Takes in again what was left out.
    pub(in crate::queue) fn take_back(&mut self, mut others: VecDeque<Letter>) {
        self.claims = Claims::Allowed;
        self.letters.append(&mut others);
    }

    /// Whether a message has the field `TLS-Required: No`. One that cannot be read has none.
    async fn is_careless(&self, letter: &Letter) -> bool {
        let mut front = Vec::new();
        let read = async {
            let mut reader = self.shared.outbound.store.content(letter.spool).await?;
            while front.len() < HEADER_MAX
                && let Some(chunk) = reader.content.next().await?
            {
                front.extend_from_slice(&chunk);
            }
            Ok::<(), store::Error>(())
        };
        match read.await {
            Ok(()) => message::needs_no_tls(&front),
            Err(error) => {
                tracing::error!(id = %letter.spool, %error, "a queued message cannot be read");
                false
            }
        }
    }
}

/// So much of a message is looked at for what its header says of TLS.
const HEADER_MAX: usize = 64 * 1024;
