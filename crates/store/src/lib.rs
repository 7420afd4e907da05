//! What Posthaste keeps, and what it asks of an engine that keeps it.
//!
//! Domain records and three narrow traits: [`Spool`] (accepted messages and their deliveries), [`Mailboxes`] (what
//! people read) and [`Directory`] (domains, accounts, aliases). One type per engine implements all three ([`Store`]), which is what
//! lets one [`Stage::commit`] be a single durable act.
//!
//! [`memory`] is the reference model, [`contract`] the suite that every engine must pass. Nothing here names a file,
//! a table or a bucket.

#![forbid(unsafe_code)]

pub mod contract;
pub mod directory;
mod error;
mod fate;
mod ids;
mod mailboxes;
pub mod memory;
mod queue_name;
mod spool;

pub use directory::{
    Account, AccountName, Addressee, Alias, ApplicationPassword, Credentials, Directory, DomainRecord,
    NewAccount, Origin, Quota, Resolution, Secret, Standing, Usage,
};
pub use error::{Error, Result};
pub use fate::{
    Acceptance, Adjustment, Backlog, End, Ending, Fate, FateLimits, Hold, Pause, PauseScope, Placement,
    sender_group,
};
pub use ids::{AccountId, MailboxId, ModSeq, SpoolId, SpoolIdError, SpoolIds, Timestamp, Uid, UidValidity};
pub use mailboxes::{
    APPEND_MAX, Appended, Change, ChangeKind, Copied, Entry, Event, Events, Flags, GIST_MAX, INBOX,
    KEYWORD_MAX, KEYWORDS_MAX, Keyword, KeywordSet, MAILBOXES_MAX, MailboxName, MailboxStatus, Mailboxes,
    Mark, Marked, Marking, Marks, Masks, NewMessage, News, Originals, Others, Roll, SEPARATOR,
    SUBSCRIPTIONS_MAX, SpecialUse, VANISHED_MAX, check_append, renames,
};
pub use queue_name::QueueName;
pub use spool::{
    Accepted, Attempt, Claim, Content, Delivery, DeliveryId, Destination, Forward, HISTORY_MAX, Identity,
    IfFull, IfMissing, NewDelivery, Outcome, Reader, Spool, Stage, Tls, Told, Unreadable, Waiting, remember,
};

use std::sync::Arc;

/// A whole engine.
pub trait Store: Spool + Mailboxes + Directory {}
impl<T: Spool + Mailboxes + Directory> Store for T {}

/// How the rest of the program holds an engine.
pub type SharedStore = Arc<dyn Store>;
