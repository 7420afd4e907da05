//! What a search need not read: never anything that has what is looked for.

mod support;

use bytes::Bytes;
use posthaste_store_local::{Files, Local, Options, Searchable, Work, verify};
use sim::disk::Disk as Ram;
use std::path::Path;
use std::sync::Arc;
use store::{
    Directory, MailboxId, MailboxName, Mailboxes, Marks, NewMessage, Origin, Originals, Spool, Timestamp, Uid,
};
use support::{alice, small};

/// The whole text counts.
fn searchable() -> Option<Searchable> {
    Some(Arc::new(|text, each| each(&String::from_utf8_lossy(text))))
}

fn on(ram: &Ram) -> Options {
    Options {
        files: Arc::new(ram.clone()),
        searchable: searchable(),
        segment_size: 1 << 20,
        ..small("/store")
    }
}

/// A mailbox with so many messages; every hundredth speaks of a zebra, every message of its number.
async fn filled(store: &Local, messages: u32) -> MailboxId {
    store.create_account(&alice(), Origin::Added).await.unwrap();
    let inbox = store.mailbox(&alice(), &MailboxName::inbox()).await.unwrap().id;
    let mut new = Vec::new();
    for number in 1..=messages {
        let mut stage = store.stage().unwrap();
        let animal = if number % 100 == 0 { "a ZEBRA" } else { "an ass" };
        let text = format!("Subject: {animal}\r\n\r\nThis is message number={number};\r\n");
        stage.append(Bytes::from(text)).await.unwrap();
        new.push(NewMessage { stage, received: Timestamp(0), marks: Marks::default() });
        if new.len() == 200 || number == messages {
            store.append(inbox, std::mem::take(&mut new)).await.unwrap();
        }
    }
    inbox
}

async fn sifted(store: &Local, mailbox: MailboxId, needles: &[&str]) -> Vec<u32> {
    let needles: Vec<Vec<u8>> = needles.iter().map(|needle| needle.as_bytes().to_vec()).collect();
    let ranges = store.sift(mailbox, &needles).await.unwrap();
    assert!(ranges.windows(2).all(|pair| pair[0].end().0 + 1 < pair[1].start().0), "{ranges:?}");
    ranges.into_iter().flat_map(|range| range.start().0..=range.end().0).collect()
}

#[tokio::test]
async fn what_has_it_is_named_and_little_else() {
    let ram = Ram::default();
    let store = Local::open(on(&ram)).unwrap();
    let inbox = filled(&store, 1100).await;
    let found = sifted(&store, inbox, &["zebra"]).await;
    let beyond: Vec<u32> = (1025..=1100).collect();
    assert!((100..=1000).step_by(100).chain(beyond.clone()).all(|uid| found.contains(&uid)), "{found:?}");
    assert!(found.len() < 10 + beyond.len() + 20, "{found:?}");
    assert_eq!(sifted(&store, inbox, &["zebra", "number=300;"]).await[0], 300);
    assert_eq!(sifted(&store, inbox, &["zz", ""]).await.len(), 1100, "too short to tell anything");
    assert_eq!(sifted(&store, inbox, &["not to be found anywhere"]).await, beyond);

    // Copies have sieves of their own; what is gone when one is made is not in it.
    store.expunge(inbox, &[Uid(100)]).await.unwrap();
    let other = store.create_mailbox(&alice(), &MailboxName::new("Other").unwrap(), None).await.unwrap().id;
    let uids: Vec<Uid> = (1..=600).map(Uid).collect();
    store.copy(inbox, &uids, other, Originals::Stay).await.unwrap();
    assert_eq!(sifted(&store, other, &["message number=2;"]).await[0], 2);

    // It lasts, and goes with its mailbox.
    let files = || ram.list(Path::new("/store/sieve")).unwrap().len();
    assert_eq!(files(), 3);
    store.delete_mailbox(&alice(), &MailboxName::new("Other").unwrap()).await.unwrap();
    assert_eq!(files(), 2);
    let mut stale = ram.list(Path::new("/store/sieve")).unwrap().remove(0);
    stale.truncate(stale.len() - 1);
    let stale = Path::new("/store/sieve").join(stale + "0");
    ram.open(&stale, posthaste_store_local::Mode::Create).unwrap();
    store.close().await.unwrap();
    assert_eq!(verify(&on(&ram)).unwrap().findings, []);
    let store = Local::open(on(&ram)).unwrap();
    assert_eq!(files(), 2, "one of another version is gone");
    assert_eq!(sifted(&store, inbox, &["zebra"]).await, found);
    store.remove_account(&alice()).await.unwrap();
    assert_eq!(files(), 0);
}

#[tokio::test]
async fn a_damaged_sieve_is_made_anew() {
    let directory = tempfile::tempdir().unwrap();
    let options = || Options { searchable: searchable(), ..small(directory.path()) };
    let store = Local::open(options()).unwrap();
    let inbox = filled(&store, 512).await;
    let found = sifted(&store, inbox, &["zebra"]).await;
    let path = std::fs::read_dir(directory.path().join("sieve")).unwrap().next().unwrap().unwrap().path();
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, vec![0; whole.len()]).unwrap();
    assert_eq!(sifted(&store, inbox, &["zebra"]).await, found);
    assert!(std::fs::read(&path).unwrap() == whole);
    std::fs::write(&path, &whole[..1000]).unwrap();
    assert_eq!(sifted(&store, inbox, &["zebra"]).await, found);
    drop(store);
    // Without knowing what counts as text everything has to be read.
    let store = Local::open(small(directory.path())).unwrap();
    assert_eq!(sifted(&store, inbox, &["zebra"]).await.len(), 512);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thread_makes_them_meanwhile() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { work: Work::Threads, searchable: searchable(), ..small(directory.path()) };
    let store = Local::open(options).unwrap();
    let inbox = filled(&store, 600).await;
    // Until it is made everything may have it.
    let mut found = sifted(&store, inbox, &["zebra"]).await;
    while found.len() == 600 {
        tokio::task::yield_now().await;
        found = sifted(&store, inbox, &["zebra"]).await;
    }
    assert_eq!(found[..5], [100, 200, 300, 400, 500]);
    store.close().await.unwrap();
}

#[tokio::test]
async fn none_is_made_for_few_messages_or_of_the_reserve() {
    let ram = Ram::default();
    let store = Local::open(on(&ram)).unwrap();
    let inbox = filled(&store, 1600).await;
    // Nothing is left of the first block, and little of the second.
    let gone: Vec<Uid> = (1..=512).chain(523..=1024).map(Uid).collect();
    store.expunge(inbox, &gone).await.unwrap();
    store.close().await.unwrap();
    drop(store);
    let all: Vec<u32> = (513..=522).chain(1025..=1600).collect();
    let store = Local::open(Options { reserve: u64::MAX, ..on(&ram) }).unwrap();
    assert_eq!(sifted(&store, inbox, &["zebra"]).await, all);
    assert!(ram.list(Path::new("/store/sieve")).is_err(), "nothing was written");
    store.close().await.unwrap();
    drop(store);
    let store = Local::open(on(&ram)).unwrap();
    let found = sifted(&store, inbox, &["zebra"]).await;
    assert!(found.starts_with(&all[..10]) && found.len() < 10 + 5 + 64 + 20, "{found:?}");
    assert_eq!(ram.list(Path::new("/store/sieve")).unwrap().len(), 1);
}
