//! Writing one segment in place of a run of sealed ones, without what nothing names any more.
//!
//! What stays keeps its order, and the new segment takes the place of the old ones in the log's order. So what the log as a whole says
//! stays the same, whatever comes before and after, and an index made anew from it equals the one that was there. [`crate::space`]
//! decides what is rewritten and when, and lets the index point to the new segment.

use crate::batch::Batch;
use crate::body::{
    self, Accepted, Copied, DirectoryChange, LayoutChange, MailboxChange, Opening, Place, QueueChange,
    Remains, Settlement, Subject,
};
use crate::effect::Locator;
use crate::error::io_error;
use crate::file::{File, write_all_at};
use crate::index::{Relocated, Rewritten, Snapshot};
use crate::record::{BODY_VERSION, Kind, SEGMENT_HEADER, SegmentHeader, Spot};
use crate::scan::{self, Record, Scanner};
use crate::segment;
use crate::segments::Segments;
use std::collections::{BTreeMap, HashSet};
use std::io::IoSlice;
use std::ops::ControlFlow;
use std::sync::Arc;
use store::{DeliveryId, Error, MailboxId, Result, SpoolId};

/// Told after each piece how many bytes of the old segments it stood for; says whether to go on.
pub(crate) type Pace<'p> = &'p mut dyn FnMut(u64) -> ControlFlow<()>;

/// A segment being written.
struct Rewriter<'a> {
    segments: &'a Segments,
    snapshot: &'a Snapshot,
    pace: Pace<'a>,
    file: Arc<dyn File>,
    /// Whether nothing older than what is rewritten is left in the log.
    oldest: bool,
    at: u64,
    /// How much of the old segments was read since the last sync.
    unsynced: u64,
    rewritten: Rewritten,
    /// Messages whose records are dropped here.
    dropped: HashSet<u64>,
    remains: BTreeMap<MailboxId, Place>,
}

/// Rewrites these segments, a run in the order of the log that ends where `next` begins. The snapshot must have all of them applied. The
/// new segment is durable when this returns; `None` when it was told to stop. On an error nothing has changed.
pub(crate) fn rewrite(
    segments: &Segments,
    snapshot: &Snapshot,
    (replaced, next): (&[u64], u64),
    pace: Pace<'_>,
) -> Result<Option<Rewritten>> {
    let generation = replaced.iter().map(|segment| segment::generation(*segment)).max();
    let ends = replaced.first().zip(replaced.last());
    let target = ends.zip(generation).and_then(|((first, last), generation)| {
        segment::rewritten(segment::first(*first), segment::last(*last), generation + 1)
    });
    let target = target.ok_or_else(|| Error::Invalid("these segments cannot be rewritten".to_owned()))?;
    let written = segments.begin_rewritten(target).and_then(|file| {
        let rewritten = Rewritten {
            segment: target,
            replaced: replaced.to_vec(),
            used: 0,
            messages: Vec::new(),
            fates: Vec::new(),
        };
        let mut rewriter = Rewriter {
            segments,
            snapshot,
            pace,
            file,
            oldest: segment::first(target) == crate::recover::FIRST_SEGMENT,
            at: SEGMENT_HEADER,
            unsynced: 0,
            rewritten,
            dropped: HashSet::new(),
            remains: BTreeMap::new(),
        };
        if rewriter.run(next)?.is_break() {
            return Ok(None);
        }
        segments.finish_rewritten(target)?;
        Ok(Some(rewriter.rewritten))
    });
    if !matches!(written, Ok(Some(_))) {
        segments.abandon_rewritten(target)?;
    }
    written
}

impl Rewriter<'_> {
    fn run(&mut self, next: u64) -> Result<ControlFlow<()>> {
        let replaced = self.rewritten.replaced.clone();
        let mut opening = opening(self.segments, replaced[0])?;
        for segment in &replaced[1..] {
            opening.counters.see(&self::opening(self.segments, *segment)?.counters);
        }
        let mut batch = self.begin();
        batch.push(Kind::Opening, &body::encode(&opening));
        self.write(batch)?;
        let mut end = 0;
        for (index, segment) in replaced.iter().enumerate() {
            match self.segment(*segment)? {
                ControlFlow::Continue(logical_end) => end = logical_end,
                ControlFlow::Break(()) => return Ok(ControlFlow::Break(())),
            }
            let follower = replaced.get(index + 1).copied().unwrap_or(next);
            if self::opening(self.segments, follower)?.previous_end != end {
                return Err(damaged(*segment, "it does not end where the next one says"));
            }
        }
        let (snapshot, mut places) = (self.snapshot, Vec::new());
        for (mailbox, place) in std::mem::take(&mut self.remains) {
            if snapshot.has_mailbox(mailbox)? {
                places.push(place);
            }
        }
        if !places.is_empty() {
            let mut batch = self.begin();
            batch.push(Kind::Remains, &body::encode(&Remains(places)));
            self.write(batch)?;
        }
        let (salt, segment) = (self.segments.salt(), self.rewritten.segment);
        let header = SegmentHeader { salt, segment, replaced_end: Some(end) }.encode();
        let written = write_all_at(&*self.file, &mut [IoSlice::new(&header)], 0);
        written.and_then(|()| self.file.sync_data()).map_err(|error| self.fail(error))?;
        Ok(ControlFlow::Continue(()))
    }

    /// Takes over what is to stay of one segment; returns where that ends, as the segment behind it knows it.
    fn segment(&mut self, segment: u64) -> Result<ControlFlow<(), u64>> {
        let fail = |error| unreadable(segment, error);
        let mut scanner = scanner(self.segments, segment)?;
        let mut at = SEGMENT_HEADER;
        while let Some(batch) = scanner.batch(at).map_err(fail)? {
            at = batch.end;
            self.batch(segment, &batch)?;
            self.unsynced += batch.end - batch.start;
            if self.unsynced >= PIECE && self.piece()?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        let rest = scanner.rest(at).map_err(fail)?;
        match scanner.replaced_end {
            _ if rest.last_byte.is_some() => Err(damaged(segment, "not all of its records can be read")),
            Some(_) if at != scanner.size => Err(damaged(segment, "its end is missing")),
            Some(end) => Ok(ControlFlow::Continue(end)),
            None => Ok(ControlFlow::Continue(at)),
        }
    }

    /// Makes durable what was written and makes a pause, so that the next piece does not hold up those who wait for the log's syncs.
    fn piece(&mut self) -> Result<ControlFlow<()>> {
        self.file.sync_data().map_err(|error| self.fail(error))?;
        Ok((self.pace)(std::mem::take(&mut self.unsynced)))
    }

    fn batch(&mut self, segment: u64, batch: &scan::Batch) -> Result<()> {
        let mut out = self.begin();
        let mut content = None;
        for record in &batch.records {
            let bytes = record
                .body
                .as_ref()
                .ok_or_else(|| damaged(segment, "a record does not match its checksum"))?;
            if record.header.version != BODY_VERSION {
                return Err(damaged(segment, "a record has a format that this program does not know"));
            }
            let stays = match record.header.kind {
                Kind::Opening => false,
                Kind::Content | Kind::Large => {
                    content = Some(record);
                    false
                }
                Kind::Accepted => {
                    let content = content.take();
                    let content = content.ok_or_else(|| damaged(segment, "a message without its content"))?;
                    self.message(segment, (content, record), &mut out)?;
                    false
                }
                Kind::Remains => {
                    let Remains(places) = body::decode(bytes)?;
                    places.into_iter().for_each(|place| self.remain(place));
                    false
                }
                Kind::Account => true,
                Kind::Directory => self.directory_stays(&body::decode(bytes)?)?,
                Kind::Mailbox | Kind::Entries => self.change(&body::decode(bytes)?, record, &mut out)?,
                Kind::Layout => self.layout_stays(&body::decode(bytes)?)?,
                Kind::Queue => self.queue(&body::decode(bytes)?, record, &mut out)?,
                Kind::Settlement => self.settlement_stays(&body::decode(bytes)?)?,
                Kind::Unknown(_) => return Err(damaged(segment, "a later program wrote to it")),
            };
            if stays {
                copy(&mut out, record);
            }
        }
        self.write(out)
    }

    /// A message stays, whole, as long as anything names it.
    fn message(
        &mut self,
        segment: u64,
        (content, acceptance): (&Record, &Record),
        out: &mut Batch,
    ) -> Result<()> {
        let bytes = acceptance.body.as_ref().expect("checked by the caller");
        let (Accepted { spool, .. }, placed) = Accepted::decode(bytes)?;
        let Some(row) = self.snapshot.message(SpoolId(spool))? else {
            self.dropped.insert(spool);
            placed.0.into_iter().for_each(|place| self.remain(place));
            return Ok(());
        };
        if (row.record.segment, row.record.offset) != (segment, acceptance.offset) {
            return Err(damaged(segment, "a message in it is somewhere else for the index"));
        }
        let (content, record) = (copy(out, content), copy(out, acceptance));
        self.rewritten.messages.push(Relocated { spool, record, content });
        Ok(())
    }

    /// Marks of entries that are gone say nothing any more. That entries are gone is part of the mailbox's history; of copies that are gone
    /// stays what became of their originals. But copies of a message that is alive stay as they are, even when all of them are gone:
    /// it may have come where it is by way of them, and without them nothing would name it between its leaving the one mailbox and its
    /// arriving in the other. What made their mailbox, and took it away, is always kept, so they are applied as they were the first time.
    fn change(&mut self, change: &MailboxChange, record: &Record, out: &mut Batch) -> Result<bool> {
        Ok(match change {
            MailboxChange::Flags { mailbox, uids, .. } | MailboxChange::Marked { mailbox, uids, .. } => {
                self.snapshot.has_any(*mailbox, uids)?
            }
            MailboxChange::Expunged { mailbox, .. } => self.snapshot.has_mailbox(*mailbox)?,
            MailboxChange::Copied(copied) if self.copies_stay(copied)? => true,
            MailboxChange::Copied(copied) => {
                if let Some((uid, modseq, _)) = copied.copies().last() {
                    self.remain(Place { mailbox: copied.target, uid, modseq });
                }
                let expunged = copied.expunged();
                let stays = self.snapshot.has_mailbox(copied.source)?;
                if let Some(expunged) = expunged.filter(|_| stays) {
                    let body = body::encode(&expunged);
                    // Never longer than the copies are, which have these numbers and more.
                    debug_assert!(body.len() <= record.header.length as usize);
                    out.push(expunged.kind(), &body);
                }
                false
            }
        })
    }

    /// Whether any of the copies is there, or any of the messages.
    fn copies_stay(&self, copied: &Copied) -> Result<bool> {
        if self.snapshot.has_any(copied.target, &copied.uids())? {
            return Ok(true);
        }
        for entry in &copied.entries {
            if self.snapshot.message(SpoolId(entry.spool))?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What a mailbox is for and knows stays with it. What it is called stays always, as that it was made does: names were free again
    /// from here on.
    fn layout_stays(&self, change: &LayoutChange) -> Result<bool> {
        match change {
            LayoutChange::Removed { .. } | LayoutChange::Renamed { .. } => Ok(true),
            LayoutChange::SpecialUse { mailbox, .. } | LayoutChange::Keyword { mailbox, .. } => {
                self.snapshot.has_mailbox(*mailbox)
            }
            LayoutChange::Subscribed { account, name } => self.snapshot.is_subscribed(*account, name),
            LayoutChange::Unsubscribed { account, name } => {
                Ok(!self.oldest && !self.snapshot.is_subscribed(*account, name)?)
            }
        }
    }

    /// A settlement stays while an older segment may still hold the message whose delivery it ends, or this one does.
    fn settlement_stays(&self, settlement: &Settlement) -> Result<bool> {
        let is_gone = |spool: &u64| self.dropped.contains(spool);
        Ok(match settlement {
            Settlement::Done { spool, .. } if is_gone(spool) => false,
            Settlement::Done { spool, .. } => {
                !self.oldest || self.snapshot.message(SpoolId(*spool))?.is_some()
            }
            Settlement::Deferred { spool, recipient, .. } => {
                let id = DeliveryId { spool: SpoolId(*spool), recipient: *recipient };
                self.snapshot.queued(id)?.is_some()
            }
        })
    }

    /// A fate stays as long as it is remembered. Of one that is not there stays that the delivery is done, as long as that matters; what an
    /// operator ordered, as long as the delivery is queued, or the pause is so.
    fn queue(&mut self, change: &QueueChange, record: &Record, out: &mut Batch) -> Result<bool> {
        if let Some(id) = change.adjusted() {
            return Ok(self.snapshot.queued(id)?.is_some());
        }
        Ok(match change {
            QueueChange::Ended { number, fate, .. } => {
                let done = Settlement::Done { spool: fate.spool, recipient: fate.number };
                if self.snapshot.has_fate(*number)? {
                    self.rewritten.fates.push((*number, copy(out, record)));
                } else if self.settlement_stays(&done)? {
                    out.push(Kind::Settlement, &body::encode(&done));
                }
                false
            }
            QueueChange::Paused(pause) => self.snapshot.pause(&pause.scope)?.as_ref() == Some(pause),
            QueueChange::Resumed(scope) => !self.oldest && self.snapshot.pause(scope)?.is_none(),
            QueueChange::Held { .. }
            | QueueChange::Released { .. }
            | QueueChange::Due { .. }
            | QueueChange::Rerouted { .. } => true,
        })
    }

    /// A change of the directory stays as long as it is the last of its kind: what it set is still so. One that took something away
    /// is needed only while an older segment may hold what that was.
    fn directory_stays(&self, change: &DirectoryChange) -> Result<bool> {
        let is_so = match change.subject() {
            Subject::Account(account) => self.snapshot.belongings(account)?.shows(change),
            Subject::Alias(name) => is_row(change, self.snapshot.alias(name)?),
            Subject::Domain(name) => is_row(change, self.snapshot.domain(name)?),
        };
        Ok(is_so && !(change.is_removal() && self.oldest))
    }

    /// The numbers that a message was given stay given.
    fn remain(&mut self, place: Place) {
        let last = self.remains.entry(place.mailbox).or_insert(place);
        last.uid = last.uid.max(place.uid);
        last.modseq = last.modseq.max(place.modseq);
    }

    fn begin(&self) -> Batch {
        let (salt, segment) = (self.segments.salt(), self.rewritten.segment);
        Batch::new(Spot { salt, segment, offset: self.at })
    }

    fn write(&mut self, batch: Batch) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let (file, at) = (&self.file, self.at);
        let committed = batch.finish(|pieces, _| write_all_at(&**file, pieces, at));
        let position = committed.map_err(|error| self.fail(error))?.position;
        self.at = position.end;
        self.rewritten.used += position.end - position.start;
        Ok(())
    }

    fn fail(&self, error: std::io::Error) -> Error {
        io_error("writing", &self.segments.path(self.rewritten.segment), error)
    }
}

/// Whether a change made this row of an alias or a domain what it is.
fn is_row(change: &DirectoryChange, row: Option<DirectoryChange>) -> bool {
    match row {
        Some(row) => row == *change,
        None => change.is_removal(),
    }
}

/// Adds a record as it is.
fn copy(out: &mut Batch, record: &Record) -> Locator {
    let body = record.body.clone().expect("checked by the caller");
    out.push_chunks(record.header.kind, &[], vec![body], record.header.body_crc)
}

fn scanner(segments: &Segments, segment: u64) -> Result<Scanner> {
    let scanner = Scanner::new(segments.open_to_read(segment)?, (segment, segments.salt()));
    let scanner = scanner.map_err(|error| unreadable(segment, error))?;
    scanner.map_err(|what| damaged(segment, &what))
}

/// The opening record of a segment.
fn opening(segments: &Segments, segment: u64) -> Result<Opening> {
    let fail = |error| unreadable(segment, error);
    let mut scanner = scanner(segments, segment)?;
    let header = scanner.header(SEGMENT_HEADER).map_err(fail)?;
    let header = header.filter(|header| header.kind == Kind::Opening && header.version == BODY_VERSION);
    let header = header.ok_or_else(|| damaged(segment, "it does not begin with an opening record"))?;
    let body = scanner.record(SEGMENT_HEADER, header).map_err(fail)?.body;
    body::decode(&body.ok_or_else(|| damaged(segment, "its opening record is damaged"))?)
}

/// Whether it is the old segments that are damaged or cannot be read. Nothing was changed then, and others can be rewritten.
pub(crate) fn is_of_the_source(error: &Error) -> bool {
    match error {
        Error::Damaged(_) => true,
        Error::Io { what, .. } => what.starts_with(READING),
        _ => false,
    }
}

/// How the words begin that say of an old segment that it cannot be read.
const READING: &str = "reading segment";

fn unreadable(segment: u64, error: std::io::Error) -> Error {
    let what = format!("{READING} {}, which cannot be read", segment::name(segment));
    Error::Io { what, cause: error.to_string() }
}

fn damaged(segment: u64, what: &str) -> Error {
    Error::Damaged(format!("segment {}: {what}", segment::name(segment)))
}

/// How much of the old segments is gone through before a sync and a pause.
const PIECE: u64 = 1 << 20;
