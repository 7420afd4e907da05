//! Connections that are used again, and what becomes of mail when one of them turns out dead.

use super::lab::{Lab, SENDER, Say, exchange};
use crate::deliver::pool::Idle;
use crate::queue::{Bounds, SiteLimits};
use std::time::Duration;

const A_MOMENT: Duration = Duration::from_secs(1);

/// Two messages, one after the other.
async fn two(lab: &Lab, first: &str, second: &str) -> Duration {
    lab.until_empty(lab.send(SENDER, &[first])).await;
    lab.wait(A_MOMENT).await;
    lab.until_empty(lab.send(SENDER, &[second])).await
}

#[tokio::test(start_paused = true)]
async fn a_connection_serves_the_next_mail_for_all_domains_of_its_site() {
    let lab = Lab::new();
    for domain in ["one.example", "two.example"] {
        lab.exchanges(domain, vec![exchange(10, "mx.site.example")]);
    }
    lab.address("mx.site.example", "192.0.32.1");
    lab.domain("three.example", &[(10, "mx", 3)]);
    two(&lab, "a@one.example", "b@two.example").await;
    lab.until_empty(lab.send(SENDER, &["c@three.example"])).await;
    assert_eq!(lab.taken().len(), 3);
    assert_eq!((lab.connections(1), lab.connections(3)), (1, 1));
    assert_eq!(
        (lab.told(1, "EHLO"), lab.told(1, "MAIL"), lab.told(1, "RSET"), lab.told(1, "QUIT")),
        (1, 2, 0, 0)
    );
    lab.wait(Idle::default().time).await;
    assert_eq!((lab.told(1, "QUIT"), lab.told(3, "QUIT")), (1, 1), "nothing is held on to for long");
}

#[tokio::test(start_paused = true)]
async fn a_transaction_that_was_left_open_is_reset_first() {
    let lab = Lab::new();
    lab.domain("example.com", &[(10, "mx", 1)]);
    lab.says(1, "RCPT", &[Say::Reply("550 5.1.1 no such user")]);
    two(&lab, "a@example.com", "b@example.com").await;
    assert_eq!(lab.connections(1), 1);
    let said = lab.said(1);
    let reset = said.iter().position(|line| line == "RSET").expect("it is said");
    assert!(said[reset + 1].starts_with("MAIL"), "{said:?}");
    assert_eq!(lab.taken().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_died_meanwhile_costs_nothing() {
    for (command, answers) in [
        // Seen before it is used.
        (".", vec![Say::Close("250 2.0.0 taken, and goodbye")]),
        // Found out by using it.
        ("MAIL", vec![Say::Default, Say::Hangup]),
        ("MAIL", vec![Say::Default, Say::Close("421 4.4.2 idle for too long")]),
    ] {
        let lab = Lab::new();
        lab.domain("example.com", &[(10, "mx", 1), (20, "backup", 2)]);
        lab.says(1, command, &answers);
        let took = two(&lab, "a@example.com", "b@example.com").await;
        assert!(took < A_MOMENT, "{answers:?}: {took:?}");
        assert_eq!(lab.taken().iter().map(|taken| taken.hop).collect::<Vec<_>>(), [1, 1], "{answers:?}");
        assert_eq!(lab.connections(1), 2, "{answers:?}");
        // Nothing is held against the host.
        lab.until_empty(lab.send(SENDER, &["c@example.com"])).await;
        assert_eq!((lab.connections(1), lab.connections(2)), (2, 0), "{answers:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_says_more_than_it_was_asked_is_not_trusted_with_another_message() {
    for answer in ["250 2.0.0 taken\r\n250 2.0.0 taken again", "250 2.0.0 taken\r\nnonsense"] {
        let lab = Lab::new();
        lab.domain("example.com", &[(10, "mx", 1)]);
        lab.says(1, ".", &[Say::Reply(answer)]);
        lab.says(1, "MAIL", &[Say::Default, Say::Default]);
        lab.says(1, "RCPT", &[Say::Default, Say::Reply("550 5.1.1 no such user")]);
        two(&lab, "a@example.com", "b@example.com").await;
        assert_eq!(lab.connections(1), 2, "{answer:?}");
        assert_eq!(lab.taken().len(), 1, "{answer:?}");
        assert!(lab.reports().await.concat().contains("550 5.1.1 no such user"), "{answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn only_one_retry_is_free_and_none_after_the_dot() {
    let lab = Lab::new();
    lab.domain("example.com", &[(10, "mx", 1)]);
    lab.says(1, "MAIL", &[Say::Default, Say::Hangup, Say::Hangup, Say::Hangup]);
    let took = two(&lab, "a@example.com", "b@example.com").await;
    assert!(took > Duration::from_secs(270), "{took:?}");
    assert_eq!(
        lab.connections(1),
        4,
        "one that was open, one in its place, one that the second attempt finds, one that works"
    );

    let lab = Lab::new();
    lab.domain("example.com", &[(10, "mx", 1), (20, "backup", 2)]);
    lab.says(1, ".", &[Say::Default, Say::Hangup]);
    let took = two(&lab, "a@example.com", "b@example.com").await;
    assert!(took > Duration::from_secs(270), "RFC 1047: the message may have been taken, {took:?}");
    assert!(lab.taken().iter().all(|taken| taken.hop == 1));
}

#[tokio::test(start_paused = true)]
async fn a_host_that_ends_each_connection_after_a_message_is_believed() {
    let lab = Lab::new();
    lab.domain("example.com", &[(10, "mx", 1)]);
    lab.says(1, ".", &[Say::Close("250 2.0.0 taken\r\n421 4.7.0 one for each connection")]);
    for _ in 0..3 {
        lab.until_empty(lab.send(SENDER, &["a@example.com"])).await;
    }
    assert_eq!((lab.connections(1), lab.told(1, "QUIT")), (3, 2), "it is not asked for more");
}

#[tokio::test(start_paused = true)]
async fn connections_retire_by_count_and_by_age() {
    let site = SiteLimits { messages: 2, ..SiteLimits::default() };
    let lab = Lab::with_bounds(Bounds { site, ..Bounds::default() });
    lab.domain("example.com", &[(10, "mx", 1)]);
    for _ in 0..5 {
        lab.until_empty(lab.send(SENDER, &["a@example.com"])).await;
    }
    assert_eq!((lab.connections(1), lab.told(1, "QUIT")), (3, 2));

    let idle = Idle { time: Duration::from_secs(60), ..Idle::default() };
    let lab = Lab::with_bounds(Bounds { idle, age: Duration::from_secs(100), ..Bounds::default() });
    lab.domain("example.com", &[(10, "mx", 1)]);
    for _ in 0..5 {
        lab.until_empty(lab.send(SENDER, &["a@example.com"])).await;
        lab.wait(Duration::from_secs(40)).await;
    }
    assert_eq!(lab.connections(1), 2, "the second begins after two minutes");
}

#[tokio::test(start_paused = true)]
async fn no_more_are_idle_than_may_be_and_none_stays_when_the_queue_stops() {
    let idle = Idle { most: 2, time: Duration::from_secs(60) };
    let mut lab = Lab::with_bounds(Bounds { idle, ..Bounds::default() });
    for hop in 1..=3 {
        let domain = format!("d{hop}.example");
        lab.domain(&domain, &[(10, "mx", hop)]);
        lab.until_empty(lab.send(SENDER, &[&format!("a@{domain}")])).await;
    }
    lab.wait(A_MOMENT).await;
    let quits = |lab: &Lab| [1, 2, 3].map(|hop| lab.told(hop, "QUIT"));
    assert_eq!(quits(&lab), [1, 0, 0], "the one that was idle for longest goes");
    lab.stop().await;
    assert_eq!(quits(&lab), [1, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn other_credentials_and_other_demands_on_tls_need_another_connection() {
    let directory = tempfile::tempdir().expect("a directory");
    let password = directory.path().join("password");
    std::fs::write(&password, "secret\n").expect("it is written");
    let route = |domain: &str, tls: &str, user: &str| {
        let credentials = match user {
            "" => String::new(),
            user => format!("user = \"{user}\"\npassword_file = {password:?}\n"),
        };
        format!(
            "[[route]]\ndomain = \"{domain}\"\nvia = \"smtp://127.0.0.1:2525\"\ntls = \"{tls}\"\n{credentials}"
        )
    };
    let routes: String = [
        ("one.example", "none", "ann"),
        ("two.example", "none", "ann"),
        ("three.example", "none", "ben"),
        ("four.example", "none", ""),
        ("five.example", "opportunistic", ""),
    ]
    .map(|(domain, tls, user)| route(domain, tls, user))
    .concat();
    let lab = Lab::with_routes(&routes);
    // The address ends in 1, so it is the first hop's.
    lab.says(1, "EHLO", &[Say::Reply("250-mx\r\n250 AUTH PLAIN"); 9]);
    for (domain, connections) in [("one", 1), ("two", 1), ("three", 2), ("four", 3), ("five", 4)] {
        lab.until_empty(lab.send(SENDER, &[&format!("a@{domain}.example")])).await;
        assert_eq!(lab.connections(1), connections, "{domain}");
    }
    assert_eq!(lab.told(1, "AUTH"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_silent_equal_host_is_waited_for_once() {
    let lab = Lab::without_reuse();
    lab.domain("example.com", &[(10, "silent", 77), (10, "mx", 1), (10, "mute", 77)]);
    for number in 0..12 {
        let took = lab.until_empty(lab.send(SENDER, &["a@example.com"])).await;
        assert!(number < 2 || took < Duration::from_millis(50), "{number}: {took:?}");
    }
    assert_eq!(lab.taken().len(), 12);
}

#[tokio::test(start_paused = true)]
async fn five_dead_addresses_of_a_family_cost_a_moment() {
    let lab = Lab::without_reuse();
    let six: Vec<String> = (1..=5).map(|number| format!("2001:4860::{number}")).collect();
    lab.exchanges("example.com", vec![exchange(10, "mx.example.com")]);
    six.iter().for_each(|address| lab.address("mx.example.com", address));
    lab.address("mx.example.com", "192.0.32.1");
    let mut slow = 0;
    for _ in 0..12 {
        let took = lab.until_empty(lab.send(SENDER, &["a@example.com"])).await;
        assert!(took < Duration::from_millis(300), "one head start at most: {took:?}");
        slow += usize::from(took > Duration::from_millis(50));
    }
    assert!(slow <= 5, "each is waited for once: {slow}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_best_host_is_not_waited_for_while_the_backup_serves() {
    let lab = Lab::new();
    lab.domain("example.com", &[(10, "silent", 77), (20, "backup", 2)]);
    let took = lab.until_empty(lab.send(SENDER, &["a@example.com"])).await;
    assert_eq!(took.as_secs(), 30, "nothing was known of it: {took:?}");
    for _ in 0..10 {
        lab.wait(A_MOMENT).await;
        let took = lab.until_empty(lab.send(SENDER, &["a@example.com"])).await;
        assert!(took < A_MOMENT, "{took:?}");
    }
    assert_eq!((lab.connections(77), lab.connections(2)), (1, 1), "the open connection serves");
    // It may have got well: one of several finds out, the others do not wait for it.
    lab.wait(Duration::from_secs(300)).await;
    lab.send(SENDER, &["a@example.com"]).await;
    lab.wait(A_MOMENT).await;
    let before = lab.taken().len();
    lab.send(SENDER, &["b@example.com"]).await;
    lab.wait(A_MOMENT).await;
    assert_eq!((lab.connections(77), lab.taken().len()), (2, before + 1));
}

#[tokio::test(start_paused = true)]
async fn what_a_host_says_that_it_bears_is_kept_to() {
    // RFC 9422: transactions and recipient domains in one connection.
    for (limits, expected) in [
        ("250-mx\r\n250 SIZE", 1),
        ("250-mx\r\n250 LIMITS MAILMAX=2", 3),
        ("250-mx\r\n250 LIMITS RCPTDOMAINMAX=1", 6),
        ("250-mx\r\n250 LIMITS RCPTDOMAINMAX=2", 1),
    ] {
        let lab = Lab::new();
        for domain in ["one.example", "two.example"] {
            lab.exchanges(domain, vec![exchange(10, "mx.site.example")]);
        }
        lab.address("mx.site.example", "192.0.32.1");
        lab.says(1, "EHLO", &[Say::Reply(limits); 9]);
        for _ in 0..3 {
            two(&lab, "a@one.example", "b@two.example").await;
        }
        assert_eq!((lab.taken().len(), lab.connections(1)), (6, expected), "{limits}");
    }
}
