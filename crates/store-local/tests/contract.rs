//! The embedded engine keeps the contract, with threads and without, with and without large content, across reopenings.

use async_trait::async_trait;
use posthaste_store_local::{Local, Options, Work, verify};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use store::SharedStore;
use store::contract::Subject;
use tempfile::TempDir;

/// Stores in temporary directories, each with options made by `options`.
struct Locals {
    options: fn(PathBuf) -> Options,
    /// The directory of each store, by its address.
    directories: Mutex<HashMap<usize, Arc<TempDir>>>,
}

impl Locals {
    fn new(options: fn(PathBuf) -> Options) -> Locals {
        Locals { options, directories: Mutex::new(HashMap::new()) }
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
        let report = verify(&(self.options)(directory.path().to_owned())).unwrap();
        assert_eq!(
            (report.findings, report.notes),
            (vec![], vec![]),
            "also what no method shows is in order"
        );
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
