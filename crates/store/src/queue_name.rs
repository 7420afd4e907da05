//! The destination that queued deliveries are filed under.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Where a delivery is to go, as the recipient's address says: a domain (as A-labels, in lower case) or an address literal. Deliveries
/// with the same one are claimed together. Which hosts take its mail is found out later, by whoever delivers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueName(Arc<str>);

impl QueueName {
    /// The destination of a recipient; `None` for a postmaster without a domain, who is always local.
    pub fn of(path: &smtp::ForwardPath) -> Option<QueueName> {
        path.as_mailbox().map(|mailbox| QueueName::from(mailbox.host()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The domain or address literal.
    pub fn host(&self) -> smtp::Host {
        smtp::Host::parse(&self.0).expect("it was made from one, or parsed as one")
    }
}

impl From<&smtp::Host> for QueueName {
    fn from(host: &smtp::Host) -> QueueName {
        QueueName(match host {
            smtp::Host::Domain(domain) => domain.ascii().into(),
            smtp::Host::Literal(literal) => literal.to_string().into(),
        })
    }
}

impl FromStr for QueueName {
    type Err = smtp::AddressError;

    fn from_str(text: &str) -> Result<QueueName, smtp::AddressError> {
        smtp::Host::parse(text).map(|host| QueueName::from(&host))
    }
}

impl fmt::Display for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
