//! A disk that cannot read some of its sectors any more, as disks die: verification, repair and restoration go on to their end.

mod support;

use posthaste_store_local::{Disk, Local, Options, read_only, repair, restore, verify};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use store::{Error, Mailboxes, Spool, Uid};
use support::picky::Picky;
use support::{alice, content, inbox, inbox_name, read, send, small};

const MESSAGES: u32 = 40;
const PAGE: u64 = 4096;

fn on(files: &Picky, directory: &Path) -> Options {
    Options { files: Arc::new(files.clone()), ..small(directory) }
}

/// A store with some messages, one of them in a file of its own.
async fn fill(options: Options) {
    let store = Local::open(options).unwrap();
    for number in 0..MESSAGES {
        send(&store, &text_of(number)).await.unwrap();
    }
    store.close().await.unwrap();
}

fn text_of(number: u32) -> Vec<u8> {
    content(u64::from(number), if number == 7 { 20_000 } else { 3_500 })
}

/// The pages of the log: the name of a segment, and where its page begins.
fn pages(log: &Path) -> Vec<(String, u64)> {
    let mut pages = Vec::new();
    for entry in std::fs::read_dir(log).unwrap() {
        let (name, size) = entry.map(|e| (e.file_name(), e.metadata().unwrap().len())).unwrap();
        let name = name.to_string_lossy().into_owned();
        pages.extend((0..size.div_ceil(PAGE)).map(|page| (name.clone(), page * PAGE)));
    }
    pages.sort();
    pages
}

/// What a repaired store has by UID; every text is as it was sent, and no UID is given again.
async fn saved(directory: &Path) -> BTreeMap<u32, Vec<u8>> {
    let store = Local::open(small(directory)).unwrap();
    let mut texts = BTreeMap::new();
    for entry in inbox(&store).await {
        let text = read(&store, entry.uid).await.unwrap();
        assert!(text == text_of(entry.uid.0 - 1), "message {}", entry.uid);
        texts.insert(entry.uid.0, text);
    }
    let next = store.mailbox(&alice(), &inbox_name()).await.unwrap().uid_next;
    assert!(next > Uid(MESSAGES), "a UID would be given again: {next}");
    texts
}

#[tokio::test]
async fn an_unreadable_page_costs_what_is_in_it_and_no_more() {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name);
    fill(small(place("store"))).await;
    let files = Picky::new(Disk);
    let options = on(&files, &place("store"));
    let all = pages(&place("store/log"));
    assert!(all.len() > 40, "{}", all.len());
    let mut harmless = 0;
    for (index, (name, at)) in all.iter().enumerate() {
        // With the index and without; of the last segment all that is in use.
        if index % 3 != 0 && index + 16 < all.len() {
            continue;
        }
        if index % 2 == 0 {
            std::fs::rename(place("store/index.redb"), place("kept")).unwrap();
        }
        let context = format!("{name} at {at}");
        files.trouble().unreadable = vec![(format!("store/log/{name}"), *at, at + 512)];
        let named = format!("{name}, bytes {at} to {}", at + PAGE - 1);
        let report = verify(&options).unwrap_or_else(|error| panic!("{context}: {error}"));
        assert!(
            report.findings.iter().any(|finding| finding.place.ends_with(&named)),
            "{context}: {report:?}"
        );
        let new = place(&format!("new{index}"));
        let repaired = repair(&options, &new).unwrap_or_else(|error| panic!("{context}: {error}"));
        assert!(repaired.notes.iter().any(|note| note.contains(&named)), "{context}: {:?}", repaired.notes);
        files.heal();
        let there = saved(&new).await;
        let missing = MESSAGES as usize - there.len();
        assert!(missing <= 4, "{context}: {missing} are missing");
        assert!(
            missing == 0 || !repaired.lost.is_empty(),
            "{context}: {missing} are missing, and nobody is told"
        );
        harmless += u32::from(repaired.lost.is_empty());
        assert_eq!(verify(&small(&new)).unwrap().findings, [], "{context}");
        std::fs::remove_dir_all(new).unwrap();
        if index % 2 == 0 {
            std::fs::rename(place("kept"), place("store/index.redb")).unwrap();
        }
    }
    assert!(harmless > 0, "what is only reserved is no loss");
}

#[tokio::test]
async fn an_unreadable_end_of_the_log_is_lost_and_not_taken_for_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name);
    let store = Local::open(small(place("store"))).unwrap();
    for number in 0..4 {
        send(&store, &text_of(number)).await.unwrap();
    }
    store.close().await.unwrap();
    std::fs::remove_file(place("store/index.redb")).unwrap();
    let files = Picky::new(Disk);
    files.trouble().unreadable = vec![("store/log/00000001.seg".to_owned(), 8_192, 24_000)];
    let repaired = repair(&on(&files, &place("store")), &place("new")).unwrap();
    assert!(!repaired.lost.is_empty());
    let store = Local::open(small(place("new"))).unwrap();
    let next = store.mailbox(&alice(), &inbox_name()).await.unwrap().uid_next;
    assert!(next > Uid(4), "a UID would be given again: {next}");
}

#[tokio::test]
async fn what_a_large_file_or_the_index_cannot_tell_ends_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name);
    fill(small(place("store"))).await;
    let files = Picky::new(Disk);
    let options = on(&files, &place("store"));
    files.trouble().unreadable = vec![("store/large/".to_owned(), 5_000, 5_001)];
    assert_eq!(verify(&options).unwrap().findings.len(), 2, "the content, and why");
    let repaired = repair(&options, &place("one")).unwrap();
    assert_eq!(repaired.lost.len(), 2, "from INBOX and from the queue: {:?}", repaired.lost);
    assert_eq!(saved(&place("one")).await.len(), MESSAGES as usize - 1);

    files.trouble().unreadable = vec![("store/index.redb".to_owned(), 0, 1 << 30)];
    let findings = verify(&options).unwrap().findings;
    assert!(findings.iter().all(|finding| finding.place.contains("index.redb")), "{findings:?}");
    assert_eq!(findings.len(), 1, "one hole, however large");
    let repaired = repair(&options, &place("two")).unwrap();
    assert_eq!(repaired.lost, []);
    assert_eq!(saved(&place("two")).await.len(), MESSAGES as usize);
}

#[tokio::test]
async fn a_backup_with_an_unreadable_page_is_restored_as_far_as_it_can_be_read() {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name);
    fill(small(place("store"))).await;
    let store = Local::open(small(place("store"))).unwrap();
    store.backup(place("backup")).await.unwrap();
    drop(store);
    let files = Picky::new(Disk);
    files.trouble().unreadable = vec![("backup/log/00000001.seg".to_owned(), 9_000, 9_001)];
    let found = verify(&on(&files, &place("backup"))).unwrap().findings;
    assert!(found.iter().any(|finding| finding.place.contains("bytes 8192 to 12287")), "{found:?}");
    let error = restore(&on(&files, &place("new")), &place("backup")).unwrap_err();
    assert!(
        matches!(&error, Error::Damaged(what) if what.contains("bytes 8192 to 12287 cannot be read")),
        "{error}"
    );
    files.heal();
    let repaired = repair(&small(place("new")), &place("saved")).unwrap();
    assert!(!repaired.lost.is_empty());
    assert!(saved(&place("saved")).await.len() >= MESSAGES as usize - 3);
}

#[tokio::test]
async fn a_store_on_a_file_system_that_turned_read_only_is_verified_and_repaired() {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name);
    fill(small(place("store"))).await;
    let store = Local::open(small(place("store"))).unwrap();
    store.backup(place("store-backup")).await.unwrap();
    drop(store);
    let files = Picky::new(Disk);
    for name in ["store", "store-backup"] {
        std::fs::create_dir(place("scratch")).unwrap();
        files.trouble().read_only = Some(place(name).to_string_lossy().into_owned());
        let options = on(&files, &place(name));
        let readable = read_only(&options, &place("scratch"));
        let report = verify(&readable).unwrap();
        assert_eq!((report.findings, report.notes), (vec![], vec![]), "{name}");
        assert_eq!(report.messages, u64::from(MESSAGES));
        if name == "store" {
            let refused = Local::open(options).map(drop).unwrap_err();
            assert!(matches!(&refused, Error::Invalid(what) if what.contains("store repair")), "{refused}");
            let repaired = repair(&readable, &place("new")).unwrap();
            assert_eq!((repaired.lost, repaired.notes), (vec![], vec![]));
            assert_eq!(saved(&place("new")).await.len(), MESSAGES as usize);
        }
        std::fs::remove_dir_all(place("scratch")).unwrap();
    }
}
