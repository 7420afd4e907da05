//! One mail transaction on the receiving side, as values: [`Received`] → [`Evaluated`] → [`store::Accepted`].

use super::Peer;
use crate::policy::recipient::{self, Route};
use crate::settings::Service;
use bytes::{Bytes, BytesMut};
use message::submission::{Findings, Mender};
use message::trace::{self, Dialect, With};
use message::{Date, HopCounter};
use smtp::server::Mail;
use smtp::{Envelope, Mailbox, Recipient};
use std::collections::HashSet;
use store::{
    Accepted, AccountName, Destination, Error, MailboxName, NewDelivery, Result, SharedStore, SpoolId, Stage,
    Timestamp,
};

/// What came so far: the envelope with a route for each recipient, and content on its way into the store.
pub(crate) struct Received {
    mail: Mail,
    recipients: Vec<(Recipient, Way)>,
    content: Content,
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
    /// Into mailboxes here. After addresses that lead to the same ones were put together, that may be none.
    Here(Vec<Route>),
    /// Into the queue, to another host.
    Onward,
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
    pub(crate) now: Timestamp,
}

/// A whole message whose every recipient has a destination.
struct Evaluated {
    stage: Box<dyn Stage>,
    envelope: Envelope,
    /// For each recipient where the message goes because of it: to no account when it only leads to accounts of others.
    ways: Vec<Way>,
}

/// Whether a message fits into the mailboxes of a recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// It does, or nobody knows yet.
    Fits,
    /// One of them is full.
    Full,
}

/// What became of it.
pub(crate) struct Committed {
    pub(crate) id: SpoolId,
    pub(crate) size: u64,
    /// Whether any of it is in the queue.
    pub(crate) queued: bool,
}

impl Received {
    pub(crate) fn new(mail: Mail, mending: Mending) -> Received {
        let mender = (mending == Mending::Yes).then(Box::default);
        let hops = HopCounter::default();
        Received { mail, recipients: Vec::new(), content: Content::None, hops, mender }
    }

    pub(crate) fn add(&mut self, recipient: Recipient, routes: Vec<Route>) {
        self.recipients.push((recipient, Way::Here(routes)));
    }

    /// Adds a recipient whose mail goes to another host.
    pub(super) fn relay(&mut self, recipient: Recipient) {
        self.recipients.push((recipient, Way::Onward));
    }

    /// Whether the message has been through so many hosts that it must be going round in circles (RFC 5321 §6.3).
    pub(super) fn is_looping(&self, most: usize) -> bool {
        self.hops.hops() >= most
    }

    /// How large the client said that the content will be.
    pub(super) fn declared_size(&self) -> Option<u64> {
        self.mail.parameters.size
    }

    /// Leaves out recipients whose mailboxes have no room for the content that came; says which, in order. The commit still decides:
    /// this lets LMTP answer for each.
    pub(super) async fn leave_out_full(&mut self, store: &SharedStore) -> Result<Vec<Fit>> {
        let size = match &self.content {
            Content::Staged(stage) => stage.len(),
            Content::None | Content::Failed(_) => 0,
        };
        let mut fits = Vec::with_capacity(self.recipients.len());
        for (_, way) in &self.recipients {
            let mut fit = Fit::Fits;
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

    pub(super) fn recipients(&self) -> usize {
        self.recipients.len()
    }

    /// Takes the next bytes. A failure is kept for the end: the client can only hear of it there.
    pub(crate) async fn content(&mut self, store: &SharedStore, bytes: Bytes) {
        self.hops.read(&bytes);
        let kept = match &mut self.mender {
            Some(mender) => mender.pass(bytes),
            None => bytes,
        };
        self.keep(store, kept).await;
    }

    /// Ends the mending of a submission: its identifier, and what was found. `None` when there is nothing to mend, or when the
    /// store has failed, which the commit says.
    pub(super) async fn mended(&mut self, store: &SharedStore) -> Option<(SpoolId, Findings)> {
        let (rest, findings) = self.mender.take()?.finish();
        self.keep(store, rest).await;
        match &self.content {
            Content::Staged(stage) => Some((stage.id(), findings)),
            Content::None | Content::Failed(_) => None,
        }
    }

    /// Who sent it, if it is not the null reverse-path.
    pub(super) fn sender(&self) -> Option<&Mailbox> {
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
        let Evaluated { stage, envelope, ways } = self.evaluated(store)?;
        let size = stage.len();
        let queued = ways.iter().any(|way| matches!(way, Way::Onward));
        let accepted = accepted(&facts, stage.id(), envelope, ways);
        let id = stage.commit(accepted).await?;
        Ok(Committed { id, size, queued })
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
        for (recipient, mut way) in self.recipients {
            // The same address given twice counts once, and an account gets one copy however many addresses lead to it. Elsewhere
            // local parts may differ by case (RFC 5321 §2.4).
            let name = match &way {
                Way::Onward => recipient.forward_path.to_string(),
                Way::Here(_) => recipient
                    .forward_path
                    .as_mailbox()
                    .map_or_else(String::new, |mailbox| AccountName::of(mailbox).to_string()),
            };
            if seen.insert(name) {
                if let Way::Here(routes) = &mut way {
                    routes.retain(|route| served.insert(route.account.clone()));
                }
                recipients.push(recipient);
                ways.push(way);
            }
        }
        let parameters = self.mail.parameters;
        let envelope = Envelope {
            reverse_path: self.mail.reverse_path,
            recipients,
            body: parameters.body,
            smtputf8: parameters.smtputf8,
            require_tls: parameters.require_tls,
            ret: parameters.ret,
            envelope_id: parameters.envelope_id,
        };
        Ok(Evaluated { stage, envelope, ways })
    }
}

impl Way {
    fn routes(&self) -> &[Route] {
        match self {
            Way::Here(routes) => routes,
            Way::Onward => &[],
        }
    }

    /// The deliveries of one recipient.
    fn deliveries(
        self,
        recipient: (u32, &Recipient),
        return_path: &[u8],
        now: Timestamp,
    ) -> Vec<NewDelivery> {
        let (number, recipient) = recipient;
        let into_mailbox = |route: Route| {
            let mut own = BytesMut::from(return_path);
            own.extend_from_slice(&delivered_to(recipient, &route));
            Destination::Mailbox {
                account: route.account,
                mailbox: MailboxName::inbox(),
                if_missing: route.if_missing,
                trace: own.freeze(),
            }
        };
        let destinations: Vec<Destination> = match self {
            Way::Here(routes) => routes.into_iter().map(into_mailbox).collect(),
            // The first attempt is made at once.
            Way::Onward => vec![Destination::Queue { due: now }],
        };
        destinations.into_iter().map(|destination| NewDelivery { recipient: number, destination }).collect()
    }
}

fn accepted(facts: &Facts<'_>, id: SpoolId, envelope: Envelope, ways: Vec<Way>) -> Accepted {
    let return_path =
        trace::return_path(envelope.reverse_path.as_mailbox().map(ToString::to_string).as_deref());
    let deliveries = envelope
        .recipients
        .iter()
        .zip(ways)
        .enumerate()
        .flat_map(|(number, (recipient, way))| {
            way.deliveries((number as u32, recipient), &return_path, facts.now)
        })
        .collect();
    Accepted { received: facts.now, trace: trace_fields(facts, id, &envelope), envelope, deliveries }
}

/// The address that was asked for, so that a reader sees which of their addresses (or tags) it was.
fn delivered_to(recipient: &Recipient, route: &Route) -> Vec<u8> {
    match recipient.forward_path.as_mailbox() {
        Some(mailbox) => trace::delivered_to(&mailbox.to_string()),
        None => trace::delivered_to(route.account.as_str()),
    }
}

/// What goes before the content for every reader. Fields that a submission lacked belong to the message, so they come last.
fn trace_fields(facts: &Facts<'_>, id: SpoolId, envelope: &Envelope) -> Bytes {
    let mut fields = received_field(facts, id, envelope);
    fields.extend_from_slice(&facts.additions);
    fields.into()
}

/// RFC 5321 §4.4. The recipient is named only when there is one: others would learn of blind copies.
fn received_field(facts: &Facts<'_>, id: SpoolId, envelope: &Envelope) -> Vec<u8> {
    let recipient = match envelope.recipients.as_slice() {
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
