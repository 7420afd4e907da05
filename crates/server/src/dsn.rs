//! Reports to a sender about what became of a message (RFC 3461, RFC 3464).
//!
//! A report is an ordinary message with the null reverse-path, committed like any other; nothing is ever reported about a message
//! that has the null reverse-path itself (RFC 5321 §6.1), so no report begets another. Who wants to hear of what was said in
//! NOTIFY; what is given back, in RET. A full mailbox does not keep a report out: accounts have a reserve for them.
//!
//! Called by the queue for what it delivered or gave up, and by the receiving side for what is decided at acceptance. What a report says is
//! in [`text`], its form in [`message::report`].

mod advice;
mod rate;
mod text;

pub use rate::ReportRate;

use crate::confine::Switch;
use crate::inbound;
use crate::policy::Verdict;
use crate::policy::recipient::{self, Asked, Onward, Relaying, Routes, Rules};
use bytes::Bytes;
use message::trace;
use smtp::{Body, Envelope, ForwardPath, Mailbox, Notify, Recipient, Reply, Return, ReversePath};
use store::{
    Accepted, Destination, Forward, IfFull, MailboxName, NewDelivery, SharedStore, SpoolId, Timestamp, Told,
};

/// What reports are made with.
pub(crate) struct Desk<'a> {
    /// Where the mail is.
    pub(crate) store: &'a SharedStore,
    /// Who has a mailbox here.
    pub(crate) rules: &'a Rules,
    /// Whether the postmaster hears of failures, too.
    pub(crate) postmaster_copies: Switch,
    /// How many reports an address elsewhere gets; any number when `None`.
    pub(crate) rate: Option<&'a ReportRate>,
    /// Wakes the queue.
    pub(crate) wake: &'a tokio::sync::Notify,
}

/// What is to be reported.
pub(crate) struct Notice<'a> {
    /// What happened.
    pub(crate) kind: Kind,
    /// The message.
    pub(crate) id: SpoolId,
    /// Its envelope.
    pub(crate) envelope: &'a Envelope,
    /// When it came.
    pub(crate) received: Timestamp,
    /// To which of the envelope's recipients, and what was said about them.
    pub(crate) recipients: Vec<(usize, &'a Reply)>,
    /// With whom was spoken about it.
    pub(crate) host: Host<'a>,
    /// Until when it will be tried again.
    pub(crate) retry_until: Option<Timestamp>,
    /// When.
    pub(crate) now: Timestamp,
}

/// With whom was spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Host<'a> {
    /// With a host that DNS names, or with nobody.
    Public(Option<&'a str>),
    /// With one of the operator's, or it was not reached. Only those who have a mailbox here may learn of it.
    Private(Option<&'a str>),
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
    /// It was sent to all those for whom the address stands.
    Expanded,
}

/// Who reads a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Audience {
    /// Somebody with a mailbox here.
    Inside,
    /// Anybody.
    Outside,
}

/// What a report returns of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    Identity,
    Headers,
    Full,
}

/// Where a report goes.
pub(crate) struct Addressed {
    /// The recipients of its envelope.
    pub(crate) recipients: Vec<Recipient>,
    /// What becomes of it.
    pub(crate) deliveries: Vec<NewDelivery>,
    audience: Audience,
}

/// Sends the report, if anybody wants it. Says what the sender hears of each recipient, by its place in the envelope.
pub(crate) async fn send(desk: &Desk<'_>, mut notice: Notice<'_>) -> store::Result<Vec<(usize, Told)>> {
    let nothing = |why: &str| Told::Nothing(why.to_owned());
    let places: Vec<usize> = notice.recipients.iter().map(|(place, _)| *place).collect();
    if places.is_empty() {
        return Ok(Vec::new());
    }
    let (id, envelope) = (notice.id, notice.envelope);
    let ReversePath::Mailbox(sender) = &envelope.reverse_path else {
        if notice.kind == Kind::Failed {
            tracing::warn!(%id, "it had no sender to tell, and is dropped");
        }
        return Ok(places.into_iter().map(|place| (place, nothing(NO_SENDER))).collect());
    };
    if notice.kind == Kind::Failed && desk.postmaster_copies == Switch::On {
        let postmaster = recipient::asked(desk.rules, &ForwardPath::Postmaster, None, None).address;
        send_to(desk, &notice, &postmaster).await?;
    }
    notice.recipients.retain(|(place, _)| is_wanted(notice.kind, envelope.recipients[*place].notify));
    let told = match notice.recipients.is_empty() {
        true => nothing(UNWANTED),
        false => send_to(desk, &notice, sender).await?,
    };
    let wanted = |place: usize| notice.recipients.iter().any(|(one, _)| *one == place);
    let of_each = |place| (place, if wanted(place) { told.clone() } else { nothing(UNWANTED) });
    Ok(places.into_iter().map(of_each).collect())
}

/// Whether the sender wants to hear of it (RFC 3461 §4.1). Without NOTIFY failures are reported, and delays may be; successes not.
fn is_wanted(kind: Kind, notify: Option<Notify>) -> bool {
    match (kind, notify) {
        (_, Some(Notify::Never)) => false,
        (Kind::Failed, Some(Notify::On { failure, .. })) => failure,
        (Kind::Delayed, Some(Notify::On { delay, .. })) => delay,
        (Kind::Failed | Kind::Delayed, None) => true,
        (Kind::Relayed | Kind::Delivered | Kind::Expanded, notify) => wants_success(notify),
    }
}

/// Whether a success is to be reported.
pub(crate) fn wants_success(notify: Option<Notify>) -> bool {
    matches!(notify, Some(Notify::On { success: true, .. }))
}

async fn send_to(desk: &Desk<'_>, notice: &Notice<'_>, to: &Mailbox) -> store::Result<Told> {
    let (id, is_sender) = (notice.id, notice.envelope.reverse_path.as_mailbox() == Some(to));
    let addressed = match addressed(desk, to, notice.now).await? {
        Ok(addressed) => addressed,
        Err(why) => {
            tracing::warn!(%id, to = %inbound::shown(to), "nobody is told: {why}");
            return Ok(Told::Nothing(format!("no report can go to that address ({why})")));
        }
    };
    let Some(rate) = desk.rate.filter(|_| addressed.audience == Audience::Outside) else {
        return write(desk, notice, (to, is_sender), addressed).await;
    };
    if let Err(why) = rate.take(to, notice.kind, notice.now) {
        tracing::warn!(%id, to = %inbound::shown(to), "nobody is told: {why}");
        return Ok(Told::Nothing(why));
    }
    let told = write(desk, notice, (to, is_sender), addressed).await;
    if !matches!(told, Ok(Told::Report(_))) {
        rate.give_back(to, notice.kind);
    }
    told
}

/// Composes a report and commits it.
async fn write(
    desk: &Desk<'_>,
    notice: &Notice<'_>,
    (to, is_sender): (&Mailbox, bool),
    addressed: Addressed,
) -> store::Result<Told> {
    let id = notice.id;
    let extent = match (is_sender, notice.envelope.require_tls, addressed.audience) {
        // It may have to go back over hosts that keep no secrets.
        (true, true, Audience::Outside) => Extent::Identity,
        (true, false, _) if is_full(notice) => Extent::Full,
        _ => Extent::Headers,
    };
    let returned = read(desk, id, extent).await?;
    let Addressed { recipients, deliveries, audience } = addressed;
    let mut stage = desk.store.stage()?;
    let report = stage.id().to_string();
    let text =
        text::compose(desk, notice, &text::Letter { to, audience, extent, returned: &returned, id: &report });
    let envelope = Envelope {
        body: if text.is_ascii() { Body::SevenBit } else { Body::EightBitMime },
        smtputf8: notice.envelope.smtputf8,
        // RFC 8689 §5.
        require_tls: notice.envelope.require_tls,
        ..Envelope::new(ReversePath::Null, recipients)
    };
    stage.append(Bytes::from(text)).await?;
    let trace = Bytes::from(format!("{REPORT_ON}: {id}\r\n"));
    let accepted = Accepted { received: notice.now, envelope, trace, deliveries };
    match stage.commit(accepted).await {
        Err(store::Error::OverQuota(_)) => {
            tracing::warn!(%id, to = %inbound::shown(to), "there is no room even for reports, so nobody is told");
            Ok(Told::Nothing("there was no room in the mailbox, not even for reports".to_owned()))
        }
        report => {
            let report = report?;
            tracing::info!(%id, %report, to = %inbound::shown(to), "told: {}", notice.kind.subject());
            desk.wake.notify_one();
            Ok(Told::Report(report))
        }
    }
}

/// Where the report goes: into mailboxes here, to another host, or to where an address here leads; or why nowhere.
pub(crate) async fn addressed(
    desk: &Desk<'_>,
    to: &Mailbox,
    now: Timestamp,
) -> store::Result<Result<Addressed, String>> {
    let path = ForwardPath::Mailbox(to.clone());
    let asked = recipient::asked(desk.rules, &path, None, None);
    let returned = recipient::returned(desk.rules, &path, now);
    // A server that sends nothing on has no queue, either.
    let relaying = if desk.rules.onwards.is_some() { Relaying::Allowed } else { Relaying::Denied };
    let asked = Asked { relaying, returned, if_full: IfFull::UseReserve, ..asked };
    let Routes { routes, forwards, onward, .. } =
        match inbound::evaluate(desk.store, desk.rules, asked).await? {
            Verdict::Accept(routes) => routes,
            Verdict::Defer(reply) | Verdict::Reject(reply) => return Ok(Err(reply.to_string())),
        };
    let mut recipients = vec![Recipient::new(path)];
    if onward == Onward::Relayed {
        let deliveries = vec![NewDelivery { recipient: 0, destination: Destination::Queue { due: now } }];
        return Ok(Ok(Addressed { recipients, deliveries, audience: Audience::Outside }));
    }
    let audience = if forwards.is_empty() { Audience::Inside } else { Audience::Outside };
    let delivered_to = trace::delivered_to(&to.to_string());
    let own = Bytes::from([trace::return_path(None), delivered_to.clone()].concat());
    let into_mailbox = |route: recipient::Route| Destination::Mailbox {
        account: route.account,
        mailbox: MailboxName::inbox(),
        if_missing: route.if_missing,
        if_full: IfFull::UseReserve,
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
    Ok(Ok(Addressed { recipients, deliveries, audience }))
}

/// As much of the message as is given back. One that cannot be read is reported without it: the sender must hear of it all the same.
async fn read(desk: &Desk<'_>, id: SpoolId, extent: Extent) -> store::Result<Vec<u8>> {
    let mut reader = match desk.store.content(id).await {
        Ok(reader) => reader,
        Err(error @ (store::Error::Closed | store::Error::Fenced(_))) => return Err(error),
        Err(error) => {
            tracing::error!(%id, %error, "a queued message cannot be read");
            return Ok(Vec::new());
        }
    };
    let most = if extent == Extent::Full { FULL_MAX } else { HEADERS_MAX };
    let mut front = Vec::new();
    while front.len() < most {
        match reader.content.next().await {
            Ok(Some(chunk)) => front.extend_from_slice(&chunk[..chunk.len().min(most - front.len())]),
            Ok(None) => break,
            Err(error) => {
                tracing::error!(%id, %error, "a queued message cannot be read");
                return Ok(Vec::new());
            }
        }
    }
    Ok(front)
}

/// RET=FULL is honoured for failures (RFC 3461 §4.3) up to a size, and never for what may not stand in a report as it is.
fn is_full(notice: &Notice<'_>) -> bool {
    notice.kind == Kind::Failed
        && notice.envelope.ret == Some(Return::Full)
        && notice.envelope.body != Body::BinaryMime
}

impl Kind {
    fn subject(self) -> &'static str {
        match self {
            Kind::Failed => "Your message could not be delivered",
            Kind::Delayed => "Your message is delayed",
            Kind::Relayed => "Your message was passed on",
            Kind::Delivered => "Your message was delivered",
            Kind::Expanded => "Your message was sent on to a group of recipients",
        }
    }
}

/// The header field of a report that names the message which it is about: how this server finds that one again.
pub(crate) const REPORT_ON: &str = "X-Posthaste-Report-On";
/// Why the sender of a report hears nothing (RFC 5321 §6.1).
const NO_SENDER: &str = "it has no sender to tell";
/// Why others may (RFC 3461 §4.1).
const UNWANTED: &str = "the sender did not want to be told (NOTIFY)";
/// A message above this comes back with its header section alone.
const FULL_MAX: usize = 1 << 20;
/// A header section is cut here.
const HEADERS_MAX: usize = 64 * 1024;
