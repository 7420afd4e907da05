//! What a server's reply to EHLO or LHLO offers (RFC 5321 §4.1.1.1).

use crate::Reply;
use std::fmt;

/// One line of the offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extension {
    /// PIPELINING (RFC 2920).
    Pipelining,
    /// SIZE, perhaps with the largest size taken; 0 means that there is no fixed limit (RFC 1870 §5).
    Size(Option<u64>),
    /// 8BITMIME (RFC 6152).
    EightBitMime,
    /// BINARYMIME (RFC 3030 §3).
    BinaryMime,
    /// SMTPUTF8 (RFC 6531).
    SmtpUtf8,
    /// CHUNKING (RFC 3030 §2).
    Chunking,
    /// DSN (RFC 3461).
    Dsn,
    /// ENHANCEDSTATUSCODES (RFC 2034).
    EnhancedStatusCodes,
    /// LIMITS (RFC 9422).
    Limits(Limits),
    /// STARTTLS (RFC 3207).
    StartTls,
    /// REQUIRETLS (RFC 8689).
    RequireTls,
    /// AUTH with the names of the mechanisms, in upper case (RFC 4954).
    Auth(Vec<String>),
    /// XCLIENT with the names of the attributes, in upper case (Postfix's XCLIENT_README).
    XClient(Vec<String>),
    /// Any other, as it came.
    Other(String),
}

/// The limits that a server announces (RFC 9422 §3); `None` where it names none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// RCPTMAX: recipients in one transaction.
    pub recipients: Option<u64>,
    /// MAILMAX: transactions in one connection.
    pub transactions: Option<u64>,
    /// RCPTDOMAINMAX: recipient domains in one connection.
    pub recipient_domains: Option<u64>,
}

/// Everything that a server offers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Extensions(Vec<Extension>);

impl Extension {
    /// Reads one line of the reply, without code. Never fails: what is not known, or has a wrong parameter,
    /// is [`Extension::Other`].
    pub fn parse(line: &str) -> Extension {
        let mut words = line.split([' ', '\t']).filter(|word| !word.is_empty());
        let keyword = words.next().unwrap_or_default().to_ascii_uppercase();
        let mut words = words.map(str::to_ascii_uppercase);
        match keyword.as_str() {
            "PIPELINING" => Extension::Pipelining,
            "SIZE" => match words.next().map(|word| word.parse()) {
                None => Extension::Size(None),
                Some(Ok(size)) => Extension::Size(Some(size)),
                Some(Err(_)) => Extension::Other(line.to_owned()),
            },
            "8BITMIME" => Extension::EightBitMime,
            "BINARYMIME" => Extension::BinaryMime,
            "SMTPUTF8" => Extension::SmtpUtf8,
            "CHUNKING" => Extension::Chunking,
            "DSN" => Extension::Dsn,
            "ENHANCEDSTATUSCODES" => Extension::EnhancedStatusCodes,
            "LIMITS" => Extension::Limits(Limits::from_words(words)),
            "STARTTLS" => Extension::StartTls,
            "REQUIRETLS" => Extension::RequireTls,
            "AUTH" => Extension::Auth(words.collect()),
            "XCLIENT" => Extension::XClient(words.collect()),
            // An old form that was never standard but is still sent: `AUTH=LOGIN PLAIN`.
            _ => match keyword.strip_prefix("AUTH=") {
                Some(first) => {
                    let first = Some(first.to_owned()).filter(|word| !word.is_empty());
                    Extension::Auth(first.into_iter().chain(words).collect())
                }
                None => Extension::Other(line.to_owned()),
            },
        }
    }
}

impl Limits {
    fn from_words(words: impl Iterator<Item = String>) -> Limits {
        let mut limits = Limits::default();
        for word in words {
            // RFC 9422 §3: what is not known or not understood is ignored.
            let Some((name, value)) = word.split_once('=') else { continue };
            let value = value.parse().ok().filter(|value| *value > 0);
            match name {
                "RCPTMAX" => limits.recipients = value,
                "MAILMAX" => limits.transactions = value,
                "RCPTDOMAINMAX" => limits.recipient_domains = value,
                _ => {}
            }
        }
        limits
    }
}

impl fmt::Display for Extension {
    /// The line, without code.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Extension::Pipelining => f.write_str("PIPELINING"),
            Extension::Size(None) => f.write_str("SIZE"),
            Extension::Size(Some(size)) => write!(f, "SIZE {size}"),
            Extension::EightBitMime => f.write_str("8BITMIME"),
            Extension::BinaryMime => f.write_str("BINARYMIME"),
            Extension::SmtpUtf8 => f.write_str("SMTPUTF8"),
            Extension::Chunking => f.write_str("CHUNKING"),
            Extension::Dsn => f.write_str("DSN"),
            Extension::EnhancedStatusCodes => f.write_str("ENHANCEDSTATUSCODES"),
            Extension::Limits(limits) => write!(f, "LIMITS{limits}"),
            Extension::StartTls => f.write_str("STARTTLS"),
            Extension::RequireTls => f.write_str("REQUIRETLS"),
            Extension::Auth(mechanisms) => {
                f.write_str("AUTH")?;
                mechanisms.iter().try_for_each(|mechanism| write!(f, " {mechanism}"))
            }
            Extension::XClient(attributes) => {
                f.write_str("XCLIENT")?;
                attributes.iter().try_for_each(|attribute| write!(f, " {attribute}"))
            }
            Extension::Other(line) => f.write_str(line),
        }
    }
}

impl fmt::Display for Limits {
    /// Each after a space.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limits = [
            ("RCPTMAX", self.recipients),
            ("MAILMAX", self.transactions),
            ("RCPTDOMAINMAX", self.recipient_domains),
        ];
        for (name, value) in limits {
            if let Some(value) = value {
                write!(f, " {name}={value}")?;
            }
        }
        Ok(())
    }
}

impl Extensions {
    /// Reads the whole reply to EHLO or LHLO; its first line is the greeting and offers nothing.
    pub fn from_reply(reply: &Reply) -> Extensions {
        reply.lines().skip(1).map(Extension::parse).collect()
    }

    /// All of them, in the server's order.
    pub fn iter(&self) -> impl Iterator<Item = &Extension> {
        self.0.iter()
    }

    /// PIPELINING is offered.
    pub fn pipelining(&self) -> bool {
        self.0.contains(&Extension::Pipelining)
    }

    /// SIZE is offered.
    pub fn size(&self) -> bool {
        self.iter().any(|extension| matches!(extension, Extension::Size(_)))
    }

    /// The largest content that SIZE says is taken, in octets; `None` when nothing is said or there is no
    /// fixed limit.
    pub fn size_limit(&self) -> Option<u64> {
        self.iter().find_map(|extension| match extension {
            Extension::Size(limit) => limit.filter(|limit| *limit > 0),
            _ => None,
        })
    }

    /// 8BITMIME is offered.
    pub fn eight_bit_mime(&self) -> bool {
        self.0.contains(&Extension::EightBitMime)
    }

    /// BINARYMIME is offered.
    pub fn binary_mime(&self) -> bool {
        self.0.contains(&Extension::BinaryMime)
    }

    /// SMTPUTF8 is offered.
    pub fn smtputf8(&self) -> bool {
        self.0.contains(&Extension::SmtpUtf8)
    }

    /// CHUNKING is offered.
    pub fn chunking(&self) -> bool {
        self.0.contains(&Extension::Chunking)
    }

    /// DSN is offered.
    pub fn dsn(&self) -> bool {
        self.0.contains(&Extension::Dsn)
    }

    /// ENHANCEDSTATUSCODES is offered.
    pub fn enhanced_status_codes(&self) -> bool {
        self.0.contains(&Extension::EnhancedStatusCodes)
    }

    /// STARTTLS is offered.
    pub fn start_tls(&self) -> bool {
        self.0.contains(&Extension::StartTls)
    }

    /// REQUIRETLS is offered.
    pub fn require_tls(&self) -> bool {
        self.0.contains(&Extension::RequireTls)
    }

    /// The limits announced.
    pub fn limits(&self) -> Limits {
        self.iter()
            .find_map(|extension| match extension {
                Extension::Limits(limits) => Some(*limits),
                _ => None,
            })
            .unwrap_or_default()
    }

    /// The names of the AUTH mechanisms offered, in upper case.
    pub fn auth(&self) -> impl Iterator<Item = &str> {
        self.iter()
            .filter_map(|extension| match extension {
                Extension::Auth(mechanisms) => Some(mechanisms.iter().map(String::as_str)),
                _ => None,
            })
            .flatten()
    }
}

impl FromIterator<Extension> for Extensions {
    fn from_iter<I: IntoIterator<Item = Extension>>(extensions: I) -> Extensions {
        Extensions(extensions.into_iter().collect())
    }
}
