//! The rows of one table that a transaction changes, kept sorted in memory and written at its end in one sweep.

use super::rows::Definition;
use crate::body;
use crate::error::index_error;
use redb::{ReadableTable, Table, WriteTransaction};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use store::Result;

/// A table and the changes to it.
pub(super) struct Overlay<'t, V> {
    table: Table<'t, (u64, u64), &'static [u8]>,
    changed: BTreeMap<(u64, u64), Option<V>>,
}

impl<'t, V: Serialize + DeserializeOwned> Overlay<'t, V> {
    /// The table, with no changes.
    pub(super) fn new(transaction: &'t WriteTransaction, table: Definition) -> Result<Overlay<'t, V>> {
        let table = transaction.open_table(table).map_err(index_error)?;
        Ok(Overlay { table, changed: BTreeMap::new() })
    }

    /// The row, to be changed.
    pub(super) fn row(&mut self, key: (u64, u64)) -> Result<Option<&mut V>> {
        let slot = match self.changed.entry(key) {
            std::collections::btree_map::Entry::Occupied(slot) => slot.into_mut(),
            std::collections::btree_map::Entry::Vacant(slot) => {
                let row = self.table.get(key).map_err(index_error)?;
                slot.insert(row.map(|bytes| body::decode(bytes.value())).transpose()?)
            }
        };
        Ok(slot.as_mut())
    }

    /// Sets a row.
    pub(super) fn put(&mut self, key: (u64, u64), row: V) {
        self.changed.insert(key, Some(row));
    }

    /// Removes a row; returns what it was.
    pub(super) fn take(&mut self, key: (u64, u64)) -> Result<Option<V>> {
        self.row(key)?;
        Ok(self.changed.insert(key, None).flatten())
    }

    /// Removes a row, whatever it was.
    pub(super) fn remove(&mut self, key: (u64, u64)) {
        self.changed.insert(key, None);
    }

    /// The first key in a range that has a row.
    pub(super) fn first(&self, range: RangeInclusive<(u64, u64)>) -> Result<Option<(u64, u64)>> {
        let here = self.changed.range(range.clone()).find(|(_, row)| row.is_some()).map(|(key, _)| *key);
        for row in self.table.range(range).map_err(index_error)? {
            let key = row.map_err(index_error)?.0.value();
            if !self.changed.contains_key(&key) {
                return Ok(Some(here.map_or(key, |here| here.min(key))));
            }
        }
        Ok(here)
    }

    /// Removes all rows whose keys begin with this number; returns them.
    pub(super) fn take_all(&mut self, first: u64) -> Result<Vec<V>> {
        self.take_range((first, 0)..=(first, u64::MAX))
    }

    /// Removes all rows in a range of keys; returns them.
    pub(super) fn take_range(&mut self, range: RangeInclusive<(u64, u64)>) -> Result<Vec<V>> {
        let mut keys: Vec<(u64, u64)> = self.changed.range(range.clone()).map(|(key, _)| *key).collect();
        for row in self.table.range(range).map_err(index_error)? {
            keys.push(row.map_err(index_error)?.0.value());
        }
        let mut rows = Vec::new();
        for key in keys {
            rows.extend(self.take(key)?);
        }
        Ok(rows)
    }

    /// Writes the changes, in the order of their keys.
    pub(super) fn write(mut self) -> Result<()> {
        for (key, row) in self.changed {
            match row {
                Some(row) => {
                    drop(self.table.insert(key, body::encode(&row).as_slice()).map_err(index_error)?)
                }
                None => drop(self.table.remove(key).map_err(index_error)?),
            }
        }
        Ok(())
    }
}
