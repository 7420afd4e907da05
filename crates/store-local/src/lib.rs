//! The embedded engine: an append-only log with group commit as the truth, a derived index beside it.

#![forbid(unsafe_code)]

mod disk;
mod file;

pub use disk::Disk;
pub use file::{File, Files, Lock, Mode};
