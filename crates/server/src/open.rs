//! Opens the store: the one place that names a concrete engine.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::{SharedStore, Spool};
pub use store_local::{Finding, Report, Stats};
use store_local::{Local, Options, Recovery};

/// An open store. The data directory is locked while it is.
pub struct Open {
    store: SharedStore,
    directory: PathBuf,
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
        let directory = data.to_owned();
        let options = Options { reserve, ..Options::new(data) };
        let opened = tokio::task::spawn_blocking(move || Local::open(options)).await;
        match opened.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic())) {
            Ok(local) => {
                report(local.recovery());
                Ok(Open { store: Arc::new(local), directory })
            }
            Err(error) => Err(OpenError::Store { directory, error }),
        }
    }

    /// The store.
    pub fn store(&self) -> SharedStore {
        Arc::clone(&self.store)
    }

    /// Writes what is still to be written and lets the directory go.
    pub async fn close(self) -> Result<(), OpenError> {
        self.store.close().await.map_err(|error| OpenError::Store { directory: self.directory, error })
    }
}

/// Says what had to be done after a crash.
fn report(recovery: &Recovery) {
    let Recovery { torn, rebuilt, replayed, leftovers, damage } = recovery;
    for damage in damage {
        tracing::error!("damaged: {damage}");
    }
    if let Some(why) = rebuilt {
        tracing::warn!("the index was made anew from the log: {why}");
    }
    if *torn > 0 || *replayed > 0 || *leftovers > 0 {
        tracing::info!(
            torn,
            replayed,
            leftovers,
            "the store was not closed in order; nothing that was acknowledged is lost"
        );
    }
}

/// Checks the store in `data`, which nobody may have open; changes nothing.
pub async fn verify(data: &Path) -> Result<Report, OpenError> {
    let directory = data.to_owned();
    let options = Options::new(data);
    let verified = tokio::task::spawn_blocking(move || store_local::verify(&options)).await;
    verified
        .unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
        .map_err(|error| OpenError::Store { directory, error })
}

/// How much there is in the store in `data`, which nobody may have open.
pub async fn stats(data: &Path) -> Result<Stats, OpenError> {
    let failed = |error| OpenError::Store { directory: data.to_owned(), error };
    if !exists(data) {
        return Err(failed(store::Error::Invalid("there is no store here".to_owned())));
    }
    // It is opened to be counted, and for nothing else.
    let options = Options { reserve: 0, reclaim_rate: 0, ..Options::new(data) };
    let opened = tokio::task::spawn_blocking(move || Local::open(options)).await;
    let local =
        opened.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic())).map_err(failed)?;
    report(local.recovery());
    let stats = local.stats().await;
    local.close().await.map_err(failed)?;
    stats.map_err(failed)
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
