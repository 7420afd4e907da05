//! Flags: as the store keeps them, as clients say them, and STORE (RFC 9051 §6.4.6).

use super::Session;
use imap::answer::Status;
use imap::server::{Server, Store};
use imap::{Flag, StoreKind};
use store::{Error, Flags, Uid};

const SYSTEM: [(Flags, Flag); 5] = [
    (Flags::ANSWERED, Flag::Answered),
    (Flags::FLAGGED, Flag::Flagged),
    (Flags::DELETED, Flag::Deleted),
    (Flags::SEEN, Flag::Seen),
    (Flags::DRAFT, Flag::Draft),
];

/// The flags that are set.
pub(super) fn flags(set: Flags) -> Vec<Flag> {
    SYSTEM.iter().filter(|(one, _)| set.contains(*one)).map(|(_, flag)| flag.clone()).collect()
}

/// All that there are.
pub(super) fn all_flags() -> Vec<Flag> {
    SYSTEM.iter().map(|(_, flag)| flag.clone()).collect()
}

/// What a client said. What is no flag that can be kept does not count.
pub(super) fn stored(flags: &[Flag]) -> Flags {
    let known = SYSTEM.iter().filter(|(_, flag)| flags.contains(flag));
    known.fold(Flags::default(), |set, (one, _)| set.with(*one))
}

impl Session {
    /// STORE: the flags are changed durably, then they are told.
    pub(super) async fn store(&mut self, endpoint: &mut Server, store: Store) -> Result<Status, Error> {
        let Some(open) = &self.open else { return Ok(Status::ok("Nothing to store")) };
        let wanted = stored(&store.flags);
        let all = stored(&all_flags());
        let (add, remove) = match store.kind {
            StoreKind::Add => (wanted, Flags::default()),
            StoreKind::Remove => (Flags::default(), wanted),
            StoreKind::Replace => (wanted, all.without(wanted)),
        };
        let uids: Vec<Uid> = store.uids.iter().map(Uid).collect();
        self.visit.context.store.update_flags(open.id, &uids, add, remove).await?;
        let entries = self.entries_of(&store.uids).await?;
        for entry in &entries {
            if !store.silent || endpoint.wants_mod_seqs() {
                self.tell_flags(endpoint, entry);
            }
        }
        if let Some(open) = &mut self.open {
            open.told = entries.iter().map(|entry| (entry.uid.0, entry.modseq)).collect();
        }
        Ok(Status::ok("Store completed"))
    }
}
