//! Transcripts of any other protocol: the same lines as in a chat (see [`super`]), run against any endpoint.
//!
//! What the endpoint is and who decides for it is a [`Subject`], made by the test from the `config:` lines. A line `! TEXT` names
//! something that the subject notes; what a script does not name may happen, and what it names must come, in order.

use super::run::{lines, pieces};
use super::text;
use super::{Comparison, Expected, Failure, Incident, Pace, Turn};
use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use wire::{Endpoint, Step};

/// A transcript.
#[derive(Debug, Clone)]
pub struct Script {
    path: PathBuf,
    settings: Vec<String>,
    turns: Vec<Turn>,
    notes: Vec<Expected>,
}

/// An endpoint and what decides for it.
pub trait Subject {
    /// The endpoint.
    type Endpoint: Endpoint;

    /// The endpoint.
    fn endpoint(&mut self) -> &mut Self::Endpoint;

    /// Answers an event; returns what a script may name of it.
    fn event(&mut self, event: <Self::Endpoint as Endpoint>::Event) -> Option<String>;

    /// Tells the endpoint that the server stops.
    fn shut_down(&mut self);
}

impl Script {
    /// Reads a script from its file.
    pub fn read(path: &Path) -> Result<Script, Failure> {
        let fail = |what: String| Failure { path: path.to_owned(), line: 1, what };
        let text = fs::read_to_string(path).map_err(|error| fail(error.to_string()))?;
        let mut script =
            Script { path: path.to_owned(), settings: Vec::new(), turns: Vec::new(), notes: Vec::new() };
        for (number, line) in (1..).zip(text.lines()) {
            script.take_line(number, line).map_err(|what| Failure {
                path: path.to_owned(),
                line: number,
                what,
            })?;
        }
        if script.turns.is_empty() {
            return Err(fail("nothing is said".to_owned()));
        }
        Ok(script)
    }

    /// Reads all scripts of a directory, in the order of their names.
    pub fn read_all(directory: &Path) -> Result<Vec<Script>, Failure> {
        super::paths(directory)?.iter().map(|path| Script::read(path)).collect()
    }

    /// The `config:` lines, in order.
    pub fn settings(&self) -> impl Iterator<Item = &str> {
        self.settings.iter().map(String::as_str)
    }

    /// The file's name without its extension.
    pub fn name(&self) -> String {
        self.path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Everything that the client says.
    pub fn client(&self) -> Vec<u8> {
        self.turns.iter().flat_map(|turn| turn.client.iter().copied()).collect()
    }

    /// Runs the script against a subject; the octets of the client come at `pace`.
    pub fn run(&self, subject: &mut impl Subject, pace: Pace) -> Result<(), Failure> {
        let mut run = Run {
            script: self,
            subject,
            now: Instant::now(),
            expected: self.notes.iter().cloned().collect(),
            seen: Vec::new(),
            until: None,
            closed: false,
        };
        self.turns.iter().try_for_each(|turn| run.turn(turn, pace))?;
        run.finish()
    }

    fn take_line(&mut self, number: usize, line: &str) -> Result<(), String> {
        if line.trim().is_empty() || line.starts_with('#') {
            return Ok(());
        }
        if let Some(setting) = line.strip_prefix("config: ") {
            self.settings.push(setting.to_owned());
            return Ok(());
        }
        let after =
            |prefix| line.strip_prefix(prefix).map(|text: &str| text.strip_prefix(' ').unwrap_or(text));
        if let Some(pattern) = after("S:") {
            let expected = Expected { line: number, pattern: pattern.to_owned(), decisions: Vec::new() };
            self.turn(number).server.push(expected);
        } else if let Some(octets) = after("C>") {
            let octets = text::unescape(octets)?;
            self.client_turn(number).client.extend(octets);
        } else if let Some(octets) = after("C:") {
            let octets = text::unescape(octets)?;
            let turn = self.client_turn(number);
            turn.client.extend(octets);
            turn.client.extend(b"\r\n");
        } else {
            let mark = line.strip_prefix("! ").ok_or("a line begins with #, C:, C>, S:, ! or config:")?;
            self.take_mark(number, mark)?;
        }
        Ok(())
    }

    fn take_mark(&mut self, number: usize, mark: &str) -> Result<(), String> {
        let incident = match mark.split_once(' ') {
            Some(("wait", seconds)) => {
                let seconds = seconds.parse().map_err(|_| "`! wait` has a number of seconds")?;
                Incident::Wait(Duration::from_secs(seconds))
            }
            None if mark == "timeout" => Incident::Timeout,
            None if mark == "disconnect" => Incident::Disconnect,
            None if mark == "shutdown" => Incident::ShutDown,
            None if mark == "close" => {
                self.turn(number).closes = true;
                return Ok(());
            }
            _ => {
                self.notes.push(Expected { line: number, pattern: mark.to_owned(), decisions: Vec::new() });
                return Ok(());
            }
        };
        self.turn(number);
        self.turns.push(Turn { line: number, incident: Some(incident), ..Turn::default() });
        Ok(())
    }

    /// The turn in hand.
    fn turn(&mut self, line: usize) -> &mut Turn {
        if self.turns.is_empty() {
            self.turns.push(Turn { line, ..Turn::default() });
        }
        let last = self.turns.len() - 1;
        &mut self.turns[last]
    }

    /// The turn in hand while the client is speaking, else a new one.
    fn client_turn(&mut self, line: usize) -> &mut Turn {
        let speaking = self
            .turns
            .last()
            .is_some_and(|turn| !turn.client.is_empty() && turn.server.is_empty() && !turn.closes);
        if !speaking {
            // The greeting comes first, even if the script does not care how it reads.
            self.turn(line);
            self.turns.push(Turn { line, ..Turn::default() });
        }
        self.turn(line)
    }
}

/// A subject, its clock, and what the script still expects.
struct Run<'a, S> {
    script: &'a Script,
    subject: &'a mut S,
    now: Instant,
    expected: VecDeque<Expected>,
    seen: Vec<String>,
    until: Option<Instant>,
    closed: bool,
}

impl<S: Subject> Run<'_, S> {
    fn turn(&mut self, turn: &Turn, pace: Pace) -> Result<(), Failure> {
        match turn.incident {
            None => {}
            Some(Incident::Wait(time)) => self.now += time,
            Some(Incident::Timeout) => {
                self.now = self.until.ok_or_else(|| self.fail(turn.line, "nothing is waited for".into()))?;
            }
            Some(Incident::Disconnect) => self.subject.endpoint().receive_end(),
            Some(Incident::ShutDown) => self.subject.shut_down(),
        }
        if self.closed && !turn.client.is_empty() {
            return Err(self.fail(turn.line, "the client speaks, but the connection is closed".into()));
        }
        let mut received = Vec::new();
        if turn.client.is_empty() {
            self.drain(&mut received);
        }
        for piece in pieces(&turn.client, pace) {
            self.subject.endpoint().receive(piece);
            self.drain(&mut received);
        }
        match turn.compare(&received) {
            Comparison::Same if turn.closes && !self.closed => {
                Err(self.fail(turn.line, "the connection is still open".into()))
            }
            Comparison::Same => Ok(()),
            Comparison::Incomplete => {
                let line = turn.server.last().map_or(turn.line, |last| last.line);
                Err(self.fail(line, format!("not all came; got\n{}", lines(&received))))
            }
            Comparison::Different { line, expected, got } => {
                let all = lines(&received);
                Err(self.fail(line, format!("expected  {expected}\n      got  {got}\nall that came:\n{all}")))
            }
        }
    }

    /// Steps until the endpoint waits or closes.
    fn drain(&mut self, received: &mut Vec<u8>) {
        loop {
            match self.subject.endpoint().step(self.now) {
                Step::Send(bytes) => received.extend_from_slice(&bytes),
                Step::Event(event) => {
                    if let Some(note) = self.subject.event(event) {
                        self.expected.pop_front_if(|next| text::matches(&next.pattern, &note));
                        self.seen.push(note);
                    }
                }
                // Every handshake succeeds here: what the client says next comes under TLS.
                Step::StartTls => self.subject.endpoint().secured(),
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

    fn finish(self) -> Result<(), Failure> {
        match self.expected.front() {
            None => Ok(()),
            Some(missing) => {
                Err(self.fail(missing.line, format!("this was not noted:  {}", missing.pattern)))
            }
        }
    }

    fn fail(&self, line: usize, what: String) -> Failure {
        let what = format!("{what}\nnoted so far:\n  {}", self.seen.join("\n  "));
        Failure { path: self.script.path.clone(), line, what }
    }
}
