//! What happens when the disk refuses, and when the machine stops at any moment.

mod support;

use posthaste_store_local::{Files, Local, Mode, Options, verify};
use sim::disk::{Disk as Ram, Fault, Keep, Wrong};
use std::sync::Arc;
use store::{
    DeliveryId, Directory, Error, Flags, MailboxName, Mailboxes, Outcome, Result, Spool, Timestamp, Uid,
};
use support::{alice, content, inbox, read, send, small};

fn on(ram: &Ram) -> Options {
    Options { files: Arc::new(ram.clone()), ..small("/store") }
}

#[tokio::test]
async fn a_failed_write_or_sync_fences_for_good() {
    for fault in [Fault::Writes, Fault::Syncs] {
        let ram = Ram::default();
        let store = Local::open(on(&ram)).unwrap();
        send(&store, b"before").await.unwrap();
        store.can_settle().unwrap();
        ram.fault(Some(fault));
        let error = send(&store, b"meanwhile").await.unwrap_err();
        assert!(matches!(error, Error::Fenced(_)), "{error}");

        // The disk is well again, but nobody can know what it has kept.
        ram.fault(None);
        assert!(matches!(store.health(), Err(Error::Fenced(_))));
        assert!(matches!(store.stage().map(drop), Err(Error::Fenced(_))));
        // What is claimed is sent, and that it was could not be kept.
        assert!(matches!(store.can_settle(), Err(Error::Fenced(_))));
        let waiting = store.waiting(Timestamp(5), None, 10).await.unwrap();
        let claimed = store.claim(&waiting[0].queue, Timestamp(5), 10, Timestamp(10)).await;
        assert!(matches!(claimed, Err(Error::Fenced(_))), "{claimed:?}");
        let inbox_id = store.mailbox(&alice(), &MailboxName::inbox()).await.unwrap().id;
        assert!(matches!(store.expunge(inbox_id, &[Uid(1)]).await, Err(Error::Fenced(_))));
        assert!(matches!(store.remove_account(&alice()).await, Err(Error::Fenced(_))));
        assert_eq!(read(&store, Uid(1)).await.unwrap(), b"before", "reads go on");
        drop(store);

        let store = Local::open(on(&ram.crash(Keep::Nothing))).unwrap();
        assert_eq!(inbox(&store).await.len(), 1);
        send(&store, b"after").await.unwrap();
        assert_eq!(read(&store, Uid(2)).await.unwrap(), b"after");
    }
}

/// Whatever fails once, the store never refuses message after message and says that it is well.
#[tokio::test]
async fn a_single_failure_passes_or_is_said() {
    // In few messages, a segment's end and a large file.
    let small = |ram: &Ram| Options { segment_size: 16 << 10, ..on(ram) };
    let history = async |store: &Local| {
        for number in 0..9 {
            let size = [4_000, 7_000, 9_000][number as usize % 3];
            if send(store, &content(number, size)).await.is_err() {
                break;
            }
        }
    };
    let ram = Ram::default();
    let store = Local::open(small(&ram)).unwrap();
    let first = ram.operations();
    history(&store).await;
    let last = ram.operations();
    for wrong in [Wrong::Sync, Wrong::Write, Wrong::Full] {
        let (mut fenced, mut passed) = (0, 0);
        for operation in first..last {
            let ram = Ram::default();
            let store = Local::open(small(&ram)).unwrap();
            ram.plan(operation, wrong);
            history(&store).await;
            ram.plan_nothing();
            let next = send(&store, &content(99, 7_000)).await;
            let health = store.health();
            assert_eq!(health.is_ok(), next.is_ok(), "{wrong:?} at {operation}: {health:?}, {next:?}");
            let is_fenced = matches!(health, Err(Error::Fenced(_)));
            assert!(
                health.is_ok() || is_fenced && wrong != Wrong::Full,
                "{wrong:?} at {operation}: {health:?}"
            );
            *(if is_fenced { &mut fenced } else { &mut passed }) += 1;
        }
        assert!(passed > 0 && (wrong == Wrong::Full || fenced > 5), "{wrong:?}: {fenced} {passed}");
    }
}

/// A verification reads: what a process that was killed has left in the index stays as it is, for the next opening to judge by.
#[tokio::test]
async fn a_verification_changes_nothing() {
    let ram = Ram::default();
    let store = Local::open(on(&ram)).unwrap();
    for number in 0..8 {
        send(&store, &content(number, 4_000)).await.unwrap();
    }
    let ram = ram.kill();
    let before = files(&ram);
    let report = verify(&on(&ram)).unwrap();
    assert_eq!(report.findings, []);
    assert!(before == files(&ram), "no file is other than it was, and there are no others");
}

/// Every file of the store itself and of its log.
fn files(ram: &Ram) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for directory in ["/store", "/store/log"] {
        for name in ram.list(directory.as_ref()).unwrap() {
            let path = format!("{directory}/{name}");
            // The others are directories.
            let Ok(file) = ram.open(path.as_ref(), Mode::Read) else { continue };
            let mut bytes = vec![0; file.size().unwrap() as usize];
            assert_eq!(file.read_at(&mut bytes, 0).unwrap(), bytes.len());
            files.push((path, bytes));
        }
    }
    files
}

/// A message that does not fit an ordinary segment makes the next one longer, also one that was made by an earlier life. When that is
/// not durable, no later message may be put there.
#[tokio::test]
async fn a_segment_that_could_not_be_made_longer_is_not_used() {
    let small = |ram: &Ram| Options { segment_size: 8 << 10, large_from: 64 << 10, ..on(ram) };
    let mut prepared = 0;
    for stop in 0..60 {
        let ram = Ram::default();
        ram.fault(Some(Fault::StoppedAt(stop)));
        if let Ok(store) = Local::open(small(&ram)) {
            for number in 0..4 {
                if send(&store, &content(number, 3_000)).await.is_err() {
                    break;
                }
            }
        }
        let ram = ram.kill();
        let store = Local::open(small(&ram)).unwrap();
        prepared += u64::from(last_segment_is_empty(&ram));
        ram.plan(ram.operations(), Wrong::Sync);
        let error = send(&store, &content(9, 20_000)).await.unwrap_err();
        assert!(matches!(error, Error::Fenced(_)), "{stop}: {error}");
        assert!(matches!(store.health(), Err(Error::Fenced(_))), "{stop}");
        assert!(send(&store, b"next").await.is_err(), "{stop}");
    }
    assert!(prepared > 0);
}

/// Whether the last of several segments has no record.
fn last_segment_is_empty(ram: &Ram) -> bool {
    let mut names = ram.list("/store/log".as_ref()).unwrap();
    names.sort();
    let Some(name) = names.iter().skip(1).last() else { return false };
    let file = ram.open(&std::path::Path::new("/store/log").join(name), Mode::Read).unwrap();
    let mut record = [0; 2];
    assert_eq!(file.read_at(&mut record, 32).unwrap(), 2);
    record == [0; 2]
}

#[tokio::test]
async fn a_full_disk_refuses_without_a_fence() {
    let ram = Ram::default();
    let store = Local::open(on(&ram)).unwrap();
    send(&store, b"first").await.unwrap();
    ram.fault(Some(Fault::Space));
    let mut refused = 0;
    for number in 0..40 {
        // Until the segment is full its space is ours; then the next one cannot be made.
        match send(&store, &content(number, 4000)).await {
            Ok(_) => assert_eq!(refused, 0),
            Err(Error::Full(_)) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(refused > 0 && refused < 40, "{refused}");
    assert!(matches!(send(&store, &content(99, 20_000)).await, Err(Error::Full(_))), "nor a large file");
    let before = inbox(&store).await.len();

    ram.fault(None);
    send(&store, b"there is room again").await.unwrap();
    assert_eq!(inbox(&store).await.len(), before + 1);
    store.close().await.unwrap();
    assert_eq!(verify(&on(&ram)).unwrap().findings, []);
}

#[tokio::test]
async fn too_little_free_space_is_said_early() {
    let ram = Ram::default();
    let store = Local::open(Options { reserve: u64::MAX, ..on(&ram) }).unwrap();
    assert!(store.health().is_ok(), "exactly the reserve is enough");
    drop(store);
    let directory = tempfile::tempdir().unwrap();
    let store = Local::open(small(directory.path())).unwrap();
    for number in 0..30 {
        send(&store, &content(number, 6_000)).await.unwrap();
    }
    store.close().await.unwrap();
    drop(store);
    let store = Local::open(Options { reserve: u64::MAX, ..small(directory.path()) }).unwrap();
    assert!(matches!(store.health(), Err(Error::Full(_))));
    assert!(matches!(store.stage().map(drop), Err(Error::Full(_))));
    // What makes room is still taken: deliveries are made, messages removed, and their space given back.
    store.can_settle().unwrap();
    let waiting = store.waiting(Timestamp(5), None, 10).await.unwrap();
    let claimed = store.claim(&waiting[0].queue, Timestamp(5), 100, Timestamp(10)).await.unwrap();
    assert_eq!(claimed.len(), 30);
    for claim in claimed {
        store.settle(claim.delivery.id, Outcome::delivered(Timestamp(6))).await.unwrap();
    }
    support::expunge(&store, 1..=28).await;
    assert!(store.reclaim().await.unwrap().is_some_and(|reclaimed| reclaimed.before > reclaimed.after));
    assert_eq!(read(&store, Uid(29)).await.unwrap(), content(28, 6_000));
    assert!(matches!(store.health(), Err(Error::Full(_))));
    store.remove_account(&alice()).await.unwrap();
}

/// What the outside world knows: what was acknowledged.
#[derive(Debug, Default)]
struct Known {
    /// By UID: the content, if it was not expunged.
    messages: Vec<Option<Vec<u8>>>,
    flagged: Vec<u32>,
    settled: u32,
    /// The change that was asked for last and not answered.
    in_doubt: bool,
}

/// Does the same things every time, until something fails.
async fn history(store: &Local, known: &mut Known) -> Result<()> {
    for number in 0..16u64 {
        let size = [10, 3_000, 7_000, 30_000][number as usize % 4];
        let content = content(number, size);
        known.in_doubt = true;
        let spool = send(store, &content).await?;
        known.messages.push(Some(content));
        let inbox = store.mailbox(&alice(), &MailboxName::inbox()).await?.id;
        let uid = number as u32 + 1;
        if number % 3 == 1 {
            store.update_flags(inbox, &[Uid(uid)], Flags::SEEN, Flags::default()).await?;
            known.flagged.push(uid);
        }
        if number % 5 == 2 {
            store.expunge(inbox, &[Uid(uid - 1)]).await?;
            known.messages[uid as usize - 2] = None;
        }
        if number % 4 == 3 {
            store.settle(DeliveryId { spool, recipient: 0 }, Outcome::delivered(Timestamp(50))).await?;
            known.settled += 1;
        }
        known.in_doubt = false;
    }
    Ok(())
}

/// Everything acknowledged is there; of what was in doubt, all or nothing.
async fn check(store: &Local, known: &Known, context: &str) {
    let entries = inbox(store).await;
    for (number, expected) in known.messages.iter().enumerate() {
        let uid = Uid(number as u32 + 1);
        match (read(store, uid).await, expected) {
            (Ok(content), Some(expected)) => assert!(content == *expected, "{context}: message {uid}"),
            (Err(Error::NoSuchMessage(_)), None) => {}
            // The expunge of a message was asked for and not answered.
            (Err(Error::NoSuchMessage(_)), Some(_)) if known.in_doubt => {}
            (Ok(_), None) => panic!("{context}: message {uid} came back"),
            (Err(error), _) => panic!("{context}: message {uid}: {error}"),
        }
    }
    for entry in &entries {
        let seen = entry.flags.contains(Flags::SEEN);
        assert!(seen || !known.flagged.contains(&entry.uid.0), "{context}: the flag of {}", entry.uid);
        // Whatever is visible is whole, acknowledged or not.
        read(store, entry.uid).await.unwrap_or_else(|error| panic!("{context}: {}: {error}", entry.uid));
    }
    let last = entries.last().map_or(0, |entry| entry.uid.0 as usize);
    assert!(last <= known.messages.len() + usize::from(known.in_doubt), "{context}: a message from nowhere");
    let queued = store.deliveries(None, usize::MAX).await.unwrap().len() + known.settled as usize;
    let doubt = usize::from(known.in_doubt);
    assert!(
        queued <= known.messages.len() + doubt && queued + doubt >= known.messages.len(),
        "{context}: {queued}"
    );
}

#[tokio::test]
async fn the_machine_may_stop_at_any_moment() {
    let ram = Ram::default();
    let mut known = Known::default();
    let store = Local::open(on(&ram)).unwrap();
    history(&store, &mut known).await.unwrap();
    store.close().await.unwrap();
    let operations = ram.operations();
    assert!(operations > 100, "{operations} operations");

    let mut cut = 0;
    for stop in 0..operations {
        let ram = Ram::default();
        let mut known = Known::default();
        ram.fault(Some(Fault::StoppedAt(stop)));
        if let Ok(store) = Local::open(on(&ram)) {
            let ended = history(&store, &mut known).await;
            assert_eq!(ended.is_err(), known.in_doubt);
        }
        let or_else = if stop % 2 == 0 { Keep::Everything } else { Keep::Some(stop + 1_000) };
        for keep in [Keep::Some(stop), if stop % 3 == 0 { Keep::Nothing } else { or_else }] {
            let context = format!("stopped at {stop}, kept {keep:?}");
            let after = ram.crash(keep);
            let store = Local::open(on(&after)).unwrap_or_else(|error| panic!("{context}: {error}"));
            cut += u64::from(store.recovery().torn > 0);
            check(&store, &known, &context).await;
            // And it goes on from there.
            send(&store, b"life goes on").await.unwrap_or_else(|error| panic!("{context}: {error}"));
            assert_eq!(store.next_due().await.unwrap(), Some(Timestamp(5)));
            store.close().await.unwrap();
            let report = verify(&on(&after)).unwrap();
            assert_eq!(report.findings, [], "{context}");
            assert_eq!(report.notes, [""; 0], "{context}");
        }
    }
    assert!(cut >= 5, "torn ends were met: {cut}");
}

#[tokio::test]
async fn a_crash_costs_the_index_only_what_came_after_its_last_checkpoint() {
    let ram = Ram::default();
    let store = Local::open(on(&ram)).unwrap();
    for number in 0..60 {
        send(&store, &content(number, 6000)).await.unwrap();
    }
    // A checkpoint comes with each new segment; there was no other, and no close.
    let after = Local::open(on(&ram.crash(Keep::Nothing))).unwrap();
    let recovery = after.recovery();
    assert_eq!(recovery.rebuilt, None);
    assert!((1..=12).contains(&recovery.replayed), "{recovery:?}");
    assert_eq!(inbox(&after).await.len(), 60);
}

/// The control: if syncs do nothing the test above must notice, or it proves nothing.
#[tokio::test]
async fn without_syncs_a_crash_loses_mail() {
    let ram = Ram::default();
    let store = Local::open(on(&ram)).unwrap();
    send(&store, b"kept").await.unwrap();
    ram.fault(Some(Fault::SyncsLie));
    send(&store, b"lost").await.unwrap();
    let store = Local::open(on(&ram.crash(Keep::Nothing))).unwrap();
    assert_eq!(inbox(&store).await.len(), 1);
}
