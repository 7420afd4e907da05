//! Every reply that Posthaste gives by itself, in one place: code, enhanced status (RFC 3463, RFC 5248) and
//! text, with the section that asks for it. The endpoint uses those about syntax, sequence and limits; the
//! application those about its decisions.

use crate::{Fault, Reply, Status, Syntax, Verb};

const fn status(subject: u16, detail: u16) -> Option<Status> {
    Some(Status { subject, detail })
}

/// RSET and NOOP (RFC 5321 §4.1.1.5, §4.1.1.9), and anything else that went well.
pub const OK: Reply = Reply::new(250, status(0, 0), "Ok");
/// MAIL accepted (RFC 5321 §4.1.1.2; X.1.0 other address status).
pub const SENDER_OK: Reply = Reply::new(250, status(1, 0), "Ok");
/// RCPT accepted (RFC 5321 §4.1.1.3; X.1.5 destination address valid).
pub const RECIPIENT_OK: Reply = Reply::new(250, status(1, 5), "Ok");
/// DATA accepted (RFC 5321 §4.1.1.4).
pub const START_CONTENT: Reply = Reply::new(354, None, "End data with <CR><LF>.<CR><LF>");
/// QUIT (RFC 5321 §4.1.1.10).
pub const BYE: Reply = Reply::new(221, status(0, 0), "Bye");
/// VRFY: never confirms (RFC 5321 §3.5.3, §7.3).
pub const CANNOT_VERIFY: Reply =
    Reply::new(252, status(0, 0), "Cannot verify the user, but will take mail for it and try to deliver it");
/// EXPN: RFC 5321 §3.5.2 makes it optional; lists are not shown to strangers (§7.3).
pub const NO_EXPN: Reply = Reply::new(502, status(5, 1), "Error: EXPN is not offered here");
/// STARTTLS, when it is not offered (RFC 5321 §4.2.4).
pub const NO_STARTTLS: Reply = Reply::new(502, status(5, 1), "Error: STARTTLS is not offered here");
/// AUTH, when it is not offered (RFC 5321 §4.2.4).
pub const NO_AUTH: Reply = Reply::new(502, status(5, 1), "Error: AUTH is not offered here");

/// STARTTLS accepted: what comes next is TLS (RFC 3207 §4).
pub const READY_FOR_TLS: Reply = Reply::new(220, status(0, 0), "Ready to start TLS");
/// STARTTLS when TLS is on (RFC 3207 §4.2).
pub const TLS_IS_ON: Reply = Reply::new(503, status(5, 1), "Error: TLS is on already");
/// Something came in clear after STARTTLS, in the same breath: it may have been put there by somebody else
/// (RFC 3207 §6, CVE-2011-0411). The connection closes.
pub const PIPELINED_STARTTLS: Reply =
    Reply::new(554, status(5, 0), "Error: nothing may follow STARTTLS before TLS is on, closing");
/// A mail command in clear where TLS must come before AUTH, and AUTH before mail (RFC 3207 §4).
pub const STARTTLS_FIRST: Reply = Reply::new(530, status(7, 0), "Must issue a STARTTLS command first");

/// AUTH succeeded (RFC 4954 §6).
pub const AUTH_SUCCEEDED: Reply = Reply::new(235, status(7, 0), "Authentication successful");
/// The credentials are wrong; the same for an unknown user (RFC 4954 §6; X.7.8).
pub const AUTH_FAILED: Reply = Reply::new(535, status(7, 8), "Authentication credentials invalid");
/// AUTH cannot be decided now, for a reason that is not the client's (RFC 4954 §6).
pub const AUTH_UNAVAILABLE: Reply =
    Reply::new(454, status(7, 0), "Temporary authentication failure, try again later");
/// AUTH in clear where TLS must come first (RFC 4954 §6; X.7.11).
pub const TLS_NEEDED_FOR_AUTH: Reply =
    Reply::new(538, status(7, 11), "Encryption required for requested authentication mechanism");
/// A mail command before AUTH where AUTH is needed (RFC 4954 §6, RFC 6409 §4.3).
pub const AUTH_REQUIRED: Reply = Reply::new(530, status(7, 0), "Authentication required");
/// AUTH after an AUTH that succeeded (RFC 4954 §4).
pub const ALREADY_AUTHENTICATED: Reply = Reply::new(503, status(5, 1), "Error: already authenticated");
/// AUTH after HELO: it is an extension, and needs EHLO (RFC 5321 §2.2.1).
pub const EHLO_FIRST: Reply = Reply::new(503, status(5, 1), "Error: send EHLO first");
/// The client gave an AUTH up with `*` (RFC 4954 §4).
pub const AUTH_CANCELLED: Reply = Reply::new(501, status(7, 0), "Authentication cancelled");
/// A response that is not base64 (RFC 4954 §4; X.5.2).
pub const BAD_BASE64: Reply = Reply::new(501, status(5, 2), "Error: the response is not valid base64");
/// A line of an AUTH exchange longer than 12,288 octets (RFC 4954 §4; X.5.6).
pub const AUTH_LINE_TOO_LONG: Reply =
    Reply::new(500, status(5, 6), "Error: authentication exchange line is too long");
/// STARTTLS, AUTH or XCLIENT between MAIL and the end of the content (RFC 4954 §4).
pub const NOT_IN_TRANSACTION: Reply =
    Reply::new(503, status(5, 1), "Error: not within a mail transaction, send RSET first");
/// XCLIENT from a peer that may not speak for others (Postfix's XCLIENT_README).
pub const NO_XCLIENT: Reply = Reply::new(550, status(7, 0), "Error: XCLIENT is not for this client");
/// The peer spoke before it was greeted (RFC 5321 §3.1); the connection closes.
pub const EARLY_TALKER: Reply =
    Reply::new(554, status(5, 1), "Error: a client waits for the greeting before it speaks, closing");

/// A transaction before HELO or EHLO (RFC 5321 §4.1.4).
pub const HELLO_FIRST: Reply = Reply::new(503, status(5, 1), "Error: send HELO/EHLO first");
/// A transaction before LHLO (RFC 2033 §4.1).
pub const LHLO_FIRST: Reply = Reply::new(503, status(5, 1), "Error: send LHLO first");
/// MAIL within a transaction (RFC 5321 §4.1.4).
pub const NESTED_MAIL: Reply = Reply::new(503, status(5, 1), "Error: nested MAIL command");
/// RCPT, DATA or BDAT without MAIL (RFC 5321 §4.1.4).
pub const NEED_MAIL: Reply = Reply::new(503, status(5, 1), "Error: need MAIL command");
/// DATA or BDAT without RCPT (RFC 5321 §4.1.1.4).
pub const NEED_RCPT: Reply = Reply::new(503, status(5, 1), "Error: need RCPT command");
/// DATA or BDAT when every RCPT was refused (RFC 5321 §3.3, RFC 2920 §3.1). LMTP asks for 503 (RFC 2033
/// §4.2): [`NEED_RCPT`].
pub const NO_VALID_RECIPIENTS: Reply = Reply::new(554, status(5, 1), "Error: no valid recipients");
/// RCPT or DATA after the first BDAT (RFC 3030 §2).
pub const BDAT_STARTED: Reply =
    Reply::new(503, status(5, 1), "Error: the content has begun with BDAT, only BDAT or RSET may follow");
/// DATA after BODY=BINARYMIME (RFC 3030 §3).
pub const BINARY_NEEDS_BDAT: Reply =
    Reply::new(503, status(5, 1), "Error: BODY=BINARYMIME needs BDAT, not DATA");

/// HELO or EHLO to an LMTP server (RFC 2033 §4.1).
pub const THIS_IS_LMTP: Reply = Reply::new(500, status(5, 1), "Error: this is LMTP, send LHLO");
/// LHLO to an SMTP server (RFC 5321 §4.2.4).
pub const THIS_IS_SMTP: Reply = Reply::new(500, status(5, 1), "Error: this is SMTP, send EHLO or HELO");
/// A BDAT that was not understood: nobody knows how many octets follow, so the connection closes (RFC 3030
/// §2).
pub const LOST_CHUNK: Reply = Reply::new(
    501,
    status(5, 4),
    "Syntax: BDAT size [LAST] (closing: the size of what follows is not known)",
);

/// A command line with a CR or LF that is not part of CRLF (RFC 5321 §2.3.8).
pub const BARE_LINE_ENDING: Reply =
    Reply::new(500, status(5, 2), "Error: a command line must end in <CR><LF>, and hold no other CR or LF");
/// A command line longer than the limit (RFC 5321 §4.5.3.1.4, X.5.6 in RFC 5248's registry: line too long).
pub const LINE_TOO_LONG: Reply = Reply::new(500, status(5, 6), "Error: command line too long");
/// A non-ASCII address without SMTPUTF8 (RFC 6531 §3.7; X.6.7).
pub const NEED_SMTPUTF8: Reply =
    Reply::new(553, status(6, 7), "Error: a non-ASCII address needs the SMTPUTF8 parameter");
/// Content with a bare CR or LF (RFC 5321 §2.3.8, §4.1.1.4). Taking it would let one message smuggle in
/// another.
pub const BARE_LINE_ENDING_IN_CONTENT: Reply =
    Reply::new(550, status(6, 11), "Refused: lines must end in <CR><LF>; the content has a bare CR or LF");
/// Content with a NUL (RFC 5321 §4.5.2 allows only the characters of RFC 5322).
pub const NUL_IN_CONTENT: Reply = Reply::new(550, status(6, 11), "Refused: the content has a NUL octet");
/// Content, or SIZE=, over the limit (RFC 1870 §6, RFC 5321 §4.5.3.1.10; X.3.4 message too big).
pub const MESSAGE_TOO_BIG: Reply =
    Reply::new(552, status(3, 4), "Message size exceeds the fixed maximum message size");
/// RCPT over the limit; those accepted before stay (RFC 5321 §4.5.3.1.10; X.5.3 too many recipients).
pub const TOO_MANY_RECIPIENTS: Reply = Reply::new(452, status(5, 3), "Error: too many recipients");
/// A command that leads to no message, after many of them (RFC 5321 §7.8; X.5.0 other protocol status).
pub const NO_PURPOSE: Reply = Reply::new(503, status(5, 0), "Error: too many commands without a message");
/// The peer made too many errors; the connection closes (X.7.0 other security status).
pub const TOO_MANY_ERRORS: Reply = Reply::new(421, status(7, 0), "Error: too many errors, closing");
/// Nothing came for too long; the connection closes (RFC 5321 §4.5.3.2.7; X.4.2 bad connection).
pub const TIMEOUT: Reply = Reply::new(421, status(4, 2), "Error: timeout, closing");

/// The same while content came whose line endings are not CRLF: its end was perhaps meant and not seen (RFC 5321
/// §4.1.1.4).
pub const TIMEOUT_IN_BARE_CONTENT: Reply = Reply::new(
    421,
    status(4, 2),
    "Error: timeout, closing: only <CR><LF>.<CR><LF> ends the content, and it has bare line endings",
);

/// A session whose password was changed, or whose account was removed, since it logged in.
pub const LOGIN_REVOKED: Reply = Reply::new(
    421,
    status(7, 0),
    "Error: what this session has logged in with was changed or removed, log in again",
);
/// The server stops (RFC 5321 §3.8; X.3.2 system not accepting network messages).
pub const SHUTTING_DOWN: Reply = Reply::new(421, status(3, 2), "Service shutting down, try again later");
/// Too many connections, in all or from one address (RFC 5321 §3.8; X.7.0).
pub const TOO_MANY_CONNECTIONS: Reply = Reply::new(421, status(7, 0), "Error: too many connections");
/// In place of the greeting, to a host that the operator does not want (RFC 5321 §3.1; X.7.1).
pub const NOT_WELCOME: Reply =
    Reply::new(554, status(7, 1), "Error: your network address is not welcome here");
/// XCLIENT with an address that no client of that proxy can have (Postfix's XCLIENT_README; X.5.4 invalid arguments).
pub const UNBELIEVABLE_CLIENT: Reply =
    Reply::new(501, status(5, 4), "Error: no client of yours can have that address");
/// XCLIENT without the client's address, or with one that the proxy does not know.
pub const NAMELESS_CLIENT: Reply =
    Reply::new(501, status(5, 4), "Error: XCLIENT must tell the client's address, ADDR");
/// Follows an XCLIENT that was refused: the client must not be served as if it were the proxy.
pub const UNKNOWN_CLIENT: Reply =
    Reply::new(421, status(7, 0), "Error: it is not known for whom this proxy speaks");
/// Too much came lately, of what is meant here (RFC 5321 §4.2.3; X.7.0).
pub const TOO_MUCH: Reply = Reply::new(451, status(7, 0), "Error: too much at once, try again later");
/// No login now, whatever the credentials are (RFC 4954 §6; X.7.0).
pub const LOGIN_LATER: Reply =
    Reply::new(454, status(7, 0), "Error: too many failed logins, try again later");
/// There is no such mailbox (RFC 5321 §4.2.3; X.1.1 bad destination mailbox).
pub const NO_SUCH_MAILBOX: Reply = Reply::new(550, status(1, 1), "No such mailbox here");
/// The recipient is not ours and the peer may not relay (RFC 5321 §7.9; X.7.1 delivery not authorized).
pub const RELAY_DENIED: Reply = Reply::new(550, status(7, 1), "Relaying denied");
/// A recipient has no room left, or not enough (RFC 5321 §4.2.3; X.2.2 mailbox full). Temporary: room can be made.
pub const MAILBOX_FULL: Reply =
    Reply::new(452, status(2, 2), "Not enough room left in the mailbox, try again later");
/// The recipient is ours, but what comes for it goes to another server (X.7.1 delivery not authorized).
pub const FORWARDING_DENIED: Reply = Reply::new(
    550,
    status(7, 1),
    "Mail for this address goes to another server, and is not forwarded from here",
);
/// A return path of ours that somebody made up, or that is too old (X.1.1 bad destination mailbox address).
pub const NO_SUCH_RETURN_PATH: Reply =
    Reply::new(550, status(1, 1), "This return address was not made here, or too long ago");
/// The message was delivered to this address before, and comes back from where it was forwarded to (X.4.6 routing loop detected).
pub const FORWARDING_LOOP: Reply =
    Reply::new(554, status(4, 6), "Mail forwarding loop: this message was delivered to the address before");
/// The recipient is an alias behind which there are too many others (X.4.6 routing loop detected).
pub const TOO_MANY_ALIASES: Reply = Reply::new(550, status(4, 6), "Too many aliases behind this address");
/// A recipient elsewhere, named by a client that may submit mail: there is nobody who would take it there
/// (RFC 6409 §6; X.7.1).
pub const NOT_DELIVERED_ELSEWHERE: Reply =
    Reply::new(550, status(7, 1), "This server delivers to its own domains only; nothing is relayed");
/// A From field that cannot be read, or several: programs would differ in whom they show (RFC 5322 §3.6; X.6.0).
pub const NO_CLEAR_AUTHOR: Reply =
    Reply::new(550, status(6, 0), "Refused: the message must have one From field that can be read");
/// The message has been through too many hosts (RFC 5321 §6.3; X.4.6 routing loop detected).
pub const TOO_MANY_HOPS: Reply = Reply::new(554, status(4, 6), "Too many hops, the message is looping");
/// The disk is nearly full (RFC 5321 §4.2.3; X.3.1 mail system full).
pub const STORAGE_FULL: Reply =
    Reply::new(452, status(3, 1), "Insufficient storage for the message, try again later");
/// The store failed (RFC 5321 §4.2.3; X.3.0 other mail system status).
pub const STORAGE_FAILED: Reply =
    Reply::new(451, status(3, 0), "Local error, the message was not stored, try again later");

/// In place of the next server's reply: it does not offer SMTPUTF8, and an address or the content needs it
/// (RFC 6531 §3.2; X.6.7).
pub const PEER_LACKS_SMTPUTF8: Reply =
    Reply::new(553, status(6, 7), "The receiving server does not offer SMTPUTF8");
/// In place of the next server's reply: it does not offer 8BITMIME or BINARYMIME, and the content needs it
/// (RFC 6152 §3; X.6.3 conversion required but not supported).
pub const PEER_LACKS_BODY: Reply =
    Reply::new(554, status(6, 3), "The receiving server does not take 8-bit or binary content");
/// In place of the next server's reply: it does not offer REQUIRETLS under verified TLS, and the sender requires it (RFC 8689 §4.3; X.7.30
/// REQUIRETLS support required).
pub const PEER_LACKS_REQUIRETLS: Reply = Reply::new(
    550,
    status(7, 30),
    "The sender requires TLS all the way (REQUIRETLS), which the receiving server does not offer",
);
/// In place of the next server's reply: the connection was lost when the content was sent whole (RFC 1047;
/// X.4.2 bad connection).
pub const CONNECTION_LOST: Reply =
    Reply::new(451, status(4, 2), "The connection was lost before the reply, the outcome is unknown");

/// The first reply (RFC 5321 §4.2): `220 host ESMTP banner`.
pub fn greeting(host_name: &str, protocol_name: &str, banner: Option<&str>) -> Reply {
    let banner = banner.map(|banner| format!(" {banner}")).unwrap_or_default();
    Reply::new(220, None, "").with_text(format!("{host_name} {protocol_name}{banner}"))
}

/// HELO, EHLO or LHLO accepted (RFC 5321 §4.1.1.1): `250 host Hello name [peer], pleased to meet you`.
pub fn hello(host_name: &str, name: &str, peer: std::net::IpAddr) -> Reply {
    let peer = crate::AddressLiteral::from(peer);
    Reply::new(250, None, "").with_text(format!("{host_name} Hello {name} {peer}, pleased to meet you"))
}

/// Content accepted and stored (RFC 5321 §4.1.1.4).
pub fn queued(id: impl std::fmt::Display) -> Reply {
    OK.with_text(format!("Ok: queued as {id}"))
}

/// One chunk accepted, others follow (RFC 3030 §2).
pub fn chunk_received(octets: u64) -> Reply {
    OK.with_text(format!("Ok: {octets} octets received"))
}

/// Content that a submission server cannot pass on: a line is longer than RFC 5321 §4.5.3.1.6 allows (X.6.0 other
/// media error).
pub fn text_line_too_long(max: usize) -> Reply {
    Reply::new(554, status(6, 0), "").with_text(format!(
        "Refused: the content has a line of more than {max} octets; fold it, or send the part as quoted-printable \
         or base64"
    ))
}

/// A reverse-path that is not the authenticated account's (RFC 6409 §6.1).
pub fn sender_not_owned(mailbox: &crate::Mailbox, account: &str) -> Reply {
    Reply::new(550, status(7, 1), "")
        .with_text(format!("Sender refused: {mailbox} is not an address of {account}"))
}

/// A HELO or EHLO that does not name the sender's domain, where that is asked for.
pub fn hello_not_of_sender(host: &crate::Host) -> Reply {
    Reply::new(550, status(7, 1), "")
        .with_text(format!("Sender refused: say HELO or EHLO with the sender's domain, {host}"))
}

/// A From field with an address that is not the authenticated account's (RFC 6409 §6.1).
pub fn author_not_owned(address: &str, account: &str) -> Reply {
    Reply::new(550, status(7, 1), "")
        .with_text(format!("Refused: From names {address}, which is not an address of {account}"))
}

/// AUTH with a mechanism that is not offered (RFC 4954 §4; X.5.4), with those that are.
pub fn unknown_mechanism(offered: &[&str]) -> Reply {
    Reply::new(504, status(5, 4), "")
        .with_text(format!("Error: authentication mechanism not offered; there are {}", offered.join(" ")))
}

/// HELP (RFC 5321 §4.1.1.8): the commands, or the form of one.
pub fn help(topic: Option<&str>) -> Reply {
    const HELP: Reply = Reply::new(214, status(0, 0), "");
    let Some(topic) = topic else {
        // Proxies ask for no help, and nobody else may use XCLIENT.
        let verbs = Verb::ALL.iter().filter(|verb| **verb != Verb::XClient);
        let verbs: Vec<_> = verbs.map(|verb| verb.as_str()).collect();
        return HELP.with_text(format!("Commands: {}\nHELP command tells its form", verbs.join(" ")));
    };
    match Verb::parse(topic) {
        Some(verb) => HELP.with_text(format!("Syntax: {}\nSee {}", verb.form(), section(verb))),
        // RFC 5321 §4.2.2: 504 command parameter not implemented.
        None => Reply::new(504, status(5, 4), "Error: no help on this; HELP alone lists the commands"),
    }
}

/// A line that is no valid command (RFC 5321 §4.2.2, §4.1.1.11): 500, 501, 553 or 555, with the right form.
pub fn syntax(error: &Syntax) -> Reply {
    let form = error.verb.map_or("", Verb::form);
    let invalid = |text: String| Reply::new(501, status(5, 4), "").with_text(text);
    match &error.fault {
        Fault::UnknownVerb { nearest } => {
            let hint = nearest.map(|verb| format!(", did you mean {verb}?")).unwrap_or_default();
            Reply::new(500, status(5, 2), "").with_text(format!("Error: command not recognized{hint}"))
        }
        Fault::Characters => {
            Reply::new(500, status(5, 2), "Error: a command holds no control characters and is valid UTF-8")
        }
        // The names of hosts come before extensions are agreed, so their refusal has no enhanced status (RFC
        // 2034 §4).
        Fault::Form(reason) => match error.verb {
            Some(Verb::Helo | Verb::Ehlo | Verb::Lhlo) => {
                Reply::new(501, None, "").with_text(with_reason(form, reason))
            }
            _ => invalid(with_reason(form, reason)),
        },
        Fault::Path(reason) => invalid(with_reason(form, &reason.to_string())),
        Fault::Utf8 => NEED_SMTPUTF8,
        Fault::Base64 => BAD_BASE64,
        Fault::UnknownParameter(keyword) => Reply::new(555, status(5, 4), "")
            .with_text(format!("Error: parameter {keyword} not recognized or not offered")),
        Fault::DuplicateParameter(keyword) => invalid(format!("Error: parameter {keyword} given twice")),
        Fault::Parameter { expected, .. } => invalid(format!("Syntax: {expected}")),
    }
}

fn with_reason(form: &str, reason: &str) -> String {
    if reason.is_empty() { format!("Syntax: {form}") } else { format!("Syntax: {form} ({reason})") }
}

/// Where a command is defined.
fn section(verb: Verb) -> &'static str {
    match verb {
        Verb::Helo | Verb::Ehlo => "RFC 5321 section 4.1.1.1",
        Verb::Lhlo => "RFC 2033 section 4.1",
        Verb::Mail => "RFC 5321 section 4.1.1.2",
        Verb::Rcpt => "RFC 5321 section 4.1.1.3",
        Verb::Data => "RFC 5321 section 4.1.1.4",
        Verb::Bdat => "RFC 3030 section 2",
        Verb::Rset => "RFC 5321 section 4.1.1.5",
        Verb::Noop => "RFC 5321 section 4.1.1.9",
        Verb::Quit => "RFC 5321 section 4.1.1.10",
        Verb::Vrfy => "RFC 5321 section 4.1.1.6",
        Verb::Expn => "RFC 5321 section 4.1.1.7",
        Verb::Help => "RFC 5321 section 4.1.1.8",
        Verb::StartTls => "RFC 3207",
        Verb::Auth => "RFC 4954",
        Verb::XClient => "the XCLIENT_README of Postfix",
    }
}
