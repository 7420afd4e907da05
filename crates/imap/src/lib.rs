//! IMAP4rev2 and IMAP4rev1 (RFC 9051, RFC 3501) with their extensions: what a client may say, as values.
//!
//! [`Assembler`] makes whole commands of the octets that come, with their literals, in bounded memory; [`Command::parse`] reads one. Both
//! revisions have one set of values: what differs is what a session accepts and answers. There is no session here yet, and nothing that
//! serves IMAP.

#![forbid(unsafe_code)]

mod assembler;
mod command;
mod fetch;
mod flag;
mod parse;
mod search;
mod sequence;
pub mod utf7;

pub use assembler::{Assembled, Assembler, LINE_MAX, LITERALS_MAX};
pub use command::{
    Append, Body, Command, ListOptions, ListReturn, ListSelection, LiteralHeader, Mailbox, QResync,
    SelectParameter, StatusItem, StoreKind,
};
pub use fetch::{FetchItem, FetchModifier, Partial, Section, SectionText};
pub use flag::Flag;
pub use parse::{Fault, Problem};
pub use search::{Date, SearchKey, SearchReturn, SortCriterion, SortKey, ThreadAlgorithm};
pub use sequence::{Number, Range, SequenceSet};
