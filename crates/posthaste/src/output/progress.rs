//! A line on standard error that says how far a long work is; nothing where that is no terminal.

use crate::units;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// How far a work is.
pub(crate) struct Progress {
    /// All of it, in bytes or in whatever is counted.
    total: u64,
    done: u64,
    unit: Unit,
    began: Instant,
    shown: Option<Instant>,
    is_terminal: bool,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Bytes.
    Bytes,
    /// Messages.
    Messages,
}

/// The line is written again after this time at the earliest.
const PAUSE: Duration = Duration::from_millis(100);
/// The bar, in columns.
const BAR: u64 = 24;

impl Progress {
    /// A work of this size begins.
    pub(crate) fn new(total: u64, unit: Unit) -> Progress {
        let is_terminal = io::stderr().is_terminal();
        Progress { total, done: 0, unit, began: Instant::now(), shown: None, is_terminal }
    }

    /// So much more is done.
    pub(crate) fn advance(&mut self, amount: u64) {
        self.done += amount;
        let now = Instant::now();
        if self.is_terminal && self.shown.is_none_or(|shown| now - shown >= PAUSE) {
            self.shown = Some(now);
            anstream::eprint!("\r{}\x1b[K", line(self.done, self.total, self.unit, now - self.began));
            // What cannot be shown changes nothing of the work.
            io::stderr().flush().unwrap_or_default();
        }
    }

    /// The line goes.
    pub(crate) fn clear(&self) {
        if self.shown.is_some() {
            anstream::eprint!("\r\x1b[K");
        }
    }
}

/// `[######------]  50 %  1.0 MiB/s  12 s left`
fn line(done: u64, total: u64, unit: Unit, took: Duration) -> String {
    let share = |of: u64| done.min(total).saturating_mul(of).checked_div(total).unwrap_or(of);
    let filled = share(BAR) as usize;
    let bar = "#".repeat(filled) + &"-".repeat(BAR as usize - filled);
    let rate = done as f64 / took.as_secs_f64().max(0.001);
    let speed = match unit {
        Unit::Bytes => format!("{}/s", units::size(rate as u64)),
        Unit::Messages => format!("{rate:.0} messages/s"),
    };
    let left = (total.saturating_sub(done)) as f64 / rate.max(0.001);
    let left = match left as u64 {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds => format!("{} min", seconds / 60),
    };
    format!("[{bar}] {:>3} %  {speed}  {left} left", share(100))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_shows_share_rate_and_time_left() {
        assert_eq!(
            line(1 << 20, 4 << 20, Unit::Bytes, Duration::from_secs(2)),
            "[######------------------]  25 %  512 KiB/s  6 s left"
        );
        assert!(line(0, 0, Unit::Messages, Duration::ZERO).contains("100 %  0 messages/s  0 s left"));
        assert!(line(1, 1_000_000, Unit::Messages, Duration::from_secs(1)).ends_with("16666 min left"));
    }
}
