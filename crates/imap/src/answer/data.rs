//! What is told about mailboxes and messages without being asked, or before a command is done (RFC 9051 §7.2 to §7.4, and extensions).

use super::encode::{self, Style};
use crate::{Flag, Numbers};
use bytes::{BufMut, BytesMut};
use std::fmt::Write;

/// An answer in one piece, without a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Untagged {
    /// LIST.
    List(ListEntry),
    /// LIST of a mailbox that had another name (RFC 5465 §5.4, RFC 9051 §7.3.1, OLDNAME).
    Renamed {
        /// How it is now.
        entry: ListEntry,
        /// Its name before.
        old_name: String,
    },
    /// LSUB, of revision 1.
    Lsub(ListEntry),
    /// STATUS.
    Status(MailboxData),
    /// NAMESPACE (RFC 2342).
    Namespace(Namespaces),
    /// QUOTA (RFC 9208 §4.2.1).
    Quota {
        /// The root's name.
        root: String,
        /// What there is of each.
        resources: Vec<QuotaResource>,
    },
    /// QUOTAROOT (RFC 9208 §4.2.2).
    QuotaRoot {
        /// The mailbox's name.
        mailbox: String,
        /// The roots that bound it.
        roots: Vec<String>,
    },
    /// Of messages gone (RFC 7162 §3.2.10).
    Vanished {
        /// Whether they were gone before the client could see it.
        earlier: bool,
        /// Their UIDs.
        uids: Numbers,
    },
}

/// A mailbox in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListEntry {
    /// Its name.
    pub name: String,
    /// What is said about it.
    pub attributes: Vec<Attribute>,
    /// It is in the list because subscribed mailboxes are below it (RFC 5258 §4, CHILDINFO).
    pub has_subscribed_children: bool,
}

/// What a list says about a mailbox (RFC 9051 §7.3.1, RFC 6154 §2).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the variants are the attributes, by their names")]
pub enum Attribute {
    NonExistent,
    NoSelect,
    HasChildren,
    HasNoChildren,
    Subscribed,
    /// A special use, without its backslash.
    Use(String),
}

/// STATUS of a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailboxData {
    /// Its name.
    pub name: String,
    /// What was asked for.
    pub values: Vec<StatusValue>,
}

/// One item of STATUS.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the variants are the items, by the names of RFC 9051 §6.3.11")]
pub enum StatusValue {
    Messages(u64),
    UidNext(u32),
    UidValidity(u32),
    Unseen(u64),
    Deleted(u64),
    /// In units of 1024 octets.
    DeletedStorage(u64),
    Size(u64),
    Recent(u64),
    HighestModSeq(u64),
    AppendLimit(u64),
    MailboxId(String),
}

/// Where mailboxes are: one's own alone (RFC 9051 §6.3.10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespaces {
    /// What stands before each name of one's own.
    pub prefix: String,
}

/// How much of something there is and may be (RFC 9208 §5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaResource {
    /// STORAGE (in units of 1024 octets) or MESSAGE.
    pub name: &'static str,
    /// Used.
    pub usage: u64,
    /// At most.
    pub limit: u64,
}

/// What a search found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// The UIDs, in the order of the answer.
    pub uids: Vec<u32>,
    /// Mod-sequences of those, if the search was about mod-sequences (RFC 7162 §3.1.5).
    pub mod_seqs: Option<FoundModSeqs>,
}

/// Mod-sequences of what a search found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundModSeqs {
    /// That of the first message of the answer.
    pub first: u64,
    /// That of the last.
    pub last: u64,
    /// The largest of all.
    pub highest: u64,
}

impl FoundModSeqs {
    /// Of messages with these, in the order of the answer; `None` of none.
    pub fn of(mod_seqs: impl IntoIterator<Item = u64>) -> Option<FoundModSeqs> {
        mod_seqs.into_iter().fold(None, |found, mod_seq| Some(FoundModSeqs::with(found, mod_seq)))
    }

    /// The same with one message more, which comes after those.
    pub fn with(found: Option<FoundModSeqs>, last: u64) -> FoundModSeqs {
        let before = found.unwrap_or(FoundModSeqs { first: last, last, highest: last });
        FoundModSeqs { last, highest: before.highest.max(last), ..before }
    }
}

/// ESEARCH (RFC 4731), with the numbers as they are to be said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Esearch {
    /// Whether the numbers are UIDs.
    pub uid: bool,
    /// The least; `None`: not asked for, or there is none.
    pub min: Option<u32>,
    /// The largest.
    pub max: Option<u32>,
    /// All, in the order of a sort as runs that ascend.
    pub all: Option<String>,
    /// How many.
    pub count: Option<u64>,
    /// The largest mod-sequence.
    pub mod_seq: Option<u64>,
}

/// One message of a thread (RFC 5256 §4). Threads are told as lists of these: each message before the answers to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threaded {
    /// How deep it lies: 0 begins a thread; one more than the message that it answers.
    pub depth: u32,
    /// Its UID; `None` for a message that is answered and missing, which only begins a thread.
    pub uid: Option<u32>,
}

impl Untagged {
    /// Writes it, with its `*` and CRLF.
    pub(crate) fn write(&self, out: &mut BytesMut, style: Style) {
        out.put_slice(b"* ");
        match self {
            Untagged::List(entry) => entry.write(out, style, "LIST"),
            Untagged::Renamed { entry, old_name } => {
                entry.write(out, style, "LIST");
                out.put_slice(b" (\"OLDNAME\" (");
                encode::mailbox(out, style, old_name);
                out.put_slice(b"))");
            }
            Untagged::Lsub(entry) => entry.write(out, style, "LSUB"),
            Untagged::Status(data) => data.write(out, style),
            Untagged::Namespace(namespaces) => {
                out.put_slice(b"NAMESPACE ((");
                encode::string(out, style, namespaces.prefix.as_bytes());
                out.put_slice(b" \"/\")) NIL NIL");
            }
            Untagged::Quota { root, resources } => {
                out.put_slice(b"QUOTA ");
                encode::astring(out, style, root.as_bytes());
                out.put_u8(b' ');
                encode::list(out, resources, |out, resource| {
                    write!(out, "{} {} {}", resource.name, resource.usage, resource.limit)
                        .expect("a buffer takes everything");
                });
            }
            Untagged::QuotaRoot { mailbox, roots } => {
                out.put_slice(b"QUOTAROOT ");
                encode::mailbox(out, style, mailbox);
                for root in roots {
                    out.put_u8(b' ');
                    encode::astring(out, style, root.as_bytes());
                }
            }
            Untagged::Vanished { earlier, uids } => {
                let earlier = if *earlier { "(EARLIER) " } else { "" };
                write!(out, "VANISHED {earlier}{uids}").expect("a buffer takes everything");
            }
        }
        out.put_slice(b"\r\n");
    }
}

impl ListEntry {
    fn write(&self, out: &mut BytesMut, style: Style, kind: &str) {
        out.put_slice(kind.as_bytes());
        out.put_u8(b' ');
        encode::list(out, &self.attributes, |out, attribute| {
            out.put_u8(b'\\');
            encode::atom(out, attribute.name());
        });
        out.put_slice(b" \"/\" ");
        encode::mailbox(out, style, &self.name);
        if self.has_subscribed_children {
            out.put_slice(b" (\"CHILDINFO\" (\"SUBSCRIBED\"))");
        }
    }
}

impl Attribute {
    fn name(&self) -> &str {
        match self {
            Attribute::NonExistent => "NonExistent",
            Attribute::NoSelect => "Noselect",
            Attribute::HasChildren => "HasChildren",
            Attribute::HasNoChildren => "HasNoChildren",
            Attribute::Subscribed => "Subscribed",
            Attribute::Use(name) => name,
        }
    }
}

impl MailboxData {
    fn write(&self, out: &mut BytesMut, style: Style) {
        out.put_slice(b"STATUS ");
        encode::mailbox(out, style, &self.name);
        out.put_u8(b' ');
        encode::list(out, &self.values, |out, value| {
            let (name, number) = match value {
                StatusValue::Messages(value) => ("MESSAGES", *value),
                StatusValue::UidNext(value) => ("UIDNEXT", u64::from(*value)),
                StatusValue::UidValidity(value) => ("UIDVALIDITY", u64::from(*value)),
                StatusValue::Unseen(value) => ("UNSEEN", *value),
                StatusValue::Deleted(value) => ("DELETED", *value),
                StatusValue::DeletedStorage(value) => ("DELETED-STORAGE", *value),
                StatusValue::Size(value) => ("SIZE", *value),
                StatusValue::Recent(value) => ("RECENT", *value),
                StatusValue::HighestModSeq(value) => ("HIGHESTMODSEQ", *value),
                StatusValue::AppendLimit(value) => ("APPENDLIMIT", *value),
                StatusValue::MailboxId(id) => {
                    out.put_slice(b"MAILBOXID (");
                    encode::atom(out, id);
                    return out.put_u8(b')');
                }
            };
            write!(out, "{name} {number}").expect("a buffer takes everything");
        });
    }
}

impl Esearch {
    /// Writes it; `tag` is that of the command.
    pub(crate) fn write(&self, out: &mut BytesMut, tag: &str) {
        out.put_slice(b"* ESEARCH (TAG ");
        encode::string(out, Style::default(), tag.as_bytes());
        out.put_u8(b')');
        if self.uid {
            out.put_slice(b" UID");
        }
        let numbers = [
            ("MIN", self.min.map(u64::from)),
            ("MAX", self.max.map(u64::from)),
            ("COUNT", self.count),
            ("MODSEQ", self.mod_seq),
        ];
        for (name, number) in numbers {
            if let Some(number) = number {
                write!(out, " {name} {number}").expect("a buffer takes everything");
            }
        }
        if let Some(all) = &self.all {
            write!(out, " ALL {all}").expect("a buffer takes everything");
        }
        out.put_slice(b"\r\n");
    }
}

/// Writes what stands at the end of SEARCH and SORT (RFC 7162 §3.1.5).
pub(crate) fn write_mod_seq(out: &mut BytesMut, mod_seq: u64) {
    write!(out, " (MODSEQ {mod_seq})").expect("a buffer takes everything");
}

/// Writes FLAGS.
pub(crate) fn write_flags(out: &mut BytesMut, flags: &[Flag]) {
    out.put_slice(b"* FLAGS ");
    encode::list(out, flags, |out, flag| flag.write(out));
    out.put_slice(b"\r\n");
}

/// Writes ENABLED or CAPABILITY.
pub(crate) fn write_names<'a>(out: &mut BytesMut, kind: &str, names: impl IntoIterator<Item = &'a str>) {
    out.put_slice(b"* ");
    out.put_slice(kind.as_bytes());
    for name in names {
        out.put_u8(b' ');
        encode::atom(out, name);
    }
    out.put_slice(b"\r\n");
}

/// Writes ID (RFC 2971).
pub(crate) fn write_id(out: &mut BytesMut, pairs: &[(String, String)]) {
    out.put_slice(b"* ID ");
    if pairs.is_empty() {
        out.put_slice(b"NIL");
    } else {
        let words = pairs.iter().flat_map(|(name, value)| [name, value]);
        encode::list(out, words, |out, word| encode::string(out, Style::default(), word.as_bytes()));
    }
    out.put_slice(b"\r\n");
}

/// Writes THREAD. What is nested deep takes no more than a list: how many answers a message has is counted before.
pub(crate) fn write_threads(out: &mut BytesMut, threads: &[Threaded], number: impl Fn(u32) -> Option<u32>) {
    let answers = answers(threads);
    out.put_slice(b"* THREAD");
    if !threads.is_empty() {
        out.put_u8(b' ');
    }
    // The depths at which a parenthesis is open.
    let mut open: Vec<u32> = Vec::new();
    let mut alone = true;
    for (place, message) in threads.iter().enumerate() {
        while open.last().is_some_and(|depth| *depth >= message.depth) {
            open.pop();
            out.put_u8(b')');
        }
        let is_branch = message.depth == 0 || answers[place].1 > 1;
        if is_branch {
            // Between a number and the first of several answers stands a space.
            if message.depth > 0 && out.last().is_some_and(u8::is_ascii_digit) {
                out.put_u8(b' ');
            }
            out.put_u8(b'(');
            open.push(message.depth);
            alone = true;
        }
        if let Some(number) = message.uid.and_then(&number) {
            let space = if alone { "" } else { " " };
            write!(out, "{space}{number}").expect("a buffer takes everything");
            alone = false;
        }
    }
    out.extend(open.iter().map(|_| b')'));
    out.put_slice(b"\r\n");
}

/// For each message how many answers it has, and how many the one that it answers has.
fn answers(threads: &[Threaded]) -> Vec<(u32, u32)> {
    let mut counts = vec![(0, 0); threads.len()];
    let mut parents: Vec<Option<usize>> = vec![None; threads.len()];
    // The last message at each depth.
    let mut line: Vec<usize> = Vec::new();
    for (place, message) in threads.iter().enumerate() {
        line.truncate(message.depth as usize);
        parents[place] = line.last().copied();
        if let Some(parent) = parents[place] {
            counts[parent].0 += 1;
        }
        line.push(place);
    }
    for place in 0..threads.len() {
        counts[place].1 = parents[place].map_or(0, |parent| counts[parent].0);
    }
    counts
}
