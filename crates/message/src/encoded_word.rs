//! Encoded words in header fields (RFC 2047), decoded as tolerantly as people expect.

use crate::charset;
use crate::transfer::{Base64, hex_pair};
use std::borrow::Cow;

/// The text of an unfolded field value: encoded words decoded, white space between two of them left out (RFC 2047 §6.2).
///
/// More is understood than is allowed: words inside other text or quotes, of any length, with spaces in them, and characters split
/// between two words of one charset. What is no encoded word stays as it is.
pub fn decode(value: &[u8]) -> String {
    let value: Cow<'_, str> = match std::str::from_utf8(value) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(charset::header_text(value)),
    };
    if !value.contains("=?") {
        return value.into_owned();
    }
    let mut text = Decoder::default();
    let mut rest = value.as_ref();
    while let Some(start) = rest.find("=?") {
        match Word::parse(&rest[start..]) {
            Some((word, length)) => {
                let gap = &rest[..start];
                if text.pending.is_none() || !gap.trim().is_empty() {
                    text.literal(gap);
                }
                text.word(&word);
                rest = &rest[start + length..];
            }
            None => {
                text.literal(&rest[..start + 2]);
                rest = &rest[start + 2..];
            }
        }
    }
    text.literal(rest);
    text.flush();
    text.done
}

/// `=?charset?encoding?text?=`.
struct Word<'a> {
    charset: &'a str,
    base64: bool,
    text: &'a str,
}

impl Word<'_> {
    /// The encoded word that this text starts with, and its length in bytes.
    fn parse(text: &str) -> Option<(Word<'_>, usize)> {
        let inner = text.strip_prefix("=?")?;
        let (charset, inner) = inner.split_once('?').filter(|(charset, _)| charset.len() <= MAX_CHARSET)?;
        if charset.is_empty() || !charset.bytes().all(|c| c.is_ascii_graphic()) {
            return None;
        }
        let base64 = match inner.get(..2)? {
            "B?" | "b?" => true,
            "Q?" | "q?" => false,
            _ => return None,
        };
        let inner = &inner[2..];
        let window = &inner.as_bytes()[..inner.len().min(MAX_TEXT)];
        let end = memchr::memmem::find(window, b"?=")?;
        // RFC 2231 §5: a language may follow the charset
        let charset = charset.split('*').next().unwrap_or(charset);
        let length = text.len() - inner.len() + end + 2;
        Some((Word { charset, base64, text: &inner[..end] }, length))
    }

    fn bytes(&self) -> Vec<u8> {
        if self.base64 {
            return Base64::new(self.text.as_bytes()).collect();
        }
        let mut bytes = Vec::with_capacity(self.text.len());
        let mut rest = self.text.as_bytes();
        while let Some((&byte, after)) = rest.split_first() {
            rest = after;
            match (byte, after.first_chunk::<2>().and_then(|pair| hex_pair(*pair))) {
                (b'=', Some(value)) => {
                    bytes.push(value);
                    rest = &after[2..];
                }
                (b'_', _) => bytes.push(b' '),
                _ => bytes.push(byte),
            }
        }
        bytes
    }
}

#[derive(Default)]
struct Decoder {
    done: String,
    /// Bytes of the last words, all of one charset: one character may be split between two words.
    pending: Option<(String, Vec<u8>)>,
}

impl Decoder {
    fn literal(&mut self, text: &str) {
        self.flush();
        self.done.push_str(text);
    }

    fn word(&mut self, word: &Word<'_>) {
        match &mut self.pending {
            Some((charset, bytes)) if charset.eq_ignore_ascii_case(word.charset) => {
                bytes.extend(word.bytes())
            }
            _ => {
                self.flush();
                self.pending = Some((word.charset.to_owned(), word.bytes()));
            }
        }
    }

    fn flush(&mut self) {
        if let Some((charset, bytes)) = self.pending.take() {
            self.done.push_str(&charset::decode(Some(&charset), &bytes));
        }
    }
}

/// No charset has a longer name, even with a language.
const MAX_CHARSET: usize = 100;
/// RFC 2047 §2 allows 75 characters; mailers write more, but not this much.
const MAX_TEXT: usize = 8192;
