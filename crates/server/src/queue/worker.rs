//! One worker: finds the hosts of a destination, speaks with the best that answers, and goes on while there is mail for it and its turn lasts.

use super::Shared;
use super::choice::{Choice, Passed, in_vain};
use super::fate::Tried;
use super::mail::{CLAIM_MAX, DISCARDED, LOOPS_BACK, Mail, NO_ANSWER, Others, SESSION_MAX};
use super::manner::Manner;
use super::sites::{Mood, Slot};
use super::ways::{self, Ways};
use crate::deliver::dial::{NoSource, Overtaken, Race, Reached, Unreached, reach};
use crate::deliver::health::Standing;
use crate::deliver::pool::Kept;
use crate::deliver::relay::{self, Ended, NextHop, Obstacle, Progress, Tally};
use crate::deliver::secure::Level;
use crate::resolve::Target;
use crate::tls::Flaw;
use crate::tls_reports::session;
use smtp::client::Hello;
use smtp::{Reply, Severity};
use std::net::IpAddr;
use std::sync::Arc;
use store::QueueName;

/// Works for a destination until nothing is due, no host takes it, or its turn is over.
pub(super) async fn work(shared: Arc<Shared>, queue: QueueName, slot: Slot) {
    let outbound = &shared.outbound;
    let mut mail = Mail::new(Arc::clone(&shared), queue.clone(), slot);
    match ways::find(outbound, &queue.host()).await {
        Err(reply) => mail.give_back_all(&reply, NextHop::WithoutReports).await,
        Ok(None) => mail.give_back_all(&DISCARDED, NextHop::Nowhere).await,
        Ok(Some(ways)) => work_with(&shared, &mut mail, ways).await,
    }
    mail.settled().await;
    drop(mail);
    outbound.wake.notify_one();
}

/// Works for a destination with these hosts, as far as they are not paused and have room.
async fn work_with(shared: &Arc<Shared>, mail: &mut Mail, mut ways: Ways) {
    let outbound = &shared.outbound;
    let version = outbound.paused_hosts.version();
    let (site, limits) = outbound.bounds.site(&mail.queue.host(), ways.all());
    mail.slot.belongs_to(&site, ways.all().iter().map(|target| Arc::clone(&target.host)));
    let found = ways.all().len();
    for targets in [&mut ways.targets, &mut ways.careless] {
        targets.retain(|target| !outbound.paused_hosts.has(&target.host));
    }
    if let Some(reply) = ways.refusal.take() {
        mail.note(reply);
    }
    if ways.all().len() < found {
        // As long as one of its hosts may still take the mail, what the others say is not for good.
        mail.note(NO_ANSWER.with_text("A host of this destination is paused here"));
    }
    if ways.all().is_empty() {
        mail.slot.pause(version);
    } else if mail.slot.enter(site, limits) {
        mail.claim(CLAIM_MAX).await;
        mail.slot.claimed();
        // Others may be waiting for as much as this one has left.
        outbound.wake.notify_one();
        deliver(shared, mail, ways).await;
    }
}

/// Tries the targets, preference by preference, until the mail is gone or nobody is left to try; then the hosts that are left with what one of
/// the others put off.
async fn deliver(shared: &Arc<Shared>, mail: &mut Mail, ways: Ways) {
    let outbound = &shared.outbound;
    let Ways { mut targets, mut careless, .. } = ways;
    for targets in [&mut targets, &mut careless] {
        shared.health.order(targets, (outbound.clock)(), &*outbound.random);
    }
    let mut visit = Visit::new(targets, Vec::new());
    visit.make(shared, mail).await;
    if mail.has_some() && !careless.is_empty() {
        let others = mail.keep_careless().await;
        Visit::new(careless, visit.unwilling.clone()).make(shared, mail).await;
        mail.take_back(others);
    }
    mail.end_first_pass(visit.found).await;
    if mail.turn_to_put_off() {
        let Visit { mut targets, unwilling, .. } = visit;
        targets.retain(|target| unwilling.iter().all(|passed| passed.host != target.host));
        Visit::new(targets, unwilling).make(shared, mail).await;
        mail.settle_put_off();
    }
}

/// Whether a session ended because of its policy, or of what a host thinks of us: it answered.
fn is_about_security(ended: &Ended) -> bool {
    let status = ended.trouble.as_ref().and_then(Reply::status);
    status.is_some_and(|status| status.subject == 7)
}

/// Whom a worker found when it tried the hosts of a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// A host that took mail, or would have.
    Somebody,
    /// Hosts without time for us.
    Busy,
    /// None that may have the mail: those that answered are not as its policy wants them, or there were none to try. That is the affair of one
    /// destination, not of its hosts.
    Unfit,
    /// None that could be spoken with.
    Nobody,
}

/// A round over hosts.
struct Visit {
    /// Those that may still be tried, in that order.
    targets: Vec<Target>,
    /// Those that did not take the mail.
    passed: Vec<Passed>,
    /// Those with which a session ended in trouble, or which put something off.
    unwilling: Vec<Passed>,
    /// How many sessions were held.
    held: usize,
    found: Found,
}

impl Visit {
    /// To these, after others that did not take the mail.
    fn new(targets: Vec<Target>, passed: Vec<Passed>) -> Visit {
        Visit { targets, passed, unwilling: Vec::new(), held: 0, found: Found::Unfit }
    }

    async fn make(&mut self, shared: &Arc<Shared>, mail: &mut Mail) {
        let (mut sessions, mut reuse) = (0, Reuse::Yes);
        while mail.has_some()
            && !mail.is_stopping()
            && sessions < SESSIONS_MAX
            && let group = self.group(shared)
            && !group.is_empty()
        {
            let kept = match reuse {
                Reuse::Yes => kept(shared, mail, &group),
                Reuse::No => None,
            };
            let (target, mut ended) = match kept {
                Some(kept) => (kept.target.clone(), self.go_on(shared, mail, kept).await),
                None => match self.connect(shared, mail, group).await {
                    Ok(Some(reached)) => {
                        let target = reached.target.clone();
                        mail.others = self.others(&target);
                        (target, speak(shared, mail, reached).await)
                    }
                    Ok(None) => continue,
                    Err(Enough) => return mail.enough(),
                },
            };
            if let (Some(session), Some(site)) = (ended.left.take(), mail.slot.site().cloned()) {
                let (target, tls) = (target.clone(), mail.tried.tls.clone());
                shared.outbound.sites.pool.keep(Kept { site, target, tls, session }, mail.slot.wear());
            }
            if ended.obstacle == Some(Obstacle::Stale) {
                // It was closed meanwhile, by right. The host gets another one, and nothing is held against it.
                reuse = Reuse::No;
                continue;
            }
            sessions = if ended.transactions > 0 && ended.trouble.is_none() { 0 } else { sessions + 1 };
            self.note(shared, mail, &target, &ended);
        }
    }

    /// Those to try now: the first, and whoever is as good, by preference and by health.
    fn group(&self, shared: &Shared) -> Vec<Target> {
        let Some(first) = self.targets.first() else { return Vec::new() };
        let now = (shared.outbound.clock)();
        let rank = |target: &Target| (target.preference, shared.health.standing(&target.address, now).rank());
        let best = rank(first);
        self.targets.iter().take_while(|target| rank(target) == best).cloned().collect()
    }

    /// Connects to the first of these that answers. Those that do not are not tried again.
    async fn connect(
        &mut self,
        shared: &Arc<Shared>,
        mail: &mut Mail,
        group: Vec<Target>,
    ) -> Result<Option<Reached>, Enough> {
        let outbound = &shared.outbound;
        if !mail.slot.take_connection() {
            return Err(Enough);
        }
        if let Some(site) = mail.slot.site() {
            shared.outbound.sites.pool.leave(site, mail.slot.room());
        }
        let began = (outbound.clock)();
        let known = |target: &Target| shared.health.standing(&target.address, began);
        let standings: Vec<(Target, Standing)> =
            group.iter().map(|target| (target.clone(), known(target))).collect();
        let trying = |target: &Target| shared.health.trying(&target.address, (outbound.clock)());
        let Race { reached, unreached, overtaken } = reach(&outbound.dialer, group, &trying).await;
        for Overtaken { target, waited } in overtaken {
            shared.health.overtaken(&target.address, waited, (outbound.clock)());
        }
        for Unreached { target, cause } in &unreached {
            match NoSource::is_cause_of(cause) {
                // It is ours to mend, and nothing is known of the host.
                true => {
                    tracing::error!(queue = %mail.queue, host = %target.host, "cannot connect: {cause}");
                }
                false => {
                    self.found = self.silent();
                    shared.health.failed(&target.address, (outbound.clock)());
                    tracing::info!(queue = %mail.queue, host = %target.host, address = %target.address, error = %cause, "cannot connect");
                }
            }
            mail.trouble(
                NO_ANSWER.with_text(format!("No connection to {}: {cause}", target.host)),
                Some(target),
                began,
            );
            self.passed.push(Passed::new(target, &cause.to_string()));
        }
        if let Some(reached) = &reached {
            self.passed.dedup();
            let choice = self.choice(&standings);
            let from = reached.target.address.ip().and_then(|to| reached.target.origin.source(to));
            mail.tried.choice = Some(choice.connected(reached.took, from));
        }
        if reached.is_none() {
            mail.tried.choice = in_vain(&self.passed);
        }
        self.targets.retain(|target| unreached.iter().all(|failed| failed.target != *target));
        Ok(reached)
    }

    /// Goes on with a connection that was kept.
    async fn go_on(&self, shared: &Arc<Shared>, mail: &mut Mail, kept: Kept) -> Ended {
        let outbound = &shared.outbound;
        let Kept { target, tls, session, .. } = kept;
        let choice = self.choice(&[]);
        mail.tried = Tried {
            host: Some(target.host.to_string()),
            address: target.address.ip(),
            tls,
            choice: Some(choice.reused()),
            began: (outbound.clock)(),
        };
        tracing::debug!(queue = %mail.queue, host = %target.host, address = %target.address, "goes on with an open connection");
        mail.others = self.others(&target);
        let (wear, store) = (mail.slot.wear(), Arc::clone(&outbound.store));
        let ended = tokio::time::timeout(SESSION_MAX, relay::resume(session, wear, store, mail)).await;
        ended.unwrap_or_else(|_| mail.cut())
    }

    /// Takes note of how a session went.
    fn note(&mut self, shared: &Arc<Shared>, mail: &mut Mail, target: &Target, ended: &Ended) {
        let mood = mood(ended);
        self.found = match (mood, ended.reached) {
            (Mood::Busy, _) if matches!(self.found, Found::Nobody | Found::Unfit) => Found::Busy,
            (Mood::Busy, _) => self.found,
            (_, Progress::Greeted) => Found::Somebody,
            (_, Progress::Nowhere) if is_about_security(ended) && self.found == Found::Nobody => Found::Unfit,
            (_, Progress::Nowhere) if is_about_security(ended) => self.found,
            (_, Progress::Nowhere) => self.silent(),
        };
        // Another host of the site may have time: it is left alone when none has.
        match mood {
            // It met a bound of ours, or had nothing to do: nothing is known of the host.
            Mood::Well if ended.transactions == 0 => {}
            Mood::Busy => mail.slot.went(Mood::Badly),
            mood => mail.slot.went(mood),
        }
        self.held += 1;
        if let Some(said) = ended.trouble.as_ref().or_else(|| mail.put_off_by(&target.host)) {
            self.unwilling.push(Passed::new(target, &said.to_string()));
        }
        if ended.trouble.as_ref().is_some_and(|reply| reply.status() == LOOPS_BACK.status()) {
            // Ourselves: hosts that are no better would send it back here (RFC 5321 §5.1).
            self.targets.retain(|other| other.preference < target.preference);
        }
        // A connection that was used before may have been closed meanwhile, by right: the host gets another.
        if ended.transactions == 0 {
            if let Some(trouble) = &ended.trouble {
                let now = (shared.outbound.clock)();
                match mood == Mood::Busy || is_about_security(ended) {
                    true => shared.health.would_not(&target.address, now),
                    false => shared.health.failed(&target.address, now),
                }
                self.passed.push(Passed::new(target, &trouble.to_string()));
            }
            self.targets.retain(|other| other != target);
        }
    }

    /// What was found, when this host could not be spoken with: others may have been.
    fn silent(&self) -> Found {
        if self.found == Found::Unfit && self.held == 0 { Found::Nobody } else { self.found }
    }

    /// What the choice of one of these is to be told of.
    fn choice<'a>(&'a self, group: &'a [(Target, Standing)]) -> Choice<'a> {
        let best = group.first().map_or(0, |(target, _)| target.preference);
        let is_left = |target: &&Target| group.iter().all(|(one, _)| one != *target);
        let (better, worse): (Vec<&Target>, Vec<&Target>) =
            self.targets.iter().filter(is_left).partition(|target| target.preference < best);
        let mut ill: Vec<&str> = better.iter().map(|target| &*target.host).collect();
        ill.dedup();
        Choice { group, ill, worse: worse.len(), passed: &self.passed }
    }

    fn others(&self, target: &Target) -> Others {
        match self.targets.iter().any(|other| other.host != target.host) {
            true => Others::Some,
            false => Others::None,
        }
    }
}

/// A connection that was kept, with which mail for these targets may go as they want it.
fn kept(shared: &Shared, mail: &Mail, group: &[Target]) -> Option<Kept> {
    let now = (shared.outbound.clock)();
    let fits = |target: &Target, session: &relay::Session| {
        // Whose TLS works by now gets nothing in clear any more.
        session.is_encrypted() || shared.tls.security(target, now).allows_clear()
    };
    shared.outbound.sites.pool.take(mail.slot.site()?, group, mail.slot.wear(), fits)
}

/// Speaks with a host that answered; again over new connections, in clear or with HELO, when that is what it takes and is allowed.
async fn speak(shared: &Arc<Shared>, mail: &mut Mail, reached: Reached) -> Ended {
    let outbound = &shared.outbound;
    let Reached { target, connection, took } = reached;
    let began = (outbound.clock)();
    shared.health.answered(&target.address, took, began);
    let choice = mail.tried.choice.take();
    let host = Some(target.host.to_string());
    mail.tried = Tried { host, address: target.address.ip(), tls: None, choice, began };
    if is_us(outbound, &target, connection.local) {
        let text = format!("Mail for {} loops back to this host ({})", mail.queue, target.address);
        let trouble = Some(LOOPS_BACK.with_text(&text));
        mail.note(LOOPS_BACK.with_text(text));
        let reached = Progress::Nowhere;
        return Ended {
            reached,
            transactions: 0,
            tally: Tally::default(),
            carried: 0,
            trouble,
            obstacle: None,
            flaw: None,
            left: None,
        };
    }
    tracing::debug!(queue = %mail.queue, host = %target.host, address = %target.address, connect = ?took, "connected");
    let mut manner = Manner { hello: Hello::Extended, security: shared.tls.security(&target, began) };
    let mut stream = connection.stream;
    loop {
        mail.tried.tls = None;
        let (terms, store) = (manner.terms(outbound, &target, mail.slot.wear()), Arc::clone(&outbound.store));
        let ended = tokio::time::timeout(SESSION_MAX, relay::session(stream, terms, store, mail)).await;
        let ended = ended.unwrap_or_else(|_| mail.cut());
        observe(outbound, mail, (&target, connection.local.ip()), (&manner, &ended));
        let now = (outbound.clock)();
        if mail.tried.tls.is_some() && ended.reached == Progress::Greeted {
            shared.tls.works(&target.address, now);
        }
        if let Some(reply) = &ended.trouble {
            tracing::info!(queue = %mail.queue, host = %target.host, address = %target.address, %reply, "session failed");
        }
        let plainer = ended.obstacle.as_ref().and_then(|obstacle| manner.without(obstacle));
        let again = match &plainer {
            Some(_) => reach(&outbound.dialer, vec![target.clone()], &|_| {}).await.reached,
            None => None,
        };
        match (plainer, again) {
            (Some(plainer), Some(again)) => {
                if plainer.security != manner.security {
                    shared.tls.broken(&target.address, now);
                }
                tracing::info!(queue = %mail.queue, host = %target.host, address = %target.address, "trying again, {plainer}");
                (manner, stream) = (plainer, again.connection.stream);
            }
            _ => {
                if let Some(reply) = &ended.trouble {
                    mail.note(reply.clone());
                }
                return ended;
            }
        }
    }
}

/// Notes for reports how TLS went with a host.
fn observe(
    outbound: &super::Outbound,
    mail: &Mail,
    (target, local): (&Target, IpAddr),
    (manner, ended): (&Manner, &Ended),
) {
    let tls = match (&ended.flaw, &mail.tried.tls, ended.reached) {
        (Some((Flaw::NotOffered, _)), _, _) => session::Tls::NotOffered,
        (Some((flaw, why)), _, _) => session::Tls::Failed(*flaw, why.clone()),
        (None, Some(_), _) => session::Tls::Secured(mail.flaw),
        // In clear because that was chosen: why is counted already.
        (None, None, Progress::Greeted) if manner.security.level != Level::Clear => session::Tls::NotOffered,
        (None, None, _) => return,
    };
    session::observe(outbound, (&mail.queue.host(), target), Some(local), &tls);
}

/// Whether a connection has come back to one of our own listeners.
fn is_us(outbound: &super::Outbound, target: &Target, local: std::net::SocketAddr) -> bool {
    let Some(there) = target.address.ip() else { return false };
    let same_host = there.ip().to_canonical() == local.ip().to_canonical();
    let ours = |listener: &std::net::SocketAddr| {
        listener.port() == there.port() && (listener.ip().is_unspecified() || listener.ip() == there.ip())
    };
    // Who chooses where a connection comes from is seen at another address than the one that it leads to.
    let is_chosen = target.origin.source(there).is_some();
    same_host && outbound.terms.ours.listeners.iter().any(ours)
        || is_chosen && outbound.terms.ours.is_listener(there)
}

fn mood(ended: &Ended) -> Mood {
    match &ended.trouble {
        _ if ended.obstacle == Some(Obstacle::Busy) => Mood::Busy,
        // It has had its share of this connection.
        Some(reply) if reply.code().number() == 421 && ended.carried > 0 => Mood::Enough(ended.carried),
        Some(reply) if reply.code().number() == 421 => Mood::Busy,
        Some(reply) if reply.severity() != Severity::Positive => Mood::Badly,
        Some(_) | None => match ended.tally {
            Tally { put_off: 0, .. } => Mood::Well,
            // It takes our connections, and puts off what comes over them: it wants fewer, not more.
            Tally { taken, put_off } if put_off > taken => Mood::Badly,
            Tally { .. } => Mood::Middling,
        },
    }
}

/// Whether open connections are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reuse {
    Yes,
    No,
}

/// The site bears no new connection for now.
struct Enough;

/// How many connections in a row may fail in one attempt.
const SESSIONS_MAX: u32 = 5;
