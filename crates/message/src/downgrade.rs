//! Messages with 8-bit or binary content as 7-bit ones, for a host that takes nothing else (RFC 6152 §3, RFC 3030 §3).
//!
//! Each part that is not 7-bit is encoded for transfer, and says so in its header; what it decodes to stays the same octet by octet. What cannot
//! be encoded without breaking it is refused: signed and encrypted parts (RFC 1847 §2.1), header fields beyond ASCII, what is malformed. The
//! whole message is in memory while it is done, so callers bound its size.

use crate::structure::{Content, Part, Structure};
use crate::{Limits, TransferEncoding};
use data_encoding::BASE64;

/// Why a message cannot be made 7-bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unconvertible {
    /// It would break a signature, or what is encrypted.
    #[error("a part that is signed or encrypted must not be altered")]
    Signed,
    /// Header fields cannot be encoded (RFC 6532 is another matter).
    #[error("its header is not ASCII")]
    Header,
    /// A part may not be encoded, or is not what it says.
    #[error("a part of it cannot be encoded")]
    Part,
    /// It has more parts than are looked at.
    #[error("it has too many parts")]
    Complex,
}

/// The message with every part in 7 bits, in lines of no more than 998 octets where it was encoded.
pub fn to_seven_bit(message: &[u8]) -> Result<Vec<u8>, Unconvertible> {
    let structure = Structure::of(message, &Limits::default());
    if structure.is_truncated() {
        return Err(Unconvertible::Complex);
    }
    let mut edits = Vec::new();
    for part in structure.parts() {
        edit(message, &structure, part, &mut edits)?;
    }
    // Each part stands before those inside it, and what is edited in it before theirs, so these are in order already but for insertions.
    edits.sort_by_key(|edit| edit.start);
    let mut converted = Vec::with_capacity(message.len() + message.len() / 2);
    let mut position = 0;
    for Edit { start, end, text } in edits {
        copy(&message[position..start], &mut converted)?;
        converted.extend_from_slice(&text);
        position = end;
    }
    copy(&message[position..], &mut converted)?;
    Ok(converted)
}

/// What stands between these places is replaced by this.
struct Edit {
    start: usize,
    end: usize,
    text: Vec<u8>,
}

/// What is not edited must be 7-bit as it is: fields, boundaries and what is around them.
fn copy(bytes: &[u8], converted: &mut Vec<u8>) -> Result<(), Unconvertible> {
    if !is_plain(bytes) {
        return Err(Unconvertible::Part);
    }
    converted.extend_from_slice(bytes);
    Ok(())
}

/// What has to be changed about one part.
fn edit(
    message: &[u8],
    structure: &Structure,
    part: &Part,
    edits: &mut Vec<Edit>,
) -> Result<(), Unconvertible> {
    let body = part.body.of(message);
    if !part.header.span.of(message).is_ascii() {
        return Err(Unconvertible::Header);
    }
    let parents = std::iter::successors(part.parent, |parent| structure.parts()[*parent].parent);
    if parents.map(|parent| &structure.parts()[parent]).any(is_sealed) {
        // What seals it is plain, or it would have been refused. Not even a label may change in there.
        return Ok(());
    }
    if is_plain(body) {
        // Whatever it says, 7bit is no lie about it; what stands deeper was looked at with it.
        relabel(message, part, edits);
        return Ok(());
    }
    if is_sealed(part) {
        return Err(Unconvertible::Signed);
    }
    match part.content {
        Content::Multipart(_) | Content::Message(_) => {
            relabel(message, part, edits);
            Ok(())
        }
        // Messages and parts that were too deep to be taken apart, or may only be 7-bit (RFC 2046 §5.2).
        Content::Leaf if matches!(part.media_type.kind.as_str(), "multipart" | "message") => {
            Err(Unconvertible::Part)
        }
        // It says that it is encoded already.
        Content::Leaf if !part.encoding.is_identity() => Err(Unconvertible::Part),
        Content::Leaf => {
            let encoding = suitable(part, body);
            say(message, structure, part, encoding, edits)?;
            let text = match encoding {
                TransferEncoding::QuotedPrintable => quoted_printable(body),
                _ => base64(body),
            };
            edits.push(Edit { start: part.body.start, end: part.body.end, text });
            Ok(())
        }
    }
}

/// Whether nothing in a part may change (RFC 1847 §2.1, §2.2).
fn is_sealed(part: &Part) -> bool {
    part.media_type.is("multipart", "signed") || part.media_type.is("multipart", "encrypted")
}

/// A part that is or will be 7-bit, and says otherwise, says so.
fn relabel(message: &[u8], part: &Part, edits: &mut Vec<Edit>) {
    if !matches!(part.encoding, TransferEncoding::EightBit | TransferEncoding::Binary) {
        return;
    }
    for (place, field) in part.header.named(message, ENCODING).enumerate() {
        let text = if place == 0 { b"Content-Transfer-Encoding: 7bit\r\n".to_vec() } else { Vec::new() };
        edits.push(Edit { start: field.whole.start, end: field.whole.end, text });
    }
}

/// Puts the encoding into the header of a part; of a message that knows nothing of MIME also what goes with it.
fn say(
    message: &[u8],
    structure: &Structure,
    part: &Part,
    encoding: TransferEncoding,
    edits: &mut Vec<Edit>,
) -> Result<(), Unconvertible> {
    let header = part.header.span.of(message);
    // Without the empty line what is added would be read with the body.
    let ends = header == b"\r\n" || header.ends_with(b"\r\n\r\n");
    let name = encoding.name().filter(|_| ends).ok_or(Unconvertible::Part)?;
    let mut text = format!("Content-Transfer-Encoding: {name}\r\n");
    let is_message = match part.parent.map(|parent| &structure.parts()[parent].content) {
        None => true,
        Some(content) => matches!(content, Content::Message(_)),
    };
    if is_message && part.header.named(message, "Content-Type").next().is_none() {
        // RFC 1428 §3: nobody knows in which character set it is.
        text.push_str("Content-Type: text/plain; charset=unknown-8bit\r\n");
    }
    if is_message && part.header.named(message, "MIME-Version").next().is_none() {
        text.push_str("MIME-Version: 1.0\r\n");
    }
    for field in part.header.named(message, ENCODING) {
        edits.push(Edit { start: field.whole.start, end: field.whole.end, text: Vec::new() });
    }
    let end = part.header.span.end - 2;
    edits.push(Edit { start: end, end, text: text.into_bytes() });
    Ok(())
}

/// Quoted-printable for text that is mostly readable, base64 for all else.
fn suitable(part: &Part, body: &[u8]) -> TransferEncoding {
    let odd = body.iter().filter(|byte| !matches!(byte, b' '..=b'~' | b'\r' | b'\n' | b'\t')).count();
    match part.media_type.kind == "text" && odd <= body.len() / 3 && has_whole_lines(body) {
        true => TransferEncoding::QuotedPrintable,
        false => TransferEncoding::Base64,
    }
}

/// Whether these bytes can be sent as they are: ASCII without NUL, CR and LF in pairs only, no line over 998 octets.
pub(crate) fn is_plain(bytes: &[u8]) -> bool {
    bytes.is_ascii()
        && !bytes.contains(&0)
        && has_whole_lines(bytes)
        && bytes.split(|byte| *byte == b'\n').all(|line| line.len() <= LINE_MAX + 1)
}

/// Whether CR and LF come in pairs only.
pub(crate) fn has_whole_lines(bytes: &[u8]) -> bool {
    let mut before = b'\n';
    for byte in bytes.iter().copied().chain([0]) {
        if (before == b'\r') != (byte == b'\n') {
            return false;
        }
        before = byte;
    }
    true
}

/// RFC 2045 §6.7, for bytes whose CR and LF come in pairs.
pub(crate) fn quoted_printable(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + body.len() / 4);
    for line in body.split_inclusive(|byte| *byte == b'\n') {
        let (text, end) = match line.strip_suffix(b"\r\n") {
            Some(text) => (text, &b"\r\n"[..]),
            None => (line, &b""[..]),
        };
        let mut width = 0;
        for (place, byte) in text.iter().copied().enumerate() {
            let is_last = place + 1 == text.len();
            // A space at the end of a line may get lost on the way (rule 3).
            let literal =
                matches!(byte, b'!'..=b'<' | b'>'..=b'~') || (matches!(byte, b' ' | b'\t') && !is_last);
            let needs = if literal { 1 } else { 3 };
            if width + needs > ENCODED_LINE_MAX - 1 {
                out.extend_from_slice(b"=\r\n");
                width = 0;
            }
            match literal {
                true => out.push(byte),
                false => out.extend_from_slice(format!("={byte:02X}").as_bytes()),
            }
            width += needs;
        }
        out.extend_from_slice(end);
    }
    out
}

/// RFC 2045 §6.8. Its last line has no line ending: the one before a boundary follows.
fn base64(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() / 3 * 4 + body.len() / 28);
    for (place, piece) in body.chunks(ENCODED_LINE_MAX / 4 * 3).enumerate() {
        if place > 0 {
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(BASE64.encode(piece).as_bytes());
    }
    out
}

const ENCODING: &str = "Content-Transfer-Encoding";
/// RFC 5321 §4.5.3.1.6, without CRLF.
const LINE_MAX: usize = 998;
/// RFC 2045 §6.7, §6.8.
const ENCODED_LINE_MAX: usize = 76;
