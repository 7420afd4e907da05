//! The mail that a worker has in hand: what it has claimed and not yet settled.
//!
//! A letter goes from here to a connection and comes back settled, unsent, or put off by a host in a way that another host may not share.
//! What was put off so waits for a second pass over the hosts that are left; its replies stand when none of those answers.

mod careless;
mod letters;

use super::Shared;
use super::dispatch::AFTER_TROUBLE;
use super::fate::{self, Tried};
use super::in_hand::InHand;
use super::sites::{Mood, Slot};
use super::worker::Found;
use crate::deliver::relay::{Ended, Letter, NextHop, Progress, Rest, Supply, Tally, split};
use crate::resolve::Target;
use crate::route::Route;
use crate::tls::{Flaw, TlsSession};
use letters::{letters, size_class};
use smtp::{Reply, ReplySource, Severity, Status, replies};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use store::{DeliveryId, Identity, QueueName, Timestamp, Tls};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// The mail that a worker has claimed.
pub(super) struct Mail {
    shared: Arc<Shared>,
    pub(super) queue: QueueName,
    pub(super) slot: Slot,
    letters: VecDeque<Letter>,
    pass: Pass,
    /// What a host put off, for the second pass.
    elsewhere: VecDeque<PutOff>,
    /// Of the letter that a session has in the second pass: what stands when nothing comes of it.
    standing: Option<(Vec<(DeliveryId, Reply)>, Tried)>,
    /// Whether hosts are left besides the one that is spoken with.
    pub(super) others: Others,
    /// The host that is being tried.
    pub(super) tried: Tried,
    /// What its certificate lacks.
    pub(super) flaw: Option<Flaw>,
    /// What was wrong last.
    last: Option<Reply>,
    /// The letter that a session has.
    current: Option<Letter>,
    turn: Turn,
    claims: Claims,
    in_hand: InHand,
    settling: JoinSet<()>,
}

/// A letter that a host put off.
struct PutOff {
    letter: Letter,
    replies: Vec<(DeliveryId, Reply)>,
    tried: Tried,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pass {
    First,
    Second,
}

/// Whether more mail is taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claims {
    Allowed,
    Suspended,
}

/// Whether a destination has other hosts than the one that is spoken with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Others {
    Some,
    None,
}

/// How much a worker may take before others have their turn.
struct Turn {
    began: Instant,
    messages: usize,
    octets: u64,
    /// The site bears no more for now.
    over: bool,
}

impl Turn {
    fn is_over(&self) -> bool {
        self.over
            || self.messages >= TURN_MESSAGES
            || self.octets >= TURN_OCTETS
            || self.began.elapsed() >= TURN_TIME
    }
}

impl Mail {
    pub(super) fn new(shared: Arc<Shared>, queue: QueueName, slot: Slot) -> Mail {
        let began = (shared.outbound.clock)();
        let tried = Tried { host: None, address: None, tls: None, choice: None, began };
        let in_hand = InHand::new(Arc::clone(&shared.outbound));
        Mail {
            shared,
            queue,
            slot,
            letters: VecDeque::new(),
            pass: Pass::First,
            elsewhere: VecDeque::new(),
            standing: None,
            others: Others::None,
            tried,
            flaw: None,
            last: None,
            current: None,
            turn: Turn { began: Instant::now(), messages: 0, octets: 0, over: false },
            claims: Claims::Allowed,
            in_hand,
            settling: JoinSet::new(),
        }
    }

    /// Whether there is mail that can be sent now.
    pub(super) fn has_some(&self) -> bool {
        match self.pass {
            Pass::First => !self.letters.is_empty() && !self.turn.over,
            Pass::Second => !self.elsewhere.is_empty() && !self.turn.over,
        }
    }

    pub(super) fn trouble(&mut self, reply: Reply, target: Option<&Target>, began: Timestamp) {
        self.note(reply);
        self.tried = Tried {
            host: target.map(|target| target.host.to_string()),
            address: target.and_then(|target| target.address.ip()),
            tls: None,
            choice: None,
            began,
        };
    }

    /// Keeps what was said. As long as one host of this attempt may still take the mail, none of the others can refuse it for good.
    pub(super) fn note(&mut self, reply: Reply) {
        let hope = self.last.as_ref().is_some_and(|last| last.severity() == Severity::Transient);
        if !hope || reply.severity() == Severity::Transient {
            self.last = Some(reply);
        }
    }

    pub(super) fn last_reply(&self) -> Reply {
        self.last.clone().unwrap_or(NO_ANSWER.with_text("No host could be reached"))
    }

    /// The site bears no more for now: what is left goes back as it was.
    pub(super) fn enough(&mut self) {
        self.turn.over = true;
    }

    /// Takes what is due, up to a bound.
    pub(super) async fn claim(&mut self, most: usize) {
        let outbound = &self.shared.outbound;
        let now = (outbound.clock)();
        let lease = Timestamp(now.0.saturating_add(LEASE));
        match outbound.store.claim(&self.queue, now, most, lease).await {
            Ok(claims) => {
                self.in_hand.add(claims.iter().map(|claim| claim.delivery.id));
                let (letters, unread) = letters(&self.shared, claims).await;
                if !unread.is_empty() {
                    self.slot.rest(AFTER_TROUBLE);
                    self.free(unread).await;
                }
                self.letters.extend(letters);
                // Nobody waits for a large message of another sender who was claimed together with them.
                self.letters.make_contiguous().sort_by_key(size_class);
            }
            Err(error) => {
                tracing::error!(%error, queue = %self.queue, "nothing can be taken from the queue; trying again shortly");
                // It is still due: the next worker would come at once, and so on.
                self.slot.rest(AFTER_TROUBLE);
            }
        }
    }

    /// Gives back what was claimed and not tried.
    pub(super) async fn let_go(&mut self) {
        let ids = self.letters.drain(..).flat_map(|letter| letter.deliveries).map(|delivery| delivery.id);
        let ids: Vec<DeliveryId> = ids.collect();
        self.free(ids).await;
    }

    async fn free(&mut self, ids: Vec<DeliveryId>) {
        if let Err(error) = self.shared.outbound.store.let_go(&ids).await {
            tracing::error!(%error, queue = %self.queue, "what was not tried waits for the end of its lease");
        }
        drop(self.in_hand.split(ids));
    }

    /// Ends the attempt for the letters in hand.
    pub(super) fn give_back(&mut self, reply: &Reply, next_hop: NextHop) {
        for letter in std::mem::take(&mut self.letters) {
            let replies = vec![reply.clone(); letter.deliveries.len()];
            self.done(letter, replies, next_hop);
        }
    }

    /// Ends the attempt for everything that is due for this destination: what went wrong is not about any one message.
    pub(super) async fn give_back_all(&mut self, reply: &Reply, next_hop: NextHop) {
        loop {
            if self.letters.is_empty() {
                self.claim(GIVEN_BACK_MAX).await;
            }
            self.slot.claimed();
            if self.letters.is_empty() {
                return;
            }
            // Without a place for what comes of it no end of it can be reached.
            if self.shared.can_settle().is_err() {
                return self.let_go().await;
            }
            self.give_back(reply, next_hop);
            self.settled().await;
        }
    }

    /// Ends the attempt for what is left when the hosts have been tried.
    pub(super) async fn end_first_pass(&mut self, found: Found) {
        if self.letters.is_empty() || self.is_stopping() {
            return;
        }
        let reply = self.last_reply();
        match found {
            _ if self.turn.over => self.let_go().await,
            // What is permanent was said of another message; these have not had their turn.
            Found::Somebody if reply.severity() == Severity::Permanent => {
                self.give_back(&NOT_REACHED, NextHop::WithoutReports)
            }
            Found::Somebody => self.give_back(&reply, NextHop::WithoutReports),
            // It has time for other connections of ours: these have to wait for theirs, and that is no attempt.
            Found::Busy if self.slot.is_well_elsewhere() => {
                self.slot.went(Mood::Busy);
                self.let_go().await;
            }
            Found::Busy => {
                self.slot.went(Mood::Busy);
                self.give_back_all(&reply, NextHop::WithoutReports).await;
            }
            Found::Unfit => self.give_back_all(&reply, NextHop::WithoutReports).await,
            Found::Nobody => {
                self.slot.went(match reply.severity() {
                    // What is for good (a loop) costs no time, and goes back at once.
                    Severity::Permanent => Mood::Badly,
                    _ if self.slot.is_well_elsewhere() => Mood::Badly,
                    _ => Mood::Silent(self.longest_silence()),
                });
                self.give_back_all(&reply, NextHop::WithoutReports).await;
            }
        }
    }

    /// How long the destination's site is left alone at most when nobody can be spoken with there.
    fn longest_silence(&self) -> Duration {
        match self.shared.outbound.routes.of(&self.queue.host()) {
            // A host of our own is back soon, and then somebody waits for the mail.
            Route::Hops(_) => OWN_SILENCE_MAX,
            Route::Mx | Route::Discard => SILENCE_MAX,
        }
    }

    /// Turns to what a host put off, for the hosts that are left; says whether there is any.
    pub(super) fn turn_to_put_off(&mut self) -> bool {
        self.pass = Pass::Second;
        !self.elsewhere.is_empty()
    }

    /// What a host said when it put off mail that waits for others.
    pub(super) fn put_off_by(&self, host: &str) -> Option<&Reply> {
        let mut theirs = self.elsewhere.iter().filter(|one| one.tried.host.as_deref() == Some(host));
        theirs.find_map(|one| one.replies.first()).map(|(_, reply)| reply)
    }

    /// Ends the attempt for what a host put off and no other has answered.
    pub(super) fn settle_put_off(&mut self) {
        for PutOff { letter, replies, tried } in std::mem::take(&mut self.elsewhere) {
            let reply = |id| replies.iter().find(|(of, _)| *of == id).map(|(_, reply)| reply.clone());
            let replies = letter.deliveries.iter().map(|delivery| reply(delivery.id));
            let replies = replies.map(|reply| reply.unwrap_or_else(|| self.last_reply())).collect();
            self.settle(letter, replies, NextHop::WithoutReports, tried);
        }
    }

    /// Ends the attempt for the letter that a session had which was cut off: it may have been taken (RFC 1047).
    pub(super) fn cut(&mut self) -> Ended {
        let hours = SESSION_MAX.as_secs() / 3600;
        let reply = TOO_SLOW.with_text(format!("The session took longer than {hours} h and was cut off"));
        if let Some(letter) = self.current.take() {
            let replies = vec![reply.clone(); letter.deliveries.len()];
            self.done(letter, replies, NextHop::WithoutReports);
        }
        let reached = Progress::Greeted;
        Ended {
            reached,
            transactions: 0,
            tally: Tally::default(),
            carried: 0,
            trouble: Some(reply),
            obstacle: None,
            flaw: None,
            left: None,
        }
    }

    /// Waits until everything is settled.
    pub(super) async fn settled(&mut self) {
        while let Some(ended) = self.settling.join_next().await {
            super::report(ended);
        }
    }

    pub(super) fn is_stopping(&self) -> bool {
        *self.shared.stop.borrow()
    }

    fn settle(&mut self, letter: Letter, replies: Vec<Reply>, next_hop: NextHop, tried: Tried) {
        let shared = Arc::clone(&self.shared);
        let in_hand = self.in_hand.split(letter.deliveries.iter().map(|delivery| delivery.id));
        self.settling.spawn(async move {
            fate::settle(&shared, letter, replies, (tried, next_hop)).await;
            drop(in_hand);
        });
        while let Some(ended) = self.settling.try_join_next() {
            super::report(ended);
        }
    }

    /// The next letter of the first pass, claimed if need be.
    async fn fresh(&mut self) -> Option<Letter> {
        if self.letters.is_empty() && !self.turn.is_over() && self.claims == Claims::Allowed {
            self.claim(CLAIM_MAX).await;
        }
        let now = (self.shared.outbound.clock)();
        // What would outlive its lease is left to whoever claims it next.
        self.letters.retain(|letter| letter.lease.0 - now.0 > LEASE_LEFT);
        while let Some(letter) = self.letters.pop_front() {
            if letter.failures < FAILURES_MAX {
                return Some(letter);
            }
            let replies = vec![self.last_reply(); letter.deliveries.len()];
            self.done(letter, replies, NextHop::WithoutReports);
        }
        None
    }

    /// The next letter of the second pass.
    fn put_off(&mut self) -> Option<Letter> {
        let place = self.elsewhere.iter().position(|put_off| put_off.letter.failures < FAILURES_MAX)?;
        let PutOff { letter, replies, tried } = self.elsewhere.remove(place)?;
        self.standing = Some((replies, tried));
        Some(letter)
    }
}

impl Supply for Mail {
    async fn next(&mut self) -> Option<Letter> {
        if self.is_stopping() || self.turn.over {
            return None;
        }
        let letter = match self.pass {
            Pass::First => self.fresh().await,
            Pass::Second => self.put_off(),
        }?;
        // What cannot be settled would be sent again by the next life of the store, or at the end of the lease.
        if self.shared.can_settle().is_err() || !self.slot.take_message() {
            self.enough();
            self.put_back(letter);
            return None;
        }
        self.turn.messages += 1;
        self.turn.octets += letter.deliveries.first().map_or(0, |delivery| delivery.size);
        self.tried.began = (self.shared.outbound.clock)();
        self.current = Some(letter.clone());
        Some(letter)
    }

    fn answered(&mut self, letter: Letter, replies: Vec<Reply>, next_hop: NextHop) {
        let again = self.pass == Pass::First && self.others == Others::Some && next_hop != NextHop::Mailboxes;
        if !again || !replies.iter().any(is_about_host) {
            return self.done(letter, replies, next_hop);
        }
        let ((put_off, said), (rest, replies)) = split(&letter, &replies, is_about_host);
        let host = self.tried.host.as_deref().unwrap_or("-");
        for (delivery, reply) in put_off.deliveries.iter().zip(&said) {
            tracing::info!(id = %put_off.spool, recipient = delivery.id.recipient, host, %reply, "trying another host");
        }
        let replies_of = put_off.deliveries.iter().map(|delivery| delivery.id).zip(said);
        let tried = self.tried.clone();
        self.elsewhere.push_back(PutOff { replies: replies_of.collect(), letter: put_off, tried });
        self.current = None;
        if !rest.deliveries.is_empty() {
            self.done(rest, replies, next_hop);
        }
    }

    fn done(&mut self, letter: Letter, replies: Vec<Reply>, next_hop: NextHop) {
        self.current = None;
        let tried = self.tried.clone();
        self.settle(letter, replies, next_hop, tried);
    }

    fn put_back(&mut self, letter: Letter) {
        self.current = None;
        match (self.pass, &self.standing) {
            (Pass::Second, Some((replies, tried))) => {
                let (replies, tried) = (replies.clone(), tried.clone());
                self.elsewhere.push_front(PutOff { letter, replies, tried });
            }
            (Pass::First, _) | (Pass::Second, None) => self.letters.push_front(letter),
        }
    }

    fn secured(&mut self, session: TlsSession) {
        let unknown = || Identity::Unproven("nobody looked".to_owned());
        self.flaw = session.flaw;
        self.tried.tls = Some(Tls {
            version: session.version.to_owned(),
            cipher: session.cipher,
            identity: session.server.unwrap_or_else(unknown),
        });
    }

    fn rest(&self) -> Rest {
        match self.is_stopping() || !self.shared.outbound.sites.pool.keeps() {
            true => Rest::Quit,
            false => Rest::Keep,
        }
    }
}

/// Whether a host put mail off for reasons of its own, which another host of the destination may not have: trouble of the mail system or the network
/// (RFC 3463: X.3, X.4), or nothing in particular. What is about the mailbox, the message or a policy (greylisting) is the same
/// everywhere, and so is 450, which is about the mailbox (RFC 5321 §4.2.3).
fn is_about_host(reply: &Reply) -> bool {
    let code = reply.code().number();
    lacks(reply)
        || reply.severity() == Severity::Transient
            && code != 421
            && match reply.status() {
                Some(status) => matches!(status.subject, 0 | 3 | 4),
                None => code != 450,
            }
}

/// Whether it was not even sent, because the host does not offer what it needs: another one may.
fn lacks(reply: &Reply) -> bool {
    let needs = [replies::PEER_LACKS_REQUIRETLS, replies::PEER_LACKS_SMTPUTF8, replies::PEER_LACKS_BODY];
    reply.source() == ReplySource::Own && needs.contains(reply)
}

const fn status(subject: u16, detail: u16) -> Option<Status> {
    Some(Status { subject, detail })
}

/// What the log and the history say of mail that a route throws away.
pub(super) const DISCARDED: Reply =
    Reply::new(250, status(0, 0), "Discarded, as the route for this destination says");
/// X.4.2 bad connection.
const TOO_SLOW: Reply = Reply::new(451, status(4, 2), "");
/// X.4.1 no answer from host.
pub(super) const NO_ANSWER: Reply = Reply::new(451, status(4, 1), "");
/// X.4.2 bad connection: it ended before these messages had their turn.
const NOT_REACHED: Reply =
    Reply::new(451, status(4, 2), "The connection ended before this message had its turn");
/// X.4.6 routing loop detected.
pub(super) const LOOPS_BACK: Reply = Reply::new(554, status(4, 6), "");

/// A worker takes so many deliveries at a time.
pub(super) const CLAIM_MAX: usize = 50;
/// The same where all that is due is given back at once, and none of it sent.
const GIVEN_BACK_MAX: usize = 1000;
/// A worker's turn ends after so many messages, ...
const TURN_MESSAGES: usize = 100;
/// ... so many octets, ...
const TURN_OCTETS: u64 = 32 << 20;
/// ... or so long, whichever comes first. Then others may have its place, and the connection, if it is for the same site.
const TURN_TIME: Duration = Duration::from_secs(60);
/// How long a worker may hold what it took, in milliseconds. It ends with the process anyway, so it only matters after a fault of ours.
pub(super) const LEASE: i64 = 6 * 3600 * 1000;
/// No session is longer: each time-out of RFC 5321 §4.5.3.2 may be met at the last moment, and together they would outlive a lease.
pub(super) const SESSION_MAX: Duration = Duration::from_secs(2 * 3600);
/// A transaction is begun only with so much of the lease left, in milliseconds: more than a session has, so that nobody else can have taken
/// the deliveries while they are still being sent.
const LEASE_LEFT: i64 = 3 * 3600 * 1000;
/// How long a site is left alone at most when nobody can be spoken with there, ...
const SILENCE_MAX: Duration = Duration::from_secs(15 * 60);
/// ... and one that a route names.
const OWN_SILENCE_MAX: Duration = Duration::from_secs(60);
/// How many connections may fail under one letter in one attempt.
const FAILURES_MAX: u32 = 2;
