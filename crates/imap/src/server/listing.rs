//! SEARCH and SORT as they are answered without RETURN: one line for all that was found, written as it is sent.

use super::{ROOM, Server};
use crate::answer::data::write_mod_seq;
use bytes::BufMut;
use std::fmt::Write;

/// What is still to be written of such a line.
#[derive(Debug)]
pub(super) struct Listing {
    numbers: std::vec::IntoIter<u32>,
    /// What stands at its end (RFC 7162 §3.1.5).
    mod_seq: Option<u64>,
}

impl Server {
    /// Begins the line. Until it is written there is no room for anything else.
    pub(super) fn list_numbers(&mut self, kind: &str, numbers: Vec<u32>, mod_seq: Option<u64>) {
        write!(self.output, "* {kind}").expect("a buffer takes everything");
        let mod_seq = mod_seq.filter(|_| !numbers.is_empty());
        self.listing = Some(Box::new(Listing { numbers: numbers.into_iter(), mod_seq }));
        self.go_on_listing(ROOM);
    }

    /// Writes more of it, until so many octets wait to be sent.
    pub(super) fn go_on_listing(&mut self, room: usize) {
        let Some(mut listing) = self.listing.take() else { return };
        let mut left = room.saturating_sub(self.unsent());
        while left > 0 {
            let Some(number) = listing.numbers.next() else {
                if let Some(mod_seq) = listing.mod_seq {
                    write_mod_seq(&mut self.output, mod_seq);
                }
                self.output.put_slice(b"\r\n");
                return;
            };
            let before = self.output.len();
            write!(self.output, " {number}").expect("a buffer takes everything");
            left = left.saturating_sub(self.output.len() - before);
        }
        self.listing = Some(listing);
    }
}
