//! Of what happens where a client wants to hear at any time: NOTIFY (RFC 5465).

use crate::{FetchItem, Mailbox};

/// What NOTIFY asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notify {
    /// Nothing at all.
    None,
    /// This, instead of what was asked for before.
    Set {
        /// Whether the mailboxes' STATUS is to be told now.
        status: bool,
        /// What happens where.
        groups: Vec<EventGroup>,
    },
}

/// Events in some mailboxes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventGroup {
    /// In which.
    pub filter: MailboxFilter,
    /// Which; none where NONE was said.
    pub events: Vec<NotifyEvent>,
}

/// Which mailboxes are meant (RFC 5465 §6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MailboxFilter {
    /// The one that is selected.
    Selected,
    /// The same, where numbers of messages may change in commands only.
    SelectedDelayed,
    /// Those that mail is delivered to.
    Inboxes,
    /// One's own.
    Personal,
    /// Those that are subscribed to.
    Subscribed,
    /// These and what is below them.
    Subtree(Vec<Mailbox>),
    /// These.
    Mailboxes(Vec<Mailbox>),
}

/// What may happen (RFC 5465 §5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotifyEvent {
    /// A message came; these of its data are wanted.
    MessageNew(Vec<FetchItem>),
    /// A message went.
    MessageExpunge,
    /// Flags were changed.
    FlagChange,
    /// A mailbox was made, removed, or renamed.
    MailboxName,
    /// A subscription came or went.
    SubscriptionChange,
    /// Something of an extension that is not ours.
    Other(String),
}
