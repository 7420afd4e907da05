//! Giving back the space of dead messages: what stays, what must never come back, and what a crash in between does.

mod support;

use posthaste_store_local::{Files, Local, Options, verify};
use sim::disk::{Disk as Ram, Fault, Keep};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use store::{Error, Flags, Mailboxes, Outcome, Spool, Uid};
use support::{
    Everything, alice, content, everything, expunge, inbox, inbox_name, read, send, settle, small,
};

async fn reclaim_all(store: &Local) -> u64 {
    let mut segments = 0;
    while let Some(reclaimed) = store.reclaim().await.unwrap() {
        assert!(reclaimed.after < reclaimed.before, "{reclaimed:?}");
        segments += reclaimed.segments;
    }
    segments
}

fn log_bytes(directory: &Path) -> u64 {
    let files = fs::read_dir(directory.join("log")).unwrap();
    files.map(|file| file.unwrap().metadata().unwrap().len()).sum()
}

/// The store says the same with its index made anew from the log.
async fn rebuilt(options: &Options, expected: &Everything) -> Local {
    let report = verify(options).unwrap();
    assert_eq!((report.findings, report.notes), (vec![], vec![]));
    options.files.remove(&options.directory.join("index.redb")).unwrap();
    let store = Local::open(options.clone()).unwrap();
    assert!(store.recovery().rebuilt.is_some());
    assert_eq!(everything(&store).await, *expected);
    store
}

#[tokio::test]
async fn space_comes_back_and_deleted_mail_does_not() {
    let directory = tempfile::tempdir().unwrap();
    let options = small(directory.path());
    let store = Local::open(options.clone()).unwrap();
    for number in 0..100 {
        send(&store, &content(number, 4000)).await.unwrap();
    }
    let inbox_id = store.mailbox(&alice(), &inbox_name()).await.unwrap().id;
    store.update_flags(inbox_id, &[Uid(10), Uid(11)], Flags::SEEN, Flags::default()).await.unwrap();
    // All but every tenth; their deletions are all at the end of the log, far from what they delete.
    settle(&store, |number| number % 10 != 0).await;
    expunge(&store, (1..=100).filter(|uid| uid % 10 != 0)).await;
    for number in 100..112 {
        send(&store, &content(number, 4000)).await.unwrap();
    }
    let (before, bytes) = (everything(&store).await, log_bytes(directory.path()));
    assert!(reclaim_all(&store).await >= 6);
    let after = log_bytes(directory.path());
    assert!(after < bytes / 2, "{bytes} bytes before, {after} after");
    assert_eq!(everything(&store).await, before);
    store.close().await.unwrap();
    drop(store);

    let store = rebuilt(&options, &before).await;
    for uid in (10..=100).step_by(10) {
        assert!(read(&store, Uid(uid)).await.unwrap() == content(u64::from(uid) - 1, 4000));
    }
    assert!(matches!(read(&store, Uid(11)).await, Err(Error::NoSuchMessage(_))));
    assert_eq!(reclaim_all(&store).await, 0, "nothing is left to do");
}

#[tokio::test]
async fn numbers_are_not_given_again_when_everything_was_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let options = small(directory.path());
    let store = Local::open(options.clone()).unwrap();
    let mut last = store::SpoolId(0);
    for round in 0..3u32 {
        for number in 0..60 {
            last = send(&store, &content(number, 4000)).await.unwrap();
        }
        settle(&store, |_| true).await;
        expunge(&store, round * 60 + 1..=round * 60 + 60).await;
        reclaim_all(&store).await;
    }
    let before = everything(&store).await;
    assert_eq!(before.0[0].uid_next, Uid(181));
    store.close().await.unwrap();
    drop(store);
    let files = fs::read_dir(directory.path().join("log")).unwrap().count();
    assert!(files <= 5, "what little is left of many segments is in one: {files}");
    let store = rebuilt(&options, &before).await;
    assert!(store.stage().unwrap().id() > last);
    send(&store, b"next").await.unwrap();
    assert_eq!(inbox(&store).await[0].uid, Uid(181));
    assert!(inbox(&store).await[0].modseq > before.0[0].highest_modseq);
}

#[tokio::test]
async fn a_settlement_outlives_its_segment_while_its_message_may_be_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let options = small(directory.path());
    let store = Local::open(options.clone()).unwrap();
    // The first segments stay mostly alive; two of their deliveries are settled and one entry deleted in a later segment.
    for number in 0..40 {
        send(&store, &content(number, 4000)).await.unwrap();
    }
    for number in 40..50 {
        send(&store, &content(number, 4000)).await.unwrap();
    }
    settle(&store, |number| number == 3 || number == 4).await;
    expunge(&store, [3]).await;
    for number in 50..80 {
        send(&store, &content(number, 4000)).await.unwrap();
    }
    settle(&store, |number| number > 38).await;
    expunge(&store, 41..=80).await;
    for number in 80..100 {
        send(&store, &content(number, 4000)).await.unwrap();
    }
    let before = everything(&store).await;
    assert!(reclaim_all(&store).await >= 2);
    store.close().await.unwrap();
    drop(store);
    assert!(directory.path().join("log/00000001.seg").exists(), "the first segment was not rewritten");
    let store = rebuilt(&options, &before).await;
    assert!(matches!(read(&store, Uid(3)).await, Err(Error::NoSuchMessage(_))), "settled and deleted");
    assert!(read(&store, Uid(4)).await.unwrap() == content(3, 4000), "settled, not deleted");
}

#[tokio::test]
async fn stats_count_what_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let store = Local::open(small(directory.path())).unwrap();
    for number in 0..30 {
        send(&store, &content(number, if number == 0 { 50_000 } else { 4000 })).await.unwrap();
    }
    let all = store.stats().await.unwrap();
    assert_eq!((all.messages, all.queued, all.large_files, all.large_bytes), (30, 30, 1, 50_000));
    assert_eq!(all.dead_bytes, 0);
    assert!(all.live_bytes > 29 * 4000 && all.live_bytes <= all.log_bytes, "{all:?}");
    assert_eq!(all.log_bytes, log_bytes(directory.path()));
    assert_eq!(all.index_bytes, fs::metadata(directory.path().join("index.redb")).unwrap().len());
    settle(&store, |_| true).await;
    expunge(&store, 1..=28).await;
    let dead = store.stats().await.unwrap();
    assert_eq!((dead.messages, dead.queued, dead.large_files), (2, 0, 0));
    assert!(dead.dead_bytes > 27 * 4000, "{dead:?}");
    reclaim_all(&store).await;
    let reclaimed = store.stats().await.unwrap();
    assert!(
        reclaimed.dead_bytes < dead.dead_bytes / 2 && reclaimed.log_bytes < dead.log_bytes,
        "{reclaimed:?}"
    );
}

#[tokio::test]
async fn who_reads_goes_on_reading() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { segment_size: 1 << 20, large_from: 1 << 20, ..small(directory.path()) };
    let store = Local::open(options).unwrap();
    for number in 0..12 {
        send(&store, &content(number, 300_000)).await.unwrap();
    }
    let inbox_id = store.mailbox(&alice(), &inbox_name()).await.unwrap().id;
    let (_, kept) = store.fetch(inbox_id, Uid(1)).await.unwrap();
    let (_, gone) = store.fetch(inbox_id, Uid(2)).await.unwrap();
    settle(&store, |number| number > 1).await;
    expunge(&store, 2..=9).await;
    assert!(reclaim_all(&store).await > 0);
    assert!(!directory.path().join("log/00000001.seg").exists());
    for (reader, number) in [(kept, 0), (gone, 1)] {
        assert!(reader.read_all(1 << 20).await.unwrap().ends_with(&content(number, 300_000)));
    }
    assert!(read(&store, Uid(1)).await.unwrap() == content(0, 300_000));
}

#[tokio::test]
async fn an_index_that_ends_in_a_rewritten_segment_it_does_not_know_is_used() {
    let directory = tempfile::tempdir().unwrap();
    let options = small(directory.path());
    let (index, first) = (directory.path().join("index.redb"), directory.path().join("log/00000001.seg"));
    let store = Local::open(options.clone()).unwrap();
    for number in 0..10 {
        send(&store, &content(number, 4000)).await.unwrap();
    }
    store.close().await.unwrap();
    drop(store);
    let before = fs::read(&index).unwrap();
    let store = Local::open(options.clone()).unwrap();
    settle(&store, |_| true).await;
    expunge(&store, 1..=9).await;
    for number in 10..20 {
        send(&store, &content(number, 4000)).await.unwrap();
    }
    let log = fs::read(&first).unwrap();
    assert!(reclaim_all(&store).await > 0 && !first.exists());
    let expected = everything(&store).await;
    store.close().await.unwrap();
    drop(store);
    // As a crash leaves it when the new segment has its name, and the last that the index has made durable is in the old one.
    fs::write(&index, before).unwrap();
    fs::write(&first, log).unwrap();
    let report = verify(&options).unwrap();
    assert_eq!(report.findings, []);
    let store = Local::open(options).unwrap();
    assert_eq!(store.recovery().damage, Vec::<String>::new());
    assert_eq!(everything(&store).await, expected);
}

#[tokio::test]
async fn an_old_index_that_ends_in_a_segment_that_was_rewritten_since_is_made_anew() {
    let directory = tempfile::tempdir().unwrap();
    let options = small(directory.path().join("store"));
    let store = Local::open(options.clone()).unwrap();
    for number in 0..5 {
        send(&store, &content(number, 4000)).await.unwrap();
    }
    store.close().await.unwrap();
    drop(store);
    let (index, kept) = (options.directory.join("index.redb"), directory.path().join("kept"));
    fs::copy(&index, &kept).unwrap();
    let store = Local::open(options.clone()).unwrap();
    for number in 5..40 {
        send(&store, &content(number, 4000)).await.unwrap();
    }
    settle(&store, |_| true).await;
    expunge(&store, 2..=30).await;
    assert!(reclaim_all(&store).await > 0);
    let before = everything(&store).await;
    store.close().await.unwrap();
    drop(store);
    fs::copy(&kept, &index).unwrap();
    let store = Local::open(options).unwrap_or_else(|error| panic!("nothing is damaged: {error}"));
    assert!(store.recovery().rebuilt.is_some());
    assert_eq!(everything(&store).await, before);
}

#[tokio::test]
async fn a_damaged_segment_is_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let options = small(directory.path());
    let store = Local::open(options.clone()).unwrap();
    for number in 0..60 {
        send(&store, &content(number, 4000)).await.unwrap();
    }
    settle(&store, |number| number > 1).await;
    expunge(&store, 2..=60).await;
    store.close().await.unwrap();
    drop(store);
    let path = directory.path().join("log/00000002.seg");
    let mut bytes = fs::read(&path).unwrap();
    bytes[20_000] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let store = Local::open(options).unwrap();
    let mut refused = 0;
    while match store.reclaim().await {
        Ok(reclaimed) => reclaimed.is_some(),
        Err(Error::Damaged(what)) => {
            assert!(what.contains("00000002"), "{what}");
            refused += 1;
            true
        }
        Err(error) => panic!("{error}"),
    } {}
    assert_eq!(refused, 1);
    assert!(fs::read(&path).unwrap() == bytes, "a person may still want it");
    assert_eq!(inbox(&store).await.len(), 1);
}

/// Fills, deletes and reclaims; the same every time.
async fn history(store: &Local, acknowledged: &mut Vec<u32>, deleted: &mut Vec<u32>) -> store::Result<()> {
    for round in 0..2u32 {
        for number in 0..12u32 {
            let uid = round * 12 + number + 1;
            send(store, &content(u64::from(uid), 6000)).await?;
            acknowledged.push(uid);
        }
        let inbox_id = store.mailbox(&alice(), &inbox_name()).await?.id;
        for delivery in store.deliveries(None, usize::MAX).await? {
            store.settle(delivery.id, Outcome::delivered(store::Timestamp(50))).await?;
        }
        for uid in round * 12 + 1..=round * 12 + 10 {
            // Whether it is gone is open from now on, until it is answered.
            deleted.push(uid);
            store.expunge(inbox_id, &[Uid(uid)]).await?;
        }
        while store.reclaim().await?.is_some() {}
    }
    Ok(())
}

async fn check(store: &Local, acknowledged: &[u32], deleted: &[u32], failed: bool, context: &str) {
    for uid in acknowledged {
        let in_doubt = failed && deleted.last() == Some(uid);
        match read(store, Uid(*uid)).await {
            Ok(text) => {
                assert!(text == content(u64::from(*uid), 6000), "{context}: {uid}");
                assert!(in_doubt || !deleted.contains(uid), "{context}: {uid} came back");
            }
            Err(Error::NoSuchMessage(_)) => assert!(deleted.contains(uid), "{context}: {uid} is lost"),
            Err(error) => panic!("{context}: {uid}: {error}"),
        }
    }
    let entries = inbox(store).await.len();
    assert!(entries <= acknowledged.len() - deleted.len() + 2, "{context}: {entries}");
}

#[tokio::test]
async fn the_machine_may_stop_at_any_moment_of_a_reclamation() {
    let on = |ram: &Ram| Options { files: Arc::new(ram.clone()), segment_size: 32 << 10, ..small("/store") };
    let ram = Ram::default();
    let store = Local::open(on(&ram)).unwrap();
    history(&store, &mut Vec::new(), &mut Vec::new()).await.unwrap();
    store.close().await.unwrap();
    let operations = ram.operations();

    // Before that nothing is reclaimed; what a crash does then is tested elsewhere.
    let mut left_over = 0;
    for stop in operations / 4..operations {
        let ram = Ram::default();
        let (mut acknowledged, mut deleted) = (Vec::new(), Vec::new());
        ram.fault(Some(Fault::StoppedAt(stop)));
        let mut failed = true;
        if let Ok(store) = Local::open(on(&ram)) {
            failed = history(&store, &mut acknowledged, &mut deleted).await.is_err();
        }
        let keep = [Keep::Nothing, Keep::Everything, Keep::Some(stop)][stop as usize % 3];
        let context = format!("stopped at {stop}, kept {keep:?}");
        let after = ram.crash(keep);
        // With the index that the crash has left, and without any.
        let without = after.crash(Keep::Everything);
        if without.remove(Path::new("/store/index.redb")).is_ok() {
            let store = Local::open(on(&without)).unwrap_or_else(|error| panic!("{context}: {error}"));
            check(&store, &acknowledged, &deleted, failed, &format!("{context}, without its index")).await;
        }
        if !acknowledged.is_empty() {
            let report = verify(&on(&after)).unwrap();
            assert_eq!(report.findings, [], "{context}");
            left_over += u64::from(report.notes.iter().any(|note| note.contains("others replace")));
        }
        let store = Local::open(on(&after)).unwrap_or_else(|error| panic!("{context}: {error}"));
        check(&store, &acknowledged, &deleted, failed, &context).await;
        send(&store, b"life goes on").await.unwrap_or_else(|error| panic!("{context}: {error}"));
        reclaim_all(&store).await;
        check(&store, &acknowledged, &deleted, failed, &context).await;
        let expected = everything(&store).await;
        store.close().await.unwrap();
        drop(store);
        drop(rebuilt(&on(&after), &expected).await);
    }
    assert!(left_over >= 3, "segments were left over: {left_over}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn mail_is_accepted_meanwhile() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options {
        work: posthaste_store_local::Work::Threads,
        reclaim_rate: 1 << 30,
        segment_size: 256 << 10,
        ..small(directory.path())
    };
    let store = Arc::new(Local::open(options.clone()).unwrap());
    send(&store, b"the first").await.unwrap();
    let inbox_id = store.mailbox(&alice(), &inbox_name()).await.unwrap().id;
    let sender = |number: u64| {
        let store = store.clone();
        tokio::spawn(async move {
            for message in 0..150 {
                let text = content(number * 1000 + message, 5000);
                let id = send(&store, &text).await.unwrap();
                let entries = store.entries(inbox_id, Uid(0), usize::MAX).await.unwrap();
                let uid = entries.iter().find(|entry| entry.spool == id).unwrap().uid;
                assert!(read(&store, uid).await.unwrap() == text);
                if message % 10 != 0 {
                    store.expunge(inbox_id, &[uid]).await.unwrap();
                    let delivery = store::DeliveryId { spool: id, recipient: 0 };
                    store.settle(delivery, Outcome::delivered(store::Timestamp(50))).await.unwrap();
                }
                store.reclaim().await.unwrap();
            }
        })
    };
    let senders: Vec<_> = (0..4).map(sender).collect();
    for sender in senders {
        sender.await.unwrap();
    }
    while store.reclaim().await.unwrap().is_some() {}
    let before = everything(&store).await;
    assert_eq!(before.1.len(), 61);
    assert!(log_bytes(directory.path()) < 2 << 20);
    store.close().await.unwrap();
    drop(store);
    drop(rebuilt(&options, &before).await);
}
