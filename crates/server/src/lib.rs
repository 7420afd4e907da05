//! The server: from a socket to a durable mailbox, and what an operator sees of it.
//!
//! A message's path through this crate: [`listen`] accepts a connection, [`drive`] runs a protocol endpoint on it,
//! [`inbound`] answers the endpoint's events with the verdicts of [`policy`] and hands content to the store. [`admin`] lets
//! the command line look into a running server (or straight into a store when none runs). [`route`] says which way mail for other domains goes, [`queue`] sends it. [`settings`] is what an operator
//! wrote, and what it means. The concrete store is named in [`open`] only.

#![forbid(unsafe_code)]

pub mod abuse;
pub mod admin;
pub mod auth;
mod classroom;
pub mod confine;
mod declare;
pub mod deliver;
mod door;
pub mod drive;
mod dsn;
pub mod host;
mod https;
pub mod imap;
pub mod inbound;
pub mod listen;
mod login;
pub mod mta_sts;
pub mod open;
pub mod policy;
mod pop3;
pub mod proxied;
pub mod queue;
mod reading;
pub mod ready;
pub mod resolve;
pub mod route;
mod run;
pub mod schedule;
mod session;
pub mod settings;
mod sockets;
pub mod srs;
pub mod tls;
pub mod tls_reports;
mod visit;

pub use run::{Server, StartError, Stopped};
pub use session::SessionId;
pub use sockets::Sockets;
