//! The server as its peers and its operator see it, over the in-memory store.

mod abuse;
mod admin;
mod classroom;
mod common;
mod disk;
mod forwarding;
mod grants;
mod imap;
mod imap_bounds;
mod imap_changes;
mod imap_extensions;
mod imap_notify;
mod imap_search;
mod imap_stress;
mod login;
mod pop3;
mod recipients;
mod relay;
mod session;
mod silence;
mod submission;
mod tls;
