//! The POP3 server endpoint: any octets, decisions of any kind, in any cut.

use crate::Random;
use pop3::server::{Config, Event, Message, Server, Stls};
use pop3::{Reply, replies};
use std::sync::Arc;
use std::time::{Duration, Instant};
use wire::sasl::{AUTH_LINE_MAX, InClear};
use wire::{Endpoint, Step};

/// Feeds the server. The first octet chooses settings, the second decisions and cuts, the rest is what the peer sends.
///
/// Holds: no panic; what is buffered stays within a command line; messages are removed at QUIT alone and never twice; the end is told
/// once; and replies do not depend on how the input was cut, unless TLS was started.
pub fn pop3_server(input: &[u8]) {
    let [settings, seed, octets @ ..] = input else { return };
    let whole = observe(*settings, *seed, octets.chunks(wire::READ_MAX));
    let cut = observe(*settings, *seed, Random::new(u64::from(*seed)).cut(octets).into_iter());
    if !whole.stls && !cut.stls {
        assert_eq!(whole.said, cut.said, "replies depend on how the input was cut");
    }
}

/// What a peer sees.
#[derive(Default)]
struct Seen {
    said: Vec<u8>,
    stls: bool,
}

struct Session {
    server: Server,
    decisions: Random,
    pieces_left: usize,
    closings: usize,
    updated: bool,
    closed: bool,
    now: Instant,
    seen: Seen,
}

fn observe<'a>(settings: u8, seed: u8, pieces: impl Iterator<Item = &'a [u8]>) -> Seen {
    let config = Config {
        stls: if settings & 1 == 0 { Stls::NotOffered } else { Stls::Offered },
        mechanisms: ["PLAIN", "SCRAM-SHA-256-PLUS"].map(str::to_owned).to_vec(),
        in_clear: if settings & 2 == 0 { InClear::Allow } else { InClear::Refuse },
        max_errors: if settings & 4 == 0 { 1000 } else { 3 },
        ..Config::new("mx.example")
    };
    let mut session = Session {
        server: Server::new(Arc::new(config)),
        decisions: Random::new(u64::from(seed)),
        pieces_left: 0,
        closings: 0,
        updated: false,
        closed: false,
        now: Instant::now(),
        seen: Seen::default(),
    };
    if settings & 8 != 0 {
        // Most inputs would never get past the login.
        session.server.receive(b"AUTH PLAIN AA==\r\n");
    }
    session.drain();
    for piece in pieces {
        if session.closed {
            break;
        }
        session.server.receive(piece);
        session.drain();
    }
    if !session.closed {
        match settings & 0x10 {
            0 => session.server.receive_end(),
            _ => session.now += Duration::from_secs(601),
        }
        session.drain();
    }
    assert!(session.closed && session.closings == 1, "the end of the input, or of time, ends the connection");
    session.seen
}

impl Session {
    fn drain(&mut self) {
        loop {
            match self.server.step(self.now) {
                Step::Send(bytes) => {
                    assert!(!bytes.is_empty());
                    self.seen.said.extend_from_slice(&bytes);
                }
                Step::Event(event) => self.event(event),
                Step::StartTls => self.server.secured(),
                Step::Wait(until) => {
                    assert!(until > self.now && self.server.buffered() < AUTH_LINE_MAX);
                    return;
                }
                Step::Close => {
                    self.closed = true;
                    return;
                }
            }
        }
    }

    fn event(&mut self, event: Event) {
        assert!(self.closings == 0, "the end is the last that is told");
        match event {
            Event::Auth(_) | Event::AuthResponse(_) => {
                assert!(!self.server.is_logged_in());
                match self.decisions.below(8) {
                    0 => self.server.reply(replies::AUTH_FAILED),
                    1 => self.server.challenge(b"more"),
                    _ => self
                        .server
                        .open((1..4).map(|unique| Message { octets: unique * 10, unique }).collect()),
                }
            }
            Event::Retrieve(unique) => {
                assert!(self.server.is_logged_in() && (1..4).contains(&unique));
                self.pieces_left = self.decisions.below(4);
                match self.decisions.below(8) {
                    0 => self.server.reply(replies::GONE),
                    _ => self.server.begin(),
                }
            }
            Event::More if self.pieces_left == 0 => self.server.end_of_content(),
            Event::More => {
                self.pieces_left -= 1;
                let piece: &[u8] =
                    [&b"Subject: a\r\n\r\n.dot\r\n"[..], b".", b"\r", b"\n."][self.decisions.below(4)];
                self.server.content(piece.to_vec().into());
            }
            Event::Update { mut deleted, read } => {
                assert!(!std::mem::replace(&mut self.updated, true), "once");
                deleted.extend(read);
                let total = deleted.len();
                deleted.sort_unstable();
                deleted.dedup();
                assert!(deleted.len() == total && total <= 3, "each message has one fate");
                let reply: Reply =
                    if self.decisions.below(2) == 0 { replies::BYE } else { replies::NOT_REMOVED };
                self.server.reply(reply);
            }
            Event::Refused { line, .. } => {
                self.seen.stls |= line.as_ref() == b"STLS";
                assert!(
                    self.server.is_logged_in() || !line.starts_with(b"PASS "),
                    "a password is in the log"
                );
            }
            Event::Secured => self.seen.stls = true,
            Event::Closing(_) => self.closings += 1,
            Event::AuthCancelled(_) | Event::Retrieved => {}
        }
    }
}
