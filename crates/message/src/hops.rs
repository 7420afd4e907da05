//! What the trace fields of a message say of its way so far, while its content comes: through how many hosts it has been (RFC 5321 §6.3),
//! and to which addresses it was delivered already (RFC 9228).

/// Whether the sender wants a message sent whatever becomes of TLS: it has the field `TLS-Required: No`, once (RFC 8689 §3). `prefix` is the
/// beginning of the message.
pub fn needs_no_tls(prefix: &[u8]) -> bool {
    let structure = crate::Structure::of(prefix, &crate::Limits::default());
    let header = &structure.root().header;
    let mut fields = header.named(prefix, "TLS-Required");
    let (Some(_), None) = (fields.next(), fields.next()) else { return false };
    header.value(prefix, "TLS-Required").is_some_and(|value| value.trim_ascii().eq_ignore_ascii_case(b"no"))
}

/// Counts `Received` fields, and keeps the values of `Delivered-To`, in the header section of content that comes in pieces.
#[derive(Debug, Clone, Default)]
pub struct HopCounter {
    /// How many octets of the line in hand have come, up to one more than matter.
    column: usize,
    /// Which fields the line so far may begin.
    matches: [Matches; FIELDS.len()],
    hops: usize,
    delivered_to: Vec<Vec<u8>>,
    /// Whether the octets that come belong to the last of them.
    value: Value,
    section: Section,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Matches {
    #[default]
    Yes,
    No,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Value {
    Open,
    #[default]
    Closed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Section {
    #[default]
    Header,
    Body,
}

const FIELDS: [&[u8]; 2] = [RECEIVED, DELIVERED_TO];
const RECEIVED: &[u8] = b"received:";
const DELIVERED_TO: &[u8] = b"delivered-to:";
/// Longer than any of the fields.
const COLUMN_MAX: usize = 32;
/// So many are kept: as many as a message may have been through hosts.
const DELIVERED_TO_MAX: usize = 100;
/// So much of a value is kept: no address is longer.
const VALUE_MAX: usize = 512;

impl HopCounter {
    /// Takes the next octets of the content.
    pub fn read(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if self.section == Section::Body {
                return;
            }
            self.take(byte);
        }
    }

    /// The `Received` fields so far.
    pub fn hops(&self) -> usize {
        self.hops
    }

    /// The values of the `Delivered-To` fields so far, without the space around them; what is no UTF-8 is left out.
    pub fn delivered_to(&self) -> impl Iterator<Item = &str> {
        self.delivered_to.iter().filter_map(|value| std::str::from_utf8(value).ok()).map(str::trim)
    }

    fn take(&mut self, byte: u8) {
        match (byte, self.column) {
            // An empty line ends the header section.
            (b'\n', 0) => self.section = Section::Body,
            (b'\n', _) => (self.column, self.matches) = (0, Default::default()),
            (b'\r', 0) => {}
            (_, column) => {
                if column == 0 && !matches!(byte, b' ' | b'\t') {
                    self.value = Value::Closed;
                }
                self.keep(byte);
                for (field, matches) in FIELDS.iter().zip(&mut self.matches) {
                    if field.get(column).is_some_and(|expected| *expected != byte.to_ascii_lowercase()) {
                        *matches = Matches::No;
                    }
                }
                self.column = (column + 1).min(COLUMN_MAX);
                self.begin();
            }
        }
    }

    /// Takes note of a field whose name is whole with this octet.
    fn begin(&mut self) {
        if self.column == RECEIVED.len() && self.matches[0] == Matches::Yes {
            self.hops += 1;
        }
        let delivered = self.column == DELIVERED_TO.len() && self.matches[1] == Matches::Yes;
        if delivered && self.delivered_to.len() < DELIVERED_TO_MAX {
            self.delivered_to.push(Vec::new());
            self.value = Value::Open;
        }
    }

    fn keep(&mut self, byte: u8) {
        if self.value == Value::Open
            && let Some(value) = self.delivered_to.last_mut().filter(|value| value.len() < VALUE_MAX)
            && byte != b'\r'
        {
            value.push(byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{HopCounter, needs_no_tls};

    #[test]
    fn a_message_may_do_without_tls() {
        for (message, careless) in [
            (&b"TLS-Required: No\r\n\r\n"[..], true),
            (b"Subject: x\r\ntls-required:\r\n\tno\r\n\r\n", true),
            (b"TLS-Required: Yes\r\n\r\n", false),
            (b"TLS-Required: No\r\nTLS-Required: No\r\n\r\n", false),
            (b"Subject: x\r\n\r\nTLS-Required: No\r\n", false),
            (b"", false),
        ] {
            assert_eq!(needs_no_tls(message), careless, "{}", String::from_utf8_lossy(message));
        }
    }

    fn read(content: &[u8], piece: usize) -> HopCounter {
        let mut counter = HopCounter::default();
        content.chunks(piece).for_each(|piece| counter.read(piece));
        counter
    }

    #[test]
    fn fields_of_the_header_section_count_in_pieces_of_any_size() {
        for (content, expected) in [
            (&b""[..], 0),
            (b"Received: from a\r\n\tby b\r\nRECEIVED: x\r\nreceived:\r\nX-Received: no\r\nReceived-SPF: no\r\n\r\n", 3),
            (b"Subject: x\r\n Received: folded\r\n\r\nReceived: in the body\r\n", 0),
            (b"\r\nReceived: in the body\r\n", 0),
            (b"Received: no end", 1),
            (b"Receive", 0),
        ] {
            for piece in [1, 2, 3, 7, 1000] {
                assert_eq!(read(content, piece).hops(), expected, "{:?}", String::from_utf8_lossy(content));
            }
        }
    }

    #[test]
    fn addresses_that_it_was_delivered_to_are_kept() {
        let content: &[u8] = b"Delivered-To: a@a.example\r\nReceived: x\r\ndelivered-TO:\r\n\tb@b.example\r\n\
            X-Delivered-To: no@no.example\r\nDelivered-To-Whom: no@no.example\r\nDelivered-To: \xff\r\nSubject: s\r\n \
            Delivered-To: folded@no.example\r\nDelivered-To: c@c.example\r\n\r\nDelivered-To: body@no.example\r\n";
        for piece in [1, 2, 3, 7, 1000] {
            let counter = read(content, piece);
            assert_eq!(
                counter.delivered_to().collect::<Vec<_>>(),
                ["a@a.example", "b@b.example", "c@c.example"]
            );
            assert_eq!(counter.hops(), 1);
        }
        let many = b"Delivered-To: a@a.example\r\n".repeat(1000);
        assert!(read(&many, 100).delivered_to().count() <= super::DELIVERED_TO_MAX);
        let long = [b"Delivered-To: ".as_slice(), &[b'x'; 10_000]].concat();
        assert!(read(&long, 100).delivered_to().all(|value| value.len() <= super::VALUE_MAX));
    }
}
