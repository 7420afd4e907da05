//! What an operator orders while the queue runs: hosts that are not to be connected with, and deliveries whose senders are to be told.

use super::Outbound;
use crate::dsn::{self, Desk, Host, Kind, Notice};
use smtp::{Reply, Status};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use store::{Attempt, Delivery, DeliveryId, Error, PauseScope};

/// The hosts that are paused.
#[derive(Debug, Default)]
pub struct PausedHosts {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    scopes: Vec<PauseScope>,
    /// Counts the changes.
    version: u64,
}

impl PausedHosts {
    /// Whether a host is not to be connected with.
    pub(super) fn has(&self, host: &str) -> bool {
        self.inner().scopes.iter().any(|scope| scope.has_host(host))
    }

    /// Changes whenever the answers may.
    pub(super) fn version(&self) -> u64 {
        self.inner().version
    }

    fn set(&self, scopes: Vec<PauseScope>) {
        let mut inner = self.inner();
        if inner.scopes != scopes {
            *inner = Inner { scopes, version: inner.version + 1 };
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no holder of this lock panics")
    }
}

impl Outbound {
    /// Looks at the pauses in force, and at what is due: an operator has ordered something.
    pub async fn reconsider(&self) -> store::Result<()> {
        let hosts = self.store.pauses().await?.into_iter().map(|pause| pause.scope);
        self.paused_hosts.set(hosts.filter(|scope| matches!(scope, PauseScope::Host(_))).collect());
        self.wake.notify_one();
        Ok(())
    }
}

/// Commits the reports that the senders of these deliveries, which an operator removes, are owed, however many those are. Says what is to be remembered of
/// each delivery: whose word ended it, and what its sender heard.
pub(crate) async fn tell_senders(
    outbound: &Outbound,
    deliveries: &[Delivery],
    reason: &str,
) -> store::Result<HashMap<DeliveryId, Attempt>> {
    let mut text = "The administrator of this mail server removed the message from its queue".to_owned();
    if !reason.is_empty() {
        text.push_str(": ");
        text.push_str(reason);
    }
    let reply = REMOVED.with_text(text);
    let desk = Desk { rate: None, ..outbound.desk() };
    let mut words = HashMap::new();
    for of_one in deliveries.chunk_by(|a, b| a.id.spool == b.id.spool) {
        let spool = of_one[0].id.spool;
        let mut envelope = match outbound.store.envelope(spool).await {
            Ok(envelope) => envelope,
            // It was delivered meanwhile.
            Err(Error::NoSuchMessage(_)) => continue,
            Err(error) => return Err(error),
        };
        envelope.recipients = of_one.iter().map(|delivery| delivery.recipient.clone()).collect();
        let now = (outbound.clock)();
        let notice = Notice {
            kind: Kind::Failed,
            id: spool,
            envelope: &envelope,
            received: of_one[0].received,
            recipients: (0..of_one.len()).map(|place| (place, &reply)).collect(),
            host: Host::Public(None),
            retry_until: None,
            now,
        };
        for (place, told) in dsn::send(&desk, notice).await? {
            let attempt =
                Attempt { at: now, reply: reply.to_string(), told: Some(told), ..Attempt::default() };
            words.insert(of_one[place].id, attempt);
        }
    }
    Ok(words)
}

/// X.7.0 other or undefined security status (RFC 3463 §3.8): somebody did not want it to be sent.
const REMOVED: Reply = Reply::new(550, Some(Status { subject: 7, detail: 0 }), "");
