//! Administration: what the command line asks of a running server, or of a store when no server runs.
//!
//! A running server answers on a socket in its data directory that only its owner can open ([`serve`]); the command line uses
//! [`Client`], which opens the store itself when nobody answers. Both ways end in the same [`answer`](handle).

mod accounts;
mod bans;
mod client;
mod directory;
mod handle;
mod import;
mod passwords;
mod protocol;
mod queue;
mod socket;

pub use accounts::{
    AccountDetails, AliasView, ApplicationPasswordView, DirectoryRequest, DomainView, Given, GivenPassword,
    Login,
};
pub(crate) use bans::Bans;
pub use client::{AdminError, Client, Responses};
pub use protocol::{
    AccountView, BackupView, BanCause, BanView, Frame, Import, Item, MailboxPath, MailboxView, Mark,
    MessageView, Request, SUMMARY_BYTES, Status, StoreStats, StoreTotals, read_answer, read_request,
    write_answer, write_request,
};
pub use queue::{
    AttemptView, BacklogView, DeliveryView, EndView, EntryView, HoldState, Intent, OrderedView, OriginView,
    QueueFilter, QueueOrder, QueueRequest, Readable, RecipientView, SenderReport, SiteView, StoryView,
};
pub(crate) use socket::{Admin, StatusSource, serve};

use std::path::{Path, PathBuf};

/// Where a server with this data directory listens for its administration.
pub fn socket_path(data: &Path) -> PathBuf {
    data.join("admin.sock")
}
