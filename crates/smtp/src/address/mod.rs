//! Addresses (RFC 5321 §4.1.2 and §4.1.3, with the UTF-8 forms of RFC 6531 §3.3).
//!
//! Every type here is built only by parsing, or from parts that were, so one that exists is valid and what it
//! displays can be parsed again. Whether UTF-8 is allowed in a transaction is not decided here: ask
//! `is_ascii`.
//!
//! Limits: a local part has at most 64 octets (§4.5.3.1.1), a domain at most 255 (§4.5.3.1.2) and each of its
//! labels at most 63. A whole path is not limited further: every path of 256 octets (§4.5.3.1.3) is taken,
//! and longer ones that keep the other limits are too.

mod domain;
mod literal;
mod local_part;
mod path;

pub use domain::Domain;
pub use literal::{AddressLiteral, GeneralLiteral};
pub use local_part::LocalPart;
pub use path::{ForwardPath, ReversePath};

pub(crate) use local_part::is_atom_text;
pub(crate) use path::split_path;

use std::fmt;
use std::str::FromStr;

/// What is wrong with an address, in words that fit into a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// There is no `@`.
    #[error("an address is local-part@domain")]
    NoAt,
    /// The path does not begin with `<`.
    #[error("an address stands in angle brackets")]
    NoBrackets,
    /// The path has no `>`.
    #[error("the closing angle bracket is missing")]
    Unclosed,
    /// Something follows the address.
    #[error("something follows the address")]
    Trailing,
    /// Two dots in a row, or a dot at an end of the local part.
    #[error("misplaced dot in the local part")]
    LocalDot,
    /// A character that a local part may hold only in quotes, or not at all.
    #[error("this character is not allowed in a local part")]
    LocalCharacter,
    /// The local part is empty.
    #[error("the local part is empty")]
    LocalEmpty,
    /// A quoted local part does not end.
    #[error("the closing quotation mark is missing")]
    LocalQuote,
    /// The local part is longer than 64 octets.
    #[error("the local part is longer than 64 octets")]
    LocalTooLong,
    /// The domain, or one of its labels, is empty; a trailing dot makes one.
    #[error("the domain has an empty label")]
    DomainEmptyLabel,
    /// A label begins or ends with a hyphen.
    #[error("a domain label begins or ends with a hyphen")]
    DomainHyphen,
    /// A character that a domain may not hold.
    #[error("this character is not allowed in a domain")]
    DomainCharacter,
    /// IDNA (UTS 46) does not allow the name.
    #[error("not a valid internationalized domain name")]
    DomainIdna,
    /// The domain is longer than 255 octets, or a label than 63.
    #[error("the domain is longer than 255 octets or a label than 63")]
    DomainTooLong,
    /// The address literal is malformed.
    #[error("malformed address literal")]
    Literal,
    /// The source route before the address is malformed.
    #[error("malformed source route")]
    Route,
}

/// What follows the `@`, and what a client may call itself: a name or an address literal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// A domain name.
    Domain(Domain),
    /// An address literal, displayed in brackets.
    Literal(AddressLiteral),
}

impl Host {
    /// Reads a domain or an address literal in brackets.
    pub fn parse(text: &str) -> Result<Host, AddressError> {
        match text.strip_prefix('[') {
            None => Domain::parse(text).map(Host::Domain),
            Some(rest) => {
                let inner = rest.strip_suffix(']').ok_or(AddressError::Literal)?;
                AddressLiteral::parse(inner).map(Host::Literal)
            }
        }
    }

    /// Whether it is pure ASCII as written.
    pub fn is_ascii(&self) -> bool {
        match self {
            Host::Domain(domain) => domain.as_str().is_ascii(),
            Host::Literal(_) => true,
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Domain(domain) => domain.fmt(f),
            Host::Literal(literal) => literal.fmt(f),
        }
    }
}

impl FromStr for Host {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<Host, AddressError> {
        Host::parse(text)
    }
}

/// A mailbox: `local-part@domain` or `local-part@[literal]`.
///
/// Two are equal when their local parts are the same after unquoting (case matters, RFC 5321 §2.4) and their
/// hosts are equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mailbox {
    local_part: LocalPart,
    host: Host,
}

impl Mailbox {
    /// Puts the parts together.
    pub fn new(local_part: LocalPart, host: Host) -> Mailbox {
        Mailbox { local_part, host }
    }

    /// Reads `local-part@host`, without angle brackets.
    pub fn parse(text: &str) -> Result<Mailbox, AddressError> {
        let (local_part, rest) = LocalPart::parse_prefix(text)?;
        let host = rest.strip_prefix('@').ok_or(AddressError::NoAt)?;
        Ok(Mailbox { local_part, host: Host::parse(host)? })
    }

    /// What stands before the `@`.
    pub fn local_part(&self) -> &LocalPart {
        &self.local_part
    }

    /// What stands after the `@`.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The domain, unless the host is an address literal.
    pub fn domain(&self) -> Option<&Domain> {
        match &self.host {
            Host::Domain(domain) => Some(domain),
            Host::Literal(_) => None,
        }
    }

    /// The same mailbox in ASCII, its domain as A-labels; `None` when the local part is not ASCII, which
    /// nobody may convert (RFC 6531 §3.2).
    pub fn to_ascii(&self) -> Option<Mailbox> {
        let host = match &self.host {
            Host::Domain(domain) => Host::Domain(domain.to_ascii()),
            Host::Literal(literal) => Host::Literal(literal.clone()),
        };
        self.local_part.is_ascii().then(|| Mailbox { local_part: self.local_part.clone(), host })
    }

    /// Whether it is pure ASCII as written, so that it may appear without SMTPUTF8.
    pub fn is_ascii(&self) -> bool {
        self.local_part.is_ascii() && self.host.is_ascii()
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local_part, self.host)
    }
}

impl FromStr for Mailbox {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<Mailbox, AddressError> {
        Mailbox::parse(text)
    }
}
