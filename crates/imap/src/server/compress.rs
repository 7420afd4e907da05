//! COMPRESS=DEFLATE (RFC 4978): octets of the connection, compressed both ways.
//!
//! What comes is inflated a little at a time, and only when there is nothing else to read: a small packet may stand for very much.

use super::{Phase, Server};
use crate::answer::{Code, Status};
use bytes::{Buf, Bytes, BytesMut};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status as Flate};
use std::fmt;

/// Both directions.
pub(super) struct Deflate {
    /// What came and was not inflated yet.
    pending: BytesMut,
    inflate: Decompress,
    /// The last output was full: more may be held inside, whether anything is pending or not.
    was_full: bool,
    deflate: Compress,
}

/// So many octets are inflated at once.
const STEP: usize = 16 * 1024;

impl Server {
    /// COMPRESS: everything after the OK is compressed.
    pub(super) fn compress(&mut self, tag: &str, algorithm: &str) -> Result<(), Status> {
        if algorithm != "DEFLATE" {
            return Err(Status::bad("DEFLATE is the only algorithm"));
        }
        if self.deflate.is_some() {
            return Err(Status::no("The connection is compressed already").with(Code::CompressionActive));
        }
        self.done(tag, "DEFLATE active")?;
        self.phase = Phase::Compress;
        Ok(())
    }

    /// Everything said in clear is sent: from here on it is compressed.
    pub(super) fn begin_compression(&mut self) {
        self.deflate = Some(Box::new(Deflate {
            pending: BytesMut::new(),
            inflate: Decompress::new(false),
            was_full: false,
            deflate: Compress::new(Compression::fast(), false),
        }));
    }
}

impl Deflate {
    pub(super) fn receive(&mut self, octets: &[u8]) {
        self.pending.extend_from_slice(octets);
    }

    /// How many octets wait.
    pub(super) fn len(&self) -> usize {
        self.pending.len()
    }

    /// Some of what came; `None` when there is nothing, an error for what is not compressed.
    pub(super) fn inflate(&mut self) -> Option<Result<Vec<u8>, NotDeflate>> {
        if self.pending.is_empty() && !self.was_full {
            return None;
        }
        let nothing_came = self.pending.is_empty();
        let mut out = Vec::with_capacity(STEP);
        let before = self.inflate.total_in();
        let result = self.inflate.decompress_vec(&self.pending, &mut out, FlushDecompress::None);
        let read = (self.inflate.total_in() - before) as usize;
        self.pending.advance(read);
        if self.pending.is_empty() {
            self.pending = BytesMut::new();
        }
        self.was_full = out.len() == out.capacity();
        match result {
            // A stream of IMAP has no end.
            Ok(Flate::Ok | Flate::BufError) if read > 0 || !out.is_empty() => Some(Ok(out)),
            Ok(Flate::Ok | Flate::BufError) if nothing_came => None,
            _ => Some(Err(NotDeflate)),
        }
    }

    /// These octets, so that the client can read all of them at once.
    pub(super) fn deflate(&mut self, octets: &[u8]) -> Bytes {
        let mut out = Vec::with_capacity(octets.len() / 2 + 64);
        let mut rest = octets;
        loop {
            let before = self.deflate.total_in();
            out.reserve(256);
            self.deflate
                .compress_vec(rest, &mut out, FlushCompress::Sync)
                .expect("a compressor takes everything");
            rest = &rest[(self.deflate.total_in() - before) as usize..];
            // All is out when there was room for more.
            if rest.is_empty() && out.len() < out.capacity() {
                return out.into();
            }
        }
    }
}

/// What came is not compressed as it should be.
pub(super) struct NotDeflate;

impl fmt::Debug for Deflate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Deflate({} octets)", self.pending.len())
    }
}
