//! Holding the server endpoint to a chat: octets in some pace, virtual time, decisions as the chat gives
//! them.

use super::text::{challenge, escape, matches, reply, status};
use super::{Chat, Comparison, Expected, Failure, Incident, Proxy, Tls, Turn};
use smtp::server::{Abort, Auth, Closing, Event, Server};
use smtp::{RcptParameters, Recipient, Reply, replies};
use std::collections::VecDeque;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Instant;
use wire::{Endpoint, Step};

/// The events that a chat may name.
pub(super) const EVENTS: &[&str] = &[
    "hello",
    "secured",
    "auth",
    "auth-response",
    "auth-cancelled",
    "xclient",
    "mail",
    "rcpt",
    "content",
    "end",
    "abort",
    "refused",
    "closing",
];

/// How the client's octets reach the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// All that the client says before it waits for a reply, at once.
    Whole,
    /// One octet at a time.
    Octets,
    /// In pieces of random length, the same for the same seed.
    Random(u64),
    /// All that a client may send without waiting (RFC 2920 §3.1), at once.
    Pipelined,
}

impl Chat {
    /// Runs the chat against the endpoint.
    pub fn run(&self, pace: Pace) -> Result<(), Failure> {
        let mut run = Run::new(self);
        let merged;
        let turns = match pace {
            Pace::Pipelined => {
                merged = pipelined(&self.turns);
                &merged
            }
            _ => &self.turns,
        };
        for turn in turns {
            run.turn(turn, pace)?;
        }
        run.finish()
    }
}

/// A server, its clock, and what the chat still expects.
struct Run<'a> {
    chat: &'a Chat,
    server: Server,
    now: Instant,
    expected: VecDeque<Expected>,
    seen: Vec<String>,
    content: Vec<u8>,
    closed: bool,
    /// The deadline of the last wait.
    until: Option<Instant>,
}

impl<'a> Run<'a> {
    fn new(chat: &'a Chat) -> Run<'a> {
        let config = Arc::new(chat.setup.config.clone());
        let mut server = match &chat.setup.refusal {
            Some(reply) => Server::refuse(config, reply.clone()),
            None => Server::new(config),
        };
        if chat.setup.tls == Tls::FromTheStart {
            server.secured();
        }
        if chat.setup.proxy == Proxy::Trusted {
            server.offer_xclient();
        }
        Run {
            chat,
            server,
            now: Instant::now(),
            expected: chat.turns.iter().flat_map(|turn| turn.events.iter().cloned()).collect(),
            seen: Vec::new(),
            content: Vec::new(),
            closed: false,
            until: None,
        }
    }

    fn turn(&mut self, turn: &Turn, pace: Pace) -> Result<(), Failure> {
        let mut received = Vec::new();
        match turn.incident {
            None => {}
            Some(Incident::Wait(time)) => self.now += time,
            Some(Incident::Timeout) => {
                self.now = self.until.ok_or_else(|| self.fail(turn.line, "nothing is waited for".into()))?;
            }
            Some(Incident::Disconnect) => self.server.receive_end(),
            Some(Incident::ShutDown) => self.server.shut_down(replies::SHUTTING_DOWN),
        }
        if turn.client.is_empty() {
            self.drain(&mut received);
        } else if self.closed {
            return Err(self.fail(turn.line, "the client speaks, but the connection is closed".into()));
        }
        for piece in pieces(&turn.client, pace) {
            self.server.receive(piece);
            self.drain(&mut received);
        }
        match turn.compare(&received) {
            Comparison::Same => {}
            Comparison::Incomplete => {
                let what = format!("not all came; got\n{}", lines(&received));
                return Err(self.fail(turn.server.last().map_or(turn.line, |last| last.line), what));
            }
            Comparison::Different { line, expected, got } => {
                let what =
                    format!("expected  {expected}\n      got  {got}\nall that came:\n{}", lines(&received));
                return Err(self.fail(line, what));
            }
        }
        if turn.closes && !self.closed {
            return Err(self.fail(turn.line, "the connection is still open".into()));
        }
        Ok(())
    }

    /// Steps until the server waits or closes.
    fn drain(&mut self, received: &mut Vec<u8>) {
        loop {
            match self.server.step(self.now) {
                Step::Send(bytes) => received.extend_from_slice(&bytes),
                Step::Event(event) => self.event(event),
                // Every handshake succeeds here: what the client says next comes under TLS.
                Step::StartTls => self.server.secured(),
                Step::Wait(until) => {
                    self.until = Some(until);
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
        if let Event::Content(bytes) = &event {
            self.content.extend_from_slice(bytes);
            return;
        }
        let content = std::mem::take(&mut self.content);
        if event == Event::End {
            self.note(describe(&Event::Content(content.into())));
        }
        let decisions = self.note(describe(&event));
        if let [decision] = decisions.as_slice()
            && let Some(challenge) = challenge(decision)
        {
            return self.server.challenge(&challenge);
        }
        let given: Vec<Reply> = decisions.iter().filter_map(|text| reply(text).ok()).collect();
        match (given.len(), acceptance(&event, &self.chat.setup.config.host_name)) {
            // What only tells has no answer.
            (_, None) => {}
            (0, Some(reply)) => self.server.reply(reply),
            (1, Some(_)) => self.server.reply(given[0].clone()),
            (_, Some(_)) => self.server.reply_each(given),
        }
    }

    /// Notes an event; returns the decisions if it is the next one that the chat names.
    fn note(&mut self, event: String) -> Vec<String> {
        let next = self.expected.pop_front_if(|next| matches(&next.pattern, &event));
        self.seen.push(event);
        next.map(|next| next.decisions).unwrap_or_default()
    }

    fn finish(self) -> Result<(), Failure> {
        match self.expected.front() {
            None => Ok(()),
            Some(missing) => {
                let what = format!("the event did not come:  {}", missing.pattern);
                Err(self.fail(missing.line, what))
            }
        }
    }

    fn fail(&self, line: usize, what: String) -> Failure {
        let what = format!("{what}\nevents so far:\n  {}", self.seen.join("\n  "));
        Failure { path: self.chat.path.clone(), line, what }
    }
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pace::Whole => f.write_str("whole"),
            Pace::Octets => f.write_str("octet by octet"),
            Pace::Random(seed) => write!(f, "in random pieces, seed {seed}"),
            Pace::Pipelined => f.write_str("pipelined"),
        }
    }
}

/// How an event is written in a chat.
fn describe(event: &Event) -> String {
    match event {
        Event::Hello(hello) => format!("hello {} {}", hello.verb, hello.name),
        Event::Secured => "secured".to_owned(),
        Event::Auth(Auth { mechanism, initial: None }) => format!("auth {mechanism}"),
        Event::Auth(Auth { mechanism, initial: Some(initial) }) => {
            format!("auth {mechanism} with {}", escape(initial)).trim_end().to_owned()
        }
        Event::AuthResponse(response) => format!("auth-response {}", escape(response)).trim_end().to_owned(),
        Event::AuthCancelled(reply) => format!("auth-cancelled {}{}", reply.code().number(), status(reply)),
        Event::XClient(attributes) => {
            attributes.iter().fold("xclient".to_owned(), |text, attribute| format!("{text} {attribute}"))
        }
        Event::Mail(mail) => format!("mail {}{}", mail.reverse_path, mail.parameters),
        Event::Rcpt(Recipient { forward_path, notify, original }) => {
            let parameters = RcptParameters { notify: *notify, original: original.clone() };
            format!("rcpt {forward_path}{parameters}")
        }
        Event::Content(bytes) if bytes.is_empty() => "content".to_owned(),
        Event::Content(bytes) => format!("content {}", escape(bytes)),
        Event::End => "end".to_owned(),
        Event::Abort(abort) => format!("abort {}", describe_abort(abort)),
        Event::Refused { line, reply } => {
            format!("refused {}{}: {}", reply.code().number(), status(reply), escape(line))
        }
        Event::Closing(closing) => format!("closing {}", describe_closing(*closing)),
    }
}

fn describe_abort(abort: &Abort) -> String {
    match abort {
        Abort::Reset => "reset".to_owned(),
        Abort::Hello => "hello".to_owned(),
        Abort::Refused(reply) => format!("refused {}{}", reply.code().number(), status(reply)),
        Abort::Disconnected => "disconnected".to_owned(),
        Abort::TimedOut => "timed-out".to_owned(),
        Abort::Quit => "quit".to_owned(),
    }
}

fn describe_closing(closing: Closing) -> &'static str {
    match closing {
        Closing::Quit => "quit",
        Closing::Disconnected => "disconnected",
        Closing::TimedOut => "timed-out",
        Closing::EarlyTalker => "early-talker",
        Closing::TooManyErrors => "too-many-errors",
        Closing::ShutDown => "shut-down",
        Closing::Refused => "refused",
    }
}

/// The reply of an application that takes everything; none for what only tells.
fn acceptance(event: &Event, host_name: &str) -> Option<Reply> {
    match event {
        Event::Hello(hello) => {
            let peer = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
            Some(replies::hello(host_name, &hello.name, peer))
        }
        Event::Auth(_) | Event::AuthResponse(_) => Some(replies::AUTH_SUCCEEDED),
        Event::XClient(_) => Some(replies::OK),
        Event::Mail(_) => Some(replies::SENDER_OK),
        Event::Rcpt(_) => Some(replies::RECIPIENT_OK),
        Event::End => Some(replies::queued("1")),
        Event::Secured | Event::AuthCancelled(_) | Event::Content(_) | Event::Abort(_) => None,
        Event::Refused { .. } | Event::Closing(_) => None,
    }
}

/// Cuts the octets of a turn.
pub(super) fn pieces(octets: &[u8], pace: Pace) -> Vec<&[u8]> {
    match pace {
        Pace::Whole | Pace::Pipelined => octets.chunks(wire::READ_MAX).collect(),
        Pace::Octets => octets.chunks(1).collect(),
        Pace::Random(seed) => {
            let mut random = Random(seed.wrapping_mul(2).wrapping_add(1));
            let mut rest = octets;
            let mut pieces = Vec::new();
            while !rest.is_empty() {
                // Short pieces find more; long ones keep long content quick.
                let longest = if random.below(4) == 0 { 4096 } else { 8 };
                let (piece, after) = rest.split_at(rest.len().min(1 + random.below(longest)));
                pieces.push(piece);
                rest = after;
            }
            pieces
        }
    }
}

/// A sequence of numbers that only its seed determines (xorshift64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

/// Joins turns as far as a client may send without waiting for replies (RFC 2920 §3.1).
fn pipelined(turns: &[Turn]) -> Vec<Turn> {
    let mut joined: Vec<Turn> = Vec::new();
    for (n, turn) in turns.iter().enumerate() {
        let previous = n.checked_sub(1).map(|n| &turns[n]);
        match joined.last_mut() {
            Some(last)
                if previous.is_some_and(may_be_followed)
                    && turn.incident.is_none()
                    && !turn.client.is_empty() =>
            {
                last.client.extend_from_slice(&turn.client);
                last.server.extend_from_slice(&turn.server);
                last.events.extend_from_slice(&turn.events);
                last.closes |= turn.closes;
            }
            _ => joined.push(turn.clone()),
        }
    }
    joined
}

/// Whether the client may go on after this turn before it is answered: its last command is none of those that
/// end a group.
fn may_be_followed(turn: &Turn) -> bool {
    let last = turn.client.strip_suffix(b"\r\n").unwrap_or(&turn.client);
    let line = last.rsplit(|octet| *octet == b'\n').next().unwrap_or(last);
    let verb = line.get(..4).unwrap_or(line).to_ascii_uppercase();
    turn.incident.is_none()
        && matches!(verb.as_slice(), b"MAIL" | b"RCPT" | b"RSET")
        && turn.client.ends_with(b"\r\n")
}

pub(super) fn lines(received: &[u8]) -> String {
    String::from_utf8_lossy(received).lines().map(|line| format!("  S: {line}\n")).collect()
}
