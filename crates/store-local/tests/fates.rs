//! What is remembered of deliveries: bounded in number and time, and the same when the log was rewritten and the index made anew.

mod support;

use posthaste_store_local::{Local, Options, verify};
use std::time::Duration;
use store::{
    Adjustment, Attempt, End, Ending, FateLimits, Hold, Outcome, Pause, PauseScope, Spool, Timestamp,
};
use support::{content, everything, expunge, send, settle, small};

const HOUR: i64 = 3_600_000;

fn limited(directory: &std::path::Path, number: u64, time: Duration) -> Options {
    Options { segment_size: 32 << 10, fates: FateLimits { number, time }, ..small(directory) }
}

/// Sends a message whose delivery ends at this time.
async fn ended(store: &Local, number: u64, at: i64) {
    let spool = send(store, &content(number, 1_000)).await.unwrap();
    let id = store::DeliveryId { spool, recipient: 0 };
    let attempt = Attempt {
        at: Timestamp(at - 5),
        took: 5,
        host: Some("mx.example.com".to_owned()),
        reply: format!("250 2.0.0 taken as {number}"),
        ..Attempt::default()
    };
    let end = End { at: Timestamp(at), ending: Ending::Delivered, attempt: Some(attempt) };
    store.settle(id, Outcome::Done(end)).await.unwrap();
}

async fn replies(store: &Local) -> Vec<String> {
    let fates = store.fates(None, usize::MAX).await.unwrap();
    fates.iter().map(|fate| fate.delivery.last_reply().unwrap_or("-").to_owned()).collect()
}

/// What the store says of fates and everything else stays the same when its dead space is given back and its index is made anew.
async fn rebuilt(store: Local, options: &Options) -> Local {
    let (before, fates) = (everything(&store).await, store.fates(None, usize::MAX).await.unwrap());
    let pauses = store.pauses().await.unwrap();
    let mut rewritten = 0;
    while let Some(reclaimed) = store.reclaim().await.unwrap() {
        rewritten += reclaimed.segments;
    }
    assert!(rewritten > 0, "something was to be given back");
    store.close().await.unwrap();
    drop(store);
    let report = verify(options).unwrap();
    assert_eq!((report.findings, report.notes), (vec![], vec![]));
    std::fs::remove_file(options.directory.join("index.redb")).unwrap();
    let store = Local::open(options.clone()).unwrap();
    assert_eq!(everything(&store).await, before);
    assert_eq!(store.fates(None, usize::MAX).await.unwrap(), fates);
    assert_eq!(store.pauses().await.unwrap(), pauses);
    store
}

#[tokio::test]
async fn the_latest_are_remembered() {
    let directory = tempfile::tempdir().unwrap();
    let options = limited(directory.path(), 7, Duration::from_secs(3600));
    let mut store = Local::open(options.clone()).unwrap();
    let mut next = 0;
    for round in 1..=3u32 {
        for _ in 0..60 {
            ended(&store, next, 1_000_000 + next as i64).await;
            next += 1;
        }
        let expected: Vec<String> =
            (next - 7..next).rev().map(|n| format!("250 2.0.0 taken as {n}")).collect();
        assert_eq!(replies(&store).await, expected);
        expunge(&store, (round - 1) * 60 + 1..=round * 60).await;
        store = rebuilt(store, &options).await;
        assert_eq!(replies(&store).await, expected);
    }
}

#[tokio::test]
async fn what_ended_long_ago_is_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let options = limited(directory.path(), 1_000, Duration::from_secs(10 * 3600));
    let store = Local::open(options.clone()).unwrap();
    for number in 0..40 {
        ended(&store, number, number as i64 * HOUR).await;
    }
    // Those that ended in the ten hours before the last.
    assert_eq!(replies(&store).await.len(), 11);
    expunge(&store, 1..=40).await;
    let store = rebuilt(store, &options).await;
    // A clock that was wrong for a while brings nothing back, and forgets nothing early.
    ended(&store, 40, HOUR).await;
    assert_eq!(replies(&store).await.len(), 12);
    // A long pause: a few go with each that comes.
    for number in 41..50 {
        ended(&store, number, 500 * HOUR).await;
    }
    assert_eq!(replies(&store).await.len(), 9);
}

#[tokio::test]
async fn who_only_looks_forgets_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let options = limited(directory.path(), 10, Duration::from_secs(3600));
    let store = Local::open(options.clone()).unwrap();
    for number in 0..10 {
        ended(&store, number, 5).await;
    }
    store.close().await.unwrap();
    drop(store);
    let store = Local::open(Options { fates: FateLimits::ALL, ..options }).unwrap();
    ended(&store, 10, 900 * HOUR).await;
    assert_eq!(replies(&store).await.len(), 11);
}

/// Orders about deliveries that are still queued survive the rewriting of their segments, and so do pauses.
#[tokio::test]
async fn orders_survive_reclamation() {
    let directory = tempfile::tempdir().unwrap();
    let options = limited(directory.path(), 5, Duration::from_secs(3600));
    let store = Local::open(options.clone()).unwrap();
    let pause = |name: &str, since| Pause {
        scope: PauseScope::Destination(name.to_owned()),
        since: Timestamp(since),
        reason: "they asked".to_owned(),
    };
    store.pause(pause("a.example", 1)).await.unwrap();
    store.pause(pause("b.example", 1)).await.unwrap();
    store.pause(pause("a.example", 2)).await.unwrap();
    for number in 0..100 {
        send(&store, &content(number, 2_000)).await.unwrap();
    }
    let ids: Vec<_> = store.deliveries(None, 100).await.unwrap().iter().map(|one| one.id).collect();
    let hold = Hold { since: Timestamp(7), reason: "odd".to_owned() };
    store.adjust(&ids[..50], Adjustment::Hold(hold)).await.unwrap();
    store.adjust(&ids[40..60], Adjustment::Due(Timestamp(99))).await.unwrap();
    store.adjust(&ids[40..45], Adjustment::Release).await.unwrap();
    store.adjust(&ids[..45], Adjustment::Reroute("c.example".parse().unwrap())).await.unwrap();
    assert!(store.resume(&PauseScope::Destination("b.example".to_owned())).await.unwrap());
    settle(&store, |number| !number.is_multiple_of(5)).await;
    expunge(&store, (1..=100).filter(|uid| uid % 5 != 0)).await;
    let store = rebuilt(store, &options).await;
    assert_eq!(store.pauses().await.unwrap(), [pause("a.example", 2)]);
    let left = store.deliveries(None, 100).await.unwrap();
    assert_eq!(left.len(), 20);
    assert_eq!(left.iter().filter(|one| one.held.is_some()).count(), 9);
    assert_eq!(left.iter().filter(|one| one.queue.as_str() == "c.example").count(), 9);
    assert_eq!(left.iter().filter(|one| one.due == Timestamp(99)).count(), 4);
}
