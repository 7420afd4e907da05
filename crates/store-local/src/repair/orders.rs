//! What a damaged log says last of queued deliveries and of pauses, against what the old index knows of them.
//!
//! What an operator has ordered and what was tried stay known though the records that said so are lost. Where the log says anything that the
//! index has not seen, the log has the last word.

use super::told::Put;
use crate::body::{QueueChange, Settlement};
use crate::effect::Effect;
use crate::index::{QueueRow, Snapshot};
use std::collections::{BTreeSet, HashSet};
use store::{DeliveryId, PauseScope, Result, SpoolId};

/// Of what the log speaks behind the place up to which the index has seen it.
#[derive(Debug, Default)]
pub(super) struct Orders {
    deliveries: HashSet<DeliveryId>,
    pauses: BTreeSet<PauseScope>,
}

impl Orders {
    /// The index has not seen this.
    pub(super) fn unseen(&mut self, effect: &Effect) {
        match effect {
            Effect::Settled(Settlement::Deferred { spool, recipient, .. }) => {
                self.deliveries.insert(DeliveryId { spool: SpoolId(*spool), recipient: *recipient });
            }
            Effect::Queue(QueueChange::Paused(pause), _) => drop(self.pauses.insert(pause.scope.clone())),
            Effect::Queue(QueueChange::Resumed(scope), _) => drop(self.pauses.insert(scope.clone())),
            Effect::Queue(change, _) => self.deliveries.extend(change.adjusted()),
            _ => {}
        }
    }

    /// Makes what is alive in the log what the index knows.
    pub(super) fn reconcile(&self, (index, alive): (&Snapshot, &Snapshot), put: Put<'_>) -> Result<()> {
        let mut queued = Vec::new();
        alive.all_queued(|id, row| queued.push((id, row)))?;
        for (id, row) in queued {
            if !self.deliveries.contains(&id)
                && let Some(known) = index.queued(id)?
            {
                between(id, &row, &known).into_iter().try_for_each(&mut *put)?;
            }
        }
        let (known, there) = (index.pauses()?, alive.pauses()?);
        let is_open = |scope: &PauseScope| !self.pauses.contains(scope);
        for pause in known.iter().filter(|pause| is_open(&pause.scope) && !there.contains(pause)) {
            put(order(QueueChange::Paused(pause.clone())))?;
        }
        for pause in there {
            if is_open(&pause.scope) && !known.iter().any(|known| known.scope == pause.scope) {
                put(order(QueueChange::Resumed(pause.scope)))?;
            }
        }
        Ok(())
    }
}

/// What makes a queued delivery what the index knows of it. Attempts whose records are lost come behind those that are told.
fn between(id: DeliveryId, from: &QueueRow, to: &QueueRow) -> Vec<Effect> {
    let (spool, recipient) = (id.spool.0, id.recipient);
    let mut effects = Vec::new();
    let mut due = from.due;
    for attempt in to.history.iter().filter(|attempt| !from.history.contains(attempt)) {
        due = to.due;
        let (attempts, attempt) = (to.attempts, Box::new(attempt.clone()));
        effects.push(Effect::Settled(Settlement::Deferred { spool, recipient, due, attempts, attempt }));
    }
    if due != to.due {
        effects.push(order(QueueChange::Due { spool, recipient, due: to.due }));
    }
    if from.held != to.held {
        effects.push(order(match &to.held {
            Some(hold) => QueueChange::Held { spool, recipient, hold: hold.clone() },
            None => QueueChange::Released { spool, recipient },
        }));
    }
    if from.queue != to.queue {
        effects.push(order(QueueChange::Rerouted { spool, recipient, queue: to.queue.clone() }));
    }
    effects
}

/// Where its record will be does not matter to whoever writes it.
fn order(change: QueueChange) -> Effect {
    Effect::Queue(change, crate::effect::Locator { segment: 0, offset: 0, length: 0 })
}
