//! Many at once: the engine with its threads, on a real disk.

mod support;

use bytes::Bytes;
use posthaste_store_local::{Local, Options, Work, verify};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use store::{
    AccountName, Destination, Directory, Error, Flags, IfMissing, MailboxName, Mailboxes, Origin, Outcome,
    Spool, Timestamp, Uid,
};
use support::{alice, content, for_alice, inbox, read, send, small};

fn threads(directory: &Path) -> Options {
    Options { work: Work::Threads, segment_size: 512 << 10, large_from: 64 << 10, ..small(directory) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_connections_deliver_read_and_change() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(Local::open(threads(directory.path())).unwrap());
    store.create_account(&alice(), Origin::Added).await.unwrap();
    let inbox_id = store.mailbox(&alice(), &MailboxName::inbox()).await.unwrap().id;
    let connection = |number: u64| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut own = Vec::new();
            for message in 0..25 {
                let content = content(number * 1000 + message, [40, 4_000, 90_000][message as usize % 3]);
                let id = send(&store, &content).await.unwrap();
                // What was acknowledged to us we see at once, whatever the others do.
                let entries = store.entries(inbox_id, Uid(0), usize::MAX).await.unwrap();
                let uid = entries.iter().find(|entry| entry.spool == id).unwrap().uid;
                assert!(read(&store, uid).await.unwrap() == content);
                if message % 5 == 0 {
                    assert_eq!(
                        store.update_flags(inbox_id, &[uid], Flags::SEEN, Flags::default()).await.unwrap(),
                        1
                    );
                }
                if message % 5 == 1 {
                    assert_eq!(store.expunge(inbox_id, &[uid]).await.unwrap(), 1);
                    assert_eq!(store.expunge(inbox_id, &[uid]).await.unwrap(), 0);
                    continue;
                }
                own.push((uid, content));
            }
            own
        })
    };
    let connections: Vec<_> = (0..16).map(connection).collect();
    let mut all = Vec::new();
    for connection in connections {
        all.extend(connection.await.unwrap());
    }
    assert_eq!(all.len(), 16 * 20);
    let uids: BTreeSet<Uid> = all.iter().map(|(uid, _)| *uid).collect();
    assert_eq!(uids.len(), all.len(), "no UID twice");
    store.close().await.unwrap();
    drop(store);

    assert_eq!(verify(&threads(directory.path())).unwrap().findings, []);
    let store = Local::open(threads(directory.path())).unwrap();
    let status = store.mailbox(&alice(), &MailboxName::inbox()).await.unwrap();
    assert_eq!((status.messages, status.unseen), (16 * 20, 16 * 15));
    for (uid, content) in all {
        assert!(read(&store, uid).await.unwrap() == content);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn workers_never_hold_the_same_delivery() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(Local::open(threads(directory.path())).unwrap());
    for number in 0..100 {
        send(&store, &content(number, 100)).await.unwrap();
    }
    let worker = || {
        let store = store.clone();
        tokio::spawn(async move {
            let mut done = Vec::new();
            let queue = "example.org".parse().unwrap();
            loop {
                let claims = store.claim(&queue, Timestamp(10), 7, Timestamp(1_000)).await.unwrap();
                if claims.is_empty() {
                    return done;
                }
                for claim in claims {
                    store.settle(claim.delivery.id, Outcome::delivered(Timestamp(50))).await.unwrap();
                    done.push(claim.delivery.id);
                }
            }
        })
    };
    let workers: Vec<_> = (0..8).map(|_| worker()).collect();
    let mut done = Vec::new();
    for worker in workers {
        done.extend(worker.await.unwrap());
    }
    assert_eq!(done.len(), 100);
    assert_eq!(done.into_iter().collect::<BTreeSet<_>>().len(), 100);
    assert_eq!(store.next_due().await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_a_running_store_has_everything_acknowledged() {
    let (directory, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = Local::open(threads(directory.path())).unwrap();
    for number in 0..60 {
        send(&store, &content(number, [500, 100_000][number as usize % 7 / 6])).await.unwrap();
    }
    // As kill -9 leaves it: no close, no checkpoint, the log as the kernel has it. The index is left behind.
    copy_into(&directory.path().join("large"), &copy.path().join("large"));
    copy_into(&directory.path().join("log"), &copy.path().join("log"));
    let after = Local::open(threads(copy.path())).unwrap();
    assert_eq!(inbox(&after).await.len(), 60);
    for number in 0..60 {
        let expected = content(number, [500, 100_000][number as usize % 7 / 6]);
        assert!(read(&after, Uid(number as u32 + 1)).await.unwrap() == expected);
    }
    let new = after.stage().unwrap().id();
    assert!(inbox(&after).await.iter().all(|entry| entry.spool < new), "new ids are above all in the store");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_message_to_a_thousand_is_one_content() {
    let directory = tempfile::tempdir().unwrap();
    let store = Local::open(threads(directory.path())).unwrap();
    let text = content(1, 50_000);
    let mut accepted = for_alice();
    let recipient = accepted.envelope.recipients[0].clone();
    accepted.envelope.recipients = vec![recipient; 1000];
    accepted.deliveries = (0..1000)
        .map(|number| store::NewDelivery {
            recipient: number,
            destination: Destination::Mailbox {
                account: AccountName::parse(&format!("user{number}@example.org")).unwrap(),
                mailbox: MailboxName::inbox(),
                if_missing: IfMissing::Create,
                if_full: store::IfFull::Fail,
                trace: Bytes::from(format!("Delivered-To: user{number}@example.org\r\n")),
            },
        })
        .collect();
    let mut stage = store.stage().unwrap();
    stage.append(Bytes::from(text.clone())).await.unwrap();
    stage.commit(accepted).await.unwrap();
    assert_eq!(store.accounts().await.unwrap().len(), 1000);
    store.close().await.unwrap();
    let mut found = 0;
    for entry in fs::read_dir(directory.path().join("log")).unwrap() {
        let log = fs::read(entry.unwrap().path()).unwrap();
        found += (0..log.len() - 64).filter(|at| log[*at..].starts_with(&text[..64])).count();
    }
    assert_eq!(found, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_message_does_not_stay_in_memory_or_behind() {
    let directory = tempfile::tempdir().unwrap();
    let store = Local::open(threads(directory.path())).unwrap();
    let mut stage = store.stage().unwrap();
    for number in 0..200 {
        stage.append(content(number, 10_000).into()).await.unwrap();
    }
    let large = directory.path().join("large");
    let length: u64 = walk(&large).iter().map(|path| fs::metadata(path).unwrap().len()).sum();
    assert!(length > 1_700_000, "all but a block or two is on disk already: {length}");
    drop(stage);
    // The file is removed on a blocking thread; closing the store is no barrier for it, the next opening is.
    store.close().await.unwrap();
    drop(store);
    let store = Local::open(threads(directory.path())).unwrap();
    assert_eq!(walk(&large), Vec::<std::path::PathBuf>::new());
    drop(store);
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_finishes_what_was_handed_in() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(Local::open(threads(directory.path())).unwrap());
    let senders: Vec<_> = (0..50)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move { send(&store, &content(number, 3000)).await })
        })
        .collect();
    store.close().await.unwrap();
    let mut accepted = 0;
    for sender in senders {
        match sender.await.unwrap() {
            Ok(_) => accepted += 1,
            Err(error) => assert!(matches!(error, Error::Closed), "{error}"),
        }
    }
    drop(store);
    let store = Local::open(threads(directory.path())).unwrap();
    assert_eq!(inbox(&store).await.len(), accepted);
}

fn copy_into(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_into(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn walk(directory: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}
