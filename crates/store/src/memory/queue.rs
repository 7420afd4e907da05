//! The queue of the model: whose turn it is, what an operator orders, and what became of deliveries.

use super::{Model, Queued, no_such_delivery};
use crate::{
    Acceptance, Adjustment, Backlog, Delivery, DeliveryId, End, Error, Fate, Outcome, Pause, PauseScope,
    Placement, QueueName, Result, SpoolId, Timestamp, Waiting, remember, sender_group,
};
use std::collections::BTreeMap;

impl Model {
    /// See [`crate::Spool::waiting`].
    pub(super) fn waiting(&self, now: Timestamp, after: Option<&Waiting>, limit: usize) -> Vec<Waiting> {
        let mut first = BTreeMap::<&QueueName, Timestamp>::new();
        let eligible = self.queue.values().filter(|queued| queued.is_free(now) && !self.is_paused(queued));
        for queued in eligible {
            let due = first.entry(&queued.queue).or_insert(queued.due);
            *due = queued.due.min(*due);
        }
        let mut waiting: Vec<Waiting> = first
            .into_iter()
            .map(|(queue, due)| Waiting { queue: queue.clone(), due })
            .filter(|one| one.due <= now)
            .collect();
        waiting.sort_by(Waiting::order);
        waiting.retain(|one| after.is_none_or(|after| one.order(after).is_gt()));
        waiting.truncate(limit);
        waiting
    }

    /// See [`crate::Spool::claim`].
    pub(super) fn claim(
        &mut self,
        queue: &QueueName,
        now: Timestamp,
        limit: usize,
        lease: Timestamp,
    ) -> Vec<DeliveryId> {
        let mut due: Vec<(Timestamp, DeliveryId)> = self
            .queue
            .iter()
            .filter(|(_, queued)| queued.due <= now && queued.is_free(now) && queued.queue == *queue)
            .filter(|(_, queued)| !self.is_paused(queued))
            .map(|(id, queued)| (queued.due, *id))
            .collect();
        due.sort();
        let mut turns = BTreeMap::<String, usize>::new();
        let mut ready: Vec<(usize, Timestamp, DeliveryId)> = Vec::new();
        for (due, id) in due {
            let sender = &self.messages[&id.spool].accepted.envelope.reverse_path;
            let turn = turns.entry(sender_group(sender)).or_default();
            ready.push((*turn, due, id));
            *turn += 1;
        }
        ready.sort();
        ready.truncate(limit);
        for (_, _, id) in &ready {
            self.queue.get_mut(id).expect("taken from the queue above").lease = Some(lease);
        }
        ready.into_iter().map(|(_, _, id)| id).collect()
    }

    /// See [`crate::Spool::settle`].
    pub(super) fn settle(&mut self, id: DeliveryId, outcome: Outcome) -> Result<()> {
        let queued = self.queue.get_mut(&id).ok_or_else(|| no_such_delivery(id))?;
        match outcome {
            Outcome::Done(End { at, ending, attempt }) => {
                if let Some(attempt) = attempt {
                    queued.attempts += 1;
                    remember(&mut queued.history, attempt);
                }
                let delivery = Delivery { held: None, forward: None, ..self.delivery(id) };
                let trace = self.messages[&id.spool].accepted.trace.clone();
                self.fates.insert(id, Fate { delivery, trace, ended: at, ending });
                self.queue.remove(&id);
                self.forget_unused([id.spool]);
            }
            Outcome::Deferred { due, attempt } => {
                queued.attempts += 1;
                queued.due = due;
                queued.lease = None;
                remember(&mut queued.history, attempt);
            }
        }
        Ok(())
    }

    /// See [`crate::Spool::adjust`].
    pub(super) fn adjust(&mut self, ids: &[DeliveryId], adjustment: &Adjustment) -> u64 {
        let mut found = 0;
        for id in ids {
            let Some(queued) = self.queue.get_mut(id) else { continue };
            found += 1;
            match adjustment {
                Adjustment::Hold(hold) => queued.held = Some(hold.clone()),
                Adjustment::Release => queued.held = None,
                Adjustment::Due(due) => queued.due = *due,
                Adjustment::Reroute(queue) => queued.queue = queue.clone(),
            }
        }
        found
    }

    /// See [`crate::Spool::destinations`].
    pub(super) fn backlogs(&self, limit: usize) -> Vec<Backlog> {
        let mut all = BTreeMap::<&QueueName, Backlog>::new();
        for (id, queued) in &self.queue {
            let backlog = all.entry(&queued.queue).or_insert_with(|| Backlog {
                queue: queued.queue.clone(),
                deliveries: 0,
                held: 0,
                oldest: *id,
                next: None,
            });
            backlog.deliveries += 1;
            match queued.held {
                Some(_) => backlog.held += 1,
                None => backlog.next = Some(backlog.next.map_or(queued.due, |next| next.min(queued.due))),
            }
        }
        let mut backlogs: Vec<Backlog> = all.into_values().collect();
        backlogs.sort_by(Backlog::order);
        backlogs.truncate(limit);
        backlogs
    }

    /// See [`crate::Spool::next_due`].
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        let eligible = self.queue.values().filter(|queued| queued.held.is_none() && !self.is_paused(queued));
        eligible.map(|queued| queued.lease.unwrap_or(queued.due)).min()
    }

    /// See [`crate::Spool::fates`].
    pub(super) fn fates(&self, before: Option<SpoolId>, limit: usize) -> Vec<Fate> {
        let mut fates: Vec<Fate> = Vec::new();
        let earlier = self.fates.iter().rev().filter(|(id, _)| before.is_none_or(|before| id.spool < before));
        for (id, fate) in earlier {
            if fates.len() >= limit && fates.last().is_some_and(|last| last.delivery.id.spool != id.spool) {
                break;
            }
            fates.push(fate.clone());
        }
        // Each message's recipients in order.
        fates.sort_by_key(|fate| (std::cmp::Reverse(fate.delivery.id.spool), fate.delivery.id.recipient));
        fates
    }

    /// See [`crate::Spool::acceptance`].
    pub(super) fn acceptance(&self, id: SpoolId) -> Result<Acceptance> {
        let message = self.messages.get(&id).ok_or_else(|| Error::NoSuchMessage(id.to_string()))?;
        let placement = |&(recipient, mailbox, uid)| {
            let kept = self.mailboxes.get(&mailbox)?;
            kept.entries.get(&uid)?;
            let account = self.accounts.values().find(|account| account.id == kept.account)?;
            Some(Placement { recipient, account: account.name.clone(), mailbox: kept.name.clone(), uid })
        };
        Ok(Acceptance {
            received: message.accepted.received,
            envelope: message.accepted.envelope.clone(),
            trace: message.accepted.trace.clone(),
            size: message.size(),
            entries: message.placed.iter().filter_map(placement).collect(),
        })
    }

    pub(super) fn delivery(&self, id: DeliveryId) -> Delivery {
        let queued = &self.queue[&id];
        let message = &self.messages[&id.spool];
        let accepted = &message.accepted;
        Delivery {
            id,
            received: accepted.received,
            reverse_path: accepted.envelope.reverse_path.clone(),
            recipient: accepted.envelope.recipients[id.recipient as usize].clone(),
            forward: accepted.forward(id.recipient).cloned(),
            size: message.size(),
            queue: queued.queue.clone(),
            due: queued.due,
            held: queued.held.clone(),
            attempts: queued.attempts,
            history: queued.history.clone(),
        }
    }

    /// See [`crate::Spool::pause`].
    pub(super) fn pause(&mut self, pause: Pause) -> Result<()> {
        let scope = pause.scope.canonical()?;
        self.pauses.insert(scope.clone(), Pause { scope, ..pause });
        Ok(())
    }

    /// See [`crate::Spool::resume`].
    pub(super) fn resume(&mut self, scope: &PauseScope) -> Result<bool> {
        Ok(self.pauses.remove(&scope.canonical()?).is_some())
    }

    fn is_paused(&self, queued: &Queued) -> bool {
        self.pauses.contains_key(&PauseScope::Destination(queued.queue.as_str().to_owned()))
    }
}
