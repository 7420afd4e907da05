//! Domain names: as written for display, as A-labels in lower case for comparison.

use super::AddressError;
use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

/// A domain name (RFC 5321 §4.1.2, RFC 6531 §3.3, RFC 5890).
///
/// It is kept as written and also in the form in which it is looked up and compared: A-labels, lower case.
/// `Bücher.example`, `bücher.example` and `xn--bcher-kva.example` are equal.
///
/// Two things that the RFCs leave to us: an underscore is allowed (names with one exist and receive mail), a
/// trailing dot is not (it would be a second spelling of the same name, and the grammar has none).
#[derive(Debug, Clone)]
pub struct Domain {
    written: Box<str>,
    /// The compared form, when it is not the written one.
    ascii: Option<Box<str>>,
}

impl Domain {
    /// Reads a domain name.
    pub fn parse(text: &str) -> Result<Domain, AddressError> {
        // A name cannot become shorter than a quarter of its UTF-8 form; this bounds the work below.
        if text.len() > 4 * MAX {
            return Err(AddressError::DomainTooLong);
        }
        let ascii = if text.is_ascii() {
            text.to_ascii_lowercase()
        } else {
            Uts46::new()
                .to_ascii(text.as_bytes(), AsciiDenyList::EMPTY, Hyphens::Allow, DnsLength::Ignore)
                .map_err(|_| AddressError::DomainIdna)?
                .into_owned()
        };
        check(&ascii)?;
        let ascii = (ascii != text).then(|| ascii.into());
        Ok(Domain { written: text.into(), ascii })
    }

    /// The name as it was written.
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// The name as A-labels in lower case: what is compared, looked up, and sent where UTF-8 is not
    /// understood.
    pub fn ascii(&self) -> &str {
        self.ascii.as_deref().unwrap_or(&self.written)
    }
}

impl Domain {
    /// The same name, written as A-labels when it is not ASCII as written.
    pub(super) fn to_ascii(&self) -> Domain {
        if self.written.is_ascii() {
            return self.clone();
        }
        Domain { written: self.ascii().into(), ascii: None }
    }
}

/// Checks labels and lengths of a name in ASCII.
fn check(name: &str) -> Result<(), AddressError> {
    if name.len() > MAX {
        return Err(AddressError::DomainTooLong);
    }
    for label in name.split('.') {
        if label.is_empty() {
            return Err(AddressError::DomainEmptyLabel);
        }
        if label.len() > LABEL_MAX {
            return Err(AddressError::DomainTooLong);
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Err(AddressError::DomainHyphen);
        }
        if !label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
            return Err(AddressError::DomainCharacter);
        }
    }
    Ok(())
}

impl PartialEq for Domain {
    fn eq(&self, other: &Domain) -> bool {
        self.ascii() == other.ascii()
    }
}

impl Eq for Domain {}

impl PartialOrd for Domain {
    fn partial_cmp(&self, other: &Domain) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Domain {
    fn cmp(&self, other: &Domain) -> std::cmp::Ordering {
        self.ascii().cmp(other.ascii())
    }
}

impl Hash for Domain {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.ascii().hash(state);
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl FromStr for Domain {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<Domain, AddressError> {
        Domain::parse(text)
    }
}

/// RFC 5321 §4.5.3.1.2.
const MAX: usize = 255;
/// RFC 1035 §2.3.4.
const LABEL_MAX: usize = 63;
