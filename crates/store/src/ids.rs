//! Identifiers, as small values with one meaning each.
//!
//! They say nothing about where something is kept; an engine may give them in any way that keeps what their documentation
//! promises. [`SpoolIds`] is the one way in which spool ids are made, by every engine.

use std::fmt;
use std::str::FromStr;

/// A moment: milliseconds since 1970-01-01T00:00:00Z.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

/// An accepted message (not its Message-ID field). Time-ordered: a message begun later has a larger one. Printed in 13 characters
/// of Crockford's base 32.
///
/// Its bits: 41 of milliseconds since 2020-01-01T00:00:00Z (enough until 2089), 10 of the node that gave it, 12 of a sequence
/// within the millisecond; the topmost is 0, so that it fits a signed 64-bit column too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct SpoolId(pub u64);

/// An account, for ever: never given again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct AccountId(pub u64);

/// A mailbox, for ever: never given again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct MailboxId(pub u64);

/// A message in a mailbox: strictly ascending from 1, never given again (RFC 9051 §2.3.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Uid(pub u32);

/// A mailbox's incarnation (RFC 9051 §2.3.1.1).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct UidValidity(pub u32);

/// A point in the store's one history of changes; strictly ascending (RFC 7162 §3.1).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct ModSeq(pub u64);

/// Gives [`SpoolId`]s: each larger than the one before, whatever the clock does.
#[derive(Debug, Clone)]
pub struct SpoolIds {
    node: u64,
    /// Milliseconds since 2020 and sequence of the last one given, as one number: `milliseconds << 12 | sequence`.
    last: u64,
}

impl SpoolId {
    /// The millisecond that it was given in, by the clock of the node that gave it, or a little later when that clock jumped back or
    /// more than 4,096 were asked for within a millisecond.
    pub fn time(self) -> Timestamp {
        Timestamp((self.0 >> (NODE_BITS + SEQUENCE_BITS)) as i64 + EPOCH)
    }
}

impl UidValidity {
    /// One for a mailbox made at the time `now`, after `last` was given: the seconds since 1970, or more when that was given
    /// already. So a name that is used again gets another, even in a store that was lost and begun anew (RFC 9051 §2.3.1.1).
    pub fn after(last: UidValidity, now: Timestamp) -> UidValidity {
        let seconds = u32::try_from(now.0 / 1000).unwrap_or(0);
        UidValidity(seconds.max(last.0.saturating_add(1)))
    }
}

impl SpoolIds {
    /// A source for this node (its lowest 10 bits count) whose ids are all above `floor`.
    pub fn above(floor: SpoolId, node: u16) -> SpoolIds {
        // The whole millisecond of `floor` counts as used up: another node number could sort below it.
        let milliseconds = floor.0 >> (NODE_BITS + SEQUENCE_BITS);
        SpoolIds { node: u64::from(node) & NODE_MAX, last: milliseconds << SEQUENCE_BITS | SEQUENCE_MAX }
    }

    /// The next one, at the time `now`.
    pub fn next(&mut self, now: Timestamp) -> SpoolId {
        let milliseconds = now.0.saturating_sub(EPOCH).clamp(0, MILLISECONDS_MAX as i64) as u64;
        self.last = (self.last + 1).max(milliseconds << SEQUENCE_BITS);
        let (milliseconds, sequence) = (self.last >> SEQUENCE_BITS, self.last & SEQUENCE_MAX);
        SpoolId(milliseconds << (NODE_BITS + SEQUENCE_BITS) | self.node << SEQUENCE_BITS | sequence)
    }
}

/// 2020-01-01T00:00:00Z in milliseconds since 1970.
const EPOCH: i64 = 1_577_836_800_000;
const NODE_BITS: u32 = 10;
const NODE_MAX: u64 = (1 << NODE_BITS) - 1;
const SEQUENCE_BITS: u32 = 12;
const SEQUENCE_MAX: u64 = (1 << SEQUENCE_BITS) - 1;
const MILLISECONDS_MAX: u64 = (1 << 41) - 1;

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

impl fmt::Display for SpoolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: [u8; 13] =
            std::array::from_fn(|place| ALPHABET[(self.0 >> (60 - 5 * place as u32)) as usize & 31]);
        f.write_str(std::str::from_utf8(&text).expect("the alphabet is ASCII"))
    }
}

/// The text is not thirteen characters of Crockford's base 32.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a message id is 13 characters from 0-9 and A-Z without I, L, O and U")]
pub struct SpoolIdError;

impl FromStr for SpoolId {
    type Err = SpoolIdError;

    fn from_str(text: &str) -> Result<SpoolId, SpoolIdError> {
        if text.len() != 13 {
            return Err(SpoolIdError);
        }
        text.bytes()
            .try_fold(0u64, |value, byte| {
                let digit = ALPHABET.iter().position(|&c| c == byte.to_ascii_uppercase())?;
                value.checked_mul(32)?.checked_add(digit as u64)
            })
            .map(SpoolId)
            .ok_or(SpoolIdError)
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
