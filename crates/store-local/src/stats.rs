//! How much there is in a store, as its index counts it.

use crate::effect::Content;
use crate::engine::Engine;
use crate::error::io_error;
use crate::file::Mode;
use crate::index::SegmentRow;
use crate::open::INDEX;
use store::Result;

/// How much there is in a store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Accounts.
    pub accounts: u64,
    /// Aliases.
    pub aliases: u64,
    /// Domains.
    pub domains: u64,
    /// Segments of the log.
    pub segments: u64,
    /// How long their files are, in bytes; what is reserved for records to come is part of it.
    pub log_bytes: u64,
    /// Bytes of the log's records that are needed.
    pub live_bytes: u64,
    /// Bytes of the records of messages that nothing names any more.
    pub dead_bytes: u64,
    /// Messages that are queued or in a mailbox.
    pub messages: u64,
    /// Deliveries in the queue.
    pub queued: u64,
    /// Messages whose content is in a file of its own.
    pub large_files: u64,
    /// How long those contents are together, in bytes.
    pub large_bytes: u64,
    /// How long the index is, in bytes.
    pub index_bytes: u64,
}

/// The few figures that cost next to nothing, however many messages there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Accounts.
    pub accounts: u64,
    /// Entries of all mailboxes.
    pub messages: u64,
    /// Their size as read, in bytes.
    pub bytes: u64,
    /// Deliveries in the queue.
    pub queued: u64,
    /// Those of them whose records could not be read when that was last tried.
    pub unreadable: u64,
    /// What the file system can still take, in bytes.
    pub free: u64,
    /// With less free space than this, in bytes, no mail is accepted.
    pub reserve: u64,
}

impl Engine {
    /// Adds up what the mailboxes' own rows say.
    pub(crate) fn totals(&self) -> Result<Totals> {
        let snapshot = self.view.read()?;
        let accounts = snapshot.accounts()?.len() as u64;
        let (free, reserve) = (self.status.free_space()?, self.status.reserve());
        let (queued, unreadable) = {
            let queue = self.view.queue();
            (queue.len() as u64, queue.unreadable().len() as u64)
        };
        let mut totals = Totals { accounts, queued, unreadable, free, reserve, ..Totals::default() };
        for mailbox in snapshot.all_mailboxes()? {
            totals.messages += mailbox.messages;
            totals.bytes += mailbox.bytes;
        }
        Ok(totals)
    }

    /// Counts; goes through all messages.
    pub(crate) fn stats(&self) -> Result<Stats> {
        let snapshot = self.view.read()?;
        let mut stats = Stats {
            accounts: self.roster.accounts().len() as u64,
            aliases: self.roster.aliases().len() as u64,
            domains: self.roster.domains().len() as u64,
            ..Stats::default()
        };
        for (segment, SegmentRow { used, dead }) in snapshot.segments()? {
            stats.segments += 1;
            stats.live_bytes += used.saturating_sub(dead);
            stats.dead_bytes += dead;
            let size = self.segments.open_to_read(segment)?.size();
            let path = self.segments.path(segment);
            stats.log_bytes += size.map_err(|error| io_error("asking for the length of", &path, error))?;
        }
        snapshot.all_messages(|_, message| {
            stats.messages += 1;
            if let Content::Large { length, .. } = message.content {
                stats.large_files += 1;
                stats.large_bytes += length;
            }
            Ok(())
        })?;
        snapshot.all_queued(|_, _| stats.queued += 1)?;
        let path = self.directory.join(INDEX);
        let size = self.files.open(&path, Mode::Read).and_then(|index| index.size());
        stats.index_bytes = size.map_err(|error| io_error("asking for the length of", &path, error))?;
        Ok(stats)
    }
}
