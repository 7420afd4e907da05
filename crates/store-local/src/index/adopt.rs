//! Taking a rewritten segment in place of those that it replaces: one durable transaction.

use super::overlay::Overlay;
use super::rows::{FATE_ORDER, MESSAGES, MessageRow, OrderRow, SEGMENTS, SegmentRow};
use super::{Index, Sync, commit};
use crate::effect::{Content, Locator};
use crate::record;
use store::Result;

/// A rewritten segment: what the index must know of it.
#[derive(Debug)]
pub(crate) struct Rewritten {
    pub(crate) segment: u64,
    /// The segments that it replaces.
    pub(crate) replaced: Vec<u64>,
    /// Bytes of all its records.
    pub(crate) used: u64,
    pub(crate) messages: Vec<Relocated>,
    /// Fates by number, and where their records are now.
    pub(crate) fates: Vec<(u64, Locator)>,
}

/// A message that now is somewhere else.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Relocated {
    pub(crate) spool: u64,
    /// Its acceptance.
    pub(crate) record: Locator,
    /// Its content, or the record that says that this is in a file of its own.
    pub(crate) content: Locator,
}

impl Index {
    /// From now on the index points into the rewritten segment, durably.
    pub(crate) fn adopt(&self, rewritten: &Rewritten) -> Result<()> {
        let transaction = self.begin(Sync::Now)?;
        let mut messages: Overlay<'_, MessageRow> = Overlay::new(&transaction, MESSAGES)?;
        let mut segments: Overlay<'_, SegmentRow> = Overlay::new(&transaction, SEGMENTS)?;
        let mut row = SegmentRow { used: rewritten.used, dead: 0 };
        for relocated in &rewritten.messages {
            match messages.row((relocated.spool, 0))? {
                Some(message) => relocate(message, relocated),
                // It went while the segment was being written.
                None => {
                    let (record, content) = (relocated.record, relocated.content);
                    row.dead += record::space(record.length) + record::space(content.length);
                }
            }
        }
        let mut fates: Overlay<'_, OrderRow> = Overlay::new(&transaction, FATE_ORDER)?;
        for (number, record) in &rewritten.fates {
            match fates.row((*number, 0))? {
                Some(order) => order.record = *record,
                // It was forgotten while the segment was being written.
                None => row.dead += record::space(record.length),
            }
        }
        for replaced in &rewritten.replaced {
            segments.remove((*replaced, 0));
        }
        segments.put((rewritten.segment, 0), row);
        messages.write()?;
        fates.write()?;
        segments.write()?;
        commit(transaction)
    }
}

fn relocate(message: &mut MessageRow, relocated: &Relocated) {
    message.record = relocated.record;
    match &mut message.content {
        Content::Log(at) => *at = relocated.content,
        Content::Large { record, .. } => *record = relocated.content,
    }
}
