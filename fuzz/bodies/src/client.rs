//! The client endpoint: a server that says anything.

use crate::Random;
use smtp::client::{Authentication, Chunking, Client, Config, Event, Security};
use smtp::{Body, Envelope, ForwardPath, InClear, Protocol, Recipient, ReversePath, SaslMessage};
use std::time::{Duration, Instant};
use wire::{Endpoint, Step};

/// Feeds the client. The first octet chooses settings, the second cuts, the rest is what the server sends.
///
/// Holds: no panic; each delivery has one reply for each recipient, or the connection fails, once; and what
/// is sent has whole line ends. What happens may depend on the cuts: a reply that comes before its command is
/// an error at one moment and an answer at the next.
pub fn smtp_client(input: &[u8]) {
    let [settings, seed, octets @ ..] = input else { return };
    observe(*settings, octets.chunks(wire::READ_MAX));
    observe(*settings, Random::new(u64::from(*seed)).cut(octets).into_iter());
}

fn observe<'a>(settings: u8, pieces: impl Iterator<Item = &'a [u8]>) {
    let mut session = Session::new(settings);
    session.drain();
    for piece in pieces {
        session.client.receive(piece);
        session.drain();
    }
    if !session.closed {
        if settings & 0x40 == 0 {
            session.client.receive_end();
        } else {
            session.now += Duration::from_secs(3600);
        }
        session.drain();
    }
    session.check();
}

struct Session {
    settings: u8,
    client: Client,
    now: Instant,
    sent: Vec<u8>,
    pieces_left: usize,
    deliveries: usize,
    in_hand: bool,
    failures: usize,
    closed: bool,
}

impl Session {
    fn new(settings: u8) -> Session {
        let config = Config {
            protocol: if settings & 1 == 0 { Protocol::Smtp } else { Protocol::Lmtp },
            chunking: if settings & 2 == 0 { Chunking::OnlyForBinary } else { Chunking::WhenOffered },
            security: if settings & 0x20 == 0 { Security::None } else { Security::IfOffered },
            authentication: if settings & 0x80 == 0 { Authentication::No } else { Authentication::Yes },
            in_clear: if settings & 0x10 == 0 { InClear::Refuse } else { InClear::Allow },
            ..Config::new("client.example")
        };
        Session {
            settings,
            client: Client::new(config),
            now: Instant::now(),
            sent: Vec::new(),
            pieces_left: 0,
            deliveries: 0,
            in_hand: false,
            failures: 0,
            closed: false,
        }
    }

    fn drain(&mut self) {
        loop {
            match self.client.step(self.now) {
                Step::Send(bytes) => {
                    assert!(!bytes.is_empty());
                    self.sent.extend_from_slice(&bytes);
                }
                Step::Event(event) => self.event(event),
                Step::StartTls => {
                    assert!(self.settings & 0x20 != 0 && !self.client.is_secured());
                    // What comes in clear now is thrown away.
                    self.client.receive(b"250-mx.example\r\n250 AUTH PLAIN\r\n");
                    self.client.secured();
                }
                Step::Wait(until) => {
                    assert!(until > self.now);
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
        assert_eq!(self.failures, 0, "nothing is told after a failure");
        match event {
            Event::Authenticate(mechanisms) => {
                let safe = self.client.is_secured() || self.settings & 0x10 != 0;
                assert!(safe || mechanisms.iter().all(|name| name.starts_with("SCRAM-")), "{mechanisms:?}");
                let octets = if self.settings & 8 == 0 { 10 } else { 1000 };
                let initial = (self.settings & 4 == 0).then(|| SaslMessage::from(vec![b'x'; octets]));
                self.client.authenticate(&mechanisms[0], initial);
            }
            Event::Challenge(challenge) if challenge.starts_with(b"x") => self.client.cancel(),
            Event::Challenge(challenge) => self.client.respond(&challenge),
            Event::Ready => {
                let wanted = self.settings & 0x80 != 0;
                assert_eq!(self.client.is_authenticated(), wanted, "ready before AUTH succeeded");
                self.next_delivery();
            }
            Event::WantContent => {
                assert!(self.in_hand);
                if self.pieces_left == 0 {
                    self.client.end_of_content();
                } else {
                    self.pieces_left -= 1;
                    self.client.content((&b".a line\r\n.."[..]).into());
                }
            }
            Event::Done(outcome) => {
                assert!(self.in_hand, "a delivery ends once");
                assert_eq!(outcome.recipients.len(), self.recipients());
                self.in_hand = false;
                self.next_delivery();
            }
            Event::Failed(_) => self.failures += 1,
        }
    }

    fn recipients(&self) -> usize {
        usize::from(self.settings >> 2 & 3) * 40
    }

    fn next_delivery(&mut self) {
        if self.client.is_closed() {
            return;
        }
        if self.deliveries == 3 {
            return self.client.quit();
        }
        self.deliveries += 1;
        self.in_hand = true;
        self.pieces_left = 3;
        let recipient = |n: usize| ForwardPath::parse(&format!("<r{n}@d.example>")).expect("a path");
        let recipients = (0..self.recipients()).map(|n| Recipient::new(recipient(n))).collect();
        let body = if self.settings & 0x10 == 0 { Body::SevenBit } else { Body::BinaryMime };
        let envelope = Envelope { body, ..Envelope::new(ReversePath::Null, recipients) };
        self.client.deliver(envelope, Some(30));
    }

    fn check(&self) {
        assert!(self.failures <= 1);
        assert!(self.closed, "the end of the input, or of time, ends the connection");
        for (at, octet) in self.sent.iter().enumerate() {
            let before = at.checked_sub(1).map(|before| self.sent[before]);
            let after = self.sent.get(at + 1);
            assert!(*octet != b'\n' || before == Some(b'\r'), "a bare LF was sent");
            assert!(*octet != b'\r' || after == Some(&b'\n'), "a bare CR was sent");
        }
    }
}
