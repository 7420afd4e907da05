//! What the fuzz targets do with an input.
//!
//! Each function takes any octets and panics if something does not hold. libFuzzer calls them with what it
//! invents, an ordinary test with the inputs kept in `fuzz/corpus`.

#![forbid(unsafe_code)]

#[cfg(feature = "server")]
mod abroad;
mod classroom;
mod client;
#[cfg(feature = "server")]
mod edge;
mod exchange;
mod files;
mod imap;
#[cfg(feature = "server")]
mod imap_answer;
#[cfg(feature = "server")]
mod imap_message;
mod imap_server;
mod lines;
mod mail;
mod memory;
#[cfg(feature = "server")]
mod operator;
mod pop3;
mod report;
mod session;
mod values;

#[cfg(feature = "server")]
pub use abroad::{certificate, mta_sts, srs, tls_rpt};
pub use classroom::classroom_server;
pub use client::smtp_client;
#[cfg(feature = "server")]
pub use edge::{proxy, token};
pub use exchange::{sasl_client, sasl_server, verifier};
pub use files::{backup, store_log};
pub use imap::imap_command;
#[cfg(feature = "server")]
pub use imap_message::imap_message;
pub use imap_server::imap_server;
pub use lines::line;
pub use mail::{downgrade, header, mender, message};
#[cfg(feature = "server")]
pub use operator::{admin, bans, settings, users};
pub use pop3::pop3_server;
pub use report::report;
pub use session::smtp_server;
pub use values::{address, command, dot, reply};

/// A target's name, as its folder in the corpus and its program have it, and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[
    ("smtp_server", smtp_server),
    ("smtp_client", smtp_client),
    ("address", address),
    ("command", command),
    ("reply", reply),
    ("dot", dot),
    ("line", line),
    ("message", message),
    ("header", header),
    ("pop3_server", pop3_server),
    ("mender", mender),
    ("sasl_server", sasl_server),
    ("sasl_client", sasl_client),
    ("verifier", verifier),
    ("store_log", store_log),
    ("backup", backup),
    #[cfg(feature = "server")]
    ("settings", settings),
    #[cfg(feature = "server")]
    ("users", users),
    #[cfg(feature = "server")]
    ("bans", bans),
    #[cfg(feature = "server")]
    ("admin", admin),
    #[cfg(feature = "server")]
    ("proxy", proxy),
    #[cfg(feature = "server")]
    ("token", token),
    #[cfg(feature = "server")]
    ("mta_sts", mta_sts),
    #[cfg(feature = "server")]
    ("srs", srs),
    #[cfg(feature = "server")]
    ("tls_rpt", tls_rpt),
    #[cfg(feature = "server")]
    ("certificate", certificate),
    #[cfg(feature = "server")]
    ("imap_message", imap_message),
    ("report", report),
    ("imap_command", imap_command),
    ("imap_server", imap_server),
    ("classroom_server", classroom_server),
    ("downgrade", downgrade),
];

/// A sequence of numbers that only its seed determines (xorshift64).
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    /// Cuts octets into pieces, mostly short ones.
    pub(crate) fn cut<'a>(&mut self, octets: &'a [u8]) -> Vec<&'a [u8]> {
        let mut pieces = Vec::new();
        let mut rest = octets;
        while !rest.is_empty() {
            let longest = [1, 4, 64, 4096][self.below(4)];
            let (piece, after) = rest.split_at(rest.len().min(1 + self.below(longest)));
            pieces.push(piece);
            rest = after;
        }
        pieces
    }
}
