//! Local parts: what stands before the `@`.

use super::AddressError;
use std::fmt;
use std::str::FromStr;

/// A local part (RFC 5321 §4.1.2, RFC 6531 §3.3), kept without quotes.
///
/// `"joe"@example.com` and `joe@example.com` name the same mailbox; quotes are written only where they are
/// needed. Control characters are refused even in the UTF-8 range, where the grammar would let them pass:
/// nobody uses them but to confuse.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocalPart(Box<str>);

impl LocalPart {
    /// Reads a dot-string or a quoted string, as it is written before the `@`.
    pub fn parse(text: &str) -> Result<LocalPart, AddressError> {
        match LocalPart::parse_prefix(text)? {
            (local_part, "") => Ok(local_part),
            _ => Err(AddressError::LocalCharacter),
        }
    }

    /// Takes a value that is not quoted, whatever quotes it will need when written.
    pub fn from_unquoted(value: &str) -> Result<LocalPart, AddressError> {
        if value.chars().any(char::is_control) {
            return Err(AddressError::LocalCharacter);
        }
        LocalPart::new(value.to_owned())
    }

    /// The value without quotes.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is pure ASCII.
    pub fn is_ascii(&self) -> bool {
        self.0.is_ascii()
    }

    /// Reads a local part from the front; returns what follows it.
    pub(super) fn parse_prefix(text: &str) -> Result<(LocalPart, &str), AddressError> {
        if text.starts_with('"') {
            return quoted(text);
        }
        let end = text.find(|c| !is_atom_text(c) && c != '.').unwrap_or(text.len());
        let (dot_string, rest) = text.split_at(end);
        if !rest.is_empty() && !rest.starts_with('@') {
            // Without any `@` the missing domain is the better thing to name.
            return Err(if rest.contains('@') { AddressError::LocalCharacter } else { AddressError::NoAt });
        }
        if dot_string.is_empty() {
            return Err(AddressError::LocalEmpty);
        }
        if !is_dot_string(dot_string) {
            return Err(AddressError::LocalDot);
        }
        Ok((LocalPart::new(dot_string.to_owned())?, rest))
    }

    fn new(value: String) -> Result<LocalPart, AddressError> {
        if value.len() > MAX {
            return Err(AddressError::LocalTooLong);
        }
        Ok(LocalPart(value.into()))
    }
}

/// Reads a quoted string from the front; returns its value and what follows it.
fn quoted(text: &str) -> Result<(LocalPart, &str), AddressError> {
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((LocalPart::new(value)?, &text[at + 1..])),
            // quoted-pairSMTP: only ASCII may follow the backslash.
            '\\' => match chars.next() {
                Some((_, c @ ' '..='~')) => value.push(c),
                _ => return Err(AddressError::LocalCharacter),
            },
            c if c.is_control() => return Err(AddressError::LocalCharacter),
            c => value.push(c),
        }
    }
    Err(AddressError::LocalQuote)
}

fn is_dot_string(text: &str) -> bool {
    text.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atom_text))
}

/// `atext` of RFC 5322 §3.2.3, with the UTF-8 of RFC 6531 §3.3.
pub(crate) fn is_atom_text(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || matches!(
            c,
            '!' | '#' | '$' | '%' | '&' | '\'' | '*' | '+' | '-' | '/' | '=' | '?' | '^' | '_' | '`'
        )
        || matches!(c, '{' | '|' | '}' | '~')
        || (!c.is_ascii() && !c.is_control())
}

impl fmt::Display for LocalPart {
    /// With quotes where they are needed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_dot_string(&self.0) {
            return f.write_str(&self.0);
        }
        f.write_str("\"")?;
        for c in self.0.chars() {
            if matches!(c, '"' | '\\') {
                f.write_str("\\")?;
            }
            write!(f, "{c}")?;
        }
        f.write_str("\"")
    }
}

impl FromStr for LocalPart {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<LocalPart, AddressError> {
        LocalPart::parse(text)
    }
}

/// RFC 5321 §4.5.3.1.1; counted without quotes.
const MAX: usize = 64;
