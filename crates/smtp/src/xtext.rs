//! xtext (RFC 3461 §4) and its relative for UTF-8 addresses (RFC 6533 §3): how ENVID and ORCPT carry what a
//! parameter cannot.

/// The text is not valid xtext, or what it says is not valid in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed xtext")]
pub struct Malformed;

/// Encodes ASCII text; characters beyond ASCII are encoded octet by octet.
pub(crate) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'+' | b'=' => push_hex(&mut out, byte),
            b'!'..=b'~' => out.push(char::from(byte)),
            _ => push_hex(&mut out, byte),
        }
    }
    out
}

/// Decodes xtext. Encoded octets may spell UTF-8: servers older than RFC 6533 send such addresses as type
/// `rfc822`. What is allowed beyond that is the caller's matter.
pub(crate) fn decode(text: &str) -> Result<String, Malformed> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if c == '+' {
            out.push(hex_pair(rest)?);
            rest = &rest[3..];
        } else if matches!(c, '!'..='~') && c != '=' {
            out.push(c as u8);
            rest = &rest[1..];
        } else {
            return Err(Malformed);
        }
    }
    String::from_utf8(out).map_err(|_| Malformed)
}

/// Encodes as `utf-8-addr-xtext`, which is ASCII and may be sent with or without SMTPUTF8.
pub(crate) fn encode_utf8(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '+' | '=' | '\\' => push_point(&mut out, c),
            '!'..='~' => out.push(c),
            _ => push_point(&mut out, c),
        }
    }
    out
}

/// Decodes `utf-8-addr-xtext` or `utf-8-addr-unitext`. `+` cannot stand for itself in either, so its xtext
/// meaning is taken too.
pub(crate) fn decode_utf8(text: &str) -> Result<String, Malformed> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        match c {
            '\\' => {
                let inner = rest.strip_prefix("\\x{").ok_or(Malformed)?;
                let (digits, after) = inner.split_once('}').ok_or(Malformed)?;
                if !(1..=6).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
                    return Err(Malformed);
                }
                let point = u32::from_str_radix(digits, 16).map_err(|_| Malformed)?;
                out.push(char::from_u32(point).ok_or(Malformed)?);
                rest = after;
                continue;
            }
            '+' => {
                match hex_pair(rest)? {
                    byte @ b' '..=b'~' => out.push(char::from(byte)),
                    _ => return Err(Malformed),
                }
                rest = &rest[3..];
                continue;
            }
            '=' | ' ' => return Err(Malformed),
            c if c.is_control() => return Err(Malformed),
            c => out.push(c),
        }
        rest = &rest[c.len_utf8()..];
    }
    Ok(out)
}

/// Reads `+HH` at the front of `text`.
fn hex_pair(text: &str) -> Result<u8, Malformed> {
    let digits = text.get(1..3).ok_or(Malformed)?;
    // RFC 3461 §4: the digits are upper case; lower case is understood all the same.
    if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(Malformed);
    }
    u8::from_str_radix(digits, 16).map_err(|_| Malformed)
}

fn push_hex(out: &mut String, byte: u8) {
    out.push_str(&format!("+{byte:02X}"));
}

fn push_point(out: &mut String, c: char) {
    out.push_str(&format!("\\x{{{:02X}}}", u32::from(c)));
}
