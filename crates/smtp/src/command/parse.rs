//! From a line to a command.

use super::parameters::decimal;
use super::{Command, Fault, MailParameters, RcptParameters, Syntax, Verb};
use crate::address::{is_atom_text, split_path};
use crate::xclient::Attribute;
use crate::{AddressError, ForwardPath, Mailbox, ReversePath, SaslMessage};

pub(super) fn command(line: &[u8]) -> Result<Command, Syntax> {
    let text = std::str::from_utf8(line).map_err(|_| Syntax { verb: None, fault: Fault::Characters })?;
    let text = text.trim_end_matches([' ', '\t']);
    if text.chars().any(char::is_control) {
        return Err(Syntax { verb: None, fault: Fault::Characters });
    }
    let (word, arguments) = match text.split_once(' ') {
        Some((word, arguments)) => (word, Some(arguments)),
        None => (text, None),
    };
    let Some(verb) = Verb::parse(word) else {
        return Err(Syntax { verb: None, fault: Fault::UnknownVerb { nearest: Verb::nearest(word) } });
    };
    arguments_of(verb, arguments).map_err(|fault| match fault {
        Refused::Fault(fault) => Syntax { verb: Some(verb), fault },
        Refused::Syntax(syntax) => syntax,
    })
}

/// Both shapes in which the parts of the grammar report.
enum Refused {
    Fault(Fault),
    Syntax(Syntax),
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Refused {
        Refused::Fault(fault)
    }
}

impl From<Syntax> for Refused {
    fn from(syntax: Syntax) -> Refused {
        Refused::Syntax(syntax)
    }
}

fn arguments_of(verb: Verb, arguments: Option<&str>) -> Result<Command, Refused> {
    let none = |command| match arguments {
        None => Ok(command),
        Some(_) => Err(Refused::Fault(Fault::Form("it takes no argument"))),
    };
    match verb {
        Verb::Helo => Ok(Command::Helo(host_name(arguments)?)),
        Verb::Ehlo => Ok(Command::Ehlo(host_name(arguments)?)),
        Verb::Lhlo => Ok(Command::Lhlo(host_name(arguments)?)),
        Verb::Mail => {
            let (path, rest) = path(arguments, "FROM:")?;
            let path = ReversePath::parse(path).map_err(Fault::Path)?;
            let parameters = MailParameters::parse(rest)?;
            // RFC 6531 §3.7: without the parameter the address must be ASCII.
            if !path.is_ascii() && !parameters.smtputf8 {
                return Err(Fault::Utf8.into());
            }
            Ok(Command::Mail(path, parameters))
        }
        Verb::Rcpt => {
            let (path, rest) = path(arguments, "TO:")?;
            let path = ForwardPath::parse(path).map_err(Fault::Path)?;
            Ok(Command::Rcpt(path, RcptParameters::parse(rest)?))
        }
        Verb::Bdat => Ok(bdat(arguments)?),
        Verb::Vrfy => Ok(Command::Vrfy(name(arguments)?)),
        Verb::Expn => Ok(Command::Expn(name(arguments)?)),
        Verb::Help => Ok(Command::Help(arguments.map(str::to_owned))),
        Verb::Auth => Ok(auth(arguments)?),
        Verb::XClient => Ok(xclient(arguments)?),
        Verb::Noop => Ok(Command::Noop),
        Verb::Data => none(Command::Data),
        Verb::Rset => none(Command::Rset),
        Verb::Quit => none(Command::Quit),
        Verb::StartTls => none(Command::StartTls),
    }
}

/// The argument of HELO, EHLO and LHLO: one printable ASCII word.
fn host_name(arguments: Option<&str>) -> Result<String, Fault> {
    match arguments {
        Some(name) if name.len() <= HOST_NAME_MAX && name.bytes().all(|b| b.is_ascii_graphic()) => {
            Ok(name.to_owned())
        }
        Some(name) if name.len() > HOST_NAME_MAX => Err(Fault::Form("the name is too long")),
        Some(_) => Err(Fault::Form("the name is one word of printable ASCII")),
        None => Err(Fault::Form("")),
    }
}

/// Cuts `FROM:` or `TO:` and the path; returns the path in its brackets and what follows it.
fn path<'a>(arguments: Option<&'a str>, keyword: &str) -> Result<(&'a str, &'a str), Fault> {
    let arguments = arguments.ok_or(Fault::Form(""))?;
    let rest = match arguments.split_at_checked(keyword.len()) {
        Some((start, rest)) if start.eq_ignore_ascii_case(keyword) => rest,
        _ => return Err(Fault::Form("")),
    };
    match rest.as_bytes().first() {
        None => Err(Fault::Form("")),
        Some(b' ') => Err(Fault::Form("no space after the colon")),
        Some(b'<') => split_path(rest).map_err(Fault::Path),
        Some(_) => Err(Fault::Path(AddressError::NoBrackets)),
    }
}

/// RFC 3030 §2: `BDAT SP chunk-size [SP LAST]`.
fn bdat(arguments: Option<&str>) -> Result<Command, Fault> {
    let arguments = arguments.ok_or(Fault::Form(""))?;
    let (size, last) = match arguments.split_once(' ') {
        None => (arguments, false),
        Some((size, word)) if word.eq_ignore_ascii_case("LAST") => (size, true),
        Some(_) => return Err(Fault::Form("")),
    };
    let size = decimal(Some(size)).filter(|size| *size < u64::MAX).ok_or(Fault::Form(""))?;
    Ok(Command::Bdat { size, last })
}

/// The argument of VRFY and EXPN: an atom, a quoted string or a mailbox, with or without brackets; SMTPUTF8
/// may follow (RFC 6531 §3.7.4.2).
fn name(arguments: Option<&str>) -> Result<String, Fault> {
    let arguments = arguments.ok_or(Fault::Form(""))?;
    let (name, utf8) = match arguments.rsplit_once(' ') {
        Some((name, word)) if word.eq_ignore_ascii_case("SMTPUTF8") => (name, true),
        _ => (arguments, false),
    };
    let atom = !name.is_empty() && name.chars().all(is_atom_text);
    if !atom && crate::LocalPart::parse(name).is_err() {
        let bare = name.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap_or(name);
        Mailbox::parse(bare).map_err(Fault::Path)?;
    }
    if name.is_ascii() || utf8 { Ok(name.to_owned()) } else { Err(Fault::Utf8) }
}

/// RFC 4954 §4: `AUTH SP mechanism [SP initial-response]`.
fn auth(arguments: Option<&str>) -> Result<Command, Fault> {
    let arguments = arguments.ok_or(Fault::Form(""))?;
    let (mechanism, initial) = match arguments.split_once(' ') {
        Some((mechanism, initial)) => (mechanism, Some(initial)),
        None => (arguments, None),
    };
    // RFC 4422 §3.1.
    let mechanism_ok = (1..=20).contains(&mechanism.len())
        && mechanism.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if !mechanism_ok {
        return Err(Fault::Form(""));
    }
    let initial = match initial {
        None => None,
        Some(text) => Some(SaslMessage::from_initial(text).ok_or(Fault::Base64)?),
    };
    Ok(Command::Auth { mechanism: mechanism.to_ascii_uppercase(), initial })
}

/// At least one attribute; the same one twice says two things, and is refused.
fn xclient(arguments: Option<&str>) -> Result<Command, Fault> {
    let mut attributes: Vec<Attribute> = Vec::new();
    for word in arguments.unwrap_or_default().split(' ').filter(|word| !word.is_empty()) {
        let attribute = Attribute::parse(word).ok_or(Fault::Form("an attribute or value is not known"))?;
        if attributes.iter().any(|known| known.name() == attribute.name()) {
            return Err(Fault::Form("an attribute is given twice"));
        }
        attributes.push(attribute);
    }
    if attributes.is_empty() { Err(Fault::Form("")) } else { Ok(Command::XClient(attributes)) }
}

/// As long as a domain may be (RFC 5321 §4.5.3.1.2).
const HOST_NAME_MAX: usize = 255;
