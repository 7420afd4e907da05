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

    /// Takes the next piece; returns what the application gets, or why the message is refused.
    pub(super) fn take(&mut self, bytes: Bytes, config: &Config) -> Result<Bytes, Reply> {
        let bytes = match &mut self.endings {
            Endings::Checked(flaws) => flaws.read(&bytes).map_or(Ok(bytes), Err),
            Endings::Mended(normaliser) => normaliser.normalise(bytes),
        };
        let bytes = bytes.map_err(refusal_of)?;
        self.size += bytes.len() as u64;
        if config.is_too_big(self.size) {
            return Err(replies::MESSAGE_TOO_BIG);
        }
        match config.text_line_max {
            Some(max) if self.finds_line_over(max, &bytes) => Err(replies::text_line_too_long(max)),
            _ => Ok(bytes),
        }
    }

    /// The text is whole: what its last line lacks, or why the message is refused.
    pub(super) fn finish(&self) -> Result<Option<Bytes>, Reply> {
        match &self.endings {
            Endings::Checked(flaws) => flaws.finish().map_or(Ok(None), |flaw| Err(refusal_of(flaw))),
            Endings::Mended(normaliser) => {
                let rest = normaliser.finish();
                Ok((!rest.is_empty()).then(|| Bytes::from_static(rest)))
            }
        }
    }

    fn finds_line_over(&mut self, max: usize, text: &[u8]) -> bool {
        // The CR counts until it is known to belong to a CRLF.
        let most = max.saturating_add(1);
        let mut from = 0;
        for at in memchr::memchr_iter(b'\n', text) {
            if self.column + (at - from) > most {
                return true;
            }
            (self.column, from) = (0, at + 1);
        }
        self.column += text.len() - from;
        self.column > most
    }
}

/// Why content with this flaw is refused.
pub(super) fn refusal_of(flaw: Flaw) -> Reply {
    match flaw {
        Flaw::BareCr | Flaw::BareLf => replies::BARE_LINE_ENDING_IN_CONTENT,
        Flaw::Nul => replies::NUL_IN_CONTENT,
    }
}
