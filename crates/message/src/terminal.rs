//! What may be shown on a terminal: a message must not send it commands, nor make text read other than it stands.

use std::borrow::Cow;

/// The text on one line: line endings and tabs become spaces, other characters that act instead of being seen become visible.
pub fn one_line(text: &str) -> Cow<'_, str> {
    clean(text, |c| match c {
        '\n' | '\r' | '\t' => Some(' '),
        _ => None,
    })
}

/// The text on its lines: line endings (CRLF as LF) and tabs stay, other characters that act instead of being seen become visible.
pub fn lines(text: &str) -> Cow<'_, str> {
    let text =
        if text.contains("\r\n") { Cow::Owned(text.replace("\r\n", "\n")) } else { Cow::Borrowed(text) };
    let keep = |c: char| matches!(c, '\n' | '\t').then_some(c);
    match text {
        Cow::Borrowed(text) => clean(text, keep),
        Cow::Owned(text) => Cow::Owned(clean(&text, keep).into_owned()),
    }
}

/// Replaces what `is_harmful`, by what `exception` says or else by something to be seen.
fn clean(text: &str, exception: impl Fn(char) -> Option<char>) -> Cow<'_, str> {
    if !text.chars().any(is_harmful) {
        return Cow::Borrowed(text);
    }
    let safe = |c: char| if is_harmful(c) { exception(c).unwrap_or_else(|| visible(c)) } else { c };
    Cow::Owned(text.chars().map(safe).collect())
}

/// Controls of both sets (ESC starts a sequence, so does U+009B), and the marks that turn the direction of text around
/// (Unicode 15 §23.2, "Trojan source").
fn is_harmful(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
}

/// The picture of an ASCII control (U+2400 and following), U+FFFD for another character.
fn visible(c: char) -> char {
    match c {
        '\0'..='\x1f' => char::from_u32(0x2400 + u32::from(c)).unwrap_or(char::REPLACEMENT_CHARACTER),
        '\x7f' => '\u{2421}',
        _ => char::REPLACEMENT_CHARACTER,
    }
}
