//! One mail transaction on the receiving side, as values: [`Received`] → [`Evaluated`] → [`store::Accepted`].

use super::Peer;
use crate::dsn::{self, Kind};
use crate::policy::recipient::{self, Route};
use crate::settings::Service;
use crate::srs::Srs;
use bytes::{Bytes, BytesMut};
use message::submission::{Findings, Mender};
use message::trace::{self, Dialect, With};
use message::{Date, HopCounter};
use smtp::server::Mail;
use smtp::{Body, Envelope, ForwardPath, Mailbox, Notify, OriginalRecipient, Recipient, ReversePath};
use std::collections::HashSet;
use std::sync::Arc;
use store::{
    Accepted, AccountName, Destination, Error, Forward, IfFull, MailboxName, NewDelivery, Result,
    SharedStore, SpoolId, Stage, Timestamp,
};

/// What came so far: the envelope with a route for each recipient, and content on its way into the store.
pub(crate) struct Received {
    mail: Mail,
    recipients: Vec<(Recipient, Way)>,
    /// Those that were left out because their mail goes round in circles.
    looping: Vec<Recipient>,
    content: Content,
    /// What the content that came needs to be sent on, whatever was declared.
    body: Body,
    hops: HopCounter,
    /// What mends a submission while it comes.
    mender: Option<Box<Mender>>,
}

/// Whether content is mended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mending {
    /// It is a submission.
    Yes,
    /// It is not ours to change.
    No,
}

/// Which way a recipient's mail goes.
enum Way {
    /// Into mailboxes here, and to addresses elsewhere. After addresses that lead to the same ones were put together, that may be none.
    Here(Here),
    /// Into the queue, to another host.
    Onward,
    /// The same, for the sake of this address here.
    Forwarded(Mailbox),
}

/// Where the mail for an address here goes.
pub(crate) struct Here {
    /// The address.
    pub(crate) address: Mailbox,
    /// Into these accounts.
    pub(crate) routes: Vec<Route>,
    /// To these addresses elsewhere.
    pub(crate) forwards: Vec<Mailbox>,
}

/// Under which reverse-path mail is sent on that came for an address here.
pub(crate) enum ReversePaths {
    /// Its own.
    Kept,
    /// One of ours that leads back to it.
    Rewritten(Arc<Srs>),
}

enum Content {
    /// Nothing yet.
    None,
    /// Being taken by the store.
    Staged(Box<dyn Stage>),
    /// The store failed; what follows is not kept.
    Failed(Error),
}

/// What is known at the end of the content.
pub(crate) struct Facts<'a> {
    pub(crate) peer: Peer,
    pub(crate) hello: String,
    pub(crate) esmtp: bool,
    pub(crate) tls: bool,
    pub(crate) authenticated: bool,
    pub(crate) host_name: &'a str,
    /// Fields that a submission lacked.
    pub(crate) additions: Vec<u8>,
    pub(crate) reverse_paths: ReversePaths,
    pub(crate) now: Timestamp,
}

/// A whole message whose every recipient has a destination.
struct Evaluated {
    stage: Box<dyn Stage>,
    envelope: Envelope,
    /// For each recipient where the message goes because of it: to no account when it only leads to accounts of others.
    ways: Vec<Way>,
    /// How many of the recipients the client has named, and may all know of each other: the first ones.
    named: usize,
    owed: Owed,
}

/// What a sender is to be told of beside the reply.
#[derive(Debug, Default)]
pub(crate) struct Owed {
    /// These were delivered, or expanded, and that is to be said (RFC 3461 §5.2).
    pub(crate) receipts: Vec<(Recipient, Kind)>,
    /// These were left out.
    pub(crate) looping: Vec<Recipient>,
}

/// Whether a message can be delivered to a recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fit {
    /// It does, or nobody knows yet.
    Fits,
    /// One of them is full.
    Full,
    /// It was delivered to the address before, and forwarded from there.
    Looping,
}

/// What became of it.
pub(crate) struct Committed {
    pub(crate) id: SpoolId,
    pub(crate) size: u64,
    /// Whether any of it is in the queue.
    pub(crate) queued: bool,
    /// What is to be reported, with the envelope that it is about.
    pub(crate) owed: Option<Box<(Envelope, Owed)>>,
}

impl Received {
    pub(crate) fn new(mail: Mail, mending: Mending) -> Received {
        let mender = (mending == Mending::Yes).then(Box::default);
        let (body, hops) = (mail.parameters.body, HopCounter::default());
        let (recipients, looping) = (Vec::new(), Vec::new());
        Received { mail, recipients, looping, content: Content::None, body, hops, mender }
    }

    pub(crate) fn add(&mut self, recipient: Recipient, here: Here) {
        self.recipients.push((recipient, Way::Here(here)));
    }

    /// Whether any of it leaves this server for the sake of an address here.
    pub(crate) fn is_forwarded(&self) -> bool {
        self.recipients.iter().any(|(_, way)| matches!(way, Way::Here(here) if !here.forwards.is_empty()))
    }

    /// Leaves out recipients whose mail goes round in circles: where one reply stands for all, their sender is told by a report. Says
    /// whether anybody is left.
    pub(crate) fn leave_out_looping(&mut self) -> Fit {
        let looping: Vec<bool> = self.recipients.iter().map(|(_, way)| self.comes_back(way)).collect();
        if !looping.contains(&false) {
            return Fit::Looping;
        }
        let (all, mut each) = (std::mem::take(&mut self.recipients), looping.into_iter());
        for (recipient, way) in all {
            match each.next() {
                Some(true) => self.looping.push(recipient),
                _ => self.recipients.push((recipient, way)),
            }
        }
        Fit::Fits
    }

    /// Whether the message was delivered to an address before that would send it on once more.
    fn comes_back(&self, way: &Way) -> bool {
        let Way::Here(Here { address, forwards, .. }) = way else { return false };
        let here = AccountName::of(address);
        let is_here = |text: &str| text.parse().is_ok_and(|before: Mailbox| AccountName::of(&before) == here);
        !forwards.is_empty() && self.hops.delivered_to().any(is_here)
    }

    /// Adds a recipient whose mail goes to another host.
    pub(crate) fn relay(&mut self, recipient: Recipient) {
        self.recipients.push((recipient, Way::Onward));
    }

    /// Whether the message has been through so many hosts that it must be going round in circles (RFC 5321 §6.3).
    pub(crate) fn is_looping(&self, most: usize) -> bool {
        self.hops.hops() >= most
    }

    /// How large the client said that the content will be.
    pub(crate) fn declared_size(&self) -> Option<u64> {
        self.mail.parameters.size
    }

    /// Leaves out recipients whose mailboxes have no room for the content that came, or whose mail goes round in circles; says which, in
    /// order. The commit still decides: this lets LMTP answer for each.
    pub(crate) async fn leave_out_unfit(&mut self, store: &SharedStore) -> Result<Vec<Fit>> {
        let size = match &self.content {
            Content::Staged(stage) => stage.len(),
            Content::None | Content::Failed(_) => 0,
        };
        let mut fits = Vec::with_capacity(self.recipients.len());
        for (_, way) in &self.recipients {
            let mut fit = if self.comes_back(way) { Fit::Looping } else { Fit::Fits };
            for route in way.routes() {
                let standing = store.standing(&route.account).await?;
                if standing.is_some_and(|standing| !recipient::has_room(&standing, Some(size))) {
                    fit = Fit::Full;
                }
            }
            fits.push(fit);
        }
        let mut each = fits.iter();
        self.recipients.retain(|_| each.next() == Some(&Fit::Fits));
        Ok(fits)
    }

    pub(crate) fn recipients(&self) -> usize {
        self.recipients.len()
    }

    /// Takes the next bytes. A failure is kept for the end: the client can only hear of it there.
    pub(crate) async fn content(&mut self, store: &SharedStore, bytes: Bytes) {
        self.hops.read(&bytes);
        // Many send 8-bit content without a word. Whoever it is sent on to must be told, or must get it converted (RFC 6152 §3).
        if self.body == Body::SevenBit && !bytes.is_ascii() {
            self.body = Body::EightBitMime;
        }
        let kept = match &mut self.mender {
            Some(mender) => mender.pass(bytes),
            None => bytes,
        };
        self.keep(store, kept).await;
    }

    /// Ends the mending of a submission: its identifier, and what was found. `None` when there is nothing to mend, or when the
    /// store has failed, which the commit says.
    pub(crate) async fn mended(&mut self, store: &SharedStore) -> Option<(SpoolId, Findings)> {
        let (rest, findings) = self.mender.take()?.finish();
        self.keep(store, rest).await;
        match &self.content {
            Content::Staged(stage) => Some((stage.id(), findings)),
            Content::None | Content::Failed(_) => None,
        }
    }

    /// Who sent it, if it is not the null reverse-path.
    pub(crate) fn sender(&self) -> Option<&Mailbox> {
        self.mail.reverse_path.as_mailbox()
    }

    async fn keep(&mut self, store: &SharedStore, bytes: Bytes) {
        if let Content::None = self.content {
            self.content = match store.stage() {
                Ok(stage) => Content::Staged(stage),
                Err(error) => Content::Failed(error),
            };
        }
        if let Content::Staged(stage) = &mut self.content
            && !bytes.is_empty()
            && let Err(error) = stage.append(bytes).await
        {
            self.content = Content::Failed(error);
        }
    }

    /// Makes the message durable: when this returns `Ok`, it is on stable storage and in every mailbox.
    pub(crate) async fn commit(self, store: &SharedStore, facts: Facts<'_>) -> Result<Committed> {
        let evaluated = self.evaluated(store)?;
        let size = evaluated.stage.len();
        let queued = evaluated.ways.iter().any(|way| matches!(way, Way::Onward | Way::Forwarded(_)));
        let (stage, accepted, owed) = evaluated.accepted(&facts);
        let is_owed = !owed.receipts.is_empty() || !owed.looping.is_empty();
        let owed = is_owed.then(|| Box::new((accepted.envelope.clone(), owed)));
        let id = stage.commit(accepted).await?;
        Ok(Committed { id, size, queued, owed })
    }

    fn evaluated(self, store: &SharedStore) -> Result<Evaluated> {
        let stage = match self.content {
            Content::Staged(stage) => stage,
            Content::None => store.stage()?,
            Content::Failed(error) => return Err(error),
        };
        let mut recipients = Vec::with_capacity(self.recipients.len());
        let mut ways = Vec::with_capacity(self.recipients.len());
        let (mut seen, mut served) = (HashSet::new(), HashSet::new());
        let mut forwarded = Vec::new();
        let mut owed = Owed { receipts: Vec::new(), looping: self.looping };
        for (recipient, mut way) in self.recipients {
            // The same address given twice counts once, and an account gets one copy however many addresses lead to it. Elsewhere
            // local parts may differ by case (RFC 5321 §2.4).
            let name = match &way {
                Way::Onward | Way::Forwarded(_) => recipient.forward_path.to_string(),
                Way::Here(_) => recipient
                    .forward_path
                    .as_mailbox()
                    .map_or_else(String::new, |mailbox| AccountName::of(mailbox).to_string()),
            };
            if seen.insert(name) {
                if let Way::Here(here) = &mut way {
                    owed.receipts.extend(here.receipt(&recipient).map(|kind| (recipient.clone(), kind)));
                    forwarded.extend(here.forwarded(&recipient));
                    here.routes.retain(|route| served.insert(route.account.clone()));
                }
                recipients.push(recipient);
                ways.push(way);
            }
        }
        // Whoever was left out must not learn of the others, either.
        let named = if owed.looping.is_empty() { recipients.len() } else { 0 };
        for (recipient, way) in forwarded {
            if seen.insert(recipient.forward_path.to_string()) {
                recipients.push(recipient);
                ways.push(way);
            }
        }
        let parameters = self.mail.parameters;
        let envelope = Envelope {
            reverse_path: self.mail.reverse_path,
            recipients,
            body: self.body,
            smtputf8: parameters.smtputf8,
            require_tls: parameters.require_tls,
            ret: parameters.ret,
            envelope_id: parameters.envelope_id,
        };
        Ok(Evaluated { stage, envelope, ways, named, owed })
    }
}

impl Way {
    fn routes(&self) -> &[Route] {
        match self {
            Way::Here(here) => &here.routes,
            Way::Onward | Way::Forwarded(_) => &[],
        }
    }

    /// The deliveries of one recipient.
    fn deliveries(
        self,
        (number, recipient): (u32, &Recipient),
        (reverse_path, return_path): (&ReversePath, &[u8]),
        facts: &Facts<'_>,
    ) -> Vec<NewDelivery> {
        let into_mailbox = |route: Route| {
            let mut own = BytesMut::from(return_path);
            own.extend_from_slice(&delivered_to(recipient, &route));
            Destination::Mailbox {
                account: route.account,
                mailbox: MailboxName::inbox(),
                if_missing: route.if_missing,
                if_full: IfFull::Fail,
                trace: own.freeze(),
            }
        };
        let destinations: Vec<Destination> = match self {
            Way::Here(here) => here.routes.into_iter().map(into_mailbox).collect(),
            // The first attempt is made at once.
            Way::Onward => vec![Destination::Queue { due: facts.now }],
            Way::Forwarded(address) => {
                let forward = forward(reverse_path, &address, facts);
                vec![Destination::Forward { due: facts.now, forward }]
            }
        };
        destinations.into_iter().map(|destination| NewDelivery { recipient: number, destination }).collect()
    }
}

impl Here {
    /// What is reported to a sender who wants to hear of success (RFC 3461 §5.2.1, §5.2.7.3); of what goes to one address elsewhere the
    /// host there will tell.
    fn receipt(&self, recipient: &Recipient) -> Option<Kind> {
        let kind = match (self.routes.len(), self.forwards.len()) {
            (1, 0) => Kind::Delivered,
            (0, 1) => return None,
            _ => Kind::Expanded,
        };
        dsn::wants_success(recipient.notify).then_some(kind)
    }

    /// Those elsewhere as recipients of their own. Who asked to be told of an alias's mail is told by the host that it goes to
    /// (RFC 3461 §5.2.7.1), but of success only when it goes nowhere else (§5.2.7.3).
    fn forwarded(&mut self, recipient: &Recipient) -> Vec<(Recipient, Way)> {
        let alone = self.routes.len() + self.forwards.len() == 1;
        let one = |target: Mailbox| {
            let mut forwarded = recipient.clone();
            forwarded.forward_path = ForwardPath::Mailbox(target);
            if let (Some(Notify::On { failure, delay, .. }), false) = (recipient.notify, alone) {
                forwarded.notify = Some(Notify::On { success: false, failure, delay });
            }
            if forwarded.original.is_none() {
                let kind = if self.address.is_ascii() { "rfc822" } else { "utf-8" };
                forwarded.original = OriginalRecipient::new(kind, &self.address.to_string());
            }
            (forwarded, Way::Forwarded(self.address.clone()))
        };
        std::mem::take(&mut self.forwards).into_iter().map(one).collect()
    }
}

/// How mail for this address here is sent on.
fn forward(reverse_path: &ReversePath, address: &Mailbox, facts: &Facts<'_>) -> Forward {
    let rewritten = match (reverse_path, &facts.reverse_paths, address.domain()) {
        (ReversePath::Mailbox(sender), ReversePaths::Rewritten(srs), Some(domain)) => {
            let rewritten = srs.forward(sender, domain, facts.now);
            if rewritten.is_none() {
                tracing::info!(
                    "{} is too long to be rewritten, and stays the sender of what is forwarded",
                    super::shown(sender)
                );
            }
            rewritten
        }
        _ => None,
    };
    Forward {
        reverse_path: rewritten.map_or_else(|| reverse_path.clone(), ReversePath::Mailbox),
        trace: trace::delivered_to(&address.to_string()).into(),
    }
}

impl Evaluated {
    fn accepted(self, facts: &Facts<'_>) -> (Box<dyn Stage>, Accepted, Owed) {
        let Evaluated { stage, envelope, ways, named, owed } = self;
        let reverse_path = &envelope.reverse_path;
        let return_path = trace::return_path(reverse_path.as_mailbox().map(ToString::to_string).as_deref());
        let deliveries = envelope
            .recipients
            .iter()
            .zip(ways)
            .enumerate()
            .flat_map(|(number, (recipient, way))| {
                way.deliveries((number as u32, recipient), (reverse_path, &return_path), facts)
            })
            .collect();
        let trace = trace_fields(facts, stage.id(), (&envelope, named));
        (stage, Accepted { received: facts.now, trace, envelope, deliveries }, owed)
    }
}

/// The address that was asked for, so that a reader sees which of their addresses (or tags) it was.
fn delivered_to(recipient: &Recipient, route: &Route) -> Vec<u8> {
    match recipient.forward_path.as_mailbox() {
        Some(mailbox) => trace::delivered_to(&mailbox.to_string()),
        None => trace::delivered_to(route.account.as_str()),
    }
}

/// What goes before the content for every reader. Fields that a submission lacked belong to the message, so they come last.
fn trace_fields(facts: &Facts<'_>, id: SpoolId, envelope: (&Envelope, usize)) -> Bytes {
    let mut fields = received_field(facts, id, envelope);
    fields.extend_from_slice(&facts.additions);
    fields.into()
}

/// RFC 5321 §4.4. The recipient is named only when there is one: others would learn of blind copies.
fn received_field(facts: &Facts<'_>, id: SpoolId, (envelope, named): (&Envelope, usize)) -> Vec<u8> {
    let recipient = match &envelope.recipients[..named] {
        [only] => only.forward_path.as_mailbox().map(ToString::to_string),
        _ => None,
    };
    let dialect = match facts.peer.service {
        Service::Lmtp => Dialect::Lmtp,
        _ if facts.esmtp => Dialect::Esmtp,
        _ => Dialect::Smtp,
    };
    let field = trace::Received {
        hello_name: &facts.hello,
        peer: Some(facts.peer.address.ip()),
        by: facts.host_name,
        with: With {
            dialect,
            smtputf8: envelope.smtputf8,
            tls: facts.tls,
            authenticated: facts.authenticated,
        },
        id: &id.to_string(),
        recipient: recipient.as_deref(),
        tls: facts.peer.tls.as_deref().map(|tls| trace::Tls { version: tls.version, cipher: &tls.cipher }),
        date: Date::utc(facts.now.0),
    };
    field.to_field()
}
