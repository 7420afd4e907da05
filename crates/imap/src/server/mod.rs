//! The server's side of an IMAP connection, without a socket.
//!
//! [`Server`] is an [`wire::Endpoint`]: octets go in, steps come out. It goes through the states of RFC 9051 §3 and keeps what is of the
//! connection alone: the order of commands, tags, literals, what was enabled, and the numbers of the selected mailbox ([`crate::View`]). What
//! needs data or a decision is an [`Event`]. One command is in hand at a time; what is sent meanwhile waits. The application tells what it
//! finds piece by piece, as far as there is room, so that no answer is in memory as a whole.

mod append;
mod auth;
mod command;
mod compress;
mod config;
mod endpoint;
mod event;
mod listing;
mod messages;
mod notify;
pub mod replies;
mod select;
mod tell;

pub use config::{Config, StartTls};
pub use event::{Access, Append, Auth, Closing, Event, Fetch, List, Originals, Request, Store};
pub use notify::{Watch, WatchSelected};
pub use select::Selection;
pub use tell::ROOM;

use crate::answer::{Code, Condition, Names, Status, Style};
use crate::{Assembler, Numbers, SearchReturn, View};
use bytes::{BufMut, Bytes, BytesMut};
use notify::Listening;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;
use wire::Channel;

/// The endpoint.
#[derive(Debug)]
pub struct Server {
    config: Arc<Config>,
    input: Assembler,
    output: BytesMut,
    /// What is to be sent before `output`.
    pieces: VecDeque<Bytes>,
    phase: Phase,
    events: VecDeque<Event>,
    state: State,
    channel: Channel,
    enabled: Enabled,
    /// COMPRESS is on.
    deflate: Option<Box<compress::Deflate>>,
    /// What this peer is offered beyond the configuration: EXTERNAL to one with a certificate.
    own_mechanisms: Vec<String>,
    /// What is to be written after `output`, before anything else.
    listing: Option<Box<listing::Listing>>,
    /// The message of a FETCH that is being told.
    message: Option<tell::Message>,
    shutting_down: Option<Box<Status>>,
    /// The application wants to tell something.
    woken: bool,
    /// When it may.
    listening: Listening,
    errors: u32,
    /// When the connection ends if nothing comes; `None`: to be reckoned anew from now.
    deadline: Option<Instant>,
    /// When a silent IDLE says something.
    still_here: Option<Instant>,
    peer_gone: bool,
}

/// The states of RFC 9051 §3; the state of logout is [`Phase::Closed`].
#[derive(Debug)]
enum State {
    NotAuthenticated,
    Authenticated,
    Selected(Box<Selected>),
}

/// A mailbox that is open.
#[derive(Debug)]
struct Selected {
    view: View,
    access: Access,
    /// `$`: UIDs (RFC 5182).
    saved: Numbers,
    /// Up to which change the application has said what happened.
    noted: u64,
    /// Up to which change the client knows all that happened: the HIGHESTMODSEQ that it may keep (RFC 7162 §3.1.2.1).
    told: u64,
}

/// What the client has switched on (RFC 5161).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Enabled {
    rev2: bool,
    utf8: bool,
    condstore: bool,
    qresync: bool,
}

/// What the endpoint does next.
#[derive(Debug)]
enum Phase {
    /// To greet, or to say this instead and close.
    Start(Option<Box<Status>>),
    /// To read a command.
    Command,
    /// To wait for the application.
    Asked(Box<Question>),
    /// To send what was told and then to ask for more.
    Telling(Box<Question>),
    /// To read the response to a challenge.
    Challenged(String),
    /// To send what is to be sent, and then to have TLS started.
    StartTls,
    /// To send what is to be sent, and then to compress.
    Compress,
    /// To wait until TLS is on.
    Handshake,
    /// To wait for DONE, with the tag of IDLE.
    Idle(String),
    /// To take the octets of a message.
    Appending(Box<append::Appending>),
    /// To tell that messages are gone, as far as there is room, and then to go on.
    Expunging(Box<Expunging>),
    /// Nothing: the connection is over.
    Closed,
}

/// Messages that are gone, and that the client is being told of.
#[derive(Debug)]
struct Expunging {
    /// Their numbers: told from the largest down, none shifts under another.
    left: Numbers,
    then: Then,
}

/// What comes after the client was told that messages are gone.
#[derive(Debug)]
enum Then {
    /// The end of the command with this tag.
    Tagged(String, Status),
    /// More of IDLE, with its tag.
    Idle(String),
    /// The next command.
    Command,
}

/// The event in hand.
#[derive(Debug)]
enum Question {
    /// A login.
    Auth(String),
    /// A command.
    Command(Asked),
    /// [`Event::Append`].
    Append(Box<append::Appending>),
    /// [`Event::AppendEnd`].
    AppendEnd(String),
    /// [`Request::Idle`], or [`Event::Look`] in IDLE, with the tag.
    Idle(String),
    /// [`Event::Look`] between commands.
    Watch,
}

/// A command that the application was asked about.
#[derive(Debug)]
struct Asked {
    tag: String,
    kind: Kind,
    /// Whether the command's numbers are UIDs, so that UIDs belong to its answers.
    uid: bool,
    /// Whether the client may hear now that messages are gone.
    expunges: Expunges,
}

/// What is to be done about the answer to a command.
#[derive(Debug)]
enum Kind {
    Plain,
    /// SELECT and EXAMINE.
    Select(Access),
    /// CLOSE.
    Close,
    /// EXPUNGE and MOVE.
    Expunge,
    /// SEARCH, with what was asked for; `None` without RETURN.
    Search(Option<Vec<SearchReturn>>),
    /// SORT.
    Sort(Option<Vec<SearchReturn>>),
    Thread,
    /// NOTIFY: when the client is to hear of what happens from then on.
    Notify(Listening),
}

/// Whether EXPUNGE may be told before a command is done (RFC 9051 §7.5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expunges {
    Told,
    /// FETCH, STORE, SEARCH, SORT, THREAD: their numbers must not shift.
    Held,
}

impl Server {
    /// A connection that begins with the greeting.
    pub fn new(config: Arc<Config>) -> Server {
        Server::starting(config, None)
    }

    /// A connection that is refused: `status` takes the place of the greeting, and it closes.
    pub fn refuse(config: Arc<Config>, status: Status) -> Server {
        Server::starting(config, Some(Box::new(status)))
    }

    fn starting(config: Arc<Config>, refusal: Option<Box<Status>>) -> Server {
        Server {
            config,
            input: Assembler::new(),
            output: BytesMut::new(),
            pieces: VecDeque::new(),
            phase: Phase::Start(refusal),
            events: VecDeque::new(),
            state: State::NotAuthenticated,
            channel: Channel::Clear,
            enabled: Enabled::default(),
            deflate: None,
            own_mechanisms: Vec::new(),
            listing: None,
            message: None,
            shutting_down: None,
            woken: false,
            listening: Listening::InCommands,
            errors: 0,
            deadline: None,
            still_here: None,
            peer_gone: false,
        }
    }

    /// Ends the command in hand with this: its tag is put before it, and what is to be told of the selected mailbox before that.
    pub fn finish(&mut self, status: Status) {
        debug_assert!(self.message.is_none(), "a message of FETCH is not told to its end");
        // Who has not asked for more has all of it written now.
        self.go_on_listing(usize::MAX);
        match std::mem::replace(&mut self.phase, Phase::Command) {
            Phase::Asked(question) => match *question {
                Question::Auth(tag) => {
                    debug_assert_ne!(status.condition, Condition::Ok, "it is granted otherwise");
                    self.tagged(&tag, &status);
                    self.count_error();
                }
                Question::Append(appending) => self.refuse_append(*appending, &status),
                Question::AppendEnd(tag) => self.tell_vanished(Then::Tagged(tag, status)),
                Question::Command(asked) => self.finish_command(asked, status),
                other @ (Question::Idle(_) | Question::Watch) => self.unasked(Phase::Asked(Box::new(other))),
            },
            other => self.unasked(other),
        }
        self.deadline = None;
    }

    fn finish_command(&mut self, asked: Asked, status: Status) {
        if status.condition == Condition::Ok {
            self.errors = 0;
        }
        match asked.kind {
            Kind::Close => self.unselect(),
            // RFC 9051 §6.3.2: none is selected after that, whatever was told of the mailbox before.
            Kind::Select(_) if status.condition != Condition::Ok => self.unselect(),
            Kind::Notify(listening) if status.condition == Condition::Ok => self.listening = listening,
            Kind::Search(Some(ref returns)) if status.condition != Condition::Ok => {
                // RFC 5182 §2.1: a search that fails leaves nothing behind.
                if let (true, State::Selected(selected)) =
                    (returns.contains(&SearchReturn::Save), &mut self.state)
                {
                    selected.saved = Numbers::new();
                }
            }
            _ => {}
        }
        if asked.expunges == Expunges::Held {
            // What could not be told before the end can be right after it.
            let has_vanished =
                matches!(&self.state, State::Selected(selected) if selected.view.has_vanished());
            self.woken |= has_vanished && self.listening == Listening::Always(Expunges::Told);
            return self.tagged(&asked.tag, &status);
        }
        let status = match &self.state {
            // RFC 7162 §3.2.7, §3.2.9, RFC 6851 §4.4; never with CLOSE, before which the client did not hear of everything.
            State::Selected(selected)
                if selected.view.has_vanished()
                    && self.enabled.qresync
                    && matches!(asked.kind, Kind::Expunge)
                    && status.condition == Condition::Ok =>
            {
                status.with(Code::HighestModSeq(selected.noted))
            }
            _ => status,
        };
        self.tell_vanished(Then::Tagged(asked.tag, status));
    }

    /// Answers the event in hand with `status`, which is a BYE, and closes the connection.
    pub fn dismiss(&mut self, status: &Status) {
        self.untagged_status(status);
        self.close(Closing::Refused);
    }

    /// Answers the event in hand with `status`, a NO. In IDLE, and where no command is in hand, nothing is there to refuse: the connection ends
    /// with it.
    pub fn put_off(&mut self, status: Status) {
        match &self.phase {
            Phase::Asked(question) if matches!(**question, Question::Idle(_) | Question::Watch) => {
                self.dismiss(&Status { condition: Condition::Bye, ..status });
            }
            _ => self.finish(status),
        }
    }

    /// Stops gracefully: the command in hand is done to its end, then `status`, a BYE, is said and the connection closes.
    pub fn shut_down(&mut self, status: Status) {
        self.shutting_down = Some(Box::new(status));
    }

    /// There is something new: [`Event::Look`] will ask for it when it may be told, which is in IDLE, and after NOTIFY SET between commands.
    pub fn wake(&mut self) {
        self.woken = true;
    }

    /// Answers [`Event::Look`] and [`Request::Idle`], after what there is to be told.
    pub fn looked(&mut self) {
        match std::mem::replace(&mut self.phase, Phase::Command) {
            Phase::Asked(question) => match *question {
                Question::Idle(tag) => self.tell_vanished(Then::Idle(tag)),
                Question::Watch if self.listening == Listening::Always(Expunges::Told) => {
                    self.tell_vanished(Then::Command);
                }
                // That messages are gone may be told in commands alone.
                Question::Watch => {}
                other => self.unasked(Phase::Asked(Box::new(other))),
            },
            other => self.unasked(other),
        }
    }

    /// Whether TLS protects the connection.
    pub fn is_secured(&self) -> bool {
        self.channel == Channel::Tls
    }

    /// Whether the peer is logged in.
    pub fn is_logged_in(&self) -> bool {
        !matches!(self.state, State::NotAuthenticated)
    }

    /// Whether the client has asked for mod-sequences (RFC 7162 §3.1), so that they belong to whatever is told of flags.
    pub fn wants_mod_seqs(&self) -> bool {
        self.enabled.condstore
    }

    /// Whether IMAP4rev2 is enabled.
    pub fn is_rev2(&self) -> bool {
        self.enabled.rev2
    }

    /// How many octets are held: input that was not yet read, and answers that were not yet sent.
    pub fn buffered(&self) -> usize {
        let compressed = self.deflate.as_ref().map_or(0, |deflate| deflate.len());
        self.input.len() + compressed + self.output.len() + self.pieces.iter().map(Bytes::len).sum::<usize>()
    }

    /// How text beyond ASCII is written in this session: the client may have enabled UTF-8.
    pub fn names(&self) -> Names {
        if self.enabled.rev2 || self.enabled.utf8 { Names::Utf8 } else { Names::Utf7 }
    }

    fn style(&self) -> Style {
        Style { names: self.names() }
    }

    fn unasked(&mut self, phase: Phase) {
        debug_assert!(false, "an answer without a question");
        self.phase = phase;
    }

    fn ask(&mut self, event: Event, question: Question) {
        self.phase = Phase::Asked(Box::new(question));
        self.events.push_back(event);
    }

    fn tagged(&mut self, tag: &str, status: &Status) {
        self.output.put_slice(tag.as_bytes());
        self.output.put_u8(b' ');
        status.write(&mut self.output);
    }

    fn untagged_status(&mut self, status: &Status) {
        self.output.put_slice(b"* ");
        status.write(&mut self.output);
    }

    /// Says `+` and a text.
    fn continuation(&mut self, text: &str) {
        self.output.put_slice(b"+ ");
        self.output.put_slice(text.as_bytes());
        self.output.put_slice(b"\r\n");
    }

    /// Counts an error; one too many is the last thing said.
    fn count_error(&mut self) {
        self.errors += 1;
        if self.errors > self.config.max_errors {
            self.untagged_status(&replies::TOO_MANY_ERRORS);
            self.close(Closing::TooManyErrors);
        }
    }

    /// What there is now, by the names of RFC 9051 §7.2.2.
    fn capabilities(&self) -> Vec<String> {
        let mut names: Vec<String> = ALWAYS.iter().map(|name| (*name).to_owned()).collect();
        if self.is_logged_in() {
            names.extend(LOGGED_IN.iter().map(|name| (*name).to_owned()));
            names.push(format!("APPENDLIMIT={}", self.config.append_limit));
            if self.deflate.is_none() {
                names.push("COMPRESS=DEFLATE".to_owned());
            }
            return names;
        }
        names.push("SASL-IR".to_owned());
        if self.channel == Channel::Clear && self.config.start_tls == StartTls::Offered {
            names.push("STARTTLS".to_owned());
        }
        if !self.takes_passwords() {
            names.push("LOGINDISABLED".to_owned());
        }
        names.extend(self.mechanisms().map(|name| format!("AUTH={name}")));
        names
    }

    fn capability_code(&self) -> Code {
        Code::Capability(self.capabilities())
    }

    fn close(&mut self, closing: Closing) {
        if matches!(self.phase, Phase::Closed) {
            return;
        }
        self.phase = Phase::Closed;
        self.input = Assembler::new();
        self.state = State::NotAuthenticated;
        (self.message, self.listing) = (None, None);
        self.events.push_back(Event::Closing(closing));
    }
}

/// What is offered in every state.
const ALWAYS: &[&str] = &["IMAP4rev1", "IMAP4rev2", "LITERAL+", "ID", "ENABLE"];
/// What is offered to who is logged in.
const LOGGED_IN: &[&str] = &[
    "IDLE",
    "NAMESPACE",
    "UIDPLUS",
    "MOVE",
    "UNSELECT",
    "CHILDREN",
    "SPECIAL-USE",
    "CREATE-SPECIAL-USE",
    "LIST-EXTENDED",
    "LIST-STATUS",
    "STATUS=SIZE",
    "ESEARCH",
    "SEARCHRES",
    "CONDSTORE",
    "QRESYNC",
    "NOTIFY",
    "MULTIAPPEND",
    "QUOTA",
    "QUOTA=RES-STORAGE",
    "QUOTA=RES-MESSAGE",
    "BINARY",
    "SORT",
    "SORT=DISPLAY",
    "ESORT",
    "THREAD=ORDEREDSUBJECT",
    "THREAD=REFERENCES",
    "WITHIN",
    "PREVIEW",
    "OBJECTID",
    "UTF8=ACCEPT",
];
