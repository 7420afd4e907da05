//! What the store reads from disk: a log whose framing is right and whose records say anything, and a backup's manifest.
//!
//! Every record has checksums, which no fuzzer guesses. So an input says what is in the records, and the framing of
//! `docs/store-format.md` is put around it here. What is wrong with the framing itself is the affair of the tests with damaged stores
//! (`crates/sim/tests/any_bytes.rs`).

use crate::memory::Memory;
use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use store::{Directory, Mailboxes, ModSeq, Spool, Timestamp, Uid};
use store_local::{Local, Options, Work};

fn options(memory: &Arc<Memory>, directory: &str) -> Options {
    Options {
        files: memory.clone(),
        segment_size: 4 << 10,
        reserve: 0,
        index_cache: 64 << 10,
        work: Work::Caller,
        clock: Arc::new(|| Timestamp(1_700_000_000_000)),
        ..Options::new(directory)
    }
}

/// A log of one segment. An input is a row of records: kind, flags, length (two octets, little-endian), body. Flag 1 ends a batch, flag 2
/// makes the body's checksum wrong.
///
/// Holds: no panic; a store that opens can be listed and read, gives space back, closes, and then the index is what the log makes it;
/// a repair makes such a store of any log.
pub fn store_log(input: &[u8]) {
    let memory = Arc::new(Memory::default());
    memory.put("/store/log/00000001.seg", segment(input));
    if let Ok(local) = Local::open(options(&memory, "/store")) {
        use_all(&memory, "/store", local);
    }
    match store_local::repair(&options(&memory, "/store"), Path::new("/new")) {
        Ok(_) => {
            let local = Local::open(options(&memory, "/new")).expect("a repaired store opens");
            use_all(&memory, "/new", local);
        }
        // What a later program wrote is left alone.
        Err(error) => assert!(matches!(error, store::Error::Invalid(_)), "{error}"),
    }
}

/// Reads and reclaims all; then the index is what the log makes it.
fn use_all(memory: &Arc<Memory>, directory: &str, local: Local) {
    now(read_all(&local));
    drop(local);
    let report = store_local::verify(&options(memory, directory)).expect("it can be read");
    let is_index = |finding: &&store_local::Finding| finding.place.contains("index");
    assert_eq!(report.findings.iter().find(is_index), None, "the index is not what the log makes it");
}

/// Everything that can be asked; a record that says nonsense is an error.
async fn read_all(local: &Local) {
    for account in local.accounts().await.unwrap_or_default() {
        for mailbox in local.mailboxes(&account.name).await.unwrap_or_default() {
            local.changes(mailbox.id, ModSeq(0), 100).await.unwrap_or_default();
            let entries = local.entries(mailbox.id, Uid(0), 100).await.unwrap_or_default();
            assert!(entries.windows(2).all(|pair| pair[0].uid < pair[1].uid), "{entries:?}");
            for entry in entries {
                if let Ok((_, reader)) = local.fetch(mailbox.id, entry.uid).await {
                    let promised = reader.len;
                    let text = reader.read_all(1 << 20).await;
                    assert!(text.is_err() || text.is_ok_and(|text| text.len() as u64 == promised));
                }
            }
        }
    }
    let horizon = Timestamp(i64::MAX);
    for waiting in local.waiting(horizon, None, 100).await.unwrap_or_default() {
        for claim in local.claim(&waiting.queue, horizon, 100, horizon).await.unwrap_or_default() {
            let _known = local.envelope(claim.delivery.id.spool).await;
        }
    }
    while let Ok(Some(_)) = local.reclaim().await {}
}

/// With [`Work::Caller`] nothing ever waits.
fn now<T>(future: impl Future<Output = T>) -> T {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits"),
    }
}

/// Puts records of `input` into a segment, as the engine frames them.
fn segment(input: &[u8]) -> Vec<u8> {
    let mut bytes = b"PosthLog\x03\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0".to_vec();
    bytes.extend(SALT.to_le_bytes());
    bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
    let (mut rest, mut batch) = (input, bytes.len());
    while let [kind, flags, low, high, after @ ..] = rest {
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(after.len());
        let (body, next) = after.split_at(length);
        rest = next;
        let offset = bytes.len();
        let last = flags & 1 == 1 || rest.len() < 4;
        let body_crc = crc32c::crc32c(body) ^ u32::from(flags & 2);
        let mut header = vec![b'P', b'r', 1, *kind, u8::from(last), 1, 0, 0];
        header.extend((batch as u32 / 8).to_le_bytes());
        header.extend((body.len() as u32).to_le_bytes());
        header.extend(body_crc.to_le_bytes());
        let place = [&1u64.to_le_bytes()[..], &(offset as u64).to_le_bytes()].concat();
        let crc = crc32c::crc32c_append(SALT, &place);
        header.extend(crc32c::crc32c_append(crc, &header).to_le_bytes());
        bytes.extend(header);
        bytes.extend(body);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        if last {
            batch = bytes.len();
        }
    }
    bytes.resize(bytes.len().next_multiple_of(4 << 10) + 64, 0);
    bytes
}

/// What a store chooses by chance.
const SALT: u32 = 0x5EED_5A17;

/// A backup's manifest; its last line, which has a checksum, is put behind the input. Holds: no panic; a restoration writes nothing outside of
/// the new store; only what names nothing can be restored, because no file is there.
pub fn backup(input: &[u8]) {
    let memory = Arc::new(Memory::default());
    let end = format!("end {:08x}\n", crc32c::crc32c(input));
    memory.put("/backup/posthaste-backup", Vec::new());
    memory.put("/backup/manifest", [input, end.as_bytes()].concat());
    let restored = store_local::restore(&options(&memory, "/new"), Path::new("/backup"));
    if let Ok(restored) = restored {
        assert_eq!(restored.files, 0, "nothing was there");
    }
    for path in memory.paths() {
        assert!(path.starts_with("/new") || path.starts_with("/backup"), "{}", path.display());
    }
}
