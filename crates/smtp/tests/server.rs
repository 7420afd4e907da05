//! The server endpoint where a transcript cannot look: the order of steps, time, memory, and the
//! application's own mistakes.

use bytes::Bytes;
use smtp::server::{Abort, Closing, Config, Event, Server};
use smtp::{Protocol, Reply, replies};
use std::sync::Arc;
use std::time::{Duration, Instant};
use wire::{Endpoint, Step};

const MINUTE: Duration = Duration::from_secs(60);

/// What happened between two waits.
#[derive(Debug, Default, PartialEq)]
struct Turn {
    sent: Vec<String>,
    events: Vec<Event>,
    closed: bool,
    until: Option<Instant>,
}

/// A server and an application that accepts everything.
struct Peer {
    server: Server,
    now: Instant,
}

impl Peer {
    fn new(config: Config) -> Peer {
        Peer { server: Server::new(Arc::new(config)), now: Instant::now() }
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
                Step::Send(bytes) => {
                    turn.sent.push(String::from_utf8(bytes.to_vec()).expect("replies are ASCII"))
                }
                Step::Event(event) => {
                    if let Some(reply) = acceptance(&event) {
                        self.server.reply(reply);
                    }
                    turn.events.push(event);
                }
                Step::StartTls => panic!("nobody asked for TLS"),
                Step::Wait(until) => {
                    turn.until = Some(until);
                    return turn;
                }
                Step::Close => {
                    turn.closed = true;
                    return turn;
                }
            }
        }
    }
}

fn acceptance(event: &Event) -> Option<Reply> {
    match event {
        Event::Hello(_) => Some(replies::OK.with_text("mx.example at your service")),
        Event::Mail(_) => Some(replies::SENDER_OK),
        Event::Rcpt(_) => Some(replies::RECIPIENT_OK),
        Event::End => Some(replies::queued(1)),
        Event::Auth(_) | Event::AuthResponse(_) => Some(replies::AUTH_SUCCEEDED),
        Event::XClient(_) => Some(replies::OK),
        Event::Secured | Event::AuthCancelled(_) | Event::Content(_) | Event::Abort(_) => None,
        Event::Refused { .. } | Event::Closing(_) => None,
    }
}

fn config() -> Config {
    Config::new("mx.example")
}

#[test]
fn a_whole_session_works() {
    let mut peer = Peer::new(config());
    assert_eq!(peer.turn().sent, ["220 mx.example ESMTP\r\n"]);
    let hello = peer.say("EHLO client.example\r\n");
    assert!(hello.sent[0].starts_with("250-mx.example at your service\r\n250-PIPELINING\r\n"));
    let envelope = peer.say("MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n");
    assert_eq!(
        envelope.sent,
        ["250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 End data with <CR><LF>.<CR><LF>\r\n"],
        "the replies to a pipelined group are one send"
    );
    let content = peer.say("Subject: x\r\n\r\n..dot\r\n.\r\nQUIT\r\n");
    assert_eq!(content.sent, ["250 2.0.0 Ok: queued as 1\r\n221 2.0.0 Bye\r\n"]);
    assert_eq!(
        content.events,
        [
            Event::Content(Bytes::from_static(b"Subject: x\r\n\r\n.dot\r\n")),
            Event::End,
            Event::Closing(Closing::Quit)
        ]
    );
    assert!(content.closed);
    assert_eq!(peer.server.step(peer.now), Step::Close, "closed stays closed");
}

#[test]
fn no_event_follows_one_that_is_not_answered() {
    let mut server = Server::new(Arc::new(config()));
    let now = Instant::now();
    assert!(matches!(server.step(now), Step::Send(_)));
    server.receive(b"EHLO client.example\r\nQUIT\r\n");
    assert!(matches!(server.step(now), Step::Event(Event::Hello(_))));
    assert!(matches!(server.step(now), Step::Wait(_)));
    assert!(matches!(server.step(now), Step::Wait(_)));
    server.reply(replies::OK.with_text("mx.example"));
    assert_eq!(server.step(now), Step::Event(Event::Closing(Closing::Quit)));
}

#[test]
fn a_command_must_come_whole_in_time() {
    let mut peer = Peer::greeted(config());
    let until = peer.say("NOOP\r\n").until;
    assert_eq!(until, Some(peer.now + 5 * MINUTE));
    // An octet now and then does not help.
    for _ in 0..4 {
        peer.now += MINUTE;
        assert_eq!(peer.say("X").until, until);
    }
    peer.now += MINUTE;
    let turn = peer.say("X");
    assert_eq!(turn.sent, ["421 4.4.2 Error: timeout, closing\r\n"]);
    assert_eq!(turn.events, [Event::Closing(Closing::TimedOut)]);
    assert!(turn.closed);
}

#[test]
fn content_that_stalls_or_drips_ends() {
    let mut peer = Peer::greeted(config());
    peer.say("MAIL FROM:<>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n");
    peer.now += 4 * MINUTE;
    // Half a minute's worth of content leaves one minute and a half.
    let until = peer.say(&"x".repeat(15_000)).until;
    assert_eq!(until, Some(peer.now + Duration::from_secs(90)));
    // However much comes at once, it is never more than the idle timeout.
    let until = peer.say(&"x".repeat(600_000)).until;
    assert_eq!(until, Some(peer.now + 5 * MINUTE));
    peer.now += 5 * MINUTE;
    let turn = peer.turn();
    assert_eq!(turn.sent, ["421 4.4.2 Error: timeout, closing\r\n"]);
    assert_eq!(turn.events, [Event::Abort(Abort::TimedOut), Event::Closing(Closing::TimedOut)]);
}

#[test]
fn many_pipelined_commands_are_answered_in_bounded_sends() {
    let mut peer = Peer::greeted(config());
    peer.say("MAIL FROM:<>\r\n");
    let turn = peer.say(&"RCPT TO:<c@d.example>\r\n".repeat(1000));
    assert_eq!(turn.sent.concat(), "250 2.1.5 Ok\r\n".repeat(1000));
    assert!(turn.sent.iter().all(|sent| sent.len() < 5000));
}

#[test]
fn shutting_down_waits_for_the_transaction() {
    let mut peer = Peer::greeted(config());
    peer.say("MAIL FROM:<>\r\nRCPT TO:<c@d.example>\r\n");
    peer.server.shut_down(replies::SHUTTING_DOWN);
    assert!(peer.server.in_transaction());
    assert_eq!(peer.turn().sent, [""; 0]);
    assert_eq!(peer.say("DATA\r\n").sent.len(), 1);
    let turn = peer.say("x\r\n.\r\nMAIL FROM:<>\r\n");
    assert_eq!(
        turn.sent,
        ["250 2.0.0 Ok: queued as 1\r\n421 4.3.2 Service shutting down, try again later\r\n"]
    );
    assert_eq!(turn.events.last(), Some(&Event::Closing(Closing::ShutDown)));
    assert!(turn.closed);
}

#[test]
fn what_is_cut_ends_in_the_middle_of_a_transaction() {
    for content in ["", "DATA\r\nhalf a mess", "BDAT 10\r\nhalf"] {
        let mut peer = Peer::greeted(config());
        peer.say("MAIL FROM:<>\r\nRCPT TO:<c@d.example>\r\n");
        peer.say(content);
        peer.server.shut_down(replies::SHUTTING_DOWN);
        assert!(!peer.turn().closed);
        peer.server.cut(replies::SHUTTING_DOWN);
        let turn = peer.turn();
        assert_eq!(turn.sent, ["421 4.3.2 Service shutting down, try again later\r\n"], "{content}");
        let ends = [Event::Abort(Abort::Refused(replies::SHUTTING_DOWN)), Event::Closing(Closing::ShutDown)];
        assert_eq!(turn.events, ends, "{content}");
        assert!(turn.closed);
    }
}

#[test]
fn shutting_down_ends_an_idle_connection_at_once() {
    let mut peer = Peer::greeted(config());
    peer.server.shut_down(replies::SHUTTING_DOWN);
    let turn = peer.turn();
    assert_eq!(turn.sent, ["421 4.3.2 Service shutting down, try again later\r\n"]);
    assert!(turn.closed);
    let mut new = Peer::new(config());
    new.server.shut_down(replies::SHUTTING_DOWN);
    assert_eq!(new.turn().sent, ["421 4.3.2 Service shutting down, try again later\r\n"]);
}

#[test]
fn a_refused_connection_hears_why_in_place_of_the_greeting() {
    let mut peer = Peer {
        server: Server::refuse(Arc::new(config()), replies::TOO_MANY_CONNECTIONS),
        now: Instant::now(),
    };
    let turn = peer.turn();
    assert_eq!(turn.sent, ["421 4.7.0 Error: too many connections\r\n"]);
    assert_eq!(turn.events, [Event::Closing(Closing::Refused)]);
    assert!(turn.closed);
}

#[test]
fn a_peer_that_only_closed_its_sending_side_still_gets_its_replies() {
    let mut peer = Peer::greeted(config());
    peer.server.receive(b"NOOP\r\nMAIL FROM:<>\r\nRCP");
    peer.server.receive_end();
    let turn = peer.turn();
    assert_eq!(turn.sent, ["250 2.0.0 Ok\r\n250 2.1.0 Ok\r\n"]);
    assert_eq!(turn.events[1..], [Event::Abort(Abort::Disconnected), Event::Closing(Closing::Disconnected)]);
    assert!(turn.closed);
}

#[test]
fn the_reply_421_of_the_application_closes() {
    let mut server = Server::new(Arc::new(config()));
    let now = Instant::now();
    server.step(now);
    server.receive(b"EHLO client.example\r\n");
    assert!(matches!(server.step(now), Step::Event(Event::Hello(_))));
    server.reply(replies::TOO_MANY_CONNECTIONS);
    assert_eq!(server.step(now), Step::Event(Event::Closing(Closing::Refused)));
    assert_eq!(server.step(now), Step::Send(Bytes::from_static(b"421 Error: too many connections\r\n")));
    assert_eq!(server.step(now), Step::Close);
}

#[test]
fn lmtp_answers_for_each_recipient() {
    let mut peer = Peer::new(Config { protocol: Protocol::Lmtp, ..config() });
    assert_eq!(peer.turn().sent, ["220 mx.example LMTP\r\n"]);
    peer.say(
        "LHLO client.example\r\nMAIL FROM:<>\r\nRCPT TO:<c@d.example>\r\nRCPT TO:<e@f.example>\r\nDATA\r\n",
    );
    peer.server.receive(b"x\r\n.\r\n");
    while peer.server.step(peer.now) != Step::Event(Event::End) {}
    peer.server.reply_each(vec![replies::queued(7), replies::STORAGE_FULL]);
    assert_eq!(
        peer.turn().sent,
        ["250 2.0.0 Ok: queued as 7\r\n452 4.3.1 Insufficient storage for the message, try again later\r\n"]
    );
    assert!(!peer.server.in_transaction());
}
