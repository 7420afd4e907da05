//! Reports to a sender about what became of a message (RFC 3461, RFC 3464).
//!
//! A report is an ordinary message with the null reverse-path, committed like any other; nothing is ever reported about a message
//! that has the null reverse-path itself (RFC 5321 §6.1), so no report begets another. Who wants to hear of what was said in
//! NOTIFY; what is given back, in RET. The form is [`message::report`]'s.

use crate::deliver::relay::Letter;
use crate::inbound;
use crate::policy::Verdict;
use crate::policy::recipient::{self, Asked, Onward, Relaying, Routes};
use crate::queue::Outbound;
use bytes::Bytes;
use message::Date;
use message::report::{Action, International, Report, Reported, Returned};
use message::trace;
use smtp::{Body, Envelope, ForwardPath, Mailbox, Notify, Recipient, Reply, Return, ReversePath, Severity};
use std::borrow::Cow;
use store::{Accepted, Destination, Forward, MailboxName, NewDelivery, Timestamp};

/// What is to be reported.
pub(crate) struct Notice<'a> {
    /// What happened.
    pub(crate) kind: Kind,
    /// The message.
    pub(crate) letter: &'a Letter,
    /// To which of the letter's recipients, and what was said about them.
    pub(crate) recipients: Vec<(usize, &'a Reply)>,
    /// Who said it.
    pub(crate) host: Option<&'a str>,
    /// When.
    pub(crate) now: Timestamp,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It was given up.
    Failed,
    /// It takes longer than usual.
    Delayed,
    /// It was handed to a host that will not report.
    Relayed,
    /// It is in a mailbox.
    Delivered,
}

/// Sends the report, if anybody wants it.
pub(crate) async fn send(outbound: &Outbound, mut notice: Notice<'_>) -> store::Result<()> {
    let recipients = &notice.letter.envelope.recipients;
    notice.recipients.retain(|(place, _)| is_wanted(notice.kind, recipients[*place].notify));
    if notice.recipients.is_empty() {
        return Ok(());
    }
    let id = notice.letter.spool;
    let ReversePath::Mailbox(sender) = &notice.letter.envelope.reverse_path else {
        if notice.kind == Kind::Failed {
            tracing::warn!(%id, "it had no sender to tell, and is dropped");
        }
        return Ok(());
    };
    let (recipients, deliveries) = match addressed(outbound, sender, notice.now).await? {
        Ok(addressed) => addressed,
        Err(why) => {
            tracing::warn!(%id, sender = %inbound::shown(sender), "nobody is told: {why}");
            return Ok(());
        }
    };
    let returned = read(outbound, &notice).await?;
    let mut stage = outbound.store.stage()?;
    let text = compose(outbound, &notice, sender, &returned, &stage.id().to_string());
    let envelope = Envelope {
        body: if text.is_ascii() { Body::SevenBit } else { Body::EightBitMime },
        smtputf8: notice.letter.envelope.smtputf8,
        ..Envelope::new(ReversePath::Null, recipients)
    };
    stage.append(Bytes::from(text)).await?;
    let accepted = Accepted { received: notice.now, envelope, trace: Bytes::new(), deliveries };
    let report = match stage.commit(accepted).await {
        Err(store::Error::OverQuota(_)) => {
            tracing::warn!(%id, sender = %inbound::shown(sender), "its sender has no room for a report, so nobody is told");
            return Ok(());
        }
        report => report?,
    };
    tracing::info!(%id, %report, sender = %inbound::shown(sender), "sender told: {}", notice.kind.subject());
    outbound.wake.notify_one();
    Ok(())
}

/// Whether the sender wants to hear of it (RFC 3461 §4.1). Without NOTIFY failures are reported, and delays may be; successes not.
fn is_wanted(kind: Kind, notify: Option<Notify>) -> bool {
    match (kind, notify) {
        (_, Some(Notify::Never)) => false,
        (Kind::Failed, Some(Notify::On { failure, .. })) => failure,
        (Kind::Delayed, Some(Notify::On { delay, .. })) => delay,
        (Kind::Relayed | Kind::Delivered, Some(Notify::On { success, .. })) => success,
        (Kind::Failed | Kind::Delayed, None) => true,
        (Kind::Relayed | Kind::Delivered, None) => false,
    }
}

/// Where the report goes: into mailboxes here, to another host, or to where an address here leads; or why nowhere.
async fn addressed(
    outbound: &Outbound,
    sender: &Mailbox,
    now: Timestamp,
) -> store::Result<Result<(Vec<Recipient>, Vec<NewDelivery>), String>> {
    let path = ForwardPath::Mailbox(sender.clone());
    let asked = recipient::asked(&outbound.rules, &path, None, None);
    let returned = recipient::returned(&outbound.rules, &path, now);
    let asked = Asked { relaying: Relaying::Allowed, returned, ..asked };
    let Routes { routes, forwards, onward, .. } =
        match inbound::evaluate(&outbound.store, &outbound.rules, asked).await? {
            Verdict::Accept(routes) => routes,
            Verdict::Defer(reply) | Verdict::Reject(reply) => return Ok(Err(reply.to_string())),
        };
    let mut recipients = vec![Recipient::new(path)];
    if onward == Onward::Relayed {
        let destination = Destination::Queue { due: now };
        return Ok(Ok((recipients, vec![NewDelivery { recipient: 0, destination }])));
    }
    let delivered_to = trace::delivered_to(&sender.to_string());
    let own = Bytes::from([trace::return_path(None), delivered_to.clone()].concat());
    let into_mailbox = |route: recipient::Route| Destination::Mailbox {
        account: route.account,
        mailbox: MailboxName::inbox(),
        if_missing: route.if_missing,
        trace: own.clone(),
    };
    let here = routes.into_iter().map(into_mailbox);
    let mut deliveries: Vec<NewDelivery> =
        here.map(|destination| NewDelivery { recipient: 0, destination }).collect();
    for target in forwards {
        let forward = Forward { reverse_path: ReversePath::Null, trace: delivered_to.clone().into() };
        let destination = Destination::Forward { due: now, forward };
        deliveries.push(NewDelivery { recipient: recipients.len() as u32, destination });
        recipients.push(Recipient::new(ForwardPath::Mailbox(target)));
    }
    Ok(Ok((recipients, deliveries)))
}

/// As much of the message as is given back. One that cannot be read is reported without it: the sender must hear of it all the same.
async fn read(outbound: &Outbound, notice: &Notice<'_>) -> store::Result<Vec<u8>> {
    let mut reader = match outbound.store.content(notice.letter.spool).await {
        Ok(reader) => reader,
        Err(error @ (store::Error::Closed | store::Error::Fenced(_))) => return Err(error),
        Err(error) => {
            tracing::error!(id = %notice.letter.spool, %error, "a queued message cannot be read");
            return Ok(Vec::new());
        }
    };
    let most = if is_full(notice) { FULL_MAX } else { HEADERS_MAX };
    let mut front = Vec::new();
    while front.len() < most {
        match reader.content.next().await {
            Ok(Some(chunk)) => front.extend_from_slice(&chunk[..chunk.len().min(most - front.len())]),
            Ok(None) => break,
            Err(error) => {
                tracing::error!(id = %notice.letter.spool, %error, "a queued message cannot be read");
                return Ok(Vec::new());
            }
        }
    }
    Ok(front)
}

/// RET=FULL is honoured for failures (RFC 3461 §4.3) up to a size, and never for what may not stand in a report as it is, nor for what may
/// not travel without TLS (RFC 8689 §5).
fn is_full(notice: &Notice<'_>) -> bool {
    let Letter { envelope, deliveries: _, .. } = notice.letter;
    notice.kind == Kind::Failed
        && envelope.ret == Some(Return::Full)
        && envelope.body != Body::BinaryMime
        && !envelope.require_tls
}

fn compose(outbound: &Outbound, notice: &Notice<'_>, sender: &Mailbox, returned: &[u8], id: &str) -> Vec<u8> {
    let Letter { envelope, deliveries, .. } = notice.letter;
    let texts: Vec<Texts> = notice
        .recipients
        .iter()
        .map(|(place, reply)| Texts::of(&envelope.recipients[*place], reply, notice))
        .collect();
    let retry_until = outbound.schedule.end(crate::schedule::Mail::Ordinary, deliveries[0].received);
    let recipients: Vec<Reported<'_>> = texts
        .iter()
        .map(|texts| Reported {
            original: texts.original.as_ref().map(|(kind, address)| (kind.as_str(), address.as_str())),
            recipient: &texts.recipient,
            action: notice.kind.action(),
            status: &texts.status,
            remote: notice.host,
            diagnostic: Some(&texts.diagnostic),
            last_attempt: Some(Date::utc(notice.now.0)),
            retry_until: (notice.kind == Kind::Delayed).then_some(Date::utc(retry_until.0)),
        })
        .collect();
    let whole = is_full(notice) && returned.len() < FULL_MAX;
    let report = Report {
        reporter: outbound.host_name.ascii(),
        to: &sender.to_string(),
        subject: notice.kind.subject(),
        text: &explain(outbound, notice, &texts),
        date: Date::utc(notice.now.0),
        id,
        arrival: Date::utc(deliveries[0].received.0),
        envelope_id: envelope.envelope_id.as_ref().map(smtp::EnvelopeId::as_str),
        recipients: &recipients,
        returned: if whole { Returned::Full(returned) } else { Returned::Headers(returned) },
        international: if envelope.smtputf8 { International::Yes } else { International::No },
    };
    report.to_bytes()
}

/// What a report says about one recipient.
struct Texts {
    original: Option<(String, String)>,
    recipient: String,
    status: String,
    diagnostic: String,
}

impl Texts {
    fn of(recipient: &Recipient, reply: &Reply, notice: &Notice<'_>) -> Texts {
        let address = match &recipient.forward_path {
            ForwardPath::Mailbox(mailbox) => mailbox.to_string(),
            ForwardPath::Postmaster => "postmaster".to_owned(),
        };
        let original = recipient.original.as_ref();
        Texts {
            original: original
                .map(|original| (original.address_type().to_owned(), original.address().to_owned())),
            recipient: address,
            status: status(notice.kind, reply),
            diagnostic: reply.to_string(),
        }
    }
}

/// The enhanced status: that of the reply, with the class that fits what was done (RFC 3464 §2.3.4).
fn status(kind: Kind, reply: &Reply) -> String {
    let class = match (kind, reply.severity()) {
        (Kind::Relayed | Kind::Delivered, _) => 2,
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
    fn subject(self) -> &'static str {
        match self {
            Kind::Failed => "Your message could not be delivered",
            Kind::Delayed => "Your message is delayed",
            Kind::Relayed => "Your message was passed on",
            Kind::Delivered => "Your message was delivered",
        }
    }

    fn action(self) -> Action {
        match self {
            Kind::Failed => Action::Failed,
            Kind::Delayed => Action::Delayed,
            Kind::Relayed => Action::Relayed,
            Kind::Delivered => Action::Delivered,
        }
    }
}

/// The part for people: what happened, in whose words, and what to do.
fn explain(outbound: &Outbound, notice: &Notice<'_>, texts: &[Texts]) -> String {
    let host = outbound.host_name.as_str();
    let mut text = format!("This is the mail server {host}.\n\n");
    text.push_str(match notice.kind {
        Kind::Failed => "Your message could not be delivered to:\n",
        Kind::Delayed => "Your message has not been delivered yet to:\n",
        Kind::Relayed => {
            "Your message was passed on, to a server that does not say when it has delivered it, for:\n"
        }
        Kind::Delivered => "Your message is in the mailbox of:\n",
    });
    for one in texts {
        let said = match (notice.kind, notice.host) {
            (Kind::Relayed | Kind::Delivered, _) => Cow::from(""),
            (_, Some(host)) => format!("\n      {host} said: {}", one.diagnostic).into(),
            (_, None) => format!("\n      {}", one.diagnostic).into(),
        };
        text.push_str(&format!("\n  {}{said}\n", message::terminal::one_line(&one.recipient)));
    }
    text.push_str(match notice.kind {
        Kind::Failed => {
            "\nNothing more will be done about it. Check the address, or ask the recipient in another way; if the server's\n\
             words do not help you, show this report to your administrator. What you sent is attached, or how it began.\n"
        }
        Kind::Delayed => "\nYou need do nothing: it is tried again, and if it cannot be delivered in the end, you will be told.\n",
        Kind::Relayed | Kind::Delivered => "\nYou need do nothing.\n",
    });
    text
}

/// A message above this comes back with its header section alone.
const FULL_MAX: usize = 1 << 20;
/// A header section is cut here.
const HEADERS_MAX: usize = 64 * 1024;
