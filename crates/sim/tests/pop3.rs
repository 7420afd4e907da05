//! Every transcript of `tests/pop3`, held against the POP3 endpoint: whole, octet by octet, and in random pieces.
//!
//! `config:` lines: `message TEXT` (one of the maildrop's, with escapes), `stls`, `tls` (from the start), `auth MECHANISM ...`,
//! `in-clear`, `max-errors N`, `login-delay SECONDS`, `refuse` (no greeting), `trouble` (nothing can be removed), `busy` (another session
//! has the maildrop), `lost` (every text breaks off after its first piece). The user is `alice` with the password `secret word`.

#![forbid(unsafe_code)]

use pop3::server::{Config, Event, Message, Server, Stls};
use pop3::{Reply, replies};
use sim::chat::Pace;
use sim::chat::script::{Script, Subject};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use wire::Endpoint;
use wire::sasl::InClear;

const SEEDS: u64 = 25;

/// A server with a maildrop, and what it does in this transcript.
struct Maildrop {
    server: Server,
    messages: Vec<String>,
    pieces: VecDeque<String>,
    trouble: bool,
    busy: bool,
    lost: bool,
}

impl Maildrop {
    fn new(script: &Script) -> Maildrop {
        let mut config = Config {
            mechanisms: vec!["PLAIN".to_owned(), "LOGIN".to_owned()],
            in_clear: InClear::Allow,
            ..Config::new("mx.example")
        };
        let (mut messages, mut secured, mut refusal) = (Vec::new(), false, None);
        let (mut trouble, mut busy, mut lost) = (false, false, false);
        for setting in script.settings() {
            match setting.split_once(' ') {
                Some(("message", text)) => messages.push(text.replace("\\r\\n", "\r\n").replace("\\n", "\n")),
                None if setting == "stls" => config.stls = Stls::Offered,
                None if setting == "tls" => secured = true,
                Some(("auth", names)) => config.mechanisms = names.split(' ').map(str::to_owned).collect(),
                None if setting == "no-clear" => config.in_clear = InClear::Refuse,
                Some(("max-errors", number)) => config.max_errors = number.parse().expect("a number"),
                Some(("login-delay", seconds)) => {
                    config.login_delay = Duration::from_secs(seconds.parse().expect("a number"));
                }
                None if setting == "refuse" => refusal = Some(replies::NOT_NOW),
                None if setting == "trouble" => trouble = true,
                None if setting == "busy" => busy = true,
                None if setting == "lost" => lost = true,
                _ => panic!("there is no setting `{setting}`"),
            }
        }
        let config = Arc::new(config);
        let mut server = match refusal {
            Some(reply) => Server::refuse(config, reply),
            None => Server::new(config),
        };
        if secured {
            server.secured();
        }
        Maildrop { server, messages, pieces: VecDeque::new(), trouble, busy, lost }
    }

    /// What PLAIN says, or the second answer of LOGIN.
    fn log_in(&mut self, message: &[u8]) {
        match message {
            b"\0alice\0secret word" | b"secret word" if self.busy => self.server.reply(replies::IN_USE),
            b"\0alice\0secret word" | b"secret word" => {
                let message = |(text, unique): (&String, u64)| Message { octets: text.len() as u64, unique };
                self.server.open(self.messages.iter().zip(0xa1_0000_0001..).map(message).collect());
            }
            b"banned" => self.server.dismiss(replies::NOT_NOW),
            _ => self.server.reply(replies::AUTH_FAILED),
        }
    }
}

impl Subject for Maildrop {
    type Endpoint = Server;

    fn endpoint(&mut self) -> &mut Server {
        &mut self.server
    }

    fn event(&mut self, event: Event) -> Option<String> {
        let note = match &event {
            Event::Refused { line, reply } => format!("refused {} {reply}", String::from_utf8_lossy(line)),
            Event::Closing(closing) => format!("closing {closing:?}"),
            Event::Update { deleted, read } => format!("update {deleted:x?} {read:x?}"),
            Event::Auth(auth) => format!("auth {}", auth.mechanism),
            other => format!("{other:?}"),
        };
        match event {
            Event::Auth(auth) => match &auth.initial {
                Some(message) => self.log_in(message),
                None if auth.mechanism == "PLAIN" => self.server.challenge(b""),
                None => self.server.challenge(b"User Name\0"),
            },
            Event::AuthResponse(response) if *response == b"alice"[..] => {
                self.server.challenge(b"Password\0")
            }
            Event::AuthResponse(response) => self.log_in(&response),
            Event::Retrieve(unique) => {
                let text = &self.messages[(unique - 0xa1_0000_0001) as usize];
                if text == "gone" {
                    self.server.reply(replies::GONE);
                } else {
                    self.pieces = text
                        .as_bytes()
                        .chunks(7)
                        .map(|piece| String::from_utf8(piece.to_vec()).expect("ASCII"))
                        .collect();
                    self.server.begin();
                }
            }
            Event::More => match self.pieces.pop_front() {
                Some(_) if self.lost && self.pieces.is_empty() => self.server.content_lost(),
                Some(piece) => self.server.content(piece.into()),
                None => self.server.end_of_content(),
            },
            Event::Update { deleted, .. } => self.server.reply(match (deleted.len(), self.trouble) {
                (0, _) => replies::BYE,
                (_, true) => replies::NOT_REMOVED,
                (_, false) => replies::BYE_REMOVED,
            }),
            _ => {}
        }
        Some(note)
    }

    fn shut_down(&mut self) {
        let reply: Reply = replies::SHUTTING_DOWN;
        self.server.shut_down(reply);
    }
}

#[test]
fn every_chat_holds_in_every_pace() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pop3");
    let scripts = Script::read_all(&directory).unwrap_or_else(|failure| panic!("{failure}"));
    assert!(scripts.len() >= 20, "only {} transcripts were found", scripts.len());
    let paces: Vec<Pace> =
        [Pace::Whole, Pace::Octets].into_iter().chain((0..SEEDS).map(Pace::Random)).collect();
    for script in &scripts {
        for pace in &paces {
            let run = script.run(&mut Maildrop::new(script), *pace);
            run.unwrap_or_else(|failure| panic!("{failure}\n({pace})"));
        }
    }
}
