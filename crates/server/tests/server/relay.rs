//! Tricks to make a server pass mail on to strangers, over TCP: none may work.
//!
//! Each stands with what must become of it and why. Every recipient that is accepted must end in a mailbox here, and nothing may be queued for
//! another server.

use crate::common::{Running, Talk, only_message, start};
use posthaste_server::route::{Pattern, Route, Routes};
use posthaste_server::settings::{Acceptance, Relay};
use std::collections::BTreeMap;

/// What must become of a recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Refused with this code and enhanced status.
    Refused(&'static str),
    /// In the mailbox of this account.
    Local(&'static str),
    /// Passed on.
    Onward,
}

use Fate::{Local, Onward, Refused};

const RELAY: Fate = Refused("550 5.7.1");
const UNKNOWN: Fate = Refused("550 5.1.1");
const SYNTAX: Fate = Refused("501 5.5.4");
const BOB: Fate = Local("bob@inside.example");

/// What stands in `RCPT TO:<...>`, and what must become of it.
const TRICKS: &[(&str, Fate, &str)] = &[
    ("eve@outside.example", RELAY, "a stranger, asked for plainly"),
    ("eve@OUTSIDE.EXAMPLE", RELAY, "in capitals"),
    ("eve@outside.example.", SYNTAX, "a trailing dot is not in the grammar of a domain"),
    ("bob@inside.example.", SYNTAX, "nor is it for our own"),
    ("eve%outside.example@inside.example", UNKNOWN, "the % hack: a local part like any other"),
    (
        "eve%outside.example@mx.example",
        RELAY,
        "the % hack through the host's name, which is no domain of ours",
    ),
    ("eve%outside.example%inside.example@inside.example", UNKNOWN, "the % hack twice"),
    ("eve%outside.example", SYNTAX, "no @ at all"),
    ("outside.example!eve@inside.example", UNKNOWN, "a UUCP path is a local part like any other"),
    ("outside.example!eve", SYNTAX, "a bare UUCP path"),
    ("inside.example!outside.example!eve@inside.example", UNKNOWN, "a longer one"),
    ("eve!outside.example%mx.example@inside.example", UNKNOWN, "both at once"),
    ("eve@outside.example@inside.example", SYNTAX, "two @: the first @ ends the local part"),
    ("bob@inside.example@outside.example", SYNTAX, "two @, the other way round"),
    ("\"eve@outside.example\"@inside.example", UNKNOWN, "quoted, the inner @ belongs to the local part"),
    ("\"eve@outside.example\"", SYNTAX, "a quoted local part without a domain"),
    ("\"bob\"@inside.example", BOB, "needless quotes mean the same mailbox (RFC 5321 §4.1.2)"),
    ("\"b\\ob\"@inside.example", BOB, "and so do needless backslashes"),
    ("\"\\\"eve\\\"@outside.example\"@inside.example", UNKNOWN, "quotes within quotes"),
    ("\"bob\"\"@outside.example\"@inside.example", SYNTAX, "two quoted strings are no local part"),
    ("\"bob\\\"@outside.example", SYNTAX, "the quoted pair hides the end of the quotes"),
    ("\"eve%outside.example\"@inside.example", UNKNOWN, "the % hack, quoted"),
    ("\"eve\"%outside.example@inside.example", SYNTAX, "quoted in part"),
    ("\" eve@outside.example\"@inside.example", UNKNOWN, "a space in the quotes"),
    ("\"\"@inside.example", UNKNOWN, "the empty name, quoted, is a name (RFC 5321 §4.1.2)"),
    (
        "@inside.example:eve@outside.example",
        RELAY,
        "a source route through us: it is dropped, and what is left is a stranger",
    ),
    (
        "@outside.example:bob@inside.example",
        BOB,
        "a source route through a stranger to us: dropped (Appendix C)",
    ),
    ("@outside.example,@inside.example:eve@outside.example", RELAY, "a longer one"),
    ("@inside.example", SYNTAX, "a route to nobody"),
    ("inside.example:eve@outside.example", SYNTAX, "a route without its @"),
    ("eve@[127.0.0.1]", UNKNOWN, "this host's own literal means our domain, where there is no eve"),
    ("bob@[127.0.0.1]", BOB, "and where bob is"),
    ("eve@[192.0.2.1]", RELAY, "another host's literal"),
    ("eve@[IPv6:2001:db8::1]", RELAY, "one of IPv6"),
    (
        "bob@[IPv6:::ffff:127.0.0.1]",
        RELAY,
        "our address as IPv6, on a connection over IPv4: not what was connected to",
    ),
    ("bob@[127.0.0.2]", RELAY, "another address of the same network is not ours"),
    ("bob@[127.1]", SYNTAX, "a short form of an address is none"),
    ("bob@[0x7f000001]", SYNTAX, "nor is a hexadecimal one"),
    ("bob@127.0.0.1", RELAY, "without brackets it is a domain, and not ours"),
    ("bob@[inside.example]", SYNTAX, "a name in brackets is no literal"),
    ("eve@localhost", RELAY, "localhost is not ours either"),
    ("eve", SYNTAX, "a name without a domain"),
    ("eve@", SYNTAX, "an empty domain"),
    ("@", SYNTAX, "nothing but an @"),
    ("", SYNTAX, "the null path is for senders only"),
    ("bob@.inside.example", SYNTAX, "an empty label before"),
    ("bob@inside..example", SYNTAX, "an empty label within"),
    ("bob@sub.inside.example", RELAY, "a domain below ours is not ours"),
    ("bob@inside.example.outside.example", RELAY, "ours as the beginning of a stranger's"),
    ("bob@outside-inside.example", RELAY, "ours as the end of a stranger's"),
    ("bob@example", RELAY, "the domain above ours"),
    ("bob@inside_example", RELAY, "a character that stands for any in some tables"),
    ("bob@*", SYNTAX, "a pattern"),
    ("*@inside.example", UNKNOWN, "a pattern for everybody here is a name like any other"),
    ("bob@inside.example/outside.example", SYNTAX, "a slash"),
    (
        "bob@inside.example outside.example",
        SYNTAX,
        "a space after our domain: what follows is a parameter that is none",
    ),
    ("bob@inside.example>,<eve@outside.example", SYNTAX, "two paths in one"),
    ("bob@inside.example;eve@outside.example", SYNTAX, "a list"),
    ("bob@inside.example,eve@outside.example", SYNTAX, "another list"),
    ("bob@inside.example(eve@outside.example)", SYNTAX, "a comment, which only header fields have"),
    ("eve@outside.example(bob@inside.example)", SYNTAX, "the other way round"),
    ("<eve@outside.example>", SYNTAX, "brackets in brackets"),
    ("bob+eve@outside.example", RELAY, "a tag does not change the domain"),
    ("bob+eve%outside.example@inside.example", BOB, "a tag with a % in it is still a tag"),
    ("bob+@outside.example@inside.example", SYNTAX, "nor does it hide an @"),
    ("postmaster@outside.example", RELAY, "postmaster of a stranger"),
    ("postmaster%outside.example@inside.example", UNKNOWN, "postmaster and the % hack"),
    ("postmaster+eve@outside.example", RELAY, "postmaster with a tag, of a stranger"),
    ("\"postmaster@outside.example\"@inside.example", UNKNOWN, "postmaster, quoted with its @"),
    ("Postmaster", Local("postmaster@inside.example"), "postmaster alone is ours (RFC 5321 §4.1.1.3)"),
    ("POSTMASTER@INSIDE.EXAMPLE", Local("postmaster@inside.example"), "in any case of letters (§4.5.1)"),
    ("postmaster@mx.example", Local("postmaster@inside.example"), "our reports come from there"),
    ("bob@mx.example", RELAY, "the host's own name is no domain of ours with a list of domains"),
    ("=?utf-8?q?eve=40outside.example?=@inside.example", UNKNOWN, "an encoded word means nothing in a path"),
    ("eve=40outside.example@inside.example", UNKNOWN, "quoted-printable means nothing in a path"),
    ("eve+40outside.example@inside.example", UNKNOWN, "xtext means nothing in a path"),
    ("eve&#64;outside.example", SYNTAX, "neither does HTML"),
    ("bob@inside.example\t", Refused("500 5.5.2"), "a tab is no part of a command"),
    ("bob@xn--inside-.example", SYNTAX, "a label that is no A-label and may not end so"),
];

/// What stands in `RCPT TO:<...>` of a transaction with SMTPUTF8.
const TRICKS_UTF8: &[(&str, Fate, &str)] = &[
    ("bob@insíde.example", RELAY, "a letter that looks like ours"),
    ("bob@іnside.example", RELAY, "a Cyrillic letter that looks the same as ours"),
    ("bob@ＩＮＳＩＤＥ.example", BOB, "wide letters are mapped (UTS #46): this is our domain"),
    ("bob@inside．example", BOB, "and so is the wide full stop"),
    ("eve＠outside.example@inside.example", UNKNOWN, "a wide @ is a letter of the local part"),
    ("eve@outside。example", RELAY, "the ideographic full stop is a dot, of a stranger"),
    ("bоb@inside.example", UNKNOWN, "a Cyrillic o is not bob"),
    ("eve％outside.example@inside.example", UNKNOWN, "a wide % is a letter"),
];

/// What stands in `RCPT TO:<...>` for a server that takes mail for behind.example from everybody, to pass it on.
const TRICKS_GATEWAY: &[(&str, Fate, &str)] = &[
    ("eve@behind.example", Onward, "what it is there for"),
    ("eve@BEHIND.example", Onward, "in capitals"),
    ("postmaster@behind.example", Onward, "its postmaster is there, not here"),
    ("@outside.example:eve@behind.example", Onward, "a source route is dropped"),
    ("@behind.example:eve@outside.example", RELAY, "a source route through it as well"),
    (
        "eve%outside.example@behind.example",
        RELAY,
        "the % hack: the host behind us may trust us, and follow it",
    ),
    ("outside.example!eve@behind.example", RELAY, "a UUCP path, for the same reason"),
    ("\"eve@outside.example\"@behind.example", RELAY, "a quoted @"),
    ("\"@outside.example:eve\"@behind.example", RELAY, "a quoted source route"),
    ("eve@sub.behind.example", RELAY, "a domain below it has not been named"),
    ("eve@outside-behind.example", RELAY, "nor has one that ends like it"),
    ("eve@behind.example.outside.example", RELAY, "nor one that begins like it"),
    ("eve@example", RELAY, "nor the one above"),
    ("eve@smart.example", RELAY, "a route alone lets nobody in"),
    ("eve@[192.0.2.1]", RELAY, "a literal is no domain"),
    ("eve%behind.example@inside.example", UNKNOWN, "the % hack through our own domain"),
    ("out@inside.example", Refused("550 5.1.1"), "nobody here"),
];

/// A server that passes mail for behind.example on, and has routes for others.
async fn gateway() -> Running {
    start(|settings| {
        let domain = |name: &str| smtp::Domain::parse(name).expect("a domain");
        let domains = vec![domain("inside.example"), domain("also.example")];
        settings.acceptance = Acceptance::Domains { domains, postmaster: None };
        settings.accounts = vec![store::AccountName::of(&"bob@inside.example".parse().expect("an address"))];
        settings.limits.errors = 1000;
        // Whatever is passed on by mistake must not leave this machine.
        let routes = Routes::new(vec![
            (Pattern::Domain(domain("behind.example")), Route::Discard),
            (Pattern::Domain(domain("smart.example")), Route::Discard),
            (Pattern::Any, Route::Discard),
        ]);
        settings.relay = Some(Relay { routes, accepted: vec![domain("behind.example")], ..Relay::default() });
    })
    .await
}

async fn server() -> Running {
    start(|settings| {
        let domain = |name: &str| smtp::Domain::parse(name).expect("a domain");
        let domains = vec![domain("inside.example"), domain("also.example")];
        settings.acceptance = Acceptance::Domains { domains, postmaster: None };
        settings.accounts = vec![store::AccountName::of(&"bob@inside.example".parse().expect("an address"))];
        settings.limits.errors = 1000;
    })
    .await
}

/// Tries each one in a transaction of its own, and says what differs from what must be.
async fn try_all(
    talk: &mut Talk,
    tricks: &[(&str, Fate, &str)],
    mail: &str,
    arrived: &mut BTreeMap<String, usize>,
) {
    let mut faults = Vec::new();
    for (path, fate, why) in tricks {
        let reply = talk.say(mail).await;
        assert!(reply.starts_with("250 "), "{mail}: {reply}");
        let reply = talk.say(&format!("RCPT TO:<{path}>")).await;
        match *fate {
            Refused(code) if reply.starts_with(code) => {}
            Local(account) if reply.starts_with("250 ") => {
                assert!(talk.say("DATA").await.starts_with("354 "));
                talk.send(b"Subject: x\r\n\r\nx\r\n.\r\n").await;
                assert!(talk.reply().await.starts_with("250 "), "{path}");
                *arrived.entry(account.to_owned()).or_default() += 1;
            }
            Onward if reply.starts_with("250 ") => {}
            _ => faults.push(format!("<{path}> ({why}): should be {fate:?}, was answered {reply}")),
        }
        talk.say("RSET").await;
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// Nothing is to be sent on, and what arrived is where it should be and nowhere else.
async fn assert_only(running: &Running, arrived: &BTreeMap<String, usize>) {
    assert_eq!(
        running.store.next_due().await.expect("an answer"),
        None,
        "something is queued for another server"
    );
    let mut found = BTreeMap::new();
    for account in running.store.accounts().await.expect("accounts") {
        let inbox =
            running.store.mailbox(&account.name, &store::MailboxName::inbox()).await.expect("an INBOX");
        if inbox.messages > 0 {
            found.insert(account.name.to_string(), inbox.messages as usize);
        }
    }
    assert_eq!(&found, arrived);
}

#[tokio::test]
async fn no_trick_makes_it_a_relay() {
    let running = server().await;
    let mut arrived = BTreeMap::new();
    // From a stranger, from nobody, and from somebody who says that he is one of us: the sender grants nothing.
    for sender in ["<eve@outside.example>", "<>", "<bob@inside.example>", "<postmaster@mx.example>"] {
        let mut talk = Talk::hello(running.address).await;
        try_all(&mut talk, TRICKS, &format!("MAIL FROM:{sender}"), &mut arrived).await;
        let mail = format!("MAIL FROM:{sender} SMTPUTF8");
        try_all(&mut talk, TRICKS_UTF8, &mail, &mut arrived).await;
    }
    assert_only(&running, &arrived).await;
}

#[tokio::test]
async fn a_gateway_is_open_to_the_domains_that_it_is_for_and_to_no_others() {
    let running = gateway().await;
    let mut arrived = BTreeMap::new();
    for sender in ["<eve@outside.example>", "<>", "<bob@inside.example>", "<bob@behind.example>"] {
        let mut talk = Talk::hello(running.address).await;
        let mail = format!("MAIL FROM:{sender}");
        try_all(&mut talk, TRICKS, &mail, &mut arrived).await;
        try_all(&mut talk, TRICKS_GATEWAY, &mail, &mut arrived).await;
        try_all(&mut talk, TRICKS_UTF8, &format!("{mail} SMTPUTF8"), &mut arrived).await;
    }
    assert_only(&running, &arrived).await;
}

#[tokio::test]
async fn saying_that_one_is_this_host_grants_nothing() {
    let running = server().await;
    for hello in ["EHLO mx.example", "EHLO localhost", "EHLO [127.0.0.1]", "HELO inside.example"] {
        let mut talk = Talk::hello(running.address).await;
        assert!(talk.say(hello).await.starts_with("250"), "{hello}");
        talk.say("MAIL FROM:<bob@inside.example>").await;
        let reply = talk.say("RCPT TO:<eve@outside.example>").await;
        assert!(reply.starts_with("550 5.7.1 "), "{hello}: {reply}");
        let reply = talk.say("RCPT TO:<eve@outside.example> ORCPT=rfc822;bob@inside.example").await;
        assert!(reply.starts_with("550 5.7.1 "), "ORCPT names no recipient: {reply}");
        assert!(talk.say("DATA").await.starts_with("554 "));
    }
    assert_only(&running, &BTreeMap::new()).await;
}

#[tokio::test]
async fn a_stranger_among_our_own_gets_nothing() {
    let running = server().await;
    let mut talk = Talk::hello(running.address).await;
    talk.say("MAIL FROM:<eve@outside.example>").await;
    assert!(talk.say("RCPT TO:<bob@inside.example>").await.starts_with("250 "));
    assert!(talk.say("RCPT TO:<eve@outside.example>").await.starts_with("550 5.7.1 "));
    talk.say("DATA").await;
    talk.send(b"To: eve@outside.example\r\nBcc: eve@outside.example\r\n\r\nx\r\n.\r\n").await;
    assert!(talk.reply().await.starts_with("250 "));
    only_message(&running.store, "bob@inside.example").await;
    assert_only(&running, &BTreeMap::from([("bob@inside.example".to_owned(), 1)])).await;
}
