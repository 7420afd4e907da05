//! What a site bears, what it says of it, and why mail goes to one of its hosts.

use super::lab::{Lab, SENDER, Say, exchange};
use crate::abuse::Rate;
use crate::queue::{Bounds, OwnSite, SiteLimits};
use std::time::Duration;

const TOO_MANY: Say = Say::Close("421 4.7.0 too many connections from you");

/// Messages to one domain, all at once.
async fn many(lab: &Lab, count: usize, to: &str) {
    for _ in 0..count {
        lab.send_later(SENDER, &[to]).await;
    }
    lab.nudge().await;
}

#[tokio::test(start_paused = true)]
async fn a_site_that_has_no_time_is_left_alone_for_a_while() {
    let lab = Lab::new();
    lab.domain("example.com", &[(10, "mx", 1), (20, "backup", 2)]);
    for hop in [1, 2] {
        lab.says(hop, "", &[TOO_MANY; 1]);
    }
    lab.send(SENDER, &["a@example.com"]).await;
    lab.wait(Duration::from_secs(1)).await;
    assert_eq!((lab.connections(1), lab.connections(2)), (1, 1), "each was asked");
    let wait = lab.site("example.com").expect("it is known").wait.expect("it is paused");
    assert!(wait.as_secs() == 58 || wait.as_secs() == 59, "{wait:?}");
    lab.send(SENDER, &["b@example.com"]).await;
    lab.wait(Duration::from_secs(50)).await;
    assert_eq!((lab.connections(1), lab.taken().len()), (1, 0), "nor is it asked for the sake of other mail");
    lab.wait(Duration::from_secs(10)).await;
    assert_eq!(lab.taken()[0].to, ["<b@example.com>"]);
}

#[tokio::test(start_paused = true)]
async fn the_hosts_of_a_site_are_known_once_they_were_looked_up() {
    let lab = Lab::new();
    lab.domain("example.com", &[(10, "mx", 1), (20, "backup", 2)]);
    assert_eq!(lab.hosts("example.com"), None);
    lab.send(SENDER, &["a@example.com"]).await;
    lab.wait(Duration::from_secs(1)).await;
    let hosts = lab.hosts("example.com").expect("it was tried");
    assert_eq!(hosts, ["backup.example.com", "mx.example.com"]);
}

#[tokio::test(start_paused = true)]
async fn what_a_site_has_no_connection_for_waits_for_those_that_it_has() {
    let lab = Lab::new();
    lab.domain("example.com", &[(10, "mx", 1)]);
    // The first message takes its time, so that its connection is there when the second is refused.
    lab.says(1, "", &[Say::Default, TOO_MANY]);
    lab.says(1, ".", &[Say::After(Duration::from_secs(30), "250 2.0.0 taken at last")]);
    lab.send(SENDER, &["a@example.com"]).await;
    lab.wait(Duration::from_secs(1)).await;
    // It is well: it took mail before.
    lab.until_taken(1).await;
    lab.says(1, ".", &[Say::After(Duration::from_secs(30), "250 2.0.0 taken at last")]);
    lab.send(SENDER, &["b@example.com"]).await;
    lab.wait(Duration::from_secs(1)).await;
    let took = lab.until_empty(lab.send(SENDER, &["c@example.com"])).await;
    assert!(took < Duration::from_secs(70), "no attempt was lost, nothing put off by the schedule: {took:?}");
    assert_eq!(lab.taken().len(), 3);
    assert_eq!(lab.connections(1), 2);
}

fn own(limits: SiteLimits) -> Bounds {
    let hosts = vec![".example.net".parse().expect("a pattern")];
    Bounds { own: vec![OwnSite { domains: Vec::new(), hosts, limits }], ..Bounds::default() }
}

#[tokio::test(start_paused = true)]
async fn rates_hold_for_all_that_a_table_names() {
    let rate = Some(Rate { amount: 3, window: Duration::from_secs(60) });
    let lab = Lab::with_bounds(own(SiteLimits { message_rate: rate, ..SiteLimits::default() }));
    lab.exchanges("a.example", vec![exchange(10, "one.example.net")]);
    lab.exchanges("b.example", vec![exchange(10, "two.example.net")]);
    lab.address("one.example.net", "192.0.32.1");
    lab.address("two.example.net", "192.0.32.2");
    lab.domain("free.example", &[(10, "mx", 3)]);
    many(&lab, 3, "a@a.example").await;
    many(&lab, 3, "b@b.example").await;
    many(&lab, 5, "c@free.example").await;
    lab.wait(Duration::from_secs(1)).await;
    assert_eq!(lab.taken().len(), 3 + 5, "as many as the rate has, and all of the others");
    let took = lab.until_empty(std::future::ready(())).await;
    assert!(
        (58..=60).contains(&took.as_secs()),
        "one each 20 s, and none was an attempt that failed: {took:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn new_connections_have_a_rate_and_open_ones_are_used_beyond_it() {
    let connection_rate = Some(Rate { amount: 1, window: Duration::from_secs(60) });
    for (messages, seconds) in [(1, 120..=122), (2, 60..=62), (3, 0..=1)] {
        let lab = Lab::with_bounds(own(SiteLimits { messages, connection_rate, ..SiteLimits::default() }));
        lab.domain("a.example.net", &[(10, "mx", 1)]);
        let took = lab.until_empty(many(&lab, 3, "a@a.example.net")).await;
        assert!(seconds.contains(&took.as_secs()), "{messages}: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_one_host_puts_off_for_its_own_sake_another_gets_at_once() {
    for (reply, elsewhere) in [
        ("451 4.3.0 mail system trouble", true),
        ("452 4.3.1 disk full", true),
        ("451 4.4.3 cannot look that up", true),
        ("451 local error", true),
        ("452 insufficient storage", true),
        ("450 mailbox is busy", false),
        ("450 4.2.1 mailbox is busy", false),
        ("452 4.2.2 over quota", false),
        ("451 4.7.1 greylisted", false),
        ("450 4.1.8 sender unknown for now", false),
    ] {
        let lab = Lab::new();
        lab.domain("example.com", &[(10, "mx", 1), (20, "backup", 2)]);
        lab.says(1, "RCPT", &[Say::Default, Say::Reply(reply)]);
        lab.send(SENDER, &["a@example.com", "b@example.com", "c@example.com"]).await;
        lab.wait(Duration::from_secs(1)).await;
        let taken: Vec<(u8, String)> =
            lab.taken().into_iter().map(|taken| (taken.hop, taken.to.concat())).collect();
        let mut expected = vec![(1, "<a@example.com><c@example.com>".to_owned())];
        expected.extend(elsewhere.then(|| (2, "<b@example.com>".to_owned())));
        assert_eq!(taken, expected, "{reply}");
        let left = lab.queued().await;
        assert_eq!(left.len(), usize::from(!elsewhere), "{reply}");
        assert!(left.iter().all(|delivery| delivery.last_reply() == Some(reply)), "{left:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_word_of_the_host_that_answered_last_stands() {
    // The backup does not answer; it says no; it refuses for good.
    for (backup, greeting, answer, expected) in [
        (66, Say::Default, Say::Default, "451 4.3.0 trouble at mx"),
        (2, Say::Reply("554 5.3.2 closed"), Say::Default, "451 4.3.0 trouble at mx"),
        (2, Say::Default, Say::Reply("451 4.7.1 greylisted"), "451 4.7.1 greylisted"),
    ] {
        let lab = Lab::new();
        lab.domain("example.com", &[(10, "mx", 1), (20, "backup", backup)]);
        lab.says(1, "MAIL", &[Say::Reply("451 4.3.0 trouble at mx")]);
        lab.says(2, "", &[greeting]);
        lab.says(2, "RCPT", &[answer]);
        lab.send(SENDER, &["a@example.com"]).await;
        lab.wait(Duration::from_secs(1)).await;
        let left = lab.queued().await;
        assert_eq!((left[0].attempts, left[0].last_reply()), (1, Some(expected)));
    }
    let lab = Lab::new();
    lab.domain("example.com", &[(10, "mx", 1), (20, "backup", 2)]);
    lab.says(1, "MAIL", &[Say::Reply("451 4.3.0 trouble at mx")]);
    lab.says(2, "RCPT", &[Say::Reply("550 5.1.1 no such user")]);
    let took = lab.until_empty(lab.send(SENDER, &["a@example.com"])).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert!(lab.reports().await.concat().contains("backup.example.com said: 550 5.1.1 no such user"));
}

/// The choice of the last attempt for the only delivery.
async fn choice(lab: &Lab) -> String {
    let left = lab.queued().await;
    left[0].history.last().and_then(|attempt| attempt.choice.clone()).expect("it says why")
}

#[tokio::test(start_paused = true)]
async fn each_attempt_says_why_it_went_where_it_went() {
    let lab = Lab::without_reuse();
    lab.domain("example.com", &[(10, "slow", 1), (10, "quick", 2), (20, "backup", 3)]);
    lab.answers_after(1, Duration::from_millis(80));
    lab.answers_after(2, Duration::from_millis(10));
    // Both become known: what is not known yet comes first.
    for _ in 0..6 {
        lab.until_empty(lab.send(SENDER, &["a@example.com"])).await;
    }
    assert!(lab.taken().iter().any(|taken| taken.hop == 1));
    lab.says(2, "RCPT", &[Say::Reply("450 4.2.1 later")]);
    lab.send(SENDER, &["a@example.com"]).await;
    lab.wait(Duration::from_secs(1)).await;
    assert_eq!(
        choice(&lab).await,
        "the first to answer of 2 addresses with preference 10, tried in this order: \
         quick.example.com (192.0.32.2:2525) 10 ms, slow.example.com (192.0.32.1:2525) 80 ms; connected in 10 ms"
    );

    let lab = Lab::new();
    lab.domain("example.com", &[(10, "dead", 66), (20, "backup", 3)]);
    lab.until_empty(lab.send(SENDER, &["a@example.com"])).await;
    lab.wait(Duration::from_secs(10)).await;
    lab.says(3, "RCPT", &[Say::Reply("450 4.2.1 later"), Say::Reply("450 4.2.1 later")]);
    lab.send(SENDER, &["a@example.com"]).await;
    lab.wait(Duration::from_secs(1)).await;
    assert_eq!(
        choice(&lab).await,
        "the best preference that is well, 20; dead.example.com failed lately; connected in 0.0 ms"
    );
    let lab = Lab::new();
    lab.domain("example.com", &[(10, "dead", 66), (20, "rude", 1), (30, "backup", 3)]);
    lab.says(1, "", &[Say::Reply("554 5.7.1 not you")]);
    lab.says(3, "RCPT", &[Say::Reply("450 4.2.1 later")]);
    lab.send(SENDER, &["a@example.com"]).await;
    lab.wait(Duration::from_secs(1)).await;
    assert_eq!(
        choice(&lab).await,
        "the last that was left, preference 30; dead.example.com (192.0.32.66:2525: connection refused), \
         rude.example.com (192.0.32.1:2525: 451 4.3.2 The server greeted with: 554 5.7.1 not you) did not take it; \
         connected in 0.0 ms"
    );
}

#[tokio::test(start_paused = true)]
async fn a_site_that_puts_off_what_it_is_sent_gets_fewer_connections() {
    for (reply, limit) in [
        ("451 4.7.0 slow down", 1),
        ("452 4.3.1 no room", 1),
        ("451 later", 1),
        ("450 4.2.1 that mailbox is busy", 4),
        ("451 4.7.1 try again later", 4),
        ("451 4.7.0 you are greylisted", 4),
        ("451 greylisted, come back", 4),
        ("550 5.1.1 no such user", 4),
    ] {
        let lab = Lab::new();
        lab.domain("example.com", &[(10, "mx", 1)]);
        lab.says(1, "RCPT", &[Say::Reply(reply); 20]);
        for _ in 0..20 {
            lab.send(SENDER, &["a@example.com"]).await;
            lab.wait(Duration::from_secs(7)).await;
        }
        let site = lab.site("example.com").expect("it is known");
        assert!(if limit == 1 { site.limit == 1 } else { site.limit >= limit }, "{reply}: {}", site.limit);
    }
}

#[tokio::test(start_paused = true)]
async fn a_site_where_nobody_answers_is_asked_less_and_less() {
    let lab = Lab::new();
    lab.domain("dead.example", &[(10, "mx", 66)]);
    for _ in 0..120 {
        lab.send(SENDER, &["a@dead.example"]).await;
        lab.wait(Duration::from_secs(30)).await;
    }
    assert!((6..=9).contains(&lab.connections(66)), "once for all that is due: {}", lab.connections(66));
    let left = lab.queued().await;
    let tried = left.iter().filter(|delivery| delivery.attempts > 0).count();
    assert!(tried >= 90, "each attempt stands for all that waited: {tried}");
    // Another host takes its place, and nobody needs to tell the queue.
    lab.exchanges("dead.example", vec![exchange(10, "new.dead.example")]);
    lab.address("new.dead.example", "192.0.32.1");
    lab.wait(Duration::from_secs(15 * 60 + 5)).await;
    assert!(!lab.taken().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_host_of_a_route_is_asked_again_within_a_minute() {
    let lab =
        Lab::with_routes("[[route]]\ndomain = \"*\"\nvia = \"smtp://192.0.32.66:2525\"\ntls = \"none\"\n");
    for _ in 0..60 {
        lab.send(SENDER, &["a@example.com"]).await;
        lab.wait(Duration::from_secs(10)).await;
    }
    assert!((9..=12).contains(&lab.connections(66)), "{}", lab.connections(66));
}
