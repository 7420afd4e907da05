//! Dot-stuffed content (RFC 5321 §4.5.2), as DATA carries it.
//!
//! The decoder finds the end of the content, removes the dots that the sender added, and looks for flaws, in
//! one pass over pieces of any size. Only CRLF `.` CRLF ends content: everything that other programs may take
//! for it (LF `.` LF, LF `.` CRLF, CR `.` CR, …) is content, and a flaw. The encoder is its mirror.

use crate::Flaw;
use bytes::{BufMut, Bytes, BytesMut};

/// Where in a line the next octet stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum At {
    /// At its beginning: the start of the content, or after a CRLF.
    #[default]
    Start,
    /// Anywhere else.
    Middle,
    /// After a CR, which must be half of a CRLF.
    AfterCr,
}

/// What a [`Decoder`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Content without the added dots, never empty.
    Content(Bytes),
    /// The end of the content. What follows in the input is not content.
    End,
}

/// Reads dot-stuffed content.
#[derive(Debug, Clone, Default)]
pub struct Decoder {
    at: At,
    flaw: Option<(Flaw, u64)>,
    size: u64,
}

impl Decoder {
    /// A decoder at the start of content: what comes next follows the CRLF of the DATA command, so a dot may
    /// be the first octet.
    pub fn new() -> Decoder {
        Decoder::default()
    }

    /// The first flaw found so far. Once there is one the content is fit for nothing, but its end is still
    /// found.
    pub fn flaw(&self) -> Option<Flaw> {
        self.flaw.map(|(flaw, _)| flaw)
    }

    /// The first flaw, and how many octets of content come before the one that shows it: for a bare CR that is the
    /// next one.
    pub fn flaw_at(&self) -> Option<(Flaw, u64)> {
        self.flaw
    }

    /// How many octets of content there were so far, without the added dots.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Takes what can be decided from the front of `input`; `None` when more input is needed. At most two
    /// octets stay in `input` then.
    ///
    /// The content is not copied: it is a part of the buffer of `input`, closed up where dots were removed.
    pub fn decode(&mut self, input: &mut BytesMut) -> Option<Piece> {
        let (read, written, end) = self.scan(input);
        if written == 0 {
            drop(input.split_to(read));
            return end.then(|| {
                drop(input.split_to(END.len()));
                Piece::End
            });
        }
        let mut content = if read == input.len() { std::mem::take(input) } else { input.split_to(read) };
        content.truncate(written);
        self.size += written as u64;
        Some(Piece::Content(content.freeze()))
    }

    /// Reads `buffer` and closes it up. Returns how many octets were read, how many of content are left of
    /// them at the front, and whether the end follows.
    fn scan(&mut self, buffer: &mut [u8]) -> (usize, usize, bool) {
        let (mut read, mut written) = (0, 0);
        while read < buffer.len() {
            match self.at {
                At::Start if buffer[read] == b'.' => match &buffer[read + 1..] {
                    [] | [b'\r'] => return (read, written, false),
                    [b'\r', b'\n', ..] => return (read, written, true),
                    _ => {
                        read += 1;
                        self.at = At::Middle;
                    }
                },
                At::Start => self.at = At::Middle,
                At::AfterCr if buffer[read] == b'\n' => {
                    buffer[written] = b'\n';
                    (read, written) = (read + 1, written + 1);
                    self.at = At::Start;
                }
                At::AfterCr => {
                    self.flaw.get_or_insert((Flaw::BareCr, self.size + written as u64));
                    self.at = At::Middle;
                }
                At::Middle => {
                    let run = self.middle(&buffer[read..], self.size + written as u64);
                    if read != written {
                        buffer.copy_within(read..read + run, written);
                    }
                    (read, written) = (read + run, written + run);
                }
            }
        }
        (read, written, false)
    }

    /// How far the line goes on: past the next octet that matters, or to the end of `rest`, before which there were
    /// `before` octets of content.
    fn middle(&mut self, rest: &[u8], before: u64) -> usize {
        let hit = match self.flaw {
            None => memchr::memchr3(b'\r', b'\n', 0, rest),
            Some(_) => memchr::memchr(b'\r', rest),
        };
        let Some(hit) = hit else { return rest.len() };
        match rest[hit] {
            b'\r' => self.at = At::AfterCr,
            b'\n' => self.flaw = Some((Flaw::BareLf, before + hit as u64)),
            _ => self.flaw = Some((Flaw::Nul, before + hit as u64)),
        }
        hit + 1
    }
}

/// Writes dot-stuffed content, and refuses to write what a receiver might take for an end that it is not.
#[derive(Debug, Clone, Default)]
pub struct Encoder {
    at: At,
}

impl Encoder {
    /// An encoder at the start of content.
    pub fn new() -> Encoder {
        Encoder::default()
    }

    /// Adds the dots to the next piece. It is copied only if it needs any.
    ///
    /// A flaw is an error, after which the encoder is of no more use.
    pub fn encode(&mut self, piece: Bytes) -> Result<Bytes, Flaw> {
        let octets = &piece[..];
        // What is written lags behind what is read until a dot must be added.
        let mut out = BytesMut::new();
        let (mut read, mut written) = (0, 0);
        while read < octets.len() {
            match self.at {
                At::Start => {
                    if octets[read] == b'.' {
                        out.reserve(octets.len() - written + 1);
                        out.put_slice(&octets[written..read]);
                        out.put_u8(b'.');
                        written = read;
                    }
                    self.at = At::Middle;
                }
                At::AfterCr if octets[read] == b'\n' => {
                    read += 1;
                    self.at = At::Start;
                }
                At::AfterCr => return Err(Flaw::BareCr),
                At::Middle => {
                    let Some(hit) = memchr::memchr3(b'\r', b'\n', 0, &octets[read..]) else { break };
                    read += hit + 1;
                    match octets[read - 1] {
                        b'\r' => self.at = At::AfterCr,
                        b'\n' => return Err(Flaw::BareLf),
                        _ => return Err(Flaw::Nul),
                    }
                }
            }
        }
        if out.is_empty() {
            return Ok(piece);
        }
        out.put_slice(&octets[written..]);
        Ok(out.freeze())
    }

    /// What ends the content: a CRLF first if its last line has none.
    pub fn finish(&self) -> Result<&'static [u8], Flaw> {
        match self.at {
            At::Start => Ok(END),
            At::Middle => Ok(b"\r\n.\r\n"),
            At::AfterCr => Err(Flaw::BareCr),
        }
    }
}

/// What follows the CRLF of the last line.
const END: &[u8] = b".\r\n";
