//! Reading the index.

mod mailboxes;

use super::rows::{
    ACCOUNTS, ALIASES, BELONGINGS, DOMAINS, Definition, FATE_ORDER, FATES, FateRow, MESSAGES, META,
    MessageRow, Named, OrderRow, PAUSES, QUEUE, QueueRow, SEGMENTS, SegmentRow,
};
use crate::body::{self, Belongings, Counters, DirectoryChange, Fate};
use crate::effect::Position;
use crate::error::index_error;
use crate::segment;
use redb::{ReadTransaction, ReadableTable};
use serde::de::DeserializeOwned;
use store::{Account, AccountId, AccountName, DeliveryId, Pause, PauseScope, Result, SpoolId, Timestamp};

/// The index at one moment.
pub(crate) struct Snapshot {
    transaction: ReadTransaction,
}

impl Snapshot {
    pub(super) fn new(transaction: ReadTransaction) -> Snapshot {
        Snapshot { transaction }
    }

    /// How far the log was applied; `None` when nothing was.
    pub(crate) fn position(&self) -> Result<Option<Position>> {
        self.meta("position")
    }

    /// The highest numbers given so far.
    pub(crate) fn counters(&self) -> Result<Counters> {
        Ok(self.meta("counters")?.unwrap_or_default())
    }

    /// One account.
    pub(crate) fn account(&self, name: &AccountName) -> Result<Option<Account>> {
        self.row_named(ACCOUNTS, name.as_str())
    }

    /// All accounts, by name.
    pub(crate) fn accounts(&self) -> Result<Vec<Account>> {
        self.named(ACCOUNTS)
    }

    /// What belongs to an account.
    pub(crate) fn belongings(&self, account: AccountId) -> Result<Belongings> {
        Ok(self.row(BELONGINGS, (account.0, 0))?.unwrap_or_default())
    }

    /// What belongs to accounts, of each that has anything.
    pub(crate) fn all_belongings(&self) -> Result<Vec<(AccountId, Belongings)>> {
        let mut all = Vec::new();
        self.rows(BELONGINGS, (0, 0), |key, row| {
            all.push((AccountId(key.0), row));
            Ok(true)
        })?;
        Ok(all)
    }

    /// What made an alias what it is.
    pub(crate) fn alias(&self, name: &AccountName) -> Result<Option<DirectoryChange>> {
        self.row_named(ALIASES, name.as_str())
    }

    /// What made each alias what it is.
    pub(crate) fn aliases(&self) -> Result<Vec<DirectoryChange>> {
        self.named(ALIASES)
    }

    /// What made a domain what it is.
    pub(crate) fn domain(&self, name: &str) -> Result<Option<DirectoryChange>> {
        self.row_named(DOMAINS, name)
    }

    /// What made each domain what it is.
    pub(crate) fn domains(&self) -> Result<Vec<DirectoryChange>> {
        self.named(DOMAINS)
    }

    /// Where a message is, and how often it is named.
    pub(crate) fn message(&self, spool: SpoolId) -> Result<Option<MessageRow>> {
        self.row(MESSAGES, (spool.0, 0))
    }

    /// The same of several messages, each in its place.
    pub(crate) fn messages(&self, spools: impl Iterator<Item = SpoolId>) -> Result<Vec<Option<MessageRow>>> {
        let table = self.transaction.open_table(MESSAGES).map_err(index_error)?;
        let row = |spool: SpoolId| {
            let row = table.get((spool.0, 0)).map_err(index_error)?;
            row.map(|bytes| body::decode(bytes.value())).transpose()
        };
        spools.map(row).collect()
    }

    /// Every message.
    pub(crate) fn all_messages(&self, mut each: impl FnMut(SpoolId, MessageRow) -> Result<()>) -> Result<()> {
        self.rows(MESSAGES, (0, 0), |key, row| each(SpoolId(key.0), row).map(|()| true))
    }

    /// Every segment and what of it is in use, in the order of the log.
    pub(crate) fn segments(&self) -> Result<Vec<(u64, SegmentRow)>> {
        let mut segments = Vec::new();
        self.rows(SEGMENTS, (0, 0), |key, row| {
            segments.push((key.0, row));
            Ok(true)
        })?;
        segments.sort_unstable_by_key(|(segment, _)| segment::last(*segment));
        Ok(segments)
    }

    /// A queued delivery.
    pub(crate) fn queued(&self, id: DeliveryId) -> Result<Option<QueueRow>> {
        self.row(QUEUE, (id.spool.0, u64::from(id.recipient)))
    }

    /// Every queued delivery.
    pub(crate) fn all_queued(&self, mut each: impl FnMut(DeliveryId, QueueRow)) -> Result<()> {
        self.rows(QUEUE, (0, 0), |key, row| {
            each(DeliveryId { spool: SpoolId(key.0), recipient: key.1 as u32 }, row);
            Ok(true)
        })
    }

    /// The fates of messages before this one, the latest message first, until there are `limit` and no more of the last message.
    pub(crate) fn fates(&self, before: Option<SpoolId>, limit: usize) -> Result<Vec<Fate>> {
        let table = self.transaction.open_table(FATES).map_err(index_error)?;
        let end = before.map_or((u64::MAX, u64::MAX), |before| (before.0, 0));
        let mut fates: Vec<Fate> = Vec::new();
        for row in table.range(..end).map_err(index_error)?.rev() {
            let (key, bytes) = row.map_err(index_error)?;
            let spool = key.value().0;
            if fates.len() >= limit && fates.last().is_none_or(|last| last.spool != spool) {
                break;
            }
            fates.push(body::decode::<FateRow>(bytes.value())?.fate);
        }
        fates.sort_by_key(|fate| (std::cmp::Reverse(fate.spool), fate.number));
        Ok(fates)
    }

    /// The fates of one message.
    pub(crate) fn fates_of(&self, spool: SpoolId) -> Result<Vec<Fate>> {
        let mut fates = Vec::new();
        self.rows(FATES, (spool.0, 0), |key, row: FateRow| {
            let more = key.0 == spool.0;
            if more {
                fates.push(row.fate);
            }
            Ok(more)
        })?;
        Ok(fates)
    }

    /// The number of the last fate; 0 when there was none yet.
    pub(crate) fn last_fate(&self) -> Result<u64> {
        let table = self.transaction.open_table(FATE_ORDER).map_err(index_error)?;
        Ok(table.last().map_err(index_error)?.map_or(0, |(key, _)| key.value().0))
    }

    /// Whether the fate of this number is remembered.
    pub(crate) fn has_fate(&self, number: u64) -> Result<bool> {
        Ok(self.row::<OrderRow>(FATE_ORDER, (number, 0))?.is_some())
    }

    /// The number up to which fates ended before this moment, as far as a look at the first few tells; 0 when the first did not.
    pub(crate) fn expired_fates(&self, horizon: Timestamp) -> Result<u64> {
        let (mut last, mut looked_at) = (0, 0);
        self.rows(FATE_ORDER, (0, 0), |key, row: OrderRow| {
            let expired = row.ended < horizon;
            if expired {
                last = key.0;
            }
            looked_at += 1;
            Ok(expired && looked_at < FORGOTTEN_AT_ONCE)
        })?;
        Ok(last)
    }

    /// A pause.
    pub(crate) fn pause(&self, scope: &PauseScope) -> Result<Option<Pause>> {
        self.row_named(PAUSES, &super::pause_key(scope))
    }

    /// All pauses.
    pub(crate) fn pauses(&self) -> Result<Vec<Pause>> {
        let mut pauses: Vec<Pause> = self.named(PAUSES)?;
        pauses.sort_by(|a, b| a.scope.cmp(&b.scope));
        Ok(pauses)
    }

    fn meta<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        let meta = self.transaction.open_table(META).map_err(index_error)?;
        let value = meta.get(name).map_err(index_error)?;
        value.map(|bytes| body::decode(bytes.value())).transpose()
    }

    fn row_named<V: DeserializeOwned>(&self, table: Named, name: &str) -> Result<Option<V>> {
        let table = self.transaction.open_table(table).map_err(index_error)?;
        let row = table.get(name).map_err(index_error)?;
        row.map(|bytes| body::decode(bytes.value())).transpose()
    }

    /// All rows of a table, by name.
    fn named<V: DeserializeOwned>(&self, table: Named) -> Result<Vec<V>> {
        let table = self.transaction.open_table(table).map_err(index_error)?;
        let rows = table.iter().map_err(index_error)?;
        rows.map(|row| body::decode(row.map_err(index_error)?.1.value())).collect()
    }

    fn row<V: DeserializeOwned>(&self, table: Definition, key: (u64, u64)) -> Result<Option<V>> {
        let table = self.transaction.open_table(table).map_err(index_error)?;
        let row = table.get(key).map_err(index_error)?;
        row.map(|bytes| body::decode(bytes.value())).transpose()
    }

    /// Goes through the rows from a key on, for as long as `each` wants more.
    fn rows<V: DeserializeOwned>(
        &self,
        table: Definition,
        from: (u64, u64),
        mut each: impl FnMut((u64, u64), V) -> Result<bool>,
    ) -> Result<()> {
        let table = self.transaction.open_table(table).map_err(index_error)?;
        for row in table.range(from..).map_err(index_error)? {
            let (key, bytes) = row.map_err(index_error)?;
            if !each(key.value(), body::decode(bytes.value())?)? {
                break;
            }
        }
        Ok(())
    }
}

/// As many fates go when one comes, at most: they become fewer when there are more than are wanted, without a long pause for anybody.
const FORGOTTEN_AT_ONCE: usize = 4;
