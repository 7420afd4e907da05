//! Internet messages (RFC 5322, MIME): reading them, the trace fields that we put before them, and writing new ones.
//!
//! * [`Structure`]: where the header fields and MIME parts of a message stand, as byte ranges, bounded by [`Limits`];
//! * [`Summary`] and [`View`]: a message decoded for people, [`terminal`] to show it safely;
//! * [`trace`]: `Received`, `Return-Path`, `Delivered-To`;
//! * [`submission`]: what is mended in a message that a person's program submits;
//! * [`downgrade`]: 8-bit content for hosts that take 7-bit content only;
//! * [`report`], [`tls_report`]: reports on deliveries, and on TLS;
//! * [`Draft`]: a message to be written; [`Needs`] and [`normalise_line_endings`] for a ready one.
//!
//! No socket, clock, file or randomness is used here: time and identifiers are arguments. Reading never fails: any bytes are a message,
//! what is malformed is shown as well as it can be, and memory is bounded whatever comes.

#![forbid(unsafe_code)]

mod address;
pub mod charset;
mod compose;
mod content;
mod content_type;
mod date;
pub mod downgrade;
pub mod encoded_word;
mod error;
mod header;
mod hops;
pub mod html;
mod limits;
pub mod report;
mod span;
mod structure;
pub mod subject;
pub mod submission;
pub mod terminal;
pub mod tls_report;
pub mod trace;
mod transfer;
mod view;
mod written;

pub use address::{Address, MAX_ADDRESSES};
pub use compose::{Draft, DraftAttachment};
pub use content::{BodyType, Needs, normalise_line_endings};
pub use content_type::{Disposition, MediaType, Parameters};
pub use date::Date;
pub use error::Error;
pub use header::{Field, Header, unfold};
pub use hops::{HopCounter, needs_no_tls};
pub use limits::Limits;
pub use span::Span;
pub use structure::{Content, Part, PartNumber, Structure};
pub use transfer::TransferEncoding;
pub use view::{Attachment, PREVIEW_CHARS, Summary, TEXT_BYTES, View};
pub use written::{Written, written_addresses};
