//! Address literals (RFC 5321 §4.1.3), without their brackets when parsed and with them when displayed.

use super::AddressError;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address in place of a domain: `[192.0.2.1]`, `[IPv6:2001:db8::1]`, `[tag:content]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum AddressLiteral {
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address.
    V6(Ipv6Addr),
    /// Any other kind; none is registered today.
    General(GeneralLiteral),
}

/// The tag and content of a `General-address-literal`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GeneralLiteral {
    tag: String,
    content: String,
}

impl AddressLiteral {
    /// Reads what stands between the brackets.
    pub fn parse(inner: &str) -> Result<AddressLiteral, AddressError> {
        let Some((tag, content)) = inner.split_once(':') else {
            return v4(inner).map(AddressLiteral::V4).ok_or(AddressError::Literal);
        };
        if tag.eq_ignore_ascii_case("IPv6") {
            return content.parse().map(AddressLiteral::V6).map_err(|_| AddressError::Literal);
        }
        // Standardized-tag is Ldh-str: letters, digits and hyphens, the last not a hyphen.
        let tag_ok = !tag.is_empty()
            && tag.len() + content.len() <= GENERAL_MAX
            && !tag.ends_with('-')
            && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let content_ok = !content.is_empty() && content.bytes().all(|b| matches!(b, 33..=90 | 94..=126));
        if tag_ok && content_ok {
            Ok(AddressLiteral::General(GeneralLiteral { tag: tag.to_owned(), content: content.to_owned() }))
        } else {
            Err(AddressError::Literal)
        }
    }
}

impl GeneralLiteral {
    /// What kind of address it is.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// The address.
    pub fn content(&self) -> &str {
        &self.content
    }
}

impl From<IpAddr> for AddressLiteral {
    fn from(address: IpAddr) -> AddressLiteral {
        match address {
            IpAddr::V4(v4) => AddressLiteral::V4(v4),
            IpAddr::V6(v6) => AddressLiteral::V6(v6),
        }
    }
}

impl fmt::Display for AddressLiteral {
    /// With the brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AddressLiteral::V4(address) => write!(f, "[{address}]"),
            AddressLiteral::V6(address) => write!(f, "[IPv6:{address}]"),
            AddressLiteral::General(general) => write!(f, "[{}:{}]", general.tag, general.content),
        }
    }
}

/// `Snum` allows leading zeros and is always decimal, so this is not `Ipv4Addr`'s own grammar.
fn v4(text: &str) -> Option<Ipv4Addr> {
    let mut octets = [0u8; 4];
    let mut numbers = text.split('.');
    for octet in &mut octets {
        let number = numbers.next()?;
        if !(1..=3).contains(&number.len()) || !number.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        *octet = number.parse().ok()?;
    }
    numbers.next().is_none().then(|| octets.into())
}

/// The longest tag and content together: what leaves the literal within a domain's 255 octets.
const GENERAL_MAX: usize = 252;
