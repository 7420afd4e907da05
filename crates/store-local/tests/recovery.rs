//! Opening what a crash, a failing disk or a person with a hex editor has left.

mod support;

use posthaste_store_local::{Local, Options, repair, verify};
use std::fs;
use std::path::{Path, PathBuf};
use store::{Error, Mailboxes, Outcome, Result, Spool, SpoolId, Timestamp, Uid};
use support::frame::{checksum, salt_of};
use support::{alice, content, inbox, read, send, small};
use tempfile::TempDir;

/// A closed store of ten messages: nine that are safe, and the tenth, whose writing a test can tear.
struct Fixture {
    directory: TempDir,
    /// Where the log ended before the tenth message, and after.
    before: u64,
    after: u64,
}

impl Fixture {
    async fn new() -> Fixture {
        let directory = tempfile::tempdir().unwrap();
        let fixture = Fixture { directory, before: 0, after: 0 };
        let store = Local::open(fixture.options()).unwrap();
        for number in 0..9 {
            send(&store, &content(number, 2000)).await.unwrap();
        }
        store.close().await.unwrap();
        // The index as it was before the tenth message: a crash leaves one that is behind.
        fs::copy(fixture.index(), fixture.directory.path().join("index.before")).unwrap();
        let before = end_of(&fixture.segment());
        let store = Local::open(fixture.options()).unwrap();
        send(&store, &content(9, 2000)).await.unwrap();
        store.close().await.unwrap();
        let after = end_of(&fixture.segment());
        assert!(after > before + 2000);
        Fixture { before, after, ..fixture }
    }

    fn options(&self) -> Options {
        Options { segment_size: 1 << 20, ..small(self.directory.path()) }
    }

    fn segment(&self) -> PathBuf {
        self.directory.path().join("log/00000001.seg")
    }

    fn index(&self) -> PathBuf {
        self.directory.path().join("index.redb")
    }

    /// Puts back the index from before the tenth message.
    fn forget_tenth(&self) {
        fs::copy(self.directory.path().join("index.before"), self.index()).unwrap();
    }

    fn change_log(&self, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = fs::read(self.segment()).unwrap();
        change(&mut bytes);
        fs::write(self.segment(), bytes).unwrap();
    }

    fn open(&self) -> Result<Local> {
        Local::open(self.options())
    }

    /// A new store with what is intact, and what is lost.
    fn repaired(&self) -> (Local, Vec<posthaste_store_local::Loss>) {
        let target = self.directory.path().join("new");
        let repaired = repair(&self.options(), &target).unwrap();
        (Local::open(Options { directory: target, ..self.options() }).unwrap(), repaired.lost)
    }

    /// Opens it; nine messages or all ten are there and whole; it takes more, and all of that is there later, with any index.
    async fn works(&self, messages: u32) -> posthaste_store_local::Recovery {
        let store = self.open().unwrap();
        let recovery = store.recovery().clone();
        self.has(&store, messages).await;
        for number in 0..5 {
            send(&store, &content(100 + number, 3000)).await.unwrap();
        }
        store.close().await.unwrap();
        let report = verify(&self.options()).unwrap();
        assert_eq!((report.findings, report.notes), (vec![], vec![]));
        for round in 0..2 {
            if round == 1 {
                fs::remove_file(self.index()).unwrap();
            }
            let store = self.open().unwrap();
            assert_eq!(store.recovery().torn, 0);
            assert_eq!(inbox(&store).await.len() as u32, messages + 5);
            for number in 0..5 {
                let uid = Uid(messages + 1 + number);
                assert!(read(&store, uid).await.unwrap() == content(100 + u64::from(number), 3000));
            }
            store.close().await.unwrap();
        }
        recovery
    }

    async fn has(&self, store: &Local, messages: u32) {
        assert_eq!(inbox(store).await.len() as u32, messages);
        for number in 0..messages {
            assert!(read(store, Uid(number + 1)).await.unwrap() == content(u64::from(number), 2000));
        }
        assert_eq!(store.deliveries(None, 100).await.unwrap().len() as u32, messages);
    }
}

/// Where the last byte of a file that is not zero ends, rounded up to where a record could begin.
fn end_of(path: &Path) -> u64 {
    let bytes = fs::read(path).unwrap();
    let last = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    (last as u64 + 1).next_multiple_of(8)
}

type Change<'a> = &'a dyn Fn(&Fixture);
type Tear = fn(&mut Vec<u8>, usize, usize);

#[tokio::test]
async fn a_torn_end_is_cut_off() {
    let cases: [(&str, Tear); 9] = [
        ("part of a header", |log, before, _| log[before + 10..].fill(0)),
        ("a header and part of a body", |log, before, _| log[before + 500..].fill(0)),
        ("all but the last record", |log, _, after| log[after - 100..].fill(0)),
        ("the whole of the last record", |log, before, _| log[before + 24 + 2008..].fill(0)),
        ("all but the first sector", |log, before, _| log[before..before + 512].fill(0)),
        ("a valid header and a wrong body", |log, before, _| log[before + 40..before + 60].fill(b'w')),
        ("a flipped bit in the last record", |log, _, after| log[after - 20] ^= 4),
        ("a file cut in the middle of a record", |log, before, _| log.truncate(before + 700)),
        ("garbage of 100 kB in its place", |log, before, _| {
            log[before..before + 100_000].copy_from_slice(&content(7, 100_000))
        }),
    ];
    for (case, tear) in cases {
        for index in ["behind", "missing"] {
            let fixture = Fixture::new().await;
            fixture.change_log(|log| tear(log, fixture.before as usize, fixture.after as usize));
            match index {
                "behind" => fixture.forget_tenth(),
                _ => fs::remove_file(fixture.index()).unwrap(),
            }
            let report = verify(&fixture.options()).unwrap();
            assert_eq!(report.findings, [], "{case}");
            let recovery = fixture.works(9).await;
            assert!(recovery.torn > 0, "{case}, index {index}");
            assert_eq!(recovery.rebuilt.is_some(), index == "missing", "{case}");
            assert_eq!(recovery.damage, [""; 0], "{case}");
        }
    }
}

#[tokio::test]
async fn what_follows_a_whole_end_is_cut_off_too() {
    let garbage: Tear = |log, _, after| log[after..after + 100_000].copy_from_slice(&content(8, 100_000));
    let zeros: Tear = |log, _, _| log.extend(vec![0; 1_000_000]);
    for (tear, torn) in [(garbage, true), (zeros, false)] {
        let fixture = Fixture::new().await;
        fixture.change_log(|log| tear(log, fixture.before as usize, fixture.after as usize));
        let recovery = fixture.works(10).await;
        assert_eq!(recovery.torn > 0, torn);
    }
}

#[tokio::test]
async fn old_records_behind_the_end_never_come_back() {
    let fixture = Fixture::new().await;
    let old = fs::read(fixture.segment()).unwrap();
    // The last batch is torn in its middle; most of its bytes are still there, and would be again in their place.
    fixture.change_log(|log| log[fixture.before as usize + 100] ^= 1);
    fixture.forget_tenth();
    let store = fixture.open().unwrap();
    drop(store);
    let new = fs::read(fixture.segment()).unwrap();
    assert!(new[fixture.before as usize..].iter().all(|byte| *byte == 0), "wiped out");
    assert!(new[..fixture.before as usize] == old[..fixture.before as usize], "nothing else was touched");
}

#[tokio::test]
async fn an_index_that_is_behind_is_brought_up() {
    let fixture = Fixture::new().await;
    fixture.forget_tenth();
    let recovery = fixture.works(10).await;
    assert_eq!((recovery.replayed, recovery.torn, recovery.rebuilt), (1, 0, None));
}

#[tokio::test]
async fn an_index_that_cannot_be_used_is_made_anew() {
    let format = |fixture: &Fixture| {
        let table = redb::TableDefinition::<&str, &[u8]>::new("meta");
        let database = redb::Database::open(fixture.index()).unwrap();
        let transaction = database.begin_write().unwrap();
        transaction.open_table(table).unwrap().insert("format", [77].as_slice()).unwrap();
        transaction.commit().unwrap();
    };
    let cases: [(&str, Change); 5] = [
        ("missing", &|fixture| fs::remove_file(fixture.index()).unwrap()),
        ("empty", &|fixture| fs::write(fixture.index(), b"").unwrap()),
        ("not an index", &|fixture| fs::write(fixture.index(), content(3, 100_000)).unwrap()),
        ("of another version", &format),
        ("cut short", &|fixture| {
            let bytes = fs::read(fixture.index()).unwrap();
            fs::write(fixture.index(), &bytes[..bytes.len() / 2]).unwrap();
        }),
    ];
    for (case, change) in cases {
        let fixture = Fixture::new().await;
        change(&fixture);
        let recovery = fixture.works(10).await;
        assert!(recovery.rebuilt.is_some(), "{case}");
    }
}

#[tokio::test]
async fn acknowledged_records_damaged_at_the_end_are_not_cut_off() {
    let cases: [(&str, Tear); 3] = [
        ("wiped out", |log, before, _| log[before..].fill(0)),
        ("a flipped bit", |log, _, after| log[after - 20] ^= 4),
        ("a file cut short", |log, before, _| log.truncate(before + 700)),
    ];
    for (case, tear) in cases {
        let fixture = Fixture::new().await;
        fixture.change_log(|log| tear(log, fixture.before as usize, fixture.after as usize));
        let report = verify(&fixture.options()).unwrap();
        assert_eq!(report.findings.len(), 1, "{case}: {:?}", report.findings);
        assert!(report.findings[0].what.contains("more than the log has"), "{:?}", report.findings);
        let log = fs::read(fixture.segment()).unwrap();
        for _ in 0..2 {
            let Err(Error::Damaged(error)) = fixture.open().map(drop) else { panic!("{case}: it opens") };
            let place = format!("segment 00000001 at {}", fixture.before);
            assert!(error.contains(&place) && error.contains("acknowledged"), "{case}: {error}");
            assert!(fs::read(fixture.segment()).unwrap() == log, "{case}: nothing was touched");
        }

        // A repair saves the rest, and says what is missing.
        let (store, lost) = fixture.repaired();
        assert!(!lost.is_empty(), "{case}");
        fixture.has(&store, 9).await;
    }
}

#[tokio::test]
async fn damage_in_the_middle_is_never_passed_over() {
    let fixture = Fixture::new().await;
    // An acceptance in the middle: its trace is in it.
    let trace = b"Received: by mx.example.org";
    let log = fs::read(fixture.segment()).unwrap();
    let places: Vec<usize> =
        (0..log.len() - trace.len()).filter(|at| log[*at..].starts_with(trace)).collect();
    fixture.change_log(|log| log[places[4]] ^= 1);
    fs::remove_file(fixture.index()).unwrap();

    let report = verify(&fixture.options()).unwrap();
    assert_eq!(report.findings.len(), 1, "{:?}", report.findings);
    assert!(report.findings[0].place.contains("00000001.seg at"), "{:?}", report.findings);
    let Err(Error::Damaged(error)) = fixture.open().map(drop) else { panic!("it opens in spite of damage") };
    assert!(error.contains("segment 00000001 at"), "{error}");

    let (store, lost) = fixture.repaired();
    assert_eq!(lost.len(), 1);
    let uids: Vec<u32> = inbox(&store).await.iter().map(|entry| entry.uid.0).collect();
    assert_eq!(uids, [1, 2, 3, 4, 6, 7, 8, 9, 10]);
    assert!(read(&store, Uid(6)).await.unwrap() == content(5, 2000));
}

#[tokio::test]
async fn damaged_headers_and_missing_records_are_damage_too() {
    let wipe: Tear = |log, before, _| log[before / 2..before / 2 + 3000].fill(0);
    let beginning: Tear = |log, _, _| log[32..600].fill(0);
    for (tear, index) in [(wipe, "missing"), (beginning, "missing"), (wipe, "there")] {
        let fixture = Fixture::new().await;
        fixture.change_log(|log| tear(log, fixture.before as usize, fixture.after as usize));
        assert!(!verify(&fixture.options()).unwrap().findings.is_empty());
        if index == "missing" {
            fs::remove_file(fixture.index()).unwrap();
            let refused = fixture.open().map(drop);
            assert!(matches!(refused, Err(Error::Damaged(_))), "{refused:?}");
        } else {
            // What the index does not need to read again is found when somebody does.
            let store = fixture.open().unwrap();
            let mut damaged = 0;
            for entry in inbox(&store).await {
                damaged += u32::from(matches!(read(&store, entry.uid).await, Err(Error::Damaged(_))));
            }
            assert!((1..=3).contains(&damaged), "{damaged}");
        }
    }
}

#[tokio::test]
async fn damaged_content_is_an_error_never_wrong_bytes() {
    let fixture = Fixture::new().await;
    let needle = content(3, 2000);
    fixture.change_log(|log| {
        let at = (0..log.len()).find(|at| log[*at..].starts_with(&needle[..32])).unwrap();
        log[at + 1000] ^= 0x80;
    });
    assert_eq!(verify(&fixture.options()).unwrap().findings.len(), 1);
    for index in ["there", "missing"] {
        if index == "missing" {
            fs::remove_file(fixture.index()).unwrap();
        }
        let store = fixture.open().unwrap();
        assert_eq!(store.recovery().damage.len(), usize::from(index == "missing"));
        assert!(matches!(read(&store, Uid(4)).await, Err(Error::Damaged(_))));
        assert!(read(&store, Uid(5)).await.unwrap() == content(4, 2000));
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn damaged_large_content_is_an_error_never_wrong_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let options = small(directory.path());
    let store = Local::open(options.clone()).unwrap();
    let id = send(&store, &content(1, 700_000)).await.unwrap();
    store.close().await.unwrap();
    let file = large_file(directory.path(), id);
    let whole = fs::read(&file).unwrap();
    let report = verify(&options).unwrap();
    assert_eq!((report.large, report.findings), (1, vec![]));

    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    let mut exchanged = whole.clone();
    let (first, second) = (32, 32 + 8 + (256 << 10));
    exchanged.copy_within(second..second + 1000, first);
    for bytes in
        [flipped(3), flipped(500_000), flipped(whole.len() - 1), exchanged, whole[..600_000].to_vec()]
    {
        fs::write(&file, bytes).unwrap();
        let store = Local::open(options.clone()).unwrap();
        let damaged = read(&store, Uid(1)).await;
        assert!(matches!(damaged, Err(Error::Damaged(_))), "{:?}", damaged.map(|text| text.len()));
        store.close().await.unwrap();
        let report = verify(&options).unwrap();
        assert_eq!(report.findings.len(), 1);
        assert!(report.findings[0].place.contains(&id.to_string()));
    }
    fs::remove_file(&file).unwrap();
    let store = Local::open(options.clone()).unwrap();
    let missing = read(&store, Uid(1)).await;
    assert!(matches!(missing, Err(Error::Damaged(_))), "nobody has removed the message: {missing:?}");
    store.close().await.unwrap();
    fs::write(&file, whole).unwrap();
    let store = Local::open(options).unwrap();
    assert!(read(&store, Uid(1)).await.unwrap() == content(1, 700_000));
}

#[tokio::test]
async fn large_content_lives_and_goes_with_its_message() {
    let directory = tempfile::tempdir().unwrap();
    let options = small(directory.path());
    let store = Local::open(options.clone()).unwrap();
    let id = send(&store, &content(1, 100_000)).await.unwrap();
    let file = large_file(directory.path(), id);
    let inbox_id = store.mailbox(&alice(), &support::inbox_name()).await.unwrap().id;
    store.expunge(inbox_id, &[Uid(1)]).await.unwrap();
    assert!(file.exists(), "it is still queued");
    let delivery = store.deliveries(None, 1).await.unwrap()[0].id;
    store.settle(delivery, store::Outcome::delivered(store::Timestamp(50))).await.unwrap();
    assert!(!file.exists());

    // A stage that is dropped, a commit that is refused, and a crash before the commit leave nothing.
    let mut stage = store.stage().unwrap();
    stage.append(content(2, 100_000).into()).await.unwrap();
    assert_eq!(large_files(directory.path()), 1);
    drop(stage);
    assert_eq!(large_files(directory.path()), 0);
    let mut stage = store.stage().unwrap();
    stage.append(content(2, 100_000).into()).await.unwrap();
    let mut refused = support::for_alice();
    if let store::Destination::Mailbox { account, if_missing, .. } = &mut refused.deliveries[0].destination {
        *account = store::AccountName::parse("nobody@example.org").unwrap();
        *if_missing = store::IfMissing::Fail;
    }
    assert!(matches!(stage.commit(refused).await, Err(Error::NoSuchAccount(_))));
    assert_eq!(large_files(directory.path()), 0);
    store.close().await.unwrap();
    fs::copy(
        directory.path().join("lock"),
        directory.path().join("large").join(file_directory(&file)).join(id.to_string()),
    )
    .unwrap();
    let store = Local::open(options).unwrap();
    assert_eq!(store.recovery().leftovers, 1);
    assert_eq!(large_files(directory.path()), 0);
}

#[tokio::test]
async fn a_missing_segment_is_damage() {
    let directory = tempfile::tempdir().unwrap();
    let options = small(directory.path());
    let store = Local::open(options.clone()).unwrap();
    for number in 0..60 {
        send(&store, &content(number, 4000)).await.unwrap();
    }
    store.close().await.unwrap();
    let segments = fs::read_dir(directory.path().join("log")).unwrap().count();
    assert!(segments >= 4, "{segments}");
    assert_eq!(verify(&options).unwrap().findings, []);
    fs::remove_file(directory.path().join("log/00000002.seg")).unwrap();
    assert!(!verify(&options).unwrap().findings.is_empty());
    fs::remove_file(directory.path().join("index.redb")).unwrap();
    assert!(matches!(Local::open(options).map(drop), Err(Error::Damaged(_))));
}

#[tokio::test]
async fn an_emptied_segment_is_damage_and_nothing_is_written_over() {
    let directory = tempfile::tempdir().unwrap();
    let options = small(directory.path());
    let store = Local::open(options.clone()).unwrap();
    for number in 0..60 {
        send(&store, &content(number, 4000)).await.unwrap();
    }
    store.close().await.unwrap();
    let segment = directory.path().join("log/00000002.seg");
    let mut bytes = fs::read(&segment).unwrap();
    bytes[32..].fill(0);
    fs::write(&segment, bytes).unwrap();
    let third = fs::read(directory.path().join("log/00000003.seg")).unwrap();
    assert!(!verify(&options).unwrap().findings.is_empty());
    fs::remove_file(directory.path().join("index.redb")).unwrap();
    assert!(matches!(Local::open(options).map(drop), Err(Error::Damaged(_))));
    assert!(fs::read(directory.path().join("log/00000003.seg")).unwrap() == third);
}

#[tokio::test]
async fn what_a_later_program_wrote_is_not_cut_off() {
    let fixture = Fixture::new().await;
    // A whole record of kind 200, alone in its batch, as docs/store-format.md describes it.
    fixture.change_log(|log| {
        let (at, body) = (fixture.after as usize, b"from the future");
        let mut header = vec![b'P', b'r', 1, 200, 1, 1, 0, 0];
        header.extend((at as u32 / 8).to_le_bytes());
        header.extend((body.len() as u32).to_le_bytes());
        header.extend(crc32c::crc32c(body).to_le_bytes());
        header.extend(checksum(salt_of(log), at as u64, &header));
        log[at..at + 24].copy_from_slice(&header);
        log[at + 24..at + 24 + body.len()].copy_from_slice(body);
    });
    let log = fs::read(fixture.segment()).unwrap();
    let Err(Error::Damaged(error)) = fixture.open().map(drop) else {
        panic!("it opens what it does not know")
    };
    assert!(error.contains("kind 200") && error.contains("a later one wrote it"), "{error}");
    assert!(fs::read(fixture.segment()).unwrap() == log, "nothing was touched");
}

/// A message's content that would be a record of a later batch in the place where it comes to lie, if the salt were this one.
fn forged(salt: u32, before: u64) -> Vec<u8> {
    let mut content = vec![b'x'; 2000];
    // The content of a record begins behind its header and the spool id.
    for at in (before + 64..before + 1800).step_by(64) {
        let mut header = vec![b'P', b'r', 1, 6, 1, 1, 0, 0];
        header.extend((at as u32 / 8).to_le_bytes());
        header.extend([0; 8]);
        header.extend(checksum(salt, at, &header));
        let place = (at - before) as usize - 24 - 8;
        content[place..place + 24].copy_from_slice(&header);
    }
    content
}

/// Whoever sends a message knows the format, and may know where it will lie. If its batch is torn, its content must not count as what was
/// acknowledged later: then the store would not open.
#[tokio::test]
async fn content_cannot_be_taken_for_records() {
    for known in [false, true] {
        let fixture = Fixture::new().await;
        let salt = salt_of(&fs::read(fixture.segment()).unwrap());
        let content = forged(if known { salt } else { salt ^ 1 }, fixture.before);
        // The tenth message has this content, and its last record was never written.
        fixture.change_log(|log| {
            let (at, end) = (fixture.before as usize, fixture.after as usize);
            log[at + 32..at + 32 + content.len()].copy_from_slice(&content);
            log[at + 24 + 2008..end].fill(0);
        });
        fixture.forget_tenth();
        match fixture.open() {
            Ok(store) => {
                assert!(!known, "with the salt it is a record, so this tests something");
                fixture.has(&store, 9).await;
            }
            Err(error) => assert!(known && matches!(error, Error::Damaged(_)), "{error}"),
        }
    }
}

#[tokio::test]
async fn what_another_version_wrote_is_named_and_left_alone() {
    let fixture = Fixture::new().await;
    fixture.change_log(|log| {
        log[8] = 1;
        let crc = crc32c::crc32c(&log[..28]);
        log[28..32].copy_from_slice(&crc.to_le_bytes());
    });
    let log = fs::read(fixture.segment()).unwrap();
    let new = fixture.directory.path().join("new");
    let repaired = posthaste_store_local::repair(&fixture.options(), &new).map(drop);
    for refused in [fixture.open().map(drop), verify(&fixture.options()).map(drop), repaired] {
        let Err(Error::Invalid(what)) = refused else { panic!("{refused:?}") };
        assert!(
            what.contains("its format is version 1") && what.contains("Nothing is wrong with it"),
            "{what}"
        );
    }
    assert!(fs::read(fixture.segment()).unwrap() == log, "nothing was touched");
}

#[tokio::test]
async fn a_queued_delivery_that_cannot_be_read_holds_up_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let store = Local::open(small(directory.path())).unwrap();
    for number in 0..5 {
        send(&store, &content(number, 2000)).await.unwrap();
    }
    let log = directory.path().join("log/00000001.seg");
    let bytes = fs::read(&log).unwrap();
    let trace = b"Received: by mx.example.org";
    let third = bytes.windows(trace.len()).enumerate().filter(|(_, window)| *window == trace).nth(2);
    let at = third.expect("five were sent").0;
    let change = |bit: u8| {
        let mut changed = bytes.clone();
        changed[at] ^= bit;
        fs::write(&log, changed).unwrap();
    };
    change(1);
    let queue = store.waiting(Timestamp(10), None, 10).await.unwrap().remove(0).queue;
    let claimed = store.claim(&queue, Timestamp(10), 50, Timestamp(20)).await.unwrap();
    assert_eq!(claimed.len(), 4, "the others are handed out");
    assert_eq!(store.deliveries(None, 50).await.unwrap().len(), 4);
    let mut listed = Vec::new();
    while let [delivery] = &store.deliveries(listed.last().copied(), 1).await.unwrap()[..] {
        listed.push(delivery.id);
    }
    assert_eq!(listed.len(), 4, "and listed, page by page");
    let totals = store.totals().await.unwrap();
    assert_eq!((totals.queued, totals.unreadable), (5, 1));
    let unreadable = store.unreadable().await.unwrap();
    assert_eq!(unreadable.len(), 1);
    assert!(!listed.contains(&unreadable[0].id) && unreadable[0].queue == queue, "{unreadable:?}");
    for claim in &claimed {
        store.settle(claim.delivery.id, Outcome::delivered(Timestamp(11))).await.unwrap();
    }
    // When the lease has ended it is tried again; by now the disk may have thought better of it.
    assert_eq!(store.claim(&queue, Timestamp(30), 50, Timestamp(40)).await.unwrap().len(), 0);
    change(0);
    assert_eq!(store.claim(&queue, Timestamp(50), 50, Timestamp(60)).await.unwrap().len(), 1);
    let totals = store.totals().await.unwrap();
    assert_eq!((totals.queued, totals.unreadable), (1, 0));
    assert_eq!(store.unreadable().await.unwrap(), []);

    // What stays unreadable can be ended by its id.
    change(1);
    assert_eq!(store.deliveries(None, 50).await.unwrap(), []);
    let id = store.unreadable().await.unwrap()[0].id;
    store.settle(id, Outcome::delivered(Timestamp(70))).await.unwrap();
    let totals = store.totals().await.unwrap();
    assert_eq!((totals.queued, totals.unreadable), (0, 0));
    assert_eq!(store.unreadable().await.unwrap(), []);
}

#[tokio::test]
async fn one_process_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let store = Local::open(small(directory.path())).unwrap();
    let Err(Error::InUse(error)) = Local::open(small(directory.path())).map(drop) else {
        panic!("opened twice")
    };
    assert!(error.contains("is a server running"), "{error}");
    assert!(matches!(verify(&small(directory.path())), Err(Error::InUse(_))));
    drop(store);
    Local::open(small(directory.path())).unwrap();
}

#[tokio::test]
async fn there_must_be_a_store_to_verify() {
    let directory = tempfile::tempdir().unwrap();
    let nowhere = directory.path().join("nowhere");
    for path in [directory.path(), &nowhere] {
        assert!(matches!(verify(&small(path)), Err(Error::Invalid(_))));
    }
    assert!(!nowhere.exists());
}

fn large_file(directory: &Path, id: SpoolId) -> PathBuf {
    let mut found = fs::read_dir(directory.join("large"))
        .unwrap()
        .map(|entry| entry.unwrap().path().join(id.to_string()))
        .filter(|path| path.exists());
    found.next().unwrap()
}

fn file_directory(file: &Path) -> &std::ffi::OsStr {
    file.parent().unwrap().file_name().unwrap()
}

fn large_files(directory: &Path) -> usize {
    let inside = |entry: fs::DirEntry| fs::read_dir(entry.path()).unwrap().count();
    fs::read_dir(directory.join("large")).unwrap().map(|entry| inside(entry.unwrap())).sum()
}
