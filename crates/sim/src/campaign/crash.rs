//! The rounds: start, send, kill or cut, read back. What was read back is mostly removed, so that the server reclaims space meanwhile.

use super::{Image, Program, client, ledger};
use crate::ledger::{Finding, Ledger, Scope};
use crate::random::Random;
use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use store::{Error, Spool};
use store_local::{Local, Options};

/// Why a campaign did not end well.
#[derive(Debug)]
pub enum Failure {
    /// The store has not what was acknowledged, or says that it is damaged.
    Violated(String),
    /// The campaign itself could not go on: that says nothing about the store.
    Stopped(String),
}

/// What a campaign did.
#[derive(Debug, Clone, Copy, Default)]
pub struct Figures {
    /// Rounds.
    pub rounds: u64,
    /// Messages acknowledged.
    pub acknowledged: u64,
    /// Mailbox entries read back, each of them once whole.
    pub entries: usize,
    /// Openings that found the end of the log torn.
    pub torn: u64,
    /// Openings that had batches to replay.
    pub replayed: u64,
    /// Entries removed after they had been read back.
    pub expunged: u64,
    /// Segments that were written anew without what was dead.
    pub rewritten: u64,
    /// Ends of a server in the middle of writing one.
    pub interrupted: u64,
}

/// Clients that send at the same time.
const CLIENTS: u64 = 24;

/// How long a round waits for its first acknowledgement. One without any proves nothing.
const PATIENCE: Duration = Duration::from_secs(20);

struct Campaign {
    program: Program,
    /// What the servers say on their standard error.
    errors: PathBuf,
    random: Random,
    ledger: Mutex<Ledger>,
    figures: Figures,
    /// The names of rewritten segments seen so far.
    rewritten: BTreeSet<String>,
}

/// Kills the server in each round; everything is in this directory. The next one finds what it left; every second time that is the reader.
pub fn crash(program: Program, directory: &Path, rounds: u64, seed: u64) -> Result<Figures, Failure> {
    let mut campaign = Campaign::new(program, directory, seed);
    let data = &directory.join("data");
    for round in 1..=rounds {
        let running = campaign.start(data)?;
        campaign.send(running.address, |_| running.kill())?;
        campaign.look(data).map_err(failed)?;
        if round % 2 == 0 || round == rounds {
            campaign.read_back(data, if round == rounds { Scope::Everything } else { Scope::New })?;
        }
        campaign.progress(round, rounds);
    }
    verify(data)?;
    Ok(campaign.figures(rounds))
}

/// Cuts the power of the server's disk in each round.
pub fn power_cut(program: Program, mut image: Image, rounds: u64, seed: u64) -> Result<Figures, Failure> {
    let mut campaign = Campaign::new(program, image.directory(), seed);
    for round in 1..=rounds {
        let data = image.path().join("data");
        let mut running = campaign.start(&data)?;
        let address = running.address;
        let switch = image.switch().map_err(failed)?;
        // The machine with its processes ends when its disk does. Here the process lives on for a moment, and Linux may tell it that a
        // sync has succeeded which the shutdown had overtaken; so what arrives from here on counts for nothing.
        let cut = |ledger: &Mutex<Ledger>| {
            running.check()?;
            ledger.lock().unwrap_or_else(PoisonError::into_inner).pause();
            let cut = switch.cut();
            running.put_away().and(cut)
        };
        campaign.send(address, cut)?;
        campaign.ledger.get_mut().unwrap_or_else(PoisonError::into_inner).resume();
        image = image.restart().map_err(failed)?;
        campaign.look(&data).map_err(failed)?;
        if round % 2 == 0 || round == rounds {
            campaign.read_back(&data, if round == rounds { Scope::Everything } else { Scope::New })?;
        }
        campaign.progress(round, rounds);
    }
    verify(&image.path().join("data"))?;
    Ok(campaign.figures(rounds))
}

/// The last look: at everything, whether somebody has asked for it or not.
fn verify(data: &Path) -> Result<(), Failure> {
    let report = store_local::verify(&Options::new(data)).map_err(|error| of_store("verifying", &error))?;
    if report.findings.is_empty() {
        return Ok(());
    }
    Err(Failure::Violated(format!("verification finds {:?}", report.findings)))
}

/// Opens the store in this process. That it is damaged is a finding; that it cannot be opened is none.
fn open(data: &Path) -> Result<Local, Failure> {
    let options = Options { reserve: 0, ..Options::new(data) };
    Local::open(options).map_err(|error| of_store("the store does not open", &error))
}

impl Campaign {
    fn new(program: Program, directory: &Path, seed: u64) -> Campaign {
        Campaign {
            program,
            errors: directory.join("server.log"),
            random: Random::new(seed),
            ledger: Mutex::new(ledger()),
            figures: Figures::default(),
            rewritten: BTreeSet::new(),
        }
    }

    /// Starts the server. When it does not start, the store says whether that is its fault.
    fn start(&self, data: &Path) -> Result<super::Running, Failure> {
        self.program.start(data, &self.errors).map_err(|error| match open(data) {
            Err(violated @ Failure::Violated(_)) => violated,
            Ok(_) | Err(Failure::Stopped(_)) => failed(error),
        })
    }

    /// Lets the clients send for a moment, then ends the server with `end`; returns when all of them have noticed. Fails when nothing was
    /// acknowledged.
    fn send(
        &mut self,
        address: SocketAddr,
        end: impl FnOnce(&Mutex<Ledger>) -> io::Result<()>,
    ) -> Result<(), Failure> {
        let number = self.random.next() >> 16 << 16;
        // A server looks for space to reclaim after two seconds; some live long enough to be ended in the middle of that.
        let wait = if self.random.one_in(3) { 2_000 } else { 20 } + self.random.below(700);
        let before = self.acknowledged();
        let until = Instant::now() + PATIENCE;
        let (ended, refused) = std::thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS)
                .map(|client| {
                    let random = self.random.part(number + client);
                    let (ledger, tokens) = (&self.ledger, number ^ client << 40..);
                    scope.spawn(move || client::send(address, random, tokens, ledger))
                })
                .collect();
            std::thread::sleep(Duration::from_millis(wait));
            while self.acknowledged() == before && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(1));
            }
            let ended = end(&self.ledger);
            let joined = clients.into_iter().map(|client| client.join().expect("a client does not panic"));
            (ended, joined.flatten().last())
        });
        ended.map_err(failed)?;
        if self.acknowledged() > before {
            return Ok(());
        }
        let why = refused.map_or("nobody said why".to_owned(), |reply| format!("the server said: {reply}"));
        Err(Failure::Stopped(format!("nothing was acknowledged before the end of the server; {why}")))
    }

    fn acknowledged(&self) -> u64 {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner).acknowledged()
    }

    /// Takes note of what a server's reclamation of space has left in the log's directory.
    fn look(&mut self, data: &Path) -> io::Result<()> {
        let entries = match std::fs::read_dir(data.join("log")) {
            // It is lost whole; reading back says what was in it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let name = entry?.file_name().to_string_lossy().into_owned();
            // `FIRST-LAST-GENERATION` is one that takes the place of others.
            match name.split_once('.') {
                Some((stem, "new")) if stem.contains('-') => self.figures.interrupted += 1,
                Some((stem, "seg")) if stem.contains('-') => drop(self.rewritten.insert(name)),
                _ => {}
            }
        }
        self.figures.rewritten = self.rewritten.len() as u64;
        Ok(())
    }

    fn read_back(&mut self, data: &Path, scope: Scope) -> Result<(), Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.map_err(failed)?.block_on(async {
            let store = open(data)?;
            self.figures.torn += u64::from(store.recovery().torn > 0);
            self.figures.replayed += u64::from(store.recovery().replayed > 0);
            let ledger = self.ledger.get_mut().unwrap_or_else(PoisonError::into_inner);
            ledger.check(&store, scope).await?;
            if scope == Scope::New {
                self.figures.expunged += ledger.thin_out(&store).await?;
            }
            store.close().await.map_err(failed)
        })
    }

    fn progress(&mut self, round: u64, rounds: u64) {
        if round.is_multiple_of(10) || round == rounds {
            let ledger = self.ledger.get_mut().unwrap_or_else(PoisonError::into_inner);
            eprintln!("round {round} of {rounds}: {} acknowledged", ledger.acknowledged());
        }
    }

    fn figures(self, rounds: u64) -> Figures {
        let ledger = self.ledger.into_inner().unwrap_or_else(PoisonError::into_inner);
        Figures { rounds, acknowledged: ledger.acknowledged(), entries: ledger.entries(), ..self.figures }
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Figures { rounds, acknowledged, entries, torn, replayed, .. } = self;
        let Figures { expunged, rewritten, interrupted, .. } = self;
        write!(
            f,
            "{rounds} rounds, {acknowledged} messages acknowledged, {entries} mailbox entries read back; openings \
             with a torn end {torn}, with batches to replay {replayed}; entries expunged {expunged}, segments rewritten \
             {rewritten}, ends in the middle of that {interrupted}; lost 0, torn 0, duplicated 0"
        )
    }
}

impl From<Finding> for Failure {
    fn from(finding: Finding) -> Failure {
        match &finding {
            Finding::Refused { what, error } => of_store(what, error),
            Finding::Broken(_) => Failure::Violated(finding.to_string()),
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Violated(what) => write!(f, "VIOLATED: {what}"),
            Failure::Stopped(why) => write!(f, "the campaign cannot go on: {why}"),
        }
    }
}

/// What a store's error means here: damage is what the campaign looks for.
fn of_store(what: &str, error: &Error) -> Failure {
    let text = format!("{what}: {error}");
    if matches!(error, Error::Damaged(_)) { Failure::Violated(text) } else { Failure::Stopped(text) }
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::Stopped(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_lost_or_damaged_is_a_violation() {
        let refused = |error| Failure::from(Finding::Refused { what: "it cannot be read".to_owned(), error });
        assert!(matches!(Failure::from(Finding::Broken("lost".to_owned())), Failure::Violated(_)));
        assert!(matches!(refused(Error::Damaged("a record".to_owned())), Failure::Violated(_)));
        assert!(matches!(refused(Error::Closed), Failure::Stopped(_)));
        // A data directory that cannot be made is nobody's lost mail, nor is a server that is not there.
        let directory = tempfile::tempdir().expect("a directory");
        let campaign =
            Campaign::new(Program::Posthaste("/nonexistent/posthaste".into()), directory.path(), 1);
        assert!(matches!(campaign.start(Path::new("/dev/null/data")), Err(Failure::Stopped(_))));
    }
}
