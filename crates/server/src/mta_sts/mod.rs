//! MTA-STS (RFC 8461): a domain says over HTTPS which hosts take its mail, and that they have certificates for their names.
//!
//! [`Policies::apply`] is asked once the hosts of a domain are known, and changes how their connections are secured, or leaves hosts out. What was
//! fetched counts as long as its domain says, across restarts; [`Policies::run`] writes it down and fetches it again before it ends. DANE comes first: a
//! host that DNS has a certificate for is left as it is (§2).

mod cache;
mod fetch;
pub mod policy;

use crate::deliver::dial::Dialer;
use crate::deliver::secure::Level;
use crate::https::Web;
use crate::inbound::Clock;
use crate::resolve::{Dns, Lookup, Private, Target};
use crate::tls::Authorities;
use cache::{Cache, Known};
pub(crate) use fetch::FetchError;
use policy::Mode;
pub(crate) use policy::Policy;
use smtp::{Domain, Reply, Status};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use store::Timestamp;
use tokio::sync::{Notify, watch};

/// The policies of other domains.
pub struct Policies {
    outside: Outside,
    /// Where they are kept; `None` where that is nowhere.
    data: Option<PathBuf>,
    cache: Mutex<Cache>,
    /// What could not be fetched, and until when it is not tried again.
    failed: Mutex<HashMap<String, (Timestamp, FetchError)>>,
    changed: Notify,
}

/// What they need of the outside.
pub struct Outside {
    /// Who knows the hosts.
    pub dns: Arc<dyn Dns>,
    /// Who connects.
    pub dialer: Arc<dyn Dialer>,
    /// Who may vouch for other hosts.
    pub authorities: Authorities,
    /// Which private addresses may be used.
    pub private: Private,
    /// The time.
    pub clock: Clock,
}

impl Policies {
    /// Those that are kept in this data directory. Reads a file, so it blocks.
    pub fn open(data: Option<&Path>, outside: Outside) -> Policies {
        Policies {
            outside,
            data: data.map(Path::to_owned),
            cache: Mutex::new(data.map(Cache::open).unwrap_or_default()),
            failed: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// The targets of a domain as its policy wants them: verified, and only hosts that it names. The error is for every recipient there.
    pub async fn apply(&self, domain: &Domain, mut targets: Vec<Target>) -> Result<Vec<Target>, Reply> {
        let needed = targets.iter().any(|target| !matches!(target.security.level, Level::Dane(_)));
        let Some(policy) = (if needed { self.policy(domain.ascii()).await } else { None }) else {
            return Ok(targets);
        };
        match policy.mode {
            Mode::None => return Ok(targets),
            Mode::Testing => {
                for target in targets.iter().filter(|target| !policy.allows(&target.host)) {
                    tracing::info!(domain = %domain, host = %target.host, "not a host of the domain's MTA-STS policy, which is being tested");
                }
                return Ok(targets);
            }
            Mode::Enforce => {}
        }
        targets.retain_mut(|target| match target.security.level {
            Level::Dane(_) => true,
            _ if policy.allows(&target.host) => {
                target.security.level = Level::Verified;
                true
            }
            _ => {
                tracing::warn!(domain = %domain, host = %target.host, "not a host of the domain's MTA-STS policy: it gets no mail");
                false
            }
        });
        if targets.is_empty() {
            let text =
                format!("None of the mail hosts that DNS names for {domain} is one of its MTA-STS policy");
            return Err(NO_HOST.with_text(text));
        }
        Ok(targets)
    }

    /// The policy of a domain that counts now, as far as it is known already; one that takes others back is none.
    pub(crate) fn current(&self, domain: &Domain, now: Timestamp) -> Option<Policy> {
        let cache = self.cache();
        let known = cache.policy(domain.ascii(), now)?;
        (known.policy.mode != Mode::None).then(|| known.policy.clone())
    }

    /// Why the policy of a domain could not be fetched lately.
    pub(crate) fn failure(&self, domain: &Domain, now: Timestamp) -> Option<FetchError> {
        let failed = self.failed();
        failed.get(domain.ascii()).filter(|(until, _)| *until > now).map(|(_, error)| error.clone())
    }

    /// Writes down what was fetched, and fetches anew what becomes old, until `stop` is true.
    pub async fn run(self: Arc<Policies>, mut stop: watch::Receiver<bool>) {
        let work = async {
            let mut refresh = tokio::time::interval(REFRESH);
            refresh.tick().await;
            loop {
                tokio::select! {
                    () = self.changed.notified() => {
                        // What comes together is written together.
                        tokio::time::sleep(GATHER).await;
                        self.write().await;
                    }
                    _ = refresh.tick() => self.refresh().await,
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

    /// The policy of a domain, fetched if need be (§3.1, §5.1): one that still counts does so whatever becomes of DNS and the web.
    async fn policy(&self, domain: &str) -> Option<Policy> {
        let now = (self.outside.clock)();
        let texts = self.outside.dns.texts(&format!("_mta-sts.{domain}")).await.lookup;
        let known = self.cache().policy(domain, now).cloned();
        let id = match texts {
            Lookup::Found(texts) => policy::identifier(&texts),
            Lookup::NoRecords | Lookup::NoName | Lookup::Failed(_) => None,
        };
        let Some(id) = id else { return known.map(|known| known.policy) };
        if known.as_ref().is_some_and(|known| known.id == id && !known.is_old(now)) {
            return known.map(|known| known.policy);
        }
        match self.fetch(domain, id, now).await {
            Some(policy) => Some(policy),
            None => known.map(|known| known.policy),
        }
    }

    async fn fetch(&self, domain: &str, id: String, now: Timestamp) -> Option<Policy> {
        if self.failed().get(domain).is_some_and(|(until, _)| *until > now) {
            return None;
        }
        let Outside { dns, dialer, authorities, private, .. } = &self.outside;
        match fetch::policy(&Web { dns: &**dns, dialer, authorities, private }, domain).await {
            Ok(policy) => {
                let known = Known { id, fetched: now, policy: policy.clone() };
                self.cache().put(domain, known, now);
                self.changed.notify_one();
                Some(policy)
            }
            Err(why) => {
                tracing::info!(domain, %why, "its MTA-STS policy cannot be fetched");
                let mut failed = self.failed();
                if failed.len() >= FAILED_MAX {
                    failed.clear();
                }
                failed.insert(domain.to_owned(), (Timestamp(now.0.saturating_add(FAILED_FOR)), why));
                None
            }
        }
    }

    async fn refresh(&self) {
        let now = (self.outside.clock)();
        let old = self.cache().old(now);
        for (domain, id) in old {
            let texts = self.outside.dns.texts(&format!("_mta-sts.{domain}")).await.lookup;
            let newest = match texts {
                Lookup::Found(texts) => policy::identifier(&texts),
                Lookup::NoRecords | Lookup::NoName | Lookup::Failed(_) => None,
            };
            self.fetch(&domain, newest.unwrap_or(id), (self.outside.clock)()).await;
        }
    }

    async fn write(&self) {
        let Some(data) = self.data.clone() else { return };
        let snapshot = {
            let mut cache = self.cache();
            if !std::mem::take(&mut cache.changed) {
                return;
            }
            cache.clone()
        };
        let written = tokio::task::spawn_blocking(move || snapshot.write(&data)).await;
        match written {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(%error, "the MTA-STS policies of other domains cannot be written down");
                self.cache().changed = true;
            }
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().expect("no holder of this lock panics")
    }

    fn failed(&self) -> MutexGuard<'_, HashMap<String, (Timestamp, FetchError)>> {
        self.failed.lock().expect("no holder of this lock panics")
    }
}

/// X.7.0 other security status: what the domain asks for cannot be met now.
const NO_HOST: Reply = Reply::new(451, Some(Status { subject: 7, detail: 0 }), "");

/// How long a policy that could not be fetched is not asked for again, in milliseconds (§3.3).
const FAILED_FOR: i64 = 5 * 60 * 1000;
/// The most failures that are remembered.
const FAILED_MAX: usize = 4096;
/// How long changes are gathered before they are written down.
const GATHER: Duration = Duration::from_secs(5);
/// How often it is looked for policies that become old.
const REFRESH: Duration = Duration::from_secs(6 * 3600);
