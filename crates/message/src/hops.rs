//! Counts the hosts that a message has been through, while its content comes (RFC 5321 §6.3).

/// Counts `Received` fields in the header section of content that comes in pieces.
#[derive(Debug, Clone, Default)]
pub struct HopCounter {
    /// How many octets of the line in hand have come, up to one more than matter.
    column: usize,
    /// Whether the line so far is how a `Received` field begins.
    matches: Matches,
    hops: usize,
    section: Section,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Matches {
    #[default]
    Yes,
    No,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Section {
    #[default]
    Header,
    Body,
}

const FIELD: &[u8] = b"received:";

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

    /// The fields so far.
    pub fn hops(&self) -> usize {
        self.hops
    }

    fn take(&mut self, byte: u8) {
        match (byte, self.column) {
            // An empty line ends the header section.
            (b'\n', 0) => self.section = Section::Body,
            (b'\n', _) => (self.column, self.matches) = (0, Matches::Yes),
            (b'\r', 0) => {}
            (_, column) => {
                if FIELD.get(column).is_some_and(|expected| *expected != byte.to_ascii_lowercase()) {
                    self.matches = Matches::No;
                }
                self.column = (column + 1).min(FIELD.len() + 1);
                if self.column == FIELD.len() && self.matches == Matches::Yes {
                    self.hops += 1;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::HopCounter;

    fn hops(content: &[u8], piece: usize) -> usize {
        let mut counter = HopCounter::default();
        content.chunks(piece).for_each(|piece| counter.read(piece));
        counter.hops()
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
                assert_eq!(hops(content, piece), expected, "{:?}", String::from_utf8_lossy(content));
            }
        }
    }
}
