//! The IMAP server endpoint: any octets, decisions of any kind, in any cut.

use crate::Random;
use bytes::Bytes;
use imap::answer::{Attribute, FetchData, Found, FoundModSeqs, LiteralName, NewKeywords, Status};
use imap::server::{Config, Event, Request, Selection, Server, StartTls, replies};
use imap::{Flag, LINE_MAX, LITERALS_MAX, Numbers, Section};
use std::sync::Arc;
use std::time::{Duration, Instant};
use wire::sasl::InClear;
use wire::{Endpoint, Step};

/// Feeds the server. The first octet chooses settings, the second decisions and cuts, the rest is what the peer sends.
///
/// Holds: no panic; what is buffered is bounded; messages are named by UIDs that are there; what is appended is what was announced; the end is
/// told once; and answers do not depend on how the input was cut, unless TLS was started or the connection compressed.
pub fn imap_server(input: &[u8]) {
    let [settings, seed, octets @ ..] = input else { return };
    let whole = observe(*settings, *seed, octets.chunks(wire::READ_MAX));
    let cut = observe(*settings, *seed, Random::new(u64::from(*seed)).cut(octets).into_iter());
    if !whole.changed && !cut.changed {
        assert_eq!(whole.said, cut.said, "answers depend on how the input was cut");
    }
}

/// What a peer sees.
#[derive(Default)]
struct Seen {
    said: Vec<u8>,
    /// TLS or compression.
    changed: bool,
}

struct Session {
    server: Server,
    decisions: Random,
    announced: u64,
    closings: usize,
    closed: bool,
    now: Instant,
    seen: Seen,
}

fn observe<'a>(settings: u8, seed: u8, pieces: impl Iterator<Item = &'a [u8]>) -> Seen {
    let config = Config {
        start_tls: if settings & 1 == 0 { StartTls::NotOffered } else { StartTls::Offered },
        mechanisms: ["PLAIN", "SCRAM-SHA-256-PLUS"].map(str::to_owned).to_vec(),
        in_clear: if settings & 2 == 0 { InClear::Allow } else { InClear::Refuse },
        max_errors: if settings & 4 == 0 { 1000 } else { 3 },
        append_limit: 100,
        ..Config::new("mx.example")
    };
    let mut session = Session {
        server: Server::new(Arc::new(config)),
        decisions: Random::new(u64::from(seed)),
        announced: 0,
        closings: 0,
        closed: false,
        now: Instant::now(),
        seen: Seen::default(),
    };
    if settings & 8 != 0 {
        // Most inputs would never get past the login.
        session.server.receive(b"a LOGIN a b\r\nb SELECT INBOX\r\n");
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
            _ => session.now += Duration::from_secs(4000),
        }
        session.drain();
    }
    if !session.closed {
        // IDLE says something first.
        session.server.receive_end();
        session.drain();
    }
    assert!(session.closed && session.closings == 1, "the end of the input ends the connection");
    // COMPRESS shows itself by its answer alone.
    session.seen.changed |= session.seen.said.windows(14).any(|word| word == b"DEFLATE active");
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
                Step::StartTls => {
                    self.seen.changed = true;
                    self.server.secured();
                }
                Step::Wait(until) => {
                    assert!(
                        until > self.now
                            && self.server.buffered() <= LINE_MAX + LITERALS_MAX + wire::READ_MAX
                    );
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
                    0 => self.server.finish(replies::auth_failed()),
                    1 => self.server.challenge(b"more"),
                    _ => self.server.grant(),
                }
            }
            Event::Request(request) => self.request(*request),
            Event::More => self.server.finish(Status::ok("done")),
            Event::Look => {
                self.change();
                self.server.looked();
            }
            Event::Append(append) => {
                assert!(append.length > 0 && append.length <= 100 && self.announced == 0);
                if self.decisions.below(4) == 0 {
                    return self.server.finish(Status::no("not here"));
                }
                self.announced = append.length;
                self.server.accept();
            }
            Event::Content(octets) => {
                assert!(!octets.is_empty());
                self.announced =
                    self.announced.checked_sub(octets.len() as u64).expect("no more than was said");
            }
            Event::AppendEnd => {
                assert_eq!(self.announced, 0);
                self.server.finish(Status::ok("kept"));
            }
            Event::AppendAborted => self.announced = 0,
            Event::Refused { line, .. } => {
                self.seen.changed |= line.as_ref() == b"STARTTLS";
                assert!(
                    self.server.is_logged_in() || !line.windows(7).any(|word| word == b"LOGIN a"),
                    "a password is in the log"
                );
            }
            Event::Secured => self.seen.changed = true,
            Event::Closing(_) => self.closings += 1,
            Event::AuthCancelled(_) | Event::Client(_) | Event::Unselected => {}
        }
    }

    fn request(&mut self, request: Request) {
        assert!(self.server.is_logged_in());
        let server = &mut self.server;
        match request {
            Request::Idle => return server.looked(),
            Request::Select { .. } if self.decisions.below(8) > 0 => server.select(selection()),
            Request::Fetch(fetch) => {
                for uid in fetch.uids.iter() {
                    assert!(server.begin_message(uid), "a message that is not there");
                    server.item(&FetchData::Flags(&[Flag::Seen]));
                    server.begin_literal(LiteralName::Section(&Section::default(), None), 5);
                    server.literal(Bytes::from_static(b"12345"));
                    server.end_message();
                }
                if self.decisions.below(2) == 0 {
                    return server.more();
                }
            }
            Request::Search(_) | Request::Sort { .. } => {
                server.found(&Found { uids: vec![20, 30, 70], mod_seqs: FoundModSeqs::of([5, 7, 6]) });
            }
            Request::Thread { .. } => server.threads(&[]),
            Request::Look | Request::Done => self.change(),
            Request::Notify(Some(_)) => {
                // From here on it matters what had come when something was to be told.
                self.seen.changed = true;
                server.wake();
            }
            _ => {}
        }
        let ok = self.decisions.below(4) > 0;
        self.server.finish(if ok { Status::ok("done") } else { Status::no("not done") });
    }

    /// Something happens in the mailbox.
    fn change(&mut self) {
        let gone = [10, 20, 30][self.decisions.below(3)];
        self.server.changed(&[60], &Numbers::range(gone, gone));
        self.server.noted_up_to(100);
    }
}

fn selection() -> Selection {
    Selection {
        name: "INBOX".to_owned(),
        attributes: vec![Attribute::HasNoChildren],
        mailbox_id: "F1".to_owned(),
        view: [10, 20, 30, 40, 50].into_iter().collect(),
        flags: vec![Flag::Seen],
        new_keywords: NewKeywords::MayBeMade,
        uid_validity: 7,
        uid_next: 51,
        highest_mod_seq: 99,
        first_unseen: Some(20),
    }
}
