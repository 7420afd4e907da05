//! A laboratory in memory: a store, a DNS and next hops that say what they are told to.

mod hops;

use super::certificates::{Authority, Certificate, HopTls};
use crate::confine::Switch;
use crate::deliver::pool::Idle;
use crate::mta_sts::{Outside, Policies};
use crate::policy::recipient::{Onwards, Rules};
use crate::queue::{Bounds, Outbound, PausedHosts, ReportRate, SiteState, Sites, run};
use crate::resolve::{Answer, Authenticity, Dns, Exchange, Lookup, Ours, Private, Terms};
use crate::schedule::Schedule;
use crate::settings::Acceptance;
use crate::srs::Srs;
use crate::tls::Tlsa;
use async_trait::async_trait;
use bytes::Bytes;
use hops::Wires;
use smtp::{Domain, Envelope, ForwardPath, Mailbox, Recipient, ReversePath};
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use store::memory::Memory;
use store::{
    Accepted, AccountName, Delivery, Destination, Forward, MailboxName, NewDelivery, Origin, SharedStore,
    Timestamp,
};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// The sender whose mailbox is here.
pub(super) const SENDER: &str = "<alice@example.org>";
/// The reverse-path under which mail is forwarded here.
pub(super) const FORWARDED: &str = "<SRS0=AAAAAA=7H=example.net=carol@example.org>";
/// The hop that is this server itself.
pub(super) const OURSELVES: u8 = 200;

const PORT: u16 = 2525;

/// What a hop says to a command.
#[derive(Debug, Clone, Copy)]
pub(super) enum Say {
    /// What is usual.
    Default,
    /// This.
    Reply(&'static str),
    /// This, after a while.
    After(Duration, &'static str),
    /// This, and closes.
    Close(&'static str),
    /// Closes.
    Hangup,
}

/// A message that a hop took.
#[derive(Debug, Clone)]
pub(super) struct Taken {
    pub(super) hop: u8,
    pub(super) from: String,
    pub(super) to: Vec<String>,
    pub(super) content: String,
    pub(super) via: Via,
}

/// How a message came to a hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Via {
    Tls,
    Clear,
}

#[derive(Default)]
struct World {
    exchanges: HashMap<String, Lookup<Vec<Exchange>>>,
    addresses: HashMap<String, Vec<IpAddr>>,
    scripts: HashMap<(u8, &'static str), VecDeque<Say>>,
    taken: Vec<Taken>,
    said: HashMap<u8, Vec<String>>,
    tls: HashMap<u8, HopTls>,
    associations: HashMap<String, Vec<Tlsa>>,
    texts: HashMap<String, String>,
    webs: HashMap<u8, Web>,
    posted: Vec<(String, Vec<u8>)>,
    authenticity: Option<Authenticity>,
    connections: HashMap<u8, usize>,
    sources: HashMap<u8, Vec<Option<IpAddr>>>,
    latencies: HashMap<u8, Duration>,
}

/// A host that answers HTTPS.
#[derive(Clone)]
struct Web {
    tls: HopTls,
    answer: String,
    asked: usize,
}

type Shared = Arc<Mutex<World>>;

/// The laboratory. The queue runs until it is dropped.
pub(super) struct Lab {
    world: Shared,
    store: SharedStore,
    memory: Memory,
    wake: Arc<Notify>,
    clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    content: Mutex<String>,
    authority: Authority,
    data: tempfile::TempDir,
    outbound: Arc<Outbound>,
    stop: watch::Sender<bool>,
    running: tokio::task::JoinHandle<()>,
}

pub(super) fn exchange(preference: u16, name: &str) -> Exchange {
    Exchange { preference, name: name.to_owned() }
}

pub(super) fn report_text(reports: &[String]) -> String {
    reports.concat()
}

impl Lab {
    pub(super) fn new() -> Lab {
        Lab::with_routes("")
    }

    /// With these `[[route]]` tables.
    pub(super) fn with_routes(routes: &str) -> Lab {
        Lab::with(routes, |_| {})
    }

    /// One in which each message needs a connection of its own.
    pub(super) fn without_reuse() -> Lab {
        Lab::with_bounds(Bounds { idle: Idle { most: 0, ..Idle::default() }, ..Bounds::default() })
    }

    /// With these bounds.
    pub(super) fn with_bounds(bounds: Bounds) -> Lab {
        Lab::with("", |outbound| (outbound.sites, outbound.bounds) = (Sites::new(&bounds), bounds))
    }

    /// With these `[[route]]` tables, and what else is to be different.
    pub(super) fn with(routes: &str, change: impl FnOnce(&mut Outbound)) -> Lab {
        let started = Instant::now();
        let clock: Arc<dyn Fn() -> Timestamp + Send + Sync> = Arc::new(move || {
            Timestamp(1_700_000_000_000 + i64::try_from(started.elapsed().as_millis()).expect("a short test"))
        });
        let store_clock = Arc::clone(&clock);
        let memory = Memory::new(move || store_clock());
        let store: SharedStore = Arc::new(memory.clone());
        let world = Shared::default();
        let (stop, stopped) = watch::channel(false);
        let own_name = Domain::parse("mail.example.org").expect("a domain");
        let domains = vec![Domain::parse("example.org").expect("a domain")];
        let chance = AtomicU64::new(1);
        let authority = Authority::new();
        let data = tempfile::tempdir().expect("a directory");
        let outside = Outside {
            dns: Arc::new(Names(Arc::clone(&world))),
            dialer: Arc::new(Wires(Arc::clone(&world))),
            authorities: authority.trusted(),
            private: Private::default(),
            clock: Arc::clone(&clock),
        };
        let policies = Arc::new(Policies::open(Some(data.path()), outside));
        let ours = Ours { listeners: vec![SocketAddr::from(([0, 0, 0, 0], PORT))], ..Ours::default() };
        tokio::spawn(Arc::clone(&policies).run(stopped.clone()));
        let mut outbound = Outbound {
            store: Arc::clone(&store),
            rules: Rules {
                acceptance: Acceptance::Domains { domains, postmaster: None },
                host_name: own_name.clone(),
                onwards: Some(Onwards { srs: Some(Arc::new(Srs::new(&[7; 32]))), ..Onwards::default() }),
            },
            host_name: own_name.clone(),
            schedule: Schedule::default(),
            postmaster_copies: Switch::Off,
            report_rate: Arc::new(ReportRate::new(None)),
            sites: Sites::new(&Bounds::default()),
            bounds: Bounds::default(),
            routes: crate::settings::routes(routes),
            secrets: crate::auth::system_random(),
            terms: Terms { own_name, ours, port: PORT, private: Private::default() },
            dns: Arc::new(Names(Arc::clone(&world))),
            dialer: Arc::new(Wires(Arc::clone(&world))),
            authorities: authority.trusted(),
            policies: Some(policies),
            tls_reports: None,
            own_authorities: HashMap::new(),
            clock: Arc::clone(&clock),
            random: Arc::new(move || chance.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed)),
            wake: Arc::default(),
            paused_hosts: PausedHosts::default(),
        };
        change(&mut outbound);
        let wake = Arc::clone(&outbound.wake);
        let outbound = Arc::new(outbound);
        if let Some(reports) = &outbound.tls_reports {
            tokio::spawn(Arc::clone(reports).run(Arc::clone(&outbound), stopped.clone()));
        }
        let running = tokio::spawn(run(Arc::clone(&outbound), stopped));
        let content = Mutex::new("Subject: hello\r\n\r\n.dots\r\n".to_owned());
        Lab { outbound, world, store, memory, wake, clock, content, authority, data, stop, running }
    }

    /// Stops the queue, and waits until it has ended.
    pub(super) async fn stop(&mut self) {
        self.stop.send(true).expect("the queue runs");
        (&mut self.running).await.expect("it ends well");
    }

    /// What the queue knows of a destination's site.
    pub(super) fn site(&self, domain: &str) -> Option<SiteState> {
        self.outbound.sites.of(&domain.parse().expect("a destination"))
    }

    /// The hosts that the queue knows of a destination.
    pub(super) fn hosts(&self, domain: &str) -> Option<Vec<String>> {
        let known = self.outbound.sites.hosts_of(&domain.parse().expect("a destination"))?;
        Some(known.hosts.iter().map(ToString::to_string).collect())
    }

    pub(super) fn store(&self) -> &SharedStore {
        &self.store
    }

    /// How the store is from now on.
    pub(super) fn health(&self, health: store::Result<()>) {
        self.memory.set_health(health);
    }

    /// What comes of settlements from now on, whatever the store foresees.
    pub(super) fn settling(&self, settling: store::Result<()>) {
        self.memory.set_settling(settling);
    }

    /// What comes of claims from now on, whatever the store foresees.
    pub(super) fn claiming(&self, claiming: store::Result<()>) {
        self.memory.set_claiming(claiming);
    }

    /// What comes of reading envelopes from now on.
    pub(super) fn envelopes(&self, envelopes: store::Result<()>) {
        self.memory.set_envelopes(envelopes);
    }

    /// How often something was to be claimed.
    pub(super) fn claims(&self) -> u64 {
        self.memory.claims()
    }

    /// Tells the queue of an operator's order.
    pub(super) async fn reconsider(&self) {
        self.outbound.reconsider().await.expect("the store is well");
    }

    /// A domain with these MX hosts: preference, first label, hop. The hop's number ends its address.
    pub(super) fn domain(&self, domain: &str, hosts: &[(u16, &str, u8)]) {
        let list =
            hosts.iter().map(|(preference, name, _)| exchange(*preference, &format!("{name}.{domain}")));
        self.exchanges(domain, list.collect());
        for (_, name, hop) in hosts {
            self.address(&format!("{name}.{domain}"), &format!("192.0.32.{hop}"));
        }
    }

    pub(super) fn exchanges(&self, domain: &str, list: Vec<Exchange>) {
        self.world().exchanges.insert(domain.to_owned(), Lookup::Found(list));
    }

    pub(super) fn failing(&self, domain: &str) {
        self.world().exchanges.insert(domain.to_owned(), Lookup::Failed("SERVFAIL".to_owned()));
    }

    pub(super) fn address(&self, name: &str, address: &str) {
        let address = address.parse().expect("an address");
        self.world().addresses.entry(name.to_owned()).or_default().push(address);
    }

    /// What a hop says to the next commands that begin like this; the empty one is the connection itself. After that, what is usual.
    pub(super) fn says(&self, hop: u8, command: &'static str, answers: &[Say]) {
        self.world().scripts.insert((hop, command), answers.iter().copied().collect());
    }

    /// How long it takes to connect with a hop.
    pub(super) fn answers_after(&self, hop: u8, latency: Duration) {
        self.world().latencies.insert(hop, latency);
    }

    /// The hop offers STARTTLS, with this certificate. Returns its SHA-256.
    pub(super) fn tls(&self, hop: u8, certificate: Certificate) -> Vec<u8> {
        let tls = self.authority.hop(certificate);
        let fingerprint = match &tls {
            HopTls::Works(_, fingerprint) => fingerprint.clone(),
            HopTls::Broken => Vec::new(),
        };
        self.world().tls.insert(hop, tls);
        fingerprint
    }

    /// DNS is signed from now on, and says this of a host's certificate.
    pub(super) fn associate(&self, host: &str, records: Vec<Tlsa>) {
        let mut world = self.world();
        world.authenticity = Some(Authenticity::Proven);
        world.associations.insert(format!("_{PORT}._tcp.{host}"), records);
    }

    /// A domain has an MTA-STS policy with this identifier, which a host at this hop's address answers with in full.
    pub(super) fn policy(&self, domain: &str, id: &str, (hop, certificate): (u8, Certificate), answer: &str) {
        let host = format!("mta-sts.{domain}");
        let tls = self.authority.hop(certificate);
        let mut world = self.world();
        world.texts.insert(format!("_mta-sts.{domain}"), format!("v=STSv1; id={id};"));
        let address = format!("192.0.32.{hop}").parse().expect("an address");
        world.addresses.insert(host, vec![address]);
        let asked = world.webs.get(&hop).map_or(0, |web| web.asked);
        world.webs.insert(hop, Web { tls, answer: answer.to_owned(), asked });
    }

    /// What DNS says as TXT.
    pub(super) fn text(&self, name: &str, text: &str) {
        self.world().texts.insert(name.to_owned(), text.to_owned());
    }

    /// A web host of this name, which answers everything with this.
    pub(super) fn web(&self, name: &'static str, hop: u8, answer: &str) {
        let tls = self.authority.hop(Certificate::Signed(name));
        self.address(name, &format!("192.0.32.{hop}"));
        self.world().webs.insert(hop, Web { tls, answer: answer.to_owned(), asked: 0 });
    }

    /// What was posted to web hosts: head and body.
    pub(super) fn posted(&self) -> Vec<(String, Vec<u8>)> {
        self.world().posted.clone()
    }

    /// Nothing says any more that a domain has a policy, neither DNS nor the web.
    pub(super) fn no_policy(&self, domain: &str) {
        let mut world = self.world();
        world.texts.remove(&format!("_mta-sts.{domain}"));
        world.addresses.remove(&format!("mta-sts.{domain}"));
    }

    /// How often a host was asked over HTTPS.
    pub(super) fn asked(&self, hop: u8) -> usize {
        self.world().webs.get(&hop).map_or(0, |web| web.asked)
    }

    pub(super) fn data(&self) -> &std::path::Path {
        self.data.path()
    }

    /// The hop no longer offers STARTTLS.
    pub(super) fn no_tls(&self, hop: u8) {
        self.world().tls.remove(&hop);
    }

    pub(super) fn content(&self, content: &str) {
        *self.content.lock().expect("not poisoned") = content.to_owned();
    }

    /// Queues a message and wakes the queue.
    pub(super) async fn send(&self, from: &str, to: &[&str]) {
        self.send_later(from, to).await;
        self.nudge().await;
    }

    pub(super) async fn nudge(&self) {
        self.wake.notify_one();
    }

    pub(super) async fn send_later(&self, from: &str, to: &[&str]) {
        let from: ReversePath = from.parse().expect("a path");
        self.commit(to, |envelope| envelope.reverse_path = from).await;
    }

    /// The same with an envelope of one's own.
    pub(super) async fn send_with(&self, to: &[&str], change: impl FnOnce(&mut Envelope)) {
        self.commit(to, change).await;
        self.nudge().await;
    }

    /// The same for mail that came for out@example.org and is forwarded.
    pub(super) async fn forward(&self, from: &str, to: &[&str]) {
        let from: ReversePath = from.parse().expect("a path");
        let forward = Forward {
            reverse_path: FORWARDED.parse().expect("a path"),
            trace: Bytes::from_static(b"Delivered-To: out@example.org\r\n"),
        };
        let destination = |due| Destination::Forward { due, forward: forward.clone() };
        self.commit_with(to, |envelope| envelope.reverse_path = from, destination).await;
        self.nudge().await;
    }

    pub(super) async fn alias(&self, name: &str, target: &str) {
        let name = AccountName::parse(name).expect("a name");
        let targets = [target.parse().expect("an address")];
        self.store.set_alias(&name, &targets, Origin::Added).await.expect("an alias");
    }

    async fn commit(&self, to: &[&str], change: impl FnOnce(&mut Envelope)) {
        self.commit_with(to, change, |due| Destination::Queue { due }).await;
    }

    async fn commit_with(
        &self,
        to: &[&str],
        change: impl FnOnce(&mut Envelope),
        destination: impl Fn(Timestamp) -> Destination,
    ) {
        let alice = AccountName::parse("alice@example.org").expect("an account");
        let ours = Domain::parse("example.org").expect("a domain");
        let domain = self.store.create_domain(&ours, Origin::Added).await;
        let account = self.store.create_account(&alice, Origin::Added).await.map(drop);
        for created in [domain, account] {
            assert!(matches!(created, Ok(()) | Err(store::Error::Exists(_))), "{created:?}");
        }
        let recipient = |address: &&str| {
            Recipient::new(ForwardPath::Mailbox(Mailbox::parse(address).expect("an address")))
        };
        let recipients: Vec<Recipient> = to.iter().map(recipient).collect();
        let now = (self.clock)();
        let deliveries = (0..recipients.len() as u32)
            .map(|recipient| NewDelivery { recipient, destination: destination(now) });
        let deliveries = deliveries.collect();
        let mut envelope = Envelope::new(SENDER.parse().expect("a path"), recipients);
        change(&mut envelope);
        let trace = Bytes::from_static(b"Received: by lab\r\n");
        let mut stage = self.store.stage().expect("the store is well");
        let content = self.content.lock().expect("not poisoned").clone();
        stage.append(Bytes::from(content)).await.expect("it is taken");
        stage.commit(Accepted { received: now, envelope, trace, deliveries }).await.expect("it is stored");
    }

    /// Runs `first`, then waits until nothing is queued; says how long that took. Time passes as it is needed.
    pub(super) async fn until_empty(&self, first: impl Future<Output = ()>) -> Duration {
        let started = Instant::now();
        first.await;
        while !self.queued().await.is_empty() {
            // Steps grow, so that days of virtual time take few of them.
            self.wait(Duration::from_millis(20).max(started.elapsed() / 500)).await;
            assert!(started.elapsed() < Duration::from_secs(6 * 24 * 3600), "{:?}", self.queued().await);
        }
        started.elapsed()
    }

    /// Waits until so many messages were taken.
    pub(super) async fn until_taken(&self, count: usize) -> Duration {
        let started = Instant::now();
        while self.taken().len() < count {
            self.wait(Duration::from_millis(20)).await;
            assert!(started.elapsed() < Duration::from_secs(3600), "nothing comes");
        }
        started.elapsed()
    }

    /// Lets virtual time pass.
    pub(super) async fn wait(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    pub(super) async fn queued(&self) -> Vec<Delivery> {
        self.store.deliveries(None, usize::MAX).await.expect("the queue can be read")
    }

    pub(super) fn taken(&self) -> Vec<Taken> {
        self.world().taken.clone()
    }

    pub(super) fn said(&self, hop: u8) -> Vec<String> {
        self.world().said.get(&hop).cloned().unwrap_or_default()
    }

    /// How often a hop was told this.
    pub(super) fn told(&self, hop: u8, command: &str) -> usize {
        self.said(hop).iter().filter(|line| line.starts_with(command)).count()
    }

    pub(super) fn connections(&self, hop: u8) -> usize {
        self.world().connections.get(&hop).copied().unwrap_or(0)
    }

    /// Which of our addresses each connection to a hop came from, as far as that was chosen.
    pub(super) fn sources(&self, hop: u8) -> Vec<Option<IpAddr>> {
        self.world().sources.get(&hop).cloned().unwrap_or_default()
    }

    /// What is in the sender's mailbox.
    pub(super) async fn reports(&self) -> Vec<String> {
        self.mail_of("alice@example.org").await
    }

    /// What is in somebody's mailbox.
    pub(super) async fn mail_of(&self, account: &str) -> Vec<String> {
        let account = AccountName::parse(account).expect("an account");
        let inbox = self.store.mailbox(&account, &MailboxName::inbox()).await.expect("they have one");
        let mut reports = Vec::new();
        for entry in self.store.entries(inbox.id, store::Uid(0), usize::MAX).await.expect("readable") {
            let (_, reader) = self.store.fetch(inbox.id, entry.uid).await.expect("readable");
            reports
                .push(String::from_utf8(reader.read_all(1 << 20).await.expect("readable")).expect("UTF-8"));
        }
        reports
    }

    fn world(&self) -> std::sync::MutexGuard<'_, World> {
        self.world.lock().expect("not poisoned")
    }
}

struct Names(Shared);

impl Names {
    /// All of this DNS is signed, or none of it.
    fn answer<T>(&self, lookup: Lookup<T>) -> Answer<T> {
        let authenticity = self.0.lock().expect("not poisoned").authenticity.unwrap_or(Authenticity::Unknown);
        Answer { lookup, authenticity, canonical: None }
    }
}

#[async_trait]
impl Dns for Names {
    async fn exchanges(&self, domain: &Domain) -> Answer<Vec<Exchange>> {
        let lookup = self
            .0
            .lock()
            .expect("not poisoned")
            .exchanges
            .get(domain.ascii())
            .cloned()
            .unwrap_or(Lookup::NoName);
        self.answer(lookup)
    }

    async fn addresses(&self, name: &str) -> Answer<Vec<IpAddr>> {
        let lookup = self
            .0
            .lock()
            .expect("not poisoned")
            .addresses
            .get(name)
            .cloned()
            .map_or(Lookup::NoName, Lookup::Found);
        self.answer(lookup)
    }

    async fn associations(&self, name: &str) -> Answer<Vec<Tlsa>> {
        let found = self.0.lock().expect("not poisoned").associations.get(name).cloned();
        self.answer(found.map_or(Lookup::NoName, Lookup::Found))
    }

    async fn texts(&self, name: &str) -> Answer<Vec<String>> {
        let found = self.0.lock().expect("not poisoned").texts.get(name).cloned();
        self.answer(found.map_or(Lookup::NoName, |text| Lookup::Found(vec![text])))
    }
}
