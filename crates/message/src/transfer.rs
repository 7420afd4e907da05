//! Content transfer encodings, decoded tolerantly and bounded (RFC 2045 §6).

use std::borrow::Cow;

/// How a body is encoded for transfer (RFC 2045 §6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum TransferEncoding {
    /// `7bit`, the default.
    #[default]
    SevenBit,
    /// `8bit`.
    EightBit,
    /// `binary`.
    Binary,
    /// `quoted-printable` (RFC 2045 §6.7).
    QuotedPrintable,
    /// `base64` (RFC 2045 §6.8).
    Base64,
    /// Another one, which nobody here can decode.
    Unknown,
}

impl TransferEncoding {
    /// Reads the unfolded value of a Content-Transfer-Encoding field.
    pub fn parse(value: &[u8]) -> TransferEncoding {
        // comments and parameters do not belong here, but occur
        let word = value.split(|byte| matches!(byte, b';' | b'(')).next().unwrap_or_default().trim_ascii();
        match word.to_ascii_lowercase().as_slice() {
            b"" | b"7bit" | b"7-bit" => TransferEncoding::SevenBit,
            b"8bit" | b"8-bit" => TransferEncoding::EightBit,
            b"binary" => TransferEncoding::Binary,
            b"quoted-printable" => TransferEncoding::QuotedPrintable,
            b"base64" => TransferEncoding::Base64,
            _ => TransferEncoding::Unknown,
        }
    }

    /// The name as a field writes it; `None` for an unknown one.
    pub fn name(self) -> Option<&'static str> {
        Some(match self {
            TransferEncoding::SevenBit => "7bit",
            TransferEncoding::EightBit => "8bit",
            TransferEncoding::Binary => "binary",
            TransferEncoding::QuotedPrintable => "quoted-printable",
            TransferEncoding::Base64 => "base64",
            TransferEncoding::Unknown => return None,
        })
    }

    /// Whether the body is transferred as it is.
    pub fn is_identity(self) -> bool {
        matches!(self, TransferEncoding::SevenBit | TransferEncoding::EightBit | TransferEncoding::Binary)
    }

    /// The first `max` bytes of what this body encodes. What is malformed is passed over (base64) or kept as it is
    /// (quoted-printable); a body in an unknown encoding is returned undecoded.
    pub fn decode(self, body: &[u8], max: usize) -> Cow<'_, [u8]> {
        match self {
            TransferEncoding::Base64 => Cow::Owned(Base64::new(body).take(max).collect()),
            TransferEncoding::QuotedPrintable => Cow::Owned(QuotedPrintable::new(body).take(max).collect()),
            _ => Cow::Borrowed(&body[..body.len().min(max)]),
        }
    }

    /// How many bytes this body encodes.
    pub fn decoded_len(self, body: &[u8]) -> usize {
        match self {
            TransferEncoding::Base64 => Base64::new(body).count(),
            TransferEncoding::QuotedPrintable => QuotedPrintable::new(body).count(),
            _ => body.len(),
        }
    }
}

/// Decodes base64: bytes outside the alphabet are skipped (RFC 2045 §6.8), padding may be missing or stand in the middle.
pub(crate) struct Base64<'a> {
    rest: std::slice::Iter<'a, u8>,
    /// The bits read but not yet given out, and how many they are: less than 14.
    bits: u32,
    count: u32,
}

impl Base64<'_> {
    pub(crate) fn new(text: &[u8]) -> Base64<'_> {
        Base64 { rest: text.iter(), bits: 0, count: 0 }
    }
}

impl Iterator for Base64<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        while self.count < 8 {
            let byte = *self.rest.next()?;
            match SEXTETS[usize::from(byte)] {
                // padding: what is left of this group are filler bits
                PADDING => self.count = 0,
                SKIP => {}
                sextet => {
                    self.bits = (self.bits << 6 | u32::from(sextet)) & 0x3fff;
                    self.count += 6;
                }
            }
        }
        self.count -= 8;
        Some((self.bits >> self.count & 0xff) as u8)
    }
}

/// Decodes quoted-printable: `=` before anything but two hexadecimal digits or a line ending stands for itself.
pub(crate) struct QuotedPrintable<'a> {
    text: &'a [u8],
    position: usize,
    /// White space before this place is known not to be at the end of a line.
    kept_until: usize,
}

impl QuotedPrintable<'_> {
    pub(crate) fn new(text: &[u8]) -> QuotedPrintable<'_> {
        QuotedPrintable { text, position: 0, kept_until: 0 }
    }

    /// The end of the white space that starts at `start`.
    fn blanks_end(&self, start: usize) -> usize {
        let blanks = self.text[start..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        start + blanks
    }

    /// The length of the line ending at `start`; `None` when there is none. The end of the text is an empty one.
    fn line_ending(&self, start: usize) -> Option<usize> {
        match &self.text[start..] {
            [] => Some(0),
            [b'\n', ..] => Some(1),
            [b'\r', b'\n', ..] => Some(2),
            _ => None,
        }
    }
}

impl Iterator for QuotedPrintable<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        loop {
            let start = self.position;
            let byte = *self.text.get(start)?;
            self.position += 1;
            match byte {
                b'=' => {
                    let pair = self.text[start + 1..].first_chunk::<2>().and_then(|pair| hex_pair(*pair));
                    if let Some(value) = pair {
                        self.position += 2;
                        return Some(value);
                    }
                    let end = self.blanks_end(start + 1);
                    match self.line_ending(end) {
                        Some(length) => self.position = end + length,
                        None => return Some(byte),
                    }
                }
                b' ' | b'\t' if start >= self.kept_until => {
                    // RFC 2045 §6.7 (3): white space at the end of a line was added on the way
                    let end = self.blanks_end(start);
                    match self.line_ending(end) {
                        Some(_) => self.position = end,
                        None => {
                            self.kept_until = end;
                            return Some(byte);
                        }
                    }
                }
                _ => return Some(byte),
            }
        }
    }
}

/// The value of two hexadecimal digits in any case.
pub(crate) fn hex_pair(pair: [u8; 2]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok()
}

const PADDING: u8 = 0xfe;
const SKIP: u8 = 0xff;

/// The value of each character of the base64 alphabet, of both kinds (RFC 4648 §4 and §5: `-_` occurs in mail too).
const SEXTETS: [u8; 256] = {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut table = [SKIP; 256];
    let mut place = 0;
    while place < 64 {
        table[alphabet[place] as usize] = place as u8;
        place += 1;
    }
    table[b'-' as usize] = 62;
    table[b'_' as usize] = 63;
    table[b'=' as usize] = PADDING;
    table
};
