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

/// The whole text counts; the gist is its first line.
fn searchable() -> Option<Searchable> {
    let first_line = |text: &[u8]| text.split(|octet| *octet == b'\r').next().unwrap_or_default().to_vec();
    Some(Searchable {
        pieces: Arc::new(|text, each| each(&String::from_utf8_lossy(text))),
        gist: Arc::new(first_line),
    })
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
    assert_eq!(sifted(&store, inbox, &["z", ""]).await.len(), 1100, "too short to tell anything");
    let two_letters = sifted(&store, inbox, &["zE"]).await.len();
    assert!(two_letters < 100, "no text has that: {two_letters}");
    assert!(sifted(&store, inbox, &["ze"]).await.starts_with(&[100, 200, 300]));
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
async fn gists_are_kept_of_what_a_sieve_is_for() {
    let ram = Ram::default();
    let store = Local::open(on(&ram)).unwrap();
    let inbox = filled(&store, 1100).await;
    store.expunge(inbox, &[Uid(3)]).await.unwrap();
    let ranges = [Uid(1)..=Uid(4), Uid(500)..=Uid(514), Uid(700)..=Uid(700), Uid(1023)..=Uid(u32::MAX)];
    let gists = store.gists(inbox, &ranges).await.unwrap();
    let uids: Vec<u32> = gists.iter().map(|(uid, _)| uid.0).collect();
    let expected: Vec<u32> = [1, 2, 4].into_iter().chain(500..=514).chain([700, 1023, 1024]).collect();
    assert_eq!(uids, expected);
    for (uid, gist) in gists {
        let animal = if uid.0 % 100 == 0 { "a ZEBRA" } else { "an ass" };
        assert_eq!(gist, format!("Subject: {animal}"), "of {uid:?}");
    }

    // One that is too long is not kept; the others are.
    let mut stage = store.stage().unwrap();
    stage.append(Bytes::from(vec![b'x'; store::GIST_MAX + 1])).await.unwrap();
    let long = NewMessage { stage, received: Timestamp(0), marks: Marks::default() };
    store.append(inbox, vec![long]).await.unwrap();
    let uids: Vec<Uid> = (600..=1034).map(Uid).collect();
    store.copy(inbox, &uids, inbox, Originals::Stay).await.unwrap();
    let found = store.gists(inbox, &[Uid(1100)..=Uid(1102)]).await.unwrap();
    assert_eq!(found.iter().map(|(uid, _)| uid.0).collect::<Vec<_>>(), [1100, 1102]);
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
    let gists = store.gists(inbox, &[Uid(1)..=Uid(512)]).await.unwrap();
    assert_eq!(gists.len(), 512);
    let mut other = whole.clone();
    *other.last_mut().unwrap() ^= 1;
    for damaged in [&other[..], &whole[..whole.len() - 1], &whole[..32768 * 68]] {
        std::fs::write(&path, damaged).unwrap();
        assert_eq!(store.gists(inbox, &[Uid(1)..=Uid(512)]).await.unwrap(), gists);
        assert!(std::fs::read(&path).unwrap() == whole);
    }
    drop(store);
    // Without knowing what counts as text everything has to be read.
    let store = Local::open(small(directory.path())).unwrap();
    assert_eq!(sifted(&store, inbox, &["zebra"]).await.len(), 512);
    assert_eq!(store.gists(inbox, &[Uid(1)..=Uid(512)]).await.unwrap(), []);
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
