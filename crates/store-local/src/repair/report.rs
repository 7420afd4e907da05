//! Saying what is lost so that a person understands it: which messages of whom, and which bytes of which file.

use super::survey::Survey;
use super::{Loss, Old, Repaired};
use crate::index::Snapshot;
use std::collections::HashMap;
use store::{AccountId, AccountName, MailboxStatus, Result, SpoolId, Uid};

/// Lists everything that is lost.
pub(super) fn report(
    survey: &Survey<'_>,
    old: &Old,
    (alive, damaged): (&Snapshot, &HashMap<u64, String>),
    repaired: &mut Repaired,
) -> Result<()> {
    for lost in &survey.lost {
        let path = old.segments.path(lost.segment);
        let place = match lost.to {
            0 => path.display().to_string(),
            to => format!("{}, bytes {} to {}", path.display(), lost.from, to - 1),
        };
        repaired.lose(place, lost.what.clone());
    }
    messages(alive, repaired, &mut |spool, _| damaged.get(&spool.0).cloned())?;
    if let Some(index) = survey.index.filter(|_| survey.has_losses()) {
        messages(index, repaired, &mut |spool, entry| {
            let gone = entry.is_some_and(|(mailbox, uid)| survey.expunged.contains(&(mailbox, uid)));
            let lost = !gone && !survey.accepted.contains(&spool.0);
            lost.then(|| "its records cannot be read".to_owned())
        })?;
    }
    let holes = old.unreadable.holes();
    for hole in holes.iter().take(HOLES_MAX) {
        let note =
            format!("{hole}: the disk cannot read this ({}); what was needed of it is lost", hole.cause);
        repaired.notes.push(note);
    }
    if holes.len() > HOLES_MAX {
        repaired.notes.push(format!("{} more places cannot be read", holes.len() - HOLES_MAX));
    }
    if survey.torn > 0 {
        repaired.notes.push(format!("{} bytes at the end of the log were never acknowledged", survey.torn));
    }
    if survey.unknown > 0 {
        repaired.notes.push(
            "no index has seen all that is lost of the log, so nobody knows what it said: messages may be missing that are not listed, \
             deleted ones may be back, and deliveries that were done may be done again"
                .to_owned(),
        );
    }
    Ok(())
}

/// Lists the entries and deliveries of an index whose message `why` has something to say about.
fn messages(
    index: &Snapshot,
    repaired: &mut Repaired,
    why: &mut dyn FnMut(SpoolId, Option<(store::MailboxId, Uid)>) -> Option<String>,
) -> Result<()> {
    let names: HashMap<AccountId, AccountName> =
        index.accounts()?.into_iter().map(|account| (account.id, account.name)).collect();
    for MailboxStatus { id, account, name, .. } in index.all_mailboxes()? {
        let owner = names.get(&account).map_or("an unknown account", AccountName::as_str);
        for entry in index.entries(id, Uid(0), usize::MAX)? {
            if let Some(why) = why(entry.spool, Some((id, entry.uid))) {
                let place = format!("{} of {owner}, number {}", name.as_str(), entry.uid);
                repaired.lose(place, format!("message {}: {why}", entry.spool));
            }
        }
    }
    let mut queued = Vec::new();
    index.all_queued(|id, _| queued.push(id))?;
    for id in queued {
        if let Some(why) = why(id.spool, None) {
            let place = format!("the queue, recipient {} of message {}", id.recipient + 1, id.spool);
            repaired.lose(place, why);
        }
    }
    Ok(())
}

impl Repaired {
    fn lose(&mut self, place: String, what: String) {
        if self.lost.len() >= LOST_MAX {
            self.more += 1;
            return;
        }
        self.lost.push(Loss { place, what });
    }
}

/// How many places that cannot be read are named.
const HOLES_MAX: usize = 1_000;

/// How many losses are kept.
const LOST_MAX: usize = 10_000;
