//! The server's STARTTLS, AUTH and XCLIENT where a transcript cannot look: what stands in one piece, the driver's part,
//! exact octets, what is kept of a peer.

use smtp::server::{AuthOffer, Closing, Config, Event, MailNeeds, Server, StartTls};
use smtp::xclient::Attribute;
use smtp::{InClear, SaslMessage, replies};
use std::sync::Arc;
use std::time::{Duration, Instant};
use wire::{Endpoint, Step};

/// What happened between two waits.
#[derive(Debug, Default)]
struct Turn {
    sent: String,
    events: Vec<Event>,
    starts_tls: bool,
    closed: bool,
}

struct Peer {
    server: Server,
    now: Instant,
    /// The challenges that the application has for the exchange in hand.
    challenges: Vec<Vec<u8>>,
}

impl Peer {
    fn new(config: Config) -> Peer {
        Peer { server: Server::new(Arc::new(config)), now: Instant::now(), challenges: Vec::new() }
    }

    fn greeted(config: Config) -> Peer {
        let mut peer = Peer::new(config);
        peer.turn();
        peer.say("EHLO client.example\r\n");
        peer
    }

    fn say(&mut self, text: &str) -> Turn {
        self.server.receive(text.as_bytes());
        self.turn()
    }

    fn turn(&mut self) -> Turn {
        let mut turn = Turn::default();
        loop {
            match self.server.step(self.now) {
                Step::Send(bytes) => turn.sent.push_str(&String::from_utf8_lossy(&bytes)),
                Step::Event(event) => {
                    self.answer(&event);
                    turn.events.push(event);
                }
                Step::StartTls => {
                    turn.starts_tls = true;
                    return turn;
                }
                Step::Wait(_) => return turn,
                Step::Close => {
                    turn.closed = true;
                    return turn;
                }
            }
        }
    }

    fn answer(&mut self, event: &Event) {
        match event {
            Event::Hello(_) => self.server.reply(replies::OK.with_text("mx.example")),
            Event::Auth(_) | Event::AuthResponse(_) => match self.challenges.pop() {
                Some(challenge) => self.server.challenge(&challenge),
                None => self.server.reply(replies::AUTH_SUCCEEDED),
            },
            Event::XClient(_) => {
                self.server.reply(replies::OK);
                self.server.trust_login();
            }
            Event::Mail(_) => self.server.reply(replies::SENDER_OK),
            _ => {}
        }
    }
}

fn submission() -> Config {
    Config {
        starttls: StartTls::Offered,
        auth: AuthOffer { mechanisms: vec!["PLAIN".to_owned()], in_clear: InClear::Refuse },
        mail_needs: MailNeeds::Authentication,
        ..Config::new("mx.example")
    }
}

#[test]
fn a_command_that_stands_behind_starttls_is_never_obeyed() {
    // CVE-2011-0411: what an attacker put behind STARTTLS must not be taken for something that came under TLS.
    for smuggled in ["RSET\r\n", "EHLO x\r\nAUTH PLAIN AGEAYg==\r\n", "\0", "\r\n"] {
        let mut peer = Peer::greeted(submission());
        let turn = peer.say(&format!("STARTTLS\r\n{smuggled}"));
        assert_eq!(turn.sent, "554 5.5.0 Error: nothing may follow STARTTLS before TLS is on, closing\r\n");
        let refused = Event::Refused { line: b"STARTTLS"[..].into(), reply: replies::PIPELINED_STARTTLS };
        assert_eq!(turn.events, [refused, Event::Closing(Closing::Refused)]);
        assert!(turn.closed && !turn.starts_tls);
    }
}

#[test]
fn starttls_may_come_before_a_hello() {
    // GNU SASL's gsasl begins so. After it, mail needs a hello as always.
    let mut peer = Peer::new(submission());
    peer.turn();
    assert!(peer.say("STARTTLS\r\n").starts_tls);
    peer.server.secured();
    peer.turn();
    assert!(peer.say("MAIL FROM:<a@b.example>\r\n").sent.starts_with("503 5.5.1 "));
    assert!(peer.say("EHLO client.example\r\n").sent.contains("250 AUTH PLAIN\r\n"));
}

#[test]
fn the_log_is_not_told_what_follows_auth_however_that_is_written() {
    for line in [
        "AUTH PLAIN AGEAYg==",
        " AUTH PLAIN AGEAYg==",
        "AUTH\tPLAIN\tAGEAYg==",
        "AUTH=PLAIN AGEAYg==",
        "auht PLAIN AGEAYg==",
    ] {
        let mut peer = Peer::greeted(Config { auth: AuthOffer::default(), ..submission() });
        let turn = peer.say(&format!("{line}\r\n"));
        let [Event::Refused { line: told, .. }] = &turn.events[..] else {
            panic!("{line:?}: {:?}", turn.events)
        };
        assert!(!told.windows(4).any(|part| part == b"AGEA"), "{line:?}: {told:?}");
    }
}

#[test]
fn what_comes_in_clear_before_tls_is_on_is_thrown_away() {
    let mut peer = Peer::greeted(submission());
    let turn = peer.say("STARTTLS\r\n");
    assert_eq!(turn.sent, "220 2.0.0 Ready to start TLS\r\n");
    assert!(turn.starts_tls, "the 220 is sent before TLS starts");
    assert!(!peer.server.is_secured(), "TLS is on when the driver says so");
    peer.server.receive(b"EHLO smuggled.example\r\nMAIL FROM:<a@b.example>\r\n");
    assert_eq!(peer.server.buffered(), 0);
    peer.server.secured();
    let turn = peer.turn();
    assert_eq!((turn.sent.as_str(), turn.events), ("", vec![Event::Secured]));
    assert!(peer.server.is_secured());
    assert_eq!(peer.server.hello_name(), None);
    assert!(peer.say("NOOP\r\n").sent.starts_with("250 "));
}

#[test]
fn a_handshake_that_fails_ends_the_session_without_a_word() {
    let mut peer = Peer::greeted(submission());
    assert!(peer.say("STARTTLS\r\n").starts_tls);
    assert!(!peer.turn().starts_tls, "TLS is started once");
    peer.server.receive_end();
    let turn = peer.turn();
    assert_eq!((turn.sent.as_str(), turn.events), ("", vec![Event::Closing(Closing::Disconnected)]));

    let mut peer = Peer::greeted(submission());
    peer.say("STARTTLS\r\n");
    peer.now += Duration::from_secs(300);
    let turn = peer.turn();
    assert_eq!((turn.sent.as_str(), turn.events), ("", vec![Event::Closing(Closing::TimedOut)]));
}

#[test]
fn a_stop_waits_for_the_handshake() {
    let mut peer = Peer::greeted(submission());
    assert!(peer.say("STARTTLS\r\n").starts_tls);
    peer.server.shut_down(replies::SHUTTING_DOWN);
    assert_eq!(peer.turn().sent, "", "nobody would understand it");
    peer.server.secured();
    let turn = peer.turn();
    assert_eq!(turn.events, [Event::Secured, Event::Closing(Closing::ShutDown)]);
    assert!(turn.sent.starts_with("421 "));
}

#[test]
fn tls_before_the_protocol_changes_nothing_but_what_is_offered() {
    let mut peer = Peer::new(submission());
    peer.server.secured();
    let turn = peer.turn();
    assert_eq!((turn.sent.as_str(), turn.events.len()), ("220 mx.example ESMTP\r\n", 0));
    let hello = peer.say("EHLO client.example\r\n").sent;
    assert!(hello.contains("250 AUTH PLAIN\r\n") && !hello.contains("STARTTLS"), "{hello}");
}

#[test]
fn a_challenge_is_one_line_however_long() {
    let config = Config {
        auth: AuthOffer { mechanisms: vec!["X-LONG".to_owned()], in_clear: InClear::Allow },
        ..Config::new("mx.example")
    };
    let mut peer = Peer::greeted(config);
    let long = vec![7; 9000];
    peer.challenges = vec![long.clone(), Vec::new()];
    assert_eq!(peer.say("AUTH X-LONG\r\n").sent, "334 \r\n", "the space belongs to an empty challenge");
    let challenge = SaslMessage::from(long).to_base64();
    assert_eq!(peer.say("\r\n").sent, format!("334 {challenge}\r\n"));
    assert_eq!(peer.say("YQ==\r\n").sent, "235 2.7.0 Authentication successful\r\n");
    assert!(peer.server.is_authenticated());
}

#[test]
fn a_response_may_come_with_the_command_before_it() {
    // It may not (RFC 4954 §4 has the client wait), but what a client sends too early is no attack: it is the client's
    // own password under the client's own TLS.
    let mut peer = Peer::new(submission());
    peer.server.secured();
    peer.turn();
    peer.challenges = vec![b"Password:".to_vec(), b"Username:".to_vec()];
    let turn = peer.say("EHLO client.example\r\nAUTH PLAIN\r\nYQ==\r\nYg==\r\nMAIL FROM:<a@b.example>\r\n");
    assert!(turn.sent.ends_with(
        "334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n235 2.7.0 Authentication successful\r\n250 2.1.0 Ok\r\n"
    ));
}

#[test]
fn a_mechanism_can_be_offered_to_one_peer() {
    let mut peer = Peer::new(Config { starttls: StartTls::Offered, ..Config::new("mx.example") });
    peer.server.offer_mechanism("EXTERNAL");
    peer.server.offer_mechanism("EXTERNAL");
    peer.turn();
    let hello = peer.say("EHLO client.example\r\n").sent;
    assert!(hello.ends_with("250 STARTTLS\r\n"), "not in clear: {hello}");
    assert!(peer.say("STARTTLS\r\n").starts_tls);
    peer.server.secured();
    let hello = peer.say("EHLO client.example\r\n").sent;
    assert!(hello.ends_with("250 AUTH EXTERNAL\r\n"), "{hello}");
    let turn = peer.say("AUTH EXTERNAL =\r\n");
    assert!(matches!(&turn.events[..], [Event::Auth(auth)] if auth.initial == Some(SaslMessage::default())));
}

#[test]
fn a_proxy_lends_its_login_but_not_its_certificate() {
    let mut peer = Peer::new(submission());
    peer.server.secured();
    peer.server.offer_mechanism("EXTERNAL");
    peer.server.offer_xclient();
    peer.turn();
    let hello = peer.say("EHLO proxy.example\r\n").sent;
    assert!(hello.contains("AUTH PLAIN EXTERNAL\r\n") && hello.contains("XCLIENT NAME ADDR"), "{hello}");
    let turn = peer.say("XCLIENT LOGIN=alice\r\n");
    assert_eq!(turn.sent, "220 mx.example ESMTP\r\n");
    assert_eq!(turn.events, [Event::XClient(vec![Attribute::Login(Some("alice".to_owned()))])]);
    assert!(peer.server.is_authenticated() && peer.server.is_secured());
    let hello = peer.say("EHLO client.example\r\n").sent;
    assert!(!hello.contains("AUTH"), "nobody authenticates itself twice: {hello}");
    assert!(peer.say("MAIL FROM:<alice@mx.example>\r\n").sent.starts_with("250 "));
    peer.say("RSET\r\n");
    // The next one may be anybody.
    let mut server = peer.server;
    server.receive(b"XCLIENT LOGIN=[UNAVAILABLE]\r\n");
    assert!(matches!(server.step(peer.now), Step::Event(Event::XClient(_))));
    server.reply(replies::OK);
    assert!(!server.is_authenticated());
}

#[test]
fn an_early_talker_is_found_at_once_and_only_with_a_delay() {
    let delayed = Config { greeting_delay: Duration::from_secs(5), ..Config::new("mx.example") };
    let mut peer = Peer::new(delayed.clone());
    assert_eq!(peer.turn().sent, "");
    let turn = peer.say("E");
    assert_eq!(turn.events, [Event::Closing(Closing::EarlyTalker)]);
    assert!(turn.sent.starts_with("554 5.5.1 ") && turn.closed);

    // Who is refused anyway, or comes when the server stops, hears of that at once.
    let mut refused = Server::refuse(Arc::new(delayed.clone()), replies::TOO_MANY_CONNECTIONS);
    assert!(matches!(refused.step(Instant::now()), Step::Event(Event::Closing(Closing::Refused))));
    let mut stopping = Peer::new(delayed);
    stopping.server.shut_down(replies::SHUTTING_DOWN);
    assert!(stopping.turn().sent.starts_with("421 "));

    let mut prompt = Peer::new(Config::new("mx.example"));
    assert!(prompt.say("NOOP\r\n").sent.starts_with("220 mx.example ESMTP\r\n250 "));
}

#[test]
fn secrets_do_not_show() {
    let mut server = Server::new(Arc::new(submission()));
    server.secured();
    assert!(matches!(server.step(Instant::now()), Step::Send(_)));
    server.receive(b"EHLO x\r\nAUTH PLAIN c2VjcmV0\r\nc2VjcmV0\r\n");
    let mut shown = String::new();
    while let step @ (Step::Send(_) | Step::Event(_)) = server.step(Instant::now()) {
        shown += &format!("{step:?} {server:?}\n");
        match step {
            Step::Event(Event::Hello(_)) => server.reply(replies::OK.with_text("mx.example")),
            Step::Event(Event::Auth(_)) => server.challenge(b""),
            Step::Event(Event::AuthResponse(_)) => server.reply(replies::AUTH_FAILED),
            _ => {}
        }
    }
    assert!(shown.contains("AuthResponse"), "{shown}");
    assert!(!shown.contains("c2VjcmV0") && !shown.contains("secret"), "{shown}");
    let command = smtp::Command::parse(b"AUTH PLAIN c2VjcmV0").expect("a command");
    assert!(!format!("{command:?}").contains("c2VjcmV0"));
}

#[test]
fn a_session_that_waits_is_small() {
    // What is rare, or lasts only for a command, is not kept in every session.
    assert!(size_of::<Server>() <= 256, "{} octets", size_of::<Server>());
}
