//! IMAP4rev2 and IMAP4rev1 (RFC 9051, RFC 3501) with their extensions, without a socket.
//!
//! [`Assembler`] makes whole commands of the octets that come, with their literals, in bounded memory; [`Command::parse`] reads one.
//! [`answer`] has what a server says, as values. [`server::Server`] is the server's side of a connection: an [`wire::Endpoint`] that goes
//! through the states of RFC 9051 §3, keeps the numbers of the selected mailbox ([`View`]), and asks its application for everything else.

#![forbid(unsafe_code)]

pub mod answer;
mod assembler;
mod command;
mod fetch;
mod flag;
mod notify;
mod numbers;
mod parse;
mod search;
mod sequence;
pub mod server;
pub mod utf7;
mod view;

pub use assembler::{Assembled, Assembler, LINE_MAX, LITERALS_MAX};
pub use command::{
    Append, Behind, Body, Command, ListOptions, ListReturn, ListSelection, LiteralHeader, Mailbox, QResync,
    SelectParameter, StatusItem, StoreKind,
};
pub use fetch::{FetchItem, FetchModifier, Partial, Section, SectionText};
pub use flag::Flag;
pub use notify::{EventGroup, MailboxFilter, Notify, NotifyEvent};
pub use numbers::Numbers;
pub use parse::{Fault, Problem};
pub use search::{Date, SearchKey, SearchReturn, SortCriterion, SortKey, ThreadAlgorithm};
pub use sequence::{Number, Range, SequenceSet};
pub use view::{NoSuchNumber, View};
