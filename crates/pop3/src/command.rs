//! The commands of a client, parsed from a line.
//!
//! Case does not matter in keywords (RFC 1939 §3). One space separates them from their arguments; more are taken for one, but not
//! in a password, where all that follows the first space counts.

use std::fmt;
use wire::sasl::SaslMessage;

/// A command with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Who would log in.
    User(String),
    /// The password; all of the line, with its spaces (RFC 1939 §7).
    Pass(SaslMessage),
    /// Begins a SASL exchange (RFC 5034 §4).
    Auth {
        /// The mechanism's name, in upper case.
        mechanism: String,
        /// The initial response, if there was one.
        initial: Option<SaslMessage>,
    },
    /// AUTH without arguments: which mechanisms there are. No standard has it; clients from before CAPA ask so.
    Mechanisms,
    /// What can be done (RFC 2449 §5).
    Capa,
    /// Begins TLS (RFC 2595 §4).
    Stls,
    /// Header fields may be UTF-8 (RFC 6856 §2.1).
    Utf8,
    /// How much there is.
    Stat,
    /// The sizes of all messages, or of one.
    List(Option<u32>),
    /// The unique ids of all messages, or of one.
    Uidl(Option<u32>),
    /// The text of a message.
    Retr(u32),
    /// The header section of a message and so many lines of its body.
    Top {
        /// Which message.
        message: u32,
        /// How many lines of the body.
        lines: u32,
    },
    /// Marks a message as deleted.
    Dele(u32),
    /// Takes all marks away.
    Rset,
    /// Nothing.
    Noop,
    /// The end; what is marked is removed now.
    Quit,
}

/// The keyword of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the variants are the keywords")]
pub enum Verb {
    User,
    Pass,
    Apop,
    Auth,
    Capa,
    Stls,
    Utf8,
    Stat,
    List,
    Uidl,
    Retr,
    Top,
    Dele,
    Rset,
    Noop,
    Quit,
}

/// Why a line is no command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// There is no such keyword.
    #[error("there is no such command")]
    Verb,
    /// A known keyword whose arguments are wrong.
    #[error("{0} has other arguments")]
    Arguments(Verb),
    /// The initial response is no base64.
    #[error("the initial response is no base64")]
    Base64,
}

impl Command {
    /// Reads a line without its CRLF.
    pub fn parse(line: &[u8]) -> Result<Command, Fault> {
        let (word, rest) = match memchr::memchr(b' ', line) {
            Some(space) => (&line[..space], Some(&line[space + 1..])),
            None => (line, None),
        };
        let verb = std::str::from_utf8(word).ok().and_then(Verb::parse).ok_or(Fault::Verb)?;
        let wrong = Fault::Arguments(verb);
        if verb == Verb::Pass {
            let password = rest.filter(|rest| !rest.contains(&0)).ok_or(wrong)?;
            return Ok(Command::Pass(password.into()));
        }
        let rest = std::str::from_utf8(rest.unwrap_or_default()).map_err(|_| wrong)?.trim_matches(' ');
        if rest.chars().any(char::is_control) {
            return Err(wrong);
        }
        if verb == Verb::User {
            return if rest.is_empty() { Err(wrong) } else { Ok(Command::User(rest.to_owned())) };
        }
        let mut words = rest.split(' ').filter(|word| !word.is_empty());
        let (first, second) = (words.next(), words.next());
        if words.next().is_some() {
            return Err(wrong);
        }
        Command::with_arguments(verb, first, second)
    }

    fn with_arguments(verb: Verb, first: Option<&str>, second: Option<&str>) -> Result<Command, Fault> {
        let wrong = Fault::Arguments(verb);
        let count = |text: &str| number(text).ok_or(wrong);
        Ok(match (verb, first, second) {
            (Verb::Auth, None, None) => Command::Mechanisms,
            (Verb::Auth, Some(mechanism), initial) => Command::Auth {
                mechanism: mechanism.to_ascii_uppercase(),
                initial: match initial {
                    Some(text) => Some(SaslMessage::from_initial(text).ok_or(Fault::Base64)?),
                    None => None,
                },
            },
            (Verb::List, message, None) => Command::List(message.map(count).transpose()?),
            (Verb::Uidl, message, None) => Command::Uidl(message.map(count).transpose()?),
            (Verb::Retr, Some(message), None) => Command::Retr(count(message)?),
            (Verb::Dele, Some(message), None) => Command::Dele(count(message)?),
            (Verb::Top, Some(message), Some(lines)) => {
                Command::Top { message: count(message)?, lines: count(lines)? }
            }
            (Verb::Capa, None, None) => Command::Capa,
            (Verb::Stls, None, None) => Command::Stls,
            (Verb::Utf8, None, None) => Command::Utf8,
            (Verb::Stat, None, None) => Command::Stat,
            (Verb::Rset, None, None) => Command::Rset,
            (Verb::Noop, None, None) => Command::Noop,
            (Verb::Quit, None, None) => Command::Quit,
            // There is no secret that both sides know, so no timestamp was in the greeting (RFC 1939 §7).
            (Verb::Apop, ..) => return Err(Fault::Verb),
            _ => return Err(wrong),
        })
    }
}

impl Verb {
    /// All of them.
    pub const ALL: [Verb; 16] = [
        Verb::User,
        Verb::Pass,
        Verb::Apop,
        Verb::Auth,
        Verb::Capa,
        Verb::Stls,
        Verb::Utf8,
        Verb::Stat,
        Verb::List,
        Verb::Uidl,
        Verb::Retr,
        Verb::Top,
        Verb::Dele,
        Verb::Rset,
        Verb::Noop,
        Verb::Quit,
    ];

    /// The keyword that this word is, in any case.
    pub fn parse(word: &str) -> Option<Verb> {
        Verb::ALL.into_iter().find(|verb| verb.as_str().eq_ignore_ascii_case(word))
    }

    /// The keyword.
    pub fn as_str(self) -> &'static str {
        match self {
            Verb::User => "USER",
            Verb::Pass => "PASS",
            Verb::Apop => "APOP",
            Verb::Auth => "AUTH",
            Verb::Capa => "CAPA",
            Verb::Stls => "STLS",
            Verb::Utf8 => "UTF8",
            Verb::Stat => "STAT",
            Verb::List => "LIST",
            Verb::Uidl => "UIDL",
            Verb::Retr => "RETR",
            Verb::Top => "TOP",
            Verb::Dele => "DELE",
            Verb::Rset => "RSET",
            Verb::Noop => "NOOP",
            Verb::Quit => "QUIT",
        }
    }

    /// How it is used, for who used it otherwise.
    pub(crate) fn usage(self) -> &'static str {
        match self {
            Verb::User => "USER name",
            Verb::Pass => "PASS password",
            Verb::Auth => "AUTH mechanism [initial-response]",
            Verb::List => "LIST [message]",
            Verb::Uidl => "UIDL [message]",
            Verb::Retr => "RETR message",
            Verb::Top => "TOP message lines",
            Verb::Dele => "DELE message",
            other => other.as_str(),
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A number; one that is too large for any maildrop is the largest there is.
fn number(text: &str) -> Option<u32> {
    if text.is_empty() || !text.bytes().all(|octet| octet.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u32::MAX))
}
