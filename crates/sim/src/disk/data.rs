//! The bytes of one file: as they are now, and as a power cut would leave them.

use std::collections::BTreeSet;

/// One file's bytes.
#[derive(Debug, Clone, Default)]
pub(super) struct Data {
    now: Vec<u8>,
    durable: Vec<u8>,
    /// The sectors that differ, or may.
    dirty: BTreeSet<usize>,
}

/// What a crash does to the sectors of a file that were not synced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Torn {
    pub(super) kept: u64,
    pub(super) lost: u64,
}

impl Data {
    /// A file with these bytes, all of them durable.
    pub(super) fn durably(bytes: Vec<u8>) -> Data {
        Data { now: bytes.clone(), durable: bytes, dirty: BTreeSet::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.now.len()
    }

    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) -> usize {
        let from = self.now.get(offset as usize..).unwrap_or_default();
        let count = buffer.len().min(from.len());
        buffer[..count].copy_from_slice(&from[..count]);
        count
    }

    pub(super) fn write(&mut self, bytes: &[u8], offset: u64) {
        let (from, to) = (offset as usize, offset as usize + bytes.len());
        if bytes.is_empty() {
            return;
        }
        if to > self.now.len() {
            self.resize(to);
        }
        self.now[from..to].copy_from_slice(bytes);
        self.dirty.extend(from / SECTOR..to.div_ceil(SECTOR));
    }

    pub(super) fn resize(&mut self, length: usize) {
        let old = self.now.len();
        self.now.resize(length, 0);
        self.dirty.extend(old.min(length) / SECTOR..old.max(length).div_ceil(SECTOR));
    }

    /// Makes everything durable.
    pub(super) fn sync(&mut self) {
        for sector in std::mem::take(&mut self.dirty) {
            keep(&self.now, &mut self.durable, sector);
        }
        self.durable.resize(self.now.len(), 0);
    }

    /// Makes every second sector durable and forgets that the others are not.
    pub(super) fn sync_badly(&mut self) {
        for (number, sector) in std::mem::take(&mut self.dirty).into_iter().enumerate() {
            if number % 2 == 0 {
                keep(&self.now, &mut self.durable, sector);
            }
        }
    }

    /// What is left after a crash, when `keeps` says for each sector in doubt whether it has reached the disk.
    pub(super) fn crashed(&self, keeps: &mut dyn FnMut() -> bool) -> (Vec<u8>, Torn) {
        let (mut bytes, mut torn) = (self.durable.clone(), Torn::default());
        for &sector in &self.dirty {
            let range =
                |of: &[u8]| of.get(sector * SECTOR..of.len().min((sector + 1) * SECTOR)).map(<[u8]>::to_vec);
            if range(&self.now) == range(&self.durable) {
                continue;
            }
            if keeps() {
                torn.kept += 1;
                keep(&self.now, &mut bytes, sector);
            } else {
                torn.lost += 1;
            }
        }
        (bytes, torn)
    }
}

/// Brings one sector from `now` to `durable`.
fn keep(now: &[u8], durable: &mut Vec<u8>, sector: usize) {
    let from = sector * SECTOR;
    let to = now.len().min(from + SECTOR);
    if from >= to {
        // The file ends before this sector now.
        durable.truncate(durable.len().min(from.max(now.len())));
        return;
    }
    if durable.len() < to {
        durable.resize(to, 0);
    }
    durable[from..to].copy_from_slice(&now[from..to]);
}

/// What a disk writes as a whole, in bytes.
const SECTOR: usize = 512;
