//! The server endpoint: any octets, decisions of any kind, in any cut.

use crate::Random;
use smtp::server::{Closing, Config, Event, Server};
use smtp::{Protocol, ReplyParser, replies};
use std::sync::Arc;
use std::time::{Duration, Instant};
use wire::{Endpoint, Step};

/// Feeds the server. The first octet chooses settings, the second decisions and cuts, the rest is what the
/// peer sends.
///
/// Holds: no panic; what is buffered stays within a command line; every reply is one; content stays within
/// the limit; the end is told once; and replies and events do not depend on how the input was cut.
pub fn smtp_server(input: &[u8]) {
    let [settings, seed, octets @ ..] = input else { return };
    let whole = observe(*settings, *seed, octets.chunks(wire::READ_MAX));
    let cut = observe(*settings, *seed, Random::new(u64::from(*seed)).cut(octets).into_iter());
    assert_eq!(whole, cut, "replies or events depend on how the input was cut");
}

/// What a peer and the application see.
#[derive(Debug, PartialEq, Default)]
struct Seen {
    replies: Vec<u8>,
    events: Vec<String>,
}

fn observe<'a>(settings: u8, seed: u8, pieces: impl Iterator<Item = &'a [u8]>) -> Seen {
    let mut session = Session::new(settings, seed);
    session.drain();
    for piece in pieces {
        if session.closed {
            break;
        }
        session.server.receive(piece);
        session.drain();
    }
    if !session.closed {
        if settings & 0x40 == 0 {
            session.server.receive_end();
        } else {
            session.now += Duration::from_secs(301);
        }
        session.drain();
        assert!(session.closed, "the end of the input, or of time, ends the connection");
    }
    session.check_replies();
    session.seen
}

struct Session {
    config: Arc<Config>,
    server: Server,
    decisions: Random,
    now: Instant,
    content: Vec<u8>,
    accepted: usize,
    seen: Seen,
    closing: Option<Closing>,
    closed: bool,
}

impl Session {
    fn new(settings: u8, seed: u8) -> Session {
        let config = Arc::new(Config {
            protocol: if settings & 1 == 0 { Protocol::Smtp } else { Protocol::Lmtp },
            max_message_size: if settings & 2 == 0 { 0 } else { 100 },
            max_recipients: if settings & 4 == 0 { 100 } else { 2 },
            max_errors: if settings & 8 == 0 { 1000 } else { 3 },
            ..Config::new("mx.example")
        });
        let mut server = Server::new(config.clone());
        if settings & 0x10 != 0 {
            server.shut_down(replies::SHUTTING_DOWN);
        }
        Session {
            config,
            server,
            decisions: Random::new(u64::from(seed)),
            now: Instant::now(),
            content: Vec::new(),
            accepted: 0,
            seen: Seen::default(),
            closing: None,
            closed: false,
        }
    }

    fn drain(&mut self) {
        loop {
            match self.server.step(self.now) {
                Step::Send(bytes) => {
                    assert!(!bytes.is_empty());
                    self.seen.replies.extend_from_slice(&bytes);
                }
                Step::Event(event) => self.event(event),
                Step::StartTls => panic!("TLS was not offered"),
                Step::Wait(until) => {
                    assert!(until > self.now);
                    assert!(self.server.buffered() < self.config.command_line_max, "too much is held");
                    return;
                }
                Step::Close => {
                    assert!(self.closing.is_some(), "the end is told before the connection closes");
                    self.closed = true;
                    return;
                }
            }
        }
    }

    fn event(&mut self, event: Event) {
        assert_eq!(self.closing, None, "nothing is told after the end");
        match &event {
            Event::Content(bytes) => {
                assert!(!bytes.is_empty());
                self.content.extend_from_slice(bytes);
                let limit = self.config.max_message_size;
                assert!(limit == 0 || self.content.len() as u64 <= limit, "content over the limit");
                return;
            }
            Event::End => {
                let content = std::mem::take(&mut self.content);
                self.seen.events.push(format!("{content:?}"));
            }
            Event::Mail(_) => self.accepted = 0,
            Event::Abort(_) => self.content.clear(),
            Event::Closing(closing) => self.closing = Some(*closing),
            Event::Hello(_) | Event::Rcpt(_) | Event::Refused { .. } => {}
        }
        self.seen.events.push(format!("{event:?}"));
        self.answer(&event);
    }

    fn answer(&mut self, event: &Event) {
        let accept = match event {
            Event::Hello(_) => replies::OK.with_text("mx.example"),
            Event::Mail(_) => replies::SENDER_OK,
            Event::Rcpt(_) => replies::RECIPIENT_OK,
            Event::End => replies::queued(1),
            Event::Content(_) | Event::Abort(_) | Event::Refused { .. } | Event::Closing(_) => return,
        };
        let reply = match self.decisions.below(12) {
            0 => replies::NO_SUCH_MAILBOX,
            1 => replies::STORAGE_FULL,
            2 if self.decisions.below(8) == 0 => replies::SHUTTING_DOWN,
            _ => accept,
        };
        if matches!(event, Event::Rcpt(_)) && reply == replies::RECIPIENT_OK {
            self.accepted += 1;
            assert!(self.accepted <= self.config.max_recipients);
        }
        if *event == Event::End && self.config.protocol == Protocol::Lmtp {
            self.server.reply_each(vec![reply; self.accepted]);
        } else {
            self.server.reply(reply);
        }
    }

    /// All that was sent is replies, whole ones.
    fn check_replies(&self) {
        for line in self.seen.replies.split_inclusive(|octet| *octet == b'\n') {
            assert!(line.len() <= 512 && line.ends_with(b"\r\n") && line.is_ascii());
        }
        let mut parser = ReplyParser::new();
        parser.receive(&self.seen.replies);
        while parser.next_reply().expect("what we send is replies").is_some() {}
        assert!(parser.is_empty());
    }
}
