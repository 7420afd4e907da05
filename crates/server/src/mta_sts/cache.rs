//! The policies that were fetched, in memory and in one file, so that nobody can take them away by waiting for a restart.

use super::policy::Policy;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use store::Timestamp;

/// Policies by domain (in ASCII).
#[derive(Debug, Clone, Default)]
pub(super) struct Cache {
    policies: HashMap<String, Known>,
    /// It differs from what is in the file.
    pub(super) changed: bool,
}

/// A policy that was fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    /// The identifier that the domain's TXT record had then.
    pub(super) id: String,
    pub(super) fetched: Timestamp,
    pub(super) policy: Policy,
}

impl Known {
    fn ends(&self) -> Timestamp {
        let age = i64::try_from(self.policy.max_age.as_millis()).unwrap_or(i64::MAX);
        Timestamp(self.fetched.0.saturating_add(age))
    }

    /// Less than half of its time is left, or a day has passed: it should be fetched again.
    pub(super) fn is_old(&self, now: Timestamp) -> bool {
        let half = (self.ends().0 - self.fetched.0) / 2;
        now.0 - self.fetched.0 >= half.min(DAY)
    }
}

impl Cache {
    /// What the file has; nothing when there is none. One that cannot be read is told of and taken for none: mail does not wait for it.
    pub(super) fn open(data: &Path) -> Cache {
        let path = data.join(NAME);
        let read = fs::read(&path).and_then(|bytes| serde_json::from_slice(&bytes).map_err(io::Error::from));
        match read {
            Ok(policies) => Cache { policies, changed: false },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Cache::default(),
            Err(error) => {
                tracing::warn!(file = %path.display(), %error, "the MTA-STS policies of other domains cannot be read, and are fetched anew");
                Cache::default()
            }
        }
    }

    /// The policy of a domain, if it still counts.
    pub(super) fn policy(&self, domain: &str, now: Timestamp) -> Option<&Known> {
        self.policies.get(domain).filter(|known| known.ends() > now)
    }

    pub(super) fn put(&mut self, domain: &str, known: Known, now: Timestamp) {
        self.changed = true;
        if self.policies.len() >= POLICIES_MAX && !self.policies.contains_key(domain) {
            self.policies.retain(|_, known| known.ends() > now);
        }
        if self.policies.len() >= POLICIES_MAX {
            let first = self.policies.iter().min_by_key(|(_, known)| known.ends());
            let first = first.map(|(domain, _)| domain.clone());
            first.map(|domain| self.policies.remove(&domain));
        }
        self.policies.insert(domain.to_owned(), known);
    }

    /// The domains whose policies should be fetched again.
    pub(super) fn old(&self, now: Timestamp) -> Vec<(String, String)> {
        let old = self.policies.iter().filter(|(_, known)| known.ends() > now && known.is_old(now));
        old.map(|(domain, known)| (domain.clone(), known.id.clone())).collect()
    }

    /// Replaces the file as a whole. Blocks.
    pub(super) fn write(&self, data: &Path) -> io::Result<()> {
        let new = data.join("mta-sts.json.new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&serde_json::to_vec(&self.policies)?)?;
        file.sync_all()?;
        fs::rename(&new, data.join(NAME))?;
        File::open(data)?.sync_all()
    }
}

/// The file in the data directory.
const NAME: &str = "mta-sts.json";
/// The most policies that are kept; those that end first go first.
const POLICIES_MAX: usize = 4096;
/// In milliseconds.
const DAY: i64 = 24 * 3600 * 1000;

#[cfg(test)]
mod tests {
    use super::super::policy::Mode;
    use super::*;
    use std::time::Duration;

    fn known(fetched: i64, seconds: u64) -> Known {
        let policy = Policy {
            mode: Mode::Enforce,
            hosts: vec!["mx.example".to_owned()],
            max_age: Duration::from_secs(seconds),
        };
        Known { id: "1".to_owned(), fetched: Timestamp(fetched), policy }
    }

    #[test]
    fn policies_outlive_the_program_and_not_their_time() {
        let data = tempfile::tempdir().expect("a directory");
        assert!(Cache::open(data.path()).policies.is_empty());
        let mut cache = Cache::default();
        cache.put("a.example", known(0, 100), Timestamp(0));
        cache.write(data.path()).expect("written");
        let again = Cache::open(data.path());
        assert_eq!(again.policy("a.example", Timestamp(99_999)), Some(&known(0, 100)));
        assert_eq!(again.policy("a.example", Timestamp(100_000)), None);
        fs::write(data.path().join(NAME), b"nonsense").expect("written");
        assert!(Cache::open(data.path()).policies.is_empty());
    }

    #[test]
    fn they_are_fetched_again_in_time() {
        assert!(!known(0, 100).is_old(Timestamp(49_999)) && known(0, 100).is_old(Timestamp(50_000)));
        let year = known(0, 31_557_600);
        assert!(!year.is_old(Timestamp(DAY - 1)) && year.is_old(Timestamp(DAY)));
    }

    #[test]
    fn memory_is_bounded_and_keeps_what_counts_longest() {
        let mut cache = Cache::default();
        for number in 0..POLICIES_MAX as u64 + 10 {
            cache.put(&format!("{number}.example"), known(0, 1000 + number), Timestamp(0));
        }
        assert_eq!(cache.policies.len(), POLICIES_MAX);
        assert!(cache.policy("0.example", Timestamp(1)).is_none());
        assert!(cache.policy(&format!("{}.example", POLICIES_MAX + 9), Timestamp(1)).is_some());
    }
}
