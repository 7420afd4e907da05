//! What is said and done while the disk makes trouble, and that it ends when the trouble ends.

mod support;

use bytes::Bytes;
use posthaste_store_local::{Local, Options, Work, verify};
use sim::disk::Disk as Ram;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};
use store::{Error, Flags, MailboxName, Mailboxes, Spool, Timestamp, Uid};
use support::picky::{Picky, Trouble};
use support::{alice, content, inbox, read, send, small};

fn on(files: &Picky) -> Options {
    Options { files: Arc::new(files.clone()), ..small("/store") }
}

/// Sends until something fails; returns what was acknowledged, and the error.
async fn until_it_fails(store: &Local, known: &mut Vec<Vec<u8>>) -> Error {
    for _ in 0..1_000 {
        let content = content(known.len() as u64, 6_000);
        match send(store, &content).await {
            Ok(_) => known.push(content),
            Err(error) => return error,
        }
    }
    panic!("a thousand messages, and no error");
}

async fn all_there(store: &Local, known: &[Vec<u8>]) {
    assert_eq!(inbox(store).await.len(), known.len());
    for (number, expected) in known.iter().enumerate() {
        assert!(read(store, Uid(number as u32 + 1)).await.unwrap() == *expected, "message {number}");
    }
}

#[tokio::test]
async fn an_index_that_fails_stops_the_mail_until_it_can_be_written() {
    for (kind, is_full) in [(ErrorKind::StorageFull, true), (ErrorKind::Other, false)] {
        let files = Picky::new(Ram::default());
        let store = Local::open(on(&files)).unwrap();
        let mut known = Vec::new();
        send(&store, b"first").await.unwrap();
        known.push(b"first".to_vec());
        for round in 0..3 {
            files.fail("index.redb", kind);
            let error = until_it_fails(&store, &mut known).await;
            assert!(
                matches!(error, Error::Full(_)) == is_full && !matches!(error, Error::Fenced(_)),
                "{error}"
            );
            assert!(store.health().is_err(), "it is said at MAIL");
            assert!(inbox_id(&store).await.is_err(), "readers are told rather than shown less than there is");
            assert!(!is_full || files.trouble().removed == 0, "nothing is wrong with the file");
            assert!(files.heal() > 0);

            let content = content(90 + round, 100);
            send(&store, &content).await.unwrap();
            known.push(content);
            store.health().unwrap();
            all_there(&store, &known).await;
            let id = inbox_id(&store).await.unwrap();
            assert_eq!(store.update_flags(id, &[Uid(1)], Flags::SEEN, Flags::default()).await.unwrap(), 1);
            store.update_flags(id, &[Uid(1)], Flags::default(), Flags::SEEN).await.unwrap();
        }
        assert_eq!(
            store.deliveries(None, usize::MAX).await.unwrap().len(),
            known.len(),
            "nor is the queue different"
        );
        store.close().await.unwrap();
        let report = verify(&on(&files)).unwrap();
        assert_eq!((report.findings, report.notes), (vec![], vec![]));
        let store = Local::open(on(&files)).unwrap();
        assert_eq!((store.recovery().replayed, store.recovery().rebuilt.clone()), (0, None));
        all_there(&store, &known).await;
    }
}

async fn inbox_id(store: &Local) -> store::Result<store::MailboxId> {
    Ok(store.mailbox(&alice(), &MailboxName::inbox()).await?.id)
}

#[tokio::test]
async fn one_failure_of_the_index_is_not_even_noticed() {
    let files = Picky::new(Ram::default());
    let store = Local::open(on(&files)).unwrap();
    let (mut known, mut failed) = (Vec::new(), 0);
    for after in 0..40 {
        let writes = Some(("index.redb", ErrorKind::Other));
        *files.trouble() = Trouble { writes, after, times: Some(1), ..Trouble::default() };
        for _ in 0..12 {
            let content = content(known.len() as u64, 6_000);
            send(&store, &content).await.unwrap();
            known.push(content);
            // It was opened anew before anybody asked.
            store.health().unwrap();
            assert_eq!(inbox(&store).await.len(), known.len());
        }
        failed += files.trouble().failed;
        assert_eq!(files.trouble().removed, 0, "nothing is wrong with the file");
    }
    all_there(&store, &known).await;
    assert!(failed > 30, "{failed}");
    store.close().await.unwrap();
    assert_eq!(verify(&on(&files)).unwrap().findings, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_threads_try_the_index_again_by_themselves() {
    let files = Picky::new(Ram::default());
    let store = Local::open(Options { work: Work::Threads, ..on(&files) }).unwrap();
    let mut known = Vec::new();
    files.fail("index.redb", ErrorKind::StorageFull);
    until_it_fails(&store, &mut known).await;
    assert!(matches!(store.health(), Err(Error::Full(_))));
    files.heal();
    let start = Instant::now();
    while store.health().is_err() {
        assert!(start.elapsed() < Duration::from_secs(60), "it recovers without being asked");
        tokio::task::yield_now().await;
    }
    all_there(&store, &known).await;
    send(&store, b"and goes on").await.unwrap();
    store.close().await.unwrap();
    assert_eq!(verify(&on(&files)).unwrap().findings, []);
}

/// A store with some mail and an index that has to be read from the disk, and what is in it.
async fn with_little_memory(files: &Picky, work: Work) -> (Local, Vec<Vec<u8>>) {
    let options = || Options { work, index_cache: 0, ..on(files) };
    let store = Local::open(options()).unwrap();
    let known: Vec<Vec<u8>> = (0..40).map(|number| content(number, 300)).collect();
    for content in &known {
        send(&store, content).await.unwrap();
    }
    store.close().await.unwrap();
    (Local::open(options()).unwrap(), known)
}

/// Reads until the index cannot be read.
async fn until_a_read_fails(store: &Local, files: &Picky, times: u64) {
    files.trouble().reads = Some(("index.redb", times));
    for _ in 0..100 {
        let id = inbox_id(store).await;
        if let Ok(id) = id
            && store.entries(id, Uid(0), usize::MAX).await.is_ok()
        {
            continue;
        }
        return;
    }
    panic!("nothing is read from the disk");
}

#[tokio::test]
async fn a_reading_of_the_index_that_fails_once_fails_once() {
    let files = Picky::new(Ram::default());
    let (store, known) = with_little_memory(&files, Work::Caller).await;
    for _ in 0..5 {
        until_a_read_fails(&store, &files, 1).await;
        // Nobody writes anything in between.
        all_there(&store, &known).await;
        store.health().unwrap();
    }
    store.close().await.unwrap();
    assert_eq!(verify(&on(&files)).unwrap().findings, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reading_of_the_index_that_fails_is_noticed_without_mail() {
    let files = Picky::new(Ram::default());
    let (store, known) = with_little_memory(&files, Work::Threads).await;
    until_a_read_fails(&store, &files, 3).await;
    let start = Instant::now();
    while inbox_id(&store).await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(60), "it recovers without being asked");
        tokio::task::yield_now().await;
    }
    all_there(&store, &known).await;
    store.close().await.unwrap();
}

/// A store with much dead space, and what is alive in it.
async fn wasteful(store: &Local) -> (Vec<Uid>, Vec<Vec<u8>>) {
    let contents: Vec<Vec<u8>> = (0..30).map(|number| content(number, 6_000)).collect();
    for content in &contents {
        send(store, content).await.unwrap();
    }
    support::settle(store, |_| true).await;
    let (alive, dead): (Vec<Uid>, Vec<Uid>) = (1..=30).map(Uid).partition(|uid| uid.0.is_multiple_of(5));
    support::expunge(store, dead.iter().map(|uid| uid.0)).await;
    let contents = alive.iter().map(|uid| contents[uid.0 as usize - 1].clone()).collect();
    (alive, contents)
}

async fn all_alive(store: &Local, (uids, contents): &(Vec<Uid>, Vec<Vec<u8>>)) {
    for (uid, content) in uids.iter().zip(contents) {
        assert!(read(store, *uid).await.unwrap() == *content, "message {uid:?}");
    }
}

/// How the files of segments are called that a reclamation writes.
const REWRITTEN: &str = "-0000";

#[tokio::test]
async fn a_reclamation_that_fails_anywhere_costs_nothing() {
    for kind in [ErrorKind::StorageFull, ErrorKind::Other] {
        let mut operations = 0;
        loop {
            let files = Picky::new(Ram::default());
            let store = Local::open(on(&files)).unwrap();
            let alive = wasteful(&store).await;
            files.fail(REWRITTEN, kind);
            files.trouble().after = operations;
            let reclaimed = store.reclaim().await;
            if files.heal() == 0 {
                reclaimed.unwrap().expect("there was something to reclaim");
                break;
            }
            let full = matches!(reclaimed, Err(Error::Full(_)));
            assert!(full == (kind == ErrorKind::StorageFull), "{operations}: {reclaimed:?}");
            store.health().unwrap();
            send(&store, b"mail is taken").await.unwrap();
            all_alive(&store, &alive).await;
            // A disk that was full has room again; after any other error nothing is rewritten until the next start.
            assert_eq!(store.reclaim().await.unwrap().is_some(), full, "{operations}");
            store.close().await.unwrap();
            let report = verify(&on(&files)).unwrap();
            assert_eq!(report.findings, [], "{operations}");
            let store = Local::open(on(&files)).unwrap();
            assert!(full || store.reclaim().await.unwrap().is_some(), "{operations}");
            all_alive(&store, &alive).await;
            operations += 1;
        }
        assert!(operations > 5, "{operations}");
    }
}

#[tokio::test]
async fn a_segment_that_cannot_be_read_stays_and_the_others_are_reclaimed() {
    let files = Picky::new(Ram::default());
    let store = Local::open(on(&files)).unwrap();
    let alive = wasteful(&store).await;
    assert_eq!(store.unreclaimed(), None);
    let more: Vec<Vec<u8>> = (30..60).map(|number| content(number, 6_000)).collect();
    for content in &more {
        send(&store, content).await.unwrap();
    }
    support::settle(&store, |_| true).await;
    support::expunge(&store, 31..=60).await;
    files.trouble().unreadable = vec![("log/00000001.seg".to_owned(), 40_000, 40_001)];
    let (mut failed, mut reclaimed) = (0, 0);
    for _ in 0..20 {
        match store.reclaim().await {
            Ok(None) => break,
            Ok(Some(_)) => reclaimed += 1,
            Err(error) => {
                assert!(error.to_string().contains("cannot be read"), "{error}");
                failed += 1;
            }
        }
    }
    assert_eq!(failed, 1, "it is not tried again and again");
    assert!(reclaimed > 0, "the others are reclaimed");
    assert!(store.unreclaimed().is_some_and(|why| why.contains("00000001")), "{:?}", store.unreclaimed());
    files.heal();
    all_alive(&store, &alive).await;
    let uncertain = Local::open(Options { directory: "/other".into(), ..on(&files) }).unwrap();
    wasteful(&uncertain).await;
    files.fail(REWRITTEN, ErrorKind::Other);
    uncertain.reclaim().await.unwrap_err();
    let why = uncertain.unreclaimed();
    assert!(why.as_ref().is_some_and(|why| why.contains("until the next start")), "{why:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reclamation_that_fails_in_the_background_costs_nothing() {
    for kind in [ErrorKind::StorageFull, ErrorKind::Other] {
        let files = Picky::new(Ram::default());
        let options = Options { work: Work::Threads, reclaim_rate: 1 << 30, ..on(&files) };
        let store = Local::open(options.clone()).unwrap();
        files.fail(REWRITTEN, kind);
        let alive = wasteful(&store).await;
        let start = Instant::now();
        while files.trouble().failed == 0 {
            assert!(start.elapsed() < Duration::from_secs(60), "it tries by itself");
            tokio::task::yield_now().await;
        }
        store.health().unwrap();
        send(&store, b"mail is taken").await.unwrap();
        all_alive(&store, &alive).await;
        // It waits a minute before it tries again, but not when the store is closed.
        let start = Instant::now();
        store.close().await.unwrap();
        assert!(start.elapsed() < Duration::from_secs(30));
        drop(store);
        files.heal();
        assert_eq!(verify(&on(&files)).unwrap().findings, []);
        let store = Local::open(Options { reclaim_rate: 0, ..options }).unwrap();
        assert!(store.reclaim().await.unwrap().is_some());
        all_alive(&store, &alive).await;
    }
}

#[tokio::test]
async fn uploads_under_way_leave_the_reserve_alone() {
    let files = Picky::new(Ram::default());
    let time = Arc::new(AtomicI64::new(1_700_000_000_000));
    let now = time.clone();
    let clock: posthaste_store_local::Clock = Arc::new(move || Timestamp(now.load(Ordering::Relaxed)));
    let store = Local::open(Options { reserve: 8 << 20, clock, ..on(&files) }).unwrap();
    files.trouble().free = Some(10 << 20);
    let mut uploads: Vec<_> = (0..4).map(|_| store.stage().unwrap()).collect();
    // Within one second, so that only what was counted here can stop them.
    let (mut taken, mut refused) = (0, 0);
    for _ in 0..8 {
        for upload in &mut uploads {
            match upload.append(Bytes::from(vec![b'x'; 256 << 10])).await {
                Ok(()) => taken += 256 << 10,
                Err(Error::Full(_)) => refused += 1,
                Err(error) => panic!("{error}"),
            }
        }
    }
    assert!(taken <= 2 << 20 && taken > 1 << 20, "{taken} bytes of 2 MiB were taken");
    assert!(refused > 0);
    assert!(matches!(store.health(), Err(Error::Full(_))), "nor may anything new begin");
    // A refused upload stays refused, and its file is gone.
    let refused = uploads.pop().unwrap().commit(support::for_alice()).await;
    assert!(matches!(refused, Err(Error::Full(_))), "{refused:?}");
    let names = posthaste_store_local::Files::list(&files, "/store/large".as_ref()).unwrap();
    assert!(names.iter().all(|name| {
        let path = std::path::Path::new("/store/large").join(name);
        posthaste_store_local::Files::list(&files, &path).unwrap().is_empty()
    }));

    files.trouble().free = None;
    time.fetch_add(1_000, Ordering::Relaxed);
    store.health().unwrap();
    send(&store, &content(1, 100_000)).await.unwrap();
}

#[tokio::test]
async fn a_large_file_that_cannot_be_written_costs_its_message_and_no_other() {
    for kind in [ErrorKind::StorageFull, ErrorKind::Other] {
        let files = Picky::new(Ram::default());
        let store = Local::open(on(&files)).unwrap();
        files.fail("/large/", kind);
        let error = send(&store, &content(1, 100_000)).await.unwrap_err();
        assert!(!matches!(error, Error::Fenced(_)), "{error}");
        send(&store, b"small ones are still taken").await.unwrap();
        files.heal();
        send(&store, &content(2, 100_000)).await.unwrap();
        assert!(read(&store, Uid(2)).await.unwrap() == content(2, 100_000));
        store.close().await.unwrap();
        let report = verify(&on(&files)).unwrap();
        assert_eq!((report.findings, report.notes), (vec![], vec![]));
    }
}

/// Descriptors may run out for a moment; that says nothing of the disk.
#[tokio::test]
async fn a_directory_that_cannot_be_opened_fences_nothing() {
    let files = Picky::new(Ram::default());
    let store = Local::open(on(&files)).unwrap();
    let mut known = Vec::new();
    files.trouble().crowded = Some(0);
    let error = until_it_fails(&store, &mut known).await;
    assert!(!matches!(error, Error::Fenced(_)), "{error}");
    assert!(error.to_string().contains("too many open files"), "{error}");
    store.health().unwrap();
    store.can_settle().unwrap();
    assert!(files.trouble().crowded.is_some_and(|times| times > 0));
    files.heal();
    for number in 0..100 {
        let content = content(1_000 + number, 6_000);
        send(&store, &content).await.unwrap();
        known.push(content);
    }
    all_there(&store, &known).await;
    store.close().await.unwrap();
    assert_eq!(verify(&on(&files)).unwrap().findings, []);
    all_there(&Local::open(on(&files)).unwrap(), &known).await;
}
