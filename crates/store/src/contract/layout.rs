//! Mailboxes as such, promise by promise: made, renamed, removed, subscribed to.

use super::mailboxes::deliver;
use super::{Subject, account, keywords, mailbox_name, new_message, text, uids};
use crate::{AccountName, Error, Event, Flags, Marking, Marks, Origin, Secret, SharedStore, SpecialUse, Uid};

pub(super) async fn run(subject: &dyn Subject) {
    mailboxes_come_and_go(subject.open().await).await;
    what_is_below_follows(subject.open().await).await;
    names_may_change_places(subject.open().await).await;
    renaming_inbox_moves_what_is_in_it(subject.open().await).await;
    each_use_has_one_mailbox(subject.open().await).await;
    subscriptions_are_names_alone(subject.open().await).await;
    all_of_it_lasts(subject).await;
    followers_learn_what_happened(subject.open().await).await;
}

async fn mailboxes_come_and_go(store: SharedStore) {
    let (alice, nobody) = (account("alice@example.org"), account("nobody@example.org"));
    store.create_account(&alice, Origin::Added).await.unwrap();
    let archive = mailbox_name("Archive");
    let made = store.create_mailbox(&alice, &archive, None).await.unwrap();
    assert_eq!((made.name.as_str(), made.messages, made.uid_next), ("Archive", 0, Uid(1)));
    assert_eq!(store.mailbox(&alice, &archive).await.unwrap(), made);
    assert_eq!(store.status(made.id).await.unwrap(), made);
    assert!(matches!(store.create_mailbox(&alice, &archive, None).await, Err(Error::Exists(_))));
    assert!(matches!(store.create_mailbox(&nobody, &archive, None).await, Err(Error::NoSuchAccount(_))));
    let inbox = mailbox_name("inbox");
    assert!(matches!(store.create_mailbox(&alice, &inbox, None).await, Err(Error::Exists(_))));

    let message = new_message(&store, b"text", Flags::SEEN).await;
    store.append(made.id, vec![message]).await.unwrap();
    let kept = store.entries(made.id, Uid(0), 9).await.unwrap();
    store.delete_mailbox(&alice, &archive).await.unwrap();
    assert!(matches!(store.mailbox(&alice, &archive).await, Err(Error::NoSuchMailbox(_))));
    assert!(matches!(store.status(made.id).await, Err(Error::NoSuchMailbox(_))));
    assert!(
        matches!(store.content(kept[0].spool).await, Err(Error::NoSuchMessage(_))),
        "the text went with it"
    );
    assert_eq!(store.standing(&alice).await.unwrap().unwrap().usage, crate::Usage::default());
    assert!(matches!(store.delete_mailbox(&alice, &archive).await, Err(Error::NoSuchMailbox(_))));
    assert!(matches!(store.delete_mailbox(&alice, &inbox).await, Err(Error::Invalid(_))));
    assert!(matches!(store.delete_mailbox(&nobody, &inbox).await, Err(Error::NoSuchAccount(_))));

    let again = store.create_mailbox(&alice, &archive, None).await.unwrap();
    assert_ne!(again.id, made.id);
    assert!(again.uid_validity > made.uid_validity && again.highest_modseq > made.highest_modseq);
}

async fn what_is_below_follows(store: SharedStore) {
    let alice = account("alice@example.org");
    store.create_account(&alice, Origin::Added).await.unwrap();
    for name in ["work", "work/a", "work/a/b", "workshop", "other/x"] {
        store.create_mailbox(&alice, &mailbox_name(name), None).await.unwrap();
    }
    let before = store.mailbox(&alice, &mailbox_name("work/a/b")).await.unwrap();
    let rename = async |from: &str, to: &str| {
        store.rename_mailbox(&alice, &mailbox_name(from), &mailbox_name(to)).await
    };
    rename("work", "play/now").await.unwrap();
    let expected = ["INBOX", "other/x", "play/now", "play/now/a", "play/now/a/b", "workshop"];
    assert_eq!(names(&store, &alice).await, expected);
    let after = store.status(before.id).await.unwrap();
    assert_eq!((after.name.as_str(), after.uid_validity), ("play/now/a/b", before.uid_validity));

    // A name that is no mailbox.
    rename("other", "more").await.unwrap();
    assert!(names(&store, &alice).await.contains(&"more/x".to_owned()));
    assert!(matches!(rename("other", "else").await, Err(Error::NoSuchMailbox(_))));
    assert!(matches!(rename("workshop", "more/x").await, Err(Error::Exists(_))));
    assert!(matches!(rename("workshop", "workshop").await, Err(Error::Exists(_))));
    assert!(matches!(rename("workshop", "workshop/x").await, Err(Error::Invalid(_))));
    assert!(matches!(rename("workshop", "inbox").await, Err(Error::Exists(_))));
    let long = "x".repeat(253);
    assert!(
        matches!(rename("play/now", &long).await, Err(Error::Invalid(_))),
        "what is below would be too long"
    );
    store.create_mailbox(&alice, &mailbox_name("deep/now/a"), None).await.unwrap();
    assert!(matches!(rename("play", "deep").await, Err(Error::Exists(_))), "a name below is taken");
    assert_eq!(names(&store, &alice).await.len(), 7);
}

/// Names that become free in the same act may be taken.
async fn names_may_change_places(store: SharedStore) {
    let alice = account("alice@example.org");
    store.create_account(&alice, Origin::Added).await.unwrap();
    let mut ids = Vec::new();
    for name in ["a/b", "a/b/b", "a/b/b/b", "a/b/c", "a/b/b/c"] {
        ids.push(store.create_mailbox(&alice, &mailbox_name(name), None).await.unwrap().id);
    }
    store.rename_mailbox(&alice, &mailbox_name("a/b"), &mailbox_name("a")).await.unwrap();
    for (id, name) in ids.into_iter().zip(["a", "a/b", "a/b/b", "a/c", "a/b/c"]) {
        assert_eq!(store.status(id).await.unwrap().name.as_str(), name);
        assert_eq!(store.mailbox(&alice, &mailbox_name(name)).await.unwrap().id, id);
    }
    assert_eq!(names(&store, &alice).await, ["INBOX", "a", "a/b", "a/b/b", "a/b/c", "a/c"]);
}

async fn renaming_inbox_moves_what_is_in_it(store: SharedStore) {
    let alice = account("alice@example.org");
    let inbox = deliver(&store, &alice, 3).await;
    store.create_mailbox(&alice, &mailbox_name("INBOX/below"), None).await.unwrap();
    store.mark(inbox, &[Uid(2)], Marking::add(Flags::FLAGGED)).await.unwrap();
    store.expunge(inbox, &[Uid(1)]).await.unwrap();
    let before = store.status(inbox).await.unwrap();
    let (from, old) = (mailbox_name("INBOX"), mailbox_name("Old"));
    store.rename_mailbox(&alice, &from, &old).await.unwrap();

    let after = store.mailbox(&alice, &from).await.unwrap();
    assert_eq!((after.id, after.uid_validity), (before.id, before.uid_validity));
    assert_eq!((after.messages, after.uid_next), (0, before.uid_next));
    let moved = store.mailbox(&alice, &old).await.unwrap();
    assert_eq!((moved.messages, moved.unseen), (2, 2));
    let flags: Vec<Flags> =
        store.entries(moved.id, Uid(0), 9).await.unwrap().iter().map(|entry| entry.flags).collect();
    assert_eq!(flags, [Flags::FLAGGED, Flags::default()]);
    assert_eq!(names(&store, &alice).await, ["INBOX", "INBOX/below", "Old"]);
    assert!(matches!(store.rename_mailbox(&alice, &from, &old).await, Err(Error::Exists(_))));
    // Empty, it can be renamed, too.
    store.rename_mailbox(&alice, &from, &mailbox_name("Older")).await.unwrap();
    assert_eq!(store.mailbox(&alice, &mailbox_name("Older")).await.unwrap().messages, 0);
}

async fn each_use_has_one_mailbox(store: SharedStore) {
    let alice = account("alice@example.org");
    store.create_account(&alice, Origin::Added).await.unwrap();
    let (sent, other) = (mailbox_name("Sent"), mailbox_name("Other"));
    let made = store.create_mailbox(&alice, &sent, Some(SpecialUse::Sent)).await.unwrap();
    assert_eq!(made.special_use, Some(SpecialUse::Sent));
    let again = store.create_mailbox(&alice, &other, Some(SpecialUse::Sent)).await;
    assert!(matches!(again, Err(Error::Exists(_))));
    store.create_mailbox(&alice, &other, Some(SpecialUse::Junk)).await.unwrap();
    assert!(matches!(
        store.set_special_use(&alice, &other, Some(SpecialUse::Sent)).await,
        Err(Error::Exists(_))
    ));
    store.set_special_use(&alice, &sent, Some(SpecialUse::Sent)).await.unwrap();
    store.set_special_use(&alice, &sent, None).await.unwrap();
    store.set_special_use(&alice, &other, Some(SpecialUse::Sent)).await.unwrap();
    assert_eq!(store.mailbox(&alice, &sent).await.unwrap().special_use, None);
    assert_eq!(store.mailbox(&alice, &other).await.unwrap().special_use, Some(SpecialUse::Sent));
    let missing = store.set_special_use(&alice, &mailbox_name("None"), None).await;
    assert!(matches!(missing, Err(Error::NoSuchMailbox(_))));
}

async fn subscriptions_are_names_alone(store: SharedStore) {
    let alice = account("alice@example.org");
    store.create_account(&alice, Origin::Added).await.unwrap();
    let (none, inbox) = (mailbox_name("not/there"), mailbox_name("INBOX"));
    for name in [&none, &inbox, &none] {
        store.subscribe(&alice, name).await.unwrap();
    }
    assert_eq!(store.subscriptions(&alice).await.unwrap(), [inbox.clone(), none.clone()]);
    assert!(store.mailbox(&alice, &inbox).await.unwrap().subscribed);
    store.create_mailbox(&alice, &none, None).await.unwrap();
    store.rename_mailbox(&alice, &none, &mailbox_name("there")).await.unwrap();
    assert!(!store.mailbox(&alice, &mailbox_name("there")).await.unwrap().subscribed);
    assert_eq!(store.subscriptions(&alice).await.unwrap().len(), 2, "a name stays subscribed to");
    store.unsubscribe(&alice, &none).await.unwrap();
    store.unsubscribe(&alice, &none).await.unwrap();
    assert_eq!(store.subscriptions(&alice).await.unwrap(), [inbox]);
    let nobody = account("nobody@example.org");
    assert!(matches!(store.subscribe(&nobody, &none).await, Err(Error::NoSuchAccount(_))));
    assert!(matches!(store.subscriptions(&nobody).await, Err(Error::NoSuchAccount(_))));

    store.remove_account(&alice).await.unwrap();
    store.create_account(&alice, Origin::Added).await.unwrap();
    assert!(store.subscriptions(&alice).await.unwrap().is_empty(), "another account");
}

async fn all_of_it_lasts(subject: &dyn Subject) {
    let store = subject.open().await;
    let alice = account("alice@example.org");
    deliver(&store, &alice, 3).await;
    let sent = store.create_mailbox(&alice, &mailbox_name("Sent"), Some(SpecialUse::Sent)).await.unwrap();
    store.rename_mailbox(&alice, &mailbox_name("INBOX"), &mailbox_name("Old")).await.unwrap();
    let old = store.mailbox(&alice, &mailbox_name("Old")).await.unwrap().id;
    let marks = Marks { flags: Flags::DELETED, keywords: keywords(&["$Forwarded", "later"]) };
    store.mark(old, &uids(2), Marking::add(marks)).await.unwrap();
    store.copy(old, &uids(2), sent.id, crate::Originals::Go).await.unwrap();
    store.rename_mailbox(&alice, &mailbox_name("Sent"), &mailbox_name("Gone out")).await.unwrap();
    store.subscribe(&alice, &mailbox_name("Gone out")).await.unwrap();
    let before = store.mailboxes(&alice).await.unwrap();
    let rolls = async |store: &SharedStore| {
        let mut rolls = Vec::new();
        for mailbox in &before {
            rolls.push(store.roll(mailbox.id).await.unwrap());
        }
        rolls
    };
    let kept = rolls(&store).await;
    let Some(store) = subject.reopen(&store).await else { return };
    assert_eq!(store.mailboxes(&alice).await.unwrap(), before);
    assert_eq!(rolls(&store).await, kept);
    // What was known when it was written still decides.
    let message =
        new_message(&store, b"x", Marks { keywords: keywords(&["LATER", "new"]), ..Marks::default() });
    store.append(sent.id, vec![message.await]).await.unwrap();
    let status = store.status(sent.id).await.unwrap();
    assert_eq!(status.keywords, keywords(&["$forwarded", "later", "new"]));
    assert_eq!(status.special_use, Some(SpecialUse::Sent));
    let other = store.create_mailbox(&alice, &mailbox_name("Other"), Some(SpecialUse::Sent)).await;
    assert!(matches!(other, Err(Error::Exists(_))));
    let (_, reader) = store.fetch(sent.id, Uid(1)).await.unwrap();
    assert!(text(reader).await.ends_with(b"message 0"));
}

async fn followers_learn_what_happened(store: SharedStore) {
    let (alice, bob) = (account("alice@example.org"), account("bob@example.org"));
    let inbox = deliver(&store, &alice, 1).await;
    deliver(&store, &bob, 1).await;
    let id = store.account(&alice).await.unwrap().unwrap().id;
    let mut events = store.follow(id);
    deliver(&store, &bob, 1).await;
    deliver(&store, &alice, 1).await;
    let modseq = store.status(inbox).await.unwrap().highest_modseq;
    assert_eq!(events.next().await, Some(Event::Entries { mailbox: inbox, modseq }));
    let made = store.create_mailbox(&alice, &mailbox_name("a"), None).await.unwrap();
    assert_eq!(events.next().await, Some(Event::Layout));
    store.subscribe(&alice, &mailbox_name("a")).await.unwrap();
    assert_eq!(events.next().await, Some(Event::Layout));
    store.copy(inbox, &uids(1), made.id, crate::Originals::Go).await.unwrap();
    let mut touched = Vec::new();
    for _ in 0..2 {
        match events.next().await {
            Some(Event::Entries { mailbox, modseq }) => {
                assert_eq!(store.status(mailbox).await.unwrap().highest_modseq, modseq);
                touched.push(mailbox);
            }
            other => panic!("a copy is a change of entries, not {other:?}"),
        }
    }
    touched.sort();
    assert_eq!(touched, [inbox, made.id]);

    // Whoever does not look is told that there was more, and what came last.
    for n in 0..40 {
        let marking = if n % 2 == 0 { Marking::add(Flags::SEEN) } else { Marking::remove(Flags::SEEN) };
        store.mark(inbox, &uids(9), marking).await.unwrap();
    }
    let modseq = store.status(inbox).await.unwrap().highest_modseq;
    let mut missed = false;
    loop {
        match events.next().await.expect("the account is there") {
            Event::Missed => missed = true,
            Event::Entries { modseq: seen, .. } if seen == modseq => break,
            _ => {}
        }
    }
    assert!(missed);
    store.set_password(&alice, Secret::new("hash"), None).await.unwrap();
    assert_eq!(events.next().await, Some(Event::Credentials));
    store.remove_account(&alice).await.unwrap();
    assert_eq!(events.next().await, None);
    let bob = store.account(&bob).await.unwrap().unwrap().id;
    let mut events = store.follow(bob);
    store.close().await.unwrap();
    assert_eq!(events.next().await, None);
    assert_eq!(store.follow(bob).next().await, None);
}

async fn names(store: &SharedStore, account: &AccountName) -> Vec<String> {
    store.mailboxes(account).await.unwrap().iter().map(|mailbox| mailbox.name.to_string()).collect()
}
