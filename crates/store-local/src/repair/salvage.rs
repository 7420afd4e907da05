//! Reading a log that is damaged: every record that is whole, wherever it is, and what lies between them.
//!
//! [`crate::recover`] refuses such a log; here damage is what is expected. What was never acknowledged, a torn end, is told apart by the same
//! rule: only the last batch of all can be torn.

use crate::body::{self, Accepted, Opening, Placed};
use crate::effect::{Arrival, Committed, Content, Effect, Locator, NewQueued, Position};
use crate::error::io_error;
use crate::record::{BODY_VERSION, Kind, RECORD_HEADER, SEGMENT_HEADER};
use crate::recover::FIRST_SEGMENT;
use crate::scan::{Batch, Record, Scanner};
use crate::segment;
use crate::segments::Segments;
use crate::unreadable::Unreadable;
use store::{Error, Result};

/// What a damaged log holds, in its order.
#[derive(Debug)]
pub(crate) enum Piece {
    /// A message whose acceptance is whole.
    Message(Box<Message>),
    /// Another record that is whole, in this segment, and what it means.
    Change { segment: u64, record: Record, effect: Effect },
    /// Something acknowledged that cannot be read.
    Lost(Lost),
    /// So many bytes at the end were never acknowledged.
    Torn(u64),
}

/// A message whose acceptance is whole.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) accepted: Accepted,
    pub(crate) placed: Placed,
    pub(crate) acceptance: Record,
    /// The record of its content, or what is wrong with that.
    pub(crate) content: std::result::Result<Record, &'static str>,
    pub(crate) arrival: Arrival,
}

/// A part of a log that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lost {
    pub(crate) segment: u64,
    pub(crate) from: u64,
    pub(crate) to: u64,
    /// How many files are missing altogether, this one and those after it; 0 when it is there.
    pub(crate) files: u64,
    pub(crate) what: String,
}

/// A log being salvaged.
pub(crate) struct Salvage<'a> {
    segments: &'a Segments,
    unreadable: &'a Unreadable,
    /// How far an index that can be trusted has seen the log.
    known: Option<Position>,
    each: &'a mut dyn FnMut(Piece) -> Result<()>,
}

impl<'a> Salvage<'a> {
    /// Of this log, whose files are read with these holes in them; `each` gets the pieces.
    pub(crate) fn new(
        (segments, unreadable): (&'a Segments, &'a Unreadable),
        known: Option<Position>,
        each: &'a mut dyn FnMut(Piece) -> Result<()>,
    ) -> Salvage<'a> {
        Salvage { segments, unreadable, known, each }
    }

    /// Goes through all of it.
    pub(crate) fn run(&mut self) -> Result<()> {
        let list = self.segments.list()?;
        let mut expected = FIRST_SEGMENT;
        for (index, &segment) in list.iter().enumerate() {
            self.missing(expected, segment::first(segment))?;
            expected = segment::last(segment) + 1;
            self.segment(segment, list.get(index + 1).copied())?;
        }
        let end = self.known.map_or(expected, |known| segment::last(known.segment) + 1);
        self.missing(expected, end.max(expected))
    }

    fn missing(&mut self, from: u64, to: u64) -> Result<()> {
        let files = to.saturating_sub(from);
        let what = match files {
            0 => return Ok(()),
            1 => "the file is missing".to_owned(),
            count => format!("this file and the {} after it are missing", count - 1),
        };
        (self.each)(Piece::Lost(Lost { segment: from, from: 0, to: 0, files, what }))
    }

    fn segment(&mut self, segment: u64, next: Option<u64>) -> Result<()> {
        let path = self.segments.path(segment);
        let fail = |error| io_error("reading", &path, error);
        let file = self.segments.open_to_read(segment)?;
        let mut scanner = Scanner::of_records(file, (segment, self.segments.salt())).map_err(fail)?;
        let (mut at, mut group) = (SEGMENT_HEADER, Vec::<Record>::new());
        loop {
            if let Some(header) = scanner.header(at).map_err(fail)? {
                if group.first().is_some_and(|first| first.header.batch != header.batch) {
                    self.records(segment, &std::mem::take(&mut group))?;
                }
                group.push(scanner.record(at, header).map_err(fail)?);
                at += header.space();
                continue;
            }
            let Some(later) = scanner.next_header(at).map_err(fail)? else { break };
            self.records(segment, &std::mem::take(&mut group))?;
            let what = "no whole records".to_owned();
            (self.each)(Piece::Lost(Lost { segment, from: at, to: later, files: 0, what }))?;
            at = later;
        }
        let rest = scanner.rest(at).map_err(fail)?;
        let used = rest.last_byte.map_or(at, |last| last + 1);
        let replaced = segment::generation(segment) > 0;
        self.end(End { segment, next, at, used, size: scanner.size, replaced }, &group)
    }

    /// Judges how a segment ends, whose last group of records is this.
    fn end(&mut self, end: End, group: &[Record]) -> Result<()> {
        let End { segment, next, at, used, .. } = end;
        let start = group.first().map_or(at, |first| first.offset);
        let whole = group.last().is_none_or(|last| last.header.last)
            && group.iter().all(|record| record.body.is_some());
        let known = self.known.filter(|known| known.segment == segment).map_or(0, |known| known.end);
        let followed = next.is_some()
            || self.known.is_some_and(|known| segment::last(known.segment) > segment::last(segment));
        // Where the disk cannot read what would tell, the log may go on as far as it cannot be read.
        let (path, doubtful) = (self.segments.path(segment), if whole { at } else { start });
        let holes_end = self.unreadable.end_of_holes(&path, doubtful, at + RECORD_HEADER);
        if !whole && !followed && known <= start && holes_end == 0 {
            return (self.each)(Piece::Torn(used - start));
        }
        self.records(segment, group)?;
        let stated = match next {
            // Another one ends with its file.
            _ if end.replaced => Some(end.size.max(known)),
            Some(next) => self.previous_end(next)?,
            None => None,
        };
        let expected = stated.unwrap_or_else(|| if next.is_some() { at } else { known }.max(holes_end));
        let to = if followed { expected.max(used) } else { expected };
        if to > at {
            let what = "no whole records".to_owned();
            (self.each)(Piece::Lost(Lost { segment, from: at, to, files: 0, what }))?;
        }
        let torn_from = at.max(to);
        if used > torn_from { (self.each)(Piece::Torn(used - torn_from)) } else { Ok(()) }
    }

    /// Where the segment before this one ends, in this one's words.
    fn previous_end(&self, segment: u64) -> Result<Option<u64>> {
        let fail = |error| io_error("reading", &self.segments.path(segment), error);
        let file = self.segments.open_to_read(segment)?;
        let mut scanner = Scanner::of_records(file, (segment, self.segments.salt())).map_err(fail)?;
        let Some(header) = scanner.header(SEGMENT_HEADER).map_err(fail)? else { return Ok(None) };
        let record = scanner.record(SEGMENT_HEADER, header).map_err(fail)?;
        let body = record.body.filter(|_| header.kind == Kind::Opening);
        let opening = body.and_then(|body| body::decode::<Opening>(&body).ok());
        Ok(opening.map(|opening| opening.previous_end))
    }

    /// Understands records of one batch that stand side by side.
    fn records(&mut self, segment: u64, records: &[Record]) -> Result<()> {
        let mut content: Option<&Record> = None;
        for record in records {
            let header = record.header;
            if header.version != BODY_VERSION || matches!(header.kind, Kind::Unknown(_)) {
                return Err(Error::Invalid(format!(
                    "a later program wrote the record at {} of {}; repair the store with that one",
                    record.offset,
                    self.segments.path(segment).display()
                )));
            }
            match (header.kind, &record.body) {
                (Kind::Content | Kind::Large, _) => {
                    if let Some(alone) = content.replace(record) {
                        self.lost_record(segment, alone)?;
                    }
                }
                (Kind::Accepted, Some(_)) => self.message(segment, content.take(), record)?,
                (Kind::Accepted, None) => {
                    content = None;
                    self.lost_record(segment, record)?;
                }
                (_, None) => self.lost_record(segment, record)?,
                (_, Some(_)) => self.change(segment, record)?,
            }
        }
        content.map_or(Ok(()), |alone| self.lost_record(segment, alone))
    }

    fn message(&mut self, segment: u64, content: Option<&Record>, acceptance: &Record) -> Result<()> {
        let body = acceptance.body.as_ref().expect("checked by the caller");
        let Ok((accepted, placed)) = Accepted::decode(body) else {
            return self.lost_record(segment, acceptance);
        };
        let Ok(queued) = NewQueued::of(&accepted) else {
            return self.lost_record(segment, acceptance);
        };
        let at = |record: &Record| Locator { segment, offset: record.offset, length: record.header.length };
        let whole = content.map(|content| self::content(content, &accepted, at(content)));
        let (content, place) = match whole {
            None => (Err("its content cannot be found"), Content::Log(at(acceptance))),
            Some(Err(what)) => (Err(what), Content::Log(at(acceptance))),
            Some(Ok(place)) => (Ok(content.expect("it was looked at").clone()), place),
        };
        let arrival = Arrival::of(&accepted, queued, &placed, (at(acceptance), place));
        if Effect::Accepted(arrival.clone()).check().is_err() {
            return self.lost_record(segment, acceptance);
        }
        let acceptance = acceptance.clone();
        (self.each)(Piece::Message(Box::new(Message { accepted, placed, acceptance, content, arrival })))
    }

    fn change(&mut self, segment: u64, record: &Record) -> Result<()> {
        let end = record.offset + record.header.space();
        let batch = Batch { start: record.offset, end, records: vec![record.clone()] };
        let Ok(Committed { effects, .. }) = Committed::read(segment, &batch) else {
            return self.lost_record(segment, record);
        };
        // A store with a name that cannot be read would not open.
        let is_unreadable = |effect: &Effect| match effect {
            Effect::Directory(change) => change.as_alias().is_err() || change.as_domain().is_err(),
            _ => false,
        };
        if effects.iter().any(is_unreadable) {
            return self.lost_record(segment, record);
        }
        for effect in effects {
            (self.each)(Piece::Change { segment, record: record.clone(), effect })?;
        }
        Ok(())
    }

    fn lost_record(&mut self, segment: u64, record: &Record) -> Result<()> {
        let what = match (record.header.kind, &record.body) {
            (Kind::Content, Some(body)) => {
                format!("the content of a message, {} bytes, whose recipients cannot be read", body.len() - 8)
            }
            (Kind::Content, None) => "a content that does not match its checksum".to_owned(),
            (Kind::Large, _) => "the place of a large content".to_owned(),
            (Kind::Accepted, _) => "the acceptance of a message: its sender and its recipients".to_owned(),
            (Kind::Mailbox | Kind::Entries, _) => {
                "a change of flags, or copies or the removal of messages".to_owned()
            }
            (Kind::Layout, _) => "the name or the removal of a mailbox, or a subscription".to_owned(),
            (Kind::Account, _) => "the making or the removal of an account or a mailbox".to_owned(),
            (Kind::Directory, _) => "a change of a password, a quota, an alias or a domain".to_owned(),
            (Kind::Queue, _) => "the end of a delivery, or an order about the queue".to_owned(),
            (Kind::Settlement, _) => "the outcome of a delivery".to_owned(),
            (kind, _) => format!("a record of kind {kind:?}"),
        };
        let (from, to) = (record.offset, record.offset + record.header.space());
        (self.each)(Piece::Lost(Lost { segment, from, to, files: 0, what }))
    }
}

/// What is known of the end of a segment.
struct End {
    segment: u64,
    next: Option<u64>,
    /// Where its last whole record ends.
    at: u64,
    /// Where the last byte is that is not zero.
    used: u64,
    size: u64,
    /// Whether it was written in place of others.
    replaced: bool,
}

/// Where a message's content is; what is wrong with it if anything is.
fn content(record: &Record, accepted: &Accepted, at: Locator) -> std::result::Result<Content, &'static str> {
    let body = record.body.as_ref().ok_or("its content does not match its checksum")?;
    let other = "its content cannot be found";
    if record.header.kind == Kind::Content {
        let spool = body.first_chunk().map(|id| u64::from_le_bytes(*id));
        return if spool == Some(accepted.spool) { Ok(Content::Log(at)) } else { Err(other) };
    }
    match body::decode::<body::Large>(body) {
        Ok(large) if large.spool == accepted.spool => {
            Ok(Content::Large { record: at, length: large.length, crc: large.crc })
        }
        _ => Err(other),
    }
}
