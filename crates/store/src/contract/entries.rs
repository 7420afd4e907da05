//! What readers do with entries, promise by promise: append, copy, mark, expunge.

use super::mailboxes::{deliver, kinds};
use super::{Subject, account, commit, into_mailbox, keywords, mailbox_name, new_message, text, uids};
use crate::{
    APPEND_MAX, ChangeKind, Entry, Error, Flags, IfMissing, KEYWORDS_MAX, Keyword, KeywordSet, MailboxId,
    Marked, Marking, Marks, ModSeq, Originals, Quota, SharedStore, Timestamp, Uid, UidValidity, VANISHED_MAX,
};

pub(super) async fn run(subject: &dyn Subject) {
    appended_messages_are_as_they_were(subject.open().await).await;
    an_append_is_all_or_nothing(subject.open().await).await;
    a_copy_is_as_its_original(subject.open().await).await;
    a_move_is_one_act(subject.open().await).await;
    a_copy_that_cannot_be_made_changes_nothing(subject.open().await).await;
    text_lives_as_long_as_its_copies(subject.open().await).await;
    marks_are_told(subject.open().await).await;
    keywords_are_bounded(subject.open().await).await;
    changes_can_depend_on_what_was_seen(subject.open().await).await;
    only_what_is_marked_as_deleted_goes(subject.open().await).await;
    history_says_how_far_it_reaches(subject.open().await).await;
    ranges_are_read(subject.open().await).await;
}

async fn appended_messages_are_as_they_were(store: SharedStore) {
    let alice = account("alice@example.org");
    let inbox = deliver(&store, &alice, 1).await;
    let marks = Marks { flags: Flags::SEEN.with(Flags::DELETED), keywords: keywords(&["$Junk"]) };
    let messages =
        vec![new_message(&store, b"one\r\n", marks).await, new_message(&store, b"", Flags::default()).await];
    let ids: Vec<_> = messages.iter().map(|message| message.stage.id()).collect();
    let before = store.status(inbox).await.unwrap();
    let appended = store.append(inbox, messages).await.unwrap();
    assert_eq!((appended.uid_validity, appended.uids), (before.uid_validity, vec![Uid(2), Uid(3)]));

    let entries = store.entries(inbox, Uid(1), 9).await.unwrap();
    assert_eq!(entries.iter().map(|entry| entry.spool).collect::<Vec<_>>(), ids);
    assert_eq!((entries[0].size, entries[0].received.0), (5, 1_600_000_000_000));
    assert!(entries[0].saved.0 >= 1_577_836_800_000, "when it was saved, which is after 2020");
    assert_eq!((entries[0].flags, entries[0].keywords), (Flags(1 | 8), KeywordSet::one(0)));
    assert_eq!((entries[1].flags, entries[1].keywords), (Flags::default(), KeywordSet::default()));
    assert_ne!(entries[0].email_id(), entries[1].email_id());
    let (entry, reader) = store.fetch(inbox, Uid(2)).await.unwrap();
    assert_eq!((text(reader).await, entry), (b"one\r\n".to_vec(), entries[0].clone()));
    let status = store.status(inbox).await.unwrap();
    assert_eq!((status.messages, status.unseen, status.deleted), (3, 2, 1));
    assert_eq!(status.keywords, keywords(&["$JUNK"]));
    assert_eq!(store.standing(&alice).await.unwrap().unwrap().usage.messages, 3);
    assert_eq!(kinds(&store, inbox, before.highest_modseq).await.len(), 2);
    let acceptance = store.acceptance(entries[0].spool).await.unwrap();
    assert_eq!(acceptance.envelope.recipients.len(), 1);
}

async fn an_append_is_all_or_nothing(store: SharedStore) {
    let alice = account("alice@example.org");
    let inbox = deliver(&store, &alice, 1).await;
    let before = store.status(inbox).await.unwrap();
    let used = store.standing(&alice).await.unwrap().unwrap().usage;
    let quota = Quota { bytes: Some(used.bytes + 9), messages: None };
    store.set_quota(&alice, quota).await.unwrap();
    let marked = |name: &str| Marks { flags: Flags::SEEN, keywords: keywords(&[name]) };
    let two = vec![
        new_message(&store, b"12345", marked("a")).await,
        new_message(&store, b"12345", marked("b")).await,
    ];
    assert!(matches!(store.append(inbox, two).await, Err(Error::OverQuota(_))));
    assert_eq!(store.status(inbox).await.unwrap(), before);
    assert!(matches!(store.append(inbox, Vec::new()).await, Err(Error::Invalid(_))));
    let mut many = Vec::new();
    for _ in 0..=APPEND_MAX {
        many.push(new_message(&store, b"", Flags::default()).await);
    }
    assert!(matches!(store.append(inbox, many).await, Err(Error::Limit(_))));
    let gone = vec![new_message(&store, b"", Flags::default()).await];
    assert!(matches!(store.append(MailboxId(inbox.0 + 77), gone).await, Err(Error::NoSuchMailbox(_))));
    let foreign = crate::memory::Memory::new(|| Timestamp(0));
    let foreign: SharedStore = std::sync::Arc::new(foreign);
    let foreign = vec![new_message(&foreign, b"", Flags::default()).await];
    let refused = store.append(inbox, foreign).await;
    assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
    let fits = vec![new_message(&store, b"123456789", marked("c")).await];
    store.append(inbox, fits).await.unwrap();
    assert_eq!(store.status(inbox).await.unwrap().keywords, keywords(&["c"]), "what was refused left none");
}

async fn a_copy_is_as_its_original(store: SharedStore) {
    let (inbox, archive) = two_mailboxes(&store, 4).await;
    store.mark(archive, &uids(1), Marking::add(Flags::SEEN)).await.unwrap();
    store.append(archive, vec![new_message(&store, b"first", marks(0, &["mine"])).await]).await.unwrap();
    store.mark(inbox, &[Uid(1)], Marking::add(marks(4, &["b", "MINE"]))).await.unwrap();
    store.mark(inbox, &[Uid(3)], Marking::add(marks(1, &["c"]))).await.unwrap();
    store.mark(inbox, &[Uid(4)], Marking::add(marks(0, &["unused"]))).await.unwrap();
    let before = store.status(inbox).await.unwrap();
    let wanted = [Uid(3), Uid(1), Uid(1), Uid(99)];
    let copied = store.copy(inbox, &wanted, archive, Originals::Stay).await.unwrap();
    assert_eq!(copied.pairs, [(Uid(1), Uid(2)), (Uid(3), Uid(3))]);
    let target = store.status(archive).await.unwrap();
    assert_eq!((copied.uid_validity, target.messages), (target.uid_validity, 3));
    assert_eq!(target.keywords, keywords(&["mine", "b", "c"]), "those in use, and no others");
    assert_eq!(store.status(inbox).await.unwrap(), before, "the originals are as they were");

    for (original, copy) in copied.pairs {
        let (one, reader) = store.fetch(inbox, original).await.unwrap();
        let (other, copied) = store.fetch(archive, copy).await.unwrap();
        assert_eq!(text(reader).await, text(copied).await);
        assert_eq!((one.email_id(), one.received, one.size), (other.email_id(), other.received, other.size));
        assert_eq!(one.flags, other.flags);
        assert_eq!(named(&before.keywords, &one), named(&target.keywords, &other));
    }
    let none = store.copy(inbox, &[Uid(99)], archive, Originals::Stay).await.unwrap();
    assert_eq!((none.uid_validity, none.pairs), (target.uid_validity, Vec::new()));
    let same = store.copy(inbox, &[Uid(2)], inbox, Originals::Stay).await.unwrap();
    assert_eq!(same.pairs, [(Uid(2), Uid(5))]);
}

async fn a_move_is_one_act(store: SharedStore) {
    let (inbox, archive) = two_mailboxes(&store, 3).await;
    let alice = account("alice@example.org");
    let used = store.standing(&alice).await.unwrap().unwrap().usage;
    // What only changes its place needs no room.
    store.set_quota(&alice, Quota { bytes: Some(used.bytes), messages: Some(3) }).await.unwrap();
    let (from, to) = (store.status(inbox).await.unwrap(), store.status(archive).await.unwrap());
    let moved = store.copy(inbox, &[Uid(2), Uid(3)], archive, Originals::Go).await.unwrap();
    assert_eq!(moved.pairs, [(Uid(2), Uid(1)), (Uid(3), Uid(2))]);
    let gone = [(Uid(2), ChangeKind::Expunged), (Uid(3), ChangeKind::Expunged)];
    assert_eq!(kinds(&store, inbox, from.highest_modseq).await, gone);
    let come = [(Uid(1), ChangeKind::Present), (Uid(2), ChangeKind::Present)];
    assert_eq!(kinds(&store, archive, to.highest_modseq).await, come);
    assert_eq!(store.standing(&alice).await.unwrap().unwrap().usage, used);
    let again = store.copy(archive, &[Uid(1)], archive, Originals::Go).await.unwrap();
    assert_eq!(again.pairs, [(Uid(1), Uid(3))]);
    assert_eq!(store.status(archive).await.unwrap().messages, 2);
    let (_, reader) = store.fetch(archive, Uid(3)).await.unwrap();
    assert!(text(reader).await.ends_with(b"message 1"));
}

async fn a_copy_that_cannot_be_made_changes_nothing(store: SharedStore) {
    let (inbox, archive) = two_mailboxes(&store, 2).await;
    let alice = account("alice@example.org");
    let other = deliver(&store, &account("bob@example.org"), 1).await;
    let gone = MailboxId(archive.0 + 99);
    let copy = async |from, to| store.copy(from, &uids(2), to, Originals::Stay).await;
    assert!(matches!(copy(inbox, gone).await, Err(Error::NoSuchMailbox(_))));
    assert!(matches!(copy(gone, inbox).await, Err(Error::NoSuchMailbox(_))));
    assert!(matches!(copy(inbox, other).await, Err(Error::Invalid(_))));
    store.set_quota(&alice, Quota { bytes: None, messages: Some(3) }).await.unwrap();
    let before = store.mailboxes(&alice).await.unwrap();
    assert!(matches!(copy(inbox, archive).await, Err(Error::OverQuota(_))));
    assert_eq!(store.mailboxes(&alice).await.unwrap(), before);
    store.copy(inbox, &[Uid(1)], archive, Originals::Stay).await.unwrap();
    store.expunge(archive, &[Uid(1)]).await.unwrap();
    store.copy(inbox, &[Uid(1)], archive, Originals::Stay).await.unwrap();
    assert_eq!(store.standing(&alice).await.unwrap().unwrap().usage.messages, 3);
}

async fn text_lives_as_long_as_its_copies(store: SharedStore) {
    let (inbox, archive) = two_mailboxes(&store, 1).await;
    let spool = store.entries(inbox, Uid(0), 1).await.unwrap()[0].spool;
    store.copy(inbox, &uids(1), archive, Originals::Stay).await.unwrap();
    store.expunge(inbox, &uids(1)).await.unwrap();
    store.copy(archive, &uids(1), inbox, Originals::Go).await.unwrap();
    let (_, reader) = store.fetch(inbox, Uid(2)).await.unwrap();
    assert!(text(reader).await.starts_with(b"Delivered-To: alice@example.org\r\n"));
    store.expunge(inbox, &[Uid(2)]).await.unwrap();
    assert!(matches!(store.content(spool).await, Err(Error::NoSuchMessage(_))));

    // A message delivered twice has two texts: which one a copy has is told apart.
    let alice = account("alice@example.org");
    let twice = vec![
        into_mailbox(&alice, "INBOX", IfMissing::Fail),
        into_mailbox(&alice, "Archive", IfMissing::Fail),
    ];
    commit(&store, b"twice", super::accepted(&["a@example.org"], twice)).await.unwrap();
    let one = store.entries(inbox, Uid(2), 1).await.unwrap().remove(0);
    let other = store.entries(archive, Uid(1), 1).await.unwrap().remove(0);
    assert_eq!(one.spool, other.spool);
    assert_ne!(one.email_id(), other.email_id());
    let copied = store.copy(archive, &[other.uid], inbox, Originals::Stay).await.unwrap();
    let (copy, _) = store.fetch(inbox, copied.pairs[0].1).await.unwrap();
    assert_eq!(copy.email_id(), other.email_id());
}

async fn marks_are_told(store: SharedStore) {
    let (inbox, _) = two_mailboxes(&store, 3).await;
    let before = store.status(inbox).await.unwrap();
    let told = async |uids: &[Uid], marking: Marking| -> Marked {
        let before = store.roll(inbox).await.unwrap();
        let marked = store.mark(inbox, uids, marking).await.unwrap();
        let roll = store.roll(inbox).await.unwrap();
        let former = marked.changed.iter().map(|mark| {
            before.marks.iter().find(|before| before.uid == mark.uid).expect("it was there").modseq
        });
        assert_eq!(marked.former, former.collect::<Vec<_>>());
        assert_eq!(roll.status, store.status(inbox).await.unwrap());
        assert!(marked.changed.iter().chain(&marked.same).all(|mark| roll.marks.contains(mark)));
        marked
    };
    let marked = told(&[Uid(3), Uid(1), Uid(9)], Marking::add(marks(1, &["a", "b"]))).await;
    let uids_of = |marks: &[crate::Mark]| -> Vec<u32> { marks.iter().map(|mark| mark.uid.0).collect() };
    assert_eq!((uids_of(&marked.changed), uids_of(&marked.same)), (vec![1, 3], vec![]));
    assert!(marked.changed[0].modseq > before.highest_modseq);
    assert_eq!(marked.changed[1].keywords, KeywordSet(3));

    let marked = told(&uids(3), Marking::add(marks(1, &["A"]))).await;
    assert_eq!((uids_of(&marked.changed), uids_of(&marked.same)), (vec![2], vec![1, 3]));
    let marked = told(&uids(3), Marking::replace(marks(2, &["b"]))).await;
    assert_eq!(uids_of(&marked.changed), [1, 2, 3]);
    assert!(marked.changed.iter().all(|mark| (mark.flags, mark.keywords) == (Flags(2), KeywordSet(2))));
    let marked = told(&uids(2), Marking::remove(marks(2, &["b", "unknown"]))).await;
    assert_eq!(uids_of(&marked.changed), [1, 2]);
    let both = Marking { remove: marks(2, &["b"]), ..Marking::add(marks(16, &[])) };
    let marked = told(&[Uid(3)], both).await;
    assert_eq!((marked.changed[0].flags, marked.changed[0].keywords), (Flags(16), KeywordSet(0)));
    assert_eq!(told(&[Uid(9)], Marking::add(marks(0, &["c"]))).await, Marked::default());
    let status = store.status(inbox).await.unwrap();
    assert_eq!(status.keywords, keywords(&["a", "b"]), "one that no entry got has no number");
    assert_eq!((status.unseen, status.deleted), (3, 0));
}

async fn keywords_are_bounded(store: SharedStore) {
    let (inbox, archive) = two_mailboxes(&store, 1).await;
    let many: Vec<Keyword> = (0..KEYWORDS_MAX).map(|n| Keyword::new(&format!("k{n}")).unwrap()).collect();
    let all = Marks { flags: Flags::default(), keywords: many.clone() };
    store.mark(inbox, &uids(1), Marking::add(all)).await.unwrap();
    let before = store.status(inbox).await.unwrap();
    assert_eq!(before.keywords, many);
    let more = Marking::add(marks(1, &["k7", "more"]));
    assert!(matches!(store.mark(inbox, &uids(1), more).await, Err(Error::Limit(_))));
    let message = vec![new_message(&store, b"", marks(0, &["more"])).await];
    assert!(matches!(store.append(inbox, message).await, Err(Error::Limit(_))));
    assert_eq!(store.status(inbox).await.unwrap(), before);
    store.append(archive, vec![new_message(&store, b"", marks(0, &["more"])).await]).await.unwrap();
    let back = store.copy(archive, &uids(1), inbox, Originals::Go).await;
    assert!(matches!(back, Err(Error::Limit(_))));
    assert_eq!(store.status(archive).await.unwrap().messages, 1);
    for wrong in ["", "\\Seen", "a b", "a(", "a]", "ä", "x\"", &"x".repeat(129)] {
        assert!(Keyword::new(wrong).is_err(), "{wrong:?}");
    }
}

async fn changes_can_depend_on_what_was_seen(store: SharedStore) {
    let (inbox, _) = two_mailboxes(&store, 3).await;
    let seen = store.status(inbox).await.unwrap().highest_modseq;
    store.mark(inbox, &[Uid(2)], Marking::add(Flags::FLAGGED)).await.unwrap();
    let conditional = || Marking::add(marks(1, &["x"])).unchanged_since(seen);
    let marked = store.mark(inbox, &uids(3), conditional()).await.unwrap();
    assert_eq!(marked.failed, [Uid(2)]);
    assert_eq!(marked.changed.iter().map(|mark| mark.uid.0).collect::<Vec<_>>(), [1, 3]);
    let after = store.status(inbox).await.unwrap();
    let marked = store.mark(inbox, &uids(3), conditional()).await.unwrap();
    assert_eq!(marked, Marked { failed: uids(3), ..Marked::default() });
    assert_eq!(store.status(inbox).await.unwrap(), after);
    let never = Marking::remove(Flags::SEEN).unchanged_since(ModSeq(0));
    assert_eq!(store.mark(inbox, &uids(1), never).await.unwrap().failed, uids(1));
}

async fn only_what_is_marked_as_deleted_goes(store: SharedStore) {
    let (inbox, _) = two_mailboxes(&store, 5).await;
    let all = [Uid(1)..=Uid(u32::MAX)];
    assert_eq!(store.expunge_deleted(inbox, &all).await.unwrap(), 0);
    store.mark(inbox, &[Uid(1), Uid(3), Uid(5)], Marking::add(Flags::DELETED)).await.unwrap();
    assert_eq!(store.expunge_deleted(inbox, &[Uid(1)..=Uid(2), Uid(4)..=Uid(4)]).await.unwrap(), 1);
    assert_eq!(store.status(inbox).await.unwrap().deleted, 2);
    store.mark(inbox, &[Uid(5)], Marking::remove(Flags::DELETED)).await.unwrap();
    assert_eq!(store.expunge_deleted(inbox, &all).await.unwrap(), 1);
    let left: Vec<u32> = store.roll(inbox).await.unwrap().marks.iter().map(|mark| mark.uid.0).collect();
    assert_eq!(left, [2, 4, 5]);
    let gone = store.expunge_deleted(MailboxId(inbox.0 + 77), &all).await;
    assert!(matches!(gone, Err(Error::NoSuchMailbox(_))));
}

async fn history_says_how_far_it_reaches(store: SharedStore) {
    let (inbox, archive) = two_mailboxes(&store, 1).await;
    let mut entries = 1;
    while entries < VANISHED_MAX as u32 + 10 {
        store.copy(inbox, &uids(entries), inbox, Originals::Stay).await.unwrap();
        entries *= 2;
    }
    let before = store.status(inbox).await.unwrap();
    assert_eq!((before.messages, before.history_from), (u64::from(entries), ModSeq(0)));
    let (most, rest) = (VANISHED_MAX as u32 - 5, VANISHED_MAX as u32 + 7);
    assert_eq!(store.expunge(inbox, &uids(most)).await.unwrap(), u64::from(most));
    assert_eq!(store.status(inbox).await.unwrap().history_from, ModSeq(0));
    store.expunge(inbox, &uids(rest)).await.unwrap();
    let after = store.status(inbox).await.unwrap();
    assert!(after.history_from >= before.highest_modseq, "the first few are forgotten");
    let known = store.changes(inbox, after.history_from, usize::MAX).await.unwrap();
    assert_eq!(known.len(), VANISHED_MAX);
    assert_eq!((known[0].uid, known[0].kind), (Uid(8), ChangeKind::Expunged));
    assert_eq!(store.status(archive).await.unwrap().history_from, ModSeq(0));
    assert_ne!(after.uid_validity, UidValidity(0));
}

async fn ranges_are_read(store: SharedStore) {
    let (inbox, _) = two_mailboxes(&store, 6).await;
    store.expunge(inbox, &[Uid(3)]).await.unwrap();
    let read = async |ranges: &[std::ops::RangeInclusive<Uid>], limit| -> Vec<u32> {
        store.entries_in(inbox, ranges, limit).await.unwrap().iter().map(|entry| entry.uid.0).collect()
    };
    assert_eq!(read(&[Uid(2)..=Uid(4), Uid(6)..=Uid(9)], 9).await, [2, 4, 6]);
    assert_eq!(read(&[Uid(2)..=Uid(4), Uid(6)..=Uid(9)], 2).await, [2, 4]);
    assert_eq!(read(&[Uid(0)..=Uid(u32::MAX)], 9).await, [1, 2, 4, 5, 6]);
    assert_eq!(read(&[Uid(3)..=Uid(3)], 9).await, [0; 0]);
    let entries = store.entries(inbox, Uid(0), 9).await.unwrap();
    let marks: Vec<_> = entries.iter().map(Entry::mark).collect();
    assert_eq!(store.roll(inbox).await.unwrap().marks, marks);
    let gone = MailboxId(inbox.0 + 77);
    assert!(matches!(store.roll(gone).await, Err(Error::NoSuchMailbox(_))));
    assert!(matches!(store.entries_in(gone, &[], 9).await, Err(Error::NoSuchMailbox(_))));
    let marked = store.mark(gone, &uids(1), Marking::add(Flags::SEEN)).await;
    assert!(matches!(marked, Err(Error::NoSuchMailbox(_))));
}

/// INBOX with so many messages, and an empty mailbox.
async fn two_mailboxes(store: &SharedStore, messages: usize) -> (MailboxId, MailboxId) {
    let alice = account("alice@example.org");
    let inbox = deliver(store, &alice, messages).await;
    (inbox, store.create_mailbox(&alice, &mailbox_name("Archive"), None).await.unwrap().id)
}

fn marks(flags: u8, names: &[&str]) -> Marks {
    Marks { flags: Flags(flags), keywords: keywords(names) }
}

/// An entry's keywords by name.
fn named(known: &[Keyword], entry: &Entry) -> Vec<String> {
    let mut names: Vec<String> =
        entry.keywords.numbers().map(|number| known[number].as_str().to_lowercase()).collect();
    names.sort();
    names
}
