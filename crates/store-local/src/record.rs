//! The log's outer format: the header of a segment and of a record, and their checksums.
//!
//! What is in a record's body is [`crate::body`]'s affair; `docs/store-format.md` describes both byte by byte. All numbers are
//! little-endian.

use crate::segment;
use bytes::{Buf, BufMut};
use std::fmt;

/// The length of a segment's header: its first record begins here.
pub(crate) const SEGMENT_HEADER: u64 = 32;

/// The length of a record's header.
pub(crate) const RECORD_HEADER: u64 = 24;

/// Records begin at multiples of this.
pub(crate) const ALIGNMENT: u64 = 8;

/// The version of every body's format that this program writes and reads.
pub(crate) const BODY_VERSION: u8 = 1;

/// Where a record is. Its checksum binds it to that, so that a record found anywhere else is none; and nobody who does not know the salt
/// can write bytes that would be one, such as the sender of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spot {
    /// What this log has chosen by chance; every segment's header has it.
    pub(crate) salt: u32,
    /// The segment.
    pub(crate) segment: u64,
    /// Where in it the header begins.
    pub(crate) offset: u64,
}

/// What is wrong with a segment's header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// It is whole, and another program wrote it.
    Version(u32),
    /// This.
    Damaged(String),
}

/// What a segment's header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// The log's salt.
    pub(crate) salt: u32,
    /// The segment's number.
    pub(crate) segment: u64,
    /// For a rewritten segment: where the last of those that it replaces ended.
    pub(crate) replaced_end: Option<u64>,
}

/// What a record is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The first record of a segment: where the one before ended, and the highest numbers given so far.
    Opening,
    /// The content of a message: its spool id, then its bytes.
    Content,
    /// That the content of a message is in a file of its own.
    Large,
    /// A message's acceptance: envelope, trace, deliveries, mailbox entries.
    Accepted,
    /// Entries were removed.
    Mailbox,
    /// Entries were marked or copied.
    Entries,
    /// A mailbox was renamed, removed or the like, or subscriptions changed.
    Layout,
    /// An account or a mailbox came, changed or went.
    Account,
    /// A queued delivery was settled.
    Settlement,
    /// What belongs to an account, an alias or a domain changed.
    Directory,
    /// A queued delivery ended, or an operator ordered something about the queue.
    Queue,
    /// What a reclamation keeps of messages that nothing names any more: the last UIDs and ModSeqs that they had.
    Remains,
    /// A record that a later program has written. It is whole, and must not be taken for damage or a torn end.
    Unknown(u8),
}

/// The header of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// What it is about.
    pub(crate) kind: Kind,
    /// The version of its body's format, by kind.
    pub(crate) version: u8,
    /// Whether it is the last of its batch.
    pub(crate) last: bool,
    /// Where in the segment its batch begins.
    pub(crate) batch: u64,
    /// The length of its body, without padding.
    pub(crate) length: u32,
    /// The CRC32C of its body.
    pub(crate) body_crc: u32,
}

impl Kind {
    fn of(number: u8) -> Kind {
        let known = KINDS.iter().find(|(_, known)| *known == number);
        known.map_or(Kind::Unknown(number), |(kind, _)| *kind)
    }

    /// Its number on disk.
    pub(crate) fn number(self) -> u8 {
        match self {
            Kind::Unknown(number) => number,
            kind => KINDS.iter().find(|(known, _)| *known == kind).expect("every other kind is listed").1,
        }
    }
}

impl Header {
    /// The header's bytes for a record there.
    pub(crate) fn encode(&self, spot: Spot) -> [u8; RECORD_HEADER as usize] {
        let mut bytes = [0; RECORD_HEADER as usize];
        let mut out = &mut bytes[..];
        out.put_slice(&RECORD_MAGIC);
        out.put_u8(RECORD_VERSION);
        out.put_u8(self.kind.number());
        out.put_u8(u8::from(self.last));
        out.put_u8(self.version);
        out.put_slice(&[0; 2]);
        out.put_u32_le((self.batch / ALIGNMENT) as u32);
        out.put_u32_le(self.length);
        out.put_u32_le(self.body_crc);
        let crc = spot.checksum(&bytes);
        bytes[HEADER_CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads the header of a record there; `None` when these bytes are not one, or one of another place.
    pub(crate) fn decode(bytes: &[u8], spot: Spot) -> Option<Header> {
        let (header, difference) = Header::unchecked(bytes, spot)?;
        (difference == 0).then_some(header)
    }

    /// The same without a look at the checksum; says by which bits that differs from what it should be.
    pub(crate) fn unchecked(bytes: &[u8], spot: Spot) -> Option<(Header, u32)> {
        let bytes: &[u8; RECORD_HEADER as usize] = bytes.get(..RECORD_HEADER as usize)?.try_into().ok()?;
        if bytes[..2] != RECORD_MAGIC || bytes[2] != RECORD_VERSION {
            return None;
        }
        let mut rest = &bytes[8..];
        let (batch, length, body_crc) = (rest.get_u32_le(), rest.get_u32_le(), rest.get_u32_le());
        let (last, batch) = (bytes[4] & 1 == 1, u64::from(batch) * ALIGNMENT);
        let header = Header { kind: Kind::of(bytes[3]), version: bytes[5], last, batch, length, body_crc };
        Some((header, rest.get_u32_le() ^ spot.checksum(bytes)))
    }

    /// How much of the segment the whole record takes: header, body, padding.
    pub(crate) fn space(&self) -> u64 {
        space(self.length)
    }
}

/// How much of a segment a record with a body of this length takes.
pub(crate) fn space(length: u32) -> u64 {
    (RECORD_HEADER + u64::from(length)).next_multiple_of(ALIGNMENT)
}

impl Spot {
    /// The checksum of a header there: it goes on from the salt as if that were the checksum of something before.
    pub(crate) fn checksum(self, header: &[u8; RECORD_HEADER as usize]) -> u32 {
        let mut place = [0; 16];
        place[..8].copy_from_slice(&self.segment.to_le_bytes());
        place[8..].copy_from_slice(&self.offset.to_le_bytes());
        crc32c::crc32c_append(crc32c::crc32c_append(self.salt, &place), &header[..HEADER_CRC_AT])
    }
}

impl SegmentHeader {
    /// Its bytes.
    pub(crate) fn encode(&self) -> [u8; SEGMENT_HEADER as usize] {
        let version = if self.replaced_end.is_some() { REWRITTEN_VERSION } else { SEGMENT_VERSION };
        let mut bytes = [0; SEGMENT_HEADER as usize];
        let mut out = &mut bytes[..];
        out.put_slice(SEGMENT_MAGIC);
        out.put_u32_le(version);
        out.put_u32_le((self.replaced_end.unwrap_or(0) / ALIGNMENT) as u32);
        out.put_u64_le(self.segment);
        out.put_u32_le(self.salt);
        let crc = crc32c::crc32c(&bytes[..SEGMENT_CRC_AT]);
        bytes[SEGMENT_CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads the header of a segment that has this number.
    pub(crate) fn decode(bytes: &[u8; SEGMENT_HEADER as usize], segment: u64) -> Result<SegmentHeader, Flaw> {
        let mut rest = &bytes[8..];
        let (version, end) = (rest.get_u32_le(), u64::from(rest.get_u32_le()) * ALIGNMENT);
        let (number, salt, crc) = (rest.get_u64_le(), rest.get_u32_le(), rest.get_u32_le());
        if bytes[..8] != *SEGMENT_MAGIC {
            return Err(Flaw::Damaged("it is not a segment of a Posthaste log".to_owned()));
        }
        if crc != crc32c::crc32c(&bytes[..SEGMENT_CRC_AT]) || number != segment {
            return Err(Flaw::Damaged("its header is damaged, or it belongs to another number".to_owned()));
        }
        let replaced_end = match (version, segment::generation(segment)) {
            (SEGMENT_VERSION, 0) => None,
            (REWRITTEN_VERSION, 1..) => Some(end),
            (SEGMENT_VERSION | REWRITTEN_VERSION, _) => {
                let what = format!("its name does not go with its format, version {version}");
                return Err(Flaw::Damaged(what));
            }
            _ => return Err(Flaw::Version(version)),
        };
        Ok(SegmentHeader { salt, segment, replaced_end })
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Flaw::Damaged(what) => f.write_str(what),
            Flaw::Version(version) => write!(
                f,
                "its format is version {version}, of an earlier or a later Posthaste; this one knows versions \
                 {SEGMENT_VERSION} and {REWRITTEN_VERSION}. Nothing is wrong with it: open it with the program that wrote it"
            ),
        }
    }
}

/// The number of each kind on disk.
const KINDS: [(Kind, u8); 12] = [
    (Kind::Opening, 1),
    (Kind::Content, 2),
    (Kind::Large, 3),
    (Kind::Accepted, 4),
    (Kind::Mailbox, 5),
    (Kind::Account, 6),
    (Kind::Settlement, 7),
    (Kind::Remains, 8),
    (Kind::Directory, 9),
    (Kind::Queue, 10),
    (Kind::Entries, 11),
    (Kind::Layout, 12),
];

const SEGMENT_MAGIC: &[u8; 8] = b"PosthLog";
/// Versions 1 and 2 had no salt.
const SEGMENT_VERSION: u32 = 3;
const REWRITTEN_VERSION: u32 = 4;
const SEGMENT_CRC_AT: usize = 28;
const RECORD_MAGIC: [u8; 2] = *b"Pr";
const RECORD_VERSION: u8 = 1;
const HEADER_CRC_AT: usize = 20;

#[cfg(test)]
mod tests;
