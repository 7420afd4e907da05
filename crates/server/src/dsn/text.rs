//! What a report says: the fields for programs, and the words for people.

use super::advice::{advice, span};
use super::{Audience, Desk, Extent, FULL_MAX, Host, Kind, Notice};
use message::Date;
use message::report::{Action, International, Report, Reported, Returned, SaidBy};
use message::terminal::one_line;
use smtp::{ForwardPath, Mailbox, Recipient, Reply, ReplySource, Severity};

/// A report to somebody.
pub(super) struct Letter<'a> {
    pub(super) to: &'a Mailbox,
    pub(super) audience: Audience,
    /// How much of the message is given back, and that.
    pub(super) extent: Extent,
    pub(super) returned: &'a [u8],
    pub(super) id: &'a str,
}

pub(super) fn compose(desk: &Desk<'_>, notice: &Notice<'_>, letter: &Letter<'_>) -> Vec<u8> {
    let envelope = notice.envelope;
    let texts: Vec<Texts> = notice
        .recipients
        .iter()
        .map(|(place, reply)| Texts::of(&envelope.recipients[*place], reply, (notice, letter.audience)))
        .collect();
    let recipients: Vec<Reported<'_>> = texts
        .iter()
        .map(|texts| Reported {
            original: texts.original.as_ref().map(|(kind, address)| (kind.as_str(), address.as_str())),
            recipient: &texts.recipient,
            action: notice.kind.action(),
            status: &texts.status,
            remote: texts.host,
            diagnostic: texts.said.as_ref().map(|said| said.text.as_str()),
            said_by: texts.said.as_ref().map_or(SaidBy::Reporter, |said| said.by),
            last_attempt: Some(Date::utc(notice.now.0)),
            retry_until: notice.retry_until.map(|until| Date::utc(until.0)),
        })
        .collect();
    let is_sender = envelope.reverse_path.as_mailbox() == Some(letter.to);
    let subject = match is_sender {
        true => notice.kind.subject(),
        false => "A message could not be delivered, and its sender was told",
    };
    let report = Report {
        reporter: desk.rules.host_name.ascii(),
        to: &letter.to.to_string(),
        subject,
        text: &explain(desk, notice, &texts, is_sender.then_some(letter)),
        date: Date::utc(notice.now.0),
        id: letter.id,
        arrival: Date::utc(notice.received.0),
        envelope_id: envelope.envelope_id.as_ref().map(smtp::EnvelopeId::as_str),
        recipients: &recipients,
        returned: match letter.extent {
            Extent::Full if letter.returned.len() < FULL_MAX => Returned::Full(letter.returned),
            Extent::Full | Extent::Headers => Returned::Headers(letter.returned),
            Extent::Identity => Returned::Identity(letter.returned),
        },
        international: if envelope.smtputf8 { International::Yes } else { International::No },
    };
    report.to_bytes()
}

/// What a report says about one recipient.
struct Texts<'a> {
    original: Option<(String, String)>,
    recipient: String,
    status: String,
    /// Who said it; `None` when nobody did, or when it is nobody's business.
    host: Option<&'a str>,
    said: Option<Said>,
    /// The same for people, line by line.
    words: Vec<String>,
    /// How long it was tried, where that is why it failed.
    tried: Option<String>,
    /// What to do about it.
    advice: Vec<String>,
}

struct Said {
    by: SaidBy,
    text: String,
}

impl<'a> Texts<'a> {
    fn of(recipient: &Recipient, reply: &Reply, (notice, audience): (&Notice<'a>, Audience)) -> Texts<'a> {
        let address = match &recipient.forward_path {
            ForwardPath::Mailbox(mailbox) => mailbox.to_string(),
            ForwardPath::Postmaster => "postmaster".to_owned(),
        };
        let original = recipient.original.as_ref();
        let by = match reply.source() {
            ReplySource::Peer => SaidBy::Remote,
            ReplySource::Own => SaidBy::Reporter,
        };
        let is_secret = matches!((notice.host, audience), (Host::Private(_), Audience::Outside));
        let host = match notice.host {
            Host::Public(host) | Host::Private(host) if by == SaidBy::Remote && !is_secret => host,
            _ => None,
        };
        // Our own words may name hosts and files of the operator's.
        let generic = (is_secret && by == SaidBy::Reporter).then(|| reply.with_text(OWN_WAY));
        let reply = generic.as_ref().unwrap_or(reply);
        let is_bad = matches!(notice.kind, Kind::Failed | Kind::Delayed);
        Texts {
            original: original
                .map(|original| (original.address_type().to_owned(), original.address().to_owned())),
            recipient: address,
            status: status(notice.kind, reply),
            host,
            // Of what went well there is no more to say than that; but a host that took it has given its word.
            said: (is_bad || by == SaidBy::Remote).then(|| Said { by, text: reply.to_string() }),
            words: if is_bad { words(reply, host) } else { Vec::new() },
            tried: (notice.kind == Kind::Failed && reply.severity() != Severity::Permanent)
                .then(|| span(notice.now.0.saturating_sub(notice.received.0))),
            advice: match (notice.kind, &generic) {
                (Kind::Failed, None) => lines(advice(reply)),
                (Kind::Failed, Some(_)) => lines(OWN_ADVICE),
                _ => Vec::new(),
            },
        }
    }
}

/// A reply for people: whose words, then the words, in lines that fit a screen, and not without end.
fn words(reply: &Reply, host: Option<&str>) -> Vec<String> {
    let mut words = String::new();
    if reply.source() == ReplySource::Peer {
        words.push_str(host.unwrap_or("The next server"));
        words.push_str(&format!(" said: {}", reply.code().number()));
        if let Some(status) = reply.status() {
            let class = reply.code().number() / 100;
            words.push_str(&format!(" {class}.{}.{}", status.subject, status.detail));
        }
        words.push(' ');
    }
    words.push_str(&reply.lines().collect::<Vec<_>>().join(" / "));
    lines(&words)
}

/// A text in lines that fit a screen.
fn lines(words: &str) -> Vec<String> {
    let words = one_line(words).into_owned();
    let mut lines = vec![String::new()];
    let mut width = 0;
    for word in words.split_inclusive(' ') {
        let count = word.chars().count();
        if width > 0 && width + count > COLUMNS {
            if lines.len() >= LINES_MAX {
                lines.push("[...]".to_owned());
                return lines;
            }
            lines.push(String::new());
            width = 0;
        }
        let kept = word.chars().take(WORD_MAX);
        lines.last_mut().expect("there is one").extend(kept);
        width += count;
    }
    lines
}

/// The enhanced status: that of the reply, with the class that fits what was done (RFC 3464 §2.3.4).
fn status(kind: Kind, reply: &Reply) -> String {
    let class = match (kind, reply.severity()) {
        (Kind::Relayed | Kind::Delivered | Kind::Expanded, _) => 2,
        (Kind::Delayed, _) => 4,
        (Kind::Failed, Severity::Permanent) => 5,
        // Given up after many attempts, each of which said "later": RFC 3463 has 4.4.7 and 5.4.7, delivery time expired.
        (Kind::Failed, _) => return "5.4.7".to_owned(),
    };
    match reply.status() {
        Some(status) => format!("{class}.{}.{}", status.subject, status.detail),
        None => format!("{class}.0.0"),
    }
}

impl Kind {
    fn action(self) -> Action {
        match self {
            Kind::Failed => Action::Failed,
            Kind::Delayed => Action::Delayed,
            Kind::Relayed => Action::Relayed,
            Kind::Delivered => Action::Delivered,
            Kind::Expanded => Action::Expanded,
        }
    }
}

/// The part for people: what happened, in whose words, and what to do. `letter` is that to the sender; the postmaster has no use for advice.
fn explain(desk: &Desk<'_>, notice: &Notice<'_>, texts: &[Texts<'_>], letter: Option<&Letter<'_>>) -> String {
    let host = desk.rules.host_name.as_str();
    let mut text = format!("This is the mail server {host}.\n\n");
    match (letter, &notice.envelope.reverse_path.as_mailbox()) {
        (None, Some(sender)) => {
            let (sender, id) = (one_line(&sender.to_string()).into_owned(), notice.id);
            text.push_str(&format!("Message {id} from {sender} could not be delivered to:\n"));
        }
        _ => text.push_str(match notice.kind {
            Kind::Failed => "Your message could not be delivered to:\n",
            Kind::Delayed => "Your message has not been delivered yet to:\n",
            Kind::Relayed => {
                "Your message was passed on, to a server that does not say when it has delivered it, for:\n"
            }
            Kind::Delivered => "Your message is in the mailbox of:\n",
            Kind::Expanded => {
                "Your message was sent on to everybody for whom this address stands. Of them nothing more will be said:\n"
            }
        }),
    }
    for one in texts {
        text.push_str(&format!("\n  {}\n", one_line(&one.recipient)));
        if let Some(tried) = &one.tried {
            text.push_str(&format!("      It was tried for {tried}, and is given up. The last time:\n"));
        }
        // Advice is for who can follow it.
        let advice = one.advice.iter().filter(|_| letter.is_some());
        for line in one.words.iter().chain(advice) {
            text.push_str(&format!("      {}\n", line.trim_end()));
        }
    }
    if let Some(letter) = letter {
        text.push_str(&match (notice.kind, letter.extent) {
            (Kind::Failed, Extent::Identity) => FAILED_WITHOUT.to_owned(),
            (Kind::Failed, _) => FAILED.to_owned(),
            (Kind::Delayed, _) => {
                let until =
                    notice.retry_until.map_or(String::new(), |end| format!(" until {}", Date::utc(end.0)));
                let age = span(notice.now.0.saturating_sub(notice.received.0));
                format!(
                    "\nIt has been tried for {age}. You need do nothing: it is tried again{until},\n\
                     and if it cannot be delivered by then, you will be told.\n"
                )
            }
            (Kind::Relayed | Kind::Delivered | Kind::Expanded, _) => "\nYou need do nothing.\n".to_owned(),
        });
    }
    text
}

const FAILED: &str = "\nNothing more will be done about it. If that does not help you, show this report to your administrator.\n\
     What you sent is attached, or how it began.\n";
/// RFC 8689 §5.
const FAILED_WITHOUT: &str = "\nNothing more will be done about it. If that does not help you, show this report to your administrator.\n\
     Because your message was to travel protected only, no more than its Message-ID and date are attached.\n";
/// What somebody elsewhere hears of trouble between this server and a host of its operator's.
const OWN_WAY: &str = "The way that this server sends such mail is out of order";
/// What they can do about it.
const OWN_ADVICE: &str =
    "Nothing is wrong with your message. Send it again later, or ask the recipient in another way.";
/// The width of words.
const COLUMNS: usize = 76;
/// No reply needs more lines.
const LINES_MAX: usize = 20;
/// A longer word is cut, in characters: together with its indentation it stays below the 998 octets of a line, whatever it is encoded in.
const WORD_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_fit_a_screen_and_end() {
        let mut parser = smtp::ReplyParser::new();
        let long = format!("550-5.7.1 {0}\r\n550 5.7.1 {0}\r\n", "grün und blau ".repeat(100));
        parser.receive(long.as_bytes());
        let reply = parser.next_reply().expect("a reply").expect("it is whole");
        let lines = words(&reply, Some("mx.example"));
        assert!(lines[0].starts_with("mx.example said: 550 5.7.1 grün"), "{}", lines[0]);
        assert!(lines.iter().all(|line| line.trim_end().chars().count() <= COLUMNS));
        assert_eq!(lines.last().map(String::as_str), Some("[...]"));
        assert_eq!(lines.len(), LINES_MAX + 1);
        let one = words(&Reply::new(550, None, "").with_text("x".repeat(5000)), None);
        assert_eq!(one[0].len(), WORD_MAX, "own words have no code, and no word is without end");
    }
}
