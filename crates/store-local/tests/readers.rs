//! What readers do with their mailboxes, with the machine stopped at any moment: each act happened or did not, also after space was
//! reclaimed and without an index. What should be there the model in memory says.

mod support;

use bytes::Bytes;
use posthaste_store_local::{Files, Local, Options, Work, verify};
use sim::disk::{Disk as Ram, Fault, Keep};
use std::path::Path;
use std::sync::Arc;
use store::memory::Memory;
use store::{
    Flags, Keyword, KeywordSet, MailboxId, MailboxName, Mailboxes, Marking, Marks, NewMessage, Origin,
    Originals, Result, SpecialUse, Spool, Store, Timestamp, Uid,
};
use support::{alice, content, small};

fn on(ram: &Ram) -> Options {
    Options { files: Arc::new(ram.clone()), segment_size: 16 << 10, ..small("/store") }
}

fn name(text: &str) -> MailboxName {
    MailboxName::new(text).expect("a valid name")
}

fn marks(flags: Flags, keywords: &[&str]) -> Marks {
    let keywords = keywords.iter().map(|text| Keyword::new(text).expect("a keyword")).collect();
    Marks { flags, keywords }
}

async fn mailbox(store: &dyn Store, text: &str) -> Result<MailboxId> {
    Ok(store.mailbox(&alice(), &name(text)).await?.id)
}

/// One act of many, the same every time.
async fn act(store: &dyn Store, number: u64) -> Result<()> {
    let inbox = if number > 0 { mailbox(store, "INBOX").await? } else { MailboxId(0) };
    let has_archive = number > 2 && number != 10;
    let archive = if has_archive { mailbox(store, "Archive").await? } else { inbox };
    match number {
        0 => store.create_account(&alice(), Origin::Added).await.map(drop),
        1 => append(store, inbox, &[(10, &["a"]), (3_000, &[]), (9_000, &["b", "a"])]).await,
        2 => store.create_mailbox(&alice(), &name("Archive"), Some(SpecialUse::Archive)).await.map(drop),
        3 => store.copy(inbox, &[Uid(1), Uid(3)], archive, Originals::Stay).await.map(drop),
        4 => store.mark(archive, &[Uid(1)], Marking::add(marks(Flags::DELETED, &["c"]))).await.map(drop),
        5 => store.copy(inbox, &[Uid(2)], archive, Originals::Go).await.map(drop),
        6 => store.expunge_deleted(archive, &[Uid(1)..=Uid(9)]).await.map(drop),
        7 => append(store, archive, &[(2_000, &["d"]), (12_000, &[])]).await,
        8 => store.subscribe(&alice(), &name("Archive/old")).await,
        9 => store.rename_mailbox(&alice(), &name("Archive"), &name("Kept/here")).await,
        10 => store.create_mailbox(&alice(), &name("Archive"), None).await.map(drop),
        11 => store.rename_mailbox(&alice(), &name("INBOX"), &name("Kept")).await,
        12 => store.copy(mailbox(store, "Kept").await?, &[Uid(1)], archive, Originals::Go).await.map(drop),
        13 => append(store, archive, &[(6_000, &["e"])]).await,
        14 => store.delete_mailbox(&alice(), &name("Kept/here")).await,
        15 => store.expunge(archive, &[Uid(1)]).await.map(drop),
        16 => store.unsubscribe(&alice(), &name("Archive/old")).await,
        17 => store.mark(archive, &[Uid(2)], Marking::replace(marks(Flags::SEEN, &["f"]))).await.map(drop),
        18 => store.set_special_use(&alice(), &name("Archive"), Some(SpecialUse::Archive)).await,
        19 => append(store, inbox, &[(7_000, &[])]).await,
        _ => store.delete_mailbox(&alice(), &name("Kept")).await,
    }
}

const ACTS: u64 = 21;

async fn append(store: &dyn Store, to: MailboxId, messages: &[(usize, &[&str])]) -> Result<()> {
    let mut new = Vec::new();
    for (number, (size, keywords)) in messages.iter().enumerate() {
        let mut stage = store.stage()?;
        stage.append(Bytes::from(content(number as u64, *size))).await?;
        let received = Timestamp(1_000 + number as i64);
        new.push(NewMessage { stage, received, marks: marks(Flags::FLAGGED, keywords) });
    }
    store.append(to, new).await.map(drop)
}

/// A mailbox as its reader sees it, and its entries.
type Seen = (String, Uid, bool, Option<SpecialUse>, Vec<Keyword>, Vec<(Uid, Flags, KeywordSet, Vec<u8>)>);

async fn seen(store: &dyn Store) -> (Vec<Seen>, Vec<MailboxName>) {
    let Ok(mailboxes) = store.mailboxes(&alice()).await else { return (Vec::new(), Vec::new()) };
    let mut all = Vec::new();
    for status in mailboxes {
        let mut entries = Vec::new();
        for entry in store.entries(status.id, Uid(0), usize::MAX).await.expect("entries can be read") {
            let (_, reader) = store.fetch(status.id, entry.uid).await.expect("what is visible is whole");
            let text = reader.read_all(1 << 20).await.expect("what is visible is whole");
            entries.push((entry.uid, entry.flags, entry.keywords, text));
        }
        let (name, next) = (status.name.to_string(), status.uid_next);
        all.push((name, next, status.subscribed, status.special_use, status.keywords, entries));
    }
    (all, store.subscriptions(&alice()).await.expect("the account is there"))
}

#[tokio::test]
async fn the_machine_may_stop_in_the_middle_of_each_act() {
    let model = Memory::new(|| Timestamp(1_700_000_000_000));
    let mut expected = vec![seen(&model).await];
    for number in 0..ACTS {
        act(&model, number).await.expect("the model can do it");
        expected.push(seen(&model).await);
    }
    let ram = Ram::default();
    let store = Local::open(on(&ram)).unwrap();
    for number in 0..ACTS {
        act(&store, number).await.unwrap_or_else(|error| panic!("act {number}: {error}"));
    }
    store.close().await.unwrap();
    // Each act takes some operations: every one of them is met, many at several points.
    for stop in (0..ram.operations()).step_by(3) {
        let ram = Ram::default();
        ram.fault(Some(Fault::StoppedAt(stop)));
        let mut done = 0;
        if let Ok(store) = Local::open(on(&ram)) {
            while done < ACTS && act(&store, done).await.is_ok() {
                done += 1;
            }
        }
        let after = ram.crash(if stop % 2 == 0 { Keep::Nothing } else { Keep::Some(stop) });
        let context = format!("stopped at {stop}, after {done} acts");
        let store = Local::open(on(&after)).unwrap_or_else(|error| panic!("{context}: {error}"));
        let now = seen(&store).await;
        let all_or_nothing = [&expected[done as usize], &expected[(done + 1).min(ACTS) as usize]];
        assert!(all_or_nothing.contains(&&now), "{context}: {now:?}");
        // And it goes on from there.
        let from = expected.iter().rposition(|state| *state == now).expect("it is one of those") as u64;
        for number in from..ACTS {
            act(&store, number).await.unwrap_or_else(|error| panic!("{context}: act {number}: {error}"));
        }
        assert!(seen(&store).await == expected[ACTS as usize], "{context}");
        while store.reclaim().await.unwrap().is_some() {}
        store.close().await.unwrap();
        let report = verify(&on(&after)).unwrap();
        assert_eq!((report.findings, report.notes), (vec![], vec![]), "{context}");
        after.remove(Path::new("/store/index.redb")).unwrap();
        let store = Local::open(on(&after)).unwrap();
        assert!(seen(&store).await == expected[ACTS as usize], "{context}: made anew");
    }
}

/// What mail creates while its reader renames and removes is never lost.
#[tokio::test(flavor = "multi_thread")]
async fn readers_do_not_get_in_each_others_way() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { work: Work::Threads, ..small(directory.path()) };
    let store = Arc::new(Local::open(options).unwrap());
    let shared: Arc<dyn Store> = store.clone();
    act(&*shared, 0).await.unwrap();
    let inbox = mailbox(&*shared, "INBOX").await.unwrap();
    let other = shared.create_mailbox(&alice(), &name("Other"), None).await.unwrap().id;
    for _ in 0..20 {
        support::send(&store, b"a message").await.unwrap();
    }
    let mut tasks = tokio::task::JoinSet::new();
    for worker in 0..4u8 {
        let shared = shared.clone();
        tasks.spawn(async move {
            for round in 0..25 {
                let (from, to) = if (round + worker) % 2 == 0 { (inbox, other) } else { (other, inbox) };
                let uids: Vec<Uid> =
                    shared.roll(from).await.unwrap().marks.iter().map(|mark| mark.uid).take(3).collect();
                shared.mark(from, &uids, Marking::add(Flags(1 << worker))).await.unwrap();
                shared.copy(from, &uids, to, Originals::Go).await.unwrap();
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let (one, two) = (shared.roll(inbox).await.unwrap(), shared.roll(other).await.unwrap());
    assert_eq!(one.marks.len() + two.marks.len(), 20, "none was lost and none came twice");
    let usage = store::Directory::standing(&*store, &alice()).await.unwrap().unwrap().usage;
    assert_eq!((usage.messages, usage.bytes), (20, one.status.bytes + two.status.bytes));
    shared.close().await.unwrap();
}

/// What takes most of the space.
const DYING: [(usize, &[&str]); 12] = [(3_000, &[]); 12];

/// How a message goes from one mailbox to the next.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    Moved,
    CopiedAndExpunged,
    /// And the mailbox that it came from is deleted.
    MovedAndDeleted,
}

async fn hop(store: &Local, (from, to): (&str, &str), uid: Uid, way: Way) {
    let (source, target) = (mailbox(store, from).await.unwrap(), mailbox(store, to).await.unwrap());
    let originals = if way == Way::CopiedAndExpunged { Originals::Stay } else { Originals::Go };
    store.copy(source, &[uid], target, originals).await.unwrap();
    if way == Way::CopiedAndExpunged {
        store.expunge(source, &[uid]).await.unwrap();
    }
    if way == Way::MovedAndDeleted && from != "INBOX" {
        store.delete_mailbox(&alice(), &name(from)).await.unwrap();
    }
}

/// The same store with an index made anew; everything is in it as before.
async fn without_index(store: Local, ram: &Ram, way: Way) -> Local {
    let before = (seen(&store).await, store.mailboxes(&alice()).await.unwrap());
    store.close().await.unwrap();
    drop(store);
    ram.remove(Path::new("/store/index.redb")).unwrap();
    let store = Local::open(on(ram)).unwrap();
    let after = (seen(&store).await, store.mailboxes(&alice()).await.unwrap());
    assert!(after == before, "{way:?}: {:?}, not {:?}", after.1, before.1);
    store
}

/// Where a message came through is not forgotten while it is alive: an index made anew finds it where it went.
#[tokio::test]
async fn a_message_that_went_on_is_there_after_reclamation_without_an_index() {
    for way in [Way::Moved, Way::CopiedAndExpunged, Way::MovedAndDeleted] {
        let ram = Ram::default();
        let store = Local::open(on(&ram)).unwrap();
        act(&store, 0).await.unwrap();
        let inbox = mailbox(&store, "INBOX").await.unwrap();
        for text in ["B", "C"] {
            store.create_mailbox(&alice(), &name(text), None).await.unwrap();
        }
        append(&store, inbox, &[(1_000, &["a"])]).await.unwrap();
        // What dies is around the first step.
        append(&store, inbox, &DYING).await.unwrap();
        hop(&store, ("INBOX", "B"), Uid(1), way).await;
        append(&store, inbox, &DYING).await.unwrap();
        hop(&store, ("B", "C"), Uid(1), way).await;
        let dead: Vec<Uid> = (2..=25).map(Uid).collect();
        store.expunge(inbox, &dead).await.unwrap();
        append(&store, inbox, &DYING).await.unwrap();
        let mut reclaimed = 0;
        while let Some(step) = store.reclaim().await.unwrap() {
            reclaimed += step.segments;
        }
        assert!(reclaimed >= 4, "{way:?}: {reclaimed}");
        let store = without_index(store, &ram, way).await;
        let there = mailbox(&store, "C").await.unwrap();
        let (_, reader) = store.fetch(there, Uid(1)).await.unwrap();
        assert!(reader.read_all(1 << 20).await.unwrap() == content(0, 1_000), "{way:?}");

        // When it is gone at last so is every step, whatever is rewritten.
        store.expunge(there, &[Uid(1)]).await.unwrap();
        store.expunge(inbox, &(26..=37).map(Uid).collect::<Vec<_>>()).await.unwrap();
        append(&store, inbox, &DYING).await.unwrap();
        while store.reclaim().await.unwrap().is_some() {}
        without_index(store, &ram, way).await;
    }
}
