//! What a peer meets that does too much: loopback is not exempt here.

use crate::common::{NOW, Running, Talk, only_message, start};
use posthaste_server::abuse::Rate;
use posthaste_server::abuse::ban_file::HandBan;
use posthaste_server::admin::{Client, Item, Request};
use posthaste_server::settings::{Acceptance, Listener, ListenerTls, Network, Proxied, Relay, Settings};
use posthaste_server::tls::{Connector, Stream, Transport, Trust};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

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

/// A header of version 2 for this client, with a field that is passed over.
fn version_2(client: [u8; 4]) -> Vec<u8> {
    let ports = [0x9C, 0x40, 0, 25];
    [b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x10", &client[..], &[198, 51, 100, 1], &ports, b"\x04\0\x01x"].concat()
}

#[tokio::test]
async fn a_header_of_version_2_comes_before_tls_and_before_a_greeting() {
    let running = strict(|settings| {
        settings.listeners[0].proxied = Proxied::Yes;
        let implicit = Listener { tls: ListenerTls::Implicit, ..settings.listeners[0] };
        settings.listeners.push(implicit);
        settings.proxies.header = vec!["127.0.0.1".parse().expect("a network")];
    })
    .await;
    let mut talk = Talk::to(running.address).await;
    talk.send(&[&version_2([203, 0, 113, 7]), &b"EHLO client.example\r\n"[..]].concat()).await;
    assert!(talk.reply().await.starts_with("220 "));
    assert!(talk.reply().await.contains("[203.0.113.7]"));

    let mut stream = TcpStream::connect(running.server.listeners()[1].address).await.expect("a connection");
    stream.write_all(&version_2([203, 0, 113, 8])).await.expect("the server reads");
    let trust = Trust::File(running.data.path().join("tls/self-signed.crt"));
    let mut stream = Stream::connected(stream, Some(Connector::new("mx.example", &trust).expect("a name")));
    stream.secure().await.expect("TLS after the header");
    stream.write_all(b"EHLO client.example\r\nQUIT\r\n").await.expect("the server reads");
    stream.flush().await.expect("the server reads");
    let mut said = String::new();
    stream.read_to_string(&mut said).await.expect("text");
    assert!(said.starts_with("220 ") && said.contains("[203.0.113.8]"), "{said}");
}

#[tokio::test]
async fn a_proxy_is_turned_away_when_there_is_no_place() {
    let running = strict(|settings| {
        settings.listeners[0].proxied = Proxied::Yes;
        settings.proxies.header = vec!["127.0.0.1".parse().expect("a network")];
        settings.limits.connections = 1;
    })
    .await;
    let mut first = Talk::to(running.address).await;
    first.send(&version_2([203, 0, 113, 7])).await;
    assert!(first.reply().await.starts_with("220 "));
    let mut second = Talk::to(running.address).await;
    assert_eq!(second.reply().await, "421 4.7.0 Error: too many connections", "before its header");
    assert!(second.closed().await);
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

/// A server behind a proxy on this machine, which may relay itself and is exempt from limits.
async fn behind_a_relay() -> Running {
    strict(|settings| {
        settings.listeners[0].proxied = Proxied::Yes;
        settings.proxies.header = vec!["127.0.0.1".parse().expect("a network")];
        settings.proxies.xclient = settings.proxies.header.clone();
        settings.limits.exempt = settings.proxies.header.clone();
        settings.relay =
            Some(Relay { networks: vec!["127.0.0.0/8".parse().expect("a network")], ..Relay::default() });
    })
    .await
}

/// What is said to somebody who would send mail elsewhere, after EHLO.
async fn relayed(talk: &mut Talk) -> String {
    assert!(talk.say("EHLO localhost").await.starts_with("250-"));
    talk.say("MAIL FROM:<bob@b.example>").await;
    talk.say("RCPT TO:<eve@outside.example>").await
}

#[tokio::test]
async fn a_proxys_client_may_relay_nothing_though_the_proxy_may() {
    let running = behind_a_relay().await;
    for (header, said) in
        [("PROXY UNKNOWN", "250 2.1.5 "), ("PROXY TCP4 198.51.100.1 198.51.100.1 40000 25", "550 5.7.1 ")]
    {
        let mut talk = Talk::to(running.address).await;
        talk.send(format!("{header}\r\n").as_bytes()).await;
        talk.reply().await;
        let reply = relayed(&mut talk).await;
        assert!(reply.starts_with(said), "{header}: {reply}");
    }
    for attributes in [
        "ADDR=198.51.100.1 LOGIN=bob",
        "ADDR=203.0.113.7 NAME=localhost HELO=localhost",
        "ADDR=IPv6:2001:db8::7",
    ] {
        let mut talk = Talk::to(running.address).await;
        talk.send(b"PROXY UNKNOWN\r\n").await;
        talk.reply().await;
        talk.say("EHLO localhost").await;
        assert!(talk.say(&format!("XCLIENT {attributes}")).await.starts_with("220 "), "{attributes}");
        let reply = relayed(&mut talk).await;
        assert!(reply.starts_with("550 5.7.1 "), "{attributes}: {reply}");
    }
}

#[tokio::test]
async fn a_client_whose_address_its_proxy_does_not_tell_is_not_served_as_the_proxy() {
    let running = behind_a_relay().await;
    for attributes in [
        "ADDR=[UNAVAILABLE]",
        "ADDR=[TEMPUNAVAIL] LOGIN=bob",
        "NAME=spike.example",
        "PORT=25",
        "ADDR=224.0.0.1",
        "ADDR=somewhere",
    ] {
        let mut talk = Talk::to(running.address).await;
        talk.send(b"PROXY UNKNOWN\r\n").await;
        talk.reply().await;
        talk.say("EHLO localhost").await;
        let reply = talk.say(&format!("XCLIENT {attributes}")).await;
        assert!(reply.starts_with("501 5.5.4 "), "{attributes}: {reply}");
        let reply = talk.reply().await;
        assert_eq!(reply, "421 4.7.0 Error: it is not known for whom this proxy speaks", "{attributes}");
        assert!(talk.closed().await);
    }
    let mut talk = Talk::to(running.address).await;
    talk.send(b"PROXY UNKNOWN\r\n").await;
    talk.reply().await;
    talk.say("EHLO localhost").await;
    assert!(talk.say("XCLIENT ADDR=203.0.113.7").await.starts_with("220 "));
    assert!(talk.say("XCLIENT PORT=40000").await.starts_with("220 "), "the address was told before");
    assert!(relayed(&mut talk).await.starts_with("550 5.7.1 "));
}

#[tokio::test]
async fn a_banned_client_is_sent_away_when_its_proxy_names_it() {
    let running = strict(|settings| {
        settings.proxies.xclient = vec!["127.0.0.1".parse().expect("a network")];
        settings.abuse.rates.errors = per_hour(1);
    })
    .await;
    let (mut talk, _) = through_proxy(&running, REMOTE).await;
    assert!(talk.say("NONSENSE").await.starts_with("500 "));
    assert!(talk.say("NONSENSE").await.starts_with("500 "));
    let (mut again, reply) = through_proxy(&running, REMOTE).await;
    assert!(reply.starts_with("421 4.7.0 Error: too many errors "), "{reply}");
    assert!(again.closed().await);
    let client = Client::open(running.data.path()).await.expect("the server answers");
    let network = "203.0.113.8/32".parse().expect("a network");
    let ban = HandBan { network, until: None, added: NOW, reason: "spam".to_owned() };
    client.ask(Request::AddBan { ban }).await.expect("an answer");
    let (mut by_hand, reply) = through_proxy(&running, "203.0.113.8").await;
    assert!(reply.starts_with("421 4.7.0 "), "a 554 would leave the session to the proxy: {reply}");
    assert!(by_hand.closed().await);
    let (_, reply) = through_proxy(&running, "203.0.113.9").await;
    assert!(reply.starts_with("220 "), "others are served: {reply}");
}

/// A session through the proxy for this client; what its XCLIENT is answered with.
async fn through_proxy(running: &Running, client: &str) -> (Talk, String) {
    let mut talk = Talk::hello(running.address).await;
    let reply = talk.say(&format!("XCLIENT ADDR={client}")).await;
    (talk, reply)
}

#[tokio::test]
async fn connections_through_xclient_count_for_the_clients_and_not_for_the_proxy() {
    let running = strict(|settings| {
        settings.proxies.xclient = vec!["127.0.0.1".parse().expect("a network")];
        settings.limits.connections_per_address = 1;
        settings.abuse.rates.connections = per_hour(20);
        // The proxy says EHLO in each of its connections.
        settings.abuse.rates.commands = per_hour(20);
    })
    .await;
    let mut open = Vec::new();
    for network in 1..=25 {
        let (talk, reply) = through_proxy(&running, &format!("10.0.{network}.1")).await;
        assert!(reply.starts_with("220 "), "{network}: {reply}");
        open.push(talk);
    }
    let (mut second, reply) = through_proxy(&running, "10.0.1.1").await;
    assert_eq!(reply, "421 4.7.0 Error: too many connections from your address");
    assert!(second.closed().await);
    let mut first = open.remove(0);
    assert!(first.say("QUIT").await.starts_with("221 "));
    assert!(first.closed().await);
    drop(first);
    // Its place is free as soon as the server has done with it.
    for _ in 0..15 {
        let (_talk, reply) = through_proxy(&running, "10.0.1.1").await;
        if reply.starts_with("220 ") {
            return;
        }
        assert_eq!(reply, "421 4.7.0 Error: too many connections from your address");
    }
    panic!("the place stays taken");
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
