//! Writes log lines without making anybody wait for whoever reads them.
//!
//! Sessions put their lines into a bounded buffer, and a thread writes what is there in one piece. When the reader is so slow that the
//! buffer is full, lines are dropped and counted, and the log says how many as soon as there is room again. Before [`Lines::in_background`]
//! and after the [`Writing`] that it returns was dropped, lines are written at once by whoever logs: a thread must not begin before the
//! process has confined itself, and nothing may be lost at the end.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tracing_subscriber::fmt::MakeWriter;

/// What may wait to be written, in bytes: some ten thousand lines.
const CAPACITY: usize = 2 << 20;
/// How long the end of the program waits for a reader that takes nothing at all.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where lines are put; a handle.
#[derive(Clone)]
pub(crate) struct Lines(Arc<Shared>);

/// Where they go in the end.
type Out = Box<dyn Write + Send>;

/// The thread that writes. Dropped, it writes what is left, and gives up when the reader has taken nothing for five seconds.
#[must_use = "lines are lost when it is dropped before the last one"]
pub(crate) struct Writing {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Out>>,
    patience: Duration,
}

struct Shared {
    state: Mutex<State>,
    /// Tells the thread of lines, and of the end.
    filled: Condvar,
    /// Tells who waits for the end that something was written.
    progress: Condvar,
}

#[derive(Default)]
struct State {
    /// What whoever logs writes to; `None` while the thread has it.
    out: Option<Out>,
    waiting: Vec<u8>,
    /// Lines that found no room since the log said so last.
    dropped: u64,
    /// How many times something was written.
    written: u64,
    end: End,
}

/// How far the end of the program has come.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum End {
    /// It goes on.
    #[default]
    No,
    /// No more lines are to come.
    Asked,
    /// All is written.
    Done,
}

impl Lines {
    /// Lines go to `out`.
    pub(super) fn to(out: impl Write + Send + 'static) -> Lines {
        let state = State { out: Some(Box::new(out)), ..State::default() };
        let (filled, progress) = (Condvar::new(), Condvar::new());
        Lines(Arc::new(Shared { state: Mutex::new(state), filled, progress }))
    }

    /// From now on a thread writes. `report` says in the log that so many lines were dropped.
    pub(super) fn in_background(&self, report: impl Fn(u64) + Send + 'static) -> io::Result<Writing> {
        self.with_patience(report, PATIENCE)
    }

    fn with_patience(
        &self,
        report: impl Fn(u64) + Send + 'static,
        patience: Duration,
    ) -> io::Result<Writing> {
        // From here on nobody writes by themselves. A second thread would have nothing to write to.
        let out = self.0.state().out.take().unwrap_or_else(|| Box::new(io::sink()));
        let shared = Arc::clone(&self.0);
        let thread =
            thread::Builder::new().name("log".to_owned()).spawn(move || shared.write(out, report))?;
        Ok(Writing { shared: Arc::clone(&self.0), thread: Some(thread), patience })
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread: takes all that waits at once, writes it, and says what was dropped meanwhile.
    fn write(&self, mut out: Out, report: impl Fn(u64)) -> Out {
        let mut lines = Vec::new();
        loop {
            let mut state = self.state();
            while state.waiting.is_empty() && state.dropped == 0 && state.end == End::No {
                state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if state.waiting.is_empty() && state.dropped == 0 {
                state.end = End::Done;
                self.progress.notify_all();
                return out;
            }
            // The two buffers change places: none is made anew.
            std::mem::swap(&mut lines, &mut state.waiting);
            let dropped = std::mem::take(&mut state.dropped);
            drop(state);
            // When nobody reads any more, nobody can be told: the server goes on.
            let _nobody_reads = out.write_all(&lines).and_then(|()| out.flush()).is_err();
            lines.clear();
            if dropped > 0 {
                report(dropped);
            }
            self.state().written += 1;
            self.progress.notify_all();
        }
    }
}

impl Write for Lines {
    /// Takes a whole line or drops it.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut state = self.0.state();
        let fits = state.waiting.len() + line.len() <= CAPACITY;
        match &mut state.out {
            Some(out) => out.write_all(line)?,
            None if fits => state.waiting.extend_from_slice(line),
            None => state.dropped += 1,
        }
        drop(state);
        self.0.filled.notify_one();
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Lines;

    fn make_writer(&'a self) -> Lines {
        self.clone()
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.end = End::Asked;
        self.shared.filled.notify_one();
        let (mut seen, mut since) = (state.written, Instant::now());
        while state.end != End::Done {
            let left = self.patience.saturating_sub(since.elapsed());
            if left.is_zero() {
                // The thread hangs in a write that nobody reads, and ends with the process.
                return;
            }
            let waited = self.shared.progress.wait_timeout(state, left);
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
            if state.written != seen {
                (seen, since) = (state.written, Instant::now());
            }
        }
        drop(state);
        // What is still to be said is written at once again.
        if let Some(Ok(mut out)) = self.thread.take().map(JoinHandle::join) {
            let mut state = self.shared.state();
            // Others may have had something to say since the thread ended.
            let lines = std::mem::take(&mut state.waiting);
            let _nobody_reads = out.write_all(&lines).and_then(|()| out.flush()).is_err();
            state.out = Some(out);
        }
    }
}

#[cfg(test)]
mod tests;
