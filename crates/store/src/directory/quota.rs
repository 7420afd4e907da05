//! How much an account may hold, and how much it holds.

/// How much mail an account may hold. What is `None` is not set: what the server gives to everybody counts, or else nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Quota {
    /// Bytes, as read: content and the header fields before it.
    pub bytes: Option<u64>,
    /// Messages.
    pub messages: Option<u64>,
}

/// How much mail an account holds, in all its mailboxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Usage {
    /// Bytes, as read.
    pub bytes: u64,
    /// Messages.
    pub messages: u64,
}

impl Quota {
    /// What stands for "as much as there is", where it is set: no account can hold that much.
    pub const NO_BOUND: u64 = u64::MAX;

    /// This, and that for what is not set.
    pub fn or(self, default: Quota) -> Quota {
        Quota { bytes: self.bytes.or(default.bytes), messages: self.messages.or(default.messages) }
    }

    /// Whether an account may hold this much.
    pub fn allows(&self, usage: Usage) -> bool {
        self.bytes.is_none_or(|bytes| usage.bytes <= bytes)
            && self.messages.is_none_or(|messages| usage.messages <= messages)
    }

    /// The same with room for what an account must be told although it is full: reports about its own mail.
    pub fn with_reserve(&self) -> Quota {
        Quota {
            bytes: self.bytes.map(|bytes| bytes.saturating_add(RESERVE.bytes)),
            messages: self.messages.map(|messages| messages.saturating_add(RESERVE.messages)),
        }
    }

    /// Whether anything is set.
    pub fn is_set(&self) -> bool {
        self.bytes.is_some() || self.messages.is_some()
    }
}

/// Room for some reports with the messages that they are about, or for many without.
const RESERVE: Usage = Usage { bytes: 10 * 1024 * 1024, messages: 1000 };

impl Usage {
    /// This and that together.
    pub fn with(self, other: Usage) -> Usage {
        Usage {
            bytes: self.bytes.saturating_add(other.bytes),
            messages: self.messages.saturating_add(other.messages),
        }
    }

    /// This without that.
    pub fn without(self, other: Usage) -> Usage {
        Usage {
            bytes: self.bytes.saturating_sub(other.bytes),
            messages: self.messages.saturating_sub(other.messages),
        }
    }
}
