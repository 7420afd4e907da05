//! Writing the log of a repaired store: an ordinary one, in batches of many records.

use super::copies::Retold;
use super::salvage::{Message, Piece};
use crate::batch::Batch;
use crate::body::{self, AccountChange, Counters, Opening, Place, Remains};
use crate::effect::Effect;
use crate::index::Snapshot;
use crate::large::LargeFiles;
use crate::local::{Options, Work};
use crate::log::Log;
use crate::open::{LARGE, LOG};
use crate::prepare::Preparer;
use crate::record::{Kind, Spot, space};
use crate::scan::Record;
use crate::segments::Segments;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use store::{Error, MailboxId, Result, SpoolId};

/// What decides about a message: the index of all that is there, what is wrong with which message, and the large files.
type Known<'k> = (&'k Snapshot, &'k HashMap<u64, String>, Option<&'k LargeFiles>);

/// A log being written.
pub(super) struct Writer {
    log: Log,
    batch: Batch,
    large: Arc<LargeFiles>,
    counters: Counters,
    /// The last numbers of messages that were left out.
    remains: BTreeMap<MailboxId, Place>,
}

impl Writer {
    /// For the store in this directory, which is empty; no number up to these will be given again.
    pub(super) fn new(options: &Options, directory: &Path, counters: Counters) -> Result<Writer> {
        let segments = Arc::new(Segments::open(options.files.clone(), directory.join(LOG), &options.random)?);
        let preparer = Preparer::new(segments.clone(), options.segment_size, Work::Caller);
        let log = Log::open(segments, preparer, None)?;
        let batch = Batch::new(log.spot());
        let large = Arc::new(LargeFiles::open(options.files.clone(), directory.join(LARGE))?);
        Ok(Writer { log, batch, large, counters, remains: BTreeMap::new() })
    }

    /// Takes over a piece, if it still says something and is whole.
    pub(super) fn piece(&mut self, piece: Piece, known: Known<'_>, retold: &mut Retold) -> Result<()> {
        match piece {
            Piece::Lost(_) | Piece::Torn(_) => Ok(()),
            Piece::Message(message) => {
                let spool = message.accepted.spool;
                self.message(*message, known)?;
                self.effects(retold.after_message(spool))
            }
            Piece::Change { effect: Effect::Opening(_), .. } => Ok(()),
            Piece::Change { effect: Effect::Remains(Remains(places)), .. } => {
                places.into_iter().for_each(|place| self.remain(place));
                Ok(())
            }
            Piece::Change { effect: Effect::Account(change), record, .. } => {
                self.records(&[&record])?;
                self.effects(retold.after_change(&change))
            }
            Piece::Change { record, .. } => self.records(&[&record]),
        }
    }

    /// Adds a change of accounts.
    pub(super) fn account(&mut self, change: &AccountChange, retold: &mut Retold) -> Result<()> {
        self.effect(Effect::Account(change.clone()))?;
        self.effects(retold.after_change(change))
    }

    fn effects(&mut self, effects: Vec<Effect>) -> Result<()> {
        effects.into_iter().try_for_each(|effect| self.effect(effect))
    }

    /// Adds a record that says this.
    pub(super) fn effect(&mut self, effect: Effect) -> Result<()> {
        let (kind, body) = match effect {
            Effect::Account(change) => (Kind::Account, body::encode(&change)),
            Effect::Mailbox(change) => (change.kind(), body::encode(&change)),
            Effect::Layout(change) => (Kind::Layout, body::encode(&change)),
            Effect::Directory(change) => (Kind::Directory, body::encode(&change)),
            Effect::Settled(settlement) => (Kind::Settlement, body::encode(&settlement)),
            Effect::Queue(change, _) => (Kind::Queue, body::encode(&change)),
            Effect::Remains(Remains(places)) => {
                places.into_iter().for_each(|place| self.remain(place));
                return Ok(());
            }
            Effect::Opening(_) | Effect::Accepted(_) => unreachable!("these are never made anew"),
        };
        self.make_room(space(body.len() as u32))?;
        self.batch.push(kind, &body);
        Ok(())
    }

    /// Ends the log.
    pub(super) fn finish(mut self) -> Result<()> {
        let places: Vec<Place> = std::mem::take(&mut self.remains).into_values().collect();
        if !places.is_empty() {
            let body = body::encode(&Remains(places));
            self.make_room(space(body.len() as u32))?;
            self.batch.push(Kind::Remains, &body);
        }
        self.make_room(0)?;
        self.flush()
    }

    fn message(&mut self, message: Message, (alive, damaged, large): Known<'_>) -> Result<()> {
        let spool = message.accepted.spool;
        let living = alive.message(SpoolId(spool))?.filter(|_| !damaged.contains_key(&spool));
        // Named by something, and not by another record of the same message.
        let is_this = living.is_some_and(|row| row.references > 0 && row.record == message.arrival.record);
        let content = match message.content {
            Ok(content) if is_this => content,
            _ => {
                message.placed.0.into_iter().for_each(|place| self.remain(place));
                return Ok(());
            }
        };
        if content.header.kind == Kind::Large {
            let body = content.body.as_ref().expect("it is whole");
            let body::Large { length, .. } = body::decode(body)?;
            let from = large.ok_or_else(|| Error::NoSuchMessage(SpoolId(spool).to_string()))?;
            copy_large(from, &self.large, (spool, length))?;
        }
        self.records(&[&content, &message.acceptance])
    }

    /// Adds records as they are, side by side.
    fn records(&mut self, records: &[&Record]) -> Result<()> {
        self.make_room(records.iter().map(|record| record.header.space()).sum())?;
        for record in records {
            let body = record.body.clone().expect("only whole records are taken over");
            self.batch.push_chunks(record.header.kind, &[], vec![body], record.header.body_crc);
        }
        Ok(())
    }

    fn remain(&mut self, place: Place) {
        let last = self.remains.entry(place.mailbox).or_insert(place);
        last.uid = last.uid.max(place.uid);
        last.modseq = last.modseq.max(place.modseq);
    }

    /// Makes sure that so much more fits the batch and the segment, and that a segment begins with its opening record.
    fn make_room(&mut self, bytes: u64) -> Result<()> {
        let fits = self.log.fits(self.batch.length() + bytes + OPENING_MAX);
        if !fits || self.batch.length() + bytes > BATCH_MAX {
            self.flush()?;
        }
        if !self.log.fits(self.batch.length() + bytes + OPENING_MAX) {
            self.log.roll(bytes + OPENING_MAX)?;
            self.batch = Batch::new(self.log.spot());
        }
        if self.log.is_at_beginning() && self.batch.is_empty() {
            let opening = Opening { previous_end: self.log.previous_end(), counters: self.counters };
            self.batch.push(Kind::Opening, &body::encode(&opening));
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        let spot = self.log.spot();
        let next = Batch::new(Spot { offset: spot.offset + self.batch.length(), ..spot });
        let batch = std::mem::replace(&mut self.batch, next);
        if batch.is_empty() {
            return Ok(());
        }
        batch.finish(|pieces, length| self.log.append(pieces, length)).map(drop)
    }
}

/// Copies the content of a message that is in a file of its own, block by block, each checked.
fn copy_large(from: &LargeFiles, to: &Arc<LargeFiles>, (spool, length): (u64, u64)) -> Result<()> {
    let mut reader = from.read(SpoolId(spool), length)?;
    let mut copy = to.create(spool)?;
    while let Some(block) = reader.next()? {
        copy.write(vec![block])?;
    }
    let (file, _, _) = copy.finish()?;
    file.keep();
    Ok(())
}

/// How much is written before a sync, give or take one message.
const BATCH_MAX: u64 = 8 << 20;

/// The most that an opening record takes.
const OPENING_MAX: u64 = 128;
