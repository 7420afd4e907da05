//! Accounts, mailboxes and their entries, promise by promise.

use super::{Subject, accepted, account, commit, into_mailbox, into_queue, text};
use crate::{
    ChangeKind, DeliveryId, Error, Flags, IfMissing, MailboxName, ModSeq, NewDelivery, Origin, Outcome,
    SharedStore, Uid,
};
use bytes::Bytes;

pub(super) async fn run(subject: &dyn Subject) {
    accounts_come_and_go(subject.open().await).await;
    a_message_arrives_whole(subject.open().await).await;
    a_refused_commit_leaves_nothing(subject.open().await).await;
    a_dropped_stage_leaves_nothing(subject.open().await).await;
    uids_are_never_given_again(subject.open().await).await;
    flags_and_changes_agree(subject.open().await).await;
    text_lives_as_long_as_it_is_named(subject.open().await).await;
    a_thousand_recipients_share_one_text(subject.open().await).await;
    large_content_comes_back_exactly(subject.open().await).await;
    watchers_learn_what_is_readable(subject.open().await).await;
    missing_things_are_named(subject.open().await).await;
    a_closed_store_refuses(subject.open().await).await;
}

async fn accounts_come_and_go(store: SharedStore) {
    let (alice, bob) = (account("Alice@EXAMPLE.org"), account("bob@example.org"));
    let made = store.create_account(&bob, Origin::Declared).await.unwrap();
    assert_eq!((made.name.as_str(), made.origin), ("bob@example.org", Origin::Declared));
    store.create_account(&alice, Origin::Caught).await.unwrap();
    let names: Vec<String> = store.accounts().await.unwrap().iter().map(|a| a.name.to_string()).collect();
    assert_eq!(names, ["alice@example.org", "bob@example.org"]);

    for origin in [Origin::Caught, Origin::Declared] {
        let error = store.create_account(&bob, origin).await.unwrap_err();
        assert!(matches!(error, Error::Exists(_)), "{error}");
    }
    let raised = store.create_account(&bob, Origin::Added).await.unwrap();
    assert_eq!((raised.id, raised.origin), (made.id, Origin::Added));
    assert_eq!(store.account(&bob).await.unwrap(), Some(raised));

    let first = store.mailbox(&bob, &MailboxName::inbox()).await.unwrap();
    store.remove_account(&bob).await.unwrap();
    assert_eq!(store.account(&bob).await.unwrap(), None);
    assert!(matches!(store.remove_account(&bob).await, Err(Error::NoSuchAccount(_))));
    assert!(matches!(store.entries(first.id, Uid(0), 1).await, Err(Error::NoSuchMailbox(_))));

    let again = store.create_account(&bob, Origin::Added).await.unwrap();
    let second = store.mailbox(&bob, &MailboxName::inbox()).await.unwrap();
    assert_ne!(again.id, made.id);
    assert_ne!(first.id, second.id);
    assert!(
        first.uid_validity < second.uid_validity,
        "another mailbox of the same name is another incarnation"
    );
}

async fn a_message_arrives_whole(store: SharedStore) {
    let alice = account("alice@example.org");
    let deliveries = vec![
        into_mailbox(&alice, "inbox", IfMissing::Create),
        into_mailbox(&alice, "Lists/rust", IfMissing::Fail),
        into_queue(0, 5),
    ];
    let message = accepted(&["alice@example.org"], deliveries);
    let id = commit(&store, b"Subject: hi\r\n\r\n\x00\xff body\r\n", message).await.unwrap();

    assert_eq!(store.account(&alice).await.unwrap().map(|a| a.origin), Some(Origin::Caught));
    let mailboxes = store.mailboxes(&alice).await.unwrap();
    assert_eq!(mailboxes.iter().map(|m| m.name.as_str()).collect::<Vec<_>>(), ["INBOX", "Lists/rust"]);
    let whole: &[u8] =
        b"Delivered-To: alice@example.org\r\nReceived: by mx.example.org\r\nSubject: hi\r\n\r\n\x00\xff body\r\n";
    for status in mailboxes {
        assert_eq!((status.messages, status.unseen, status.bytes), (1, 1, whole.len() as u64));
        assert_eq!(status.uid_next, Uid(2));
        let (entry, reader) = store.fetch(status.id, Uid(1)).await.unwrap();
        assert_eq!(text(reader).await, whole);
        assert_eq!((entry.spool, entry.size, entry.flags), (id, whole.len() as u64, Flags::default()));
        assert_eq!(entry.received.0, 1_700_000_000_123);
        assert_eq!(store.entries(status.id, Uid(0), 10).await.unwrap(), [entry]);
    }
    let without_own_trace = &whole[b"Delivered-To: alice@example.org\r\n".len()..];
    assert_eq!(text(store.content(id).await.unwrap()).await, without_own_trace);
}

async fn a_refused_commit_leaves_nothing(store: SharedStore) {
    let (alice, nobody) = (account("alice@example.org"), account("nobody@example.org"));
    let inbox = |name, if_missing| into_mailbox(name, "INBOX", if_missing);
    let deliveries =
        vec![inbox(&alice, IfMissing::Create), into_queue(0, 0), inbox(&nobody, IfMissing::Fail)];
    let error = commit(&store, b"x", accepted(&["a@example.org"], deliveries)).await.unwrap_err();
    assert!(matches!(error, Error::NoSuchAccount(_)), "{error}");
    assert!(store.accounts().await.unwrap().is_empty());
    assert!(store.deliveries(None, 10).await.unwrap().is_empty());

    let invalid = [vec![], vec![into_queue(1, 0)], vec![into_queue(0, 0), into_queue(0, 9)]];
    for deliveries in invalid {
        let error = commit(&store, b"x", accepted(&["a@example.org"], deliveries)).await.unwrap_err();
        assert!(matches!(error, Error::Invalid(_)), "{error}");
    }
    assert_eq!(store.next_due().await.unwrap(), None);
}

async fn a_dropped_stage_leaves_nothing(store: SharedStore) {
    let mut stage = store.stage().unwrap();
    let id = stage.id();
    assert!(stage.is_empty());
    stage.append(Bytes::from(vec![b'x'; 3 << 20])).await.unwrap();
    assert_eq!(stage.len(), 3 << 20);
    drop(stage);
    assert!(matches!(store.content(id).await, Err(Error::NoSuchMessage(_))));
    assert!(store.stage().unwrap().id() > id, "a later message has a larger id");
}

async fn uids_are_never_given_again(store: SharedStore) {
    let alice = account("alice@example.org");
    let inbox = deliver(&store, &alice, 5).await;
    assert_eq!(store.expunge(inbox, &[Uid(5), Uid(2), Uid(5), Uid(77)]).await.unwrap(), 2);
    deliver(&store, &alice, 1).await;
    let uids: Vec<u32> = store.entries(inbox, Uid(0), 100).await.unwrap().iter().map(|e| e.uid.0).collect();
    assert_eq!(uids, [1, 3, 4, 6]);
    let page: Vec<u32> = store.entries(inbox, Uid(1), 2).await.unwrap().iter().map(|e| e.uid.0).collect();
    assert_eq!(page, [3, 4]);
    assert!(matches!(store.fetch(inbox, Uid(5)).await, Err(Error::NoSuchMessage(_))));
    assert_eq!(store.expunge(inbox, &[Uid(5)]).await.unwrap(), 0);
}

async fn flags_and_changes_agree(store: SharedStore) {
    let alice = account("alice@example.org");
    let inbox = deliver(&store, &alice, 4).await;
    let name = MailboxName::inbox();
    let before = store.mailbox(&alice, &name).await.unwrap();
    assert_eq!(kinds(&store, inbox, ModSeq(0)).await.len(), 4);

    let both = Flags::SEEN.with(Flags::FLAGGED);
    assert_eq!(
        store.update_flags(inbox, &[Uid(3), Uid(1), Uid(9)], both, Flags::default()).await.unwrap(),
        2
    );
    assert_eq!(store.update_flags(inbox, &[Uid(1)], Flags::DRAFT, Flags::FLAGGED).await.unwrap(), 1);
    assert_eq!(store.expunge(inbox, &[Uid(2)]).await.unwrap(), 1);
    let present = ChangeKind::Present;
    let expected = [(Uid(3), present), (Uid(1), present), (Uid(2), ChangeKind::Expunged)];
    assert_eq!(kinds(&store, inbox, before.highest_modseq).await, expected);

    let flags: Vec<u8> = store.entries(inbox, Uid(0), 9).await.unwrap().iter().map(|e| e.flags.0).collect();
    assert_eq!(flags, [Flags::SEEN.with(Flags::DRAFT).0, both.0, 0]);
    let after = store.mailbox(&alice, &name).await.unwrap();
    assert_eq!((after.messages, after.unseen), (3, 1));
    assert!(after.highest_modseq > before.highest_modseq);

    // Nothing new, nothing changed: no step in the history.
    assert_eq!(store.update_flags(inbox, &[Uid(3)], Flags::SEEN, Flags::DELETED).await.unwrap(), 1);
    assert_eq!(store.update_flags(inbox, &[], Flags::SEEN, Flags::default()).await.unwrap(), 0);
    assert_eq!(store.mailbox(&alice, &name).await.unwrap(), after);

    // In pages, each continued from the last one's end.
    let first = store.changes(inbox, before.highest_modseq, 2).await.unwrap();
    let second = store.changes(inbox, first[1].modseq, 2).await.unwrap();
    assert_eq!((first.len(), second.len()), (2, 1));
    assert_eq!(second[0].modseq, after.highest_modseq);
}

async fn text_lives_as_long_as_it_is_named(store: SharedStore) {
    let alice = account("alice@example.org");
    let deliveries = vec![into_mailbox(&alice, "INBOX", IfMissing::Create), into_queue(0, 5)];
    let id = commit(&store, b"kept", accepted(&["a@example.org"], deliveries)).await.unwrap();
    let inbox = store.mailbox(&alice, &MailboxName::inbox()).await.unwrap().id;
    store.expunge(inbox, &[Uid(1)]).await.unwrap();
    assert!(text(store.content(id).await.unwrap()).await.ends_with(b"kept"));
    store
        .settle(DeliveryId { spool: id, recipient: 0 }, Outcome::delivered(crate::Timestamp(50)))
        .await
        .unwrap();
    assert!(matches!(store.content(id).await, Err(Error::NoSuchMessage(_))));
}

async fn a_thousand_recipients_share_one_text(store: SharedStore) {
    let addresses: Vec<String> = (0..1000).map(|n| format!("user{n}@example.org")).collect();
    let recipients: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let delivery = |(n, address): (usize, &String)| {
        let name = account(address);
        let NewDelivery { destination, .. } = into_mailbox(&name, "INBOX", IfMissing::Create);
        NewDelivery { recipient: n as u32, destination }
    };
    let deliveries = addresses.iter().enumerate().map(delivery).collect();
    let id = commit(&store, b"to all\r\n", accepted(&recipients, deliveries)).await.unwrap();
    assert_eq!(store.accounts().await.unwrap().len(), 1000);
    for address in [&addresses[0], &addresses[500], &addresses[999]] {
        let inbox = store.mailbox(&account(address), &MailboxName::inbox()).await.unwrap();
        let (entry, reader) = store.fetch(inbox.id, Uid(1)).await.unwrap();
        assert_eq!(entry.spool, id);
        let expected = format!("Delivered-To: {address}\r\nReceived: by mx.example.org\r\nto all\r\n");
        assert_eq!(text(reader).await, expected.as_bytes());
    }
}

async fn large_content_comes_back_exactly(store: SharedStore) {
    let content: Vec<u8> = (0..5_000_001u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for size in [1, 65_536, 1 << 20, (1 << 20) + 1, content.len()] {
        let mut stage = store.stage().unwrap();
        for chunk in content[..size].chunks(size.div_ceil(97)) {
            stage.append(Bytes::copy_from_slice(chunk)).await.unwrap();
        }
        let id = stage.commit(accepted(&["a@example.org"], vec![into_queue(0, 0)])).await.unwrap();
        let whole = text(store.content(id).await.unwrap()).await;
        let trace = b"Received: by mx.example.org\r\n".len();
        assert!(whole[trace..] == content[..size], "{size} bytes come back as they went in");
    }
}

async fn watchers_learn_what_is_readable(store: SharedStore) {
    let alice = account("alice@example.org");
    let mut watch = store.watch();
    for n in 1..=3 {
        let inbox = deliver(&store, &alice, 1).await;
        let status = store.mailbox(&alice, &MailboxName::inbox()).await.unwrap();
        let seen = *watch.wait_for(|seen| *seen >= status.highest_modseq).await.unwrap();
        assert_eq!(seen, status.highest_modseq);
        assert_eq!(store.entries(inbox, Uid(0), 9).await.unwrap().len(), n);
    }
}

async fn missing_things_are_named(store: SharedStore) {
    let (alice, nobody) = (account("alice@example.org"), account("nobody@example.org"));
    let inbox = deliver(&store, &alice, 1).await;
    let gone = crate::MailboxId(inbox.0 + 1000);
    let archive = MailboxName::new("Archive").unwrap();
    assert!(matches!(store.mailboxes(&nobody).await, Err(Error::NoSuchAccount(_))));
    assert!(matches!(store.mailbox(&nobody, &archive).await, Err(Error::NoSuchAccount(_))));
    assert!(matches!(store.mailbox(&alice, &archive).await, Err(Error::NoSuchMailbox(_))));
    assert!(matches!(store.entries(gone, Uid(0), 1).await, Err(Error::NoSuchMailbox(_))));
    assert!(matches!(store.fetch(gone, Uid(1)).await, Err(Error::NoSuchMailbox(_))));
    assert!(matches!(store.fetch(inbox, Uid(2)).await, Err(Error::NoSuchMessage(_))));
    assert!(matches!(store.changes(gone, ModSeq(0), 1).await, Err(Error::NoSuchMailbox(_))));
    assert!(matches!(store.expunge(gone, &[Uid(1)]).await, Err(Error::NoSuchMailbox(_))));
    let flagged = store.update_flags(gone, &[Uid(1)], Flags::SEEN, Flags::default()).await;
    assert!(matches!(flagged, Err(Error::NoSuchMailbox(_))));
}

async fn a_closed_store_refuses(store: SharedStore) {
    let alice = account("alice@example.org");
    deliver(&store, &alice, 1).await;
    let stage = store.stage().unwrap();
    store.close().await.unwrap();
    assert!(matches!(store.health(), Err(Error::Closed)));
    assert!(matches!(store.stage(), Err(Error::Closed)));
    let late = stage.commit(accepted(&["a@example.org"], vec![into_queue(0, 0)])).await;
    assert!(matches!(late, Err(Error::Closed)));
    assert!(matches!(store.remove_account(&alice).await, Err(Error::Closed)));
}

/// Delivers `count` messages into an account's INBOX, one commit each.
pub(super) async fn deliver(
    store: &SharedStore,
    name: &crate::AccountName,
    count: usize,
) -> crate::MailboxId {
    for n in 0..count {
        let deliveries = vec![into_mailbox(name, "INBOX", IfMissing::Create)];
        commit(store, format!("message {n}").as_bytes(), accepted(&["a@example.org"], deliveries))
            .await
            .unwrap();
    }
    store.mailbox(name, &MailboxName::inbox()).await.unwrap().id
}

pub(super) async fn kinds(
    store: &SharedStore,
    mailbox: crate::MailboxId,
    since: ModSeq,
) -> Vec<(Uid, ChangeKind)> {
    let changes = store.changes(mailbox, since, 1000).await.unwrap();
    assert!(changes.windows(2).all(|pair| pair[0].modseq < pair[1].modseq), "changes ascend strictly");
    changes.into_iter().map(|change| (change.uid, change.kind)).collect()
}
