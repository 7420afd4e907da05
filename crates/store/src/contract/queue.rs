//! The queue, promise by promise.

use super::{Subject, accepted, commit, into_queue};
use crate::{
    Claim, Delivery, DeliveryId, Destination, Error, Forward, HISTORY_MAX, NewDelivery, Outcome, QueueName,
    SharedStore, Timestamp, Waiting,
};
use bytes::Bytes;

pub(super) async fn run(subject: &dyn Subject) {
    claims_follow_due_times(subject.open().await).await;
    leases_hold_and_end(subject.open().await).await;
    outcomes_are_kept(subject).await;
    a_forwarded_recipient_keeps_its_own_terms(subject).await;
    envelopes_live_while_queued(subject.open().await).await;
    destinations_do_not_hide_each_other(subject).await;
    history_is_bounded(subject).await;
    the_postmaster_of_no_domain_is_not_queued(subject.open().await).await;
}

async fn claims_follow_due_times(store: SharedStore) {
    assert_eq!(store.next_due().await.unwrap(), None);
    for due in [30, 10, 20] {
        let to =
            accepted(&["a@example.com", "b@example.com"], vec![into_queue(0, due), into_queue(1, due + 5)]);
        commit(&store, b"x", to).await.unwrap();
    }
    assert_eq!(store.next_due().await.unwrap(), Some(Timestamp(10)));
    let page = store.deliveries(None, 4).await.unwrap();
    assert_eq!(page.iter().map(|d| d.due.0).collect::<Vec<_>>(), [30, 35, 10, 15], "as they came");
    let rest = store.deliveries(Some(page[3].id), 4).await.unwrap();
    assert_eq!(rest.iter().map(|d| d.due.0).collect::<Vec<_>>(), [20, 25]);

    assert!(claim(&store, 9, 10, 100).await.is_empty());
    let first = claim(&store, 20, 2, 100).await;
    assert_eq!(dues(&first), [10, 15]);
    assert_eq!(first[0].lease, Timestamp(100));
    assert_eq!(first[1].delivery.recipient.forward_path.to_string(), "<b@example.com>");
    assert_eq!(first[0].delivery.reverse_path.to_string(), "<sender@example.net>");
    assert_eq!((first[0].delivery.attempts, first[0].delivery.last_reply()), (0, None));
    assert_eq!(dues(&claim(&store, 20, 9, 100).await), [20]);
    assert_eq!(dues(&claim(&store, 99, 9, 100).await), [25, 30, 35]);
    assert_eq!(store.deliveries(None, 9).await.unwrap().len(), 6, "what is held is still queued");
}

async fn a_forwarded_recipient_keeps_its_own_terms(subject: &dyn Subject) {
    let store = subject.open().await;
    let forward = Forward {
        reverse_path: "<SRS0=x=y=example.net=sender@example.org>".parse().unwrap(),
        trace: Bytes::from_static(b"Delivered-To: b@example.org\r\n"),
    };
    let destination = Destination::Forward { due: Timestamp(11), forward: forward.clone() };
    let to = accepted(
        &["a@example.com", "b@example.com"],
        vec![into_queue(0, 10), NewDelivery { recipient: 1, destination }],
    );
    let spool = commit(&store, b"x", to).await.unwrap();
    let check = async |store: &SharedStore| {
        let all = store.deliveries(None, 9).await.unwrap();
        assert_eq!(all.iter().map(|one| one.forward.as_ref()).collect::<Vec<_>>(), [None, Some(&forward)]);
        assert_eq!(all[1].reverse_path.to_string(), "<sender@example.net>", "who sent it");
        assert_eq!(all[1].due, Timestamp(11));
    };
    check(&store).await;
    let store = subject.reopen(&store).await.unwrap_or(store);
    check(&store).await;
    let held = claim(&store, 20, 9, 50).await;
    assert_eq!(held[1].delivery.forward.as_ref(), Some(&forward));
    store.settle(DeliveryId { spool, recipient: 0 }, Outcome::delivered(Timestamp(50))).await.unwrap();
    store.settle(DeliveryId { spool, recipient: 1 }, Outcome::delivered(Timestamp(50))).await.unwrap();
    assert!(store.deliveries(None, 9).await.unwrap().is_empty());
}

async fn leases_hold_and_end(store: SharedStore) {
    commit(&store, b"x", accepted(&["a@example.com"], vec![into_queue(0, 10)])).await.unwrap();
    let held = claim(&store, 10, 1, 50).await;
    assert!(claim(&store, 49, 1, 80).await.is_empty());
    assert_eq!(store.next_due().await.unwrap(), Some(Timestamp(50)), "when the lease ends");
    assert_eq!(dues(&claim(&store, 50, 1, 80).await), [10]);
    // The first worker was slow, but what it did is done.
    store.settle(held[0].delivery.id, Outcome::delivered(Timestamp(50))).await.unwrap();
    assert!(claim(&store, 500, 1, 900).await.is_empty());
    let again = store.settle(held[0].delivery.id, Outcome::delivered(Timestamp(50))).await;
    assert!(matches!(again, Err(Error::NoSuchMessage(_))));
}

async fn outcomes_are_kept(subject: &dyn Subject) {
    let store = subject.open().await;
    let to = accepted(&["a@example.com", "b@example.com"], vec![into_queue(0, 10), into_queue(1, 11)]);
    let spool = commit(&store, b"x", to).await.unwrap();
    let held = claim(&store, 20, 9, 50).await;
    assert_eq!(dues(&held), [10, 11]);
    for (attempt, due) in [(1, 30), (2, 40)] {
        let attempt = super::attempt(due - 5, attempt);
        let outcome = Outcome::Deferred { due: Timestamp(due), attempt };
        store.settle(DeliveryId { spool, recipient: 0 }, outcome).await.unwrap();
    }
    store.settle(DeliveryId { spool, recipient: 1 }, Outcome::delivered(Timestamp(50))).await.unwrap();
    let check = async |store: &SharedStore| {
        let left = store.deliveries(None, 9).await.unwrap();
        assert_eq!(left.len(), 1);
        assert_eq!((left[0].due, left[0].attempts), (Timestamp(40), 2));
        assert_eq!(left[0].history, [super::attempt(25, 1), super::attempt(35, 2)]);
        assert_eq!(left[0].last_reply(), Some("451 4.7.1 try 2"));
    };
    check(&store).await;
    assert_eq!(dues(&claim(&store, 40, 9, 900).await), [40]);
    let Some(store) = subject.reopen(&store).await else { return };
    check(&store).await;
    assert_eq!(dues(&claim(&store, 40, 9, 50).await), [40], "no lease outlives the process");
}

async fn envelopes_live_while_queued(store: SharedStore) {
    let message = accepted(&["a@example.com"], vec![into_queue(0, 10)]);
    let envelope = message.envelope.clone();
    let spool = commit(&store, b"x", message).await.unwrap();
    assert_eq!(store.envelope(spool).await.unwrap(), envelope);
    store.settle(DeliveryId { spool, recipient: 0 }, Outcome::delivered(Timestamp(50))).await.unwrap();
    assert!(matches!(store.envelope(spool).await, Err(Error::NoSuchMessage(_))));
}

async fn destinations_do_not_hide_each_other(subject: &dyn Subject) {
    let store = subject.open().await;
    let to = ["a@busy.example", "b@Busy.Example", "c@quiet.example", "d@[192.0.2.7]", "e@later.example"];
    let due = |recipient| into_queue(recipient, [10, 11, 12, 10, 500][recipient as usize]);
    commit(&store, b"x", accepted(&to, (0..5).map(due).collect())).await.unwrap();
    let check = async |store: &SharedStore| {
        let all = waiting(store, 20, None, 9).await;
        let expected = [(10, "[192.0.2.7]"), (10, "busy.example"), (12, "quiet.example")];
        assert_eq!(shown(&all), expected);
        assert_eq!(shown(&waiting(store, 20, Some(&all[0]), 1).await), expected[1..2]);
        assert_eq!(shown(&waiting(store, 20, Some(&all[1]), 9).await), expected[2..]);
        assert_eq!(shown(&waiting(store, 11, None, 9).await), expected[..2]);
        let latest = store.latest(Timestamp(11), 1).await.unwrap();
        assert_eq!(shown(&latest), expected[1..2], "the last of those that are due");
    };
    check(&store).await;
    let store = subject.reopen(&store).await.unwrap_or(store);
    check(&store).await;

    let take = async |queue: &str, limit| {
        let claims = store.claim(&name(queue), Timestamp(20), limit, Timestamp(90)).await.unwrap();
        claims.iter().map(|claim| address(&claim.delivery)).collect::<Vec<_>>()
    };
    assert_eq!(take("busy.example", 1).await, ["<a@busy.example>"]);
    let left = [(10, "[192.0.2.7]"), (11, "busy.example"), (12, "quiet.example")];
    assert_eq!(shown(&waiting(&store, 20, None, 9).await), left);
    assert_eq!(take("busy.example", 9).await, ["<b@Busy.Example>"]);
    assert_eq!(take("quiet.example", 9).await, ["<c@quiet.example>"]);
    assert_eq!(take("later.example", 9).await, [""; 0]);
    assert_eq!(take("nobody.example", 9).await, [""; 0]);
    assert_eq!(shown(&waiting(&store, 20, None, 9).await), left[..1]);
    assert_eq!(store.next_due().await.unwrap(), Some(Timestamp(10)));
    assert_eq!(waiting(&store, 90, None, 9).await.len(), 3, "the leases have ended");
}

async fn history_is_bounded(subject: &dyn Subject) {
    let store = subject.open().await;
    let spool = commit(&store, b"x", accepted(&["a@example.com"], vec![into_queue(0, 10)])).await.unwrap();
    for number in 0..HISTORY_MAX + 3 {
        let outcome =
            Outcome::Deferred { due: Timestamp(10), attempt: super::attempt(number as i64, number) };
        store.settle(DeliveryId { spool, recipient: 0 }, outcome).await.unwrap();
    }
    let store = subject.reopen(&store).await.unwrap_or(store);
    let left = store.deliveries(None, 9).await.unwrap().remove(0);
    assert_eq!(left.attempts as usize, HISTORY_MAX + 3);
    let at: Vec<i64> = left.history.iter().map(|attempt| attempt.at.0).collect();
    let last = HISTORY_MAX as i64 + 3;
    let expected: Vec<i64> = std::iter::once(0).chain(last + 1 - HISTORY_MAX as i64..last).collect();
    assert_eq!(at, expected, "the first and the latest");
}

async fn the_postmaster_of_no_domain_is_not_queued(store: SharedStore) {
    let mut message = accepted(&["a@example.com"], vec![into_queue(0, 10)]);
    message.envelope.recipients[0].forward_path = smtp::ForwardPath::Postmaster;
    assert!(matches!(commit(&store, b"x", message).await, Err(Error::Invalid(_))));
}

async fn waiting(store: &SharedStore, now: i64, after: Option<&Waiting>, limit: usize) -> Vec<Waiting> {
    store.waiting(Timestamp(now), after, limit).await.unwrap()
}

fn shown(waiting: &[Waiting]) -> Vec<(i64, &str)> {
    waiting.iter().map(|one| (one.due.0, one.queue.as_str())).collect()
}

fn address(delivery: &Delivery) -> String {
    delivery.recipient.forward_path.to_string()
}

async fn claim(store: &SharedStore, now: i64, limit: usize, lease: i64) -> Vec<Claim> {
    store.claim(&name("example.com"), Timestamp(now), limit, Timestamp(lease)).await.unwrap()
}

fn name(queue: &str) -> QueueName {
    queue.parse().expect("a destination")
}

fn dues(claims: &[Claim]) -> Vec<i64> {
    claims.iter().map(|claim| claim.delivery.due.0).collect()
}
