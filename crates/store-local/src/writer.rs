//! The writer's way to run: on a thread of its own, or on whoever asks.
//!
//! The thread takes all that waits, commits it, hands it to the indexer, and begins again: no timer, no added delay. While it
//! syncs, the next batch gathers by itself.

use crate::commit::{Committer, Durable};
use crate::indexer::Indexer;
use crate::job::Job;
use crate::status::Status;
use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use store::{Error, Result};

/// Where jobs go.
#[derive(Debug)]
pub(crate) struct Writer {
    status: Arc<Status>,
    /// `None` once the store is closed.
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
enum Running {
    Threads { jobs: Sender<Job>, writer: JoinHandle<()>, indexer: JoinHandle<()> },
    Caller { committer: Box<Committer>, indexer: Indexer },
}

impl Writer {
    /// Starts the threads.
    pub(crate) fn threads(committer: Committer, indexer: Indexer, status: Arc<Status>) -> io::Result<Writer> {
        let (jobs, waiting) = mpsc::channel();
        // Bounded: when the index falls behind, the writer waits, and with it everybody who would make it worse.
        let (deliver, delivered) = mpsc::sync_channel(INDEX_LAG_MAX);
        let view = indexer.view().clone();
        let index = std::thread::Builder::new().name("store-index".to_owned());
        let indexer = index.spawn(move || indexer.run(delivered))?;
        let write = std::thread::Builder::new().name("store-log".to_owned());
        let stopped = status.clone();
        let writer = write.spawn(move || {
            let _guard = OnPanic(|| {
                let panicked = Error::Fenced("the writer panicked".to_owned());
                stopped.fence(&panicked);
                // A batch that is durable and never came to the index: nobody must wait for it.
                view.stop(&panicked);
            });
            run(committer, &waiting, &mut |batch: Durable| {
                if deliver.send(batch).is_err() {
                    stopped.fence(&Error::Fenced("the index has stopped".to_owned()));
                }
            });
        })?;
        Ok(Writer { status, running: Mutex::new(Some(Running::Threads { jobs, writer, indexer })) })
    }

    /// Does everything on the thread of whoever asks, one job at a time.
    pub(crate) fn caller(committer: Committer, indexer: Indexer, status: Arc<Status>) -> Writer {
        let running = Running::Caller { committer: Box::new(committer), indexer };
        Writer { status, running: Mutex::new(Some(running)) }
    }

    /// Hands in a job; its answer comes by its own channel.
    pub(crate) fn submit(&self, job: Job) {
        if let Err(error) = self.status.check_change() {
            return job.fail(error);
        }
        let mut running = self.running.lock().expect("no holder of the writer's lock panics");
        match &mut *running {
            None => job.fail(Error::Closed),
            Some(Running::Threads { jobs, .. }) => {
                if let Err(mpsc::SendError(job)) = jobs.send(job) {
                    job.fail(Error::Fenced("the writer has stopped".to_owned()));
                }
            }
            Some(Running::Caller { committer, indexer }) => {
                let mut batches = Vec::new();
                committer.commit([job], &mut |batch| batches.push(batch));
                indexer.apply(batches);
            }
        }
    }

    /// Finishes what was handed in, brings the index up to date, and stops.
    pub(crate) fn close(&self) -> Result<()> {
        let running = self.running.lock().expect("no holder of the writer's lock panics").take();
        match running {
            None => Ok(()),
            Some(Running::Caller { indexer, .. }) => indexer.close(),
            Some(Running::Threads { jobs, writer, indexer }) => {
                drop(jobs);
                let (writer, indexer) = (writer.join(), indexer.join());
                writer.and(indexer).map_err(|_| Error::Fenced("a thread of the store panicked".to_owned()))
            }
        }
    }
}

/// Runs what it holds when its thread panics: so that nobody waits for a thread that is gone.
pub(crate) struct OnPanic<F: Fn()>(pub(crate) F);

impl<F: Fn()> Drop for OnPanic<F> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            (self.0)();
        }
    }
}

/// Commits whatever comes until nobody can send any more.
fn run(mut committer: Committer, waiting: &Receiver<Job>, deliver: &mut dyn FnMut(Durable)) {
    while let Ok(first) = waiting.recv() {
        let mut space = first.space_max();
        let mut jobs = VecDeque::from([first]);
        while space < BATCH_MAX {
            let Ok(job) = waiting.try_recv() else { break };
            space += job.space_max();
            jobs.push_back(job);
        }
        committer.commit(jobs, deliver);
    }
}

/// How much is written before a sync, give or take one message: more would only make everybody wait longer.
const BATCH_MAX: u64 = 8 << 20;

/// How many batches the index may be behind the log.
const INDEX_LAG_MAX: usize = 64;
