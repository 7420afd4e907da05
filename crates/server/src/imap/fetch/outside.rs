//! The items of a FETCH of a message that is at hand, without a session and a store.

use super::{Read, Telling};
use ::imap::FetchItem;
use ::imap::server::Server;
use bytes::Bytes;
use message::{Limits, Structure};
use store::{Entry, Flags, KeywordSet, ModSeq, SpoolId, Timestamp, Uid};

/// Tells these items of a message with this text, which the endpoint has begun ([`Server::begin_message`]): as sessions do, but that none of
/// its texts passes by.
pub fn tell(endpoint: &mut Server, text: &Bytes, items: &[FetchItem]) {
    let structure = Structure::of(text, &Limits::default());
    let read = Read { text: text.clone(), structure: Some(structure), ..Read::default() };
    let telling = Telling { entry: entry(text.len() as u64), read, flags: Vec::new(), room: None, next: 0 };
    for item in items {
        // That a part has an unknown encoding is what the command would end with.
        telling.item(endpoint, item);
    }
}

/// What a store knows of a message of that size.
pub(in crate::imap) fn entry(size: u64) -> Entry {
    Entry {
        uid: Uid(1),
        modseq: ModSeq(1),
        flags: Flags::default(),
        keywords: KeywordSet::default(),
        received: Timestamp(0),
        saved: Timestamp(0),
        size,
        spool: SpoolId(1),
        delivery: 0,
    }
}
