//! What an operator orders, and what happens after faults of ours and with hosts that never come to an end.

use super::lab::{Lab, SENDER, Say};
use std::time::Duration;
use store::{Adjustment, Hold, Pause, PauseScope, Timestamp};

const HOUR: Duration = Duration::from_secs(3600);

fn pause(host: &str) -> Pause {
    Pause { scope: PauseScope::Host(host.to_owned()), since: Timestamp(0), reason: String::new() }
}

#[tokio::test(start_paused = true)]
async fn a_paused_host_is_left_alone_and_its_mail_waits() {
    let lab = Lab::new();
    lab.domain("example.com", &[(10, "mx", 1)]);
    lab.domain("example.net", &[(10, "mx", 2), (20, "backup", 3)]);
    for host in ["mx.example.com", "mx.example.net"] {
        lab.store().pause(pause(host)).await.expect("the store is well");
    }
    lab.reconsider().await;
    lab.send(SENDER, &["a@example.com"]).await;
    lab.send(SENDER, &["b@example.net"]).await;
    lab.until_taken(1).await;
    assert_eq!(lab.taken()[0].hop, 3, "the other host of that domain");
    lab.wait(2 * HOUR).await;
    assert_eq!((lab.connections(1), lab.connections(2)), (0, 0));
    assert_eq!(lab.queued().await[0].attempts, 0, "it was not even tried");
    assert!(lab.store().resume(&pause("mx.example.com").scope).await.expect("the store is well"));
    lab.reconsider().await;
    let took = lab.until_empty(async {}).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(lab.taken()[1].hop, 1);
}

#[tokio::test(start_paused = true)]
async fn held_mail_goes_when_it_is_released_and_rerouted_mail_goes_elsewhere() {
    let lab = Lab::new();
    lab.domain("example.com", &[(10, "mx", 1)]);
    lab.domain("example.net", &[(10, "mx", 2)]);
    lab.says(1, "", &[Say::Close("421 4.3.2 later")]);
    lab.send(SENDER, &["a@example.com"]).await;
    lab.wait(Duration::from_secs(5)).await;
    let id = lab.queued().await[0].id;
    let adjust = async |adjustment| {
        assert_eq!(lab.store().adjust(&[id], adjustment).await.expect("the store is well"), 1);
        lab.reconsider().await;
    };
    adjust(Adjustment::Hold(Hold { since: Timestamp(0), reason: String::new() })).await;
    lab.wait(2 * HOUR).await;
    assert_eq!((lab.taken().len(), lab.connections(1)), (0, 1));
    adjust(Adjustment::Reroute("example.net".parse().expect("a destination"))).await;
    adjust(Adjustment::Release).await;
    let took = lab.until_empty(async {}).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!((lab.taken()[0].hop, lab.taken()[0].to.join("")), (2, "<a@example.com>".to_owned()));
    let fates = lab.store().fates_of(id.spool).await.expect("the store is well");
    assert_eq!(fates[0].ending, store::Ending::Delivered);
    assert_eq!(fates[0].delivery.history.len(), 2, "the last attempt is kept too");
    assert_eq!(fates[0].delivery.last_reply(), Some("250 2.0.0 taken"));
}

#[tokio::test(start_paused = true)]
async fn a_fault_of_ours_puts_mail_off_and_not_for_hours() {
    let lab = Lab::new();
    lab.domain("example.com", &[(10, "mx", 55)]);
    let took = lab.until_empty(lab.send(SENDER, &["a@example.com", "b@example.com"])).await;
    assert!((299..=301).contains(&took.as_secs()), "{took:?}");
    assert_eq!(lab.taken()[0].to.len(), 2);
}

/// The client's time-outs are for each reply, and long (RFC 5321 §4.5.3.2). All of them together must not outlive the lease.
#[tokio::test(start_paused = true)]
async fn a_host_that_is_always_just_in_time_is_cut_off() {
    let lab = Lab::new();
    lab.domain("example.com", &[(10, "mx", 1)]);
    lab.says(1, "RCPT", &[Say::After(Duration::from_secs(290), "250 2.1.5 ok"); 40]);
    let recipients: Vec<String> = (0..40).map(|number| format!("u{number}@example.com")).collect();
    let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
    lab.send(SENDER, &recipients).await;
    lab.wait(2 * HOUR + Duration::from_secs(60)).await;
    let queued = lab.queued().await;
    assert_eq!(queued.len(), 40);
    assert!(queued.iter().all(|one| one.attempts == 1), "each was put off once");
    assert!(queued[0].last_reply().is_some_and(|reply| reply.contains("longer than 2 h")), "{queued:?}");
    lab.until_empty(async {}).await;
    let taken: Vec<String> = lab.taken().into_iter().flat_map(|taken| taken.to).collect();
    assert_eq!(taken.len(), 40, "nobody got it twice: {taken:?}");
}
