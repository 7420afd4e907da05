//! The names of mailboxes, and what a mailbox is for.

use crate::{Error, Result};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// The mailbox that every account has.
pub const INBOX: &str = "INBOX";

/// Separates the levels of a mailbox's name.
pub const SEPARATOR: char = '/';

/// The name of a mailbox within an account: UTF-8, no control characters, 1 to 255 bytes; `INBOX` in any case is [`INBOX`]; `/`
/// separates levels.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct MailboxName(String);

/// What a mailbox is for (RFC 6154 §2, RFC 8457 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum SpecialUse {
    /// All messages.
    All,
    /// Messages that are kept and not at hand.
    Archive,
    /// Messages that are being written.
    Drafts,
    /// Messages with \Flagged.
    Flagged,
    /// Messages that were found to be important.
    Important,
    /// Unwanted messages.
    Junk,
    /// Copies of what was sent.
    Sent,
    /// Messages that were, or are to be, deleted.
    Trash,
}

impl MailboxName {
    /// The name, if it is one.
    pub fn new(name: &str) -> Result<MailboxName> {
        if name.eq_ignore_ascii_case(INBOX) {
            return Ok(MailboxName(INBOX.to_owned()));
        }
        if name.is_empty() || name.len() > NAME_MAX || name.chars().any(char::is_control) {
            return Err(Error::Invalid(format!(
                "{name:?} is not a mailbox name: 1 to {NAME_MAX} bytes without control characters"
            )));
        }
        Ok(MailboxName(name.to_owned()))
    }

    /// INBOX.
    pub fn inbox() -> MailboxName {
        MailboxName(INBOX.to_owned())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is INBOX.
    pub fn is_inbox(&self) -> bool {
        self.0 == INBOX
    }

    /// The levels of this name below `superior`, if it is below it.
    pub fn below(&self, superior: &MailboxName) -> Option<&str> {
        self.0.strip_prefix(superior.as_str())?.strip_prefix(SEPARATOR)
    }

    /// The name that this mailbox has when `from` is renamed to `to`: itself and what is below it follow. `None` when the name has
    /// nothing to do with that; [`Error::Invalid`] when the new one would be too long.
    pub fn renamed(&self, from: &MailboxName, to: &MailboxName) -> Result<Option<MailboxName>> {
        if self == from {
            return Ok(Some(to.clone()));
        }
        let below = self.below(from).map(|below| MailboxName::new(&format!("{to}{SEPARATOR}{below}")));
        below.transpose()
    }
}

impl fmt::Display for MailboxName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl SpecialUse {
    /// The attribute that says it, with its backslash.
    pub fn attribute(self) -> &'static str {
        match self {
            SpecialUse::All => "\\All",
            SpecialUse::Archive => "\\Archive",
            SpecialUse::Drafts => "\\Drafts",
            SpecialUse::Flagged => "\\Flagged",
            SpecialUse::Important => "\\Important",
            SpecialUse::Junk => "\\Junk",
            SpecialUse::Sent => "\\Sent",
            SpecialUse::Trash => "\\Trash",
        }
    }

    /// Every one.
    pub const EVERY: [SpecialUse; 8] = [
        SpecialUse::All,
        SpecialUse::Archive,
        SpecialUse::Drafts,
        SpecialUse::Flagged,
        SpecialUse::Important,
        SpecialUse::Junk,
        SpecialUse::Sent,
        SpecialUse::Trash,
    ];
}

impl FromStr for SpecialUse {
    type Err = Error;

    fn from_str(attribute: &str) -> Result<SpecialUse> {
        SpecialUse::EVERY
            .into_iter()
            .find(|special_use| special_use.attribute().eq_ignore_ascii_case(attribute))
            .ok_or_else(|| Error::Invalid(format!("{attribute:?} is not a special use")))
    }
}

impl fmt::Display for SpecialUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.attribute())
    }
}

/// What [`crate::Mailboxes::rename_mailbox`] renames, of an account with these mailboxes: old and new names, in the order of the old
/// ones. For engines; INBOX is another matter.
pub fn renames(
    names: &BTreeSet<&MailboxName>,
    from: &MailboxName,
    to: &MailboxName,
) -> Result<Vec<(MailboxName, MailboxName)>> {
    if to.below(from).is_some() {
        return Err(Error::Invalid(format!("{to} is below {from}")));
    }
    let mut renamed = Vec::new();
    for &name in names {
        renamed.extend(name.renamed(from, to)?.map(|new| (name.clone(), new)));
    }
    if renamed.is_empty() {
        return Err(Error::NoSuchMailbox(from.to_string()));
    }
    let goes = |name: &MailboxName| name == from || name.below(from).is_some();
    let taken = |(_, new): &&(MailboxName, MailboxName)| from == to || names.contains(new) && !goes(new);
    match renamed.iter().find(taken) {
        Some((_, new)) => Err(Error::Exists(format!("mailbox {new}"))),
        None => Ok(renamed),
    }
}

/// The longest name, in bytes.
const NAME_MAX: usize = 255;
