//! Giving back the space of what nothing names any more: which sealed segments are rewritten, and when.
//!
//! The writer takes no part in it: the new segment is a file of its own ([`crate::rewrite`]), so acknowledgements go on. Only when the
//! index points to it, durably, are the old ones removed. A crash in between leaves files that [`choose`] tells apart at the
//! next opening.

use crate::error::io_error;
use crate::index::{SegmentRow, Snapshot};
use crate::rewrite::{self, Pace};
use crate::segment;
use crate::segments::Segments;
use crate::status::Status;
use crate::view::View;
use std::collections::HashSet;
use std::io;
use std::ops::ControlFlow;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;
use store::{Error, Result};

/// What one reclamation did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reclaimed {
    /// How many segments became one.
    pub segments: u64,
    /// How long their files were, in bytes.
    pub before: u64,
    /// How long the file in their place is, in bytes.
    pub after: u64,
}

/// The reclamation of space.
#[derive(Debug)]
pub(crate) struct Space {
    segments: Arc<Segments>,
    view: Arc<View>,
    status: Arc<Status>,
    segment_size: u64,
    /// Held while segments are rewritten.
    rewriting: Mutex<Rewriting>,
    /// Why not all space is given back; by itself, since the other is held for long.
    trouble: Mutex<Option<String>>,
    stopped: Mutex<bool>,
    stop: Condvar,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Rewriting {
    /// Segments that cannot be rewritten, because they are damaged or cannot be read.
    passed_over: HashSet<u64>,
    /// A file operation has failed: what it has left is told apart at the next opening, and nothing is rewritten until then.
    uncertain: bool,
}

/// As long as this is there no segment is rewritten or removed.
#[derive(Debug)]
pub(crate) struct Hold<'a> {
    _rewriting: MutexGuard<'a, Rewriting>,
}

/// Which segment files count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Choice {
    /// The index goes with the segments; these are left over.
    Fits(Vec<u64>),
    /// The index is older than the segments: it has to be made anew.
    Stale,
    /// The index knows a segment that is not there.
    Missing(u64),
}

impl Space {
    /// For this store.
    pub(crate) fn new(
        segments: Arc<Segments>,
        view: Arc<View>,
        status: Arc<Status>,
        segment_size: u64,
    ) -> Space {
        Space {
            segments,
            view,
            status,
            segment_size,
            rewriting: Mutex::default(),
            trouble: Mutex::default(),
            stopped: Mutex::new(false),
            stop: Condvar::new(),
            thread: Mutex::new(None),
        }
    }

    /// Starts a thread that reclaims space whenever there is some, reading about `rate` bytes a second.
    pub(crate) fn start(self: &Arc<Self>, rate: u64) -> io::Result<()> {
        let space = self.clone();
        let thread = std::thread::Builder::new().name("store-space".to_owned());
        let running = thread.spawn(move || space.run(rate))?;
        *self.thread.lock().expect("no holder of this lock panics") = Some(running);
        Ok(())
    }

    /// Stops it, and waits for whoever rewrites a segment.
    pub(crate) fn stop(&self) {
        *self.stopped.lock().expect("no holder of this lock panics") = true;
        self.stop.notify_all();
        let thread = self.thread.lock().expect("no holder of this lock panics").take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that reclaims space panicked");
        }
        drop(self.rewriting.lock());
    }

    /// Rewrites one segment of which more than half is dead, if there is one, without pauses.
    pub(crate) fn reclaim(&self) -> Result<Option<Reclaimed>> {
        self.step(&mut |_| self.pause(Duration::ZERO))
    }

    /// Puts off all rewriting of segments. Waits for one that is under way.
    pub(crate) fn hold(&self) -> Result<Hold<'_>> {
        let _rewriting = self.rewriting.lock().map_err(|_| Error::Closed)?;
        Ok(Hold { _rewriting })
    }

    fn run(&self, rate: u64) {
        let mut wait = EVERY;
        while self.pause(wait).is_continue() && self.status.check().is_ok() {
            let step = self.step(&mut |bytes| self.pause(Duration::from_micros(bytes * 1_000_000 / rate)));
            wait = match step {
                Ok(Some(_)) => Duration::ZERO,
                Ok(None) => EVERY,
                Err(error) => {
                    tracing::error!(%error, "cannot reclaim space");
                    AFTER_ERROR
                }
            };
        }
    }

    fn step(&self, pace: Pace<'_>) -> Result<Option<Reclaimed>> {
        let mut rewriting = self.rewriting.lock().map_err(|_| Error::Closed)?;
        self.status.check()?;
        let epoch = self.view.epoch();
        let snapshot = self.view.read()?;
        let Some((replaced, next)) = self.candidates(&snapshot, &rewriting)? else { return Ok(None) };
        let rewritten = rewrite::rewrite(&self.segments, &snapshot, (&replaced, next), pace);
        let rewritten = rewritten.inspect_err(|error| match error {
            error if rewrite::is_of_the_source(error) => {
                rewriting.passed_over.extend(&replaced);
                let count = rewriting.passed_over.len();
                self.tell(format!("{count} segments are left as they are, for they are damaged or cannot be read; the last: {error}"));
            }
            Error::Full(_) => {}
            _ => self.give_up(&mut rewriting, error),
        });
        let Some(rewritten) = rewritten? else { return Ok(None) };
        drop(snapshot);
        self.view.adopt(&rewritten, epoch).inspect_err(|error| self.give_up(&mut rewriting, error))?;
        let after = self.size(rewritten.segment)?;
        let mut before = 0;
        for &segment in &replaced {
            before += self.size(segment)?;
            self.segments.remove(segment)?;
        }
        self.segments.sync()?;
        let segments = replaced.len() as u64;
        tracing::debug!(segments, before, after, "reclaimed space");
        Ok(Some(Reclaimed { segments, before, after }))
    }

    /// Why space stays in use that could be given back; `None` when nothing is in the way.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.trouble.lock().expect("no holder of this lock panics").clone()
    }

    fn tell(&self, trouble: String) {
        *self.trouble.lock().expect("no holder of this lock panics") = Some(trouble);
    }

    /// Rewrites nothing more until the store is opened anew.
    fn give_up(&self, rewriting: &mut Rewriting, error: &Error) {
        rewriting.uncertain = true;
        self.tell(format!("no space is given back until the next start: {error}"));
    }

    /// The oldest segment of which more than half is dead, with those just before it of which too little is left for files of their
    /// own; and the segment behind them.
    fn candidates(&self, snapshot: &Snapshot, rewriting: &Rewriting) -> Result<Option<(Vec<u64>, u64)>> {
        let Some(position) = snapshot.position()? else { return Ok(None) };
        if rewriting.uncertain {
            return Ok(None);
        }
        let list = snapshot.segments()?;
        let wanted = |(segment, row): &(u64, SegmentRow)| {
            let sealed = segment::last(*segment) < segment::last(position.segment);
            sealed && row.dead > row.used / 2 && !rewriting.passed_over.contains(segment)
        };
        let Some(last) = list.iter().position(wanted) else { return Ok(None) };
        let Some((next, _)) = list.get(last + 1) else { return Ok(None) };
        let live = |at: usize| list[at].1.used.saturating_sub(list[at].1.dead);
        let (mut first, mut together) = (last, live(last));
        while first > 0 && together + live(first - 1) <= self.segment_size / 4 {
            let before = list[first - 1].0;
            let run = segment::last(list[last].0) - segment::first(before);
            if run > RUN_MAX || rewriting.passed_over.contains(&before) {
                break;
            }
            first -= 1;
            together += live(first);
        }
        let replaced: Vec<u64> = list[first..=last].iter().map(|(segment, _)| *segment).collect();
        let all = [&replaced[..], &[*next]].concat();
        let gapless = all.windows(2).all(|pair| segment::last(pair[0]) + 1 == segment::first(pair[1]));
        Ok(gapless.then_some((replaced, *next)))
    }

    fn size(&self, segment: u64) -> Result<u64> {
        let size = self.segments.open_to_read(segment)?.size();
        size.map_err(|error| io_error("asking for the length of", &self.segments.path(segment), error))
    }

    /// Waits, but not when it is told to stop.
    fn pause(&self, time: Duration) -> ControlFlow<()> {
        let stopped = self.stopped.lock().expect("no holder of this lock panics");
        let waited = self.stop.wait_timeout_while(stopped, time, |stopped| !*stopped);
        let (stopped, _) = waited.expect("no holder of this lock panics");
        if *stopped { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// Decides which of all segment files count, for an index that knows these; they hold the same where several stand for one number.
pub(crate) fn choose(all: &[u64], known: &[u64]) -> Choice {
    let replaced = |segment: u64| all.iter().any(|other| segment::replaces(*other, segment));
    if let Some(missing) = known.iter().find(|segment| !all.contains(segment)) {
        // What replaces it is there: the index is an old one.
        return if replaced(*missing) { Choice::Stale } else { Choice::Missing(*missing) };
    }
    let mut left_over = Vec::new();
    for &segment in all.iter().filter(|segment| !known.contains(segment)) {
        if known.iter().any(|other| segment::replaces(*other, segment)) {
            left_over.push(segment);
        } else if segment::generation(segment) > 0 {
            let numbers = |segment| segment::last(segment) - segment::first(segment) + 1;
            let old = known.iter().filter(|old| segment::replaces(segment, **old));
            // It was finished, but the index did not take it: then all that it replaces is still there.
            if old.map(|old| numbers(*old)).sum::<u64>() != numbers(segment) {
                return Choice::Stale;
            }
            left_over.push(segment);
        }
    }
    Choice::Fits(left_over)
}

/// The segment files that do not count when there is no index to ask.
pub(crate) fn left_over(segments: &Segments) -> Result<Vec<u64>> {
    let current = segments.list()?;
    Ok(segments.all()?.into_iter().filter(|segment| !current.contains(segment)).collect())
}

/// How often it is looked for space to be reclaimed, when there was none.
const EVERY: Duration = Duration::from_secs(2);

/// How long to wait after something went wrong: mostly a full disk, or a damaged segment.
const AFTER_ERROR: Duration = Duration::from_secs(60);

/// How many numbers one segment stands for, at most.
const RUN_MAX: u64 = 60_000;
