//! Backups of a store in use and stores made from them: all that was acknowledged is there, what was there is not copied twice, and nothing
//! that goes wrong on the way costs the earlier backup.

mod support;

use posthaste_store_local::{BackedUp, Local, Options, Restored, Work, repair, restore, verify};
use sim::disk::{Disk as Ram, Keep, Wrong};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use store::{
    AccountName, Directory, Error, Flags, Mailboxes, Origin, Result, Spool, SpoolId, Timestamp, Uid,
};
use support::gate::Gate;
use support::{
    Everything, alice, content, everything, expunge, inbox, inbox_name, read, send, settle, small,
};

/// Everything that can be asked, and every text.
type Whole = (Everything, BTreeMap<Uid, Vec<u8>>);

/// What was acknowledged: the UID that each message has, and its octets.
type Acknowledged = BTreeMap<SpoolId, (Uid, Vec<u8>)>;

async fn whole(store: &Local) -> Whole {
    let mut texts = BTreeMap::new();
    for entry in inbox(store).await {
        texts.insert(entry.uid, read(store, entry.uid).await.unwrap());
    }
    (everything(store).await, texts)
}

/// Whether a store is what this one was, restored. UIDs were given to other messages since the backup was made: clients must notice.
fn is_restored(before: &Whole, after: &Whole) -> bool {
    let mut expected = before.clone();
    for (mailbox, after) in expected.0.0.iter_mut().zip(&after.0.0) {
        assert!(after.uid_validity > mailbox.uid_validity && after.highest_modseq > mailbox.highest_modseq);
        (mailbox.uid_validity, mailbox.highest_modseq) = (after.uid_validity, after.highest_modseq);
    }
    expected == *after
}

/// Makes a store from a backup and looks at it.
async fn restored(options: &Options, backup: &Path) -> Result<(Restored, Whole)> {
    let restored = restore(options, backup)?;
    let store = Local::open(options.clone())?;
    let whole = whole(&store).await;
    store.close().await?;
    Ok((restored, whole))
}

/// Messages of all sizes, some of them read, deleted or delivered.
async fn fill(store: &Local, numbers: std::ops::Range<u32>) {
    for number in numbers.clone() {
        let size = if number % 7 == 3 { 20_000 } else { 4_000 };
        send(store, &content(u64::from(number), size)).await.unwrap();
    }
    let id = store.mailbox(&alice(), &inbox_name()).await.unwrap().id;
    let uid = |number: u32| number + 1;
    store.update_flags(id, &[Uid(uid(numbers.start))], Flags::SEEN, Flags::default()).await.unwrap();
    expunge(store, [uid(numbers.start + 1), uid(numbers.start + 3)]).await;
    settle(store, |number| number % 2 == 1).await;
}

/// What goes wrong with an operation, in turn: the machine always stops once.
fn wrongs(operation: u64) -> [Wrong; 2] {
    [Wrong::Stop, [Wrong::Write, Wrong::Sync, Wrong::Full][operation as usize / 2 % 3]]
}

async fn reclaim_all(store: &Local) -> u64 {
    let mut segments = 0;
    while let Some(reclaimed) = store.reclaim().await.unwrap() {
        segments += reclaimed.segments;
    }
    segments
}

/// The files of a backup, by their names.
fn files_in(directory: &Path) -> BTreeMap<PathBuf, u64> {
    let mut files = BTreeMap::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let (path, data) = entry.map(|entry| (entry.path(), entry.metadata().unwrap())).unwrap();
            match data.is_dir() {
                true => waiting.push(path),
                false => drop(files.insert(path, data.len())),
            }
        }
    }
    files
}

#[tokio::test]
async fn a_store_comes_back_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name);
    let store = Local::open(small(place("store"))).unwrap();
    fill(&store, 0..60).await;
    let before = whole(&store).await;
    let backup = place("far/away");
    let done = store.backup(backup.clone()).await.unwrap();
    assert_eq!((done.files, done.bytes), (done.copied_files, done.copied_bytes));
    assert_eq!((done.made, done.removed_files), (store::Timestamp(1_700_000_000_000), 0));
    fill(&store, 60..80).await;
    let last = send(&store, b"not in the backup").await.unwrap();
    drop(store);

    let options = small(place("new"));
    let (made, after) = restored(&options, &backup).await.unwrap();
    assert_eq!((made.made, made.files, made.bytes), (done.made, done.files, done.bytes));
    assert_eq!(made.stats.messages, before.0.1.len() as u64 + 2, "two are deleted and still to be delivered");
    assert!(is_restored(&before, &after));
    assert_eq!(verify(&options).unwrap().findings, []);
    let store = Local::open(options.clone()).unwrap();
    assert_eq!(store.recovery().rebuilt, None);
    fill(&store, 60..80).await;
    assert!(inbox(&store).await.len() > 60);
    assert!(last.0 > 0);
    let first = after.0.0[0].uid_validity;
    let new = AccountName::parse("new@example.org").unwrap();
    store.create_account(&new, Origin::Added).await.unwrap();
    let next = store.mailbox(&new, &inbox_name()).await.unwrap();
    assert!(next.uid_validity > first && next.id.0 > 1 << 20, "as if many had been made meanwhile");
    drop(store);
    // It is in the log, and not in the index alone.
    fs::remove_file(options.directory.join("index.redb")).unwrap();
    let again = Local::open(options.clone()).unwrap();
    assert_eq!(again.mailbox(&alice(), &inbox_name()).await.unwrap().uid_validity, first);
    drop(again);

    assert!(matches!(restore(&options, &backup), Err(Error::Invalid(what)) if what.contains("not empty")));
}

#[tokio::test]
async fn an_empty_store_can_be_backed_up() {
    let directory = tempfile::tempdir().unwrap();
    let store = Local::open(small(directory.path().join("store"))).unwrap();
    let backup = directory.path().join("backup");
    assert_eq!(store.backup(backup.clone()).await.unwrap().files, 0);
    let options = small(directory.path().join("new"));
    assert_eq!(restore(&options, &backup).unwrap().stats.messages, 0);
    let store = Local::open(options).unwrap();
    send(&store, b"the first").await.unwrap();
}

#[tokio::test]
async fn what_an_earlier_backup_has_is_not_copied_again() {
    let directory = tempfile::tempdir().unwrap();
    let store = Local::open(small(directory.path().join("store"))).unwrap();
    let backup = directory.path().join("backup");
    fill(&store, 0..60).await;
    let first = store.backup(backup.clone()).await.unwrap();
    let second = store.backup(backup.clone()).await.unwrap();
    assert_eq!((second.files, second.copied_files, second.removed_files), (first.files, 0, 0));

    // The segment that is being written has become longer, and there is one more large file.
    send(&store, b"small").await.unwrap();
    send(&store, &content(99, 30_000)).await.unwrap();
    let third = store.backup(backup.clone()).await.unwrap();
    assert_eq!((third.files, third.copied_files), (first.files + 1, 2));
    assert_eq!(third.removed_files, 1, "the shorter copy of the last segment");
    assert!(third.copied_bytes < third.bytes / 2);

    // Most of the old mail goes, with its large files and its segments.
    settle(&store, |_| true).await;
    let uids: Vec<u32> =
        inbox(&store).await.iter().map(|entry| entry.uid.0).filter(|uid| uid % 9 != 0).collect();
    expunge(&store, uids).await;
    let reclaimed = reclaim_all(&store).await;
    assert!(reclaimed >= 3, "{reclaimed}");
    let fourth = store.backup(backup.clone()).await.unwrap();
    assert!(fourth.removed_files >= reclaimed && fourth.bytes < third.bytes, "{fourth:?}");
    let expected = whole(&store).await;
    drop(store);
    let (_, after) = restored(&small(directory.path().join("new")), &backup).await.unwrap();
    assert!(is_restored(&expected, &after));
    // Besides them: the lock, the mark, the manifest.
    assert_eq!(files_in(&backup).len() as u64, fourth.files + 3);
}

#[tokio::test]
async fn every_changed_byte_is_found_and_named() {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name);
    let store = Local::open(small(place("store"))).unwrap();
    fill(&store, 0..30).await;
    let before = whole(&store).await;
    let backup = place("backup");
    store.backup(backup.clone()).await.unwrap();
    drop(store);
    let mut number = 0;
    let mut refused = |named: &str| {
        number += 1;
        let options = small(place(&format!("new{number}")));
        let error = restore(&options, &backup).unwrap_err();
        assert!(matches!(&error, Error::Damaged(what) if what.contains(named)), "{named}: {error}");
        match verify(&small(&backup)) {
            Ok(report) => {
                assert!(
                    report.findings.iter().any(|f| f.place.contains(named) || f.what.contains(named)),
                    "{report:?}"
                );
            }
            Err(error) => {
                assert!(named == "manifest" && matches!(error, Error::Damaged(_)), "{named}: {error}")
            }
        }
        options
    };
    for (path, length) in files_in(&backup) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if ["lock", "posthaste-backup"].contains(&name.as_str()) {
            continue;
        }
        let intact = fs::read(&path).unwrap();
        for at in [0, length / 2, length - 1] {
            let mut bytes = intact.clone();
            bytes[at as usize] ^= 0x10;
            fs::write(&path, &bytes).unwrap();
            let options = refused(&name);
            let opened = Local::open(options.clone());
            let unfinished = matches!(opened.as_ref().map(drop), Err(Error::Invalid(_)));
            assert!(unfinished || name == "manifest", "{name}: what is not whole is not opened");
        }
        for wrong in [&intact[..length as usize - 1], &[&intact[..], b"x"].concat()] {
            fs::write(&path, wrong).unwrap();
            refused(&name);
        }
        if name != "manifest" {
            fs::remove_file(&path).unwrap();
            refused(&name);
        }
        fs::write(&path, intact).unwrap();
    }

    // One message is damaged; the place is said, and a repair saves all others.
    let segment =
        files_in(&backup).into_keys().find(|path| path.to_string_lossy().contains("00000001")).unwrap();
    let mut bytes = fs::read(&segment).unwrap();
    let needle = content(0, 4_000);
    let at = bytes.windows(100).position(|window| window == &needle[..100]).unwrap();
    bytes[at] ^= 1;
    fs::write(&segment, &bytes).unwrap();
    // The record's header and the message's id are in front of its content.
    let options = refused(&format!("the record at {} of", at - 32));
    let saved = repair(&options, &place("saved")).unwrap();
    assert_eq!((saved.lost.len(), saved.more), (1, 0), "{:?}", saved.lost);
    let after = whole(&Local::open(small(place("saved"))).unwrap()).await;
    assert_eq!(after.1.len(), before.1.len() - 1);
    assert!(after.1.iter().all(|(uid, text)| before.1[uid] == *text));
    let validities = |whole: &Whole| whole.0.0.iter().map(|mailbox| mailbox.uid_validity).collect::<Vec<_>>();
    assert!(validities(&after).iter().zip(&validities(&before)).all(|(after, before)| after > before));
}

#[tokio::test]
async fn a_backup_is_never_taken_for_a_store_and_can_be_verified() {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name);
    let store = Local::open(small(place("store"))).unwrap();
    fill(&store, 0..60).await;
    settle(&store, |_| true).await;
    expunge(&store, (5..50).filter(|uid| uid % 9 != 0)).await;
    assert!(reclaim_all(&store).await > 0, "a rewritten segment is in it as well");
    let stats = store.stats().await.unwrap();
    let (backup, options) = (place("backup"), small(place("backup")));
    let made = store.backup(backup.clone()).await.unwrap().made;
    drop(store);

    let files = files_in(&backup);
    let refused = |error: Error| {
        assert!(
            matches!(&error, Error::Invalid(what) if what.contains("posthaste store restore")),
            "{error}"
        );
    };
    refused(Local::open(options.clone()).map(drop).unwrap_err());
    refused(repair(&options, &place("repaired")).unwrap_err());
    let report = verify(&options).unwrap();
    assert_eq!((report.backup, report.findings, report.notes), (Some(made), vec![], vec![]));
    assert_eq!((report.messages, report.large), (stats.messages, stats.large_files));
    assert_eq!(report.segments, stats.segments);
    assert!(report.batches > 60 && report.large > 0);
    assert_eq!(files_in(&backup), files, "nothing was changed");

    let lock = posthaste_store_local::Files::lock(&posthaste_store_local::Disk, &backup.join("lock"));
    assert!(matches!(verify(&options), Err(Error::InUse(_))));
    drop(lock);
    // A copy of the files without the mark is one as well; without the manifest nothing tells what it was.
    fs::remove_file(backup.join("posthaste-backup")).unwrap();
    refused(Local::open(options.clone()).map(drop).unwrap_err());
    assert_eq!(verify(&options).unwrap().findings, []);
    fs::write(backup.join("posthaste-backup"), "").unwrap();
    fs::remove_file(backup.join("manifest")).unwrap();
    assert!(matches!(verify(&options), Err(Error::Invalid(what)) if what.contains("never finished")));
}

#[tokio::test]
async fn what_a_damaged_backup_lacks_at_its_end_is_listed_as_lost() {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name);
    let store = Local::open(small(place("store"))).unwrap();
    fill(&store, 0..60).await;
    let before = whole(&store).await;
    store.backup(place("backup")).await.unwrap();
    drop(store);
    let mut files = files_in(&place("backup")).into_iter();
    let (last, length) = files.rfind(|(path, _)| path.to_string_lossy().contains(".seg-")).unwrap();
    let intact = fs::read(&last).unwrap();
    for (number, kept) in [(0, None), (1, Some(length / 2)), (2, Some(32))] {
        match kept {
            None => fs::remove_file(&last).unwrap(),
            Some(kept) => fs::write(&last, &intact[..kept as usize]).unwrap(),
        }
        let options = small(place(&format!("new{number}")));
        assert!(matches!(restore(&options, &place("backup")), Err(Error::Damaged(_))));
        let findings = verify(&options).unwrap().findings;
        assert!(findings.iter().any(|finding| finding.what.contains("store repair")), "{findings:?}");
        let opened = Local::open(options.clone()).map(drop);
        assert!(matches!(opened, Err(Error::Invalid(what)) if what.contains("store repair")));
        let saved = repair(&options, &place(&format!("saved{number}"))).unwrap();
        assert!(!saved.lost.is_empty(), "{kept:?} of the last segment is left");
        let after = whole(&Local::open(small(place(&format!("saved{number}")))).unwrap()).await;
        // What was deleted may be back: it is not known any more that it was.
        assert!(after.1.iter().any(|(uid, text)| before.1.get(uid) == Some(text)));
        assert!(after.1.iter().all(|(uid, text)| before.1.get(uid).is_none_or(|before| before == text)));
        fs::write(&last, &intact).unwrap();
    }
}

/// Large files that came at different times have directories of their own.
#[tokio::test]
async fn a_backup_without_a_large_file_is_restored_as_far_as_it_goes() {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name);
    let now = Arc::new(AtomicI64::new(1_700_000_000_000));
    let clock = Arc::clone(&now);
    let options =
        Options { clock: Arc::new(move || Timestamp(clock.load(Ordering::SeqCst))), ..small(place("store")) };
    let store = Local::open(options).unwrap();
    for number in 0..3 {
        send(&store, &content(number, 30_000)).await.unwrap();
        now.fetch_add(1, Ordering::SeqCst);
    }
    store.backup(place("backup")).await.unwrap();
    drop(store);
    let large = files_in(&place("backup")).into_keys().find(|path| path.to_string_lossy().contains("large"));
    fs::remove_file(large.unwrap()).unwrap();
    let options = small(place("new"));
    let refused = restore(&options, &place("backup"));
    assert!(matches!(&refused, Err(Error::Damaged(what)) if what.contains("missing")), "{refused:?}");
    let saved = repair(&options, &place("saved")).unwrap();
    // In the mailbox and in the queue.
    assert_eq!(saved.lost.len(), 2, "{:?}", saved.lost);
    assert!(saved.lost.iter().all(|loss| loss.what.contains("missing")), "{:?}", saved.lost);
    assert_eq!(whole(&Local::open(small(place("saved"))).unwrap()).await.1.len(), 2);
}

#[tokio::test]
async fn damage_is_not_backed_up() {
    let directory = tempfile::tempdir().unwrap();
    let options = small(directory.path().join("store"));
    let backup = directory.path().join("backup");
    for large in [false, true] {
        let store = Local::open(options.clone()).unwrap();
        fill(&store, 0..30).await;
        let before = whole(&store).await;
        store.backup(backup.clone()).await.unwrap();
        send(&store, b"one more").await.unwrap();
        let damaged = match large {
            false => options.directory.join("log/00000001.seg"),
            true => files_in(&options.directory.join("large")).into_keys().next().unwrap(),
        };
        let intact = fs::read(&damaged).unwrap();
        let mut bytes = intact.clone();
        bytes[5_000] ^= 1;
        fs::write(&damaged, &bytes).unwrap();
        let error = store.backup(backup.clone()).await.unwrap_err();
        let name = damaged.file_name().unwrap().to_string_lossy().into_owned();
        assert!(matches!(&error, Error::Damaged(what) if what.contains(&name)), "{error}");
        let (_, after) =
            restored(&small(directory.path().join(format!("new{large}"))), &backup).await.unwrap();
        assert!(is_restored(&before, &after), "the earlier backup is as it was");
        fs::write(&damaged, intact).unwrap();
        store.backup(backup.clone()).await.unwrap();
        drop(store);
        for left in [&options.directory, &backup] {
            fs::remove_dir_all(left).unwrap();
        }
    }
}

#[tokio::test]
async fn a_backup_goes_only_where_nothing_else_is() {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name);
    let store = Local::open(small(place("store"))).unwrap();
    fill(&store, 0..10).await;
    let refused = |done: Result<BackedUp>, why: &str| match done {
        Err(error @ (Error::Invalid(_) | Error::InUse(_))) => {
            assert!(error.to_string().contains(why), "{error}")
        }
        done => panic!("{why}: {done:?}"),
    };
    refused(store.backup(place("store/backup")).await, "in the store's own directory");
    refused(store.backup(place("store")).await, "in the store's own directory");
    // A store whose index is missing looks most like a backup.
    let other = Local::open(small(place("other"))).unwrap();
    send(&other, b"precious").await.unwrap();
    drop(other);
    fs::remove_file(place("other/index.redb")).unwrap();
    let precious = files_in(&place("other"));
    refused(store.backup(place("other")).await, "neither a backup nor empty");
    assert_eq!(files_in(&place("other")), precious);

    let backup = place("backup");
    store.backup(backup.clone()).await.unwrap();
    fs::write(backup.join("log/my notes.txt"), "mine").unwrap();
    let held =
        posthaste_store_local::Files::lock(&posthaste_store_local::Disk, &backup.join("lock")).unwrap();
    refused(store.backup(backup.clone()).await, "another backup into");
    drop(held);
    settle(&store, |_| true).await;
    store.backup(backup.clone()).await.unwrap();
    assert!(backup.join("log/my notes.txt").exists(), "what is not of the backup is left alone");

    let manifest = fs::read_to_string(backup.join("manifest")).unwrap();
    fs::write(backup.join("manifest"), manifest.replacen("posthaste-backup 1", "posthaste-backup 2", 1))
        .unwrap();
    refused(store.backup(backup.clone()).await, "does not know");
    let restored = restore(&small(place("new")), &backup).unwrap_err();
    assert!(matches!(&restored, Error::Invalid(what) if what.contains("does not know")), "{restored}");
    fs::remove_file(backup.join("manifest")).unwrap();
    let restored = restore(&small(place("new")), &backup).unwrap_err();
    assert!(matches!(&restored, Error::Invalid(what) if what.contains("never finished")), "{restored}");
    let restored = restore(&small(place("new")), &place("other")).unwrap_err();
    assert!(matches!(&restored, Error::Invalid(what) if what.contains("there is no backup")), "{restored}");
    assert!(!place("new").exists());
}

/// A file system with a store, a backup of it, and what has changed in the store since.
async fn grown(ram: &Ram) -> (Whole, Whole) {
    let store = Local::open(on(ram, "/store")).unwrap();
    fill(&store, 0..24).await;
    store.backup(BACKUP.into()).await.unwrap();
    let first = whole(&store).await;
    settle(&store, |_| true).await;
    expunge(&store, [1, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]).await;
    fill(&store, 24..40).await;
    assert!(reclaim_all(&store).await > 0);
    let second = whole(&store).await;
    store.close().await.unwrap();
    (first, second)
}

fn on(ram: &Ram, directory: &str) -> Options {
    Options { files: Arc::new(ram.clone()), segment_size: 32 << 10, ..small(directory) }
}

const BACKUP: &str = "/elsewhere/backup";

#[tokio::test]
async fn whatever_fails_in_a_backup_the_earlier_one_stays() {
    let base = Ram::default();
    let (first, second) = grown(&base).await;
    let from = base.operations();
    let clean = base.freeze();
    let store = Local::open(on(&clean, "/store")).unwrap();
    let begun = clean.operations();
    let done = store.backup(BACKUP.into()).await.unwrap();
    assert!(done.copied_files > 2 && done.copied_files < done.files && done.removed_files > 2, "{done:?}");
    let end = clean.operations();
    assert!(begun >= from && end - begun > 20, "{begun} to {end}");

    let (mut old, mut new) = (0, 0);
    for operation in begun..end {
        for wrong in wrongs(operation) {
            let context = format!("{wrong:?} at {operation}");
            let ram = base.freeze();
            ram.plan(operation, wrong);
            let store = Local::open(on(&ram, "/store")).unwrap();
            let done = store.backup(BACKUP.into()).await;
            drop(store);
            let keep = [Keep::Nothing, Keep::Everything, Keep::Some(operation)][operation as usize % 3];
            let after = ram.crash(keep);
            let (_, there) = restored(&on(&after, "/new"), Path::new(BACKUP))
                .await
                .unwrap_or_else(|error| panic!("{context}: {error}"));
            let (is_first, is_second) = (is_restored(&first, &there), is_restored(&second, &there));
            assert!(is_first || is_second, "{context}: neither the one nor the other");
            assert!(done.is_err() || is_second, "{context}: it said that it was done");
            *(if is_first { &mut old } else { &mut new }) += 1;

            // The next one works, with what is left of this one.
            let store =
                Local::open(on(&after, "/store")).unwrap_or_else(|error| panic!("{context}: {error}"));
            store.backup(BACKUP.into()).await.unwrap_or_else(|error| panic!("{context}: {error}"));
            drop(store);
            if operation % 4 != 0 {
                continue;
            }
            let power_cut = after.crash(Keep::Nothing);
            let (_, there) = restored(&on(&power_cut, "/newer"), Path::new(BACKUP)).await.unwrap();
            assert!(is_restored(&second, &there), "{context}");
        }
    }
    assert!(old > 20 && new > 3, "{old} and {new}");
}

#[tokio::test]
async fn a_first_backup_counts_when_it_is_finished() {
    let base = Ram::default();
    let store = Local::open(on(&base, "/store")).unwrap();
    fill(&store, 0..12).await;
    let expected = whole(&store).await;
    store.close().await.unwrap();
    let clean = base.freeze();
    let store = Local::open(on(&clean, "/store")).unwrap();
    let begun = clean.operations();
    store.backup(BACKUP.into()).await.unwrap();
    let mut counted = 0;
    for operation in begun..clean.operations() {
        let ram = base.freeze();
        ram.plan(operation, Wrong::Stop);
        let store = Local::open(on(&ram, "/store")).unwrap();
        assert!(store.backup(BACKUP.into()).await.is_err());
        drop(store);
        let after =
            ram.crash([Keep::Nothing, Keep::Everything, Keep::Some(operation)][operation as usize % 3]);
        match restored(&on(&after, "/new"), Path::new(BACKUP)).await {
            Ok((_, there)) => {
                assert!(is_restored(&expected, &there), "stopped at {operation}");
                counted += 1;
            }
            Err(Error::Invalid(what)) => {
                assert!(what.contains("there is no backup") || what.contains("never finished"), "{what}");
            }
            Err(error) => panic!("stopped at {operation}: {error}"),
        }
        let store = Local::open(on(&after, "/store")).unwrap();
        store.backup(BACKUP.into()).await.unwrap_or_else(|error| panic!("stopped at {operation}: {error}"));
    }
    assert!(counted < 4, "{counted}");
}

#[tokio::test]
async fn a_restoration_that_was_not_finished_is_not_opened() {
    let base = Ram::default();
    let (first, _) = grown(&base).await;
    let clean = base.freeze();
    let begun = clean.operations();
    restore(&on(&clean, "/new"), Path::new(BACKUP)).unwrap();
    let (mut refused, mut whole_ones) = (0, 0);
    for operation in begun..clean.operations() {
        for wrong in wrongs(operation) {
            let context = format!("{wrong:?} at {operation}");
            let ram = base.freeze();
            ram.plan(operation, wrong);
            let done = restore(&on(&ram, "/new"), Path::new(BACKUP));
            let keep = [Keep::Nothing, Keep::Everything, Keep::Some(operation)][operation as usize % 3];
            let after = ram.crash(keep);
            let names = posthaste_store_local::Files::list(&after, "/new".as_ref()).unwrap_or_default();
            if names.is_empty() {
                assert!(done.is_err(), "{context}");
                continue;
            }
            match Local::open(on(&after, "/new")) {
                Ok(store) => {
                    assert!(is_restored(&first, &whole(&store).await), "{context}");
                    whole_ones += 1;
                }
                Err(Error::Invalid(what)) => {
                    assert!(what.contains("was not finished") && done.is_err(), "{context}: {what}");
                    refused += 1;
                    if !names.iter().any(|name| name == "log") {
                        continue;
                    }
                    let found = verify(&on(&after, "/new")).unwrap().findings;
                    assert!(found.iter().any(|finding| finding.what.contains("not finished")), "{context}");
                    let saved = repair(&on(&after, "/new"), Path::new("/saved"));
                    assert!(
                        matches!(&saved, Err(Error::Invalid(what)) if what.contains("not finished")),
                        "{context}: {saved:?}"
                    );
                }
                Err(error) => panic!("{context}: {error}"),
            }
        }
    }
    assert!(refused > 20 && whole_ones > 3, "{refused} and {whole_ones}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn nothing_goes_away_while_it_is_copied() {
    let directory = tempfile::tempdir().unwrap();
    let (gate, reached, open) = Gate::before("backup/log");
    let options = Options {
        files: gate,
        work: Work::Threads,
        reclaim_rate: 0,
        ..small(directory.path().join("store"))
    };
    let store = Arc::new(Local::open(options.clone()).unwrap());
    fill(&store, 0..60).await;
    let before = whole(&store).await;
    let backup = directory.path().join("backup");
    let (copied, to) = (store.clone(), backup.clone());
    let copying = tokio::spawn(async move { copied.backup(to).await });
    tokio::task::spawn_blocking(move || reached.recv().unwrap()).await.unwrap();

    let files = files_in(&options.directory.join("large"));
    assert!(files.len() > 5);
    settle(&store, |_| true).await;
    let all: Vec<u32> = before.1.keys().map(|uid| uid.0).collect();
    expunge(&store, all).await;
    send(&store, b"mail is accepted meanwhile").await.unwrap();
    assert_eq!(store.stats().await.unwrap().large_files, 0);
    let reclaimed = store.clone();
    let reclaiming = tokio::spawn(async move { reclaimed.reclaim().await });
    assert_eq!(files_in(&options.directory.join("large")), files, "they are still to be copied");
    open.send(()).unwrap();
    copying.await.unwrap().unwrap();
    assert_eq!(files_in(&options.directory.join("large")).len(), 0, "and now they are gone");
    assert!(reclaiming.await.unwrap().unwrap().is_some());
    store.close().await.unwrap();
    let (_, after) = restored(&small(directory.path().join("new")), &backup).await.unwrap();
    assert!(is_restored(&before, &after));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_acknowledged_before_is_in_a_backup_of_a_busy_store() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options {
        work: Work::Threads,
        reclaim_rate: 1 << 30,
        segment_size: 128 << 10,
        ..small(directory.path().join("store"))
    };
    let store = Arc::new(Local::open(options).unwrap());
    store.create_account(&alice(), Origin::Added).await.unwrap();
    let inbox_id = store.mailbox(&alice(), &inbox_name()).await.unwrap().id;
    let kept: Arc<Mutex<Acknowledged>> = Arc::default();
    let senders: Vec<_> = (0..3u64)
        .map(|number| {
            let (store, kept) = (store.clone(), kept.clone());
            tokio::spawn(async move {
                for message in 0..120 {
                    let size = if message % 8 == 5 { 20_000 } else { 4_000 };
                    let text = content(number * 1_000 + message, size);
                    let id = send(&store, &text).await.unwrap();
                    let entries = store.entries(inbox_id, Uid(0), usize::MAX).await.unwrap();
                    let uid = entries.iter().find(|entry| entry.spool == id).unwrap().uid;
                    store
                        .settle(
                            store::DeliveryId { spool: id, recipient: 0 },
                            store::Outcome::delivered(store::Timestamp(50)),
                        )
                        .await
                        .unwrap();
                    if message % 4 == 0 {
                        store.update_flags(inbox_id, &[uid], Flags::SEEN, Flags::default()).await.unwrap();
                        kept.lock().unwrap().insert(id, (uid, text));
                    } else {
                        store.expunge(inbox_id, &[uid]).await.unwrap();
                        store.reclaim().await.unwrap();
                    }
                }
            })
        })
        .collect();
    let finished = Arc::new(AtomicBool::new(false));
    let (is_finished, backup) = (finished.clone(), directory.path().join("backup"));
    let backups = tokio::spawn(async move {
        for round in 0.. {
            let last = is_finished.load(Ordering::Relaxed);
            let expected = kept.lock().unwrap().clone();
            let done = store.backup(backup.clone()).await.unwrap();
            let options = small(directory.path().join(format!("new{round}")));
            restore(&options, &backup).unwrap();
            let restored = Local::open(options.clone()).unwrap();
            let entries: BTreeMap<_, _> = inbox(&restored).await.into_iter().map(|e| (e.spool, e)).collect();
            for (id, (uid, text)) in &expected {
                let entry = &entries[id];
                assert_eq!((entry.uid, entry.flags), (*uid, Flags::SEEN));
                assert!(read(&restored, *uid).await.unwrap() == *text);
            }
            restored.close().await.unwrap();
            assert_eq!(verify(&options).unwrap().findings, []);
            if last {
                assert!(round > 1, "{round}");
                assert_eq!((expected.len(), entries.len()), (90, 90));
                assert!(done.files > 0);
                return;
            }
        }
    });
    for sender in senders {
        sender.await.unwrap();
    }
    finished.store(true, Ordering::Relaxed);
    backups.await.unwrap();
}
