//! Applying what happens to queued deliveries.

use super::Work;
use crate::body::{self, Fate, QueueChange, Settlement};
use crate::effect::Locator;
use crate::error::index_error;
use crate::index::rows::{FateRow, OrderRow};
use crate::record;
use store::{Pause, PauseScope, Result};

impl Work<'_> {
    pub(super) fn settlement(&mut self, settlement: &Settlement) -> Result<()> {
        match settlement {
            Settlement::Done { spool, recipient } => self.done(*spool, *recipient)?,
            Settlement::Deferred { spool, recipient, due, attempts, attempt } => {
                if let Some(row) = self.queue.row((*spool, u64::from(*recipient)))? {
                    (row.due, row.attempts) = (*due, *attempts);
                    store::remember(&mut row.history, store::Attempt::clone(attempt));
                }
            }
        }
        Ok(())
    }

    pub(super) fn queue_change(&mut self, change: &QueueChange, record: Locator) -> Result<()> {
        match change {
            QueueChange::Ended { number, forgotten, fate } => {
                self.done(fate.spool, fate.number)?;
                self.remember(*number, fate, record)?;
                return self.forget(*forgotten);
            }
            QueueChange::Paused(pause) => return self.pause(pause),
            QueueChange::Resumed(scope) => {
                self.pauses.remove(pause_key(scope).as_str()).map_err(index_error)?;
                return Ok(());
            }
            QueueChange::Held { .. }
            | QueueChange::Released { .. }
            | QueueChange::Due { .. }
            | QueueChange::Rerouted { .. } => {}
        }
        let id = change.adjusted().expect("the others were dealt with above");
        let Some(row) = self.queue.row((id.spool.0, u64::from(id.recipient)))? else { return Ok(()) };
        match change {
            QueueChange::Held { hold, .. } => row.held = Some(hold.clone()),
            QueueChange::Released { .. } => row.held = None,
            QueueChange::Due { due, .. } => row.due = *due,
            QueueChange::Rerouted { queue, .. } => row.queue.clone_from(queue),
            QueueChange::Ended { .. } | QueueChange::Paused(_) | QueueChange::Resumed(_) => {}
        }
        Ok(())
    }

    fn done(&mut self, spool: u64, recipient: u32) -> Result<()> {
        if self.queue.take((spool, u64::from(recipient)))?.is_some() {
            self.release(spool)?;
        }
        Ok(())
    }

    fn remember(&mut self, number: u64, fate: &Fate, record: Locator) -> Result<()> {
        let key = (fate.spool, u64::from(fate.number));
        // Two that crossed each other on their way to the log: the later one is told.
        if let Some(earlier) = self.fates.take(key)?
            && let Some(order) = self.fate_order.take((earlier.number, 0))?
        {
            self.dead(order.record)?;
        }
        let order = OrderRow { spool: fate.spool, recipient: fate.number, ended: fate.ended, record };
        self.fate_order.put((number, 0), order);
        self.fates.put(key, FateRow { number, fate: fate.clone() });
        Ok(())
    }

    /// Forgets the fates up to this number.
    fn forget(&mut self, number: u64) -> Result<()> {
        if number < self.remembered_from {
            return Ok(());
        }
        let rows = self.fate_order.take_range((self.remembered_from, 0)..=(number, u64::MAX))?;
        self.remembered_from = number + 1;
        for OrderRow { spool, recipient, record, .. } in rows {
            self.fates.remove((spool, u64::from(recipient)));
            self.dead(record)?;
        }
        Ok(())
    }

    /// A record is needed no longer.
    fn dead(&mut self, record: Locator) -> Result<()> {
        self.segment(record.segment, |row| row.dead += record::space(record.length))
    }

    fn pause(&mut self, pause: &Pause) -> Result<()> {
        let key = pause_key(&pause.scope);
        self.pauses.insert(key.as_str(), body::encode(pause).as_slice()).map_err(index_error)?;
        Ok(())
    }
}

/// The key of a pause's row.
pub(crate) fn pause_key(scope: &PauseScope) -> String {
    match scope {
        PauseScope::Destination(name) => format!("destination {name}"),
        PauseScope::Host(name) => format!("host {name}"),
    }
}
