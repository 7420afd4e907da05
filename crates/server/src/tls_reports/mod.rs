//! Reports on TLS to the domains that mail goes to (RFC 8460): how many sessions with their hosts were secured as their policies want it, and what
//! went wrong in the others.
//!
//! The queue tells of each new session ([`session`]); [`tally`] counts by day, domain and policy. When a day (UTC) is over, [`TlsReports::run`]
//! looks who wants to hear of it, and sends each their report ([`send`]). What was counted survives a restart but for the last minutes: the
//! reports are statistics, and mail does not wait for them.

mod send;
pub(crate) mod session;
mod tally;

pub use send::{ENDPOINTS_MAX, Endpoint, endpoints};
pub(crate) use tally::{Failure, Policy, PolicyType, ResultType};

use crate::queue::Outbound;
use send::Sent;
use smtp::Mailbox;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use store::Timestamp;
use tally::{DAY, Days, day};
use tokio::sync::watch;

/// What was counted, and in whose name it is reported.
pub struct TlsReports {
    terms: Terms,
    /// Where the counts are kept; `None` where that is nowhere.
    data: Option<PathBuf>,
    counted: Mutex<Counted>,
}

/// In whose name reports are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// The name of the organisation.
    pub organization: String,
    /// Whom the readers may ask; reports are from there.
    pub contact: Mailbox,
}

#[derive(Debug, Default)]
struct Counted {
    days: Days,
    /// They differ from what is in the file.
    changed: bool,
}

impl TlsReports {
    /// With what was counted in this data directory before. Reads a file, so it blocks.
    pub fn open(data: Option<&Path>, terms: Terms) -> TlsReports {
        let days = data.map(read).unwrap_or_default();
        let counted = Mutex::new(Counted { days, changed: false });
        TlsReports { terms, data: data.map(Path::to_owned), counted }
    }

    /// Counts a session with a host of this domain (in ASCII).
    pub(crate) fn count(&self, now: Timestamp, domain: &str, policy: Policy, failure: Option<Failure>) {
        let mut counted = self.counted();
        counted.days.count(now, domain, policy, failure);
        counted.changed = true;
    }

    /// Sends what is to be sent, and writes down what was counted, until `stop` is true.
    pub async fn run(self: Arc<TlsReports>, outbound: Arc<Outbound>, mut stop: watch::Receiver<bool>) {
        let work = async {
            let mut written = Timestamp(0);
            // For each day another moment (RFC 8460 §4.1), and the same one for the attempts that follow.
            let mut due: Option<(i64, Timestamp)> = None;
            loop {
                tokio::time::sleep(TICK).await;
                let now = (outbound.clock)();
                let first = {
                    let mut counted = self.counted();
                    counted.days.forget_before(day(now) - DAYS_MAX);
                    counted.days.first_before(now)
                };
                if let Some(first) = first {
                    let (_, at) = due.filter(|(of, _)| *of == first).unwrap_or_else(|| {
                        let jitter = (outbound.random)() % JITTER;
                        (first, Timestamp((first + 1) * DAY + i64::try_from(jitter).unwrap_or(0)))
                    });
                    due = Some((first, at));
                    if now >= at {
                        self.send(&outbound, first).await;
                        due = Some((first, Timestamp((outbound.clock)().0.saturating_add(AGAIN))));
                    }
                }
                if now.0.saturating_sub(written.0) >= WRITTEN {
                    written = now;
                    self.write().await;
                }
            }
        };
        tokio::select! {
            biased;
            // A sender that is gone stops it as well.
            _ = stop.wait_for(|stop| *stop) => {}
            () = work => {}
        }
        self.write().await;
    }

    /// Sends the reports of a day. Those that cannot be sent now are left for the next time.
    async fn send(&self, outbound: &Outbound, day: i64) {
        let domains = self.counted().days.domains(day);
        for domain in domains {
            let tallies = self.counted().days.tallies(day, &domain);
            match send::send(outbound, &self.terms, (day, &domain, &tallies)).await {
                Sent::Yes | Sent::Unwanted => {
                    let mut counted = self.counted();
                    counted.days.forget(day, &domain);
                    counted.changed = true;
                }
                Sent::Later(why) => tracing::info!(domain, %why, "its report on TLS cannot be sent now"),
            }
        }
        self.write().await;
    }

    async fn write(&self) {
        let Some(data) = self.data.clone() else { return };
        let days = {
            let mut counted = self.counted();
            if !std::mem::take(&mut counted.changed) {
                return;
            }
            counted.days.clone()
        };
        match tokio::task::spawn_blocking(move || write(&data, &days)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(%error, "what was counted for reports on TLS cannot be written down");
                self.counted().changed = true;
            }
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().expect("no holder of this lock panics")
    }
}

/// What the file has; nothing when there is none. One that cannot be read is told of and taken for none.
fn read(data: &Path) -> Days {
    let path = data.join(NAME);
    match fs::read(&path).and_then(|bytes| serde_json::from_slice(&bytes).map_err(io::Error::from)) {
        Ok(days) => days,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Days::default(),
        Err(error) => {
            tracing::warn!(file = %path.display(), %error, "what was counted for reports on TLS cannot be read");
            Days::default()
        }
    }
}

/// Replaces the file as a whole. Blocks.
fn write(data: &Path, days: &Days) -> io::Result<()> {
    let new = data.join("tls-reports.json.new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(&serde_json::to_vec(days)?)?;
    file.sync_all()?;
    fs::rename(&new, data.join(NAME))?;
    File::open(data)?.sync_all()
}

/// The file in the data directory.
const NAME: &str = "tls-reports.json";
/// How often it is looked whether there is something to do.
const TICK: Duration = Duration::from_secs(60);
/// How often what was counted is written down, in milliseconds.
const WRITTEN: i64 = 5 * 60 * 1000;
/// Reports are sent within so many milliseconds after midnight (RFC 8460 §4.1 wants them spread).
const JITTER: u64 = 4 * 3600 * 1000;
/// What could not be sent is tried again after so many milliseconds.
const AGAIN: i64 = 3600 * 1000;
/// For so many days it is tried to send the report of one.
const DAYS_MAX: i64 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_counted_outlives_the_program() {
        let data = tempfile::tempdir().expect("a directory");
        let terms =
            Terms { organization: "x".to_owned(), contact: "tls@example.org".parse().expect("an address") };
        let reports = TlsReports::open(Some(data.path()), terms.clone());
        let policy = Policy {
            policy_type: PolicyType::NoPolicyFound,
            policy_string: Vec::new(),
            policy_domain: "a.example".to_owned(),
            mx_host: Vec::new(),
        };
        reports.count(Timestamp(0), "a.example", policy, None);
        reports.write().await;
        let again = TlsReports::open(Some(data.path()), terms.clone());
        assert_eq!(again.counted().days, reports.counted().days);
        assert_eq!(again.counted().days.domains(0), ["a.example"]);
        fs::write(data.path().join(NAME), b"nonsense").expect("written");
        let spoilt = TlsReports::open(Some(data.path()), terms);
        assert_eq!(spoilt.counted().days, Days::default(), "and mail does not wait for it");
    }
}
