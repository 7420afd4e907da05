//! Paths: what MAIL and RCPT carry between angle brackets.

use super::{AddressError, Domain, Mailbox};
use std::fmt;
use std::str::FromStr;

/// MAIL FROM: where reports go, or nowhere (RFC 5321 §4.1.1.2, §4.5.5).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ReversePath {
    /// `<>`: the message is itself a report; nothing is ever sent in reply to it.
    Null,
    /// A mailbox.
    Mailbox(Mailbox),
}

/// RCPT TO (RFC 5321 §4.1.1.3).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ForwardPath {
    /// `<Postmaster>` without a domain, in any case (RFC 5321 §4.5.1).
    Postmaster,
    /// A mailbox.
    Mailbox(Mailbox),
}

impl ReversePath {
    /// Reads `<>`, `<mailbox>`, or `<@relay,@relay:mailbox>` whose source route is dropped (RFC 5321 appendix
    /// C).
    pub fn parse(text: &str) -> Result<ReversePath, AddressError> {
        match inner(text)? {
            "" => Ok(ReversePath::Null),
            inner => mailbox(inner).map(ReversePath::Mailbox),
        }
    }

    /// The mailbox, unless the path is null.
    pub fn as_mailbox(&self) -> Option<&Mailbox> {
        match self {
            ReversePath::Null => None,
            ReversePath::Mailbox(mailbox) => Some(mailbox),
        }
    }

    /// Whether it may appear without SMTPUTF8.
    pub fn is_ascii(&self) -> bool {
        self.as_mailbox().is_none_or(Mailbox::is_ascii)
    }
}

impl ForwardPath {
    /// Reads `<Postmaster>`, `<mailbox>`, or `<@relay,@relay:mailbox>` whose source route is dropped (RFC
    /// 5321 appendix C).
    pub fn parse(text: &str) -> Result<ForwardPath, AddressError> {
        let inner = inner(text)?;
        if inner.eq_ignore_ascii_case("postmaster") {
            return Ok(ForwardPath::Postmaster);
        }
        mailbox(inner).map(ForwardPath::Mailbox)
    }

    /// The mailbox, unless it is the postmaster without a domain.
    pub fn as_mailbox(&self) -> Option<&Mailbox> {
        match self {
            ForwardPath::Postmaster => None,
            ForwardPath::Mailbox(mailbox) => Some(mailbox),
        }
    }

    /// Whether it may appear without SMTPUTF8.
    pub fn is_ascii(&self) -> bool {
        self.as_mailbox().is_none_or(Mailbox::is_ascii)
    }
}

/// Cuts a path in its brackets from the front of `text`; returns it and what follows.
pub(crate) fn split_path(text: &str) -> Result<(&str, &str), AddressError> {
    if !text.starts_with('<') {
        return Err(AddressError::NoBrackets);
    }
    let (mut quoted, mut escaped, mut literal) = (false, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' if !literal => quoted = !quoted,
            // The content of an address literal may hold anything but brackets and a backslash.
            b'[' if !quoted => literal = true,
            b']' if !quoted => literal = false,
            b'>' if !quoted && !literal => return Ok(text.split_at(at + 1)),
            _ => {}
        }
    }
    Err(if quoted { AddressError::LocalQuote } else { AddressError::Unclosed })
}

/// What stands between the brackets of a path that is all of `text`.
fn inner(text: &str) -> Result<&str, AddressError> {
    match split_path(text)? {
        (path, "") => Ok(&path[1..path.len() - 1]),
        _ => Err(AddressError::Trailing),
    }
}

/// A mailbox, perhaps after a source route, which is checked and dropped.
fn mailbox(inner: &str) -> Result<Mailbox, AddressError> {
    if !inner.starts_with('@') {
        return Mailbox::parse(inner);
    }
    let (route, address) = inner.split_once(':').ok_or(AddressError::Route)?;
    for hop in route.split(',') {
        let domain = hop.strip_prefix('@').ok_or(AddressError::Route)?;
        Domain::parse(domain).map_err(|_| AddressError::Route)?;
    }
    Mailbox::parse(address)
}

impl fmt::Display for ReversePath {
    /// In angle brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReversePath::Null => f.write_str("<>"),
            ReversePath::Mailbox(mailbox) => write!(f, "<{mailbox}>"),
        }
    }
}

impl fmt::Display for ForwardPath {
    /// In angle brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ForwardPath::Postmaster => f.write_str("<Postmaster>"),
            ForwardPath::Mailbox(mailbox) => write!(f, "<{mailbox}>"),
        }
    }
}

impl FromStr for ReversePath {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<ReversePath, AddressError> {
        ReversePath::parse(text)
    }
}

impl FromStr for ForwardPath {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<ForwardPath, AddressError> {
        ForwardPath::parse(text)
    }
}
