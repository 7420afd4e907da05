//! Address lists of header fields, read for people to see (RFC 5322 §3.4). Not the addresses that mail is sent to: those are `smtp`'s.

use crate::{charset, encoded_word};
use std::fmt;

/// One mailbox of an address list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Address {
    /// The display name, decoded; for the old form `user@example.org (Name)` the comment.
    pub name: Option<String>,
    /// The address as written, without angle brackets and source route. Not validated; may be empty.
    pub address: String,
}

impl Address {
    /// The mailboxes of the unfolded value of an address field; groups are dissolved. At most [`MAX_ADDRESSES`].
    pub fn parse_list(value: &[u8]) -> Vec<Address> {
        let text = charset::header_text(value);
        let mut scanner = Scanner::default();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            scanner.take(c, &mut chars);
            if scanner.found.len() == MAX_ADDRESSES {
                return scanner.found;
            }
        }
        scanner.finish();
        scanner.found
    }

    /// The name, or the address when there is none.
    pub fn short(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.address)
    }
}

impl fmt::Display for Address {
    /// `Name <address>` or `address`, to be read by people: the name is not quoted.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) if self.address.is_empty() => f.write_str(name),
            Some(name) => write!(f, "{name} <{}>", self.address),
            None => f.write_str(&self.address),
        }
    }
}

/// Where in the list the scan is; the texts belong to the mailbox at hand.
#[derive(Default)]
struct Scanner {
    found: Vec<Address>,
    /// What stands outside angle brackets and comments, as written.
    written: String,
    /// The same without quotes.
    spoken: String,
    comment: String,
    angle: Option<String>,
    within: Within,
    comment_depth: u32,
}

#[derive(Default, PartialEq, Eq, Clone, Copy)]
enum Within {
    #[default]
    Phrase,
    Quotes,
    Angle,
    AngleQuotes,
}

impl Scanner {
    fn take(&mut self, c: char, rest: &mut std::str::Chars<'_>) {
        if self.comment_depth > 0 {
            return self.take_comment(c, rest);
        }
        match (self.within, c) {
            (Within::Quotes | Within::AngleQuotes, '\\') => {
                if let Some(next) = rest.next() {
                    self.quoted(next).extend(['\\', next]);
                }
            }
            (Within::Quotes | Within::AngleQuotes, '"') | (Within::Phrase | Within::Angle, '"') => {
                self.toggle_quotes()
            }
            (Within::Quotes | Within::AngleQuotes, _) => self.quoted(c).push(c),
            (_, '(') => self.comment_depth = 1,
            (Within::Phrase, ',' | ';') => self.finish(),
            (Within::Phrase, ':') => {
                // the name of a group; its members follow
                self.written.clear();
                self.spoken.clear();
            }
            (Within::Phrase, '<') => {
                self.angle = Some(String::new());
                self.within = Within::Angle;
            }
            (Within::Angle, '>') => self.within = Within::Phrase,
            (Within::Phrase, _) => {
                self.written.push(c);
                self.spoken.push(c);
            }
            (Within::Angle, _) => self.angle.get_or_insert_default().push(c),
        }
    }

    fn take_comment(&mut self, c: char, rest: &mut std::str::Chars<'_>) {
        match c {
            '\\' => self.comment.extend(rest.next()),
            ')' => self.comment_depth -= 1,
            '(' => self.comment_depth += 1,
            _ => self.comment.push(c),
        }
    }

    fn toggle_quotes(&mut self) {
        self.within = match self.within {
            Within::Phrase => Within::Quotes,
            Within::Quotes => Within::Phrase,
            Within::Angle => Within::AngleQuotes,
            Within::AngleQuotes => Within::Angle,
        };
        match &mut self.angle {
            Some(angle) if matches!(self.within, Within::Angle | Within::AngleQuotes) => angle.push('"'),
            _ => self.written.push('"'),
        }
    }

    /// Takes a character within quotes as spoken; returns where it is to be written.
    fn quoted(&mut self, c: char) -> &mut String {
        match &mut self.angle {
            Some(angle) if self.within == Within::AngleQuotes => angle,
            _ => {
                self.spoken.push(c);
                &mut self.written
            }
        }
    }

    /// Ends the mailbox at hand.
    fn finish(&mut self) {
        let written = std::mem::take(&mut self.written);
        let spoken = std::mem::take(&mut self.spoken);
        let comment = std::mem::take(&mut self.comment);
        let (name, address) = match self.angle.take() {
            Some(angle) => (spoken, without_route(angle.trim()).to_owned()),
            None => (comment, written.trim().to_owned()),
        };
        let name = encoded_word::decode(name.trim().as_bytes());
        let name = Some(name).filter(|name| !name.is_empty());
        if name.is_some() || !address.is_empty() {
            self.found.push(Address { name, address });
        }
        (self.within, self.comment_depth) = (Within::Phrase, 0);
    }
}

/// RFC 5322 §4.4: an obsolete address may begin with a route, `@a.example,@b.example:user@c.example`.
fn without_route(address: &str) -> &str {
    match address.split_once(':') {
        Some((route, address)) if route.starts_with('@') => address.trim_start(),
        _ => address,
    }
}

/// More mailboxes of one field are not read.
pub const MAX_ADDRESSES: usize = 1000;
