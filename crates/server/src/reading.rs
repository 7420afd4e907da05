//! Texts on their way from the store to those who read them: how much of them is in memory, and those read ahead.
//!
//! To ask the store for a text is a trip to a thread that may wait for the disk, and takes longer than to read a short message. So what will be
//! wanted next is read along, a little of it ([`Ahead`]). [`Memory`] bounds how much is held in all sessions together. IMAP and POP3 use both.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use store::{MailboxId, Reader, Result, SharedStore, Uid};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Room for texts in memory.
pub(crate) struct Memory {
    /// For those that are held as a whole.
    whole: Arc<Semaphore>,
    /// For those read ahead; nobody waits for it.
    ahead: Arc<Semaphore>,
}

/// Some of it.
pub(crate) type Room = OwnedSemaphorePermit;

/// Counted in units of so many octets.
const UNIT: u64 = 1024;
/// 64 MiB.
const WHOLE: u32 = 64 * 1024;
/// 32 MiB.
const AHEAD: u32 = 32 * 1024;
/// How long a message waits for room.
const PATIENCE: Duration = Duration::from_secs(10);

impl Default for Memory {
    fn default() -> Memory {
        let room = |units| Arc::new(Semaphore::new(units as usize));
        Memory { whole: room(WHOLE), ahead: room(AHEAD) }
    }
}

impl Memory {
    /// Room for a message of this size; waits a while for others to be done, but not for clients that do not read. One that is larger than
    /// all the room is alone.
    pub(crate) async fn room(&self, size: u64) -> Option<Room> {
        let room = Arc::clone(&self.whole).acquire_many_owned(units(size));
        tokio::time::timeout(PATIENCE, room).await.ok()?.ok()
    }

    /// The same without waiting: for who holds room already, and so may be what the others wait for.
    pub(crate) fn room_now(&self, size: u64) -> Option<Room> {
        Arc::clone(&self.whole).try_acquire_many_owned(units(size)).ok()
    }
}

fn units(size: u64) -> u32 {
    u32::try_from(size.div_ceil(UNIT)).unwrap_or(WHOLE).clamp(1, WHOLE)
}

/// Texts of a mailbox that were read before somebody asked for them.
#[derive(Default)]
pub(crate) struct Ahead {
    /// Which were looked for and not asked for yet; of those that are not among the texts the messages are gone.
    looked_for: VecDeque<Uid>,
    texts: VecDeque<(Uid, Reader)>,
    room: Option<Room>,
}

/// A message whose text is wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) uid: Uid,
    /// In octets, about.
    pub(crate) size: u64,
}

/// How many texts are read at once, at most.
const TEXTS: usize = 64;
/// How long they are together, in octets, unless it is one.
const OCTETS: u64 = 256 * 1024;

/// Which texts are read next.
#[derive(Debug)]
pub(crate) struct Plan {
    first: Uid,
    /// Those to be looked for, unless the first one was already.
    uids: Vec<Uid>,
}

impl Ahead {
    /// To read the text of the first of these messages; the others are those that will be wanted after it, in that order. `None` without any.
    pub(crate) fn plan(&mut self, memory: &Memory, wanted: impl IntoIterator<Item = Wanted>) -> Option<Plan> {
        let mut wanted = wanted.into_iter();
        let first = wanted.next()?;
        let mut plan = Plan { first: first.uid, uids: Vec::new() };
        if self.looked_for.contains(&first.uid) {
            return Some(plan);
        }
        *self = Ahead::default();
        let mut octets = first.size;
        plan.uids.push(first.uid);
        for Wanted { uid, size } in wanted.take(TEXTS - 1) {
            octets = octets.saturating_add(size);
            if octets > OCTETS {
                break;
            }
            plan.uids.push(uid);
        }
        if plan.uids.len() > 1 {
            let units = units(octets.min(OCTETS));
            self.room = Arc::clone(&memory.ahead).try_acquire_many_owned(units).ok();
            if self.room.is_none() {
                plan.uids.truncate(1);
            }
        }
        Some(plan)
    }

    /// The text of the first message of a plan just made; `None` when it is gone.
    pub(crate) async fn text(
        &mut self,
        store: &SharedStore,
        mailbox: MailboxId,
        plan: Plan,
    ) -> Result<Option<Reader>> {
        let Plan { first, uids } = plan;
        if !uids.is_empty()
            && let Err(error) = self.look(store, mailbox, uids).await
        {
            *self = Ahead::default();
            return Err(error);
        }
        while self.looked_for.pop_front().is_some_and(|uid| uid != first) {}
        while self.texts.front().is_some_and(|(uid, _)| *uid != first && !self.looked_for.contains(uid)) {
            self.texts.pop_front();
        }
        let text = match self.texts.front() {
            Some((uid, _)) if *uid == first => self.texts.pop_front().map(|(_, reader)| reader),
            _ => None,
        };
        if self.texts.is_empty() {
            self.room = None;
        }
        Ok(text)
    }

    async fn look(&mut self, store: &SharedStore, mailbox: MailboxId, mut uids: Vec<Uid>) -> Result<()> {
        let texts = store.fetch_several(mailbox, &uids).await?;
        if let Some((last, _)) = texts.last() {
            // What comes behind the last one may be gone or unreadable: it is asked for again.
            let known = uids.iter().position(|uid| *uid == last.uid).map_or(uids.len(), |at| at + 1);
            uids.truncate(known);
        }
        self.looked_for = uids.into();
        self.texts = texts.into_iter().map(|(entry, reader)| (entry.uid, reader)).collect();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
