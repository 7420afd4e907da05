//! What a peer meets that does too much: loopback is not exempt here.

use crate::common::{NOW, Running, Talk, only_message, start};
use posthaste_server::abuse::Rate;
use posthaste_server::abuse::ban_file::HandBan;
use posthaste_server::admin::{Client, Item, Request};
use posthaste_server::settings::{Acceptance, Network, Proxied, Settings};
use std::time::Duration;

fn per_hour(amount: u64) -> Option<Rate> {
    Some(Rate { amount, window: Duration::from_secs(3600) })
}

/// A server for b.example that trusts nobody, after `change` had its say.
async fn strict(change: impl FnOnce(&mut Settings)) -> Running {
    start(|settings| {
        settings.limits.exempt.clear();
        settings.abuse.tarpit = Duration::ZERO;
        settings.abuse.greeting_delay = Duration::ZERO;
        settings.acceptance = Acceptance::Domains {
            domains: vec![smtp::Domain::parse("b.example").expect("a domain")],
            postmaster: None,
        };
        settings.accounts = vec![store::AccountName::of(&"bob@b.example".parse().expect("an address"))];
        change(settings);
    })
    .await
}

#[tokio::test]
async fn who_tries_names_is_sent_away_and_not_let_in_again() {
    let running = strict(|settings| settings.abuse.rates.unknown_recipients = per_hour(3)).await;
    let mut other = Talk::hello(running.address).await;
    let mut talk = Talk::hello(running.address).await;
    talk.say("MAIL FROM:<eve@a.example>").await;
    for name in ["a", "b", "c"] {
        let reply = talk.say(&format!("RCPT TO:<{name}@b.example>")).await;
        assert!(reply.starts_with("550 5.1.1 "), "{reply}");
    }
    let reply = talk.say("RCPT TO:<bob@b.example>").await;
    assert!(reply.starts_with("250 "), "{reply}");
    let last = talk.say("RCPT TO:<d@b.example>").await;
    assert_eq!(
        last,
        "421 4.7.0 Error: too many unknown recipients from your network address, try again in some minutes"
    );
    assert!(talk.closed().await);
    assert_eq!(other.say("MAIL FROM:<eve@a.example>").await, last, "its other sessions end as well");
    assert!(other.closed().await);
    let mut again = Talk::to(running.address).await;
    assert_eq!(again.reply().await, last);
    assert!(again.closed().await);
}

#[tokio::test]
async fn errors_lead_to_a_ban_but_a_transaction_is_finished() {
    let running = strict(|settings| settings.abuse.rates.errors = per_hour(4)).await;
    let mut talk = Talk::hello(running.address).await;
    talk.say("MAIL FROM:<alice@a.example>").await;
    talk.say("RCPT TO:<bob@b.example>").await;
    for _ in 0..5 {
        assert!(talk.say("NONSENSE").await.starts_with("500 "));
    }
    assert!(talk.say("DATA").await.starts_with("354 "));
    talk.send(b"x\r\n.\r\n").await;
    assert!(talk.reply().await.starts_with("250 "));
    let reply = talk.reply().await;
    assert!(reply.starts_with("421 4.7.0 Error: too many errors "), "{reply}");
    assert!(talk.closed().await);
}

#[tokio::test]
async fn messages_and_recipients_beyond_their_rates_are_put_off() {
    let running = strict(|settings| {
        settings.abuse.rates.messages = per_hour(2);
        settings.abuse.rates.recipients = per_hour(3);
    })
    .await;
    let mut talk = Talk::hello(running.address).await;
    talk.say("MAIL FROM:<alice@a.example>").await;
    for _ in 0..3 {
        assert!(talk.say("RCPT TO:<bob@b.example>").await.starts_with("250 "));
    }
    let reply = talk.say("RCPT TO:<bob@b.example>").await;
    assert!(reply.starts_with("451 4.7.0 Error: too many recipients "), "{reply}");
    talk.say("RSET").await;
    talk.say("MAIL FROM:<alice@a.example>").await;
    talk.say("RSET").await;
    let reply = talk.say("MAIL FROM:<alice@a.example>").await;
    assert!(reply.starts_with("451 4.7.0 Error: too many messages "), "{reply}");
}

#[tokio::test]
async fn connections_beyond_their_rate_are_turned_away() {
    let running = strict(|settings| settings.abuse.rates.connections = per_hour(2)).await;
    Talk::hello(running.address).await;
    Talk::hello(running.address).await;
    let mut talk = Talk::to(running.address).await;
    let reply = talk.reply().await;
    assert!(reply.starts_with("421 4.7.0 Error: too many connections "), "{reply}");
    assert!(talk.closed().await);
}

#[tokio::test]
async fn bans_are_listed_made_lifted_and_kept_over_a_restart() {
    let running = strict(|settings| settings.abuse.rates.errors = per_hour(1)).await;
    let network: Network = "127.0.0.0/8".parse().expect("a network");
    let client = Client::open(running.data.path()).await.expect("the server answers");
    let mut talk = Talk::hello(running.address).await;
    talk.say("NONSENSE").await;
    talk.say("NONSENSE").await;
    let bans = client.ask(Request::Bans).await.expect("a list");
    let [Item::Ban(ban)] = bans.as_slice() else { panic!("{bans:?}") };
    assert_eq!(ban.network.to_string(), "127.0.0.1/32");
    let left = ban.until.expect("an end").0 - NOW.0;
    assert!((590_000..=600_000).contains(&left), "{left} ms");
    let lifted = client.ask(Request::RemoveBan { network }).await.expect("an answer");
    assert_eq!(lifted, [Item::Removed { count: 1 }]);
    Talk::hello(running.address).await;

    let ban = HandBan { network, until: None, added: NOW, reason: "spam".to_owned() };
    client.ask(Request::AddBan { ban }).await.expect("an answer");
    let refused = "554 5.7.1 Error: your network address is not welcome here";
    assert_eq!(Talk::to(running.address).await.reply().await, refused);

    let running = restart(running).await;
    assert_eq!(Talk::to(running.address).await.reply().await, refused);
    let client = Client::open(running.data.path()).await.expect("the server answers");
    client.ask(Request::RemoveBan { network }).await.expect("an answer");
    Talk::hello(running.address).await;
}

/// Another server on the same data.
async fn restart(running: Running) -> Running {
    let Running { server, data, .. } = running;
    server.stop().await;
    let again = start(|settings| settings.data = data.path().to_owned()).await;
    Running { data, ..again }
}

const REMOTE: &str = "203.0.113.7";

#[tokio::test]
async fn a_listed_proxy_says_who_the_client_is() {
    let running = strict(|settings| {
        settings.listeners[0].proxied = Proxied::Yes;
        settings.proxies.header = vec!["127.0.0.1".parse().expect("a network")];
        settings.abuse.rates.errors = per_hour(1);
    })
    .await;
    let header = format!("PROXY TCP4 {REMOTE} 198.51.100.1 40000 25\r\n");
    let mut talk = Talk::to(running.address).await;
    talk.send(header.as_bytes()).await;
    assert!(talk.reply().await.starts_with("220 "));
    assert!(talk.say("HELO client.example").await.contains(&format!("[{REMOTE}]")));
    talk.say("MAIL FROM:<alice@a.example>").await;
    assert!(talk.say("RCPT TO:<bob@[127.0.0.1]>").await.starts_with("550 5.7.1 "), "it connected elsewhere");
    assert!(talk.say("RCPT TO:<bob@[198.51.100.1]>").await.starts_with("250 "));
    talk.say("DATA").await;
    talk.send(b"x\r\n.\r\n").await;
    assert!(talk.reply().await.starts_with("250 "));
    let text = only_message(&running.store, "bob@b.example").await;
    assert!(text.contains(&format!("Received: from client.example ([{REMOTE}]) by")), "{text}");

    talk.say("NONSENSE").await;
    talk.say("NONSENSE").await;
    let mut again = Talk::to(running.address).await;
    again.send(header.as_bytes()).await;
    let reply = again.reply().await;
    assert!(reply.starts_with("421 4.7.0 Error: too many errors "), "the client is banned: {reply}");
    let mut other = Talk::to(running.address).await;
    other.send(header.replace(REMOTE, "203.0.113.8").as_bytes()).await;
    assert!(other.reply().await.starts_with("220 "), "and not the proxy");
    let mut well = Talk::to(running.address).await;
    well.send(b"PROXY UNKNOWN\r\n").await;
    assert!(well.reply().await.starts_with("220 "), "which may speak for itself");
    let mut without = Talk::to(running.address).await;
    without.send(b"EHLO client.e\r\n").await;
    assert!(without.closed().await, "but not without a header");
}

#[tokio::test]
async fn nobody_else_is_believed() {
    let running = strict(|settings| {
        settings.listeners[0].proxied = Proxied::Yes;
        settings.proxies.header = vec!["192.0.2.1".parse().expect("a network")];
        settings.proxies.xclient = vec!["192.0.2.1".parse().expect("a network")];
    })
    .await;
    let mut talk = Talk::to(running.address).await;
    assert!(talk.reply().await.starts_with("220 "), "no header is waited for");
    let reply = talk.say(&format!("PROXY TCP4 {REMOTE} 198.51.100.1 40000 25")).await;
    assert!(reply.starts_with("500 "), "{reply}");
    let reply = talk.say("EHLO client.example").await;
    assert!(reply.contains("[127.0.0.1]") && !reply.contains("XCLIENT"), "{reply}");
    assert!(talk.say(&format!("XCLIENT ADDR={REMOTE}")).await.starts_with("550 5.7.0 "));
}

#[tokio::test]
async fn xclient_names_the_client_of_a_listed_proxy() {
    let running = strict(|settings| {
        settings.proxies.xclient = vec!["127.0.0.1".parse().expect("a network")];
        settings.abuse.rates.errors = per_hour(1);
    })
    .await;
    let mut talk = Talk::to(running.address).await;
    talk.reply().await;
    assert!(talk.say("EHLO proxy.example").await.contains("XCLIENT NAME ADDR "));
    let reply = talk.say(&format!("XCLIENT ADDR={REMOTE} LOGIN=bob NAME=b.example")).await;
    assert!(reply.starts_with("220 "), "{reply}");
    assert!(talk.say("MAIL FROM:<bob@b.example>").await.starts_with("503 "), "the session begins anew");
    assert!(talk.say("EHLO client.example").await.contains(&format!("[{REMOTE}]")));
    talk.say("MAIL FROM:<bob@b.example>").await;
    let reply = talk.say("RCPT TO:<eve@outside.example>").await;
    assert!(reply.starts_with("421 "), "a second error bans the client: {reply}");
    assert!(talk.closed().await);
    let client = Client::open(running.data.path()).await.expect("the server answers");
    let bans = client.ask(Request::Bans).await.expect("a list");
    let [Item::Ban(ban)] = bans.as_slice() else { panic!("{bans:?}") };
    assert_eq!(ban.network.to_string(), format!("{REMOTE}/32"));
}

#[tokio::test]
async fn a_client_that_claims_this_machines_address_may_relay_nothing() {
    let running = strict(|settings| {
        settings.listeners[0].proxied = Proxied::Yes;
        settings.proxies.header = vec!["127.0.0.1".parse().expect("a network")];
        settings.proxies.xclient = settings.proxies.header.clone();
        settings.limits.exempt = settings.proxies.header.clone();
    })
    .await;
    for address in ["127.0.0.1", "198.51.100.1"] {
        let mut talk = Talk::to(running.address).await;
        talk.send(format!("PROXY TCP4 {address} 198.51.100.1 40000 25\r\n").as_bytes()).await;
        talk.reply().await;
        talk.say("EHLO localhost").await;
        talk.say("MAIL FROM:<bob@b.example>").await;
        assert!(talk.say("RCPT TO:<eve@outside.example>").await.starts_with("550 5.7.1 "), "{address}");
    }
    let mut talk = Talk::to(running.address).await;
    talk.send(b"PROXY UNKNOWN\r\n").await;
    talk.reply().await;
    talk.say("EHLO localhost").await;
    assert!(talk.say("XCLIENT ADDR=127.0.0.1 LOGIN=bob").await.starts_with("220 "));
    talk.say("EHLO localhost").await;
    talk.say("MAIL FROM:<bob@b.example>").await;
    assert!(talk.say("RCPT TO:<eve@outside.example>").await.starts_with("550 5.7.1 "));
}

#[tokio::test]
async fn who_speaks_before_the_greeting_is_refused() {
    // Long enough that a greeting that comes is no accident of timing.
    let delay = Duration::from_secs(60);
    let running = strict(|settings| settings.abuse.greeting_delay = delay).await;
    let mut early = Talk::to(running.address).await;
    early.send(b"EHLO client.example\r\n").await;
    let reply = early.reply().await;
    assert!(reply.starts_with("554 5.5.1 "), "{reply}");
    assert!(early.closed().await);

    let known = strict(|settings| {
        settings.abuse.greeting_delay = delay;
        settings.limits.exempt = vec!["127.0.0.0/8".parse().expect("a network")];
    })
    .await;
    let mut talk = Talk::to(known.address).await;
    assert!(talk.reply().await.starts_with("220 "), "who is exempt is greeted at once");
}
