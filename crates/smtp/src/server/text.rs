//! Content that is text: its line endings, its octets, the length of its lines.
//!
//! Content by DATA in a session with the usual settings does without this: [`wire::dot::Decoder`] sees what it must not
//! hold while it looks for the end. Binary content is no text.

use super::{Config, LineEndings};
use crate::{Reply, replies};
use bytes::Bytes;
use wire::{Flaw, FlawFinder, Normaliser};

/// Looks at text that comes in pieces, and mends what is to be mended.
#[derive(Debug)]
pub(super) struct Text {
    endings: Endings,
    /// The octets since the last LF.
    column: usize,
    /// All octets so far, as mended.
    size: u64,
}

/// What becomes of line endings.
#[derive(Debug)]
enum Endings {
    Checked(FlawFinder),
    Mended(Normaliser),
}

impl Text {
    /// Whether the settings ask for more than to refuse bare line endings.
    pub(super) fn is_wanted(config: &Config) -> bool {
        config.line_endings == LineEndings::Normalise || config.text_line_max.is_some()
    }

    /// At the start of a message.
    pub(super) fn new(config: &Config) -> Text {
        let endings = match config.line_endings {
            LineEndings::Strict => Endings::Checked(FlawFinder::new()),
            LineEndings::Normalise => Endings::Mended(Normaliser::new()),
        };
        Text { endings, column: 0, size: 0 }
    }

    /// Takes the next piece; returns what the application gets, or why the message is refused. Of several reasons it is
    /// the one that came first, however the text was cut.
    pub(super) fn take(&mut self, bytes: Bytes, config: &Config) -> Result<Bytes, Reply> {
        let (bytes, flaw) = self.endings.take(bytes);
        let room = config.max_message_size.saturating_sub(self.size);
        self.size += bytes.len() as u64;
        let too_big = config.is_too_big(self.size).then_some(room as usize);
        let too_long = config.text_line_max.and_then(|max| Some((max, self.line_over(max, &bytes)?)));
        match (too_big, too_long) {
            (Some(big), Some((max, long))) if long < big => Err(replies::text_line_too_long(max)),
            (Some(_), _) => Err(replies::MESSAGE_TOO_BIG),
            (None, Some((max, _))) => Err(replies::text_line_too_long(max)),
            (None, None) => flaw.map_or(Ok(bytes), |flaw| Err(refusal_of(flaw))),
        }
    }

    /// The text is whole: what its last line lacks, or why the message is refused.
    pub(super) fn finish(&self, config: &Config) -> Result<Option<Bytes>, Reply> {
        let rest = match &self.endings {
            Endings::Checked(flaws) => flaws.finish().map_or(Ok(&b""[..]), |flaw| Err(refusal_of(flaw)))?,
            Endings::Mended(normaliser) => normaliser.finish(),
        };
        if config.is_too_big(self.size + rest.len() as u64) {
            return Err(replies::MESSAGE_TOO_BIG);
        }
        match config.text_line_max {
            // A last line without an end has no CR either.
            Some(max) if rest.is_empty() && self.column > max => Err(replies::text_line_too_long(max)),
            _ => Ok((!rest.is_empty()).then(|| Bytes::from_static(rest))),
        }
    }

    /// How many octets come before the first one that makes a line too long.
    fn line_over(&mut self, max: usize, text: &[u8]) -> Option<usize> {
        // The CR counts until it is known to belong to a CRLF.
        let most = max.saturating_add(1);
        let mut from = 0;
        for at in memchr::memchr_iter(b'\n', text) {
            if self.column + (at - from) > most {
                return Some(from + most - self.column);
            }
            (self.column, from) = (0, at + 1);
        }
        let rest = text.len() - from;
        if self.column + rest > most {
            return Some(from + most - self.column);
        }
        self.column += rest;
        None
    }
}

impl Endings {
    /// The next piece as far as it is good, and what is wrong with the octet after it.
    fn take(&mut self, bytes: Bytes) -> (Bytes, Option<Flaw>) {
        match self {
            Endings::Checked(flaws) => match flaws.read_at(&bytes) {
                None => (bytes, None),
                Some((flaw, at)) => (bytes.slice(..at), Some(flaw)),
            },
            Endings::Mended(normaliser) => match memchr::memchr(0, &bytes) {
                None => (normaliser.normalise(bytes), None),
                Some(at) => (normaliser.normalise(bytes.slice(..at)), Some(Flaw::Nul)),
            },
        }
    }
}

/// Why content with this flaw is refused.
pub(super) fn refusal_of(flaw: Flaw) -> Reply {
    match flaw {
        Flaw::BareCr | Flaw::BareLf => replies::BARE_LINE_ENDING_IN_CONTENT,
        Flaw::Nul => replies::NUL_IN_CONTENT,
    }
}
