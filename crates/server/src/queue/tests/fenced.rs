//! What the queue does while the store cannot keep what becomes of deliveries.

use super::lab::{Lab, SENDER, Say};
use std::time::Duration;
use store::Error;

const HOUR: Duration = Duration::from_secs(3600);
const SECOND: Duration = Duration::from_secs(1);

fn fenced() -> store::Result<()> {
    Err(Error::Fenced("a sync failed".to_owned()))
}

#[tokio::test(start_paused = true)]
async fn nothing_is_begun_that_cannot_be_settled() {
    let lab = Lab::new();
    lab.domain("example.com", &[(10, "mx", 1)]);
    lab.domain("example.net", &[(10, "mx", 2)]);
    lab.send_later(SENDER, &["a@example.com"]).await;
    lab.send_later(SENDER, &["b@example.net"]).await;
    lab.health(fenced());
    lab.nudge().await;
    lab.wait(2 * HOUR).await;
    assert_eq!((lab.connections(1), lab.connections(2)), (0, 0));
    lab.health(Ok(()));
    let took = lab.until_empty(async {}).await;
    assert!(took < 10 * SECOND, "nobody holds what could not be sent: {took:?}");
    assert_eq!(lab.taken().len(), 2);
}

/// A session has a message in flight when the disk fails, and more are waiting for it: these stay here, and what became of the first one is stored as soon as it
/// can be.
#[tokio::test(start_paused = true)]
async fn what_is_in_hand_is_given_back_when_the_store_fails_meanwhile() {
    let lab = Lab::new();
    lab.domain("example.com", &[(10, "mx", 1)]);
    for to in ["a@example.com", "b@example.com", "c@example.com"] {
        lab.send_later(SENDER, &[to]).await;
    }
    lab.says(1, ".", &[Say::After(20 * SECOND, "250 2.0.0 taken")]);
    lab.nudge().await;
    lab.wait(10 * SECOND).await;
    // Unlike a fence that may pass.
    lab.health(Err(Error::Io { what: "log".to_owned(), cause: "no answer".to_owned() }));
    lab.wait(2 * HOUR).await;
    assert_eq!((lab.taken().len(), lab.connections(1)), (1, 1), "{:?}", lab.said(1));
    assert!(lab.queued().await.iter().all(|one| one.attempts == 0), "nothing could be settled");
    lab.health(Ok(()));
    lab.wait(10 * SECOND).await;
    assert_eq!(lab.taken().len(), 3, "the others were given back");
    let took = lab.until_empty(async {}).await;
    assert!(took < Duration::from_secs(301), "the outcome of the first one is offered again: {took:?}");
    assert_eq!(lab.taken().len(), 3, "and it was not sent again");
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_is_drained() {
    let lab = Lab::new();
    lab.domain("example.com", &[(10, "mx", 1)]);
    lab.send_later(SENDER, &["a@example.com", "b@example.com"]).await;
    lab.health(Err(Error::Full("no room".to_owned())));
    let took = lab.until_empty(lab.nudge()).await;
    assert!(took < 10 * SECOND, "{took:?}");
    assert_eq!(lab.taken().len(), 1);
}

/// The disk became so full that not even what comes of deliveries has room, which the store cannot foresee: one is made to learn of it, and no more.
#[tokio::test(start_paused = true)]
async fn nothing_more_is_sent_while_outcomes_have_no_room() {
    let lab = Lab::new();
    lab.domain("example.com", &[(10, "mx", 1)]);
    lab.domain("example.net", &[(10, "mx", 2)]);
    lab.settling(Err(Error::Full("no room".to_owned())));
    lab.send(SENDER, &["a@example.com"]).await;
    lab.wait(10 * SECOND).await;
    for to in ["b@example.com", "c@example.net", "d@nowhere.example"] {
        lab.send(SENDER, &[to]).await;
    }
    lab.wait(2 * HOUR).await;
    assert_eq!((lab.taken().len(), lab.connections(2)), (1, 0));
    assert!(lab.reports().await.is_empty(), "nor is anything given up");
    lab.settling(Ok(()));
    let took = lab.until_empty(async {}).await;
    assert!(took < Duration::from_secs(311), "{took:?}");
    assert_eq!((lab.taken().len(), lab.reports().await.len()), (3, 1), "and none was sent again");
}

#[tokio::test(start_paused = true)]
async fn an_outcome_that_outlives_its_lease_is_given_up() {
    let lab = Lab::new();
    lab.domain("example.com", &[(10, "mx", 1)]);
    lab.says(1, ".", &[Say::After(300 * SECOND, "250 2.0.0 taken")]);
    lab.settling(Err(Error::Full("no room".to_owned())));
    lab.send(SENDER, &["a@example.com"]).await;
    lab.wait(6 * HOUR - 60 * SECOND).await;
    assert_eq!(lab.taken().len(), 1);
    lab.wait(200 * SECOND).await;
    assert_eq!(lab.taken().len(), 2, "somebody else may have had it since its lease ended");
}

/// What is due stays due when it cannot be read: whoever comes for it next must not come at once, nor after hours only.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_claimed_is_left_alone_for_a_while() {
    let unreadable = || Err(Error::Io { what: "the index".to_owned(), cause: "a bad sector".to_owned() });
    let trouble: [fn(&Lab, store::Result<()>); 2] = [Lab::claiming, Lab::envelopes];
    for set in trouble {
        let lab = Lab::new();
        lab.domain("example.com", &[(10, "mx", 1)]);
        set(&lab, unreadable());
        // Nobody has the other one's mail: it is claimed to be given back.
        lab.send(SENDER, &["a@example.com", "b@nowhere.example"]).await;
        lab.wait(60 * SECOND).await;
        let claims = lab.claims();
        assert!((4..=40).contains(&claims), "{claims} in a minute, for two destinations");
        set(&lab, Ok(()));
        let took = lab.until_empty(async {}).await;
        assert!(took < 10 * SECOND, "{took:?}");
        assert_eq!((lab.taken().len(), lab.reports().await.len()), (1, 1));
    }
}
