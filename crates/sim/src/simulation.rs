//! The deterministic simulation: one seed, one history.
//!
//! The real sessions of the server (endpoint, driver, application) and the real store run on one thread under virtual time, on a
//! [`crate::disk`] and a [`crate::net`] in which things go wrong. Clients behave and misbehave; now and then the server is
//! stopped, killed, or loses power, and goes on from what is left. After each start and at the end the [`crate::ledger`] is held
//! against the mailboxes. Relay and retrieval will join as further kinds of clients and as further columns of the ledger.

mod clients;
mod life;
mod talk;

use crate::disk::{Disk, Injected, Keep, Wrong};
use crate::history::{History, Trace};
use crate::ledger::{Ledger, Scope};
use crate::net::Mishaps;
use crate::random::Random;
use server::settings::{Catcher, Settings};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::{AccountName, Spool, Timestamp};
use store_local::{Clock, Local, Options, Work, verify};
use tokio::time::Instant;

/// What came of a seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// Everything that the clients, the network and the disk saw, as one number.
    pub hash: u64,
    /// The counts.
    pub counts: Counts,
}

/// What happened in one or many seeds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events of the histories.
    pub events: u64,
    /// Messages acknowledged.
    pub acknowledged: u64,
    /// Mailbox entries.
    pub entries: u64,
    /// Orderly stops of the server.
    pub stops: u64,
    /// Processes killed.
    pub kills: u64,
    /// Power cuts.
    pub power_cuts: u64,
    /// What went wrong with disks.
    pub disk: Injected,
    /// What went wrong with connections.
    pub network: Mishaps,
}

/// Runs one seed. The error says what is wrong.
pub fn run(seed: u64, trace: Trace) -> Result<Outcome, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let world = runtime.map_err(|error| error.to_string())?.block_on(async {
        let mut world = World::new(seed, trace);
        world.lives().await.map(|()| world)
    })?;
    Ok(world.outcome())
}

/// The mailboxes that clients send to.
const ACCOUNTS: [&str; 3] = ["alice@example.org", "bob@example.org", "carol@example.net"];

/// When all simulations begin: some moment of 2023, in milliseconds.
const EPOCH: i64 = 1_700_000_000_000;

/// What lives longer than a server.
struct World {
    random: Random,
    disk: Disk,
    began: Instant,
    settings: Settings,
    shared: Shared,
    counts: Counts,
}

/// What tasks share.
#[derive(Clone)]
struct Shared {
    ledger: Arc<Mutex<Ledger>>,
    history: History,
    mishaps: Arc<Mutex<Mishaps>>,
    /// The first thing that a task found wrong.
    violation: Arc<Mutex<Option<String>>>,
}

/// How a server's life ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Stop,
    Kill,
    PowerCut,
}

impl World {
    fn new(seed: u64, trace: Trace) -> World {
        let accounts = ACCOUNTS.map(|name| AccountName::parse(name).expect("a valid name"));
        let host_name = smtp::Domain::parse("mx.example").expect("a domain");
        let mut settings = Settings::catcher(Catcher::default(), host_name);
        settings.limits.message_size = 64 << 10;
        World {
            random: Random::new(seed),
            disk: Disk::default(),
            began: Instant::now(),
            settings,
            shared: Shared {
                ledger: Arc::new(Mutex::new(Ledger::new(accounts.to_vec()))),
                history: History::new(trace),
                mishaps: Arc::default(),
                violation: Arc::default(),
            },
            counts: Counts::default(),
        }
    }

    fn options(&self) -> Options {
        Options {
            files: Arc::new(self.disk.clone()),
            segment_size: 48 << 10,
            large_from: 8 << 10,
            reserve: 0,
            index_cache: 256 << 10,
            work: Work::Caller,
            clock: self.clock(),
            ..Options::new("/store")
        }
    }

    fn clock(&self) -> Clock {
        let began = self.began;
        Arc::new(move || Timestamp(EPOCH + began.elapsed().as_millis() as i64))
    }

    fn event(&self, what: &str) {
        let digest = self.disk.digest().to_le_bytes();
        self.shared.history.event(self.began.elapsed().as_millis() as u64, what, &digest);
    }

    /// Some lives of a server, and the last look at what they leave.
    async fn lives(&mut self) -> Result<(), String> {
        for _ in 0..2 + self.random.below(3) {
            self.plan_faults();
            let ending = match self.open(Scope::New).await? {
                Some(store) => self.life(Arc::new(store)).await?,
                // The machine stopped while the store was being opened.
                None => Ending::PowerCut,
            };
            self.end(ending);
        }
        self.disk.plan_nothing();
        let store = self.open(Scope::Everything).await?.ok_or("the machine stopped without a fault")?;
        let queued = store.deliveries(usize::MAX).await.map_err(|error| error.to_string())?;
        if !queued.is_empty() {
            return Err(format!("{} deliveries in the queue of a server that relays nothing", queued.len()));
        }
        store.close().await.map_err(|error| format!("the store does not close: {error}"))?;
        drop(store);
        let report = verify(&self.options()).map_err(|error| error.to_string())?;
        if !report.findings.is_empty() {
            return Err(format!("verification finds {:?}", report.findings));
        }
        self.event("end");
        Ok(())
    }

    /// Up to three things that will go wrong with the disk during the next life.
    fn plan_faults(&mut self) {
        for _ in 0..self.random.below(4) {
            let wrong = self.random.pick(&Wrong::ALL);
            // A few early ones meet the opening.
            let reach = self.random.pick(&[20, 150, 600]);
            self.disk.plan(self.disk.operations() + self.random.below(reach), wrong);
        }
    }

    /// Opens the store and checks what is there. A fault of the disk is met with another try, as an operator would. `None` when the
    /// machine has stopped.
    async fn open(&mut self, scope: Scope) -> Result<Option<Local>, String> {
        for _ in 0..8 {
            match Local::open(self.options()) {
                Ok(store) => {
                    self.event("open");
                    let mut ledger = Ledger::new(Vec::new());
                    std::mem::swap(&mut ledger, &mut *self.shared.ledger());
                    let checked = ledger.check(&store, scope).await;
                    *self.shared.ledger() = ledger;
                    return checked.map(|()| Some(store));
                }
                Err(_) if self.disk.has_stopped() => return Ok(None),
                Err(error @ store::Error::Damaged(_)) => {
                    return Err(format!("the store does not open: {error}"));
                }
                Err(error) => self.event(&format!("not opened: {error}")),
            }
        }
        Err("the store does not open on a disk that is well".to_owned())
    }

    /// What is left of the disk for the next life.
    fn end(&mut self, ending: Ending) {
        let ending = if self.disk.has_stopped() { Ending::PowerCut } else { ending };
        self.event(&format!("{ending:?}"));
        match ending {
            Ending::Stop => self.counts.stops += 1,
            Ending::Kill => {
                self.counts.kills += 1;
                self.disk = self.disk.kill();
            }
            Ending::PowerCut => {
                self.counts.power_cuts += 1;
                let seed = self.random.next();
                let keep = if self.random.one_in(3) { Keep::Nothing } else { Keep::Some(seed) };
                self.disk = self.disk.crash(keep);
            }
        }
    }

    fn outcome(self) -> Outcome {
        let (hash, events) = self.shared.history.hash();
        let ledger = self.shared.ledger();
        let counts = Counts {
            events,
            acknowledged: ledger.acknowledged(),
            entries: ledger.entries() as u64,
            disk: self.disk.injected(),
            network: *self.shared.mishaps.lock().unwrap_or_else(PoisonError::into_inner),
            ..self.counts
        };
        Outcome { hash, counts }
    }
}

impl Shared {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client that panics is a fault of the simulation or of what it runs.
    fn client_ended(&self, ended: Result<(), tokio::task::JoinError>) {
        if let Err(error) = ended {
            self.violated(format!("a client ended by a fault of its own: {error}"));
        }
    }

    fn violated(&self, what: String) {
        self.violation.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(what);
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        self.events += other.events;
        self.acknowledged += other.acknowledged;
        self.entries += other.entries;
        self.stops += other.stops;
        self.kills += other.kills;
        self.power_cuts += other.power_cuts;
        self.disk += other.disk;
        self.network += other.network;
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Counts { events, acknowledged, entries, stops, kills, power_cuts, disk, network } = self;
        writeln!(f, "{events} events, {acknowledged} messages acknowledged, {entries} mailbox entries")?;
        writeln!(f, "server: orderly stops {stops}, kills {kills}, power cuts {power_cuts}")?;
        writeln!(f, "disk: {disk}")?;
        write!(f, "network: {network}")
    }
}
