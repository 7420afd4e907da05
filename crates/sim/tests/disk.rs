//! Every single thing that can go wrong with a disk, at every operation of a history in which mail comes, goes, and its space is
//! reclaimed: then the store is opened anew, and what it had acknowledged must be there.

#![forbid(unsafe_code)]

use bytes::Bytes;
use sim::disk::{Disk, Injected, Keep, Wrong};
use std::collections::BTreeMap;
use std::io::IoSlice;
use std::path::Path;
use std::sync::Arc;
use store::{
    Accepted, AccountName, Destination, Error, IfFull, IfMissing, MailboxId, MailboxName, Mailboxes,
    NewDelivery, Result, Spool, Timestamp, Uid,
};
use store_local::{Files, Local, Mode, Options, Work, verify};

fn options(disk: &Disk) -> Options {
    Options {
        files: Arc::new(disk.clone()),
        segment_size: 8 << 10,
        large_from: 8 << 10,
        reserve: 0,
        index_cache: 1 << 20,
        work: Work::Caller,
        clock: Arc::new(|| Timestamp(1_700_000_000_000)),
        ..Options::new("/store")
    }
}

fn account(name: &str) -> AccountName {
    AccountName::parse(name).expect("a valid name")
}

const MESSAGES: usize = 10;
const ACCOUNTS: [&str; 2] = ["alice@example.org", "bob@example.org"];
const TRACE: &[u8] = b"Delivered-To: somebody\r\n";

/// A content that is different for each number, and says which it is.
fn content(number: usize) -> Vec<u8> {
    let size = [40, 3_000, 7_000, 20_000][number % 4];
    let mut content = format!("{number:06} ").repeat(size / 7 + 1).into_bytes();
    content.truncate(size);
    content
}

async fn send(store: &Local, number: usize) -> Result<()> {
    let mut stage = store.stage()?;
    for chunk in content(number).chunks(3_000) {
        stage.append(Bytes::copy_from_slice(chunk)).await?;
    }
    let destination = |name: &&str| Destination::Mailbox {
        account: account(name),
        mailbox: MailboxName::inbox(),
        if_missing: IfMissing::Create,
        if_full: IfFull::Fail,
        trace: Bytes::from_static(TRACE),
    };
    let recipients =
        ACCOUNTS.iter().map(|name| smtp::Recipient::new(format!("<{name}>").parse().expect("a path")));
    let delivery = |(number, name)| NewDelivery { recipient: number as u32, destination: destination(name) };
    let accepted = Accepted {
        received: Timestamp(1_700_000_000_000),
        envelope: smtp::Envelope::new(smtp::ReversePath::Null, recipients.collect()),
        trace: Bytes::new(),
        deliveries: ACCOUNTS.iter().enumerate().map(delivery).collect(),
    };
    stage.commit(accepted).await.map(drop)
}

/// What the outside world knows of a store.
#[derive(Debug, Clone, Default)]
struct Known {
    /// Message and account.
    acknowledged: Vec<(usize, usize)>,
    expunged: Vec<(usize, Uid)>,
    /// Segments whose space was given back.
    reclaimed: u64,
    /// Which message was seen under which UID of which account.
    seen: BTreeMap<(usize, u32), usize>,
}

/// Does the same things every time; returns how many messages were acknowledged. What fails is not asked for again; the rest goes on.
async fn history(store: &Local, known: &mut Known, from: usize) -> usize {
    let mut acknowledged = 0;
    for number in from..from + MESSAGES {
        if send(store, number).await.is_ok() {
            acknowledged += 1;
            known.acknowledged.extend([(number, 0), (number, 1)]);
        }
        if number % 2 == 1 && store.health().is_ok() {
            expunge(store, known, 0).await;
            expunge(store, known, 1).await;
        }
        if number % 3 == 2 {
            reclaim(store, known).await;
        }
    }
    acknowledged
}

async fn reclaim(store: &Local, known: &mut Known) {
    loop {
        match store.reclaim().await {
            Ok(None) => break,
            Ok(Some(reclaimed)) => known.reclaimed += reclaimed.segments,
            Err(Error::Damaged(what)) => panic!("a disk that fails is no damage: {what}"),
            Err(_) => break,
        }
    }
}

/// Expunges the first entry of an account.
async fn expunge(store: &Local, known: &mut Known, of: usize) {
    let (inbox, first, text) = match first(store, of).await {
        Ok(Some(found)) => found,
        Ok(None) | Err(Error::NoSuchAccount(_)) => return,
        // A disk that cannot be read: that is what is said then, and nothing else.
        Err(Error::Io { .. }) => return,
        Err(error) => panic!("{error}"),
    };
    let number = number_of(&text);
    // Whether that is answered or not, the entry may be gone from here on.
    known.acknowledged.retain(|acknowledged| *acknowledged != (number, of));
    if store.expunge(inbox, &[first]).await.is_ok() {
        known.expunged.push((of, first));
    }
}

/// The first entry of an account.
async fn first(store: &Local, of: usize) -> Result<Option<(MailboxId, Uid, Vec<u8>)>> {
    let inbox = store.mailbox(&account(ACCOUNTS[of]), &MailboxName::inbox()).await?;
    let Some(entry) = store.entries(inbox.id, Uid(0), 1).await?.pop() else { return Ok(None) };
    let (_, reader) = store.fetch(inbox.id, entry.uid).await?;
    Ok(Some((inbox.id, entry.uid, reader.read_all(1 << 20).await?)))
}

/// Which message this text is, after a check that it is whole.
fn number_of(text: &[u8]) -> usize {
    let body = text.strip_prefix(TRACE).expect("the trace comes first");
    let number = std::str::from_utf8(&body[..6]).expect("digits").parse().expect("a number");
    assert!(body == content(number), "message {number} is torn");
    number
}

async fn check(store: &Local, known: &mut Known, context: &str) {
    for (of, name) in ACCOUNTS.iter().enumerate() {
        let mut found = Vec::new();
        let entries = match store.mailbox(&account(name), &MailboxName::inbox()).await {
            Ok(inbox) => store.entries(inbox.id, Uid(0), usize::MAX).await.expect("entries can be read"),
            Err(Error::NoSuchAccount(_)) => Vec::new(),
            Err(error) => panic!("{context}: {error}"),
        };
        assert!(entries.windows(2).all(|pair| pair[0].uid < pair[1].uid), "{context}: UIDs ascend");
        for entry in entries {
            let id = store.mailbox(&account(name), &MailboxName::inbox()).await.expect("it is there").id;
            let (_, reader) = store.fetch(id, entry.uid).await.expect("an entry can be read");
            let number = number_of(&reader.read_all(1 << 20).await.expect("a text can be read"));
            assert!(!found.contains(&number), "{context}: message {number} is there twice");
            assert!(!known.expunged.contains(&(of, entry.uid)), "{context}: {} came back", entry.uid);
            let before = known.seen.insert((of, entry.uid.0), number);
            assert!(before.is_none_or(|before| before == number), "{context}: {} was given twice", entry.uid);
            found.push(number);
        }
        for (number, _) in known.acknowledged.iter().filter(|(_, to)| *to == of) {
            assert!(found.contains(number), "{context}: message {number} for {name} is lost");
        }
    }
}

/// One thing goes wrong at an operation, the first from this one on that it can happen to; then the machine stops, and the store goes
/// on from what is left. Returns that operation.
async fn survives(wrong: Wrong, operation: u64, keep: Keep, injected: &mut Injected) -> Option<u64> {
    let context = format!("{wrong:?} at {operation}, kept {keep:?}");
    let mut disk = Disk::default();
    disk.plan(operation, wrong);
    let mut known = Known::default();
    // Opening may meet the fault; then another process tries it once more, as an operator would.
    for from in [0, 100] {
        let Ok(store) = Local::open(options(&disk)) else {
            disk = disk.freeze();
            continue;
        };
        history(&store, &mut known, from).await;
        if store.health().is_ok() {
            check(&store, &mut known, &context).await;
        }
        break;
    }
    let happened = disk.happened();
    // First the process ends and another one goes on, on what may not be durable; then the power fails.
    let disk = if disk.has_stopped() { disk } else { after_a_kill(&disk, &mut known, &context).await };
    goes_on(&disk.crash(keep), &mut known, &context, injected).await;
    happened
}

/// What a crash has left is whole, and it can be gone on with.
async fn goes_on(after: &Disk, known: &mut Known, context: &str, injected: &mut Injected) {
    let store = Local::open(options(after)).unwrap_or_else(|error| panic!("{context}: {error}"));
    check(&store, known, context).await;
    assert_eq!(history(&store, known, 200).await, MESSAGES, "{context}: it goes on");
    check(&store, known, context).await;
    store.close().await.expect("a store on a good disk closes");
    let report = verify(&options(after)).expect("it can be verified");
    assert_eq!(report.findings, [], "{context}");
    *injected += after.injected();
}

async fn after_a_kill(disk: &Disk, known: &mut Known, context: &str) -> Disk {
    let disk = disk.kill();
    let store = Local::open(options(&disk)).unwrap_or_else(|error| panic!("{context}, killed: {error}"));
    check(&store, known, context).await;
    history(&store, known, 150).await;
    check(&store, known, context).await;
    // Not closed: what the index has not written is lost as well.
    let after = disk.kill();
    drop(store);
    after
}

async fn survives_everywhere(wrong: Wrong) -> Injected {
    let disk = Disk::default();
    let store = Local::open(options(&disk)).expect("a store");
    let mut known = Known::default();
    history(&store, &mut known, 0).await;
    drop(store);
    let operations = disk.operations();
    assert!(operations > 80 && known.reclaimed >= 2, "{operations} operations, {known:?}");
    let mut injected = Injected::default();
    let (mut next, mut count) = (0, 0);
    while next < operations {
        let keep = [Keep::Some(next), Keep::Nothing, Keep::Some(next + 10_000)][count % 3];
        let Some(happened) = survives(wrong, next, keep, &mut injected).await else { break };
        (next, count) = (happened + 1, count + 1);
    }
    println!("{wrong:?} at {count} of {operations} operations: {injected}");
    injected
}

#[tokio::test]
async fn the_machine_stops() {
    let injected = survives_everywhere(Wrong::Stop).await;
    assert!(injected.stops > 50 && injected.files_torn > 10 && injected.names_lost > 10, "{injected}");
}

/// A process ends in the middle of an operation; the next one takes one message or two, and then the power fails: what it built upon must be
/// durable, though it was not the one that wrote it.
#[tokio::test]
async fn a_process_ends_and_soon_after_the_power() {
    let disk = Disk::default();
    let store = Local::open(options(&disk)).expect("a store");
    history(&store, &mut Known::default(), 0).await;
    drop(store);
    let mut injected = Injected::default();
    // A second message may go to a segment of its own, whose making would sync the directory of the one before.
    for (operation, messages) in (0..disk.operations()).flat_map(|operation| [(operation, 1), (operation, 2)])
    {
        let context = format!("ended at {operation}, then {messages}");
        let (disk, mut known) = (Disk::default(), Known::default());
        disk.plan(operation, Wrong::Stop);
        if let Ok(store) = Local::open(options(&disk)) {
            history(&store, &mut known, 0).await;
        }
        let disk = disk.kill();
        let store = Local::open(options(&disk)).unwrap_or_else(|error| panic!("{context}: {error}"));
        check(&store, &mut known, &context).await;
        for number in 150..150 + messages {
            send(&store, number).await.unwrap_or_else(|error| panic!("{context}: {error}"));
            known.acknowledged.extend([(number, 0), (number, 1)]);
        }
        let after = disk.crash(Keep::Nothing);
        drop(store);
        goes_on(&after, &mut known, &context, &mut injected).await;
    }
    assert!(injected.names_lost > 0, "{injected}");
}

/// A process ends before it has synced what it wrote, the opening by the next one fails at a sync, and then the power fails: the index may
/// have come to the disk when it was dropped, and must not know more than the log has.
#[tokio::test]
async fn an_opening_fails_and_then_the_power() {
    let disk = Disk::default();
    let store = Local::open(options(&disk)).expect("a store");
    history(&store, &mut Known::default(), 0).await;
    drop(store);
    let (mut injected, mut failed) = (Injected::default(), 0);
    for operation in disk.operations() / 2..disk.operations() {
        let (disk, mut known) = (Disk::default(), Known::default());
        disk.plan(operation, Wrong::Stop);
        if let Ok(store) = Local::open(options(&disk)) {
            history(&store, &mut known, 0).await;
        }
        let killed = disk.kill();
        for later in 8..12 {
            let context = format!("ended at {operation}, then a sync fails from {later} on");
            let disk = killed.freeze();
            disk.plan(disk.operations() + later, Wrong::Sync);
            if Local::open(options(&disk)).is_err() {
                failed += 1;
                // What the failed sync has forgotten of the log is lost even where everything else is kept.
                let after = disk.crash(Keep::Everything);
                goes_on(&after, &mut known.clone(), &context, &mut injected).await;
            }
        }
    }
    assert!(failed > 20, "{failed}");
}

#[tokio::test]
async fn a_write_fails() {
    let injected = survives_everywhere(Wrong::Write).await;
    assert!(injected.write_errors > 50, "{injected}");
}

#[tokio::test]
async fn a_sync_fails() {
    let injected = survives_everywhere(Wrong::Sync).await;
    assert!(injected.sync_errors > 50 && injected.files_torn > 2, "{injected}");
}

#[tokio::test]
async fn the_disk_is_full_for_a_moment() {
    let injected = survives_everywhere(Wrong::Full).await;
    assert!(injected.full > 30, "{injected}");
}

#[tokio::test]
async fn a_name_is_not_made_changed_or_removed() {
    let injected = survives_everywhere(Wrong::Name).await;
    assert!(injected.name_errors > 20, "{injected}");
}

/// The disk itself: what a failed sync of a directory was for does not become durable because a second one says so.
#[test]
fn a_failed_sync_of_a_directory_is_not_made_good_by_another() {
    let (disk, store) = (Disk::default(), Path::new("/store"));
    disk.create_dir(store).expect("a directory");
    disk.sync_dir(store).expect("it is synced");
    let make = |name: &str| drop(disk.open(&store.join(name), Mode::Create).expect("a file"));
    ["a", "b", "c"].into_iter().for_each(make);
    disk.plan(disk.operations(), Wrong::Sync);
    assert!(disk.sync_dir(store).is_err());
    make("d");
    disk.sync_dir(store).expect("it says that all is well");
    let names = |disk: &Disk| disk.list(store).expect("it is there");
    assert_eq!(names(&disk), ["a", "b", "c", "d"], "nobody sees anything");
    assert_eq!(names(&disk.crash(Keep::Everything)), ["b", "d"]);
    assert_eq!(names(&disk.kill()), ["b", "d"]);
    disk.rename(&store.join("a"), &store.join("e")).expect("a new name");
    disk.sync_dir(store).expect("that is new, and durable now");
    assert_eq!(names(&disk.crash(Keep::Nothing)), ["b", "d", "e"]);
}

/// The disk itself: what is planned for a write meets a write of which a part can be taken, and nothing else.
#[test]
fn a_short_write_is_one() {
    let (disk, store) = (Disk::default(), Path::new("/store"));
    disk.create_dir(store).expect("a directory");
    let file = disk.open(&store.join("a"), Mode::Create).expect("a file");
    disk.plan(0, Wrong::Short);
    file.allocate(100).expect("room");
    file.truncate(50).expect("less room");
    assert_eq!(file.write_vectored_at(&[IoSlice::new(b"x")], 0).expect("a byte"), 1);
    assert_eq!((disk.happened(), disk.injected().short_writes), (None, 0));
    let written = file.write_vectored_at(&[IoSlice::new(b"several")], 0).expect("a part");
    assert!((1..7).contains(&written), "{written}");
    assert_eq!(disk.injected().short_writes, 1);
}

#[tokio::test]
async fn a_write_takes_only_a_part() {
    let injected = survives_everywhere(Wrong::Short).await;
    assert!(injected.short_writes > 50, "{injected}");
}

/// One read fails. It may fail a request, an opening or a reclamation, and must change nothing.
async fn survives_a_failed_read(read: u64, injected: &mut Injected) {
    let context = format!("read {read}");
    let disk = Disk::default();
    disk.plan_read(read);
    let mut known = Known::default();
    let store = Local::open(options(&disk)).or_else(|error| {
        assert!(matches!(error, Error::Io { .. }), "{context}: {error}");
        Local::open(options(&disk))
    });
    let store = store.unwrap_or_else(|error| panic!("{context}: {error}"));
    history(&store, &mut known, 0).await;
    let mut disk = disk.clone();
    if read.is_multiple_of(2) {
        disk = disk.kill();
    }
    drop(store);
    // What was begun before the read failed is now read again: by an opening that replays, or by one that need not.
    for from in [100, 150] {
        disk.plan_nothing();
        let store = Local::open(options(&disk)).unwrap_or_else(|error| panic!("{context}: {error}"));
        check(&store, &mut known, &context).await;
        disk.plan_read(disk.reads() + read / 2);
        history(&store, &mut known, from).await;
    }
    goes_on(&disk.crash(Keep::Some(read)), &mut known, &context, injected).await;
}

/// An opening that reads much of the log, with each of its reads failing in turn: what cannot be read is not the end of the log.
#[tokio::test]
async fn a_read_fails_while_a_store_is_opened() {
    let (disk, mut known) = (Disk::default(), Known::default());
    let store = Local::open(options(&disk)).expect("a store");
    history(&store, &mut known, 0).await;
    let killed = disk.kill();
    drop(store);
    let whole = killed.freeze();
    drop(Local::open(options(&whole)).expect("it opens"));
    let (mut injected, mut refused) = (Injected::default(), 0);
    for read in killed.reads()..whole.reads() {
        let (context, disk, mut known) = (format!("read {read}"), killed.freeze(), known.clone());
        disk.plan_read(read);
        match Local::open(options(&disk)) {
            Ok(store) => check(&store, &mut known, &context).await,
            Err(Error::Io { .. }) => refused += 1,
            Err(error) => panic!("{context}: {error}"),
        }
        disk.plan_nothing();
        goes_on(&disk.kill(), &mut known, &context, &mut injected).await;
    }
    assert!(refused > 3, "{refused}");
}

#[tokio::test]
async fn a_read_fails() {
    let disk = Disk::default();
    let store = Local::open(options(&disk)).expect("a store");
    history(&store, &mut Known::default(), 0).await;
    drop(store);
    let reads = disk.reads();
    assert!(reads > 30, "{reads} reads");
    let mut injected = Injected::default();
    for read in 0..reads {
        survives_a_failed_read(read, &mut injected).await;
    }
    println!("each of {reads} reads: {injected}");
    assert!(injected.read_errors > reads, "{injected}");
}
