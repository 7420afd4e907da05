//! Reading a segment record by record, from the front: for recovery, for the rebuilding of the index, and for verification.
//!
//! It finds what is there and judges nothing. Whether a gap is the torn end of a log or damage in the middle of it is decided in
//! [`crate::recover`].

use crate::file::{File, read_exact_at};
use crate::record::{ALIGNMENT, Flaw, Header, Kind, RECORD_HEADER, SEGMENT_HEADER, SegmentHeader, Spot};
use bytes::Bytes;
use std::io;
use std::sync::Arc;

/// A segment being read.
pub(crate) struct Scanner {
    file: Arc<dyn File>,
    pub(crate) segment: u64,
    salt: u32,
    pub(crate) size: u64,
    /// For a rewritten segment: where the last of those that it replaces ended.
    pub(crate) replaced_end: Option<u64>,
    window: Vec<u8>,
    window_at: u64,
}

/// A record.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) header: Header,
    /// Where in the segment its header begins.
    pub(crate) offset: u64,
    /// `None` when it does not match its checksum.
    pub(crate) body: Option<Bytes>,
}

/// Records written in one act, from the first to the one marked as the last.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) records: Vec<Record>,
}

/// What lies behind the last whole batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rest {
    /// Where the first record of a later batch is: proof that the batch before it was whole once.
    pub(crate) later: Option<u64>,
    /// Where the last byte is that is not zero, if any.
    pub(crate) last_byte: Option<u64>,
}

impl Scanner {
    /// Opens a segment's file for reading; the inner error says what is wrong with its header.
    pub(crate) fn new(
        file: Arc<dyn File>,
        (segment, salt): (u64, u32),
    ) -> io::Result<Result<Scanner, String>> {
        let header = match header(&*file, segment)? {
            Ok(header) if header.salt == salt => header,
            Ok(_) => return Ok(Err("it belongs to another log".to_owned())),
            Err(flaw) => return Ok(Err(flaw.to_string())),
        };
        let scanner = Scanner::of_records(file, (segment, salt))?;
        Ok(Ok(Scanner { replaced_end: header.replaced_end, ..scanner }))
    }

    /// The same of a file that stands alone: its header says with which salt its log was written.
    pub(crate) fn of_file(file: Arc<dyn File>, segment: u64) -> io::Result<Result<Scanner, String>> {
        match header(&*file, segment)? {
            Ok(header) => Scanner::new(file, (segment, header.salt)),
            Err(flaw) => Ok(Err(flaw.to_string())),
        }
    }

    /// Opens a segment's file without a look at its header: records name their segment themselves.
    pub(crate) fn of_records(file: Arc<dyn File>, (segment, salt): (u64, u32)) -> io::Result<Scanner> {
        let size = file.size()?;
        Ok(Scanner { file, segment, salt, size, replaced_end: None, window: Vec::new(), window_at: 0 })
    }

    /// Where the next valid header behind `from` is, if there is one.
    pub(crate) fn next_header(&mut self, from: u64) -> io::Result<Option<u64>> {
        let mut at = (from + 1).next_multiple_of(ALIGNMENT);
        while at < self.size {
            let length = WINDOW.min(self.size - at);
            let bytes = self.bytes(at, length)?.expect("the range is within the segment");
            // Most of it is zeros; a header begins with a byte that is not.
            let begins = |(place, chunk): (usize, &[u8])| (chunk[0] != 0).then_some(place as u64 * ALIGNMENT);
            let candidates: Vec<u64> =
                bytes.chunks(ALIGNMENT as usize).enumerate().filter_map(begins).collect();
            for candidate in candidates {
                if self.header(at + candidate)?.is_some() {
                    return Ok(Some(at + candidate));
                }
            }
            at += length;
        }
        Ok(None)
    }

    /// The batch that begins at `start`; `None` when there is no whole chain of headers.
    pub(crate) fn batch(&mut self, start: u64) -> io::Result<Option<Batch>> {
        let mut batch = Batch { start, end: start, records: Vec::new() };
        loop {
            let Some(header) = self.header(batch.end)? else { return Ok(None) };
            if header.batch != start {
                return Ok(None);
            }
            batch.records.push(self.record(batch.end, header)?);
            batch.end += header.space();
            if header.last {
                return Ok(Some(batch));
            }
        }
    }

    /// The header of the record at `offset`, if there is a valid one whose record fits the segment.
    pub(crate) fn header(&mut self, offset: u64) -> io::Result<Option<Header>> {
        let spot = Spot { salt: self.salt, segment: self.segment, offset };
        let Some(bytes) = self.bytes(offset, RECORD_HEADER)? else { return Ok(None) };
        let header = Header::decode(bytes, spot);
        Ok(header.filter(|header| header.space() <= self.size - offset))
    }

    /// What would be the header of a record at `offset` if the log had another salt: then the checksum differs by these bits.
    pub(crate) fn unchecked(&mut self, offset: u64) -> io::Result<Option<(Header, u32)>> {
        let spot = Spot { salt: self.salt, segment: self.segment, offset };
        let found = self.bytes(offset, RECORD_HEADER)?.and_then(|bytes| Header::unchecked(bytes, spot));
        Ok(found.filter(|(header, _)| header.space() <= self.size - offset))
    }

    /// What lies behind `from`, where no whole batch begins.
    pub(crate) fn rest(&mut self, from: u64) -> io::Result<Rest> {
        let mut rest = Rest { later: None, last_byte: None };
        let mut at = from;
        while at < self.size {
            let length = WINDOW.min(self.size - at);
            let bytes = self.bytes(at, length)?.expect("the range is within the segment");
            let last = bytes.iter().rposition(|byte| *byte != 0);
            let candidates = last.map_or(0, |last| last + 1);
            if let Some(last) = last {
                rest.last_byte = Some(at + last as u64);
            }
            // Most of what is read here is zeros; only where there is something can there be a header.
            for offset in (at..at + candidates as u64).step_by(ALIGNMENT as usize) {
                if rest.later.is_none() && self.header(offset)?.is_some_and(|header| header.batch > from) {
                    rest.later = Some(offset);
                }
            }
            at += length;
        }
        Ok(rest)
    }

    /// The record with this header at `offset`.
    pub(crate) fn record(&mut self, offset: u64, header: Header) -> io::Result<Record> {
        let length = u64::from(header.length);
        let bytes =
            self.bytes(offset + RECORD_HEADER, length)?.expect("the header's record fits the segment");
        let body = (crc32c::crc32c(bytes) == header.body_crc).then(|| Bytes::copy_from_slice(bytes));
        Ok(Record { header, offset, body })
    }

    /// These bytes of the segment, through the window; `None` when it ends before.
    fn bytes(&mut self, offset: u64, length: u64) -> io::Result<Option<&[u8]>> {
        let end = offset + length;
        if end > self.size {
            return Ok(None);
        }
        let window_end = self.window_at + self.window.len() as u64;
        if offset < self.window_at || end > window_end {
            self.window.resize(length.max(WINDOW.min(self.size - offset)) as usize, 0);
            self.window_at = offset;
            // What could not be read is not in the window.
            read_exact_at(&*self.file, &mut self.window, offset).inspect_err(|_| self.window.clear())?;
        }
        let from = (offset - self.window_at) as usize;
        Ok(Some(&self.window[from..from + length as usize]))
    }
}

impl Batch {
    /// The records whose bodies do not match their checksums.
    pub(crate) fn damaged(&self) -> impl Iterator<Item = &Record> {
        self.records.iter().filter(|record| record.body.is_none())
    }

    /// Whether the batch can be understood without its damaged bodies: content is only pointed at.
    pub(crate) fn is_readable(&self) -> bool {
        self.damaged().all(|record| record.header.kind == Kind::Content)
    }
}

/// Reads a segment's header; the inner error says what is wrong with it.
pub(crate) fn header(file: &dyn File, segment: u64) -> io::Result<Result<SegmentHeader, Flaw>> {
    let size = file.size()?;
    if size < SEGMENT_HEADER {
        return Ok(Err(Flaw::Damaged(format!("it is {size} bytes long, shorter than its header"))));
    }
    let mut bytes = [0; SEGMENT_HEADER as usize];
    read_exact_at(file, &mut bytes, 0)?;
    Ok(SegmentHeader::decode(&bytes, segment))
}

const WINDOW: u64 = 1 << 20;
