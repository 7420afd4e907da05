//! What a server takes from itself before it serves anybody: its user, core dumps, files, system calls (Linux).
//!
//! A fault in a program that strangers talk to must not become a fault of the machine. So a server that has opened its sockets drops to its own
//! user, may open only the files that it needs (Landlock), and may not do what a mail server never does, such as starting a program
//! (seccomp). The program calls this once, before there is a second thread: threads that come later inherit it. What the kernel does not
//! offer is left out, and the log says so.

mod calls;
mod files;
mod process;

pub use files::Needs;
pub use process::user_exists;

use std::fmt;
use std::path::{Path, PathBuf};

/// What an operator set. Everything is on unless it was switched off; only a user has no default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hardening {
    /// The user that the server runs as when it was started as root.
    pub user: Option<String>,
    /// Whether files and ports are restricted (Landlock).
    pub files: Switch,
    /// Whether system calls are (seccomp).
    pub calls: Switch,
    /// The directory in which the server writes backups: with `files` on, nowhere else but in its data directory.
    pub backups: Option<PathBuf>,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Switch {
    /// On.
    #[default]
    On,
    /// Off.
    Off,
}

/// What is in force; its text is for the log.
#[derive(Debug)]
pub struct InForce {
    user: String,
    files: String,
    calls: String,
}

/// Why a server cannot be confined. It is not started then: what was asked for and is not there must not pass unseen.
#[derive(Debug, thiserror::Error)]
pub enum ConfineError {
    /// The user cannot be changed.
    #[error("cannot run as the user {user:?}: {cause}")]
    User {
        /// Which user.
        user: String,
        /// What the system said.
        cause: privdrop::PrivDropError,
    },
    /// Only root can become another user.
    #[error(
        "cannot run as the user {user:?}: the server was not started as root; start it as that user, and leave `user` out"
    )]
    NotRoot {
        /// Which user.
        user: String,
    },
    /// The data directory cannot be made or made private.
    #[error("cannot use the data directory {}: {cause}", directory.display())]
    Data {
        /// Which.
        directory: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// Core dumps cannot be switched off.
    #[error("cannot switch core dumps off: {0}")]
    CoreDumps(rustix::io::Errno),
    /// Landlock refused the rules.
    #[error("cannot restrict files: {0}; `files = \"off\"` in [hardening] does without")]
    Files(#[from] landlock::RulesetError),
    /// seccomp refused the filter.
    #[error("cannot restrict system calls: {0}; `system_calls = \"off\"` in [hardening] does without")]
    Calls(#[from] seccompiler::Error),
}

impl Default for Hardening {
    fn default() -> Hardening {
        Hardening { user: None, files: Switch::On, calls: Switch::On, backups: None }
    }
}

/// Confines this process for good. To be called after the sockets were opened and before anything else is; the caller has one thread.
pub fn confine(hardening: &Hardening, data: &Path, needs: &Needs) -> Result<InForce, ConfineError> {
    process::no_core_dumps().map_err(ConfineError::CoreDumps)?;
    let not_ready = |cause| ConfineError::Data { directory: data.to_owned(), cause };
    if let Some(user) = &hardening.user {
        process::make_for(user, data).map_err(not_ready)?;
    }
    let user = process::run_as(hardening.user.as_deref())?;
    // As the user that will own it. Landlock's rules hold for what exists.
    crate::open::private_directory(data).map_err(not_ready)?;
    let files = match hardening.files {
        Switch::On => files::restrict(data, needs)?,
        Switch::Off => "not restricted".to_owned(),
    };
    let calls = match hardening.calls {
        Switch::On => calls::restrict()?,
        Switch::Off => "not restricted".to_owned(),
    };
    Ok(InForce { user, files, calls })
}

impl fmt::Display for InForce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "user: {}; core dumps: off; files: {}; system calls: {}", self.user, self.files, self.calls)
    }
}
