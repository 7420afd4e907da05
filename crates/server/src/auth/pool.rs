//! Threads that check passwords: few, at a low priority, and with a short queue before them.
//!
//! One check takes tens of milliseconds of a core and 19 MiB on purpose. Here is the bound on what anybody can make the server
//! spend on it, however many try at once: what does not fit into the queue is put off, and mail goes on meanwhile.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use tokio::sync::oneshot;

/// A fixed number of threads and what waits for them. Dropped, it ends them after what is queued.
#[derive(Debug)]
pub struct Pool {
    jobs: SyncSender<Job>,
}

type Job = Box<dyn FnOnce() + Send>;

/// The queue is full: to be tried again later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords wait to be checked")]
pub struct Busy;

/// How many jobs wait for each thread at most: about a second's worth of Argon2.
pub const QUEUE: usize = 32;

/// The niceness of the threads: beside a busy thread at 0 one gets about a quarter of a core, so that logins go on as well.
const NICE: i32 = 5;

impl Pool {
    /// So many threads, and `queue` places before them.
    pub fn new(threads: usize, queue: usize) -> std::io::Result<Pool> {
        let (jobs, waiting) = sync_channel(queue);
        let waiting = Arc::new(Mutex::new(waiting));
        for number in 0..threads.max(1) {
            let waiting = Arc::clone(&waiting);
            thread::Builder::new().name(format!("password-{number}")).spawn(move || work(&waiting))?;
        }
        Ok(Pool { jobs })
    }

    /// As many threads as leave a core to the mail, four at most: each takes 19 MiB while it works.
    pub fn for_this_machine() -> std::io::Result<Pool> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let threads = (cores - 1).clamp(1, 4);
        Pool::new(threads, QUEUE * threads)
    }

    /// Has `job` done and returns what it returned. Nothing is done for a caller that no longer waits when its turn comes.
    pub async fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T, Busy> {
        let (answer, answered) = oneshot::channel();
        let job = move || {
            if !answer.is_closed() {
                // Whoever waited may be gone by the end of it.
                answer.send(job()).unwrap_or(());
            }
        };
        match self.jobs.try_send(Box::new(job)) {
            // A job that panicked answers nobody.
            Ok(()) => answered.await.map_err(|_| Busy),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Err(Busy),
        }
    }
}

fn work(waiting: &Mutex<Receiver<Job>>) {
    step_back();
    loop {
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else { return };
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(job)).is_err() {
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
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    #[tokio::test]
    async fn what_does_not_fit_is_put_off_and_what_fits_is_done() {
        let pool = Arc::new(Pool::new(1, 2).expect("a thread"));
        let (release, held) = mpsc::channel::<()>();
        let (started, starts) = mpsc::channel();
        let busy = {
            let pool = Arc::clone(&pool);
            tokio::spawn(async move {
                pool.run(move || {
                    started.send(()).expect("the test waits");
                    held.recv().expect("the test lets go");
                    1
                })
                .await
            })
        };
        tokio::task::spawn_blocking(move || starts.recv()).await.expect("no panic").expect("it started");
        let mut waiting: Vec<_> = (0..2).map(|number| Box::pin(pool.run(move || number))).collect();
        for job in &mut waiting {
            assert!(futures_poll(job).is_none(), "there is a place in the queue");
        }
        assert_eq!(pool.run(|| 0).await, Err(Busy));
        release.send(()).expect("the thread waits");
        assert_eq!(busy.await.expect("no panic"), Ok(1));
        for (number, job) in waiting.into_iter().enumerate() {
            assert_eq!(job.await, Ok(number));
        }
    }

    #[tokio::test]
    async fn nothing_is_done_for_those_who_left_and_a_panic_ends_nothing() {
        let pool = Pool::new(1, 8).expect("a thread");
        let done = Arc::new(AtomicUsize::new(0));
        let (release, held) = mpsc::channel::<()>();
        let mut first = Box::pin(pool.run(move || held.recv().is_ok()));
        assert!(futures_poll(&mut first).is_none());
        let count = Arc::clone(&done);
        let mut left = Box::pin(pool.run(move || count.fetch_add(1, Ordering::SeqCst)));
        assert!(futures_poll(&mut left).is_none());
        drop(left);
        release.send(()).expect("the thread waits");
        assert_eq!(first.await, Ok(true));
        assert_eq!(pool.run(|| -> u8 { panic!("as a test") }).await, Err(Busy));
        assert_eq!(pool.run(|| 7).await, Ok(7));
        assert_eq!(done.load(Ordering::SeqCst), 0);
    }

    /// Polls once: what it returned, if it is ready.
    fn futures_poll<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match std::pin::Pin::new(future).poll(&mut context) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        }
    }
}
