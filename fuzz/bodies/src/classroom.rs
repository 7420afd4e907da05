//! The server endpoint of the classroom's protocol: any octets, decisions of any kind, in any cut.

use crate::Random;
use classroom::{Config, Event, Server, Status};
use std::sync::Arc;
use std::time::{Duration, Instant};
use wire::{Endpoint, Step};

/// Feeds the server. The first octet chooses settings, the second decisions and cuts, the rest is what the client sends.
///
/// Holds: no panic; what is held is bounded; a message begins with MAIL and is over once; the end is told once; and replies do not depend on
/// how the input was cut.
pub fn classroom_server(input: &[u8]) {
    let [settings, seed, octets @ ..] = input else { return };
    let whole = observe(*settings, *seed, octets.chunks(wire::READ_MAX));
    let cut = observe(*settings, *seed, Random::new(u64::from(*seed)).cut(octets).into_iter());
    assert_eq!(whole, cut, "replies depend on how the input was cut");
}

struct Session {
    server: Server,
    decisions: Random,
    /// A message is under way.
    is_sending: bool,
    pieces_left: usize,
    closings: usize,
    closed: bool,
    now: Instant,
    said: Vec<u8>,
}

fn observe<'a>(settings: u8, seed: u8, pieces: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let config = Config {
        max_message_size: if settings & 1 == 0 { 0 } else { 100 },
        max_recipients: if settings & 2 == 0 { 2 } else { 100 },
        idle_timeout: Duration::from_secs(600),
    };
    let mut session = Session {
        server: Server::new(Arc::new(config)),
        decisions: Random::new(u64::from(seed)),
        is_sending: false,
        pieces_left: 0,
        closings: 0,
        closed: false,
        now: Instant::now(),
        said: Vec::new(),
    };
    session.drain();
    for piece in pieces {
        if session.closed {
            break;
        }
        session.server.receive(piece);
        session.drain();
    }
    if !session.closed {
        match settings & 4 {
            0 => session.server.receive_end(),
            _ => session.now += Duration::from_secs(601),
        }
        session.drain();
    }
    assert!(session.closed && session.closings == 1, "the end of the input, or of time, ends the connection");
    assert!(!session.is_sending, "nothing is left of a message");
    session.said
}

impl Session {
    fn drain(&mut self) {
        loop {
            match self.server.step(self.now) {
                Step::Send(bytes) => {
                    assert!(!bytes.is_empty());
                    self.said.extend_from_slice(&bytes);
                }
                Step::Event(event) => self.event(event),
                Step::StartTls => panic!("there is no TLS in it"),
                Step::Wait(until) => {
                    assert!(until > self.now && self.server.buffered() <= wire::READ_MAX);
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
            Event::Helo(_) | Event::Refused { .. } => {}
            Event::Mail(_) => {
                assert!(!self.is_sending, "one message after the other");
                self.is_sending = self.decide();
            }
            Event::Rcpt(_) => {
                assert!(self.is_sending);
                self.decide();
            }
            Event::Content(text) => assert!(self.is_sending && !text.is_empty()),
            Event::End => {
                assert!(std::mem::take(&mut self.is_sending));
                self.decide();
            }
            Event::Abort => assert!(std::mem::take(&mut self.is_sending), "only what was begun"),
            Event::List(_) | Event::GetMail(..) => {
                self.pieces_left = self.decisions.below(4);
                self.decide();
            }
            Event::More if self.pieces_left == 0 => self.server.shown(),
            Event::More => {
                self.pieces_left -= 1;
                self.server.show(b"a line\r\n");
            }
            Event::Closing(_) => self.closings += 1,
        }
    }

    /// Says yes mostly; returns whether.
    fn decide(&mut self) -> bool {
        let yes = self.decisions.below(8) > 0;
        self.server.reply(if yes { Status::Ok } else { Status::Syntax });
        yes
    }
}
