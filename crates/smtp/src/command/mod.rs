//! Commands: the grammar of RFC 5321 §4.1.1 and of the extensions, read and written.
//!
//! A command is read from its line without the CRLF ([`Command::parse`]) and written the same way
//! (`Display`). The grammar is strict, and what is refused says why ([`Syntax`]), so that a person who types
//! commands by hand learns the right form. Whether a command fits the moment is the business of
//! [`crate::server`].

mod parameters;
mod parse;

pub use parameters::{MailParameters, RcptParameters};

use crate::xclient::Attribute;
use crate::{AddressError, ForwardPath, ReversePath, SaslMessage};
use std::fmt;

/// A command, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `HELO name` (RFC 5321 §4.1.1.1). The name is any printable ASCII word of up to 255 octets: RFC 5321
    /// §4.1.4 forbids refusing it for what it says.
    Helo(String),
    /// `EHLO name` (RFC 5321 §4.1.1.1).
    Ehlo(String),
    /// `LHLO name` (RFC 2033 §4.1).
    Lhlo(String),
    /// `MAIL FROM:<reverse-path> parameters` (RFC 5321 §4.1.1.2).
    Mail(ReversePath, MailParameters),
    /// `RCPT TO:<forward-path> parameters` (RFC 5321 §4.1.1.3).
    Rcpt(ForwardPath, RcptParameters),
    /// `DATA` (RFC 5321 §4.1.1.4).
    Data,
    /// `BDAT size [LAST]` (RFC 3030 §2).
    Bdat {
        /// How many octets follow the command line.
        size: u64,
        /// Whether they are the last of the message.
        last: bool,
    },
    /// `RSET` (RFC 5321 §4.1.1.5).
    Rset,
    /// `NOOP`, perhaps with an argument, which says nothing (RFC 5321 §4.1.1.9).
    Noop,
    /// `QUIT` (RFC 5321 §4.1.1.10).
    Quit,
    /// `VRFY` with a user name or a mailbox (RFC 5321 §4.1.1.6).
    Vrfy(String),
    /// `EXPN` with the name of a list (RFC 5321 §4.1.1.7).
    Expn(String),
    /// `HELP`, perhaps with a topic (RFC 5321 §4.1.1.8).
    Help(Option<String>),
    /// `STARTTLS` (RFC 3207).
    StartTls,
    /// `AUTH mechanism [initial-response]` (RFC 4954).
    Auth {
        /// The name of the SASL mechanism, in upper case.
        mechanism: String,
        /// The initial response, decoded.
        initial: Option<SaslMessage>,
    },
    /// `XCLIENT attribute=value ...` (Postfix's XCLIENT_README).
    XClient(Vec<Attribute>),
}

/// The first word of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// HELO
    Helo,
    /// EHLO
    Ehlo,
    /// LHLO
    Lhlo,
    /// MAIL
    Mail,
    /// RCPT
    Rcpt,
    /// DATA
    Data,
    /// BDAT
    Bdat,
    /// RSET
    Rset,
    /// NOOP
    Noop,
    /// QUIT
    Quit,
    /// VRFY
    Vrfy,
    /// EXPN
    Expn,
    /// HELP
    Help,
    /// STARTTLS
    StartTls,
    /// AUTH
    Auth,
    /// XCLIENT
    XClient,
}

/// Why a line is no command. [`crate::replies::syntax`] makes the reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Syntax {
    /// The verb, when it was one.
    pub verb: Option<Verb>,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// No such verb; the nearest one that there is, when it looks like a slip of the finger.
    UnknownVerb {
        /// The verb that was perhaps meant.
        nearest: Option<Verb>,
    },
    /// The line holds control characters or is not UTF-8.
    Characters,
    /// The arguments have not the right form; the text says more, or is empty when the form alone says
    /// enough.
    Form(&'static str),
    /// The path is malformed.
    Path(AddressError),
    /// A path or argument is not ASCII and SMTPUTF8 was not given (RFC 6531 §3.7).
    Utf8,
    /// An initial response that is not base64 (RFC 4954 §4).
    Base64,
    /// A parameter that nobody announced.
    UnknownParameter(String),
    /// A parameter given twice.
    DuplicateParameter(String),
    /// A parameter whose value is missing or wrong.
    Parameter {
        /// Its keyword.
        keyword: &'static str,
        /// What its value should be.
        expected: &'static str,
    },
}

impl Command {
    /// Reads a command from its line, given without the CRLF. Trailing white space is tolerated (RFC 5321
    /// §4.1.1).
    pub fn parse(line: &[u8]) -> Result<Command, Syntax> {
        parse::command(line)
    }

    /// The verb.
    pub fn verb(&self) -> Verb {
        match self {
            Command::Helo(_) => Verb::Helo,
            Command::Ehlo(_) => Verb::Ehlo,
            Command::Lhlo(_) => Verb::Lhlo,
            Command::Mail(..) => Verb::Mail,
            Command::Rcpt(..) => Verb::Rcpt,
            Command::Data => Verb::Data,
            Command::Bdat { .. } => Verb::Bdat,
            Command::Rset => Verb::Rset,
            Command::Noop => Verb::Noop,
            Command::Quit => Verb::Quit,
            Command::Vrfy(_) => Verb::Vrfy,
            Command::Expn(_) => Verb::Expn,
            Command::Help(_) => Verb::Help,
            Command::StartTls => Verb::StartTls,
            Command::Auth { .. } => Verb::Auth,
            Command::XClient(_) => Verb::XClient,
        }
    }
}

impl fmt::Display for Command {
    /// The line, without the CRLF.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = self.verb();
        match self {
            Command::Helo(name) | Command::Ehlo(name) | Command::Lhlo(name) => write!(f, "{verb} {name}"),
            Command::Mail(path, parameters) => write!(f, "MAIL FROM:{path}{parameters}"),
            Command::Rcpt(path, parameters) => write!(f, "RCPT TO:{path}{parameters}"),
            Command::Bdat { size, last: false } => write!(f, "BDAT {size}"),
            Command::Bdat { size, last: true } => write!(f, "BDAT {size} LAST"),
            Command::Vrfy(argument) | Command::Expn(argument) if !argument.is_ascii() => {
                write!(f, "{verb} {argument} SMTPUTF8")
            }
            Command::Vrfy(argument) | Command::Expn(argument) | Command::Help(Some(argument)) => {
                write!(f, "{verb} {argument}")
            }
            Command::Auth { mechanism, initial: Some(initial) } => {
                write!(f, "AUTH {mechanism} {}", initial.to_initial())
            }
            Command::Auth { mechanism, initial: None } => write!(f, "AUTH {mechanism}"),
            Command::XClient(attributes) => {
                f.write_str("XCLIENT")?;
                attributes.iter().try_for_each(|attribute| write!(f, " {attribute}"))
            }
            Command::Data | Command::Rset | Command::Noop | Command::Quit => write!(f, "{verb}"),
            Command::Help(None) | Command::StartTls => write!(f, "{verb}"),
        }
    }
}

impl Verb {
    /// All of them, in the order in which HELP names them.
    pub const ALL: [Verb; 16] = [
        Verb::Helo,
        Verb::Ehlo,
        Verb::Lhlo,
        Verb::Mail,
        Verb::Rcpt,
        Verb::Data,
        Verb::Bdat,
        Verb::Rset,
        Verb::Noop,
        Verb::Quit,
        Verb::Vrfy,
        Verb::Expn,
        Verb::Help,
        Verb::StartTls,
        Verb::Auth,
        Verb::XClient,
    ];

    /// The verb as it is written, in upper case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Verb::Helo => "HELO",
            Verb::Ehlo => "EHLO",
            Verb::Lhlo => "LHLO",
            Verb::Mail => "MAIL",
            Verb::Rcpt => "RCPT",
            Verb::Data => "DATA",
            Verb::Bdat => "BDAT",
            Verb::Rset => "RSET",
            Verb::Noop => "NOOP",
            Verb::Quit => "QUIT",
            Verb::Vrfy => "VRFY",
            Verb::Expn => "EXPN",
            Verb::Help => "HELP",
            Verb::StartTls => "STARTTLS",
            Verb::Auth => "AUTH",
            Verb::XClient => "XCLIENT",
        }
    }

    /// The form of the whole command, for replies that name it.
    pub const fn form(self) -> &'static str {
        match self {
            Verb::Helo => "HELO hostname",
            Verb::Ehlo => "EHLO hostname",
            Verb::Lhlo => "LHLO hostname",
            Verb::Mail => "MAIL FROM:<address>",
            Verb::Rcpt => "RCPT TO:<address>",
            Verb::Data => "DATA",
            Verb::Bdat => "BDAT size [LAST]",
            Verb::Rset => "RSET",
            Verb::Noop => "NOOP",
            Verb::Quit => "QUIT",
            Verb::Vrfy => "VRFY address",
            Verb::Expn => "EXPN list",
            Verb::Help => "HELP [command]",
            Verb::StartTls => "STARTTLS",
            Verb::Auth => "AUTH mechanism [initial-response]",
            Verb::XClient => "XCLIENT attribute=value ...",
        }
    }

    /// Reads a verb in any case.
    pub fn parse(word: &str) -> Option<Verb> {
        Verb::ALL.into_iter().find(|verb| verb.as_str().eq_ignore_ascii_case(word))
    }

    /// The verb that a mistyped word comes nearest to: one letter wrong, missing, too many, or two swapped.
    pub fn nearest(word: &str) -> Option<Verb> {
        let word = word.to_ascii_uppercase();
        Verb::ALL.into_iter().find(|verb| is_one_slip(word.as_bytes(), verb.as_str().as_bytes()))
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether one slip of the finger turns `a` into `b`.
fn is_one_slip(a: &[u8], b: &[u8]) -> bool {
    let start = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let (a, b) = (&a[start..], &b[start..]);
    let end = a.iter().rev().zip(b.iter().rev()).take_while(|(x, y)| x == y).count();
    match (&a[..a.len() - end], &b[..b.len() - end]) {
        ([_], [_]) | ([_], []) | ([], [_]) => true,
        ([x, y], [z, w]) => x == w && y == z,
        _ => false,
    }
}
