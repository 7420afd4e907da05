//! The deterministic simulation: one seed, one history.
//!
//! The real sessions of the server (endpoint, driver, application) and the real store run on one thread under virtual time, on a
//! [`crate::disk`] and a [`crate::net`] in which things go wrong. Clients behave and misbehave; now and then the server is
//! stopped, killed, or loses power, and goes on from what is left. Mail is removed and its space reclaimed meanwhile. After each start and at the end the [`crate::ledger`] is held
//! against the mailboxes. In half of the seeds the server relays as well ([`relaying`]), to hosts that behave and misbehave.

mod arranging;
mod clients;
mod connections;
mod life;
mod outside;
mod readers;
mod relaying;
mod retrieval;
mod sessions;
mod talk;

use crate::disk::{Disk, Injected, Keep, Wrong};
use crate::history::{History, Trace};
use crate::ledger::{Finding, Ledger, Scope};
use crate::net::Mishaps;
use crate::random::Random;
use crate::relayed::{Relayed, Writes};
use arranging::Arranged;
pub use outside::Hops;
use outside::Outside;
use relaying::Relaying;
pub use retrieval::Retrieved;
use server::settings::{Catcher, Settings};
use std::panic::catch_unwind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use store::{AccountName, Error, Spool, Timestamp};
use store_local::{Clock, Local, Options, Reclaimed, Work, verify};
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
    /// Requests about mailboxes that were carried out, and copies of messages that they made.
    pub arranged: (u64, u64),
    /// What was fetched by IMAP and POP3.
    pub retrieved: Retrieved,
    /// What the reclamation of space did.
    pub reclaimed: Space,
    /// What went wrong with disks.
    pub disk: Injected,
    /// What went wrong with connections.
    pub network: Mishaps,
    /// What became of recipients elsewhere, and what the hosts there did.
    pub hops: Hops,
}

/// What the reclamation of space did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Space {
    /// Segments whose place a shorter one took.
    pub segments: u64,
    /// By how many bytes that was shorter.
    pub bytes: u64,
}

/// Runs one seed. The error says what is wrong; a panic is.
pub fn run(seed: u64, trace: Trace) -> Result<Outcome, String> {
    catch_unwind(|| live(seed, trace)).unwrap_or_else(|panic| {
        let what = panic.downcast_ref::<String>().map(String::as_str);
        let what = what.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(format!("panicked: {}", what.unwrap_or("nobody knows why")))
    })
}

fn live(seed: u64, trace: Trace) -> Result<Outcome, String> {
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
    /// How many bytes a segment of the log has.
    segment: u64,
    began: Instant,
    settings: Settings,
    shared: Shared,
    /// What the relay needs; `None` in seeds without it.
    relaying: Option<Relaying>,
    counts: Counts,
}

/// What tasks share.
#[derive(Clone)]
struct Shared {
    ledger: Arc<Mutex<Ledger>>,
    relayed: Arc<Mutex<Relayed>>,
    arranged: Arc<Mutex<Arranged>>,
    /// The server that lives, or lived last.
    watched: Arc<Mutex<Option<Watched>>>,
    /// How many addresses clients know.
    addresses: u64,
    history: History,
    mishaps: Arc<Mutex<Mishaps>>,
    reclaimed: Arc<Mutex<Space>>,
    retrieved: Arc<Mutex<Retrieved>>,
    /// The first thing that a task found wrong.
    violation: Arc<Mutex<Option<String>>>,
}

/// What a server lives on.
struct Watched {
    disk: Disk,
    /// How often the disk had failed when the life began.
    failures: u64,
    store: Weak<Local>,
    /// When the store was first seen fenced.
    fenced: Option<Instant>,
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
        let mut random = Random::new(seed);
        // Small ones, so that they fill, die and are reclaimed within one history.
        let segment = random.pick(&[4 << 10, 8 << 10, 12 << 10, 48 << 10]);
        let (relays, began) = (random.one_in(2), Instant::now());
        let elsewhere = if relays { outside::ADDRESSES.len() } else { 0 };
        let shared = Shared {
            ledger: Arc::new(Mutex::new(Ledger::new(accounts.to_vec()))),
            relayed: Arc::default(),
            arranged: Arc::default(),
            watched: Arc::default(),
            addresses: (ACCOUNTS.len() + elsewhere) as u64,
            history: History::new(trace),
            mishaps: Arc::default(),
            reclaimed: Arc::default(),
            retrieved: Arc::default(),
            violation: Arc::default(),
        };
        let relaying = relays.then(|| {
            relaying::set_up(&mut settings);
            let outside = Outside::new(random.part(7), began, shared.clone());
            Relaying::new(outside, random.pick(&relaying::schedules()))
        });
        let (disk, counts) = (Disk::default(), Counts::default());
        World { random, disk, segment, began, settings, shared, relaying, counts }
    }

    fn options(&self) -> Options {
        Options {
            files: Arc::new(self.disk.clone()),
            segment_size: self.segment,
            large_from: 8 << 10,
            reserve: 0,
            index_cache: 256 << 10,
            work: Work::Caller,
            clock: self.clock(),
            // The first thing that a seed decides, so that it is the same at every opening.
            random: Arc::new(|| Ok(SALT)),
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
                None => self.sudden(),
            };
            self.end(ending);
        }
        self.disk.plan_nothing();
        let store = self.open(Scope::Everything).await?.ok_or("the machine stopped without a fault")?;
        let store = Arc::new(store);
        self.drain(store.clone()).await?;
        self.check_relayed(&store).await.map_err(|error| error.to_string())??;
        self.reclaim_all(&store).await?;
        store.close().await.map_err(|error| format!("the store does not close: {error}"))?;
        drop(store);
        let report = verify(&self.options()).map_err(|error| error.to_string())?;
        if !report.findings.is_empty() {
            return Err(format!("verification finds {:?}", report.findings));
        }
        self.event("end");
        Ok(())
    }

    /// Reclaims all that there is to reclaim; after that everything must be as it was.
    async fn reclaim_all(&mut self, store: &Local) -> Result<(), String> {
        let mut any = false;
        while let Some(reclaimed) = store.reclaim().await.map_err(|error| format!("reclaiming: {error}"))? {
            self.shared.reclaimed(reclaimed)?;
            any = true;
        }
        let mut ledger = self.shared.take_ledger();
        let checked = if any { ledger.check(store, Scope::Everything).await } else { Ok(()) };
        *self.shared.ledger() = ledger;
        checked.map_err(|finding| format!("after space was reclaimed: {finding}"))
    }

    /// What will go wrong with the disk during the next life: up to three things, and up to two reads.
    fn plan_faults(&mut self) {
        for _ in 0..self.random.below(4) {
            let wrong = self.random.pick(&Wrong::ALL);
            // A few early ones meet the opening.
            let reach = self.random.pick(&[20, 150, 600]);
            self.disk.plan(self.disk.operations() + self.random.below(reach), wrong);
        }
        for _ in 0..self.random.below(5).saturating_sub(2) {
            let reach = self.random.pick(&[15, 100, 400]);
            self.disk.plan_read(self.disk.reads() + self.random.below(reach));
        }
    }

    /// Opens the store and checks what is there. A fault of the disk is met with another try, as an operator would. `None` when the
    /// machine has stopped.
    async fn open(&mut self, scope: Scope) -> Result<Option<Local>, String> {
        for _ in 0..8 {
            match Local::open(self.options()) {
                Ok(store) => {
                    self.event("open");
                    let before = self.disk.injected().read_errors;
                    let mut ledger = self.shared.take_ledger();
                    let mut checked = ledger.check(&store, scope).await;
                    *self.shared.ledger() = ledger;
                    if checked.is_ok() {
                        let found = self.check_relayed(&store).await;
                        let refused =
                            |error| Finding::Refused { what: "the queue cannot be read".to_owned(), error };
                        checked = found.map_err(refused).and_then(|found| found.map_err(Finding::Broken));
                    }
                    if checked.is_ok() {
                        let arranged = std::mem::take(&mut *self.shared.arranged());
                        let found = arranged.check(&store).await;
                        *self.shared.arranged() = arranged;
                        let refused = |error| Finding::Refused {
                            what: "the mailboxes cannot be read".to_owned(),
                            error,
                        };
                        checked = found.map_err(refused).and_then(|found| found.map_err(Finding::Broken));
                    }
                    let read_failed = self.disk.injected().read_errors > before;
                    match checked {
                        Ok(()) => return Ok(Some(store)),
                        // It said so, and said nothing wrong.
                        Err(Finding::Refused { error: Error::Io { .. }, .. }) if read_failed => {
                            self.event("not checked");
                        }
                        Err(finding) => return Err(finding.to_string()),
                    }
                }
                Err(_) if self.disk.has_stopped() => return Ok(None),
                Err(error @ Error::Damaged(_)) => {
                    return Err(format!("the store does not open: {error}"));
                }
                Err(error) => {
                    self.event(&format!("not opened: {error}"));
                    // The next try is another process's.
                    self.disk = self.disk.freeze();
                }
            }
        }
        Err("the store does not open on a disk that is well".to_owned())
    }

    /// What is left of the disk for the next life.
    fn end(&mut self, ending: Ending) {
        let ending = if self.disk.has_stopped() { self.sudden() } else { ending };
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

    /// How a server ended that was stopped in the middle of something.
    fn sudden(&mut self) -> Ending {
        self.random.pick(&[Ending::Kill, Ending::PowerCut])
    }

    fn outcome(self) -> Outcome {
        let (hash, events) = self.shared.history.hash();
        let ledger = self.shared.ledger();
        let counts = Counts {
            events,
            acknowledged: ledger.acknowledged(),
            entries: ledger.entries() as u64,
            arranged: {
                let arranged = self.shared.arranged();
                (arranged.requests, arranged.copies)
            },
            retrieved: *self.shared.retrieved.lock().unwrap_or_else(PoisonError::into_inner),
            reclaimed: *self.shared.reclaimed.lock().unwrap_or_else(PoisonError::into_inner),
            disk: self.disk.injected(),
            hops: self.relaying.as_ref().map_or_else(Hops::default, |relaying| {
                let relayed = self.shared.relayed();
                let (owed, duplicates, reported) = (relayed.owed(), relayed.duplicates(), relayed.reports());
                let open_max = relaying.outside.open_max();
                Hops { owed, duplicates, reported, open_max, ..*relaying.outside.hops() }
            }),
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

    fn arranged(&self) -> MutexGuard<'_, Arranged> {
        self.arranged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn relayed(&self) -> MutexGuard<'_, Relayed> {
        self.relayed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A server begins to live, with this store on this disk.
    fn watch(&self, disk: &Disk, store: &Arc<Local>) {
        let failures = disk.injected().failures();
        let watched = Watched { disk: disk.clone(), failures, store: Arc::downgrade(store), fenced: None };
        *self.watched.lock().unwrap_or_else(PoisonError::into_inner) = Some(watched);
        self.relayed().begin();
    }

    /// Looks at the disk and the store of the server that lives. Returns when the store was first seen fenced.
    fn look(&self) -> Option<Instant> {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let watched = watched.as_mut()?;
        let health = watched.store.upgrade().map(|store| store.health());
        if let Some(Err(Error::Fenced(_))) = health {
            watched.fenced.get_or_insert_with(Instant::now);
        }
        let failures = watched.disk.injected().failures() - watched.failures;
        // A machine that has stopped writes nothing, whatever a process in it still believes until it is ended.
        let is_well = matches!(health, Some(Ok(()))) && !watched.disk.has_stopped();
        let writes = if is_well { Writes::Taken } else { Writes::Refused };
        self.relayed().look(failures, writes);
        watched.fenced
    }

    /// Whether something has gone wrong with the disk of the server that lives.
    fn is_troubled(&self) -> bool {
        let fenced = self.look();
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = |watched: &Watched| watched.disk.injected().failures() > watched.failures;
        fenced.is_some() || watched.as_ref().is_some_and(failed)
    }

    /// A message was acknowledged for these addresses, by their numbers.
    fn acknowledge(&self, token: u64, addresses: &[usize]) {
        let (here, elsewhere): (Vec<usize>, Vec<usize>) =
            addresses.iter().partition(|number| **number < ACCOUNTS.len());
        self.ledger().acknowledge(token, &here);
        elsewhere.into_iter().for_each(|number| self.relayed().acknowledge((token, number)));
    }

    /// The ledger, for who holds it against a store; it has to be put back.
    fn take_ledger(&self) -> Ledger {
        std::mem::replace(&mut *self.ledger(), Ledger::new(Vec::new()))
    }

    /// A reclamation of space has succeeded.
    fn reclaimed(&self, reclaimed: Reclaimed) -> Result<(), String> {
        let Reclaimed { segments, before, after } = reclaimed;
        self.history.event(0, "reclaimed", &[segments, before, after].map(u64::to_le_bytes).concat());
        let mut sum = self.reclaimed.lock().unwrap_or_else(PoisonError::into_inner);
        sum.segments += segments;
        sum.bytes += before.checked_sub(after).ok_or_else(|| format!("the log grew: {reclaimed:?}"))?;
        Ok(())
    }

    /// A client or session that panics is a fault of the simulation or of what it runs.
    fn ended<T>(&self, who: &str, ended: Result<T, tokio::task::JoinError>) -> Option<T> {
        ended.inspect_err(|error| self.violated(format!("{who} ended by a fault of its own: {error}"))).ok()
    }

    fn violated(&self, what: String) {
        self.violation.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(what);
    }
}

/// The salt of every log: nobody here tries to forge one.
const SALT: u32 = 0x5EED;

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        self.events += other.events;
        self.acknowledged += other.acknowledged;
        self.entries += other.entries;
        self.stops += other.stops;
        self.kills += other.kills;
        self.power_cuts += other.power_cuts;
        self.arranged.0 += other.arranged.0;
        self.arranged.1 += other.arranged.1;
        self.retrieved += other.retrieved;
        self.reclaimed.segments += other.reclaimed.segments;
        self.reclaimed.bytes += other.reclaimed.bytes;
        self.disk += other.disk;
        self.network += other.network;
        self.hops += other.hops;
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Counts {
            events,
            acknowledged,
            entries,
            stops,
            kills,
            power_cuts,
            arranged: (requests, copies),
            retrieved,
            reclaimed,
            disk,
            network,
            hops,
        } = self;
        let Space { segments, bytes } = reclaimed;
        writeln!(f, "{events} events, {acknowledged} messages acknowledged, {entries} mailbox entries")?;
        writeln!(f, "server: orderly stops {stops}, kills {kills}, power cuts {power_cuts}")?;
        writeln!(f, "mailboxes: requests {requests}, copies {copies}")?;
        writeln!(f, "retrieval: {retrieved}")?;
        writeln!(f, "space: segments reclaimed {segments}, bytes given back {bytes}")?;
        writeln!(f, "disk: {disk}")?;
        writeln!(f, "network: {network}")?;
        write!(f, "relay: {hops}")
    }
}
