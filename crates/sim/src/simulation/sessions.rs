//! The server's side of all connections as one task, so that chance has no part in who runs first.
//!
//! When the server stops, tokio's `watch` wakes those who wait for it in an order that it draws anew in each process. Here those that
//! are woken at the same time run in the order in which they began.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
use tokio::task::{JoinError, JoinHandle};

/// Sessions that run. A clone is another handle to the same ones.
#[derive(Clone)]
pub(super) struct Sessions(Arc<Mutex<State>>);

type Session = Pin<Box<dyn Future<Output = ()> + Send>>;

#[derive(Default)]
struct State {
    /// Begun, and not run yet.
    new: Vec<Session>,
    /// No more will begin.
    closing: bool,
    runner: Option<Waker>,
    running: Option<JoinHandle<()>>,
}

/// The task that runs them.
struct Runner {
    state: Arc<Mutex<State>>,
    sessions: Vec<(Session, Arc<Woken>)>,
}

/// Whether a session has something to do.
struct Woken {
    woken: AtomicBool,
    state: Arc<Mutex<State>>,
}

impl Sessions {
    /// None yet. Needs a runtime.
    pub(super) fn start() -> Sessions {
        let state = Arc::new(Mutex::new(State::default()));
        let running = tokio::spawn(Runner { state: state.clone(), sessions: Vec::new() });
        lock(&state).running = Some(running);
        Sessions(state)
    }

    /// One more.
    pub(super) fn spawn(&self, session: impl Future<Output = ()> + Send + 'static) {
        lock(&self.0).new.push(Box::pin(session));
        wake(&self.0);
    }

    /// Lets them end by themselves, for so long; whether they did. The error is that of one that panicked.
    pub(super) async fn finish(&self, within: Duration) -> Result<bool, JoinError> {
        lock(&self.0).closing = true;
        wake(&self.0);
        let Some(mut running) = lock(&self.0).running.take() else { return Ok(true) };
        match tokio::time::timeout(within, &mut running).await {
            Ok(ended) => ended.map(|()| true),
            Err(_) => {
                running.abort();
                ended(running.await).map(|()| false)
            }
        }
    }

    /// Drops them all, now.
    pub(super) async fn abort(&self) -> Result<(), JoinError> {
        let running = lock(&self.0).running.take();
        let Some(running) = running else { return Ok(()) };
        running.abort();
        ended(running.await)
    }
}

impl Future for Runner {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut state = lock(&this.state);
        state.runner = Some(context.waker().clone());
        for session in state.new.drain(..) {
            let woken = Woken { woken: AtomicBool::new(true), state: this.state.clone() };
            this.sessions.push((session, Arc::new(woken)));
        }
        let closing = state.closing;
        drop(state);
        this.sessions.retain_mut(|(session, woken)| {
            let waker = Waker::from(woken.clone());
            !woken.woken.swap(false, Ordering::Relaxed)
                || session.as_mut().poll(&mut Context::from_waker(&waker)).is_pending()
        });
        if closing && this.sessions.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::Relaxed);
        wake(&self.state);
    }
}

fn wake(state: &Mutex<State>) {
    let runner = lock(state).runner.clone();
    if let Some(runner) = runner {
        runner.wake();
    }
}

/// An abort is no failure.
fn ended(ended: Result<(), JoinError>) -> Result<(), JoinError> {
    ended.or_else(|error| if error.is_cancelled() { Ok(()) } else { Err(error) })
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
