//! Modified UTF-7, in which revision 1 writes the names of mailboxes beyond ASCII (RFC 3501 §5.1.3).

use data_encoding::{Encoding, Specification};
use std::sync::LazyLock;

/// Base64 with `,` for `/`, without padding.
static BASE64: LazyLock<Encoding> = LazyLock::new(|| {
    let mut specification = Specification::new();
    specification.symbols.push_str("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,");
    specification.encoding().expect("64 different symbols")
});

/// Writes a name.
pub fn encode(name: &str) -> String {
    let mut out = String::new();
    let mut shifted: Vec<u8> = Vec::new();
    for c in name.chars() {
        if c.is_ascii() && !c.is_ascii_control() {
            unshift(&mut out, &mut shifted);
            out.push(c);
            if c == '&' {
                out.push('-');
            }
        } else {
            let mut units = [0; 2];
            shifted.extend(c.encode_utf16(&mut units).iter().flat_map(|unit| unit.to_be_bytes()));
        }
    }
    unshift(&mut out, &mut shifted);
    out
}

fn unshift(out: &mut String, shifted: &mut Vec<u8>) {
    if !shifted.is_empty() {
        out.push('&');
        out.push_str(&BASE64.encode(shifted));
        out.push('-');
        shifted.clear();
    }
}

/// Reads a name; `None` for what [`encode`] does not write, so that no two names that differ are one mailbox.
pub fn decode(text: &str) -> Option<String> {
    let mut name = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        let (before, shifted) = rest.split_at(at);
        name.push_str(before);
        let (inner, after) = shifted[1..].split_once('-')?;
        if inner.is_empty() {
            name.push('&');
        } else {
            let octets = BASE64.decode(inner.as_bytes()).ok()?;
            let units: Vec<u16> = octets
                .chunks(2)
                .map(|pair| Some(u16::from_be_bytes(pair.try_into().ok()?)))
                .collect::<Option<_>>()?;
            name.push_str(&String::from_utf16(&units).ok()?);
        }
        rest = after;
    }
    name.push_str(rest);
    (encode(&name) == text).then_some(name)
}
