//! The framing of a log's records as docs/store-format.md describes it, so that a test can change what they say and keep their checksums
//! right.

/// A record without its framing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) kind: u8,
    /// Whether it ends its batch.
    pub(crate) last: bool,
    pub(crate) body: Vec<u8>,
}

/// Numbers of kinds.
pub(crate) const OPENING: u8 = 1;
pub(crate) const CONTENT: u8 = 2;
pub(crate) const ACCEPTED: u8 = 4;
pub(crate) const MAILBOX: u8 = 5;
pub(crate) const ACCOUNT: u8 = 6;
pub(crate) const SETTLEMENT: u8 = 7;
pub(crate) const REMAINS: u8 = 8;
pub(crate) const QUEUE: u8 = 10;
pub(crate) const ENTRIES: u8 = 11;
pub(crate) const LAYOUT: u8 = 12;

/// The log's salt, as a segment's header says it.
pub(crate) fn salt_of(segment: &[u8]) -> u32 {
    u32::from_le_bytes(segment[24..28].try_into().expect("four bytes"))
}

/// The checksum of a record's header in the first segment.
pub(crate) fn checksum(salt: u32, at: u64, header: &[u8]) -> [u8; 4] {
    crc32c::crc32c_append(salt, &[&1u64.to_le_bytes()[..], &at.to_le_bytes(), header].concat()).to_le_bytes()
}

/// The records of a segment that is whole.
pub(crate) fn records(segment: &[u8]) -> Vec<Record> {
    let (mut at, mut records) = (32, Vec::new());
    while segment.get(at..).is_some_and(|rest| rest.starts_with(b"Pr")) {
        let length = u32::from_le_bytes(segment[at + 12..at + 16].try_into().expect("four bytes")) as usize;
        let body = segment[at + 24..at + 24 + length].to_vec();
        records.push(Record { kind: segment[at + 3], last: segment[at + 4] & 1 == 1, body });
        at += (24 + length).next_multiple_of(8);
    }
    records
}

/// Writes these records into the first segment in place of its own.
pub(crate) fn reframe(segment: &mut [u8], records: &[Record]) {
    let salt = salt_of(segment);
    segment[32..].fill(0);
    let (mut at, mut batch) = (32, 32);
    for record in records {
        let mut header = vec![b'P', b'r', 1, record.kind, u8::from(record.last), 1, 0, 0];
        header.extend((batch as u32 / 8).to_le_bytes());
        header.extend((record.body.len() as u32).to_le_bytes());
        header.extend(crc32c::crc32c(&record.body).to_le_bytes());
        header.extend(checksum(salt, at as u64, &header));
        segment[at..at + 24].copy_from_slice(&header);
        segment[at + 24..at + 24 + record.body.len()].copy_from_slice(&record.body);
        at += (24 + record.body.len()).next_multiple_of(8);
        if record.last {
            batch = at;
        }
    }
}

/// Damages these records of a segment: their checksums do not match any more. Returns how many they are.
pub(crate) fn spoil(segment: &mut [u8], wanted: impl Fn(&Record) -> bool) -> usize {
    let (mut at, mut spoiled) = (32, 0);
    for record in records(segment) {
        if wanted(&record) {
            segment[at + 24] ^= 0x10;
            spoiled += 1;
        }
        at += (24 + record.body.len()).next_multiple_of(8);
    }
    spoiled
}
