//! What the endpoint tells its application, and what it asks.

use super::notify::Watch;
use crate::answer::Status;
use crate::{
    FetchItem, Flag, ListReturn, ListSelection, Numbers, QResync, SearchKey, SortCriterion, StatusItem,
    StoreKind, ThreadAlgorithm,
};
use bytes::Bytes;
use wire::sasl::SaslMessage;

/// What the application must know or decide. Those that ask stop the endpoint until they are answered.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Tells: TLS was started by STARTTLS, and the session begins anew.
    Secured,
    /// Asks: the peer would log in. Answered with [`super::Server::challenge`], [`super::Server::grant`], [`super::Server::finish`] (which
    /// refuses), or [`super::Server::dismiss`]. LOGIN comes as PLAIN with an initial response (RFC 4616), which says the same.
    Auth(Auth),
    /// Asks: the response to the last challenge. Answered as [`Event::Auth`] is.
    AuthResponse(SaslMessage),
    /// Tells: the exchange is over without a decision; the status is what was answered.
    AuthCancelled(Status),
    /// Tells: what the client is (RFC 2971).
    Client(Vec<(String, Option<String>)>),
    /// Asks for what a command wants. Answered with what there is to tell, and then [`super::Server::finish`]; in between with
    /// [`super::Server::more`] whenever there is no room.
    Request(Box<Request>),
    /// Asks to go on with the request when what was told is on its way.
    More,
    /// Asks for a place for a message of APPEND. Answered with [`super::Server::accept`], or refused with [`super::Server::finish`].
    Append(Append),
    /// Tells: octets of that message, in order.
    Content(Bytes),
    /// Asks: all messages of the APPEND are there. Answered with [`super::Server::finish`] when they are kept.
    AppendEnd,
    /// Tells: the APPEND comes to nothing; what was taken of it is to be forgotten.
    AppendAborted,
    /// Asks, in IDLE and after NOTIFY SET, after [`super::Server::wake`]: what is new? Answered with [`super::Server::looked`].
    Look,
    /// Tells: no mailbox is selected any more.
    Unselected,
    /// Tells: a command was refused without asking (for the log).
    Refused {
        /// What the peer sent, as far as a log may show it.
        line: Bytes,
        /// What was answered.
        status: Status,
    },
    /// Tells, once, before [`wire::Step::Close`]: the connection is over.
    Closing(Closing),
}

/// A login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    /// The name of the mechanism, in upper case: one of those offered.
    pub mechanism: String,
    /// The initial response, which may be empty; `None` when there was none.
    pub initial: Option<SaslMessage>,
}

/// A message that comes by APPEND.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Append {
    /// Where to; `None` for one after the first (RFC 3502), which goes where that one goes.
    pub mailbox: Option<String>,
    /// With these flags.
    pub flags: Vec<Flag>,
    /// When it came: milliseconds since 1970; now when `None`.
    pub date: Option<i64>,
    /// How many octets will come.
    pub length: u64,
}

/// What a command wants of the application. Messages are named by UIDs, and only such are named as the client can know.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    missing_docs,
    reason = "the variants are the commands, the fields their arguments by the names of the RFCs"
)]
pub enum Request {
    /// NOOP and CHECK: what is new?
    Look,
    /// The end of IDLE: what is new?
    Done,
    /// IDLE begins: [`super::Server::looked`] answers it; from now on what comes is to be told at once, after [`super::Server::wake`].
    Idle,
    Select {
        mailbox: String,
        access: Access,
        qresync: Option<QResync>,
    },
    /// Removes what is marked as deleted, without telling of it; only when the mailbox may be written to.
    Close,
    Create {
        mailbox: String,
        uses: Vec<String>,
    },
    Delete(String),
    Rename {
        from: String,
        to: String,
    },
    Subscribe(String),
    Unsubscribe(String),
    List(List),
    Lsub {
        reference: String,
        pattern: String,
    },
    Status {
        mailbox: String,
        items: Vec<StatusItem>,
    },
    GetQuota {
        root: String,
    },
    GetQuotaRoot(String),
    SetQuota {
        root: String,
    },
    /// All that is marked as deleted among these; among all where it is `None`.
    Expunge(Option<Numbers>),
    /// Of what is to be told at any time, after [`super::Server::wake`]; `None`: of nothing.
    Notify(Option<Watch>),
    /// Answered with [`super::Server::found`].
    Search(SearchKey),
    /// Answered with [`super::Server::found`].
    Sort {
        criteria: Vec<SortCriterion>,
        key: SearchKey,
    },
    /// Answered with [`super::Server::threads`].
    Thread {
        algorithm: ThreadAlgorithm,
        key: SearchKey,
    },
    Fetch(Fetch),
    Store(Store),
    Copy {
        uids: Numbers,
        mailbox: String,
        originals: Originals,
    },
}

/// Whether a mailbox may be written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// SELECT.
    ReadWrite,
    /// EXAMINE.
    ReadOnly,
}

/// What becomes of messages that are copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Originals {
    /// COPY.
    Stay,
    /// MOVE (RFC 6851).
    Go,
}

/// LIST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// Which kinds of mailboxes.
    pub selection: Vec<ListSelection>,
    /// Where patterns begin.
    pub reference: String,
    /// Names with `*` and `%`; at least one.
    pub patterns: Vec<String>,
    /// What else is wanted of each.
    pub returns: Vec<ListReturn>,
}

/// FETCH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    /// Of which messages.
    pub uids: Numbers,
    /// What.
    pub items: Vec<FetchItem>,
    /// Only of those that were changed after this.
    pub changed_since: Option<u64>,
    /// The UIDs, as they were asked for, of which those are to be told that are gone since then (RFC 7162 §3.2.6).
    pub vanished: Option<Numbers>,
}

/// STORE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// Of which messages.
    pub uids: Numbers,
    /// Only of those that were not changed after this.
    pub unchanged_since: Option<u64>,
    /// How.
    pub kind: StoreKind,
    /// Whether the client does not want to be told the flags that it gave.
    pub silent: bool,
    /// Which flags.
    pub flags: Vec<Flag>,
}

/// Why a connection is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Closing {
    /// LOGOUT.
    Logout,
    /// The peer went away.
    Disconnected,
    /// Nothing came for too long.
    TimedOut,
    /// Too many errors.
    TooManyErrors,
    /// [`super::Server::shut_down`].
    ShutDown,
    /// The connection was refused from the start, or [`super::Server::dismiss`].
    Refused,
    /// The text of a message broke off.
    ContentLost,
}
