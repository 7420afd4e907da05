//! OK, NO, BAD, BYE: conditions with their codes and texts (RFC 9051 §7.1, RFC 5530).

use super::encode;
use crate::{Flag, Numbers};
use bytes::{BufMut, BytesMut};
use std::borrow::Cow;
use std::fmt;

/// How it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Condition {
    /// Well.
    Ok,
    /// It was understood and not done.
    No,
    /// It was not understood, or is not possible here.
    Bad,
    /// The connection ends.
    Bye,
}

/// A condition with what is said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// How it went.
    pub condition: Condition,
    /// For programs.
    pub code: Option<Box<Code>>,
    /// For people.
    pub text: Cow<'static, str>,
}

/// A response code (RFC 9051 §7.1, RFC 5530, and the extensions).
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants are the codes, by the names of the RFCs")]
pub enum Code {
    Alert,
    AlreadyExists,
    AppendUid {
        uid_validity: u32,
        uids: Numbers,
    },
    AuthenticationFailed,
    AuthorizationFailed,
    BadCharset,
    /// With all events that there are (RFC 5465 §8).
    BadEvent,
    Cannot,
    Capability(Vec<String>),
    ClientBug,
    Closed,
    CompressionActive,
    /// Both in the same order.
    CopyUid {
        uid_validity: u32,
        from: Numbers,
        to: Numbers,
    },
    ExpungeIssued,
    HasChildren,
    HighestModSeq(u64),
    InUse,
    Limit,
    MailboxId(String),
    /// UIDs or numbers, as the command had them.
    Modified(Numbers),
    NoModSeq,
    NonExistent,
    NoPerm,
    NotSaved,
    NotificationOverflow,
    OverQuota,
    Parse,
    PermanentFlags {
        flags: Vec<Flag>,
        new: NewKeywords,
    },
    PrivacyRequired,
    ReadOnly,
    ReadWrite,
    ServerBug,
    TooBig,
    TryCreate,
    UidNext(u32),
    UidValidity(u32),
    Unavailable,
    UnknownCte,
    Unseen(u32),
    UseAttr,
}

/// Whether a client may make keywords in a mailbox (RFC 9051 §7.1, `\*` among the PERMANENTFLAGS).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NewKeywords {
    /// It may.
    MayBeMade,
    /// It may not: there are as many as there can be, or the mailbox may not be written to.
    MayNotBeMade,
}

impl Status {
    /// Without a code.
    pub const fn new(condition: Condition, text: &'static str) -> Status {
        Status { condition, code: None, text: Cow::Borrowed(text) }
    }

    /// `OK`.
    pub const fn ok(text: &'static str) -> Status {
        Status::new(Condition::Ok, text)
    }

    /// `NO`.
    pub const fn no(text: &'static str) -> Status {
        Status::new(Condition::No, text)
    }

    /// `BAD`.
    pub const fn bad(text: &'static str) -> Status {
        Status::new(Condition::Bad, text)
    }

    /// `BYE`.
    pub const fn bye(text: &'static str) -> Status {
        Status::new(Condition::Bye, text)
    }

    /// The same with this code.
    pub fn with(self, code: Code) -> Status {
        Status { code: Some(Box::new(code)), ..self }
    }

    /// The same with this text.
    pub fn saying(self, text: impl Into<Cow<'static, str>>) -> Status {
        Status { text: text.into(), ..self }
    }

    /// Writes it after a tag and a space, with its CRLF.
    pub(crate) fn write(&self, out: &mut BytesMut) {
        out.put_slice(match self.condition {
            Condition::Ok => b"OK ",
            Condition::No => b"NO ",
            Condition::Bad => b"BAD ",
            Condition::Bye => b"BYE ",
        });
        if let Some(code) = &self.code {
            out.put_u8(b'[');
            code.write(out);
            out.put_slice(b"] ");
        }
        // The grammar wants a text (RFC 9051 §9, resp-text).
        encode::text(out, if self.text.is_empty() { "-" } else { &self.text });
        out.put_slice(b"\r\n");
    }
}

impl Code {
    fn write(&self, out: &mut BytesMut) {
        match self {
            Code::AppendUid { uid_validity, uids } => {
                put(out, format_args!("APPENDUID {uid_validity} {uids}"))
            }
            Code::CopyUid { uid_validity, from, to } => {
                put(out, format_args!("COPYUID {uid_validity} {from} {to}"));
            }
            Code::Capability(names) => {
                out.put_slice(b"CAPABILITY");
                for name in names {
                    out.put_u8(b' ');
                    encode::atom(out, name);
                }
            }
            Code::BadEvent => out
                .put_slice(b"BADEVENT (MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange)"),
            Code::HighestModSeq(value) => put(out, format_args!("HIGHESTMODSEQ {value}")),
            Code::MailboxId(id) => {
                out.put_slice(b"MAILBOXID (");
                encode::atom(out, id);
                out.put_u8(b')');
            }
            Code::Modified(numbers) => put(out, format_args!("MODIFIED {numbers}")),
            Code::PermanentFlags { flags, new } => {
                out.put_slice(b"PERMANENTFLAGS ");
                let new = (*new == NewKeywords::MayBeMade).then_some(None);
                encode::list(out, flags.iter().map(Some).chain(new), |out, flag| match flag {
                    Some(flag) => flag.write(out),
                    None => out.put_slice(b"\\*"),
                });
            }
            Code::UidNext(uid) => put(out, format_args!("UIDNEXT {uid}")),
            Code::UidValidity(value) => put(out, format_args!("UIDVALIDITY {value}")),
            Code::Unseen(number) => put(out, format_args!("UNSEEN {number}")),
            plain => out.put_slice(plain.name().as_bytes()),
        }
    }

    /// The name of a code without arguments.
    fn name(&self) -> &'static str {
        match self {
            Code::Alert => "ALERT",
            Code::AlreadyExists => "ALREADYEXISTS",
            Code::AuthenticationFailed => "AUTHENTICATIONFAILED",
            Code::AuthorizationFailed => "AUTHORIZATIONFAILED",
            Code::BadCharset => "BADCHARSET",
            Code::Cannot => "CANNOT",
            Code::ClientBug => "CLIENTBUG",
            Code::Closed => "CLOSED",
            Code::CompressionActive => "COMPRESSIONACTIVE",
            Code::ExpungeIssued => "EXPUNGEISSUED",
            Code::HasChildren => "HASCHILDREN",
            Code::InUse => "INUSE",
            Code::Limit => "LIMIT",
            Code::NoModSeq => "NOMODSEQ",
            Code::NonExistent => "NONEXISTENT",
            Code::NoPerm => "NOPERM",
            Code::NotSaved => "NOTSAVED",
            Code::NotificationOverflow => "NOTIFICATIONOVERFLOW",
            Code::OverQuota => "OVERQUOTA",
            Code::Parse => "PARSE",
            Code::PrivacyRequired => "PRIVACYREQUIRED",
            Code::ReadOnly => "READ-ONLY",
            Code::ReadWrite => "READ-WRITE",
            Code::TooBig => "TOOBIG",
            Code::TryCreate => "TRYCREATE",
            Code::Unavailable => "UNAVAILABLE",
            Code::UnknownCte => "UNKNOWN-CTE",
            Code::UseAttr => "USEATTR",
            _ => "SERVERBUG",
        }
    }
}

fn put(out: &mut BytesMut, arguments: fmt::Arguments<'_>) {
    fmt::Write::write_fmt(out, arguments).expect("a buffer takes everything");
}

impl fmt::Display for Status {
    /// As a log shows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = BytesMut::new();
        self.write(&mut out);
        f.write_str(String::from_utf8_lossy(&out).trim_end())
    }
}
