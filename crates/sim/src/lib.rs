//! Test machinery, not published: transcripts of connections, and what a mail server must survive.
//!
//! [`chat`] reads transcripts and holds the SMTP server endpoint to them. [`disk`] is a file system in memory that fails, tears
//! and forgets; [`campaign`] kills the real program and cuts its power; [`ledger`] holds what was acknowledged against what is
//! there, [`relayed`] the same for recipients elsewhere, with [`mail`] that can be checked; [`simulation`] runs the server on such a disk and such a [`net`] under virtual time, and
//! keeps the [`history`]. The checks of the directions
//! between the crates are in `tests/architecture.rs`.

#![forbid(unsafe_code)]

pub mod campaign;
pub mod chat;
pub mod disk;
pub mod history;
pub mod ledger;
pub mod mail;
pub mod net;
pub mod random;
pub mod relayed;
pub mod simulation;
