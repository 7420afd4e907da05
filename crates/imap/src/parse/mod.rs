//! Reading a command (RFC 9051 §9): a recursive descent over octets that are all there.
//!
//! Keywords are taken in any case. What stands between words is one space, as the grammar has it. Nothing is guessed: what is no command is
//! a [`Fault`] that says where. Names of commands that belong to no extension of ours are unknown.

mod cursor;
mod fetch;
mod list;
mod notify;
mod search;
mod store;

use crate::{Append, Body, Command, Mailbox};
use cursor::Cursor;
use wire::sasl::SaslMessage;

/// Why octets are no command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{problem} at octet {at}")]
pub struct Fault {
    /// What is wrong.
    pub problem: Problem,
    /// Where, counted from 0.
    pub at: usize,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// There is no tag.
    #[error("a tag is missing")]
    Tag,
    /// There is no such command.
    #[error("there is no such command")]
    Verb,
    /// This was expected, and something else came.
    #[error("{0} is missing")]
    Expected(&'static str),
    /// Criteria within criteria, more levels than are taken.
    #[error("too many levels")]
    Depth,
    /// Patterns of LIST, more or longer than are taken.
    #[error("too many patterns, or one that is too long")]
    Patterns,
    /// More of these than are taken in one command.
    #[error("too many {0}")]
    TooMany(&'static str),
}

type Parsed<T> = Result<T, Fault>;

impl Command {
    /// Reads a whole command with its CRLF and its literals; of APPEND what comes before the first message.
    pub fn parse(octets: &[u8]) -> Result<Command, Fault> {
        let mut cursor = Cursor::new(octets);
        let tag = cursor.tag()?;
        cursor.space()?;
        let at = cursor.at();
        let verb = cursor.atom()?.to_ascii_uppercase();
        let body = body(&mut cursor, &verb, at)?;
        if !matches!(body, Body::Append(_)) {
            cursor.crlf()?;
        }
        cursor.end()?;
        Ok(Command { tag, body })
    }

    /// The tag of what may be no command: what its answer begins with.
    pub fn tag_of(octets: &[u8]) -> Option<String> {
        Cursor::new(octets).tag().ok()
    }
}

impl Append {
    /// Reads what stands between two messages of MULTIAPPEND (RFC 3502): a space, flags, a date, the next literal.
    pub fn parse_next(octets: &[u8]) -> Result<Append, Fault> {
        let mut cursor = Cursor::new(octets);
        cursor.space()?;
        let append = cursor.append_message(None)?;
        cursor.end()?;
        Ok(append)
    }
}

fn body(cursor: &mut Cursor<'_>, verb: &str, at: usize) -> Parsed<Body> {
    Ok(match verb {
        "CAPABILITY" => Body::Capability,
        "NOOP" => Body::Noop,
        "LOGOUT" => Body::Logout,
        "STARTTLS" => Body::StartTls,
        "NAMESPACE" => Body::Namespace,
        "IDLE" => Body::Idle,
        "CHECK" => Body::Check,
        "CLOSE" => Body::Close,
        "UNSELECT" => Body::Unselect,
        "EXPUNGE" => Body::Expunge,
        "ID" => id(cursor)?,
        "COMPRESS" => Body::Compress { algorithm: cursor.word()?.to_ascii_uppercase() },
        "AUTHENTICATE" => authenticate(cursor)?,
        "LOGIN" => login(cursor)?,
        "ENABLE" => enable(cursor)?,
        "SELECT" | "EXAMINE" => select(cursor, verb)?,
        "CREATE" => create(cursor)?,
        "DELETE" => Body::Delete(cursor.mailbox_word()?),
        "SUBSCRIBE" => Body::Subscribe(cursor.mailbox_word()?),
        "UNSUBSCRIBE" => Body::Unsubscribe(cursor.mailbox_word()?),
        "RENAME" => Body::Rename { from: cursor.mailbox_word()?, to: cursor.mailbox_word()? },
        "LIST" => list::list(cursor)?,
        "LSUB" => list::lsub(cursor)?,
        "STATUS" => list::status(cursor)?,
        "APPEND" => {
            let mailbox = cursor.mailbox_word()?;
            cursor.space()?;
            Body::Append(cursor.append_message(Some(mailbox))?)
        }
        "NOTIFY" => notify::notify(cursor)?,
        "GETQUOTA" => Body::GetQuota { root: cursor.text_word()? },
        "GETQUOTAROOT" => Body::GetQuotaRoot(cursor.mailbox_word()?),
        "SETQUOTA" => set_quota(cursor)?,
        "UID" => {
            cursor.space()?;
            let at = cursor.at();
            let verb = cursor.atom()?.to_ascii_uppercase();
            match verb.as_str() {
                "EXPUNGE" => {
                    cursor.space()?;
                    Body::UidExpunge(cursor.sequence_set()?)
                }
                verb => messages(cursor, verb, true)?.ok_or(Fault { problem: Problem::Verb, at })?,
            }
        }
        verb => messages(cursor, verb, false)?.ok_or(Fault { problem: Problem::Verb, at })?,
    })
}

/// The commands that have a form with UID.
fn messages(cursor: &mut Cursor<'_>, verb: &str, uid: bool) -> Parsed<Option<Body>> {
    Ok(Some(match verb {
        "SEARCH" => search::search(cursor, uid)?,
        "SORT" => search::sort(cursor, uid)?,
        "THREAD" => search::thread(cursor, uid)?,
        "FETCH" => fetch::fetch(cursor, uid)?,
        "STORE" => store::store(cursor, uid)?,
        "COPY" => {
            cursor.space()?;
            Body::Copy { uid, set: cursor.sequence_set()?, mailbox: cursor.mailbox_word()? }
        }
        "MOVE" => {
            cursor.space()?;
            Body::Move { uid, set: cursor.sequence_set()?, mailbox: cursor.mailbox_word()? }
        }
        _ => return Ok(None),
    }))
}

/// RFC 2971 §3.1: NIL, or pairs of strings.
fn id(cursor: &mut Cursor<'_>) -> Parsed<Body> {
    cursor.space()?;
    if cursor.take_keyword("NIL") {
        return Ok(Body::Id(None));
    }
    cursor.expect(b'(', "`(`")?;
    let mut pairs = Vec::new();
    while !cursor.take(b')') {
        if !pairs.is_empty() {
            cursor.space()?;
        }
        let name = cursor.string_text()?;
        cursor.space()?;
        let value = if cursor.take_keyword("NIL") { None } else { Some(cursor.string_text()?) };
        pairs.push((name, value));
    }
    Ok(Body::Id(Some(pairs)))
}

/// RFC 9051 §6.2.2; `=` is an empty initial response.
fn authenticate(cursor: &mut Cursor<'_>) -> Parsed<Body> {
    let mechanism = cursor.word()?.to_ascii_uppercase();
    let initial = if cursor.take(b' ') {
        let fault = cursor.fault(Problem::Expected("base64"));
        let text = cursor.line()?;
        Some(SaslMessage::from_initial(text).ok_or(fault)?)
    } else {
        None
    };
    Ok(Body::Authenticate { mechanism, initial })
}

fn login(cursor: &mut Cursor<'_>) -> Parsed<Body> {
    let user = cursor.text_word()?;
    cursor.space()?;
    Ok(Body::Login { user, password: cursor.astring()?.into_owned().into() })
}

fn enable(cursor: &mut Cursor<'_>) -> Parsed<Body> {
    let mut names = vec![cursor.word()?.to_ascii_uppercase()];
    while cursor.peek() == Some(b' ') {
        names.push(cursor.word()?.to_ascii_uppercase());
    }
    Ok(Body::Enable(names))
}

fn select(cursor: &mut Cursor<'_>, verb: &str) -> Parsed<Body> {
    let mailbox = cursor.mailbox_word()?;
    let parameters = if cursor.take(b' ') { cursor.list(store::select_parameter)? } else { Vec::new() };
    Ok(match verb {
        "SELECT" => Body::Select { mailbox, parameters },
        _ => Body::Examine { mailbox, parameters },
    })
}

/// RFC 6154 §3: `(USE (\Sent …))`.
fn create(cursor: &mut Cursor<'_>) -> Parsed<Body> {
    let mailbox = cursor.mailbox_word()?;
    let mut uses = Vec::new();
    if cursor.take(b' ') {
        cursor.expect(b'(', "`(`")?;
        if !cursor.take_keyword("USE") {
            return Err(cursor.fault(Problem::Expected("USE")));
        }
        cursor.space()?;
        cursor.expect(b'(', "`(`")?;
        while !cursor.take(b')') {
            if !uses.is_empty() {
                cursor.space()?;
            }
            cursor.expect(b'\\', "`\\`")?;
            uses.push(cursor.atom()?.to_owned());
        }
        cursor.expect(b')', "`)`")?;
    }
    Ok(Body::Create { mailbox, uses })
}

/// RFC 9208 §4.1.2.
fn set_quota(cursor: &mut Cursor<'_>) -> Parsed<Body> {
    let root = cursor.text_word()?;
    cursor.space()?;
    cursor.expect(b'(', "`(`")?;
    let mut limits = Vec::new();
    while !cursor.take(b')') {
        if !limits.is_empty() {
            cursor.space()?;
        }
        let name = cursor.atom()?.to_ascii_uppercase();
        cursor.space()?;
        limits.push((name, cursor.number64()?));
    }
    Ok(Body::SetQuota { root, limits })
}

impl Cursor<'_> {
    /// A space and the name of a mailbox.
    fn mailbox_word(&mut self) -> Parsed<Mailbox> {
        Ok(Mailbox::new(self.text_word()?))
    }
}
