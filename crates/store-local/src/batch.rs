//! Building one batch: the records of many jobs, as pieces for one vectored write.

use crate::effect::{Committed, Effect, Locator, Position};
use crate::record::{ALIGNMENT, BODY_VERSION, Header, Kind, RECORD_HEADER, Spot};
use bytes::Bytes;
use std::io::IoSlice;
use std::ops::Range;

/// A batch being built, for a known place in the log.
#[derive(Debug)]
pub(crate) struct Batch {
    start: Spot,
    length: u64,
    /// Headers, small bodies and padding, one after the other.
    own: Vec<u8>,
    pieces: Vec<Piece>,
    last: Option<Last>,
    effects: Vec<Effect>,
}

/// The last record added: its header is written anew when it turns out to be the batch's last.
#[derive(Debug)]
struct Last {
    header: Header,
    /// Where it is.
    spot: Spot,
    /// Where its header is in `own`.
    own: usize,
}

#[derive(Debug)]
enum Piece {
    Own(Range<usize>),
    Shared(Bytes),
}

impl Batch {
    /// An empty batch that will begin there.
    pub(crate) fn new(start: Spot) -> Batch {
        Batch { start, length: 0, own: Vec::new(), pieces: Vec::new(), last: None, effects: Vec::new() }
    }

    /// How long it is.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Whether it has no record.
    pub(crate) fn is_empty(&self) -> bool {
        self.last.is_none()
    }

    /// Adds a record with a small body.
    pub(crate) fn push(&mut self, kind: Kind, body: &[u8]) -> Locator {
        let at = self.begin(kind, body.len() as u64, crc32c::crc32c(body));
        self.put(body);
        self.pad();
        at
    }

    /// Adds a record whose body is an own beginning and shared chunks, with the CRC32C of both together. The chunks are not copied.
    pub(crate) fn push_chunks(
        &mut self,
        kind: Kind,
        front: &[u8],
        chunks: Vec<Bytes>,
        body_crc: u32,
    ) -> Locator {
        let length: usize = front.len() + chunks.iter().map(Bytes::len).sum::<usize>();
        let at = self.begin(kind, length as u64, body_crc);
        self.put(front);
        self.pieces.extend(chunks.into_iter().filter(|chunk| !chunk.is_empty()).map(Piece::Shared));
        self.pad();
        at
    }

    /// Adds what the records mean.
    pub(crate) fn mean(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// How many effects it has so far.
    pub(crate) fn effects(&self) -> usize {
        self.effects.len()
    }

    /// Marks the last record as the batch's last and hands the pieces to `write`; when that succeeds the batch is committed.
    pub(crate) fn finish<E>(
        mut self,
        write: impl FnOnce(&mut [IoSlice<'_>], u64) -> Result<(), E>,
    ) -> Result<Committed, E> {
        if let Some(Last { mut header, spot, own }) = self.last {
            header.last = true;
            self.own[own..own + RECORD_HEADER as usize].copy_from_slice(&header.encode(spot));
        }
        let slice = |piece| match piece {
            &Piece::Own(Range { start, end }) => IoSlice::new(&self.own[start..end]),
            Piece::Shared(bytes) => IoSlice::new(bytes),
        };
        let mut slices: Vec<IoSlice<'_>> = self.pieces.iter().map(slice).collect();
        write(&mut slices, self.length)?;
        let Spot { segment, offset: start, .. } = self.start;
        let position = Position { segment, start, end: start + self.length };
        Ok(Committed { position, effects: self.effects })
    }

    /// Begins a record: its header.
    fn begin(&mut self, kind: Kind, length: u64, body_crc: u32) -> Locator {
        let length =
            u32::try_from(length).expect("a record is not longer than a content or an acceptance may be");
        let (batch, segment) = (self.start.offset, self.start.segment);
        let header = Header { kind, version: BODY_VERSION, last: false, batch, length, body_crc };
        let offset = batch + self.length;
        let spot = Spot { offset, ..self.start };
        self.last = Some(Last { header, spot, own: self.own.len() });
        self.put(&header.encode(spot));
        self.length += header.space();
        Locator { segment, offset, length }
    }

    /// Ends a record: its padding.
    fn pad(&mut self) {
        let header = self.last.as_ref().expect("a record was begun").header;
        let padding = header.space() - RECORD_HEADER - u64::from(header.length);
        self.put(&[0; ALIGNMENT as usize][..padding as usize]);
    }

    /// Adds bytes of our own, as one piece with those just before.
    fn put(&mut self, bytes: &[u8]) {
        let start = self.own.len();
        self.own.extend_from_slice(bytes);
        match self.pieces.last_mut() {
            Some(Piece::Own(range)) => range.end = self.own.len(),
            _ => self.pieces.push(Piece::Own(start..self.own.len())),
        }
    }
}
