//! Connections that have nothing to do at the moment, kept for the next mail that may go over them.
//!
//! A connection is used again for the same site alone, at the same address, for the same host name, with the same demands on its security, the same
//! credentials, from the same address of ours and under the same name. How much a connection is used in all is
//! [`super::relay`]'s affair ([`Wear`]); here it is bounded how many are idle, and for how long. A server may close an idle connection
//! at any moment, so one that has been heard from is thrown away, and whoever gets one must be ready to find it dead.

use super::relay::{Session, Wear};
use crate::resolve::Target;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use store::Tls;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// A connection that is kept.
pub struct Kept {
    /// The site that it belongs to.
    pub site: Arc<str>,
    /// Where it leads, and what was asked of its security.
    pub target: Target,
    /// What is to be said of its TLS.
    pub tls: Option<Tls>,
    /// The connection.
    pub session: Session,
}

/// How many connections may be idle, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Idle {
    /// So many in all; none is kept when 0.
    pub most: usize,
    /// Each for so long; none is kept when zero.
    pub time: Duration,
}

impl Default for Idle {
    fn default() -> Idle {
        Idle { most: 100, time: Duration::from_secs(5) }
    }
}

/// The idle connections.
pub struct Pool {
    idle: Idle,
    /// Those that were used first come first.
    kept: Mutex<VecDeque<(Instant, Kept)>>,
    /// Those that are saying goodbye.
    closing: Mutex<JoinSet<()>>,
    /// Tells that a connection was put into an empty pool.
    first: Notify,
}

impl Pool {
    /// An empty one.
    pub fn new(idle: Idle) -> Pool {
        Pool { idle, kept: Mutex::default(), closing: Mutex::default(), first: Notify::new() }
    }

    /// Whether any connection is kept at all.
    pub fn keeps(&self) -> bool {
        self.idle.most > 0 && !self.idle.time.is_zero()
    }

    /// Keeps a connection, unless it is worn. Must be called within a runtime.
    pub fn keep(&self, kept: Kept, wear: Wear) {
        if !self.keeps() || kept.session.is_spent(wear) {
            return self.close(kept);
        }
        let oldest = {
            let mut all = self.kept();
            if all.is_empty() {
                self.first.notify_one();
            }
            all.push_back((Instant::now(), kept));
            if all.len() > self.idle.most { all.pop_front() } else { None }
        };
        if let Some((_, oldest)) = oldest {
            self.close(oldest);
        }
    }

    /// A connection of this site to one of these targets, to the first of them that has any; `fits` says what else must be true of it.
    pub fn take(
        &self,
        site: &str,
        targets: &[Target],
        wear: Wear,
        fits: impl Fn(&Target, &Session) -> bool,
    ) -> Option<Kept> {
        for target in targets {
            while let Some(mut kept) = self.one(site, target) {
                if !kept.session.is_alive() {
                    tracing::debug!(host = %target.host, address = %target.address, "an idle connection was closed by the host");
                } else if kept.session.is_spent(wear) || !fits(target, &kept.session) {
                    self.close(kept);
                } else {
                    return Some(kept);
                }
            }
        }
        None
    }

    /// Closes connections of a site until no more than these are idle, the oldest first.
    pub fn leave(&self, site: &str, most: usize) {
        let mut surplus = Vec::new();
        {
            let mut all = self.kept();
            let mut over = all.iter().filter(|(_, kept)| *kept.site == *site).count().saturating_sub(most);
            while over > 0
                && let Some(place) = all.iter().position(|(_, kept)| *kept.site == *site)
            {
                surplus.extend(all.remove(place));
                over -= 1;
            }
        }
        surplus.into_iter().for_each(|(_, kept)| self.close(kept));
    }

    /// How many connections of a site are idle.
    pub fn of_site(&self, site: &str) -> usize {
        self.kept().iter().filter(|(_, kept)| *kept.site == *site).count()
    }

    /// Closes what has been idle for too long, now and later; ends never.
    pub async fn expire(&self) {
        loop {
            let oldest = self.kept().front().map(|(since, _)| *since + self.idle.time);
            match oldest {
                Some(next) => tokio::time::sleep_until(next).await,
                None => self.first.notified().await,
            }
            let expired: Vec<Kept> = {
                let mut all = self.kept();
                let count = all.iter().take_while(|(since, _)| since.elapsed() >= self.idle.time).count();
                all.drain(..count).map(|(_, kept)| kept).collect()
            };
            expired.into_iter().for_each(|kept| self.close(kept));
        }
    }

    /// Closes all of them, and waits until that is done.
    pub async fn close_all(&self) {
        let all = std::mem::take(&mut *self.kept());
        all.into_iter().for_each(|(_, kept)| self.close(kept));
        let mut closing = std::mem::take(&mut *self.closing.lock().expect(UNPOISONED));
        while let Some(ended) = closing.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "closing a connection ended by a fault of ours");
            }
        }
    }

    /// The connection used last that leads there.
    fn one(&self, site: &str, target: &Target) -> Option<Kept> {
        let mut all = self.kept();
        let place = all.iter().rposition(|(_, kept)| {
            *kept.site == *site
                && kept.target.host == target.host
                && kept.target.address == target.address
                && kept.target.security == target.security
                && kept.target.hop == target.hop
                && kept.target.origin == target.origin
        })?;
        all.remove(place).map(|(_, kept)| kept)
    }

    /// Says goodbye in the background; where too many do so, a connection is cut off.
    fn close(&self, kept: Kept) {
        let mut closing = self.closing.lock().expect(UNPOISONED);
        while closing.try_join_next().is_some() {}
        if closing.len() < CLOSING_MAX {
            closing.spawn(kept.session.close());
        }
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<(Instant, Kept)>> {
        self.kept.lock().expect(UNPOISONED)
    }
}

const UNPOISONED: &str = "no holder of this lock panics";
/// How many connections may wait for the answer to QUIT.
const CLOSING_MAX: usize = 200;
