//! [`Spool`] for [`Local`].

use crate::body::{self, Accepted, AttemptRecord, Destination, Placed, QueueChange, Settlement};
use crate::content::For;
use crate::engine::Engine;
use crate::index::QueueRow;
use crate::job::{Answer, Job};
use crate::local::Local;
use crate::stage::LocalStage;
use async_trait::async_trait;
use std::sync::Arc;
use store::{
    Acceptance, Adjustment, Backlog, Claim, Delivery, DeliveryId, End, Error, Fate, Outcome, Pause,
    PauseScope, Placement, QueueName, Reader, Result, Spool, SpoolId, Stage, Timestamp, Unreadable, Waiting,
};
use tokio::sync::oneshot;

#[async_trait]
impl Spool for Local {
    fn stage(&self) -> Result<Box<dyn Stage>> {
        self.engine.retry_index();
        self.engine.status.health()?;
        Ok(Box::new(LocalStage::new(self.engine.clone(), self.engine.next_id())))
    }

    async fn waiting(&self, now: Timestamp, after: Option<&Waiting>, limit: usize) -> Result<Vec<Waiting>> {
        self.engine.catch_up().await?;
        Ok(self.engine.view.queue().waiting(now, after, limit))
    }

    async fn latest(&self, now: Timestamp, limit: usize) -> Result<Vec<Waiting>> {
        self.engine.catch_up().await?;
        Ok(self.engine.view.queue().latest(now, limit))
    }

    async fn claim(
        &self,
        queue: &QueueName,
        now: Timestamp,
        limit: usize,
        lease: Timestamp,
    ) -> Result<Vec<Claim>> {
        self.engine.catch_up().await?;
        self.engine.status.check_change()?;
        let ids = self.engine.view.queue().claim(queue, now, limit, lease);
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let (engine, claimed) = (self.engine.clone(), ids.clone());
        let deliveries = self.engine.off_thread(move || engine.deliveries(&claimed, Asked::ToClaim)).await;
        // What could not be asked for at all is nobody's: it must not wait until the lease has ended.
        let deliveries = deliveries.inspect_err(|_| self.engine.view.queue().let_go(&ids))?;
        // Nor must what could not be read: the disk may think better of it.
        let again = Timestamp(now.0.saturating_add(UNREADABLE_AGAIN)).min(lease);
        let is_handed_out = |id: &DeliveryId| deliveries.iter().any(|delivery| delivery.id == *id);
        for &id in ids.iter().filter(|id| !is_handed_out(id)) {
            self.engine.view.queue().end_lease_at(id, again);
        }
        Ok(deliveries.into_iter().map(|delivery| Claim { delivery, lease }).collect())
    }

    async fn settle(&self, id: DeliveryId, outcome: Outcome) -> Result<()> {
        self.engine.catch_up().await?;
        let attempts = self.engine.view.queue().attempts(id);
        let attempts = attempts.ok_or_else(|| not_queued(id))?.saturating_add(1);
        let (answer, answered) = oneshot::channel();
        let job = match outcome {
            Outcome::Done(end) => {
                let engine = self.engine.clone();
                self.engine.off_thread(move || engine.end(id, end, answer)).await?
            }
            Outcome::Deferred { due, attempt } => {
                let (spool, recipient, attempt) = (id.spool.0, id.recipient, Box::new(attempt));
                let settlement = Settlement::Deferred { spool, recipient, due, attempts, attempt };
                Job::Settle { settlement, answer }
            }
        };
        self.engine.writer.submit(job);
        self.engine.answer(answered).await
    }

    async fn let_go(&self, ids: &[DeliveryId]) -> Result<()> {
        // Whoever claimed them has settled none of them. So there is nothing to wait for, nor is the index needed, which may be the reason.
        self.engine.status.check_open()?;
        self.engine.view.queue().let_go(ids);
        Ok(())
    }

    async fn adjust(&self, ids: &[DeliveryId], adjustment: Adjustment) -> Result<u64> {
        self.engine.catch_up().await?;
        let mut answers = Vec::new();
        for &id in ids {
            if self.engine.view.queue().attempts(id).is_some() {
                answers.push(self.engine.submit_change(adjusted(id, adjustment.clone())));
            }
        }
        let count = answers.len() as u64;
        for answered in answers {
            self.engine.answer(answered).await?;
        }
        Ok(count)
    }

    async fn pause(&self, pause: Pause) -> Result<()> {
        let scope = pause.scope.canonical()?;
        let answered = self.engine.submit_change(QueueChange::Paused(Pause { scope, ..pause }));
        self.engine.answer(answered).await
    }

    async fn resume(&self, scope: &PauseScope) -> Result<bool> {
        let scope = scope.canonical()?;
        if !self.pauses().await?.iter().any(|pause| pause.scope == scope) {
            return Ok(false);
        }
        let answered = self.engine.submit_change(QueueChange::Resumed(scope));
        self.engine.answer(answered).await.map(|()| true)
    }

    async fn pauses(&self) -> Result<Vec<Pause>> {
        let engine = self.engine.clone();
        self.engine.read(move || engine.view.read()?.pauses()).await
    }

    async fn fates(&self, before: Option<SpoolId>, limit: usize) -> Result<Vec<Fate>> {
        let engine = self.engine.clone();
        let fates = self.engine.read(move || engine.view.read()?.fates(before, limit)).await?;
        fates.iter().map(body::Fate::value).collect()
    }

    async fn fates_of(&self, id: SpoolId) -> Result<Vec<Fate>> {
        let engine = self.engine.clone();
        let fates = self.engine.read(move || engine.view.read()?.fates_of(id)).await?;
        fates.iter().map(body::Fate::value).collect()
    }

    async fn acceptance(&self, id: SpoolId) -> Result<Acceptance> {
        let engine = self.engine.clone();
        let accepted = self.engine.read(move || engine.accepted_as(id)).await?;
        accepted.ok_or_else(|| Error::NoSuchMessage(id.to_string()))
    }

    async fn content(&self, id: SpoolId) -> Result<Reader> {
        let engine = self.engine.clone();
        self.engine.read(move || engine.text(id, For::Relay)).await
    }

    async fn envelope(&self, id: SpoolId) -> Result<smtp::Envelope> {
        let engine = self.engine.clone();
        self.engine
            .read(move || {
                let queued = engine.view.queue().has(id);
                let accepted = if queued { engine.acceptance(id)? } else { None };
                accepted.ok_or_else(|| Error::NoSuchMessage(id.to_string()))?.envelope.value()
            })
            .await
    }

    async fn next_due(&self) -> Result<Option<Timestamp>> {
        self.engine.catch_up().await?;
        Ok(self.engine.view.queue().next_due())
    }

    async fn destinations(&self, limit: usize) -> Result<Vec<Backlog>> {
        let engine = self.engine.clone();
        self.engine.read(move || Ok(engine.view.queue().backlogs(limit))).await
    }

    async fn deliveries(&self, after: Option<DeliveryId>, limit: usize) -> Result<Vec<Delivery>> {
        let engine = self.engine.clone();
        self.engine
            .read(move || {
                let mut after = after;
                loop {
                    let ids = engine.view.queue().after(after, limit);
                    let deliveries = engine.deliveries(&ids, Asked::ToList)?;
                    // A page of nothing but what cannot be read is not the end of the list.
                    if !deliveries.is_empty() || ids.is_empty() || limit == 0 {
                        return Ok(deliveries);
                    }
                    after = ids.last().copied();
                }
            })
            .await
    }

    async fn unreadable(&self) -> Result<Vec<Unreadable>> {
        let engine = self.engine.clone();
        self.engine
            .read(move || {
                let ids: Vec<DeliveryId> = engine.view.queue().unreadable().iter().copied().collect();
                let snapshot = engine.view.read()?;
                let mut all = Vec::with_capacity(ids.len());
                for id in ids {
                    if let Some(QueueRow { queue, due, held, attempts, history, .. }) = snapshot.queued(id)? {
                        all.push(Unreadable { id, queue: queue_name(&queue)?, due, held, attempts, history });
                    }
                }
                Ok(all)
            })
            .await
    }

    fn health(&self) -> Result<()> {
        self.engine.status.health()
    }

    fn can_settle(&self) -> Result<()> {
        self.engine.retry_index();
        self.engine.status.check_change()
    }

    async fn close(&self) -> Result<()> {
        let engine = self.engine.clone();
        self.engine.off_thread(move || engine.close()).await
    }
}

/// What deliveries are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    ToClaim,
    ToList,
}

impl Engine {
    /// The acceptance of a message; `None` when nothing names it any more.
    fn acceptance(self: &Arc<Self>, spool: SpoolId) -> Result<Option<Accepted>> {
        Ok(self.acceptance_and_places(spool)?.map(|(accepted, _)| accepted))
    }

    fn acceptance_and_places(self: &Arc<Self>, spool: SpoolId) -> Result<Option<(Accepted, Placed)>> {
        self.with_message(spool, |message| Accepted::decode(&self.segments.read(message.record)?))
    }

    /// The acceptance of a message as the domain knows it.
    fn accepted_as(self: &Arc<Self>, spool: SpoolId) -> Result<Option<Acceptance>> {
        let Some((accepted, placed)) = self.acceptance_and_places(spool)? else { return Ok(None) };
        let snapshot = self.view.read()?;
        let recipients = accepted.deliveries.iter().filter_map(|delivery| match delivery.destination {
            Destination::Mailbox { .. } => Some(delivery.recipient),
            Destination::Queue { .. } | Destination::Forward { .. } => None,
        });
        let mut entries = Vec::new();
        for (recipient, place) in recipients.zip(&placed.0) {
            if !snapshot.has_any(place.mailbox, &[place.uid])? {
                continue;
            }
            let status = snapshot.mailbox(place.mailbox)?;
            let account = snapshot.accounts()?.into_iter().find(|account| account.id == status.account);
            let Some(account) = account else { continue };
            let (account, mailbox, uid) = (account.name, status.name, place.uid);
            entries.push(Placement { recipient, account, mailbox, uid });
        }
        Ok(Some(Acceptance {
            received: accepted.received,
            envelope: accepted.envelope.value()?,
            trace: accepted.trace,
            size: accepted.length,
            entries,
        }))
    }

    /// What makes the end of a delivery durable, with all that is to be remembered of it.
    fn end(self: &Arc<Self>, id: DeliveryId, end: End, answer: Answer<()>) -> Result<Job> {
        match self.fate(id, &end) {
            Ok(Some((fate, expired))) => {
                Ok(Job::End { fate: Box::new(fate), expired, keep: self.fates.number, answer })
            }
            Ok(None) => Err(not_queued(id)),
            Err(error @ (Error::Closed | Error::Fenced(_))) => Err(error),
            // What cannot be remembered is done all the same: it must not be delivered again.
            Err(error) => {
                tracing::error!(id = %id.spool, recipient = id.recipient, %error, "what became of a delivery cannot be kept");
                let settlement = Settlement::Done { spool: id.spool.0, recipient: id.recipient };
                Ok(Job::Settle { settlement, answer })
            }
        }
    }

    /// What is to be remembered of a delivery, and up to which number earlier fates are not any longer.
    fn fate(self: &Arc<Self>, id: DeliveryId, end: &End) -> Result<Option<(body::Fate, u64)>> {
        let snapshot = self.view.read()?;
        let Some(mut row) = snapshot.queued(id)? else { return Ok(None) };
        let Some(accepted) = self.acceptance(id.spool)? else { return Ok(None) };
        if let Some(attempt) = &end.attempt {
            row.attempts = row.attempts.saturating_add(1);
            store::remember(&mut row.history, attempt.clone());
        }
        let recipient = accepted.envelope.recipients.into_iter().nth(id.recipient as usize);
        let recipient = recipient.ok_or_else(|| no_recipient(id))?;
        let fate = body::Fate {
            spool: id.spool.0,
            number: id.recipient,
            received: accepted.received,
            reverse_path: accepted.envelope.reverse_path,
            recipient,
            size: accepted.length,
            queue: row.queue,
            due: row.due,
            trace: accepted.trace,
            attempts: row.attempts,
            history: row.history.iter().map(AttemptRecord::from).collect(),
            ended: end.at,
            ending: end.ending,
        };
        Ok(Some((fate, snapshot.expired_fates(self.fates.horizon(end.at))?)))
    }

    fn submit_change(&self, change: QueueChange) -> oneshot::Receiver<Result<()>> {
        let (answer, answered) = oneshot::channel();
        self.writer.submit(Job::Queue { change, answer });
        answered
    }

    /// What is known of these deliveries, in this order; what was settled meanwhile is left out, and what cannot be read.
    fn deliveries(self: &Arc<Self>, ids: &[DeliveryId], asked: Asked) -> Result<Vec<Delivery>> {
        let mut deliveries = Vec::with_capacity(ids.len());
        // Deliveries of one message mostly stand side by side: its acceptance is read once for them.
        let mut last: Option<(SpoolId, Result<Accepted>)> = None;
        for &id in ids {
            let Some(row) = self.view.read()?.queued(id)? else { continue };
            if last.as_ref().is_none_or(|(spool, _)| *spool != id.spool) {
                let Some(accepted) = self.acceptance(id.spool).transpose() else { continue };
                last = Some((id.spool, accepted));
            }
            let (_, accepted) = last.as_ref().expect("set above");
            match accepted.as_ref().map_err(Error::clone).and_then(|accepted| delivery(id, accepted, row)) {
                Ok(delivery) => {
                    self.view.queue().is_readable(id);
                    deliveries.push(delivery);
                }
                Err(error) => {
                    let is_news = self.unreadable(id, &error);
                    // A disk that fails now may be read later: a list says so rather than be shorter than the queue, once.
                    if is_news && asked == Asked::ToList && matches!(error, Error::Io { .. }) {
                        return Err(error);
                    }
                }
            }
        }
        Ok(deliveries)
    }

    /// Says loudly, once, that a delivery stays where it is because its records cannot be read. The others go on. Whether it was said now.
    fn unreadable(&self, id: DeliveryId, error: &Error) -> bool {
        let is_news = self.view.queue().is_unreadable(id);
        if is_news {
            tracing::error!(
                id = %id.spool, recipient = id.recipient, %error,
                "a queued delivery cannot be read and is not tried; `posthaste store verify` says what is damaged"
            );
        }
        is_news
    }
}

/// When a delivery that could not be read is tried again, in milliseconds.
const UNREADABLE_AGAIN: i64 = 5 * 60 * 1000;

fn delivery(id: DeliveryId, accepted: &Accepted, row: QueueRow) -> Result<Delivery> {
    let recipient =
        accepted.envelope.recipients.get(id.recipient as usize).ok_or_else(|| no_recipient(id))?;
    Ok(Delivery {
        id,
        received: accepted.received,
        reverse_path: accepted.envelope.reverse_path()?,
        recipient: recipient.value()?,
        forward: accepted.forward(id.recipient)?,
        size: accepted.length,
        queue: queue_name(&row.queue)?,
        due: row.due,
        held: row.held,
        attempts: row.attempts,
        history: row.history,
    })
}

/// An order about one delivery, for the log.
fn adjusted(id: DeliveryId, adjustment: Adjustment) -> QueueChange {
    let (spool, recipient) = (id.spool.0, id.recipient);
    match adjustment {
        Adjustment::Hold(hold) => QueueChange::Held { spool, recipient, hold },
        Adjustment::Release => QueueChange::Released { spool, recipient },
        Adjustment::Due(due) => QueueChange::Due { spool, recipient, due },
        Adjustment::Reroute(queue) => QueueChange::Rerouted { spool, recipient, queue: queue.to_string() },
    }
}

fn queue_name(text: &str) -> Result<QueueName> {
    text.parse().map_err(|_| Error::Damaged(format!("the index names a destination that is none: {text:?}")))
}

fn not_queued(id: DeliveryId) -> Error {
    Error::NoSuchMessage(format!("{} for recipient {} in the queue", id.spool, id.recipient))
}

fn no_recipient(id: DeliveryId) -> Error {
    Error::Damaged(format!("message {} has no recipient {}", id.spool, id.recipient))
}
