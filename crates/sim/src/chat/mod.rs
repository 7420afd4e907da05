//! Transcripts: what a client says, what the server must answer, and what its application is told and
//! decides.
//!
//! A chat is a text file, one thing a line:
//!
//! ```text
//! # A comment.
//! config: lmtp                      settings of the server; see `Setup`
//! only: endpoint                    needs decisions, settings or time that a real server does not offer to a test
//!
//! S: 220 mx.example ESMTP           a line of a reply; `...` stands for any text
//! S: ...                            alone: all further lines of this reply
//! C: MAIL FROM:<a@b.example>        a line that the client sends, with CRLF
//! C> abc                            octets that the client sends as they are
//! ! mail <a@b.example> -> accept    an event, and the decision (`accept`, or a reply such as `550 5.1.1 No`)
//! ! auth LOGIN -> challenge User:   the same with a challenge; after `with` stands an initial response, decoded
//! ! wait 60                         seconds pass
//! ! timeout                         time passes until the server acts on it
//! ! disconnect                      the client goes away
//! ! shutdown                        the server is told to stop
//! ! close                           the server has closed the connection
//! ```
//!
//! In `C:` and `C>` lines, and in the content of events, `\r \n \t \0 \\ \xNN` are octets, and `{text*N}`
//! repeats. Events that a chat does not name are accepted; those that it names must come, in order. `!
//! content` is all content of a transaction. [`Chat::run`] holds the pure endpoint to it; [`Chat::turns`] is
//! for those who speak over a socket.

mod run;
pub mod script;
mod text;

pub use run::Pace;

use smtp::server::{Config, LineEndings, MailNeeds, StartTls};
use smtp::{InClear, Protocol};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A transcript.
#[derive(Debug, Clone)]
pub struct Chat {
    path: PathBuf,
    setup: Setup,
    needs_endpoint: bool,
    turns: Vec<Turn>,
}

/// The settings of the server that a chat speaks to, each written `config: SETTING`: `lmtp`, `host NAME`, `banner
/// TEXT`, `max-size OCTETS`, `max-recipients N`, `max-errors N`, `refuse REPLY`, `greeting-delay SECONDS`,
/// `starttls`, `tls` (from the start), `auth MECHANISM ...`, `auth-in-clear`, `needs-auth`, `normalise`, `text-line-max
/// OCTETS`, `xclient`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// The endpoint's own.
    pub config: Config,
    /// The reply that takes the place of the greeting.
    pub refusal: Option<smtp::Reply>,
    /// When TLS begins.
    pub tls: Tls,
    /// Whether the client may use XCLIENT.
    pub proxy: Proxy,
}

/// When TLS begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tls {
    /// With STARTTLS, if at all.
    #[default]
    Later,
    /// Before the protocol.
    FromTheStart,
}

/// Whether the client is a proxy that is trusted to say for whom it speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Proxy {
    /// It is not.
    #[default]
    None,
    /// It is.
    Trusted,
}

/// What the client does, and what the server answers before the client does more.
#[derive(Debug, Clone, Default)]
pub struct Turn {
    /// The line of the file at which it begins.
    pub line: usize,
    /// What happens first, if not only octets come.
    pub incident: Option<Incident>,
    /// What the client sends.
    pub client: Vec<u8>,
    /// The lines of the replies, without CRLF.
    pub server: Vec<Expected>,
    /// The events that must come, each with the line of the file.
    pub events: Vec<Expected>,
    /// Whether the server must have closed the connection at the end.
    pub closes: bool,
}

/// A line that must come: `...` stands for any text.
#[derive(Debug, Clone)]
pub struct Expected {
    /// The line of the file.
    pub line: usize,
    /// The pattern.
    pub pattern: String,
    /// For an event: the decisions, in the text of replies; none means acceptance.
    pub decisions: Vec<String>,
}

/// Something that happens beside the octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Incident {
    /// Time passes.
    Wait(Duration),
    /// Time passes until the server does something.
    Timeout,
    /// The client goes away.
    Disconnect,
    /// The server is told to stop.
    ShutDown,
}

/// What was received so far, held against what is expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Comparison {
    /// Everything came, and nothing else.
    Same,
    /// More must come.
    Incomplete,
    /// Something else came.
    Different {
        /// The line of the file.
        line: usize,
        /// What was expected, or that nothing was.
        expected: String,
        /// What came.
        got: String,
    },
}

/// A chat that does not hold, or cannot be read: where, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The file.
    pub path: PathBuf,
    /// The line in it.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

impl Chat {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Chat, Failure> {
        let fail = |what: String| Failure { path: path.to_owned(), line: 1, what };
        let text = fs::read_to_string(path).map_err(|error| fail(error.to_string()))?;
        Chat::parse(path, &text)
    }

    /// Reads all chats of a directory, in the order of their names.
    pub fn read_all(directory: &Path) -> Result<Vec<Chat>, Failure> {
        paths(directory)?.iter().map(|path| Chat::read(path)).collect()
    }

    /// Reads a chat from its text; `path` is for messages.
    pub fn parse(path: &Path, text: &str) -> Result<Chat, Failure> {
        let setup =
            Setup { config: Config::new("mx.example"), refusal: None, tls: Tls::Later, proxy: Proxy::None };
        let mut chat = Chat { path: path.to_owned(), setup, needs_endpoint: false, turns: Vec::new() };
        for (number, line) in (1..).zip(text.lines()) {
            chat.take_line(number, line.trim_end()).map_err(|what| Failure {
                path: path.to_owned(),
                line: number,
                what,
            })?;
        }
        if chat.turns.is_empty() {
            return Err(Failure { path: path.to_owned(), line: 1, what: "nothing is said".to_owned() });
        }
        Ok(chat)
    }

    /// The file's name without its extension.
    pub fn name(&self) -> String {
        self.path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Whether it holds only for the endpoint itself, and not over a socket to a server with its own
    /// settings.
    pub fn needs_endpoint(&self) -> bool {
        self.needs_endpoint
    }

    /// The settings.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// The turns, in order. The first has no octets of the client: it is the greeting.
    pub fn turns(&self) -> &[Turn] {
        &self.turns
    }

    fn take_line(&mut self, number: usize, line: &str) -> Result<(), String> {
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        if let Some(setting) = line.strip_prefix("config: ") {
            return self.setup.set(setting);
        }
        if line == "only: endpoint" {
            self.needs_endpoint = true;
            return Ok(());
        }
        if let Some(text) = line.strip_prefix("S:") {
            let pattern = text.strip_prefix(' ').unwrap_or(text).to_owned();
            self.turn(number).server.push(Expected { line: number, pattern, decisions: Vec::new() });
            return Ok(());
        }
        if let Some(text) = line.strip_prefix("C>") {
            let octets = text::unescape(text.strip_prefix(' ').unwrap_or(text))?;
            self.client_turn(number).client.extend(octets);
            return Ok(());
        }
        if let Some(text) = line.strip_prefix("C:") {
            let octets = text::unescape(text.strip_prefix(' ').unwrap_or(text))?;
            let turn = self.client_turn(number);
            turn.client.extend(octets);
            turn.client.extend(b"\r\n");
            return Ok(());
        }
        let text = line.strip_prefix("! ").ok_or("a line begins with #, C:, C>, S:, ! or a header")?;
        self.take_mark(number, text)
    }

    fn take_mark(&mut self, number: usize, text: &str) -> Result<(), String> {
        let incident = match text.split_once(' ') {
            Some(("wait", seconds)) => {
                let seconds = seconds.parse().map_err(|_| "`! wait` has a number of seconds")?;
                Incident::Wait(Duration::from_secs(seconds))
            }
            None if text == "timeout" => Incident::Timeout,
            None if text == "disconnect" => Incident::Disconnect,
            None if text == "shutdown" => Incident::ShutDown,
            None if text == "close" => {
                self.turn(number).closes = true;
                return Ok(());
            }
            _ => return self.take_event(number, text),
        };
        // The connection is there first, even if nobody says anything.
        self.turn(number);
        self.turns.push(Turn { line: number, incident: Some(incident), ..Turn::default() });
        Ok(())
    }

    fn take_event(&mut self, number: usize, text: &str) -> Result<(), String> {
        let (pattern, decisions) = match text.rsplit_once(" -> ") {
            None => (text, Vec::new()),
            Some((pattern, "accept")) => (pattern, Vec::new()),
            Some((pattern, replies)) => (pattern, replies.split(" | ").map(str::to_owned).collect()),
        };
        for decision in decisions.iter().filter(|decision| text::challenge(decision).is_none()) {
            text::reply(decision)?;
        }
        let kind = pattern.split(' ').next().unwrap_or_default();
        if !run::EVENTS.contains(&kind) {
            return Err(format!("there is no event `{kind}`; there are {}", run::EVENTS.join(", ")));
        }
        let expected = Expected { line: number, pattern: pattern.to_owned(), decisions };
        self.turn(number).events.push(expected);
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
        let speaking = self.turns.last().is_some_and(|turn| {
            !turn.client.is_empty() && turn.server.is_empty() && turn.events.is_empty() && !turn.closes
        });
        if !speaking {
            // The greeting comes first, even if the chat does not care how it reads.
            self.turn(line);
            self.turns.push(Turn { line, ..Turn::default() });
        }
        self.turn(line)
    }
}

impl Setup {
    fn set(&mut self, setting: &str) -> Result<(), String> {
        let number = |text: &str| text.parse::<u64>().map_err(|_| format!("`{text}` is no number"));
        match setting.split_once(' ') {
            None if setting == "lmtp" => self.config.protocol = Protocol::Lmtp,
            Some(("host", name)) => self.config.host_name = name.to_owned(),
            Some(("banner", text)) => self.config.banner = Some(text.to_owned()),
            Some(("max-size", octets)) => self.config.max_message_size = number(octets)?,
            Some(("max-recipients", n)) => self.config.max_recipients = number(n)? as usize,
            Some(("max-errors", n)) => self.config.max_errors = number(n)? as u32,
            Some(("greeting-delay", seconds)) => {
                self.config.greeting_delay = Duration::from_secs(number(seconds)?);
            }
            None if setting == "starttls" => self.config.starttls = StartTls::Offered,
            None if setting == "tls" => self.tls = Tls::FromTheStart,
            Some(("auth", names)) => {
                self.config.auth.mechanisms = names.split(' ').map(str::to_owned).collect();
            }
            None if setting == "auth-in-clear" => self.config.auth.in_clear = InClear::Allow,
            None if setting == "needs-auth" => self.config.mail_needs = MailNeeds::Authentication,
            None if setting == "normalise" => self.config.line_endings = LineEndings::Normalise,
            Some(("text-line-max", octets)) => self.config.text_line_max = Some(number(octets)? as usize),
            None if setting == "xclient" => self.proxy = Proxy::Trusted,
            Some(("refuse", reply)) => self.refusal = Some(text::reply(reply)?),
            _ => return Err(format!("there is no setting `{setting}`")),
        }
        Ok(())
    }
}

impl Turn {
    /// Holds what was received in this turn, replies with their CRLFs, against what is expected.
    pub fn compare(&self, received: &[u8]) -> Comparison {
        let received = String::from_utf8_lossy(received);
        let mut expected = self.server.iter().peekable();
        let mut line_now = self.line;
        let mut rest_of_reply = false;
        for got in received.split_inclusive("\r\n") {
            let Some(got) = got.strip_suffix("\r\n") else { return Comparison::Incomplete };
            if rest_of_reply {
                rest_of_reply = got.as_bytes().get(3) == Some(&b'-');
                continue;
            }
            let different = |line, expected: &str| Comparison::Different {
                line,
                expected: expected.to_owned(),
                got: got.to_owned(),
            };
            let Some(next) = expected.next() else { return different(line_now, "nothing more") };
            line_now = next.line;
            if next.pattern == "..." {
                rest_of_reply = got.as_bytes().get(3) == Some(&b'-');
            } else if !text::matches(&next.pattern, got) {
                return different(next.line, &next.pattern);
            }
        }
        if rest_of_reply || expected.peek().is_some() { Comparison::Incomplete } else { Comparison::Same }
    }
}

/// The chats of a directory, in the order of their names.
fn paths(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let fail =
        |error: std::io::Error| Failure { path: directory.to_owned(), line: 1, what: error.to_string() };
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).map_err(fail)? {
        paths.push(entry.map_err(fail)?.path());
    }
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "chat"));
    paths.sort();
    Ok(paths)
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path.display(), self.line, self.what)
    }
}

impl std::error::Error for Failure {}
