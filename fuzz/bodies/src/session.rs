//! The server endpoint: any octets, decisions of any kind, in any cut.

use crate::Random;
use smtp::server::{AuthOffer, Closing, Config, Event, LineEndings, MailNeeds, Server, StartTls};
use smtp::{AUTH_LINE_MAX, InClear, Protocol, ReplyParser, replies};
use std::sync::Arc;
use std::time::{Duration, Instant};
use wire::{Endpoint, Step};

/// Feeds the server. The first octet chooses settings, the second decisions and cuts, the rest is what the
/// peer sends.
///
/// Holds: no panic; what is buffered stays within a command line; every reply is one; content stays within
/// the limit; the end is told once; who must authenticate itself sends no mail before; and replies and events do not
/// depend on how the input was cut, unless TLS was started: what stands in one piece with STARTTLS is refused.
pub fn smtp_server(input: &[u8]) {
    let [settings, seed, octets @ ..] = input else { return };
    let whole = observe(*settings, *seed, octets.chunks(wire::READ_MAX));
    let cut = observe(*settings, *seed, Random::new(u64::from(*seed)).cut(octets).into_iter());
    if whole.starttls || cut.starttls {
        return;
    }
    assert_eq!(whole, cut, "replies or events depend on how the input was cut");
}

/// What a peer and the application see.
#[derive(Debug, PartialEq, Default)]
struct Seen {
    replies: Vec<u8>,
    events: Vec<String>,
    /// STARTTLS was taken, or refused because something followed it.
    starttls: bool,
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
            ..if settings & 0x80 == 0 { Config::new("mx.example") } else { submission(settings) }
        });
        let mut server = Server::new(config.clone());
        if settings & 0x20 != 0 {
            server.offer_xclient();
            server.offer_mechanism("EXTERNAL");
        }
        if settings & 0x90 == 0x10 {
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
                Step::StartTls => {
                    assert_eq!(self.config.starttls, StartTls::Offered);
                    self.seen.starttls = true;
                    // What comes in clear now is thrown away.
                    self.server.receive(b"NOOP\r\n");
                    self.server.secured();
                    assert!(self.server.is_secured() && !self.server.is_authenticated());
                    assert_eq!((self.server.hello_name(), self.server.buffered()), (None, 0));
                }
                Step::Wait(until) => {
                    assert!(until > self.now);
                    let most = self.config.command_line_max.max(AUTH_LINE_MAX);
                    assert!(self.server.buffered() < most, "too much is held");
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
            Event::Mail(_) => {
                let needed = self.config.mail_needs == MailNeeds::Authentication;
                assert!(!needed || self.server.is_authenticated(), "MAIL before AUTH");
                self.accepted = 0;
            }
            Event::Auth(auth) => {
                assert!(!self.server.is_authenticated() && !self.server.in_transaction());
                let clear = self.config.auth.in_clear == InClear::Allow;
                assert!(self.server.is_secured() || clear && !auth.mechanism.ends_with("-PLUS"));
            }
            Event::Refused { reply, .. } if *reply == replies::PIPELINED_STARTTLS => {
                self.seen.starttls = true;
            }
            Event::Abort(_) => self.content.clear(),
            Event::Closing(closing) => self.closing = Some(*closing),
            Event::Hello(_) | Event::Rcpt(_) | Event::Refused { .. } => {}
            Event::AuthResponse(_) | Event::AuthCancelled(_) | Event::Secured | Event::XClient(_) => {}
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
            Event::Auth(_) | Event::AuthResponse(_) if self.decisions.below(2) == 0 => {
                return self.server.challenge(b"Username:");
            }
            Event::Auth(_) | Event::AuthResponse(_) => replies::AUTH_SUCCEEDED,
            Event::XClient(_) => replies::OK,
            Event::Secured | Event::AuthCancelled(_) | Event::Content(_) | Event::Abort(_) => return,
            Event::Refused { .. } | Event::Closing(_) => return,
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

/// The settings of a submission service: STARTTLS, AUTH, and content that is mended.
fn submission(settings: u8) -> Config {
    let mechanisms = ["PLAIN", "LOGIN", "SCRAM-SHA-256-PLUS"].map(str::to_owned).to_vec();
    let in_clear = if settings & 0x20 == 0 { InClear::Refuse } else { InClear::Allow };
    Config {
        starttls: StartTls::Offered,
        auth: AuthOffer { mechanisms, in_clear },
        mail_needs: if settings & 0x10 == 0 { MailNeeds::Authentication } else { MailNeeds::Nothing },
        line_endings: LineEndings::Normalise,
        text_line_max: Some(30),
        ..Config::new("mx.example")
    }
}
