//! Test machinery, not published: transcripts of connections.
//!
//! [`chat`] reads transcripts and holds the SMTP server endpoint to them. The checks of the directions
//! between the crates are in `tests/architecture.rs`.

#![forbid(unsafe_code)]

pub mod chat;
