//! A place in the octets of a command, and the words of the grammar.

use super::{Fault, Parsed, Problem};
use crate::{Behind, LiteralHeader, Number, Range, SequenceSet};
use std::borrow::Cow;
use std::num::NonZeroU32;

/// A place in a command.
#[derive(Debug, Clone)]
pub(super) struct Cursor<'a> {
    octets: &'a [u8],
    at: usize,
    depth: u32,
}

/// Criteria in criteria may be nested so deep.
const DEPTH_MAX: u32 = 32;

impl<'a> Cursor<'a> {
    pub(super) fn new(octets: &'a [u8]) -> Cursor<'a> {
        Cursor { octets, at: 0, depth: 0 }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn fault(&self, problem: Problem) -> Fault {
        Fault { problem, at: self.at }
    }

    fn expected<T>(&self, what: &'static str) -> Parsed<T> {
        Err(self.fault(Problem::Expected(what)))
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.octets.get(self.at).copied()
    }

    /// Takes an octet if it is this one.
    pub(super) fn take(&mut self, octet: u8) -> bool {
        let is_it = self.peek() == Some(octet);
        self.at += usize::from(is_it);
        is_it
    }

    pub(super) fn expect(&mut self, octet: u8, what: &'static str) -> Parsed<()> {
        if self.take(octet) { Ok(()) } else { self.expected(what) }
    }

    pub(super) fn space(&mut self) -> Parsed<()> {
        self.expect(b' ', "a space")
    }

    pub(super) fn crlf(&mut self) -> Parsed<()> {
        if self.octets[self.at..].starts_with(b"\r\n") {
            self.at += 2;
            return Ok(());
        }
        self.expected("the end of the line")
    }

    pub(super) fn end(&self) -> Parsed<()> {
        if self.at == self.octets.len() { Ok(()) } else { self.expected("the end") }
    }

    /// Goes one level deeper for the length of `act`.
    pub(super) fn deeper<T>(&mut self, act: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth == DEPTH_MAX {
            return Err(self.fault(Problem::Depth));
        }
        self.depth += 1;
        let result = act(self);
        self.depth -= 1;
        result
    }

    /// The octets up to the first that is none of these.
    fn run(&mut self, is_one: impl Fn(u8) -> bool) -> &'a str {
        let rest = &self.octets[self.at..];
        let length = rest.iter().position(|octet| !is_one(*octet)).unwrap_or(rest.len());
        self.at += length;
        // All classes are ASCII.
        std::str::from_utf8(&rest[..length]).unwrap_or_default()
    }

    fn some_run(&mut self, what: &'static str, is_one: impl Fn(u8) -> bool) -> Parsed<&'a str> {
        match self.run(is_one) {
            "" => self.expected(what),
            run => Ok(run),
        }
    }

    /// `tag`: astring characters but `+`.
    pub(super) fn tag(&mut self) -> Parsed<String> {
        match self.run(|octet| is_astring_char(octet) && octet != b'+') {
            "" => Err(self.fault(Problem::Tag)),
            tag => Ok(tag.to_owned()),
        }
    }

    pub(super) fn atom(&mut self) -> Parsed<&'a str> {
        self.some_run("a word", is_atom_char)
    }

    /// A space and an atom.
    pub(super) fn word(&mut self) -> Parsed<&'a str> {
        self.space()?;
        self.atom()
    }

    /// Letters, digits and what else stands in the names of data items: dots and hyphens.
    pub(super) fn name(&mut self) -> String {
        self.run(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-')).to_ascii_uppercase()
    }

    /// Takes a keyword if it stands here as a whole word.
    pub(super) fn take_keyword(&mut self, keyword: &str) -> bool {
        let mut ahead = self.clone();
        let is_it = ahead.run(is_atom_char).eq_ignore_ascii_case(keyword);
        if is_it {
            self.at = ahead.at;
        }
        is_it
    }

    pub(super) fn digits(&mut self) -> Parsed<&'a str> {
        self.some_run("a number", |octet| octet.is_ascii_digit())
    }

    /// `number64`: 63 bits.
    pub(super) fn number64(&mut self) -> Parsed<u64> {
        let fault = self.fault(Problem::Expected("a number of 63 bits"));
        let number: u64 = self.digits()?.parse().map_err(|_| fault)?;
        if number > i64::MAX as u64 { Err(fault) } else { Ok(number) }
    }

    /// `nz-number`; a zero in front, which the grammar does not have, does no harm.
    pub(super) fn positive(&mut self) -> Parsed<NonZeroU32> {
        let fault = self.fault(Problem::Expected("a number from 1 on"));
        self.digits()?.parse().map_err(|_| fault)
    }

    /// `sequence-set`.
    pub(super) fn sequence_set(&mut self) -> Parsed<SequenceSet> {
        if self.take(b'$') {
            return Ok(SequenceSet::Saved);
        }
        let mut ranges = Vec::new();
        loop {
            let first = self.set_number()?;
            let last = if self.take(b':') { self.set_number()? } else { first };
            ranges.push(Range { first, last });
            if !self.take(b',') {
                return Ok(SequenceSet::Ranges(ranges));
            }
        }
    }

    fn set_number(&mut self) -> Parsed<Number> {
        if self.take(b'*') { Ok(Number::Largest) } else { Ok(Number::Is(self.positive()?)) }
    }

    /// `astring`.
    pub(super) fn astring(&mut self) -> Parsed<Cow<'a, [u8]>> {
        match self.peek() {
            Some(b'"' | b'{') => self.string(),
            _ => Ok(self.some_run("a word or a string", is_astring_char)?.as_bytes().into()),
        }
    }

    /// An `astring` that is text.
    pub(super) fn astring_text(&mut self) -> Parsed<String> {
        let fault = self.fault(Problem::Expected("text in UTF-8"));
        String::from_utf8(self.astring()?.into_owned()).map_err(|_| fault)
    }

    /// A space and an `astring` that is text.
    pub(super) fn text_word(&mut self) -> Parsed<String> {
        self.space()?;
        self.astring_text()
    }

    /// A `string` that is text.
    pub(super) fn string_text(&mut self) -> Parsed<String> {
        let fault = self.fault(Problem::Expected("text in UTF-8"));
        String::from_utf8(self.string()?.into_owned()).map_err(|_| fault)
    }

    /// `list-mailbox`: a string, or characters with wildcards among them.
    pub(super) fn pattern(&mut self) -> Parsed<String> {
        if let Some(b'"' | b'{') = self.peek() {
            return self.string_text();
        }
        let is_one = |octet| is_astring_char(octet) || matches!(octet, b'%' | b'*');
        Ok(self.some_run("a pattern", is_one)?.to_owned())
    }

    /// `string`: quoted, or a literal.
    pub(super) fn string(&mut self) -> Parsed<Cow<'a, [u8]>> {
        match self.peek() {
            Some(b'"') => self.quoted(),
            Some(b'{') => {
                let literal = self.literal_header()?;
                let rest = &self.octets[self.at..];
                let length = usize::try_from(literal.length).unwrap_or(usize::MAX);
                // No NUL is in a literal that is not binary.
                match rest.get(..length).filter(|octets| !octets.contains(&0)) {
                    Some(octets) => {
                        self.at += length;
                        Ok(octets.into())
                    }
                    None => self.expected("the octets of a literal"),
                }
            }
            _ => self.expected("a string"),
        }
    }

    fn quoted(&mut self) -> Parsed<Cow<'a, [u8]>> {
        self.expect(b'"', "a quote")?;
        let start = self.at;
        let mut unescaped: Option<Vec<u8>> = None;
        loop {
            let Some(octet) = self.peek() else { return self.expected("the closing quote") };
            match octet {
                b'"' => {
                    let text = &self.octets[start..self.at];
                    self.at += 1;
                    return Ok(unescaped.map_or(text.into(), Cow::Owned));
                }
                b'\r' | b'\n' | 0 => return self.expected("the closing quote"),
                b'\\' => {
                    let next = self.octets.get(self.at + 1).copied();
                    let Some(next @ (b'"' | b'\\')) = next else { return self.expected("`\\\"` or `\\\\`") };
                    unescaped.get_or_insert_with(|| self.octets[start..self.at].to_vec()).push(next);
                    self.at += 2;
                }
                octet => {
                    if let Some(text) = &mut unescaped {
                        text.push(octet);
                    }
                    self.at += 1;
                }
            }
        }
    }

    /// `{length}`, `{length+}`, with `~` in front for a binary one, and CRLF.
    pub(super) fn literal_header(&mut self) -> Parsed<LiteralHeader> {
        let binary = self.take(b'~');
        self.expect(b'{', "`{`")?;
        let length = self.number64()?;
        let waits = !self.take(b'+');
        self.expect(b'}', "`}`")?;
        self.crlf()?;
        Ok(LiteralHeader { length, waits, binary, behind: Behind::Nothing })
    }

    /// `(…)`: items with a space between them, one at least.
    pub(super) fn list<T>(&mut self, item: impl Fn(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        self.expect(b'(', "`(`")?;
        let mut items = vec![item(self)?];
        while !self.take(b')') {
            self.space()?;
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// The same, where it may be empty.
    pub(super) fn list_or_empty<T>(&mut self, item: impl Fn(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        if self.octets[self.at..].starts_with(b"()") {
            self.at += 2;
            return Ok(Vec::new());
        }
        self.list(item)
    }

    /// The rest of the line.
    pub(super) fn line(&mut self) -> Parsed<&'a str> {
        self.some_run("text", |octet| octet.is_ascii_graphic())
    }
}

/// `ATOM-CHAR`: no specials, no controls, ASCII.
fn is_atom_char(octet: u8) -> bool {
    octet.is_ascii_graphic() && !matches!(octet, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\' | b']')
}

/// `ASTRING-CHAR`.
fn is_astring_char(octet: u8) -> bool {
    is_atom_char(octet) || octet == b']'
}
