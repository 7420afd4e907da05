//! The embedded engine keeps the contract, with threads and without, with and without large content, across reopenings.

use async_trait::async_trait;
use posthaste_store_local::{Local, Options, Work, verify};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use store::contract::Subject;
use store::{SharedStore, Spool};
use tempfile::TempDir;

/// Stores in temporary directories, each with options made by `options`.
struct Locals {
    options: fn(PathBuf) -> Options,
    between: Between,
    /// The directory of each store, by its address.
    directories: Mutex<HashMap<usize, Arc<TempDir>>>,
}

/// What happens to a store while it is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Between {
    Nothing,
    /// All its dead space is reclaimed, then its index is lost.
    Reclamation,
}

impl Locals {
    fn new(options: fn(PathBuf) -> Options) -> Locals {
        Locals { options, between: Between::Nothing, directories: Mutex::new(HashMap::new()) }
    }

    async fn reclaim(&self, directory: &Path) {
        let store = Local::open((self.options)(directory.to_owned())).unwrap();
        while let Some(reclaimed) = store.reclaim().await.unwrap() {
            assert!(reclaimed.after < reclaimed.before);
            RECLAIMED.fetch_add(1, Ordering::Relaxed);
        }
        store.close().await.unwrap();
    }

    fn open_in(&self, directory: Arc<TempDir>) -> SharedStore {
        let store: SharedStore = Arc::new(Local::open((self.options)(directory.path().to_owned())).unwrap());
        self.directories.lock().unwrap().insert(address(&store), directory);
        store
    }
}

#[async_trait]
impl Subject for Locals {
    async fn open(&self) -> SharedStore {
        self.open_in(Arc::new(tempfile::tempdir().unwrap()))
    }

    async fn reopen(&self, store: &SharedStore) -> Option<SharedStore> {
        store.close().await.unwrap();
        let directory = self.directories.lock().unwrap().remove(&address(store)).unwrap();
        if self.between == Between::Reclamation {
            self.reclaim(directory.path()).await;
        }
        let report = verify(&(self.options)(directory.path().to_owned())).unwrap();
        assert_eq!(
            (report.findings, report.notes),
            (vec![], vec![]),
            "also what no method shows is in order"
        );
        if self.between == Between::Reclamation {
            std::fs::remove_file(directory.path().join("index.redb")).unwrap();
        }
        Some(self.open_in(directory))
    }
}

fn address(store: &SharedStore) -> usize {
    Arc::as_ptr(store).cast::<u8>() as usize
}

/// Small segments, so that the suite rolls many times.
fn small(directory: PathBuf) -> Options {
    Options { segment_size: 256 << 10, reserve: 0, index_cache: 4 << 20, ..Options::new(directory) }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_threads() {
    store::contract::run(&Locals::new(small)).await;
}

#[tokio::test]
async fn on_the_callers_thread() {
    store::contract::run(&Locals::new(|directory| Options { work: Work::Caller, ..small(directory) })).await;
}

#[tokio::test]
async fn with_most_content_in_its_own_file() {
    store::contract::run(&Locals::new(|directory| Options { large_from: 800, ..small(directory) })).await;
}

/// The model knows nothing of segments: what it says must stay true when they are rewritten and everything is read anew from them.
#[tokio::test]
async fn after_reclamation_and_without_an_index() {
    let tiny = |directory| Options { work: Work::Caller, segment_size: 4 << 10, ..small(directory) };
    store::contract::run(&Locals { between: Between::Reclamation, ..Locals::new(tiny) }).await;
    let reclaimed = RECLAIMED.load(Ordering::Relaxed);
    assert!(reclaimed > 20, "{reclaimed} segments were rewritten");
}

static RECLAIMED: AtomicU64 = AtomicU64::new(0);
