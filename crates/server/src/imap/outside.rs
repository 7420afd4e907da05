//! What the text of a message makes of answers, without a session and a store.
//!
//! Sessions do all of it in the same functions; here they can be called with any text, as `fuzz/bodies` does. Nobody else has a use for it.

pub use super::fetch::tell;
pub use super::search::{gist, searchable};

use super::fetch::entry;
use super::search::decided;
use super::{sort, thread};
use ::imap::answer::Threaded;
use ::imap::{SearchKey, SortKey, ThreadAlgorithm};
use message::{Limits, Structure};

/// What a message with this header section is sorted by (RFC 5256 §3, RFC 5957), for people to read.
pub fn sorted_by(key: SortKey, header: &[u8]) -> String {
    let structure = Structure::of(header, &Limits::default());
    format!("{:?}", sort::value(key, &entry(header.len() as u64), (header, &structure)))
}

/// The threads of messages with these header sections; their UIDs are 1, 2, 3 …
pub fn threads(headers: &[&[u8]], algorithm: ThreadAlgorithm) -> Vec<Threaded> {
    let messages = (1..).zip(headers).map(|(uid, header)| thread::Message::of(uid, 0, header));
    thread::threads(messages.collect(), algorithm)
}

/// Whether a search means a message: what its gist says, if it can say anything, and what its text says.
pub fn means(key: &SearchKey, text: &[u8]) -> (Option<bool>, bool) {
    decided(key, text, &entry(text.len() as u64))
}
