//! Runs seeds of the simulation, one after the other on each core, and adds up what happened.

use sim::history::Trace;
use sim::simulation::{self, Counts, Outcome};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Which seeds.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// This one alone, with its history's number
    #[arg(long, conflicts_with_all = ["seeds", "seconds"])]
    seed: Option<u64>,
    /// These: A..B, without B
    #[arg(long, value_name = "A..B", value_parser = range)]
    seeds: Option<(u64, u64)>,
    /// As many as can be done in so many seconds
    #[arg(long, conflicts_with = "seeds")]
    seconds: Option<u64>,
    /// The first seed of --seconds
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// How many run at the same time
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Print the history of --seed as it happens
    #[arg(long, requires = "seed")]
    trace: bool,
}

/// What all threads share.
struct Campaign {
    next: AtomicU64,
    end: u64,
    until: Option<Instant>,
    stop: AtomicBool,
}

/// What a thread tells.
enum News {
    Begun(u64),
    Done(u64, Box<Outcome>),
    Violated(u64, String),
}

/// What came of the seeds so far.
struct Tally {
    began: Instant,
    seeds: u64,
    counts: Counts,
    under_way: BTreeSet<u64>,
    violated: Vec<(u64, String)>,
}

/// How often the progress of a campaign is told.
const PROGRESS: Duration = Duration::from_secs(30);

pub(crate) fn run(args: &Args) -> Result<(), String> {
    if let Some(seed) = args.seed {
        return one(seed, if args.trace { Trace::Print } else { Trace::Hash });
    }
    let (first, end) = args.seeds.unwrap_or((args.from, u64::MAX));
    let seconds = args.seconds.or(args.seeds.is_none().then_some(10));
    let campaign = Campaign {
        next: AtomicU64::new(first),
        end,
        until: seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds)),
        stop: AtomicBool::new(false),
    };
    let (tell, news) = mpsc::channel();
    let tally = std::thread::scope(|scope| {
        for _ in 0..args.jobs.max(1) {
            let tell = tell.clone();
            scope.spawn(|| campaign.work(tell));
        }
        drop(tell);
        Tally::listen(&news)
    });
    let Tally { seeds, counts, violated, .. } = tally;
    println!("{seeds} seeds from {first} on\n{counts}\nviolations: {}", violated.len());
    match violated.first() {
        None => Ok(()),
        Some((seed, what)) => {
            Err(format!("seed {seed}: {what}; replay it with `sim run --seed {seed} --trace`"))
        }
    }
}

fn one(seed: u64, trace: Trace) -> Result<(), String> {
    let outcome = simulation::run(seed, trace).map_err(|what| format!("seed {seed}: {what}"))?;
    println!("seed {seed}: history {:016x}\n{}", outcome.hash, outcome.counts);
    Ok(())
}

impl Campaign {
    /// Takes seeds until there are no more, time is up, or one has failed.
    fn work(&self, tell: mpsc::Sender<News>) {
        // Somebody listens until all senders are gone.
        let tell = |news| drop(tell.send(news));
        while !self.stop.load(Ordering::Relaxed) && self.until.is_none_or(|until| Instant::now() < until) {
            let seed = self.next.fetch_add(1, Ordering::Relaxed);
            if seed >= self.end {
                break;
            }
            tell(News::Begun(seed));
            match simulation::run(seed, Trace::Hash) {
                Ok(outcome) => tell(News::Done(seed, Box::new(outcome))),
                Err(what) => {
                    self.stop.store(true, Ordering::Relaxed);
                    tell(News::Violated(seed, what));
                }
            }
        }
    }
}

impl Tally {
    /// Adds up until all threads have ended, and says on stderr from time to time how far they are.
    fn listen(news: &mpsc::Receiver<News>) -> Tally {
        let began = Instant::now();
        let mut tally = Tally {
            began,
            seeds: 0,
            counts: Counts::default(),
            under_way: BTreeSet::new(),
            violated: Vec::new(),
        };
        let mut next = began + PROGRESS;
        loop {
            match news.recv_timeout(next.saturating_duration_since(Instant::now())) {
                Ok(News::Begun(seed)) => drop(tally.under_way.insert(seed)),
                Ok(News::Done(seed, outcome)) => {
                    tally.under_way.remove(&seed);
                    tally.seeds += 1;
                    tally.counts += outcome.counts;
                }
                Ok(News::Violated(seed, what)) => {
                    tally.under_way.remove(&seed);
                    tally.violated.push((seed, what));
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => return tally,
                Err(mpsc::RecvTimeoutError::Timeout) => {}
            }
            if Instant::now() >= next {
                next += PROGRESS;
                eprintln!("{tally}");
            }
        }
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = self.began.elapsed().as_secs();
        let rate = self.seeds / seconds.max(1);
        write!(f, "{seconds} s: {} seeds, {rate} a second", self.seeds)?;
        // One that never ends would be this one for good.
        self.under_way.first().map_or(Ok(()), |seed| write!(f, "; under way from seed {seed} on"))
    }
}

fn range(text: &str) -> Result<(u64, u64), String> {
    let number = |text: &str| text.parse::<u64>().map_err(|error| format!("{text}: {error}"));
    let (first, end) = text.split_once("..").ok_or("two numbers with `..` between them")?;
    Ok((number(first)?, number(end)?))
}
