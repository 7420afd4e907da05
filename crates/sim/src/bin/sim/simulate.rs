//! Runs seeds of the simulation, one after the other on each core, and adds up what happened.

use sim::history::Trace;
use sim::simulation::{self, Counts};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
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
    sum: Mutex<(u64, Counts)>,
    failed: Mutex<Vec<(u64, String)>>,
}

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
        sum: Mutex::default(),
        failed: Mutex::default(),
    };
    std::thread::scope(|scope| {
        for _ in 0..args.jobs.max(1) {
            scope.spawn(|| campaign.work());
        }
    });
    let (seeds, counts) = *campaign.sum.lock().unwrap_or_else(PoisonError::into_inner);
    let failed = campaign.failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!("{seeds} seeds from {first} on\n{counts}\nviolations: {}", failed.len());
    match failed.first() {
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
    fn work(&self) {
        while !self.stop.load(Ordering::Relaxed) && self.until.is_none_or(|until| Instant::now() < until) {
            let seed = self.next.fetch_add(1, Ordering::Relaxed);
            if seed >= self.end {
                break;
            }
            match simulation::run(seed, Trace::Hash) {
                Ok(outcome) => {
                    let mut sum = self.sum.lock().unwrap_or_else(PoisonError::into_inner);
                    sum.0 += 1;
                    sum.1 += outcome.counts;
                }
                Err(what) => {
                    self.stop.store(true, Ordering::Relaxed);
                    self.failed.lock().unwrap_or_else(PoisonError::into_inner).push((seed, what));
                }
            }
        }
    }
}

fn range(text: &str) -> Result<(u64, u64), String> {
    let number = |text: &str| text.parse::<u64>().map_err(|error| format!("{text}: {error}"));
    let (first, end) = text.split_once("..").ok_or("two numbers with `..` between them")?;
    Ok((number(first)?, number(end)?))
}
