//! Opens the store: the one place that names a concrete engine.

use crate::auth::WithScram;
use crate::inbound::Clock;
use crate::queue::Outbound;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::{FateLimits, SharedStore, Spool, Timestamp};
pub use store_local::{BackedUp, Finding, Loss, Remedy, Repaired, Report, Restored, Stats, Totals};
use store_local::{Local, Options, Recovery, Searchable};

/// An open store. The data directory is locked while it is.
pub struct Open {
    local: Arc<Local>,
    directory: PathBuf,
}

/// An open store as a server and its administration use it.
#[derive(Clone)]
pub struct Access {
    /// The mail.
    pub store: SharedStore,
    /// What only the operator asks for; `None` for a store that is not this engine.
    pub upkeep: Option<Upkeep>,
    /// What is kept of new passwords besides their hash. A command that has no settings keeps all.
    pub scram: WithScram,
    /// The running queue, if there is one.
    pub outbound: Option<Arc<Outbound>>,
    /// The time.
    pub clock: Clock,
}

/// What an operator asks of the engine itself, besides the mail in it.
#[derive(Clone)]
pub struct Upkeep {
    local: Arc<Local>,
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
    /// mail is accepted; `fates` says how much is remembered of what became of deliveries.
    pub async fn for_server(data: &Path, reserve: u64, fates: FateLimits) -> Result<Open, OpenError> {
        let searchable =
            Searchable { pieces: Arc::new(crate::imap::searchable), gist: Arc::new(crate::imap::gist) };
        let options = Options { reserve, fates, searchable: Some(searchable), ..Options::new(data) };
        Open::with(data, options).await
    }

    /// The same for a command that runs without a server: removing mail must work on a disk that is nearly full.
    pub async fn for_administration(data: &Path) -> Result<Open, OpenError> {
        let options = Options { reserve: 0, reclaim_rate: 0, fates: FateLimits::ALL, ..Options::new(data) };
        Open::with(data, options).await
    }

    async fn with(data: &Path, options: Options) -> Result<Open, OpenError> {
        private_directory(data)
            .map_err(|cause| OpenError::Directory { directory: data.to_owned(), cause })?;
        let directory = data.to_owned();
        let opened = tokio::task::spawn_blocking(move || Local::open(options)).await;
        match opened.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic())) {
            Ok(local) => {
                report(local.recovery());
                Ok(Open { local: Arc::new(local), directory })
            }
            Err(error) => Err(OpenError::Store { directory, error }),
        }
    }

    /// The store.
    pub fn store(&self) -> SharedStore {
        self.local.clone()
    }

    /// The store, and what only its operator asks for.
    pub fn access(&self) -> Access {
        let (local, directory) = (self.local.clone(), self.directory.clone());
        let upkeep = Some(Upkeep { local, directory });
        Access { upkeep, ..Access::from(self.store()) }
    }

    /// The data directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Writes what is still to be written and lets the directory go.
    pub async fn close(self) -> Result<(), OpenError> {
        self.local.close().await.map_err(|error| OpenError::Store { directory: self.directory, error })
    }
}

impl Upkeep {
    /// The figures that can be asked at any time.
    pub async fn totals(&self) -> store::Result<Totals> {
        self.local.totals().await
    }

    /// Why space of what is dead is not given back; `None` when nothing is in the way.
    pub fn unreclaimed(&self) -> Option<String> {
        self.local.unreclaimed()
    }

    /// How much there is in the store; goes through all messages.
    pub async fn stats(&self) -> store::Result<Stats> {
        self.local.stats().await
    }

    /// Copies all that was acknowledged when this is called into a directory (see [`Local::backup`]), which must be named by its whole path
    /// and lie outside of the data directory, also by way of symbolic links.
    pub async fn backup(&self, target: PathBuf) -> store::Result<BackedUp> {
        let data = self.directory.clone();
        let checked = tokio::task::spawn_blocking(move || outside(target, &data)).await;
        let target = checked.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?;
        self.local.backup(target).await
    }
}

/// The directory of a backup, if it is one that would not be lost together with the data.
fn outside(target: PathBuf, data: &Path) -> store::Result<PathBuf> {
    let invalid = |why: String| Err(store::Error::Invalid(format!("{}: {why}", target.display())));
    if !target.is_absolute() {
        return invalid("the directory of a backup must be named by its whole path".to_owned());
    }
    // What does not exist yet lies where the nearest directory above it does.
    let existing = target.ancestors().find_map(|above| Some((above, above.canonicalize().ok()?)));
    let real = existing.map(|(above, real)| real.join(target.strip_prefix(above).unwrap_or(&target)));
    if real.zip(data.canonicalize().ok()).is_some_and(|(real, data)| real.starts_with(data)) {
        return invalid(format!(
            "this is inside of the data directory ({}), and a backup there would be lost with it",
            data.display()
        ));
    }
    Ok(target)
}

impl From<SharedStore> for Access {
    fn from(store: SharedStore) -> Access {
        Access { store, upkeep: None, scram: WithScram::Yes, outbound: None, clock: Arc::new(now) }
    }
}

/// The system's clock.
fn now() -> Timestamp {
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    // A clock before 1970 is unset.
    Timestamp(since_1970.map_or(0, |time| i64::try_from(time.as_millis()).unwrap_or(i64::MAX)))
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

/// Checks the store in `data`, which nobody may have open, or the backup there; changes nothing.
pub async fn verify(data: &Path) -> Result<Report, OpenError> {
    let directory = data.to_owned();
    let options = Options::new(data);
    let verified = tokio::task::spawn_blocking(move || reading(&options, &store_local::verify)).await;
    verified
        .unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
        .map_err(|error| error.of(directory))
}

/// Why a store was not read.
enum Reading {
    Scratch(OpenError),
    Store(store::Error),
}

impl Reading {
    fn of(self, directory: PathBuf) -> OpenError {
        match self {
            Reading::Scratch(error) => error,
            Reading::Store(error) => OpenError::Store { directory, error },
        }
    }
}

/// Does what only reads a store, also where nothing can be written: what is needed for the work is then made in a temporary directory.
fn reading<T>(options: &Options, work: &dyn Fn(&Options) -> store::Result<T>) -> Result<T, Reading> {
    let is_read_only = rustix::fs::statvfs(&options.directory)
        .is_ok_and(|system| system.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY));
    if !is_read_only {
        return work(options).map_err(Reading::Store);
    }
    let scratch = Scratch::new()
        .map_err(|cause| Reading::Scratch(OpenError::Directory { directory: std::env::temp_dir(), cause }))?;
    work(&store_local::read_only(options, &scratch.0)).map_err(Reading::Store)
}

/// A directory of this process alone, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> std::io::Result<Scratch> {
        use std::os::unix::fs::DirBuilderExt;
        let mut number = 0;
        loop {
            // A name that is taken, by whomever, is not used.
            let path = std::env::temp_dir().join(format!("posthaste-{}-{number}", std::process::id()));
            match std::fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Scratch(path)),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && number < 1_000 => {
                    number += 1
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, directory = %self.0.display(), "cannot remove a temporary directory");
        }
    }
}

/// Salvages what is intact of the store in `data`, which nobody may have open, into a new one in `target`; the old one is only read.
pub async fn repair(data: &Path, target: &Path) -> Result<Repaired, OpenError> {
    let (directory, target) = (data.to_owned(), target.to_owned());
    let options = Options { reserve: 0, ..Options::new(data) };
    private_directory(&target).map_err(|cause| OpenError::Directory { directory: target.clone(), cause })?;
    let repair = move || reading(&options, &|options| store_local::repair(options, &target));
    let repaired = tokio::task::spawn_blocking(repair).await;
    repaired
        .unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
        .map_err(|error| error.of(directory))
}

/// Makes a store in `target`, which must be empty or not exist, from a backup.
pub async fn restore(backup: &Path, target: &Path) -> Result<Restored, OpenError> {
    let (backup, directory) = (backup.to_owned(), target.to_owned());
    let options = Options { reserve: 0, ..Options::new(target) };
    let restored = tokio::task::spawn_blocking(move || store_local::restore(&options, &backup)).await;
    restored
        .unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
        .map_err(|error| OpenError::Store { directory, error })
}

/// Whether there is a store in this directory.
pub fn exists(data: &Path) -> bool {
    data.join("log").is_dir()
}

/// Makes the directory, or what is there, so that nobody else can read the mail in it, and refuses one that is another user's: files that were
/// made in it could not be opened by its owner.
pub(crate) fn private_directory(directory: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
    if std::fs::metadata(directory).is_ok_and(|metadata| !metadata.is_dir()) {
        return Err(std::io::Error::other(
            "this is no directory: name one, which is made where there is none",
        ));
    }
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.map_err(|error| match error.kind() {
        std::io::ErrorKind::PermissionDenied => std::io::Error::new(
            error.kind(),
            format!(
                "{error}: the user {} may not make it or not reach it; make it, and give it away with chown",
                rustix::process::geteuid().as_raw()
            ),
        ),
        _ => error,
    })?;
    let metadata = std::fs::metadata(directory)?;
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(std::io::Error::other(format!(
            "it belongs to the user {}: run this as that user (sudo -u), or give the directory away (chown -R)",
            metadata.uid()
        )));
    }
    if metadata.mode() & 0o077 != 0 {
        // Somebody may have named a directory that is meant for everybody, like /tmp.
        if !exists(directory) && std::fs::read_dir(directory)?.next().is_some() {
            return Err(std::io::Error::other(
                "others may open it, and it holds something else than mail: name a directory of its own",
            ));
        }
        tracing::warn!(directory = %directory.display(), "others could read the data directory; its mode is 0700 now");
        std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}
