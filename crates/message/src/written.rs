//! Address lists of header fields as they stand, for programs that decode by themselves (RFC 5322 §3.4, RFC 9051 §7.5.2).
//!
//! Unlike [`crate::Address`], nothing is decoded: encoded words stay encoded, groups stay groups. Who calls it: IMAP's ENVELOPE.

use std::borrow::Cow;

/// One member of an address list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written<'a> {
    /// A mailbox.
    Mailbox {
        /// The display name without its quotes; for the old form `user@example.org (Name)` the comment.
        name: Option<Cow<'a, [u8]>>,
        /// A source route without its colon, which is obsolete (RFC 5322 §4.4).
        route: Option<Cow<'a, [u8]>>,
        /// What stands before the last `@`, without quotes; empty if nothing does.
        local_part: Cow<'a, [u8]>,
        /// What stands after it; `None` where there is no `@`.
        domain: Option<Cow<'a, [u8]>>,
    },
    /// A group begins: its name.
    Group(Cow<'a, [u8]>),
    /// The group ends.
    GroupEnd,
}

/// The members of an address field's unfolded value, at most [`crate::MAX_ADDRESSES`].
pub fn written_addresses(value: &[u8]) -> Vec<Written<'_>> {
    let mut scan = Scan { value, at: 0, in_group: false, found: Vec::new() };
    while scan.at < value.len() && scan.found.len() < crate::MAX_ADDRESSES {
        scan.member();
    }
    if scan.in_group {
        scan.found.push(Written::GroupEnd);
    }
    scan.found
}

struct Scan<'a> {
    value: &'a [u8],
    at: usize,
    in_group: bool,
    found: Vec<Written<'a>>,
}

/// The words of a phrase or of an address without brackets.
#[derive(Default)]
struct Words<'a> {
    /// What was read, words put together with a space where one stood.
    text: Option<Cow<'a, [u8]>>,
    /// White space came after the last word.
    space: bool,
    /// Where in `text` the last `@` is that does not stand in quotes.
    at_sign: Option<usize>,
}

impl<'a> Words<'a> {
    fn add(&mut self, word: Cow<'a, [u8]>) {
        let space = std::mem::take(&mut self.space);
        match &mut self.text {
            None => self.text = Some(word),
            Some(text) => {
                let text = text.to_mut();
                if space {
                    text.push(b' ');
                }
                text.extend_from_slice(&word);
            }
        }
    }

    fn len(&self) -> usize {
        self.text.as_ref().map_or(0, |text| text.len())
    }

    /// The text without white space around its `@` and dots, split there.
    fn address(self) -> (Cow<'a, [u8]>, Option<Cow<'a, [u8]>>) {
        let text = self.text.unwrap_or_default();
        let Some(at) = self.at_sign else { return (text, None) };
        match text {
            Cow::Borrowed(text) => (text[..at].trim_ascii().into(), Some(text[at + 1..].trim_ascii().into())),
            Cow::Owned(text) => {
                let domain = text[at + 1..].trim_ascii().to_vec();
                (text[..at].trim_ascii().to_vec().into(), Some(domain.into()))
            }
        }
    }
}

impl<'a> Scan<'a> {
    /// Reads up to the end of one member.
    fn member(&mut self) {
        let mut words = Words::default();
        let mut comment = None;
        let mut angle = None;
        while let Some(&octet) = self.value.get(self.at) {
            match octet {
                b',' => {
                    self.at += 1;
                    break;
                }
                b';' if self.in_group => {
                    self.at += 1;
                    self.mailbox(words, comment, angle);
                    self.found.push(Written::GroupEnd);
                    self.in_group = false;
                    return;
                }
                b':' if !self.in_group && angle.is_none() && words.at_sign.is_none() => {
                    self.at += 1;
                    self.in_group = true;
                    self.found.push(Written::Group(words.text.unwrap_or_default()));
                    return;
                }
                b'<' if angle.is_none() => angle = Some(self.angle()),
                b'(' => comment = self.comment().or(comment),
                octet if octet.is_ascii_whitespace() => {
                    self.at += 1;
                    words.space = words.text.is_some();
                }
                _ => self.word(&mut words),
            }
        }
        self.mailbox(words, comment, angle);
    }

    /// Notes a mailbox, if there was anything of one.
    fn mailbox(
        &mut self,
        words: Words<'a>,
        comment: Option<Cow<'a, [u8]>>,
        angle: Option<(Option<Cow<'a, [u8]>>, Words<'a>)>,
    ) {
        let (name, route, (local_part, domain)) = match angle {
            Some((route, address)) => (words.text.or(comment), route, address.address()),
            None if words.text.is_none() => return,
            None => (comment, None, words.address()),
        };
        self.found.push(Written::Mailbox { name, route, local_part, domain });
    }

    /// A quoted string, or characters up to the next that means something.
    fn word(&mut self, words: &mut Words<'a>) {
        let start = self.at;
        if self.value[start] == b'"' {
            return words.add(self.quoted());
        }
        let is_end = |octet: &u8| {
            matches!(octet, b',' | b';' | b':' | b'<' | b'(' | b'"') || octet.is_ascii_whitespace()
        };
        let rest = &self.value[start..];
        // One octet at least: a `;` or `<` where it means nothing stands for itself.
        let length = rest.iter().skip(1).position(is_end).map_or(rest.len(), |at| at + 1);
        self.at += length;
        let word = &rest[..length];
        let before = words.len() + usize::from(words.space && words.text.is_some());
        words.add(word.into());
        if let Some(at) = memchr::memrchr(b'@', word) {
            words.at_sign = Some(before + at);
        }
    }

    /// A quoted string, without its quotes.
    fn quoted(&mut self) -> Cow<'a, [u8]> {
        let start = self.at + 1;
        let mut unescaped: Option<Vec<u8>> = None;
        let mut at = start;
        while let Some(&octet) = self.value.get(at) {
            match octet {
                b'"' => break,
                b'\\' if at + 1 < self.value.len() => {
                    unescaped.get_or_insert_with(|| self.value[start..at].to_vec()).push(self.value[at + 1]);
                    at += 2;
                    continue;
                }
                octet => {
                    if let Some(text) = &mut unescaped {
                        text.push(octet);
                    }
                }
            }
            at += 1;
        }
        self.at = (at + 1).min(self.value.len());
        unescaped.map_or_else(|| self.value[start.min(at)..at].into(), Cow::Owned)
    }

    /// `<…>`: a route, and the address.
    fn angle(&mut self) -> (Option<Cow<'a, [u8]>>, Words<'a>) {
        self.at += 1;
        let mut route = None;
        let mut words = Words::default();
        while let Some(&octet) = self.value.get(self.at) {
            match octet {
                b'>' => {
                    self.at += 1;
                    break;
                }
                b':' if route.is_none()
                    && words.text.as_ref().is_some_and(|text| text.first() == Some(&b'@')) =>
                {
                    self.at += 1;
                    route = std::mem::take(&mut words).text;
                }
                b'(' => drop(self.comment()),
                b'"' => {
                    let word = self.quoted();
                    words.add(word);
                }
                octet if octet.is_ascii_whitespace() => self.at += 1,
                _ => {
                    let rest = &self.value[self.at..];
                    let is_end = |octet: &u8| {
                        matches!(octet, b'>' | b'(' | b'"' | b':') || octet.is_ascii_whitespace()
                    };
                    let length = rest.iter().skip(1).position(is_end).map_or(rest.len(), |at| at + 1);
                    let before = words.len();
                    self.at += length;
                    words.add(rest[..length].into());
                    if let Some(at) = memchr::memrchr(b'@', &rest[..length]) {
                        words.at_sign = Some(before + at);
                    }
                }
            }
        }
        (route, words)
    }

    /// A comment, with those in it; `None` for an empty one.
    fn comment(&mut self) -> Option<Cow<'a, [u8]>> {
        let start = self.at + 1;
        let (mut depth, mut at) = (1u32, start);
        while let Some(&octet) = self.value.get(at) {
            match octet {
                b'\\' => at += 1,
                b'(' => depth += 1,
                b')' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
            at += 1;
        }
        let end = at.min(self.value.len());
        self.at = (end + 1).min(self.value.len());
        let text = self.value[start.min(end)..end].trim_ascii();
        (!text.is_empty()).then(|| text.into())
    }
}
