//! Test machinery, not published: transcripts of connections, and what a mail server must survive.
//!
//! [`chat`] reads transcripts and holds the SMTP server endpoint to them. [`disk`] is a file system in memory that fails, tears
//! and forgets; [`random`] is chance that repeats. The checks of the directions
//! between the crates are in `tests/architecture.rs`.

#![forbid(unsafe_code)]

pub mod chat;
pub mod disk;
pub mod random;
