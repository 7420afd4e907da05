//! Threads that check passwords: few, at a low priority, and with a short queue before them that is fair.
//!
//! One check takes tens of milliseconds of a core and 19 MiB on purpose. Here is the bound on what anybody can make the server
//! spend on it, however many try at once: what does not fit into the queue is put off, and mail goes on meanwhile.
//!
//! Two queues: those who are probably the owners of their accounts come first, and whatever strangers do cannot take their places. In each
//! queue the networks take turns, so that a flood from one leaves room for all others.

mod fair;

use super::password::Scratch;
use crate::abuse::Standing;
use crate::settings::Network;
use fair::Fair;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use tokio::sync::oneshot;

/// A fixed number of threads and what waits for them. Dropped, it ends them after what is queued.
#[derive(Debug)]
pub struct Pool {
    shared: Arc<Shared>,
    /// Where the callers do the work themselves.
    callers: Option<Mutex<Scratch>>,
}

/// For whom something is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// Where it is.
    pub network: Network,
    /// How it stands to the account.
    pub standing: Standing,
}

/// The queue is full: to be tried again later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords wait to be checked")]
pub struct Busy;

struct Shared {
    waiting: Mutex<Waiting>,
    came: Condvar,
}

struct Waiting {
    familiar: Fair<Network, Job>,
    strangers: Fair<Network, Job>,
    /// How many were taken.
    taken: u64,
    is_closed: bool,
}

/// Dropped, it tells whoever waits for it that nothing is done.
type Job = Box<dyn FnOnce(&mut Scratch) + Send>;

/// How many jobs wait for each thread at most in each queue: some ten seconds' worth of Argon2. Clients wait longer than that for a reply,
/// and who is put off at once comes again at once.
pub const QUEUE: usize = 256;

/// One in so many jobs is a stranger's, whatever else waits: the first login from a new place goes on as well.
const STRANGERS_TURN: u64 = 4;

/// The niceness of the threads: beside a busy thread at 0 one gets about a tenth of a core, so that logins go on as well.
const NICE: i32 = 10;

impl Pool {
    /// So many threads, and twice `queue` places before them.
    pub fn new(threads: usize, queue: usize) -> std::io::Result<Pool> {
        let shared = Arc::new(Shared::new(queue));
        // From here on an error ends the threads that there are.
        let pool = Pool { shared, callers: None };
        for number in 0..threads.max(1) {
            let shared = Arc::clone(&pool.shared);
            thread::Builder::new().name(format!("password-{number}")).spawn(move || work(&shared))?;
        }
        Ok(pool)
    }

    /// No threads: whoever asks does the work at once. For a simulation, in which no other thread may decide what comes first.
    pub fn of_callers() -> Pool {
        Pool { shared: Arc::new(Shared::new(0)), callers: Some(Mutex::default()) }
    }

    /// As many threads as leave a core to the mail, four at most: each takes 19 MiB, and keeps them.
    pub fn for_this_machine() -> std::io::Result<Pool> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let threads = (cores - 1).clamp(1, 4);
        Pool::new(threads, QUEUE * threads)
    }

    /// Has `job` done and returns what it returned. Nothing is done for a caller that no longer waits when its turn comes.
    pub async fn run<T: Send + 'static>(
        &self,
        client: Client,
        job: impl FnOnce(&mut Scratch) -> T + Send + 'static,
    ) -> Result<T, Busy> {
        if let Some(scratch) = &self.callers {
            return Ok(job(&mut scratch.lock().unwrap_or_else(PoisonError::into_inner)));
        }
        let (answer, answered) = oneshot::channel();
        let job = move |scratch: &mut Scratch| {
            if !answer.is_closed() {
                // Whoever waited may be gone by the end of it.
                answer.send(job(scratch)).unwrap_or(());
            }
        };
        // What had to go for it is told so by being dropped.
        let gone = self.shared.waiting().push(client, Box::new(job));
        drop(gone);
        self.shared.came.notify_one();
        // Nor does a job that panicked answer anybody.
        answered.await.map_err(|_| Busy)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.waiting().is_closed = true;
        self.shared.came.notify_all();
    }
}

impl Shared {
    fn new(queue: usize) -> Shared {
        let waiting =
            Waiting { familiar: Fair::new(queue), strangers: Fair::new(queue), taken: 0, is_closed: false };
        Shared { waiting: Mutex::new(waiting), came: Condvar::new() }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next job, when there is one; `None` at the end.
    fn next(&self) -> Option<Job> {
        let mut waiting = self.waiting();
        loop {
            match waiting.pop() {
                Some(job) => return Some(job),
                None if waiting.is_closed => return None,
                None => waiting = self.came.wait(waiting).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

impl Waiting {
    /// Returns the job that has no place any more, if there is one.
    fn push(&mut self, client: Client, job: Job) -> Option<Job> {
        match client.standing {
            Standing::Familiar => self.familiar.push(client.network, job),
            Standing::Stranger => self.strangers.push(client.network, job),
        }
    }

    fn pop(&mut self) -> Option<Job> {
        let (first, second) = match self.taken % STRANGERS_TURN {
            0 => (&mut self.strangers, &mut self.familiar),
            _ => (&mut self.familiar, &mut self.strangers),
        };
        let job = first.pop().or_else(|| second.pop())?;
        self.taken = self.taken.wrapping_add(1);
        Some(job)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

fn work(shared: &Shared) {
    step_back();
    let mut scratch = Scratch::default();
    while let Some(job) = shared.next() {
        let done = std::panic::AssertUnwindSafe(|| job(&mut scratch));
        if std::panic::catch_unwind(done).is_err() {
            tracing::error!("checking a password panicked");
        }
    }
}

/// Lets everything else that this program does come first.
fn step_back() {
    // On Linux the identifier of a thread stands for that thread alone.
    let thread = rustix::thread::gettid();
    if let Err(error) = rustix::process::setpriority_process(Some(thread), NICE) {
        tracing::debug!(%error, "the threads that check passwords keep their priority");
    }
}

#[cfg(test)]
mod tests;
