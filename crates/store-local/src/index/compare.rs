//! Comparing two indexes row by row, for verification.

use super::Index;
use super::rows::{
    ACCOUNTS, ALIASES, BELONGINGS, CHANGES, DOMAINS, ENTRIES, FATE_ORDER, FATES, MAILBOXES, MESSAGES, META,
    NAMES, PAUSES, QUEUE, SEGMENTS, SUBSCRIPTIONS, VANISHED,
};
use crate::error::index_error;
use redb::{Key, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, TableHandle, Value};
use store::Result;

impl Index {
    /// Tells `differ` which tables differ from those of the other index, and at which key first.
    pub(crate) fn compare(&self, other: &Index, differ: &mut dyn FnMut(String)) -> Result<()> {
        let ours = self.database.begin_read().map_err(index_error)?;
        let theirs = other.database.begin_read().map_err(index_error)?;
        for table in [MAILBOXES, ENTRIES, CHANGES, VANISHED] {
            compare_table(table, (&ours, &theirs), differ)?;
        }
        for table in [BELONGINGS, MESSAGES, QUEUE, FATES, FATE_ORDER, SEGMENTS] {
            compare_table(table, (&ours, &theirs), differ)?;
        }
        for table in [ACCOUNTS, ALIASES, DOMAINS, PAUSES] {
            compare_table(table, (&ours, &theirs), differ)?;
        }
        compare_table(NAMES, (&ours, &theirs), differ)?;
        compare_table(SUBSCRIPTIONS, (&ours, &theirs), differ)?;
        compare_table(META, (&ours, &theirs), differ)
    }
}

fn compare_table<K: Key + 'static, V: Value + 'static>(
    table: TableDefinition<'static, K, V>,
    (ours, theirs): (&ReadTransaction, &ReadTransaction),
    differ: &mut dyn FnMut(String),
) -> Result<()> {
    let name = table.name().to_owned();
    let ours = ours.open_table(table).map_err(index_error)?;
    let theirs = theirs.open_table(table).map_err(index_error)?;
    let mut ours = ours.iter().map_err(index_error)?;
    let mut theirs = theirs.iter().map_err(index_error)?;
    loop {
        let our = ours.next().transpose().map_err(index_error)?;
        let their = theirs.next().transpose().map_err(index_error)?;
        let key = match (&our, &their) {
            (None, None) => return Ok(()),
            (Some((our_key, our)), Some((their_key, their))) => {
                let same_key =
                    K::as_bytes(&our_key.value()).as_ref() == K::as_bytes(&their_key.value()).as_ref();
                if same_key && V::as_bytes(&our.value()).as_ref() == V::as_bytes(&their.value()).as_ref() {
                    continue;
                }
                our_key
            }
            (Some((key, _)), None) | (None, Some((key, _))) => key,
        };
        differ(format!("table {name} differs from the log, first at {:?}", key.value()));
        return Ok(());
    }
}
