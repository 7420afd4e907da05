//! The reference model keeps its own contract.

use async_trait::async_trait;
use posthaste_store::contract::Subject;
use posthaste_store::memory::Memory;
use posthaste_store::{Error, SharedStore, Spool, Timestamp};
use std::sync::Arc;

struct InMemory;

#[async_trait]
impl Subject for InMemory {
    async fn open(&self) -> SharedStore {
        Arc::new(Memory::new(|| Timestamp(1_700_000_000_000)))
    }

    async fn reopen(&self, _store: &SharedStore) -> Option<SharedStore> {
        None
    }
}

#[tokio::test]
async fn contract() {
    posthaste_store::contract::run(&InMemory).await;
}

#[tokio::test]
async fn a_store_made_to_refuse_refuses() {
    let store = Memory::new(|| Timestamp(0));
    let stage = store.stage().unwrap();
    store.set_health(Err(Error::Full("7 bytes left".to_owned())));
    assert!(matches!(store.health(), Err(Error::Full(_))));
    assert!(matches!(store.stage(), Err(Error::Full(_))));
    drop(stage);
    store.set_health(Ok(()));
    assert!(store.stage().is_ok());
}
