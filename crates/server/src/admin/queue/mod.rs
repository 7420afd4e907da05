//! What an operator asks of the queue: lists, stories of messages, and orders.
//!
//! Everything is read from the store in pages, so that an answer about a million deliveries takes little memory. Orders are durable; a running
//! server is told of them and acts at once.

mod filter;
mod story;
mod views;

pub use views::{
    AttemptView, BacklogView, DeliveryView, EndView, EntryView, HoldState, Intent, OrderedView, OriginView,
    QueueFilter, QueueOrder, QueueRequest, Readable, RecipientView, SenderReport, SiteView, StoryView,
};

use super::handle::{Stop, send};
use super::protocol::{Frame, Item};
use crate::open::Access;
use crate::queue;
use filter::Wanted;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use store::{
    Adjustment, Attempt, Delivery, DeliveryId, End, Ending, Error, Hold, Outcome, Pause, QueueName,
    SharedStore, SpoolId, Timestamp, Unreadable,
};
use tokio::sync::mpsc::Sender;
use tokio::task::JoinSet;

/// Carries out a request and sends the answers.
pub(super) async fn carry_out(
    access: &Access,
    request: QueueRequest,
    to: &Sender<Frame>,
) -> Result<(), Stop> {
    let store = &access.store;
    match request {
        QueueRequest::List { filter, limit } => list(access, filter, limit, to).await,
        QueueRequest::Summary { limit } => summary(access, limit, to).await,
        QueueRequest::Explain { what, limit } => explain(store, &what, limit.clamp(1, STORIES_MAX), to).await,
        QueueRequest::Order { filter, order, intent } => {
            let ordered = give_order(access, filter, order, intent).await?;
            send(to, Item::Ordered(ordered)).await
        }
        QueueRequest::Pause { scope, reason } => {
            store.pause(Pause { scope, since: (access.clock)(), reason: one_line(&reason) }).await?;
            Ok(tell(access).await?)
        }
        QueueRequest::Resume { scope } => {
            let resumed = store.resume(&scope).await?;
            tell(access).await?;
            send(to, Item::Removed { count: u64::from(resumed) }).await
        }
        QueueRequest::Pauses => {
            for pause in store.pauses().await? {
                send(to, Item::Pause(pause)).await?;
            }
            Ok(())
        }
    }
}

/// Tells a running queue that there is something new to consider.
async fn tell(access: &Access) -> store::Result<()> {
    match &access.outbound {
        Some(outbound) => outbound.reconsider().await,
        None => Ok(()),
    }
}

async fn list(access: &Access, filter: QueueFilter, limit: usize, to: &Sender<Frame>) -> Result<(), Stop> {
    let (wanted, pauses) = (filter.understood().map_err(Stop::Failed)?, access.store.pauses().await?);
    let mut left = limit;
    let mut walk = Walk::new(access, &wanted);
    while let Some(page) = walk.next().await?.filter(|_| left > 0) {
        for delivery in page.iter().take(left) {
            send(to, Item::Delivery(Box::new(DeliveryView::queued(delivery, &pauses)))).await?;
        }
        left -= page.len().min(left);
    }
    for delivery in walk.unreadable().await?.iter().take(left) {
        send(to, Item::Delivery(Box::new(DeliveryView::unreadable(delivery, &pauses)))).await?;
    }
    Ok(())
}

async fn summary(access: &Access, limit: usize, to: &Sender<Frame>) -> Result<(), Stop> {
    let store = &access.store;
    let pauses = store.pauses().await?;
    for backlog in store.destinations(limit).await? {
        let last = story::queued(store, backlog.oldest.spool).await?;
        let last = last.iter().find(|one| one.id == backlog.oldest);
        let paused = pauses.iter().find(|pause| views::is_about(pause, &backlog.queue));
        let view = BacklogView {
            destination: backlog.queue.to_string(),
            deliveries: backlog.deliveries,
            held: backlog.held,
            oldest: last.map_or(backlog.oldest.spool.time(), |one| one.received),
            next: backlog.next,
            paused: paused.cloned(),
            last: last.and_then(|one| one.history.last()).map(AttemptView::from),
            site: access
                .outbound
                .as_ref()
                .and_then(|queue| queue.sites.of(&backlog.queue))
                .map(SiteView::from),
        };
        send(to, Item::Backlog(Box::new(view))).await?;
    }
    Ok(())
}

async fn explain(store: &SharedStore, what: &str, limit: usize, to: &Sender<Frame>) -> Result<(), Stop> {
    let ids = match what.parse::<SpoolId>() {
        Ok(id) => vec![id],
        Err(_) if what.contains(['@', '.']) => story::about(store, what, limit).await?,
        Err(error) => {
            return Err(Stop::Failed(format!("{what:?} is neither a message nor an address: {error}")));
        }
    };
    for id in ids {
        // It may have been removed meanwhile.
        if let Some(story) = story::of(store, id).await? {
            send(to, Item::Story(Box::new(story))).await?;
        }
    }
    Ok(())
}

async fn give_order(
    access: &Access,
    filter: QueueFilter,
    order: QueueOrder,
    intent: Intent,
) -> Result<OrderedView, Stop> {
    let wanted = filter.understood().map_err(Stop::Failed)?;
    let act = Act::of(access, order)?;
    let mut ordered = Ordered::default();
    let mut walk = Walk::new(access, &wanted);
    while let Some(page) = walk.next().await? {
        let done = match intent {
            Intent::Count => page,
            Intent::Do => act.carry_out(access, page).await?,
        };
        done.iter().for_each(|delivery| ordered.count(delivery.id, &delivery.queue));
    }
    let mut unreadable = walk.unreadable().await?;
    if intent == Intent::Do {
        unreadable = act.carry_out_unread(access, unreadable).await?;
    }
    unreadable.iter().for_each(|delivery| ordered.count(delivery.id, &delivery.queue));
    if intent == Intent::Do {
        tell(access).await?;
    }
    Ok(ordered.view())
}

/// An order that makes sense here.
enum Act {
    Adjust(Adjustment),
    Remove,
    Report(String),
}

impl Act {
    fn of(access: &Access, order: QueueOrder) -> Result<Act, Stop> {
        let now = (access.clock)();
        Ok(match order {
            QueueOrder::Hold { reason } => {
                Act::Adjust(Adjustment::Hold(Hold { since: now, reason: one_line(&reason) }))
            }
            QueueOrder::Release => Act::Adjust(Adjustment::Release),
            QueueOrder::Retry => Act::Adjust(Adjustment::Due(now)),
            QueueOrder::Reroute { to } => {
                let queue: QueueName = to.parse().map_err(|_| {
                    Stop::Failed(format!(
                        "{to:?} is neither a domain nor an address literal like [192.0.2.1]"
                    ))
                })?;
                Act::Adjust(Adjustment::Reroute(queue))
            }
            QueueOrder::Remove { report: SenderReport::Silent } => Act::Remove,
            QueueOrder::Remove { report: SenderReport::Reason(_) } if access.outbound.is_none() => {
                let what = "senders are told by a running server that sends mail, and there is none";
                return Err(Stop::Failed(what.to_owned()));
            }
            QueueOrder::Remove { report: SenderReport::Reason(reason) } => Act::Report(one_line(&reason)),
        })
    }

    /// Carries it out; returns those that it was done with.
    async fn carry_out(&self, access: &Access, page: Vec<Delivery>) -> Result<Vec<Delivery>, Stop> {
        let ids: Vec<DeliveryId> = page.iter().map(|delivery| delivery.id).collect();
        match (self, &access.outbound) {
            (Act::Adjust(adjustment), _) => {
                access.store.adjust(&ids, adjustment.clone()).await?;
                if let (Adjustment::Due(_), Some(outbound)) = (adjustment, &access.outbound) {
                    outbound.sites.look_again(page.iter().map(|delivery| &delivery.queue));
                }
                Ok(page)
            }
            (Act::Report(reason), Some(outbound)) => {
                let words = queue::tell_senders(outbound, &page, reason).await?;
                remove(access, page, |delivery| delivery.id, words).await
            }
            (Act::Remove | Act::Report(_), _) => {
                remove(access, page, |delivery| delivery.id, HashMap::new()).await
            }
        }
    }

    /// The same for deliveries whose messages cannot be read.
    async fn carry_out_unread(&self, access: &Access, all: Vec<Unreadable>) -> Result<Vec<Unreadable>, Stop> {
        match self {
            Act::Adjust(adjustment) => {
                let ids: Vec<DeliveryId> = all.iter().map(|delivery| delivery.id).collect();
                access.store.adjust(&ids, adjustment.clone()).await?;
                Ok(all)
            }
            Act::Report(_) if !all.is_empty() => Err(Stop::Failed(format!(
                "{} of these cannot be read, so nobody can be told of them: remove them without a report",
                all.len()
            ))),
            Act::Remove | Act::Report(_) => remove(access, all, |delivery| delivery.id, HashMap::new()).await,
        }
    }
}

/// Removes deliveries, together, so that they share their syncs. `words` is what is to be remembered of them as the last attempt.
async fn remove<T: Send + 'static>(
    access: &Access,
    page: Vec<T>,
    id: fn(&T) -> DeliveryId,
    mut words: HashMap<DeliveryId, Attempt>,
) -> Result<Vec<T>, Stop> {
    let at = (access.clock)();
    let mut removing = JoinSet::new();
    for delivery in page {
        let store = Arc::clone(&access.store);
        let attempt = words.remove(&id(&delivery));
        removing.spawn(async move {
            let end = End { at, ending: Ending::Removed, attempt };
            match store.settle(id(&delivery), Outcome::Done(end)).await {
                Ok(()) => Ok(Some(delivery)),
                // It was delivered meanwhile.
                Err(Error::NoSuchMessage(_)) => Ok(None),
                Err(error) => Err(error),
            }
        });
    }
    let mut removed = Vec::new();
    while let Some(one) = removing.join_next().await {
        removed.extend(one.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?);
    }
    removed.sort_by_key(id);
    Ok(removed)
}

/// What an order was about, counted.
#[derive(Default)]
struct Ordered {
    deliveries: u64,
    messages: u64,
    last: Option<SpoolId>,
    destinations: BTreeSet<String>,
}

impl Ordered {
    fn count(&mut self, id: DeliveryId, queue: &QueueName) {
        self.deliveries += 1;
        // Those of one message come together.
        self.messages += u64::from(self.last.replace(id.spool) != Some(id.spool));
        self.destinations.insert(queue.to_string());
    }

    fn view(self) -> OrderedView {
        let more = self.destinations.len().saturating_sub(DESTINATIONS_SHOWN) as u64;
        let destinations = self.destinations.into_iter().take(DESTINATIONS_SHOWN).collect();
        OrderedView { deliveries: self.deliveries, messages: self.messages, destinations, more }
    }
}

/// Goes through the queued deliveries that a filter names, page by page.
struct Walk<'a> {
    access: &'a Access,
    wanted: &'a Wanted,
    now: Timestamp,
    after: Option<DeliveryId>,
    /// The messages still to be looked at, when they are named.
    ids: Option<std::slice::Iter<'a, SpoolId>>,
    ended: bool,
}

impl<'a> Walk<'a> {
    fn new(access: &'a Access, wanted: &'a Wanted) -> Walk<'a> {
        let ids = (!wanted.ids.is_empty()).then(|| wanted.ids.iter());
        Walk { access, wanted, now: (access.clock)(), after: None, ids, ended: false }
    }

    /// The next page; it may be empty. `None` after the last.
    async fn next(&mut self) -> store::Result<Option<Vec<Delivery>>> {
        let mut page = match &mut self.ids {
            Some(ids) => match ids.next() {
                Some(id) => story::queued(&self.access.store, *id).await?,
                None => return Ok(None),
            },
            None if self.ended => return Ok(None),
            None => {
                let page = self.access.store.deliveries(self.after, PAGE).await?;
                self.ended = page.is_empty();
                self.after = page.last().map(|last| last.id);
                page
            }
        };
        let outbound = self.access.outbound.as_ref();
        let site = |queue: &QueueName| outbound.and_then(|outbound| outbound.sites.hosts_of(queue));
        page.retain(|delivery| self.wanted.has(delivery, self.now, site));
        Ok(Some(page))
    }

    /// Those on the way that could not be read.
    async fn unreadable(&self) -> store::Result<Vec<Unreadable>> {
        let mut all = self.access.store.unreadable().await?;
        all.retain(|delivery| self.wanted.has_unreadable(delivery, self.now));
        Ok(all)
    }
}

/// What an operator gives as a reason, as it can be shown in a line.
fn one_line(text: &str) -> String {
    message::terminal::one_line(text).into_owned()
}

/// Deliveries are read, and orders carried out, so many at a time.
const PAGE: usize = 500;
/// So many stories at most.
const STORIES_MAX: usize = 10_000;
/// An order names so many destinations that it was about.
const DESTINATIONS_SHOWN: usize = 10;
