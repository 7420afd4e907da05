//! What became of a letter: one line for each recipient, and the exit status.

use super::deliver::{DeliveryFailure, Ending};
use crate::exit::Exit;
use crate::output::{self, Format};
use anstyle::{AnsiColor, Style};
use message::terminal;
use serde::Serialize;
use server::tls::HandshakeError;
use smtp::client::Failure;
use smtp::{ForwardPath, Reply, Severity};
use std::io;

/// Prints the result for each recipient, and on standard error why something is missing.
pub(super) fn print(
    server: &str,
    recipients: &[ForwardPath],
    ending: &Ending,
    format: Format,
) -> io::Result<()> {
    if let Some(failure) = &ending.failure {
        anstream::eprintln!("posthaste: {}", terminal::one_line(&explain(failure)));
    }
    let results = recipients.iter().zip(&ending.replies);
    match format {
        Format::Json => output::json(&Report {
            server,
            recipients: results.map(|(path, reply)| Recipient::new(path, reply.as_ref(), ending)).collect(),
            failure: ending.failure.as_ref().map(explain),
        }),
        Format::Text => results
            .filter_map(|(path, reply)| Some(line(path, reply.as_ref()?, verdict(reply.as_ref(), ending))))
            .try_for_each(|line| output::text(&line)),
    }
}

/// The exit status: a refusal counts more than what may pass.
pub(super) fn exit(ending: &Ending) -> Exit {
    let verdicts = || ending.replies.iter().map(|reply| verdict(reply.as_ref(), ending));
    if verdicts().any(|verdict| verdict == Verdict::Refused) {
        Exit::Refused
    } else if verdicts().any(|verdict| verdict == Verdict::Later) {
        Exit::TryLater
    } else {
        Exit::Done
    }
}

/// What a recipient's reply comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Accepted,
    Refused,
    Later,
}

fn verdict(reply: Option<&Reply>, ending: &Ending) -> Verdict {
    match (reply.map(Reply::severity), &ending.failure) {
        (Some(Severity::Positive | Severity::Intermediate), _) => Verdict::Accepted,
        (Some(Severity::Transient), _) => Verdict::Later,
        (Some(Severity::Permanent), _) => Verdict::Refused,
        (None, Some(failure)) if is_permanent(failure) => Verdict::Refused,
        (None, _) => Verdict::Later,
    }
}

/// Whether the same would fail again.
fn is_permanent(failure: &DeliveryFailure) -> bool {
    match failure {
        DeliveryFailure::Client(
            Failure::Greeting(reply) | Failure::Hello(reply) | Failure::Authentication(reply),
        ) => reply.severity() == Severity::Permanent,
        DeliveryFailure::Client(Failure::Content(_)) => true,
        DeliveryFailure::Tls(_) => true,
        DeliveryFailure::Client(_) | DeliveryFailure::Connect { .. } | DeliveryFailure::Broken(_) => false,
    }
}

/// What went wrong and what would be right.
fn explain(failure: &DeliveryFailure) -> String {
    match failure {
        DeliveryFailure::Connect { server, cause } => {
            let hint = match cause.kind() {
                io::ErrorKind::ConnectionRefused => "; is a server running there? `posthaste up` starts one",
                _ => "",
            };
            format!("cannot connect to {server}: {cause}{hint}")
        }
        DeliveryFailure::Tls(error) => error.to_string(),
        DeliveryFailure::Broken(error)
            if error.get_ref().is_some_and(|inner| inner.is::<HandshakeError>()) =>
        {
            format!("no TLS with the server: {error}{}", tls_hint(&error.to_string()))
        }
        DeliveryFailure::Broken(error) => format!("the connection broke: {error}"),
        DeliveryFailure::Client(failure) if failure.leaves_outcome_unknown() => {
            format!("{failure}: the message was sent whole, but whether the server has it nobody knows")
        }
        DeliveryFailure::Client(failure @ Failure::Content(_)) => {
            format!("{failure}, which only a server with BINARYMIME could take")
        }
        DeliveryFailure::Client(failure) => failure.to_string(),
    }
}

/// What helps where a handshake failed because the certificate is not trusted.
pub(in crate::commands) fn trust_hint(what: &str) -> Option<&'static str> {
    what.contains("certificate of the server")
        .then_some("; --ca FILE names whom to trust, --insecure takes any certificate")
}

/// What helps where a handshake failed.
fn tls_hint(what: &str) -> &'static str {
    if let Some(hint) = trust_hint(what) {
        hint
    } else if what.contains("SMTP in clear") {
        "; is this a port for STARTTLS? --tls require uses that"
    } else {
        "; --tls none does without"
    }
}

fn line(path: &ForwardPath, reply: &Reply, verdict: Verdict) -> String {
    let (word, colour) = match verdict {
        Verdict::Accepted => ("accepted", AnsiColor::Green),
        Verdict::Refused => ("refused", AnsiColor::Red),
        Verdict::Later => ("later", AnsiColor::Yellow),
    };
    let style = Style::new().fg_color(Some(colour.into()));
    let (recipient, reply) = (address(path), reply.to_string());
    format!("{style}{word:<8}{style:#}  {recipient}: {}", terminal::one_line(&reply))
}

/// A path without its angle brackets.
fn address(path: &ForwardPath) -> String {
    match path {
        ForwardPath::Postmaster => "postmaster".to_owned(),
        ForwardPath::Mailbox(mailbox) => mailbox.to_string(),
    }
}

/// A delivery for programs.
#[derive(Serialize)]
struct Report<'a> {
    server: &'a str,
    recipients: Vec<Recipient>,
    failure: Option<String>,
}

#[derive(Serialize)]
struct Recipient {
    recipient: String,
    result: Verdict,
    code: Option<u16>,
    status: Option<String>,
    text: Option<String>,
}

impl Recipient {
    fn new(path: &ForwardPath, reply: Option<&Reply>, ending: &Ending) -> Recipient {
        let status = |reply: &Reply| {
            let status = reply.status()?;
            Some(format!("{}.{}.{}", reply.code().number() / 100, status.subject, status.detail))
        };
        Recipient {
            recipient: address(path),
            result: verdict(reply, ending),
            code: reply.map(|reply| reply.code().number()),
            status: reply.and_then(status),
            text: reply.map(|reply| reply.lines().collect::<Vec<_>>().join("\n")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smtp::client::Stage;

    fn reply(code: u16) -> Option<Reply> {
        Some(Reply::new(code, None, "text"))
    }

    fn ending(replies: &[Option<Reply>], failure: Option<DeliveryFailure>) -> Ending {
        Ending { replies: replies.to_vec(), failure }
    }

    #[test]
    fn exit_statuses() {
        let refused = DeliveryFailure::Connect {
            server: "127.0.0.1:1".to_owned(),
            cause: io::Error::from(io::ErrorKind::ConnectionRefused),
        };
        let greeting = |code| DeliveryFailure::Client(Failure::Greeting(Reply::new(code, None, "no")));
        let broken = DeliveryFailure::Broken(io::Error::other("x"));
        for (ending, expected) in [
            (ending(&[reply(250), reply(250)], None), Exit::Done),
            (ending(&[reply(250), reply(451)], None), Exit::TryLater),
            (ending(&[reply(550), reply(451)], None), Exit::Refused),
            (ending(&[None], Some(refused)), Exit::TryLater),
            (ending(&[None], Some(greeting(421))), Exit::TryLater),
            (ending(&[None], Some(greeting(554))), Exit::Refused),
            (ending(&[reply(250), None], Some(broken)), Exit::TryLater),
        ] {
            assert_eq!(exit(&ending), expected, "{:?} {:?}", ending.replies, ending.failure);
        }
    }

    #[test]
    fn lines_name_recipient_and_reply() {
        let path = ForwardPath::parse("<bob@example.org>").expect("a path");
        let reply = Reply::new(550, Some(smtp::Status { subject: 1, detail: 1 }), "No such\nmailbox");
        let line = line(&path, &reply, Verdict::Refused);
        let line = anstream::adapter::strip_str(&line).to_string();
        assert_eq!(line, "refused   bob@example.org: 550 5.1.1 No such / mailbox");
    }

    #[test]
    fn an_unknown_outcome_is_said_to_be_unknown() {
        let failure = |stage| DeliveryFailure::Client(Failure::ClosedByPeer { stage });
        assert!(explain(&failure(Stage::End)).ends_with("whether the server has it nobody knows"));
        assert!(!explain(&failure(Stage::Envelope)).contains("nobody knows"));
    }
}
