//! What ties the log lines of one connection together.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// A connection's identifier: unique for a run of the server, and in practice across runs. Printed in Crockford's base 32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId(u64);

/// Gives out session identifiers.
#[derive(Debug)]
pub(crate) struct SessionIds(AtomicU64);

impl SessionIds {
    /// Identifiers for a run that began at this second since 1970.
    pub(crate) fn starting(seconds: u64) -> SessionIds {
        // A run would need 65,536 connections a second to reach the numbers of one that starts later.
        SessionIds(AtomicU64::new(seconds << 16))
    }

    pub(crate) fn next(&self) -> SessionId {
        SessionId(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
        let text: [u8; 10] =
            std::array::from_fn(|place| ALPHABET[(self.0 >> (45 - 5 * place)) as usize & 31]);
        f.write_str(std::str::from_utf8(&text).expect("the alphabet is ASCII"))
    }
}
