//! One worker: finds the hosts of a destination, speaks with the best that answers, and goes on while there is mail for it.

use super::Shared;
use super::fate::{self, Tried};
use super::in_hand::InHand;
use super::sites::{Mood, Slot};
use crate::deliver::dial::{Reached, Unreached, reach};
use crate::deliver::login::Login;
use crate::deliver::relay::{self, Ended, Letter, NextHop, Obstacle, Progress, Supply, Terms};
use crate::deliver::secure::{Begin, Level, Security};
use crate::resolve::{self, Target};
use crate::route::Route;
use crate::tls::TlsSession;
use smtp::client::{Config, Hello};
use smtp::{Host, InClear, Reply, Severity, Status};
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use store::{Claim, Identity, QueueName, Timestamp, Tls};
use tokio::task::JoinSet;

/// Works for a destination until nothing is due, or no host takes it.
pub(super) async fn work(shared: Arc<Shared>, queue: QueueName, mut slot: Slot) {
    let outbound = &shared.outbound;
    let mut mail = Mail::new(Arc::clone(&shared), queue.clone());
    let found = match outbound.routes.of(&queue.host()) {
        Route::Mx => targets(outbound, &queue.host()).await.map(Some),
        Route::Hops(hops) => resolve::hops(&*outbound.dns, &hops, &outbound.terms).await.map(Some),
        Route::Discard => Ok(None),
    };
    match found {
        Err(reply) => mail.give_back_all(&reply, NextHop::WithoutReports, &slot).await,
        Ok(None) => mail.give_back_all(&DISCARDED, NextHop::Nowhere, &slot).await,
        Ok(Some(mut targets)) => {
            let (version, site) = (outbound.paused_hosts.version(), site(&targets));
            let found = targets.len();
            targets.retain(|target| !outbound.paused_hosts.has(&target.host));
            if targets.len() < found {
                // As long as one of its hosts may still take the mail, what the others say is not for good.
                mail.note(NO_ANSWER.with_text("A host of this destination is paused here"));
            }
            if targets.is_empty() {
                slot.pause(version);
            } else if slot.enter(site) {
                mail.claim().await;
                slot.claimed();
                // Others may be waiting for as much as this one has left.
                outbound.wake.notify_one();
                deliver(&shared, &mut mail, targets, &slot).await;
            }
        }
    }
    mail.settled().await;
    drop(slot);
    outbound.wake.notify_one();
}

/// The hosts that DNS names, as the destination's policy wants them.
async fn targets(outbound: &super::Outbound, host: &Host) -> Result<Vec<Target>, Reply> {
    let targets = resolve::targets(&*outbound.dns, host, &outbound.terms).await?;
    match (host, &outbound.policies) {
        (Host::Domain(domain), Some(policies)) => policies.apply(domain, targets).await,
        (Host::Literal(_), _) | (_, None) => Ok(targets),
    }
}

/// The site that these hosts are: their names, in order, and for those that the operator has named how we speak with them and as whom.
fn site(targets: &[Target]) -> Arc<str> {
    let name = |target: &Target| match &target.hop {
        None => target.host.to_string(),
        Some(hop) => {
            let user = hop.credentials.as_ref().map_or("", |credentials| &credentials.user);
            format!("{hop} {user} {}", target.host)
        }
    };
    let mut names: Vec<String> = targets.iter().map(name).collect();
    names.sort_unstable();
    names.dedup();
    names.join(" ").into()
}

/// Tries the targets, preference by preference, until the mail is gone or nobody is left to try.
async fn deliver(shared: &Arc<Shared>, mail: &mut Mail, mut targets: Vec<Target>, slot: &Slot) {
    let outbound = &shared.outbound;
    shared.health.order(&mut targets, (outbound.clock)(), &*outbound.random);
    let mut sessions = 0;
    let mut greeted = false;
    while mail.has_some() && !mail.is_stopping() && sessions < SESSIONS_MAX && !targets.is_empty() {
        let best = targets[0].preference;
        let group: Vec<Target> =
            targets.iter().take_while(|target| target.preference == best).cloned().collect();
        let began = (outbound.clock)();
        let (reached, unreached) = reach(&outbound.dialer, group).await;
        for Unreached { target, cause } in &unreached {
            shared.health.failed(&target.address, (outbound.clock)());
            tracing::info!(queue = %mail.queue, host = %target.host, address = %target.address, error = %cause, "cannot connect");
            mail.trouble(
                NO_ANSWER.with_text(format!("No connection to {}: {cause}", target.host)),
                Some(target),
                began,
            );
        }
        targets.retain(|target| unreached.iter().all(|failed| failed.target != *target));
        let Some(reached) = reached else {
            targets.retain(|target| target.preference != best);
            continue;
        };
        sessions += 1;
        let target = reached.target.clone();
        let ended = speak(shared, mail, reached).await;
        greeted |= ended.reached == Progress::Greeted;
        slot.went(mood(&ended));
        if ended.trouble.as_ref().is_some_and(|reply| reply.status() == LOOPS_BACK.status()) {
            // Ourselves: hosts that are no better would send it back here (RFC 5321 §5.1).
            targets.retain(|other| other.preference < target.preference);
        }
        // A connection that was used before may have been closed meanwhile, by right: the host gets another.
        let worked = ended.transactions > 0;
        if !worked {
            shared.health.failed(&target.address, (outbound.clock)());
            targets.retain(|other| *other != target);
        }
        if worked && ended.trouble.is_none() {
            sessions = 0;
        }
    }
    if mail.has_some() && !mail.is_stopping() {
        let reply = mail.last_reply();
        match greeted {
            // What is permanent was said of another message; these have not had their turn.
            true if reply.severity() == Severity::Permanent => {
                mail.give_back(&NOT_REACHED, NextHop::WithoutReports)
            }
            true => mail.give_back(&reply, NextHop::WithoutReports),
            false => {
                slot.went(Mood::Badly);
                mail.give_back_all(&reply, NextHop::WithoutReports, slot).await;
            }
        }
    }
}

/// Speaks with a host that answered; again over new connections, in clear or with HELO, when that is what it takes and is allowed.
async fn speak(shared: &Arc<Shared>, mail: &mut Mail, reached: Reached) -> Ended {
    let outbound = &shared.outbound;
    let Reached { target, connection, took } = reached;
    let began = (outbound.clock)();
    shared.health.answered(&target.address, took, began);
    let tried = Tried { host: Some(target.host.to_string()), address: target.address.ip(), tls: None, began };
    mail.tried = tried.clone();
    if is_us(outbound, &target, connection.local) {
        let text = format!("Mail for {} loops back to this host ({})", mail.queue, target.address);
        let trouble = Some(LOOPS_BACK.with_text(&text));
        mail.note(LOOPS_BACK.with_text(text));
        return Ended { reached: Progress::Nowhere, transactions: 0, trouble, obstacle: None };
    }
    tracing::debug!(queue = %mail.queue, host = %target.host, address = %target.address, connect = ?took, "connected");
    let mut manner = Manner { hello: Hello::Extended, security: shared.tls.security(&target, began) };
    let mut stream = connection.stream;
    loop {
        mail.tried.tls = None;
        let (terms, store) = (manner.terms(outbound, &target), Arc::clone(&outbound.store));
        let ended = tokio::time::timeout(SESSION_MAX, relay::session(stream, terms, store, mail)).await;
        let ended = ended.unwrap_or_else(|_| mail.cut());
        let now = (outbound.clock)();
        if mail.tried.tls.is_some() && ended.reached == Progress::Greeted {
            shared.tls.works(&target.address, now);
        }
        if let Some(reply) = &ended.trouble {
            tracing::info!(queue = %mail.queue, host = %target.host, address = %target.address, %reply, "session failed");
        }
        let plainer = ended.obstacle.as_ref().and_then(|obstacle| manner.without(obstacle));
        let again = match &plainer {
            Some(_) => reach(&outbound.dialer, vec![target.clone()]).await.0,
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

/// How a host is spoken with.
struct Manner {
    hello: Hello,
    security: Security,
}

impl Manner {
    fn terms(&self, outbound: &super::Outbound, target: &Target) -> Terms {
        let hop = target.hop.as_deref();
        let mut config = Config { hello: self.hello, ..Config::new(outbound.host_name.ascii()) };
        if let Some(hop) = hop {
            config.protocol = hop.protocol;
        }
        // The settings allow credentials without TLS on this machine alone.
        if hop.is_some_and(|hop| hop.credentials.is_some() && hop.security.level != Level::Verified) {
            config.in_clear = InClear::Allow;
        }
        let own = hop.and_then(|hop| outbound.own_authorities.get(hop.authorities.as_ref()?));
        let connector = self.security.connector(target, own.unwrap_or(&outbound.authorities));
        let login = hop.and_then(|hop| hop.credentials.clone()).map(|credentials| Login {
            credentials,
            host: Arc::clone(&target.host),
            port: target.address.ip().map_or(0, |address| address.port()),
            random: Arc::clone(&outbound.secrets),
        });
        Terms { config, security: self.security.clone(), connector, login }
    }

    /// A manner that does without what stood in the way; `None` when there is none that is allowed.
    fn without(&self, obstacle: &Obstacle) -> Option<Manner> {
        if !self.security.allows_clear() {
            return None;
        }
        let in_clear = Security { level: Level::Clear, begin: Begin::StartTls };
        match obstacle {
            Obstacle::Tls(_) if self.security.level == Level::Opportunistic => {
                Some(Manner { hello: self.hello, security: in_clear })
            }
            // Without extensions there is no STARTTLS.
            Obstacle::Extensions if self.hello == Hello::Extended => {
                Some(Manner { hello: Hello::Basic, security: self.security.clone() })
            }
            Obstacle::Tls(_) | Obstacle::Extensions => None,
        }
    }
}

impl fmt::Display for Manner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.hello {
            Hello::Extended => f.write_str("in clear"),
            Hello::Basic => f.write_str("with HELO"),
        }
    }
}

/// Whether a connection has come back to one of our own listeners.
fn is_us(outbound: &super::Outbound, target: &Target, local: std::net::SocketAddr) -> bool {
    let Some(there) = target.address.ip() else { return false };
    let same_host = there.ip().to_canonical() == local.ip().to_canonical();
    let ours = |listener: &std::net::SocketAddr| {
        listener.port() == there.port() && (listener.ip().is_unspecified() || listener.ip() == there.ip())
    };
    same_host && outbound.listeners.iter().any(ours)
}

fn mood(ended: &Ended) -> Mood {
    let trouble = ended.trouble.as_ref().is_some_and(|reply| reply.severity() != Severity::Positive);
    if trouble { Mood::Badly } else { Mood::Well }
}

/// The mail that a worker has claimed.
pub(super) struct Mail {
    shared: Arc<Shared>,
    pub(super) queue: QueueName,
    letters: VecDeque<Letter>,
    /// The host that is being tried.
    tried: Tried,
    /// What was wrong last.
    last: Option<Reply>,
    /// The letter that a session has.
    current: Option<Letter>,
    in_hand: InHand,
    settling: JoinSet<()>,
}

impl Mail {
    fn new(shared: Arc<Shared>, queue: QueueName) -> Mail {
        let tried = Tried { host: None, address: None, tls: None, began: (shared.outbound.clock)() };
        let in_hand = InHand::new(Arc::clone(&shared.outbound));
        let (letters, settling) = (VecDeque::new(), JoinSet::new());
        Mail { shared, queue, letters, tried, last: None, current: None, in_hand, settling }
    }

    fn has_some(&self) -> bool {
        !self.letters.is_empty()
    }

    fn trouble(&mut self, reply: Reply, target: Option<&Target>, began: Timestamp) {
        self.note(reply);
        self.tried = Tried {
            host: target.map(|target| target.host.to_string()),
            address: target.and_then(|target| target.address.ip()),
            tls: None,
            began,
        };
    }

    /// Keeps what was said. As long as one host of this attempt may still take the mail, none of the others can refuse it for good.
    fn note(&mut self, reply: Reply) {
        let hope = self.last.as_ref().is_some_and(|last| last.severity() == Severity::Transient);
        if !hope || reply.severity() == Severity::Transient {
            self.last = Some(reply);
        }
    }

    fn last_reply(&self) -> Reply {
        self.last.clone().unwrap_or(NO_ANSWER.with_text("No host could be reached"))
    }

    /// Takes what is due, up to a bound.
    async fn claim(&mut self) {
        let outbound = &self.shared.outbound;
        let now = (outbound.clock)();
        let lease = Timestamp(now.0.saturating_add(LEASE));
        match outbound.store.claim(&self.queue, now, CLAIM_MAX, lease).await {
            Ok(claims) => {
                self.in_hand.add(claims.iter().map(|claim| claim.delivery.id));
                let letters = letters(&self.shared, claims).await;
                self.letters.extend(letters);
            }
            Err(error) => tracing::error!(%error, queue = %self.queue, "the queue cannot be read"),
        }
    }

    /// Ends the attempt for the letters in hand.
    fn give_back(&mut self, reply: &Reply, next_hop: NextHop) {
        for letter in std::mem::take(&mut self.letters) {
            let replies = vec![reply.clone(); letter.deliveries.len()];
            self.done(letter, replies, next_hop);
        }
    }

    /// Ends the attempt for everything that is due for this destination: what went wrong is not about any one message.
    async fn give_back_all(&mut self, reply: &Reply, next_hop: NextHop, slot: &Slot) {
        loop {
            if self.letters.is_empty() {
                self.claim().await;
            }
            slot.claimed();
            if self.letters.is_empty() {
                return;
            }
            self.give_back(reply, next_hop);
            self.settled().await;
        }
    }

    /// Ends the attempt for the letter that a session had which was cut off: it may have been taken (RFC 1047).
    fn cut(&mut self) -> Ended {
        let hours = SESSION_MAX.as_secs() / 3600;
        let reply = TOO_SLOW.with_text(format!("The session took longer than {hours} h and was cut off"));
        if let Some(letter) = self.current.take() {
            let replies = vec![reply.clone(); letter.deliveries.len()];
            self.done(letter, replies, NextHop::WithoutReports);
        }
        Ended { reached: Progress::Greeted, transactions: 0, trouble: Some(reply), obstacle: None }
    }

    /// Waits until everything is settled.
    async fn settled(&mut self) {
        while let Some(ended) = self.settling.join_next().await {
            super::report(ended);
        }
    }

    fn is_stopping(&self) -> bool {
        *self.shared.stop.borrow()
    }
}

impl Supply for Mail {
    async fn next(&mut self) -> Option<Letter> {
        if self.is_stopping() {
            return None;
        }
        if self.letters.is_empty() {
            self.claim().await;
        }
        let now = (self.shared.outbound.clock)();
        // What would outlive its lease is left to whoever claims it next.
        self.letters.retain(|letter| letter.lease.0 - now.0 > LEASE_LEFT);
        while let Some(letter) = self.letters.pop_front() {
            if letter.failures < FAILURES_MAX {
                self.tried.began = now;
                self.current = Some(letter.clone());
                return Some(letter);
            }
            let replies = vec![self.last_reply(); letter.deliveries.len()];
            self.done(letter, replies, NextHop::WithoutReports);
        }
        None
    }

    fn done(&mut self, letter: Letter, replies: Vec<Reply>, next_hop: NextHop) {
        self.current = None;
        let (shared, tried) = (Arc::clone(&self.shared), self.tried.clone());
        let in_hand = self.in_hand.split(letter.deliveries.iter().map(|delivery| delivery.id));
        self.settling.spawn(async move {
            fate::settle(&shared, letter, replies, (tried, next_hop)).await;
            drop(in_hand);
        });
        while let Some(ended) = self.settling.try_join_next() {
            super::report(ended);
        }
    }

    fn put_back(&mut self, letter: Letter) {
        self.current = None;
        self.letters.push_front(letter);
    }

    fn secured(&mut self, session: TlsSession) {
        let unknown = || Identity::Unproven("nobody looked".to_owned());
        self.tried.tls = Some(Tls {
            version: session.version.to_owned(),
            cipher: session.cipher,
            identity: session.server.unwrap_or_else(unknown),
        });
    }
}

/// The claims as letters: one for each message, and for each way in which it is forwarded, in the order of its first recipient.
async fn letters(shared: &Arc<Shared>, claims: Vec<Claim>) -> Vec<Letter> {
    let mut letters: Vec<Letter> = Vec::new();
    for Claim { delivery, lease } in claims {
        let spool = delivery.id.spool;
        let together = |letter: &&mut Letter| letter.spool == spool && letter.forward == delivery.forward;
        if let Some(letter) = letters.iter_mut().rev().find(together) {
            letter.envelope.recipients.push(delivery.recipient.clone());
            letter.deliveries.push(delivery);
            continue;
        }
        match shared.outbound.store.envelope(spool).await {
            Ok(mut envelope) => {
                envelope.recipients = vec![delivery.recipient.clone()];
                let forward = delivery.forward.clone();
                let deliveries = vec![delivery];
                letters.push(Letter { spool, envelope, forward, deliveries, lease, failures: 0 });
            }
            // It was removed meanwhile.
            Err(store::Error::NoSuchMessage(_)) => {}
            Err(error) => tracing::error!(id = %spool, %error, "a queued envelope cannot be read"),
        }
    }
    letters
}

const fn status(subject: u16, detail: u16) -> Option<Status> {
    Some(Status { subject, detail })
}

/// What the log and the history say of mail that a route throws away.
const DISCARDED: Reply = Reply::new(250, status(0, 0), "Discarded, as the route for this destination says");
/// X.4.2 bad connection.
const TOO_SLOW: Reply = Reply::new(451, status(4, 2), "");
/// X.4.1 no answer from host.
const NO_ANSWER: Reply = Reply::new(451, status(4, 1), "");
/// X.4.2 bad connection: it ended before these messages had their turn.
const NOT_REACHED: Reply =
    Reply::new(451, status(4, 2), "The connection ended before this message had its turn");
/// X.4.6 routing loop detected.
const LOOPS_BACK: Reply = Reply::new(554, status(4, 6), "");

/// A worker takes so many deliveries at a time.
const CLAIM_MAX: usize = 50;
/// How long a worker may hold what it took, in milliseconds. It ends with the process anyway, so it only matters after a fault of ours.
const LEASE: i64 = 6 * 3600 * 1000;
/// No session is longer: each time-out of RFC 5321 §4.5.3.2 may be met at the last moment, and together they would outlive a lease.
const SESSION_MAX: Duration = Duration::from_secs(2 * 3600);
/// A transaction is begun only with so much of the lease left, in milliseconds: more than a session has, so that nobody else can have taken
/// the deliveries while they are still being sent.
const LEASE_LEFT: i64 = 3 * 3600 * 1000;
/// How many connections in a row may fail in one attempt.
const SESSIONS_MAX: u32 = 5;
/// How many connections may fail under one letter in one attempt.
const FAILURES_MAX: u32 = 2;
