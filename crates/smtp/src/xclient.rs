//! XCLIENT: what a trusted proxy says of the client that it speaks for (Postfix's XCLIENT_README; there is no RFC).
//!
//! `XCLIENT NAME=mail.example ADDR=192.0.2.1`, each value as xtext, `[UNAVAILABLE]` for what is not known. Whether a
//! peer may say such things is the application's decision; nothing here is believed by itself.

use crate::xtext;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// One thing that a proxy says; `None` where it says that it does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attribute {
    /// NAME: the client's host name, as DNS has it.
    Name(Option<String>),
    /// ADDR: the client's address.
    Address(Option<IpAddr>),
    /// PORT: the client's port.
    Port(Option<u16>),
    /// PROTO: `SMTP` or `ESMTP`, what the client speaks.
    Protocol(Option<String>),
    /// HELO: what the client calls itself.
    Helo(Option<String>),
    /// LOGIN: as whom the client authenticated itself to the proxy.
    Login(Option<String>),
    /// DESTADDR: the address to which the client connected.
    DestinationAddress(Option<IpAddr>),
    /// DESTPORT: the port to which the client connected.
    DestinationPort(Option<u16>),
}

impl Attribute {
    /// The names, as EHLO announces them.
    pub const NAMES: [&'static str; 8] =
        ["NAME", "ADDR", "PORT", "PROTO", "HELO", "LOGIN", "DESTADDR", "DESTPORT"];

    /// Reads `NAME=value`; `None` when the name is not known or the value is none for it.
    pub(crate) fn parse(text: &str) -> Option<Attribute> {
        let (name, value) = text.split_once('=')?;
        let value = match value {
            _ if value.eq_ignore_ascii_case(UNAVAILABLE) || value.eq_ignore_ascii_case(TEMPORARILY) => None,
            _ => Some(xtext::decode(value).ok().filter(|text| is_plain(text))?),
        };
        Some(match name.to_ascii_uppercase().as_str() {
            "NAME" => Attribute::Name(value),
            "ADDR" => Attribute::Address(known(value, address)?),
            "PORT" => Attribute::Port(known(value, port)?),
            "PROTO" => Attribute::Protocol(known(value, protocol)?),
            "HELO" => Attribute::Helo(value),
            "LOGIN" => Attribute::Login(value),
            "DESTADDR" => Attribute::DestinationAddress(known(value, address)?),
            "DESTPORT" => Attribute::DestinationPort(known(value, port)?),
            _ => return None,
        })
    }

    /// The name, one of [`Attribute::NAMES`].
    pub fn name(&self) -> &'static str {
        match self {
            Attribute::Name(_) => "NAME",
            Attribute::Address(_) => "ADDR",
            Attribute::Port(_) => "PORT",
            Attribute::Protocol(_) => "PROTO",
            Attribute::Helo(_) => "HELO",
            Attribute::Login(_) => "LOGIN",
            Attribute::DestinationAddress(_) => "DESTADDR",
            Attribute::DestinationPort(_) => "DESTPORT",
        }
    }

    fn value(&self) -> Option<String> {
        match self {
            Attribute::Name(text)
            | Attribute::Protocol(text)
            | Attribute::Helo(text)
            | Attribute::Login(text) => text.clone(),
            Attribute::Address(address) | Attribute::DestinationAddress(address) => {
                address.map(|address| match address {
                    IpAddr::V4(address) => address.to_string(),
                    IpAddr::V6(address) => format!("{IPV6}{address}"),
                })
            }
            Attribute::Port(port) | Attribute::DestinationPort(port) => port.map(|port| port.to_string()),
        }
    }
}

impl fmt::Display for Attribute {
    /// As XCLIENT carries it: `NAME=value`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value().map_or(UNAVAILABLE.to_owned(), |value| xtext::encode(&value));
        write!(f, "{}={value}", self.name())
    }
}

/// Reads a value that may be unknown; `None` when it is known and wrong.
fn known<T>(value: Option<String>, read: impl Fn(&str) -> Option<T>) -> Option<Option<T>> {
    match value {
        None => Some(None),
        Some(text) => read(&text).map(Some),
    }
}

/// `192.0.2.1`, or `IPV6:2001:db8::1`.
fn address(text: &str) -> Option<IpAddr> {
    match text.split_at_checked(IPV6.len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case(IPV6) => {
            rest.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
        }
        _ => text.parse().ok(),
    }
}

fn port(text: &str) -> Option<u16> {
    text.parse().ok()
}

fn protocol(text: &str) -> Option<String> {
    let text = text.to_ascii_uppercase();
    matches!(text.as_str(), "SMTP" | "ESMTP").then_some(text)
}

/// Whether a value is neither empty nor able to forge a line of a log.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && !text.chars().any(char::is_control)
}

const UNAVAILABLE: &str = "[UNAVAILABLE]";
const TEMPORARILY: &str = "[TEMPUNAVAIL]";
const IPV6: &str = "IPV6:";
