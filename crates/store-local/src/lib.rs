//! The embedded engine: an append-only log with group commit as the truth, a derived index beside it.
//!
//! * The log (`log/NNNNNNNN.seg`) is the truth about everything: messages, deliveries, mailboxes, accounts, aliases, domains. One writer takes all that
//!   waits, writes it at once, syncs once, and then answers everybody: that is the promise behind `250`.
//! * Content above a threshold has a file of its own (`large/XX/ID`), synced by its connection before the log names it.
//! * The index (`index.redb`) follows the log and can be thrown away; the queue is kept in memory.
//!
//! [`Local`] is the store, [`verify`] checks one that is not open. The format on disk is described in `docs/store-format.md`.
//! All file operations go through [`Files`]; the engine's logic has no threads, and runs without any if so told ([`Work`]).

#![forbid(unsafe_code)]

mod backup;
mod batch;
mod body;
mod bounds;
mod commit;
mod content;
mod directory;
mod disk;
mod effect;
mod engine;
mod error;
mod file;
mod index;
mod indexer;
mod job;
mod large;
mod local;
mod log;
mod mailboxes;
mod mend;
mod names;
mod open;
mod prepare;
mod queue;
mod read_only;
mod record;
mod recover;
mod repair;
mod restore;
mod rewrite;
mod rolls;
mod roster;
mod scan;
mod scratch;
mod segment;
mod segments;
mod sieve;
mod space;
mod spool;
mod stage;
mod state;
mod stats;
mod status;
mod unfinished;
mod unreadable;
mod usage;
mod verify;
mod view;
mod writer;

pub use backup::BackedUp;
pub use disk::Disk;
pub use file::{File, Files, Lock, Mode, NotTried};
pub use local::{Clock, Local, Options, Random, Recovery, Work};
pub use read_only::read_only;
pub use repair::{Loss, Repaired, repair};
pub use restore::{Restored, restore};
pub use sieve::{Gist, Pieces, Searchable};
pub use space::Reclaimed;
pub use stats::{Stats, Totals};
pub use verify::{Finding, Remedy, Report, verify};
