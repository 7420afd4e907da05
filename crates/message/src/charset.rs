//! Charsets of bodies and headers to text, through `encoding_rs`; UTF-7 (RFC 2152), which browsers gave up and old mail has, is here.

use crate::transfer::Base64;

/// The text that these bytes are in the charset of that label. Never fails: malformed bytes become U+FFFD. Without a label, with
/// `us-ascii` or with an unknown one it is UTF-8 if it can be, else Windows-1252, which has every byte.
pub fn decode(label: Option<&str>, bytes: &[u8]) -> String {
    let label = label.unwrap_or_default().trim();
    if label.eq_ignore_ascii_case("utf-7") || label.eq_ignore_ascii_case("unicode-1-1-utf-7") {
        return decode_utf7(bytes);
    }
    let is_ascii = label.eq_ignore_ascii_case("us-ascii") || label.eq_ignore_ascii_case("ascii");
    match encoding_rs::Encoding::for_label_no_replacement(label.as_bytes()) {
        Some(encoding) if !is_ascii => encoding.decode_with_bom_removal(bytes).0.into_owned(),
        _ => header_text(bytes),
    }
}

/// Text of which nothing says the charset: UTF-8 (RFC 6532) if it can be, else Windows-1252.
pub fn header_text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text).to_owned(),
        Err(error) if error.error_len().is_none() => {
            // only the last character is cut off: the bytes are the start of something longer
            String::from_utf8_lossy(bytes).into_owned()
        }
        Err(_) => encoding_rs::WINDOWS_1252.decode_without_bom_handling(bytes).0.into_owned(),
    }
}

/// RFC 2152: `+`, base64 of UTF-16 in network order, and `-` or any other character that is not of the alphabet; `+-` is a plus.
fn decode_utf7(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(plus) = memchr::memchr(b'+', rest) {
        text.push_str(&String::from_utf8_lossy(&rest[..plus]));
        rest = &rest[plus + 1..];
        let length = rest
            .iter()
            .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
            .count();
        let units: Vec<u8> = Base64::new(&rest[..length]).collect();
        let units = units.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
        text.extend(char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)));
        rest = &rest[length..];
        if let Some(after) = rest.strip_prefix(b"-") {
            rest = after;
            text.push_str(if length == 0 { "+" } else { "" });
        }
    }
    text.push_str(&String::from_utf8_lossy(rest));
    text
}
