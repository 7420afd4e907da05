//! A history as one number: everything that a simulation sees is mixed in, so that two runs of a seed can be compared byte for byte.

use std::sync::{Arc, Mutex, PoisonError};

/// Collects what happens. A clone is another handle to the same one.
#[derive(Debug, Clone)]
pub struct History(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    hash: u64,
    events: u64,
    trace: Trace,
}

/// Whether a history is printed as it happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trace {
    /// It is.
    Print,
    /// Only its number is kept.
    Hash,
}

impl History {
    /// An empty one.
    pub fn new(trace: Trace) -> History {
        History(Arc::new(Mutex::new(State { hash: FNV_OFFSET, events: 0, trace })))
    }

    /// Something happened, at this time in milliseconds.
    pub fn event(&self, time: u64, what: &str, bytes: &[u8]) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.events += 1;
        let parts = [&time.to_le_bytes(), what.as_bytes(), &(bytes.len() as u64).to_le_bytes(), bytes];
        state.hash = parts
            .iter()
            .flat_map(|part| part.iter())
            .fold(state.hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME));
        if state.trace == Trace::Print {
            let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(80)]);
            eprintln!("{time:>8} {what} {} {shown:?}", bytes.len());
        }
    }

    /// The number, and how many events it stands for.
    pub fn hash(&self) -> (u64, u64) {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (state.hash, state.events)
    }
}

// FNV-1a: the same on every machine and with every version of Rust.
const FNV_OFFSET: u64 = 0xCBF2_9CE4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01B3;
