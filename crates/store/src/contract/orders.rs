//! What an operator orders about the queue, and what is remembered of deliveries, promise by promise.

use super::{Subject, accepted, account, attempt, commit, into_mailbox, into_queue};
use crate::{
    Acceptance, Adjustment, DeliveryId, End, Ending, Error, Hold, IfMissing, Outcome, Pause, PauseScope,
    QueueName, SharedStore, SpoolId, Timestamp, Uid,
};

pub(super) async fn run(subject: &dyn Subject) {
    senders_take_turns(subject.open().await).await;
    what_is_let_go_is_free(subject.open().await).await;
    what_is_held_waits(subject).await;
    orders_change_time_and_destination(subject).await;
    paused_mail_waits(subject).await;
    ends_are_remembered(subject).await;
    fates_come_in_pages(subject.open().await).await;
    an_acceptance_tells_where_a_message_went(subject).await;
}

async fn senders_take_turns(store: SharedStore) {
    let mut from_many = Vec::new();
    for due in [1, 2, 3] {
        from_many.push(
            commit(&store, b"x", accepted(&["a@example.com"], vec![into_queue(0, due)])).await.unwrap(),
        );
    }
    let mut other = accepted(&["b@example.com"], vec![into_queue(0, 9)]);
    other.envelope.reverse_path = "<other@example.net>".parse().unwrap();
    let other = commit(&store, b"x", other).await.unwrap();
    let mut tagged = accepted(&["c@example.com"], vec![into_queue(0, 4)]);
    tagged.envelope.reverse_path = "<Sender+c=example.com@example.net>".parse().unwrap();
    let tagged = commit(&store, b"x", tagged).await.unwrap();
    let expected = [from_many[0], other, from_many[1], from_many[2], tagged];
    assert_eq!(claim(&store, 10, 9, 50).await, expected, "one with a tag is no other sender");
    // What is not due has no turn.
    assert_eq!(claim(&store, 50, 1, 60).await, expected[..1]);
    assert_eq!(claim(&store, 50, 2, 60).await, [from_many[1], other], "the turns begin anew with each claim");
}

async fn what_is_let_go_is_free(store: SharedStore) {
    let spool = commit(&store, b"x", accepted(&["a@example.com"], vec![into_queue(0, 10)])).await.unwrap();
    assert_eq!(claim(&store, 10, 9, 5_000).await, [spool]);
    assert_eq!(store.next_due().await.unwrap(), Some(Timestamp(5_000)));
    store.let_go(&[DeliveryId { spool, recipient: 0 }, DeliveryId { spool, recipient: 7 }]).await.unwrap();
    assert_eq!(store.next_due().await.unwrap(), Some(Timestamp(10)));
    assert_eq!(claim(&store, 10, 9, 5_000).await, [spool]);
}

async fn what_is_held_waits(subject: &dyn Subject) {
    let store = subject.open().await;
    let to = accepted(&["a@example.com", "b@example.com"], vec![into_queue(0, 10), into_queue(1, 11)]);
    let spool = commit(&store, b"x", to).await.unwrap();
    let id = |recipient| DeliveryId { spool, recipient };
    let hold = Hold { since: Timestamp(5), reason: "looks odd".to_owned() };
    assert_eq!(adjust(&store, &[id(0), id(5)], Adjustment::Hold(hold.clone())).await, 1);
    let check = async |store: &SharedStore| {
        assert_eq!(store.next_due().await.unwrap(), Some(Timestamp(11)));
        assert_eq!(store.deliveries(None, 1).await.unwrap()[0].held, Some(hold.clone()));
    };
    check(&store).await;
    let store = subject.reopen(&store).await.unwrap_or(store);
    check(&store).await;
    assert_eq!(claim(&store, 90, 9, 91).await.len(), 1);
    store.settle(id(1), Outcome::delivered(Timestamp(90))).await.unwrap();
    assert_eq!(store.next_due().await.unwrap(), None, "nothing happens by itself");
    assert!(store.waiting(Timestamp(900), None, 9).await.unwrap().is_empty());
    // What a worker has already is not taken from it.
    assert_eq!(adjust(&store, &[id(0)], Adjustment::Release).await, 1);
    assert_eq!(claim(&store, 900, 9, 950).await, [spool]);
    adjust(&store, &[id(0)], Adjustment::Hold(hold)).await;
    store.settle(id(0), Outcome::Deferred { due: Timestamp(910), attempt: attempt(900, 1) }).await.unwrap();
    assert!(claim(&store, 9_000, 9, 9_001).await.is_empty(), "it is held now");
    store.settle(id(0), Outcome::delivered(Timestamp(9_000))).await.unwrap();
}

async fn orders_change_time_and_destination(subject: &dyn Subject) {
    let store = subject.open().await;
    let spool = commit(&store, b"x", accepted(&["a@example.com"], vec![into_queue(0, 5_000)])).await.unwrap();
    let id = DeliveryId { spool, recipient: 0 };
    assert_eq!(adjust(&store, &[id], Adjustment::Due(Timestamp(20))).await, 1);
    assert_eq!(adjust(&store, &[id], Adjustment::Reroute(name("[192.0.2.9]"))).await, 1);
    let store = subject.reopen(&store).await.unwrap_or(store);
    let delivery = store.deliveries(None, 9).await.unwrap().remove(0);
    assert_eq!((delivery.queue.as_str(), delivery.due), ("[192.0.2.9]", Timestamp(20)));
    assert_eq!(delivery.recipient.forward_path.to_string(), "<a@example.com>");
    let waiting = store.waiting(Timestamp(20), None, 9).await.unwrap();
    assert_eq!(waiting.iter().map(|one| one.queue.as_str()).collect::<Vec<_>>(), ["[192.0.2.9]"]);
    assert!(claim(&store, 99, 9, 100).await.is_empty());
    let claims = store.claim(&name("[192.0.2.9]"), Timestamp(99), 9, Timestamp(100)).await.unwrap();
    assert_eq!(claims.len(), 1);
}

async fn paused_mail_waits(subject: &dyn Subject) {
    let store = subject.open().await;
    let to = ["a@example.com", "b@example.net"];
    commit(&store, b"x", accepted(&to, vec![into_queue(0, 10), into_queue(1, 12)])).await.unwrap();
    let scope = |text: &str| PauseScope::Destination(text.to_owned());
    let pause = Pause { scope: scope("Example.COM"), since: Timestamp(3), reason: "they asked".to_owned() };
    store.pause(pause.clone()).await.unwrap();
    let host = Pause { scope: PauseScope::Host("MX.example.org".to_owned()), ..pause.clone() };
    store.pause(host.clone()).await.unwrap();
    let check = async |store: &SharedStore| {
        let canonical = Pause { scope: scope("example.com"), ..pause.clone() };
        let host = Pause { scope: PauseScope::Host("mx.example.org".to_owned()), ..host.clone() };
        assert_eq!(store.pauses().await.unwrap(), [canonical, host]);
        assert_eq!(store.next_due().await.unwrap(), Some(Timestamp(12)));
        let waiting = store.waiting(Timestamp(50), None, 9).await.unwrap();
        assert_eq!(waiting.iter().map(|one| one.queue.as_str()).collect::<Vec<_>>(), ["example.net"]);
        assert!(claim(store, 50, 9, 60).await.is_empty());
    };
    check(&store).await;
    commit(&store, b"x", accepted(&["c@example.com"], vec![into_queue(0, 1)])).await.unwrap();
    check(&store).await;
    let store = subject.reopen(&store).await.unwrap_or(store);
    check(&store).await;
    let nonsense = Pause { scope: scope("no such.name"), ..pause.clone() };
    assert!(matches!(store.pause(nonsense).await, Err(Error::Invalid(_))));
    assert!(store.resume(&scope("EXAMPLE.com")).await.unwrap());
    assert!(!store.resume(&scope("example.com")).await.unwrap(), "there is none any more");
    assert_eq!(store.next_due().await.unwrap(), Some(Timestamp(1)));
    let store = subject.reopen(&store).await.unwrap_or(store);
    assert_eq!(store.pauses().await.unwrap().len(), 1);
    assert_eq!(claim(&store, 50, 9, 60).await.len(), 2);
}

async fn ends_are_remembered(subject: &dyn Subject) {
    let store = subject.open().await;
    let to = accepted(&["a@example.com", "b@example.com"], vec![into_queue(0, 10), into_queue(1, 11)]);
    let (envelope, trace) = (to.envelope.clone(), to.trace.clone());
    let spool = commit(&store, b"some text", to).await.unwrap();
    let id = |recipient| DeliveryId { spool, recipient };
    let later = Outcome::Deferred { due: Timestamp(30), attempt: attempt(20, 2) };
    store.settle(id(0), later).await.unwrap();
    assert!(store.fates_of(spool).await.unwrap().is_empty());
    let last = Some(attempt(40, 4));
    let end = End { at: Timestamp(47), ending: Ending::Failed, attempt: last };
    store.settle(id(0), Outcome::Done(end)).await.unwrap();
    let removed = End { at: Timestamp(48), ending: Ending::Removed, attempt: None };
    store.settle(id(1), Outcome::Done(removed)).await.unwrap();
    let check = async |store: &SharedStore| {
        let fates = store.fates_of(spool).await.unwrap();
        assert_eq!(fates.iter().map(|fate| fate.delivery.id).collect::<Vec<_>>(), [id(0), id(1)]);
        assert_eq!((fates[0].ending, fates[0].ended), (Ending::Failed, Timestamp(47)));
        assert_eq!((fates[1].ending, fates[1].ended), (Ending::Removed, Timestamp(48)));
        let delivery = &fates[0].delivery;
        assert_eq!(delivery.history, [attempt(20, 2), attempt(40, 4)]);
        assert_eq!((delivery.attempts, delivery.size, delivery.received.0), (2, 9, 1_700_000_000_123));
        assert_eq!(delivery.reverse_path, envelope.reverse_path);
        assert_eq!(delivery.recipient, envelope.recipients[0]);
        assert_eq!(delivery.queue.as_str(), "example.com");
        assert_eq!(fates[0].trace, trace);
        assert!(fates[1].delivery.history.is_empty());
        assert!(matches!(store.envelope(spool).await, Err(Error::NoSuchMessage(_))), "the message is gone");
    };
    check(&store).await;
    if let Some(store) = subject.reopen(&store).await {
        check(&store).await;
    }
}

async fn fates_come_in_pages(store: SharedStore) {
    let mut spools: Vec<SpoolId> = Vec::new();
    for _ in 0..4 {
        let to = accepted(&["a@example.com", "b@example.com"], vec![into_queue(0, 1), into_queue(1, 1)]);
        spools.push(commit(&store, b"x", to).await.unwrap());
    }
    for (at, &spool) in spools.iter().enumerate() {
        for recipient in [1, 0] {
            let done = Outcome::delivered(Timestamp(100 - at as i64));
            store.settle(DeliveryId { spool, recipient }, done).await.unwrap();
        }
    }
    let ids = async |before, limit| -> Vec<DeliveryId> {
        store.fates(before, limit).await.unwrap().iter().map(|fate| fate.delivery.id).collect()
    };
    let of = |spool| [0, 1].map(|recipient| DeliveryId { spool, recipient });
    let all: Vec<DeliveryId> = spools.iter().rev().flat_map(|spool| of(*spool)).collect();
    assert_eq!(ids(None, usize::MAX).await, all);
    assert_eq!(ids(None, 3).await, all[..4], "never a part of a message");
    assert_eq!(ids(Some(spools[2]), 1).await, all[4..6]);
    assert_eq!(ids(Some(spools[0]), 9).await, []);
}

async fn an_acceptance_tells_where_a_message_went(subject: &dyn Subject) {
    let store = subject.open().await;
    let alice = account("alice@example.org");
    let local = crate::NewDelivery { recipient: 1, ..into_mailbox(&alice, "INBOX", IfMissing::Create) };
    let message = accepted(&["a@example.com", "alice@example.org"], vec![into_queue(0, 10), local]);
    let (envelope, trace) = (message.envelope.clone(), message.trace.clone());
    let spool = commit(&store, b"content", message).await.unwrap();
    let store = subject.reopen(&store).await.unwrap_or(store);
    let Acceptance { received, size, entries, .. } = store.acceptance(spool).await.unwrap();
    assert_eq!((received.0, size), (1_700_000_000_123, 7));
    let again = store.acceptance(spool).await.unwrap();
    assert_eq!((again.envelope, again.trace), (envelope, trace));
    let [entry] = &entries[..] else { panic!("{entries:?}") };
    assert_eq!((entry.recipient, &entry.account, entry.uid), (1, &alice, Uid(1)));
    assert_eq!(entry.mailbox.as_str(), "INBOX");
    store.settle(DeliveryId { spool, recipient: 0 }, Outcome::delivered(Timestamp(20))).await.unwrap();
    assert_eq!(store.acceptance(spool).await.unwrap().entries, entries, "it is in a mailbox still");
    let inbox = store.mailbox(&alice, &entry.mailbox).await.unwrap();
    store.expunge(inbox.id, &[entry.uid]).await.unwrap();
    assert!(matches!(store.acceptance(spool).await, Err(Error::NoSuchMessage(_))));
}

async fn adjust(store: &SharedStore, ids: &[DeliveryId], adjustment: Adjustment) -> u64 {
    store.adjust(ids, adjustment).await.unwrap()
}

async fn claim(store: &SharedStore, now: i64, limit: usize, lease: i64) -> Vec<SpoolId> {
    let claims = store.claim(&name("example.com"), Timestamp(now), limit, Timestamp(lease)).await.unwrap();
    claims.iter().map(|claim| claim.delivery.id.spool).collect()
}

fn name(queue: &str) -> QueueName {
    queue.parse().expect("a destination")
}
