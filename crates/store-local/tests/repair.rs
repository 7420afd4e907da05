//! Salvaging a damaged store into a new one.

mod support;

use posthaste_store_local::{Local, Options, Repaired, repair, restore, verify};
use std::fs;
use std::path::{Path, PathBuf};
use store::{
    AccountName, Adjustment, Attempt, DeliveryId, Directory, Entry, Error, Flags, Hold, Keyword, MailboxName,
    Mailboxes, Marking, Marks, Originals, Outcome, Pause, PauseScope, SpecialUse, Spool, Timestamp, Uid,
    UidValidity,
};
use support::{alice, content, frame, inbox, inbox_name, read, send, small};
use tempfile::TempDir;

const MESSAGES: u32 = 100;

/// A closed store of several segments, and what is in it.
struct Fixture {
    directory: TempDir,
    validity: UidValidity,
    entries: Vec<Entry>,
    queued: Vec<DeliveryId>,
}

/// Message `n` has UID `n + 1`; some are large.
fn content_of(number: u32) -> Vec<u8> {
    content(u64::from(number), [300, 5_000, 2_000, 20_000][number as usize % 4])
}

impl Fixture {
    async fn new() -> Fixture {
        let directory = tempfile::tempdir().unwrap();
        let store = Local::open(small(directory.path().join("old"))).unwrap();
        store
            .create_account(&AccountName::parse("bob@example.org").unwrap(), store::Origin::Added)
            .await
            .unwrap();
        for number in 0..MESSAGES {
            let spool = send(&store, &content_of(number)).await.unwrap();
            let id = store.mailbox(&alice(), &inbox_name()).await.unwrap().id;
            if number % 3 == 1 {
                store.update_flags(id, &[Uid(number + 1)], Flags::SEEN, Flags::default()).await.unwrap();
            }
            if number % 5 == 2 {
                store.expunge(id, &[Uid(number)]).await.unwrap();
            }
            if number % 2 == 0 {
                store
                    .settle(DeliveryId { spool, recipient: 0 }, Outcome::delivered(store::Timestamp(50)))
                    .await
                    .unwrap();
            }
        }
        let status = store.mailbox(&alice(), &inbox_name()).await.unwrap();
        let (entries, queued) = (inbox(&store).await, queue(&store).await);
        store.close().await.unwrap();
        Fixture { directory, validity: status.uid_validity, entries, queued }
    }

    fn old(&self) -> Options {
        small(self.directory.path().join("old"))
    }

    fn new_store(&self) -> Options {
        small(self.directory.path().join("new"))
    }

    fn segment(&self, number: u32) -> PathBuf {
        self.old().directory.join(format!("log/{number:08}.seg"))
    }

    fn segments(&self) -> u32 {
        (1..).find(|number| !self.segment(*number).exists()).unwrap() - 1
    }

    /// Repairs it; the old store is as it was, and the new one verifies clean and goes on.
    async fn repaired(&self) -> Repaired {
        let before = files_of(&self.old().directory);
        let repaired = repair(&self.old(), &self.new_store().directory).unwrap();
        assert!(files_of(&self.old().directory) == before, "the old store was touched");
        let report = verify(&self.new_store()).unwrap();
        assert_eq!((report.findings, report.notes), (vec![], vec![]));
        assert_eq!(repaired.stats.messages, report.messages);
        repaired
    }

    /// What is in the new store is as it was; returns which UIDs are missing.
    async fn missing(&self) -> Vec<u32> {
        let store = Local::open(self.new_store()).unwrap();
        let found = inbox(&store).await;
        let mut missing = Vec::new();
        for entry in &self.entries {
            match found.iter().find(|found| found.uid == entry.uid) {
                None => missing.push(entry.uid.0),
                Some(found) => {
                    assert_eq!(
                        (found.flags, found.size, found.spool),
                        (entry.flags, entry.size, entry.spool)
                    );
                    assert!(read(&store, entry.uid).await.unwrap() == content_of(entry.uid.0 - 1));
                }
            }
        }
        for entry in &found {
            assert!(self.entries.iter().any(|old| old.uid == entry.uid), "{} came back", entry.uid);
        }
        let status = store.mailbox(&alice(), &inbox_name()).await.unwrap();
        assert_eq!(status.uid_validity, self.validity);
        assert!(status.uid_next.0 > MESSAGES, "no UID is given twice");
        store.account(&AccountName::parse("bob@example.org").unwrap()).await.unwrap().expect("bob");
        // The queue as well: what was settled stays so.
        let lost = |id: &&DeliveryId| {
            !self.entries.iter().any(|e| e.spool == id.spool && missing.contains(&e.uid.0))
        };
        let queued = queue(&store).await;
        let expected: Vec<DeliveryId> = self.queued.iter().filter(lost).copied().collect();
        assert!(queued.iter().all(|id| self.queued.contains(id)), "a delivery came back");
        for id in expected {
            // A queued delivery of a message that was removed from the mailbox may be lost too.
            let in_mailbox = self.entries.iter().any(|entry| entry.spool == id.spool);
            assert!(queued.contains(&id) || !in_mailbox, "{id:?}");
        }
        send(&store, b"it goes on").await.unwrap();
        let last = inbox(&store).await.pop().unwrap();
        assert!(last.uid.0 > MESSAGES);
        assert_eq!(read(&store, last.uid).await.unwrap(), b"it goes on");
        store.close().await.unwrap();
        missing
    }
}

async fn queue(store: &Local) -> Vec<DeliveryId> {
    store.deliveries(None, usize::MAX).await.unwrap().into_iter().map(|delivery| delivery.id).collect()
}

/// The names and bytes of all files of a store but the lock.
fn files_of(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if !path.ends_with("lock") {
                files.push((path.clone(), fs::read(&path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

/// Where this is in a file.
fn find(path: &Path, wanted: &[u8]) -> Option<usize> {
    fs::read(path).unwrap().windows(wanted.len()).position(|window| window == wanted)
}

#[tokio::test]
async fn a_store_that_is_whole_stays_whole() {
    let fixture = Fixture::new().await;
    assert!(fixture.segments() >= 3, "{}", fixture.segments());
    let repaired = fixture.repaired().await;
    assert_eq!((repaired.lost, repaired.notes), (vec![], vec![]));
    assert_eq!(fixture.missing().await, [0; 0]);
}

#[tokio::test]
async fn a_damaged_index_alone_costs_nothing() {
    let fixture = Fixture::new().await;
    change(&fixture.old().directory.join("index.redb"), |bytes| bytes.truncate(5_000));
    let repaired = fixture.repaired().await;
    assert_eq!(repaired.lost, []);
    assert!(repaired.notes[0].contains("index"), "{:?}", repaired.notes);
    assert_eq!(fixture.missing().await, [0; 0]);
}

#[tokio::test]
async fn a_damaged_content_costs_one_message() {
    for with_index in [true, false] {
        let fixture = Fixture::new().await;
        // Message 17 has 5,000 bytes, in the log.
        let number =
            (1..).find(|number| find(&fixture.segment(*number), &content_of(17)[..64]).is_some()).unwrap();
        let place = find(&fixture.segment(number), &content_of(17)[..64]).unwrap();
        change(&fixture.segment(number), |bytes| bytes[place + 1_000] ^= 1);
        if !with_index {
            fs::remove_file(fixture.old().directory.join("index.redb")).unwrap();
        }
        let repaired = fixture.repaired().await;
        assert_eq!(fixture.missing().await, [18]);
        let texts: Vec<String> =
            repaired.lost.iter().map(|loss| format!("{}: {}", loss.place, loss.what)).collect();
        assert!(texts[0].starts_with("INBOX of alice@example.org, number 18: message "), "{texts:?}");
        assert!(texts[0].ends_with("its content does not match its checksum"), "{texts:?}");
        assert!(texts[1].starts_with("the queue, recipient 1 of message "), "{texts:?}");
        assert_eq!(texts.len(), 2);
    }
}

#[tokio::test]
async fn a_damaged_large_file_costs_one_message() {
    let fixture = Fixture::new().await;
    let entry = fixture.entries.iter().find(|entry| entry.size > 20_000).unwrap();
    let (path, _) = files_of(&fixture.old().directory)
        .into_iter()
        .find(|(path, _)| path.ends_with(entry.spool.to_string()))
        .unwrap();
    change(&path, |bytes| bytes[9_000] ^= 0x40);
    let repaired = fixture.repaired().await;
    assert_eq!(fixture.missing().await, [entry.uid.0]);
    assert!(repaired.lost[0].place.contains(&format!("number {}", entry.uid)), "{:?}", repaired.lost);
    assert!(repaired.lost[0].what.contains("file of its own"), "{:?}", repaired.lost);
}

#[tokio::test]
async fn damage_in_the_middle_of_a_segment_costs_what_was_there() {
    for with_index in [true, false] {
        let fixture = Fixture::new().await;
        assert!(matches!(verify(&fixture.old()), Ok(report) if report.findings.is_empty()));
        change(&fixture.segment(2), |bytes| bytes[20_000..28_000].fill(0));
        if !with_index {
            fs::remove_file(fixture.old().directory.join("index.redb")).unwrap();
            let error = Local::open(fixture.old()).err().unwrap();
            assert!(
                matches!(&error, Error::Damaged(what) if what.contains("posthaste store repair")),
                "{error}"
            );
        }
        let repaired = fixture.repaired().await;
        let ranges: Vec<&str> = repaired
            .lost
            .iter()
            .map(|loss| loss.place.as_str())
            .filter(|place| place.contains(".seg, bytes "))
            .collect();
        assert!(!ranges.is_empty(), "{:?}", repaired.lost);
        if with_index {
            let missing = fixture.missing().await;
            assert!((1..6).contains(&missing.len()), "{missing:?}");
            for uid in missing {
                let place = format!("INBOX of alice@example.org, number {uid}");
                assert!(repaired.lost.iter().any(|loss| loss.place == place), "{place}: {:?}", repaired.lost);
            }
        } else {
            let notes = repaired.notes.join("\n");
            assert!(notes.contains("nobody knows what it said"), "{notes}");
            let store = Local::open(fixture.new_store()).unwrap();
            assert!(inbox(&store).await.len() + 6 > fixture.entries.len());
        }
    }
}

#[tokio::test]
async fn a_missing_segment_costs_what_was_in_it() {
    for gone in [1, 2, 0] {
        let fixture = Fixture::new().await;
        let number = if gone == 0 { fixture.segments() } else { gone };
        fs::remove_file(fixture.segment(number)).unwrap();
        let repaired = fixture.repaired().await;
        let missing = fixture.missing().await;
        assert!(!missing.is_empty() && missing.len() < fixture.entries.len(), "{number}: {missing:?}");
        let segment = format!("{number:08}.seg");
        assert!(
            repaired.lost.iter().any(|loss| loss.place.ends_with(&segment) && loss.what.contains("missing")),
            "{:?}",
            repaired.lost
        );
        for uid in missing {
            let place = format!("INBOX of alice@example.org, number {uid}");
            assert!(
                repaired.lost.iter().any(|loss| loss.place == place),
                "{number}, {place}: {:?}",
                repaired.lost
            );
        }
    }
}

#[tokio::test]
async fn without_the_first_segment_and_the_index_messages_find_their_account() {
    let fixture = Fixture::new().await;
    fs::remove_file(fixture.segment(1)).unwrap();
    fs::remove_file(fixture.old().directory.join("index.redb")).unwrap();
    let repaired = fixture.repaired().await;
    assert!(!repaired.lost.is_empty());
    let store = Local::open(fixture.new_store()).unwrap();
    let found = inbox(&store).await;
    assert!(found.len() > 10, "{}", found.len());
    for entry in &found {
        assert!(read(&store, entry.uid).await.unwrap() == content_of(entry.uid.0 - 1), "UIDs are kept");
    }
    send(&store, b"it goes on").await.unwrap();
    assert!(inbox(&store).await.pop().unwrap().uid.0 > MESSAGES);
}

#[tokio::test]
async fn without_any_header_the_records_say_which_salt_they_have() {
    for index in ["there", "lost"] {
        let fixture = Fixture::new().await;
        for segment in 1..=fixture.segments() {
            change(&fixture.segment(segment), |bytes| bytes[..32].fill(0x55));
        }
        if index == "lost" {
            fs::remove_file(fixture.old().directory.join("index.redb")).unwrap();
        }
        let repaired = fixture.repaired().await;
        assert!(repaired.notes.iter().any(|note| note.contains("salt")), "{:?}", repaired.notes);
        assert_eq!(repaired.lost, [], "index {index}");
        assert_eq!(fixture.missing().await, [0; 0]);
    }
}

#[tokio::test]
async fn what_was_taken_away_does_not_come_back() {
    let directory = tempfile::tempdir().unwrap();
    let options = small(directory.path().join("old"));
    let store = Local::open(options.clone()).unwrap();
    let name = |text: &str| AccountName::parse(text).unwrap();
    let (eve, team) = (name("eve@example.org"), name("team@example.org"));
    send(&store, &content(1, 300)).await.unwrap();
    store.create_account(&eve, store::Origin::Added).await.unwrap();
    store.set_alias(&team, &["alice@example.org".parse().unwrap()], store::Origin::Added).await.unwrap();
    let phone = store::ApplicationPassword {
        name: "her phone".to_owned(),
        password: store::Secret::new("$argon2id$x"),
        scram: None,
        created: store::Timestamp(1),
        last_used: None,
    };
    store.add_application_password(&alice(), phone).await.unwrap();
    store.remove_account(&eve).await.unwrap();
    store.remove_alias(&team).await.unwrap();
    store.remove_application_password(&alice(), "her phone").await.unwrap();
    send(&store, &content(2, 300)).await.unwrap();
    store.close().await.unwrap();
    drop(store);
    let log = options.directory.join("log/00000001.seg");
    for last_named in ["eve@example.org", "team@example.org", "her phone"] {
        change(&log, |bytes| {
            let mut windows = bytes.windows(last_named.len());
            let at = windows.rposition(|window| window == last_named.as_bytes()).unwrap();
            bytes[at] ^= 1;
        });
    }
    let new = small(directory.path().join("new"));
    let repaired = repair(&options, &new.directory).unwrap();
    assert_eq!(repaired.lost.len(), 3, "{:?}", repaired.lost);
    let store = Local::open(new).unwrap();
    assert_eq!(store.account(&eve).await.unwrap(), None);
    assert_eq!(store.aliases().await.unwrap(), []);
    assert_eq!(store.credentials(&alice()).await.unwrap().application_passwords, []);
    assert_eq!(inbox(&store).await.len(), 2);
}

/// The record of a restoration gave every mailbox a new UIDVALIDITY, because numbers are given again after it.
#[tokio::test]
async fn a_restoration_whose_record_is_lost_is_not_taken_back() {
    for index in ["there", "lost"] {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| small(directory.path().join(name));
        let store = Local::open(at("first")).unwrap();
        send(&store, &content(1, 300)).await.unwrap();
        store.backup(directory.path().join("backup")).await.unwrap();
        send(&store, &content(2, 300)).await.unwrap();
        let before = store.mailbox(&alice(), &inbox_name()).await.unwrap().uid_validity;
        store.close().await.unwrap();
        restore(&at("old"), &directory.path().join("backup")).unwrap();
        let store = Local::open(at("old")).unwrap();
        send(&store, &content(3, 300)).await.unwrap();
        store.close().await.unwrap();
        drop(store);
        let mut spoiled = 0;
        for (path, _) in files_of(&at("old").directory.join("log")) {
            // The fifth of what can happen to accounts.
            let restored = |record: &frame::Record| record.kind == frame::ACCOUNT && record.body[0] == 4;
            change(&path, |log| spoiled += frame::spoil(log, restored));
        }
        assert_eq!(spoiled, 1);
        if index == "lost" {
            fs::remove_file(at("old").directory.join("index.redb")).unwrap();
        }
        let repaired = repair(&at("old"), &at("new").directory).unwrap();
        assert!(repaired.notes.iter().any(|note| note.contains("new UIDVALIDITY")), "{:?}", repaired.notes);
        let store = Local::open(at("new")).unwrap();
        let status = store.mailbox(&alice(), &inbox_name()).await.unwrap();
        assert!(status.uid_validity > before, "number 2 was message 2 under {before:?}");
        assert_eq!(inbox(&store).await.len(), 2);
        assert!(read(&store, Uid(2)).await.unwrap() == content(3, 300));
        store.close().await.unwrap();
        drop(store);
        // It counts as a restoration from now on.
        let repaired = repair(&at("new"), &at("again").directory).unwrap();
        assert_eq!((repaired.lost, repaired.notes), (vec![], vec![]));
    }
}

#[tokio::test]
async fn what_was_ordered_and_tried_stays_known() {
    let directory = tempfile::tempdir().unwrap();
    let (old, new) = (small(directory.path().join("old")), small(directory.path().join("new")));
    let store = Local::open(old.clone()).unwrap();
    let mut ids = Vec::new();
    for number in 0..5 {
        let spool = send(&store, &content(number, 300)).await.unwrap();
        ids.push(DeliveryId { spool, recipient: 0 });
    }
    let hold = |reason: &str| Hold { since: Timestamp(7), reason: reason.to_owned() };
    let attempt =
        |at: i64| Attempt { at: Timestamp(at), reply: format!("451 later, {at}"), ..Attempt::default() };
    let deferred = |due: i64, at: i64| Outcome::Deferred { due: Timestamp(due), attempt: attempt(at) };
    store.adjust(&ids[..2], Adjustment::Hold(hold("odd"))).await.unwrap();
    store.adjust(&ids[1..2], Adjustment::Release).await.unwrap();
    store.adjust(&ids[2..3], Adjustment::Reroute("example.net".parse().unwrap())).await.unwrap();
    store.adjust(&ids[3..4], Adjustment::Due(Timestamp(99))).await.unwrap();
    for (due, at) in [(1_000, 100), (2_000, 200)] {
        store.settle(ids[4], deferred(due, at)).await.unwrap();
    }
    let scope = |name: &str| PauseScope::Destination(name.to_owned());
    for name in ["example.com", "example.org"] {
        let reason = "they asked".to_owned();
        store.pause(Pause { scope: scope(name), since: Timestamp(8), reason }).await.unwrap();
    }
    store.resume(&scope("example.org")).await.unwrap();
    let expected = (store.deliveries(None, 50).await.unwrap(), store.pauses().await.unwrap());
    assert_eq!((expected.0.len(), expected.1.len()), (5, 1));
    store.close().await.unwrap();
    drop(store);
    change(&old.directory.join("log/00000001.seg"), |log| {
        let of_queue = |record: &frame::Record| [frame::SETTLEMENT, frame::QUEUE].contains(&record.kind);
        assert_eq!(frame::spoil(log, of_queue), 10);
    });
    assert_eq!(repair(&old, &new.directory).unwrap().lost.len(), 10);
    let store = Local::open(new).unwrap();
    assert_eq!((store.deliveries(None, 50).await.unwrap(), store.pauses().await.unwrap()), expected);
}

/// A mailbox and what a reader sees in it.
type Seen = (String, Option<SpecialUse>, UidValidity, Vec<(Uid, Flags, Vec<String>, Vec<u8>)>);

async fn seen(store: &Local) -> (Vec<Seen>, Vec<MailboxName>) {
    let mut all = Vec::new();
    for mailbox in store.mailboxes(&alice()).await.unwrap() {
        let mut entries = Vec::new();
        for entry in store.entries(mailbox.id, Uid(0), usize::MAX).await.unwrap() {
            let (_, reader) = store.fetch(mailbox.id, entry.uid).await.unwrap();
            let text = reader.read_all(1 << 20).await.unwrap();
            let keywords =
                entry.keywords.numbers().map(|number| mailbox.keywords[number].to_string()).collect();
            entries.push((entry.uid, entry.flags, keywords, text));
        }
        assert_eq!(mailbox.messages, entries.len() as u64);
        all.push((mailbox.name.to_string(), mailbox.special_use, mailbox.uid_validity, entries));
    }
    (all, store.subscriptions(&alice()).await.unwrap())
}

/// Arranges six messages as a reader would.
async fn arrange(store: &Local) {
    let name = |name: &str| MailboxName::new(name).unwrap();
    for number in 0..6 {
        let spool = send(store, &content(number, 300)).await.unwrap();
        let id = DeliveryId { spool, recipient: 0 };
        store.settle(id, Outcome::delivered(Timestamp(50))).await.unwrap();
    }
    let inbox = store.mailbox(&alice(), &inbox_name()).await.unwrap().id;
    let archive =
        store.create_mailbox(&alice(), &name("Archive"), Some(SpecialUse::Archive)).await.unwrap().id;
    let old = store.create_mailbox(&alice(), &name("Old"), None).await.unwrap().id;
    store.create_mailbox(&alice(), &name("Gone"), None).await.unwrap();
    let work = Keyword::new("$Work").unwrap();
    let marks = Marks { flags: Flags::SEEN, keywords: vec![work] };
    store.mark(inbox, &[Uid(2), Uid(3)], Marking::add(marks)).await.unwrap();
    store.copy(inbox, &[Uid(1)], archive, Originals::Stay).await.unwrap();
    store.copy(inbox, &[Uid(2), Uid(4)], archive, Originals::Go).await.unwrap();
    store.copy(archive, &[Uid(2)], old, Originals::Go).await.unwrap();
    store.expunge(inbox, &[Uid(6)]).await.unwrap();
    store.rename_mailbox(&alice(), &name("Old"), &name("Older")).await.unwrap();
    store.create_mailbox(&alice(), &name("Old"), None).await.unwrap();
    store.delete_mailbox(&alice(), &name("Gone")).await.unwrap();
    for subscribed in ["Older", "Nowhere"] {
        store.subscribe(&alice(), &name(subscribed)).await.unwrap();
    }
    store.unsubscribe(&alice(), &name("Nowhere")).await.unwrap();
}

#[tokio::test]
async fn what_a_reader_arranged_stays_so() {
    for index in ["there", "lost"] {
        let directory = tempfile::tempdir().unwrap();
        let (old, new) = (small(directory.path().join("old")), small(directory.path().join("new")));
        let store = Local::open(old.clone()).unwrap();
        arrange(&store).await;
        let expected = seen(&store).await;
        store.close().await.unwrap();
        drop(store);
        // What is whole is taken over whole.
        let whole = small(directory.path().join("whole"));
        assert_eq!(repair(&old, &whole.directory).unwrap().lost, []);
        assert_eq!(seen(&Local::open(whole).unwrap()).await, expected);

        let mut spoiled = 0;
        for (path, _) in files_of(&old.directory.join("log")) {
            let by_reader = [frame::MAILBOX, frame::ENTRIES, frame::LAYOUT];
            change(&path, |log| spoiled += frame::spoil(log, |record| by_reader.contains(&record.kind)));
        }
        assert_eq!(spoiled, 14);
        if index == "lost" {
            fs::remove_file(old.directory.join("index.redb")).unwrap();
        }
        // Without an index the last one may as well be the torn end.
        assert!(repair(&old, &new.directory).unwrap().lost.len() + 1 >= spoiled);
        let store = Local::open(new.clone()).unwrap();
        let found = seen(&store).await;
        if index == "there" {
            assert_eq!(found, expected);
        } else {
            // Everything is where it was at first, and no mailbox has lost its name to another.
            assert_eq!(found.0.iter().map(|mailbox| mailbox.3.len()).sum::<usize>(), 6);
            let names: Vec<&str> = found.0.iter().map(|mailbox| mailbox.0.as_str()).collect();
            assert_eq!(names, ["Archive", "Gone", "INBOX", "Old", "Recovered 3"]);
        }
        send(&store, b"it goes on").await.unwrap();
        store.close().await.unwrap();
        drop(store);
        assert_eq!(verify(&new).unwrap().findings, []);
    }
}

#[tokio::test]
async fn a_torn_end_is_no_loss() {
    let fixture = Fixture::new().await;
    let last = fixture.segment(fixture.segments());
    change(&last, |bytes| {
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        let end = end.next_multiple_of(8);
        bytes[end + 8..end + 100].fill(0x55);
    });
    let repaired = fixture.repaired().await;
    assert_eq!(repaired.lost, []);
    assert!(repaired.notes[0].contains("never acknowledged"), "{:?}", repaired.notes);
    assert_eq!(fixture.missing().await, [0; 0]);
}

#[tokio::test]
async fn a_repair_needs_a_store_and_an_empty_directory() {
    let fixture = Fixture::new().await;
    fs::create_dir(&fixture.new_store().directory).unwrap();
    fs::write(fixture.new_store().directory.join("x"), b"").unwrap();
    let refused = |from: &Path, to: &Path| match repair(&small(from), to) {
        Err(Error::Invalid(what)) => what,
        other => panic!("{other:?}"),
    };
    let (old, new) = (fixture.old().directory, fixture.new_store().directory);
    assert!(refused(&old, &new).contains("is not empty"));
    assert!(refused(&new, &fixture.directory.path().join("y")).contains("there is no store"));
    // One that was begun and not finished is not taken for the mail.
    fs::rename(new.join("x"), new.join("unfinished")).unwrap();
    assert!(
        matches!(Local::open(fixture.new_store()).err(), Some(Error::Invalid(what)) if what.contains("not finished"))
    );
}

#[tokio::test]
async fn what_the_index_has_not_seen_of_a_damaged_range_may_have_given_numbers() {
    let directory = tempfile::tempdir().unwrap();
    let options = small(directory.path().join("old"));
    let message = |number: u64| content(number, 1_000);
    let store = Local::open(options.clone()).unwrap();
    for number in 0..10 {
        send(&store, &message(number)).await.unwrap();
    }
    store.close().await.unwrap();
    let (index, kept) = (options.directory.join("index.redb"), directory.path().join("kept"));
    fs::copy(&index, &kept).unwrap();
    let store = Local::open(options.clone()).unwrap();
    for number in 10..20 {
        send(&store, &message(number)).await.unwrap();
    }
    store
        .create_account(&AccountName::parse("bob@example.org").unwrap(), store::Origin::Added)
        .await
        .unwrap();
    store.close().await.unwrap();
    fs::copy(&kept, &index).unwrap();

    // From a message that the index knows to the last one; what comes behind is intact.
    let segment = options.directory.join("log/00000001.seg");
    let mut bytes = fs::read(&segment).unwrap();
    let place = |number| bytes.windows(1_000).position(|window| window == message(number)).unwrap();
    let (from, to) = (place(8), place(19) + 1_000);
    bytes[from..to].fill(0xEE);
    fs::write(&segment, bytes).unwrap();
    let new = small(directory.path().join("new"));
    let repaired = repair(&options, &new.directory).unwrap();
    assert!(repaired.notes.iter().any(|note| note.contains("not listed")), "{:?}", repaired.notes);
    let store = Local::open(new).unwrap();
    let next = store.mailbox(&alice(), &inbox_name()).await.unwrap().uid_next;
    assert!(next > Uid(20), "a UID would be given again: {next}");
}
