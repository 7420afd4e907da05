//! The commands, as values.

use crate::{
    FetchItem, FetchModifier, Flag, Notify, SearchKey, SearchReturn, SequenceSet, SortCriterion,
    ThreadAlgorithm,
};
use wire::sasl::SaslMessage;

/// A command with its tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// What the answer begins with.
    pub tag: String,
    /// What is wanted.
    pub body: Body,
}

/// The name of a mailbox as it came: UTF-8, or what [`crate::utf7::decode`] reads. INBOX in any case is `INBOX`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mailbox(pub String);

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the variants are the commands, the fields their arguments by the names of the RFCs"
)]
pub enum Body {
    // Any state (RFC 9051 §6.1, RFC 2971, RFC 4978).
    Capability,
    Noop,
    Logout,
    /// `None` is NIL; values may be NIL.
    Id(Option<Vec<(String, Option<String>)>>),
    Compress {
        algorithm: String,
    },
    // Not authenticated (§6.2).
    StartTls,
    Authenticate {
        mechanism: String,
        initial: Option<SaslMessage>,
    },
    Login {
        user: String,
        password: SaslMessage,
    },
    // Authenticated (§6.3, RFC 9208).
    Enable(Vec<String>),
    Select {
        mailbox: Mailbox,
        parameters: Vec<SelectParameter>,
    },
    Examine {
        mailbox: Mailbox,
        parameters: Vec<SelectParameter>,
    },
    /// With the special uses asked for, without their backslash (RFC 6154).
    Create {
        mailbox: Mailbox,
        uses: Vec<String>,
    },
    Delete(Mailbox),
    Rename {
        from: Mailbox,
        to: Mailbox,
    },
    Subscribe(Mailbox),
    Unsubscribe(Mailbox),
    List(ListOptions),
    Lsub {
        reference: Mailbox,
        pattern: String,
    },
    Namespace,
    Status {
        mailbox: Mailbox,
        items: Vec<StatusItem>,
    },
    Append(Append),
    Idle,
    Notify(Notify),
    GetQuota {
        root: String,
    },
    GetQuotaRoot(Mailbox),
    SetQuota {
        root: String,
        limits: Vec<(String, u64)>,
    },
    // Selected (§6.4, RFC 6851, RFC 5256). `uid` says that numbers are UIDs.
    Check,
    Close,
    Unselect,
    Expunge,
    UidExpunge(SequenceSet),
    Search {
        uid: bool,
        returns: Option<Vec<SearchReturn>>,
        charset: Option<String>,
        key: SearchKey,
    },
    Sort {
        uid: bool,
        returns: Option<Vec<SearchReturn>>,
        criteria: Vec<SortCriterion>,
        charset: String,
        key: SearchKey,
    },
    Thread {
        uid: bool,
        algorithm: ThreadAlgorithm,
        charset: String,
        key: SearchKey,
    },
    Fetch {
        uid: bool,
        set: SequenceSet,
        items: Vec<FetchItem>,
        modifiers: Vec<FetchModifier>,
    },
    Store {
        uid: bool,
        set: SequenceSet,
        unchanged_since: Option<u64>,
        kind: StoreKind,
        silent: bool,
        flags: Vec<Flag>,
    },
    Copy {
        uid: bool,
        set: SequenceSet,
        mailbox: Mailbox,
    },
    Move {
        uid: bool,
        set: SequenceSet,
        mailbox: Mailbox,
    },
}

/// What STORE does with flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StoreKind {
    /// FLAGS: these and no others.
    Replace,
    /// +FLAGS.
    Add,
    /// -FLAGS.
    Remove,
}

/// A parameter of SELECT and EXAMINE (RFC 7162).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SelectParameter {
    /// CONDSTORE.
    CondStore,
    /// QRESYNC.
    QResync(QResync),
}

/// What a client knows of a mailbox (RFC 7162 §3.2.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QResync {
    /// Its UIDVALIDITY.
    pub uid_validity: u32,
    /// The last change that it has seen.
    pub mod_seq: u64,
    /// The UIDs that it knows; all when `None`.
    pub known: Option<SequenceSet>,
    /// Some message numbers, and the UIDs that they had.
    pub matches: Option<(SequenceSet, SequenceSet)>,
}

/// LIST (RFC 9051 §6.3.9).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListOptions {
    /// Which kinds of mailboxes.
    pub selection: Vec<ListSelection>,
    /// Where patterns begin.
    pub reference: Mailbox,
    /// Names with `*` and `%`; at least one.
    pub patterns: Vec<String>,
    /// What else is wanted of each.
    pub returns: Vec<ListReturn>,
}

/// A selection option of LIST.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the variants are the words of RFC 9051 §6.3.9.1 and RFC 6154")]
pub enum ListSelection {
    Subscribed,
    Remote,
    RecursiveMatch,
    SpecialUse,
}

/// A return option of LIST.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the variants are the words of RFC 9051 §6.3.9.2 and RFC 6154")]
pub enum ListReturn {
    Subscribed,
    Children,
    SpecialUse,
    Status(Vec<StatusItem>),
}

/// What STATUS asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the variants are the words of RFC 9051 §6.3.11 and its extensions")]
pub enum StatusItem {
    Messages,
    UidNext,
    UidValidity,
    Unseen,
    Deleted,
    DeletedStorage,
    Size,
    /// Of revision 1.
    Recent,
    HighestModSeq,
    AppendLimit,
    MailboxId,
}

/// APPEND up to the literal of its first message. What comes then is the text, which is no part of the value, and after it either CRLF or,
/// with MULTIAPPEND, another message: [`Append::parse_next`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Append {
    /// Where to; `None` for a message after the first.
    pub mailbox: Option<Mailbox>,
    /// With these flags.
    pub flags: Vec<Flag>,
    /// When it came: milliseconds since 1970; now when `None`.
    pub date: Option<i64>,
    /// How the text comes.
    pub literal: LiteralHeader,
}

/// What stands before the octets of a literal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LiteralHeader {
    /// How many octets follow.
    pub length: u64,
    /// Whether the client waits to be told to go on (RFC 7888: not with `+`).
    pub waits: bool,
    /// Whether there may be NULs among them (`~{…}`, RFC 3516).
    pub binary: bool,
    /// What stands behind them.
    pub behind: Behind,
}

/// What stands behind the octets of a literal before the line goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Behind {
    /// Nothing.
    Nothing,
    /// A parenthesis: that of `UTF8 (~{…}` in APPEND (RFC 6855 §4).
    Parenthesis,
}

impl Mailbox {
    /// A name as it came.
    pub fn new(name: String) -> Mailbox {
        if name.eq_ignore_ascii_case("INBOX") { Mailbox("INBOX".to_owned()) } else { Mailbox(name) }
    }
}
