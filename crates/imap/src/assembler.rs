//! Whole commands out of a stream of octets: lines, with literals in them, in bounded memory (RFC 9051 §4.3, RFC 7888).
//!
//! A literal of APPEND is a message and may be large: there the assembler stops and hands over what came before it, for the octets to be
//! taken as they come ([`Assembler::raw`]). Every other literal is a name or a search string and becomes a part of the command.

use bytes::{Bytes, BytesMut};
use std::fmt;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Assembled {
    /// A whole command: its lines with their CRLFs, literals in between.
    Command(Bytes),
    /// APPEND up to its literal, whose octets come next and are not taken.
    Append(Bytes),
    /// The client waits: say `+`, and ask again.
    Continue,
    /// The command is too long; this is how it begins, at most 512 octets. What the client sends of it without waiting to be asked is
    /// skipped, with its literals: none of it may be taken for a command.
    TooLong(Bytes),
}

/// Assembles commands.
#[derive(Default)]
pub struct Assembler {
    input: BytesMut,
    /// How many octets at the front belong to the command and were looked at.
    taken: usize,
    /// How many are known to hold no LF beyond what was looked at.
    scanned: usize,
    /// How many octets of a literal are still to come.
    literal: usize,
    /// Octets of a refused literal that are still to be skipped; then a line.
    skip: u64,
    skip_line: bool,
    waiting_told: bool,
}

/// The longest line of a command, with its CRLF and the lines before it.
pub const LINE_MAX: usize = 64 * 1024;
/// The octets of all literals of a command together, but for those of APPEND.
pub const LITERALS_MAX: usize = 64 * 1024;

impl Assembler {
    /// An assembler at the start of a command.
    pub fn new() -> Assembler {
        Assembler::default()
    }

    /// Takes octets of the client.
    pub fn receive(&mut self, octets: &[u8]) {
        self.input.extend_from_slice(octets);
    }

    /// How many octets wait.
    pub fn len(&self) -> usize {
        self.input.len()
    }

    /// Whether none wait.
    pub fn is_empty(&self) -> bool {
        self.input.is_empty()
    }

    /// The octets that wait, to be taken as they are: after [`Assembled::Append`].
    pub fn raw(&mut self) -> &mut BytesMut {
        &mut self.input
    }

    /// Skips a literal that nobody takes, with the rest of its line and the literals that follow there without being waited for. To be called
    /// after [`Assembled::Append`].
    pub fn skip_literal(&mut self, length: u64) {
        (self.skip, self.skip_line) = (length, true);
    }

    /// Gives memory back when there is nothing to keep in it.
    pub fn release(&mut self) {
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
    }

    /// The next command; `None` when more input is needed. What is found does not depend on how the input was cut.
    pub fn next_command(&mut self) -> Option<Assembled> {
        if !self.skipped() {
            return None;
        }
        loop {
            let ready = self.literal.min(self.input.len() - self.taken);
            self.taken += ready;
            self.literal -= ready;
            if self.literal > 0 {
                return None;
            }
            let from = self.scanned.max(self.taken);
            let Some(at) = memchr::memchr(b'\n', &self.input[from..]) else {
                self.scanned = self.input.len();
                if self.input.len() <= LINE_MAX + LITERALS_MAX {
                    return None;
                }
                let length = self.input.len();
                let keep = length - HEADER_MAX;
                return Some(self.refuse(keep, (0, true)));
            };
            let line_end = from + at + 1;
            self.scanned = from + at;
            let header = literal_header(&self.input[self.taken..line_end]);
            if line_end > LINE_MAX + LITERALS_MAX {
                let skip =
                    header.filter(|(_, waits)| !waits).map_or((0, false), |(length, _)| (length, true));
                return Some(self.refuse(line_end, skip));
            }
            let Some((length, waits)) = header else {
                return Some(Assembled::Command(self.take(line_end)));
            };
            if is_append(&self.input[..line_end]) {
                return Some(Assembled::Append(self.take(line_end)));
            }
            if length > LITERALS_MAX as u64 || line_end as u64 + length > (LINE_MAX + LITERALS_MAX) as u64 {
                let skip = if waits { (0, false) } else { (length, true) };
                return Some(self.refuse(line_end, skip));
            }
            if waits && !self.waiting_told {
                self.waiting_told = true;
                return Some(Assembled::Continue);
            }
            self.waiting_told = false;
            self.taken = line_end;
            self.literal = length as usize;
        }
    }

    /// Skips what is to be skipped; says whether that is done.
    fn skipped(&mut self) -> bool {
        loop {
            let now = self.skip.min(self.input.len() as u64);
            drop(self.input.split_to(now as usize));
            self.skip -= now;
            if self.skip > 0 || !self.skip_line {
                return self.skip == 0;
            }
            let Some(at) = memchr::memchr(b'\n', &self.input) else {
                // The end of what came may be the beginning of a literal's header.
                drop(self.input.split_to(self.input.len().saturating_sub(HEADER_MAX)));
                return false;
            };
            match literal_header(&self.input.split_to(at + 1)) {
                Some((length, false)) => self.skip = length,
                _ => self.skip_line = false,
            }
        }
    }

    /// Refuses a command of which so many octets are there.
    fn refuse(&mut self, length: usize, (skip, skip_line): (u64, bool)) -> Assembled {
        let mut command = self.take(length);
        (self.skip, self.skip_line) = (skip, skip_line);
        command.truncate(SHOWN_MAX);
        Assembled::TooLong(command)
    }

    fn take(&mut self, length: usize) -> Bytes {
        (self.taken, self.scanned, self.literal, self.waiting_told) = (0, 0, 0, false);
        if length == self.input.len() {
            return std::mem::take(&mut self.input).freeze();
        }
        self.input.split_to(length).freeze()
    }
}

/// The longest header of a literal with a length that means something, and its CRLF.
const HEADER_MAX: usize = 32;
/// As much is shown of a command that is too long.
const SHOWN_MAX: usize = 512;

/// The literal at the end of a line: its length, and whether the client waits.
fn literal_header(line: &[u8]) -> Option<(u64, bool)> {
    let line = line.strip_suffix(b"}\r\n")?;
    let (digits, waits) = match line.strip_suffix(b"+") {
        Some(digits) => (digits, false),
        None => (line, true),
    };
    let start = digits.iter().rposition(|octet| !octet.is_ascii_digit())?;
    if digits[start] != b'{' || start + 1 == digits.len() {
        return None;
    }
    let digits = std::str::from_utf8(&digits[start + 1..]).ok()?;
    Some((digits.parse().unwrap_or(u64::MAX), waits))
}

/// The length of the literal that a line ends with, if it comes without being waited for.
pub(crate) fn unasked_literal(line: &[u8]) -> Option<u64> {
    literal_header(line).filter(|(_, waits)| !waits).map(|(length, _)| length)
}

/// Whether a command is an APPEND whose mailbox has been read: its next literal is a message.
fn is_append(command: &[u8]) -> bool {
    let mut words = command.splitn(3, |octet| *octet == b' ');
    let verb = words.nth(1).unwrap_or_default();
    let rest = words.next().unwrap_or_default();
    // The mailbox itself may be a literal; then the first one is its name.
    let mailbox_is_literal = rest.starts_with(b"{");
    let first_line = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
    verb.eq_ignore_ascii_case(b"APPEND") && !(mailbox_is_literal && first_line == rest.len())
}

impl fmt::Debug for Assembler {
    /// Without the octets: they may be a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Assembler({} octets)", self.input.len())
    }
}
