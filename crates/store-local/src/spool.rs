//! [`Spool`] for [`Local`].

use crate::body::{Accepted, Settlement};
use crate::content::For;
use crate::engine::Engine;
use crate::job::Job;
use crate::local::Local;
use crate::stage::LocalStage;
use async_trait::async_trait;
use std::sync::Arc;
use store::{
    Claim, Delivery, DeliveryId, Error, Outcome, QueueName, Reader, Result, Spool, SpoolId, Stage, Timestamp,
    Waiting,
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

    async fn claim(
        &self,
        queue: &QueueName,
        now: Timestamp,
        limit: usize,
        lease: Timestamp,
    ) -> Result<Vec<Claim>> {
        self.engine.catch_up().await?;
        let ids = self.engine.view.queue().claim(queue, now, limit, lease);
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let engine = self.engine.clone();
        let deliveries = self.engine.off_thread(move || engine.deliveries(&ids)).await?;
        Ok(deliveries.into_iter().map(|delivery| Claim { delivery, lease }).collect())
    }

    async fn settle(&self, id: DeliveryId, outcome: Outcome) -> Result<()> {
        self.engine.catch_up().await?;
        let attempts = self.engine.view.queue().attempts(id);
        let missing =
            || Error::NoSuchMessage(format!("{} for recipient {} in the queue", id.spool, id.recipient));
        let attempts = attempts.ok_or_else(missing)?.saturating_add(1);
        let (spool, recipient) = (id.spool.0, id.recipient);
        let settlement = match outcome {
            Outcome::Done => Settlement::Done { spool, recipient },
            Outcome::Deferred { due, attempt } => {
                let attempt = Box::new(attempt);
                Settlement::Deferred { spool, recipient, due, attempts, attempt }
            }
        };
        let (answer, answered) = oneshot::channel();
        self.engine.writer.submit(Job::Settle { settlement, answer });
        self.engine.answer(answered).await
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

    async fn deliveries(&self, after: Option<DeliveryId>, limit: usize) -> Result<Vec<Delivery>> {
        let engine = self.engine.clone();
        self.engine
            .read(move || {
                let ids = engine.view.queue().after(after, limit);
                engine.deliveries(&ids)
            })
            .await
    }

    fn health(&self) -> Result<()> {
        self.engine.status.health()
    }

    async fn close(&self) -> Result<()> {
        let engine = self.engine.clone();
        self.engine.off_thread(move || engine.close()).await
    }
}

impl Engine {
    /// The acceptance of a message; `None` when nothing names it any more.
    fn acceptance(self: &Arc<Self>, spool: SpoolId) -> Result<Option<Accepted>> {
        self.with_message(spool, |message| Ok(Accepted::decode(&self.segments.read(message.record)?)?.0))
    }

    /// What is known of these deliveries, in this order; what was settled meanwhile is left out.
    fn deliveries(self: &Arc<Self>, ids: &[DeliveryId]) -> Result<Vec<Delivery>> {
        let mut deliveries = Vec::with_capacity(ids.len());
        // Deliveries of one message mostly stand side by side: its acceptance is read once for them.
        let mut last: Option<(SpoolId, Accepted)> = None;
        for &id in ids {
            let Some(row) = self.view.read()?.queued(id)? else { continue };
            if last.as_ref().is_none_or(|(spool, _)| *spool != id.spool) {
                let Some(accepted) = self.acceptance(id.spool)? else { continue };
                last = Some((id.spool, accepted));
            }
            let (_, accepted) = last.as_ref().expect("set above");
            let recipient = accepted.envelope.recipients.get(id.recipient as usize).ok_or_else(|| {
                Error::Damaged(format!("message {} has no recipient {}", id.spool, id.recipient))
            })?;
            deliveries.push(Delivery {
                id,
                received: accepted.received,
                reverse_path: accepted.envelope.reverse_path()?,
                recipient: recipient.value()?,
                forward: accepted.forward(id.recipient)?,
                due: row.due,
                attempts: row.attempts,
                history: row.history,
            });
        }
        Ok(deliveries)
    }
}
