//! Who waits for whom: destinations of one site, destinations of the world, small messages and large ones.

use super::lab::{Lab, SENDER, Say, exchange};
use crate::queue::{Bounds, SiteLimits};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_domain_does_not_wait_for_another_ones_backlog_at_their_site() {
    let site = SiteLimits { connections: 1, ..SiteLimits::default() };
    let lab = Lab::with_bounds(Bounds { site, ..Bounds::default() });
    for domain in ["big.example", "small.example"] {
        lab.exchanges(domain, vec![exchange(10, "mx.site.example")]);
    }
    lab.address("mx.site.example", "192.0.32.1");
    // A tenth of a second for each message.
    lab.says(1, ".", &[Say::After(Duration::from_millis(100), "250 2.0.0 taken"); 2000]);
    for _ in 0..500 {
        lab.send_later(SENDER, &["a@big.example"]).await;
    }
    lab.nudge().await;
    lab.wait(SECOND).await;
    lab.send(SENDER, &["b@small.example"]).await;
    lab.until_empty(std::future::ready(())).await;
    let taken = lab.taken();
    let place = taken.iter().position(|taken| taken.to[0] == "<b@small.example>").expect("it is taken");
    assert!(place <= 100, "when the turn of the other is over: {place} of {}", taken.len());
    assert_eq!(lab.connections(1), 6, "the turns share connections; each carries 100");
}

#[tokio::test(start_paused = true)]
async fn new_mail_is_tried_at_once_whatever_has_piled_up() {
    let lab = Lab::with_bounds(Bounds { connections: 4, ..Bounds::default() });
    for number in 0..40 {
        let domain = format!("old{number}.example");
        lab.domain(&domain, &[(10, "mx", 1)]);
        for _ in 0..20 {
            lab.send_later(SENDER, &[&format!("a@{domain}")]).await;
        }
    }
    lab.domain("new.example", &[(10, "mx", 2)]);
    // A second for each message: 200 seconds for all of it.
    lab.says(1, ".", &[Say::After(SECOND, "250 2.0.0 taken"); 2000]);
    lab.nudge().await;
    lab.wait(10 * SECOND).await;
    lab.send(SENDER, &["b@new.example"]).await;
    lab.wait(25 * SECOND).await;
    assert!(lab.taken().iter().any(|taken| taken.hop == 2), "as soon as one of the four is free");
    assert!(lab.taken().len() < 200, "and long before the others are done");
    let served = |lab: &Lab| {
        let domains = lab.taken().into_iter().map(|taken| taken.to[0].clone());
        domains.collect::<std::collections::BTreeSet<_>>().len()
    };
    assert!(served(&lab) >= 5, "{}", served(&lab));
    lab.until_empty(std::future::ready(())).await;
    assert_eq!(lab.taken().len(), 801);
}

#[tokio::test(start_paused = true)]
async fn what_is_due_at_the_start_does_not_go_out_in_one_burst() {
    let lab = Lab::new();
    for number in 0..150 {
        let domain = format!("d{number}.example");
        lab.domain(&domain, &[(10, "mx", 1)]);
        lab.send_later(SENDER, &[&format!("a@{domain}")]).await;
    }
    lab.says(1, "", &[Say::After(Duration::from_secs(100), "220 mx at last"); 150]);
    lab.nudge().await;
    let mut connections = Vec::new();
    for _ in 0..10 {
        lab.wait(Duration::from_millis(500)).await;
        connections.push(lab.connections(1));
        lab.wait(Duration::from_millis(500)).await;
    }
    assert_eq!(connections, [20, 40, 60, 80, 100, 120, 140, 150, 150, 150]);
}

#[tokio::test(start_paused = true)]
async fn small_messages_go_before_large_ones_that_were_claimed_with_them() {
    let site = SiteLimits { connections: 1, ..SiteLimits::default() };
    let lab = Lab::with_bounds(Bounds { site, ..Bounds::default() });
    lab.domain("example.com", &[(10, "mx", 1)]);
    lab.content(&format!("Subject: large\r\n\r\n{}", "x\r\n".repeat(1_000_000)));
    lab.send_later(SENDER, &["large@example.com"]).await;
    lab.content("Subject: small\r\n\r\nx\r\n");
    lab.send_later("<bob@example.net>", &["small@example.com"]).await;
    lab.until_empty(lab.nudge()).await;
    let to: Vec<String> = lab.taken().into_iter().flat_map(|taken| taken.to).collect();
    assert_eq!(to, ["<small@example.com>", "<large@example.com>"]);
}

#[tokio::test(start_paused = true)]
async fn dead_domains_with_steady_mail_leave_room_for_others() {
    let lab = Lab::with_bounds(Bounds { connections: 20, ..Bounds::default() });
    lab.domain("example.com", &[(10, "mx", 1)]);
    for number in 0..100 {
        lab.domain(&format!("dead{number}.example"), &[(10, "silent", 77)]);
    }
    // A message a minute for each of them: each attempt keeps one of the 20 places for half a minute.
    let steady = async |part: usize| {
        for number in part % 10 * 10..part % 10 * 10 + 10 {
            lab.send_later(SENDER, &[&format!("a@dead{number}.example")]).await;
        }
        lab.nudge().await;
        lab.wait(6 * SECOND).await;
    };
    for part in 0..80 {
        steady(part).await;
    }
    let mut slowest = Duration::ZERO;
    for part in 0..10 {
        lab.send(SENDER, &["b@example.com"]).await;
        slowest = slowest.max(lab.until_taken(part + 1).await);
        steady(part).await;
    }
    assert!(slowest < SECOND, "{slowest:?}");
}
