//! The commands, parsed from a line. Keywords in any case, spaces between words as many as one likes.

use std::fmt;

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Who speaks: a domain.
    Helo(String),
    /// Who sends.
    Mail(Address),
    /// Who gets it.
    Rcpt(Address),
    /// The text follows.
    Data,
    /// What is in a mailbox.
    List(Address),
    /// A message of a mailbox, counted from 1.
    GetMail(Address, u32),
    /// The end.
    Quit,
}

/// An address: something, `@`, and a domain. Whether it can be one in mail is for the application to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    text: String,
    at: usize,
}

/// The line is no command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault;

impl Command {
    /// Reads a line without its end.
    pub fn parse(line: &[u8]) -> Result<Command, Fault> {
        let line = std::str::from_utf8(line).map_err(|_| Fault)?.trim_matches([' ', '\t']);
        let (word, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
        let rest = rest.trim_start_matches([' ', '\t']);
        let is = |keyword: &str| word.eq_ignore_ascii_case(keyword);
        if is("HELO") {
            domain(rest).map(|domain| Command::Helo(domain.to_owned())).ok_or(Fault)
        } else if is("MAIL") {
            Ok(Command::Mail(Address::parse(after(rest, "FROM:")?)?))
        } else if is("RCPT") {
            Ok(Command::Rcpt(Address::parse(after(rest, "TO:")?)?))
        } else if is("LIST") {
            Ok(Command::List(Address::parse(rest)?))
        } else if is("GET_MAIL") {
            let (address, number) = rest.split_once([' ', '\t']).ok_or(Fault)?;
            let number = number.trim_start_matches([' ', '\t']);
            if number.is_empty() || !number.bytes().all(|octet| octet.is_ascii_digit()) {
                return Err(Fault);
            }
            // One that is too large for any mailbox is not there.
            Ok(Command::GetMail(Address::parse(address)?, number.parse().unwrap_or(u32::MAX)))
        } else if is("DATA") && rest.is_empty() {
            Ok(Command::Data)
        } else if is("QUIT") && rest.is_empty() {
            Ok(Command::Quit)
        } else {
            Err(Fault)
        }
    }
}

impl Address {
    /// Reads an address, with or without angle brackets.
    pub fn parse(text: &str) -> Result<Address, Fault> {
        let text = match text.strip_prefix('<') {
            Some(inner) => inner.strip_suffix('>').ok_or(Fault)?,
            None => text,
        };
        let at = text.rfind('@').filter(|at| *at > 0).ok_or(Fault)?;
        domain(&text[at + 1..]).ok_or(Fault)?;
        let is_odd = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '<' | '>');
        if text[..at].chars().any(is_odd) {
            return Err(Fault);
        }
        Ok(Address { text: text.to_owned(), at })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What stands behind the last `@`.
    pub fn domain(&self) -> &str {
        &self.text[self.at + 1..]
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The rest behind a keyword like `FROM:`, with or without a space after it.
fn after<'a>(text: &'a str, keyword: &str) -> Result<&'a str, Fault> {
    match text.split_at_checked(keyword.len()) {
        Some((start, rest)) if start.eq_ignore_ascii_case(keyword) => {
            Ok(rest.trim_start_matches([' ', '\t']))
        }
        _ => Err(Fault),
    }
}

/// A word that may be a domain.
fn domain(text: &str) -> Option<&str> {
    let is_odd = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '@' | '<' | '>');
    (!text.is_empty() && !text.chars().any(is_odd)).then_some(text)
}
