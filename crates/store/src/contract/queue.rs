//! The queue, promise by promise.

use super::{Subject, accepted, commit, into_queue};
use crate::{Claim, DeliveryId, Error, Outcome, SharedStore, Timestamp};

pub(super) async fn run(subject: &dyn Subject) {
    claims_follow_due_times(subject.open().await).await;
    leases_hold_and_end(subject.open().await).await;
    outcomes_are_kept(subject).await;
    envelopes_live_while_queued(subject.open().await).await;
}

async fn claims_follow_due_times(store: SharedStore) {
    assert_eq!(store.next_due().await.unwrap(), None);
    for due in [30, 10, 20] {
        let to =
            accepted(&["a@example.com", "b@example.com"], vec![into_queue(0, due), into_queue(1, due + 5)]);
        commit(&store, b"x", to).await.unwrap();
    }
    assert_eq!(store.next_due().await.unwrap(), Some(Timestamp(10)));
    let order: Vec<i64> = store.deliveries(4).await.unwrap().iter().map(|d| d.due.0).collect();
    assert_eq!(order, [10, 15, 20, 25]);

    assert!(claim(&store, 9, 10, 100).await.is_empty());
    let first = claim(&store, 20, 2, 100).await;
    assert_eq!(dues(&first), [10, 15]);
    assert_eq!(first[0].lease, Timestamp(100));
    assert_eq!(first[1].delivery.recipient.forward_path.to_string(), "<b@example.com>");
    assert_eq!(first[0].delivery.reverse_path.to_string(), "<sender@example.net>");
    assert_eq!((first[0].delivery.attempts, &first[0].delivery.last_reply), (0, &None));
    assert_eq!(dues(&claim(&store, 20, 9, 100).await), [20]);
    assert_eq!(dues(&claim(&store, 99, 9, 100).await), [25, 30, 35]);
    assert_eq!(store.deliveries(9).await.unwrap().len(), 6, "what is held is still queued");
}

async fn leases_hold_and_end(store: SharedStore) {
    commit(&store, b"x", accepted(&["a@example.com"], vec![into_queue(0, 10)])).await.unwrap();
    let held = claim(&store, 10, 1, 50).await;
    assert!(claim(&store, 49, 1, 80).await.is_empty());
    assert_eq!(store.next_due().await.unwrap(), Some(Timestamp(50)), "when the lease ends");
    assert_eq!(dues(&claim(&store, 50, 1, 80).await), [10]);
    // The first worker was slow, but what it did is done.
    store.settle(held[0].delivery.id, Outcome::Done).await.unwrap();
    assert!(claim(&store, 500, 1, 900).await.is_empty());
    let again = store.settle(held[0].delivery.id, Outcome::Done).await;
    assert!(matches!(again, Err(Error::NoSuchMessage(_))));
}

async fn outcomes_are_kept(subject: &dyn Subject) {
    let store = subject.open().await;
    let to = accepted(&["a@example.com", "b@example.com"], vec![into_queue(0, 10), into_queue(1, 11)]);
    let spool = commit(&store, b"x", to).await.unwrap();
    let held = claim(&store, 20, 9, 50).await;
    assert_eq!(dues(&held), [10, 11]);
    for (attempt, due) in [(1, 30), (2, 40)] {
        let outcome = Outcome::Deferred { due: Timestamp(due), reply: format!("450 attempt {attempt}") };
        store.settle(DeliveryId { spool, recipient: 0 }, outcome).await.unwrap();
    }
    store.settle(DeliveryId { spool, recipient: 1 }, Outcome::Done).await.unwrap();
    let check = async |store: &SharedStore| {
        let left = store.deliveries(9).await.unwrap();
        assert_eq!(left.len(), 1);
        assert_eq!((left[0].due, left[0].attempts), (Timestamp(40), 2));
        assert_eq!(left[0].last_reply.as_deref(), Some("450 attempt 2"));
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
    store.settle(DeliveryId { spool, recipient: 0 }, Outcome::Done).await.unwrap();
    assert!(matches!(store.envelope(spool).await, Err(Error::NoSuchMessage(_))));
}

async fn claim(store: &SharedStore, now: i64, limit: usize, lease: i64) -> Vec<Claim> {
    store.claim(Timestamp(now), limit, Timestamp(lease)).await.unwrap()
}

fn dues(claims: &[Claim]) -> Vec<i64> {
    claims.iter().map(|claim| claim.delivery.due.0).collect()
}
