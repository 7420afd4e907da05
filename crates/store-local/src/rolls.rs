//! The marks of mailboxes that were asked for lately: a mailbox is selected again and again, and little has changed each time.
//!
//! What is kept here is checked against the mailbox at each use, and never ahead of it.

use crate::index::Snapshot;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use store::{ChangeKind, MailboxId, MailboxStatus, Mark, Result, Roll, Uid};

/// Rolls, the latest used last.
#[derive(Debug, Default)]
pub(crate) struct Rolls(Mutex<VecDeque<Arc<Roll>>>);

/// How many marks are kept at most, of all mailboxes together; each has 32 bytes.
const MARKS_MAX: usize = 1 << 20;
/// How many mailboxes at most.
const ROLLS_MAX: usize = 1000;
/// After more changes than these a roll is read anew.
const CHANGES_MAX: usize = 1000;

impl Rolls {
    /// The marks of a mailbox at the moment of the snapshot.
    pub(crate) fn roll(&self, snapshot: &Snapshot, mailbox: MailboxId) -> Result<Arc<Roll>> {
        let status = snapshot.mailbox(mailbox)?;
        let known = self.held().iter().find(|roll| roll.status.id == mailbox).cloned();
        let roll = match known {
            Some(known) if known.status == status => known,
            known => {
                let marks =
                    known.map(|known| brought_up_to(&status, &known, snapshot)).transpose()?.flatten();
                let marks = marks.map_or_else(|| snapshot.marks(&status), Ok)?;
                Arc::new(Roll { status, marks })
            }
        };
        self.keep(&roll);
        Ok(roll)
    }

    fn held(&self) -> MutexGuard<'_, VecDeque<Arc<Roll>>> {
        self.0.lock().expect("no holder of this lock panics")
    }

    fn keep(&self, roll: &Arc<Roll>) {
        let mut held = self.held();
        held.retain(|other| other.status.id != roll.status.id);
        if roll.marks.len() <= MARKS_MAX {
            held.push_back(Arc::clone(roll));
        }
        while held.len() > ROLLS_MAX || held.iter().map(|roll| roll.marks.len()).sum::<usize>() > MARKS_MAX {
            held.pop_front();
        }
    }
}

/// The marks of a mailbox by those it had and what happened since; `None` when that is not known, or too much.
fn brought_up_to(status: &MailboxStatus, known: &Roll, snapshot: &Snapshot) -> Result<Option<Vec<Mark>>> {
    let since = known.status.highest_modseq;
    let is_older = since <= status.highest_modseq && known.status.uid_validity == status.uid_validity;
    if !is_older || status.history_from > since {
        return Ok(None);
    }
    let changes = snapshot.changes(status.id, since, CHANGES_MAX + 1)?;
    if changes.len() > CHANGES_MAX {
        return Ok(None);
    }
    let (present, gone): (Vec<_>, Vec<_>) =
        changes.into_iter().partition(|change| change.kind == ChangeKind::Present);
    let present = snapshot.present(status.id, present.into_iter().map(|change| change.uid))?;
    let mut changed: BTreeMap<Uid, Option<Mark>> =
        gone.into_iter().map(|change| (change.uid, None)).collect();
    changed.extend(present.into_iter().map(|entry| (entry.uid, Some(entry.mark()))));
    let mut marks = Vec::with_capacity(status.messages as usize);
    let mut rest = known.marks.as_slice();
    for (uid, mark) in changed {
        let (before, behind) = rest.split_at(rest.partition_point(|mark| mark.uid < uid));
        marks.extend_from_slice(before);
        marks.extend(mark);
        rest = match behind {
            [old, behind @ ..] if old.uid == uid => behind,
            _ => behind,
        };
    }
    marks.extend_from_slice(rest);
    Ok(Some(marks))
}
