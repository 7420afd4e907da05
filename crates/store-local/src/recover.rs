//! Walking the whole log, or its end: which batches it holds, where it ends, and what is damaged.
//!
//! Only one batch at a time is ever written without a sync behind it. So whatever a crash can tear is the last batch; a gap with a
//! later batch behind it, or with a later segment begun, is damage to what was acknowledged, and is never passed over in silence.

use crate::body::{self, Opening};
use crate::effect::Position;
use crate::error::io_error;
use crate::record::{Kind, SEGMENT_HEADER};
use crate::scan::{Batch, Scanner};
use crate::segment;
use crate::segments::Segments;
use store::{Error, Result};

/// Who walks along.
pub(crate) trait Visitor {
    /// A whole batch. Some of its contents may be damaged; then [`Visitor::damage`] was told before.
    fn batch(&mut self, segment: u64, batch: &Batch) -> Result<()>;

    /// Something that was acknowledged is damaged. `Ok` goes on behind it.
    fn damage(&mut self, damage: Damage) -> Result<()>;
}

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Damage {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
    pub(crate) what: String,
    /// Only the content of one message is lost; everything else about it is known.
    pub(crate) content_only: bool,
}

/// Where the log ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tail {
    pub(crate) segment: u64,
    /// Where its last whole batch begins; `end` when it has none.
    pub(crate) last: u64,
    /// Where its last whole batch ends.
    pub(crate) end: u64,
    /// Where the segment before ends; 0 when there is none or when the walk began behind it.
    pub(crate) previous_end: u64,
    /// The last byte of what a crash left behind the end, if it left anything.
    pub(crate) torn: Option<u64>,
    /// Whether the next segment is there already, empty.
    pub(crate) prepared: bool,
}

/// Walks the log from a position that it has (see [`has`]), or from its beginning; `None` when there is no segment at all.
pub(crate) fn walk(
    segments: &Segments,
    from: Option<Position>,
    visitor: &mut dyn Visitor,
) -> Result<Option<Tail>> {
    let mut list = segments.list()?;
    list.retain(|segment| from.is_none_or(|from| segment::last(from.segment) <= segment::last(*segment)));
    let (mut at, mut previous_end) = (from.map(|from| from.end), 0);
    for (index, &segment) in list.iter().enumerate() {
        if index == 0 && from.is_none() && segment::first(segment) != FIRST_SEGMENT
            || index > 0 && segment::first(segment) != segment::last(list[index - 1]) + 1
        {
            let what = format!("segments before {} are missing", segment::name(segment));
            visitor.damage(Damage { segment, offset: 0, what, content_only: false })?;
        }
        let next = list.get(index + 1).copied();
        let start = at.take().unwrap_or(SEGMENT_HEADER);
        let Some(mut scanner) = open(segments, segment, visitor)? else { continue };
        let next_state = next.map_or(Ok(None), |next| state(segments, next, visitor))?;
        let last = from.filter(|from| from.segment == segment).map_or(start, |from| from.start);
        let mut walk = Walk { segments, scanner: &mut scanner, visitor, last };
        let (end, torn) = walk.segment(start, next_state.and_then(|next| next.begun))?;
        // A next segment with bytes but no beginning is what is left of its first batch, torn: the log ends in it. An empty one is only
        // ever the last.
        let next_is_last = index + 2 >= list.len();
        if next.is_none() && segment::generation(segment) > 0 {
            let what = "the segments behind this one are missing".to_owned();
            visitor.damage(Damage { segment, offset: end, what: what.clone(), content_only: false })?;
            return Err(Error::Damaged(format!("segment {}: {what}", segment::name(segment))));
        }
        if next_is_last && next_state.is_none_or(|next| next.empty) {
            let (last, prepared) = (walk.last, next_state.is_some());
            return Ok(Some(Tail { segment, last, end, previous_end, torn, prepared }));
        }
        previous_end = end;
    }
    Ok(None)
}

/// Whether a batch begins and ends where this position says. That may be in a segment that another one is to replace: a crash can come
/// before the index knows of that, and then the new one does not count.
pub(crate) fn has(segments: &Segments, position: Position) -> Result<bool> {
    if !segments.all()?.contains(&position.segment) {
        return Ok(false);
    }
    let file = segments.open_to_read(position.segment)?;
    let fail = |error| io_error("reading", &segments.path(position.segment), error);
    let Ok(mut scanner) = Scanner::new(file, (position.segment, segments.salt())).map_err(fail)? else {
        return Ok(false);
    };
    let batch = scanner.batch(position.start).map_err(fail)?;
    Ok(batch.is_some_and(|batch| batch.end == position.end && batch.is_readable()))
}

struct Walk<'a> {
    segments: &'a Segments,
    scanner: &'a mut Scanner,
    visitor: &'a mut dyn Visitor,
    /// Where the last whole batch begins.
    last: u64,
}

/// What is known of the segment behind the one that is walked.
#[derive(Debug, Clone, Copy)]
struct Next {
    /// It holds nothing but its header.
    empty: bool,
    begun: Option<Begun>,
}

/// Records were written to a segment; what the first of them says, if that can be read.
#[derive(Debug, Clone, Copy)]
struct Begun {
    opening: Option<Opening>,
}

impl Walk<'_> {
    /// Walks one segment; returns where its last whole batch ends, and the last byte behind that.
    fn segment(&mut self, start: u64, next: Option<Begun>) -> Result<(u64, Option<u64>)> {
        let mut at = start;
        loop {
            let batch = self.scanner.batch(at).map_err(|error| self.fail(error))?;
            let Some(batch) = batch else {
                match self.gap(at, next)? {
                    Gap::End(torn) => return Ok((self.end(at), torn)),
                    Gap::Damage { resume } => at = resume,
                }
                continue;
            };
            if batch.damaged().next().is_some() {
                let follows = self.scanner.header(batch.end).map_err(|error| self.fail(error))?;
                let follows = follows.is_some_and(|header| header.batch == batch.end);
                if !follows && next.is_none() {
                    let rest = self.scanner.rest(at).map_err(|error| self.fail(error))?;
                    if rest.later.is_none() {
                        return Ok((at, rest.last_byte));
                    }
                }
                self.damaged_bodies(&batch)?;
            }
            if batch.is_readable() {
                self.visitor.batch(self.scanner.segment, &batch)?;
            }
            self.last = batch.start;
            at = batch.end;
        }
    }

    /// Where the segment ends, as the next one knows it, when its records end at `at`.
    fn end(&self, at: u64) -> u64 {
        self.scanner.replaced_end.unwrap_or(at)
    }

    fn damaged_bodies(&mut self, batch: &Batch) -> Result<()> {
        for record in batch.damaged() {
            let content_only = record.header.kind == Kind::Content;
            let what =
                format!("the body of this {:?} record does not match its checksum", record.header.kind);
            let segment = self.scanner.segment;
            self.visitor.damage(Damage { segment, offset: record.offset, what, content_only })?;
        }
        Ok(())
    }

    /// Judges the place where no whole batch begins.
    fn gap(&mut self, at: u64, next: Option<Begun>) -> Result<Gap> {
        let rest = self.scanner.rest(at).map_err(|error| self.fail(error))?;
        let segment = self.scanner.segment;
        // A rewritten segment ends with its file.
        let cut = self.scanner.replaced_end.is_some() && at != self.scanner.size;
        let end = self.end(at);
        let mut damage =
            |what| self.visitor.damage(Damage { segment, offset: at, what, content_only: false });
        if let Some(later) = rest.later {
            damage(format!("no whole batch of records, but there is a later one, at {later}"))?;
            let header = self.scanner.header(later).map_err(|error| self.fail(error))?;
            // The later batch may itself have lost its beginning: then this place is judged anew.
            let resume = header.map_or(later, |header| header.batch).max(at + 1);
            return Ok(Gap::Damage { resume });
        }
        if let Some(begun) = next {
            let expected = begun.opening.map(|opening| opening.previous_end);
            if cut || expected.is_some_and(|expected| expected != end) || rest.last_byte.is_some() {
                let expected = expected.map_or(String::new(), |end| format!(" at {end}"));
                damage(format!(
                    "the records of this segment end here, but the next one says that they end{expected}"
                ))?;
            }
            return Ok(Gap::End(None));
        }
        Ok(Gap::End(rest.last_byte))
    }

    fn fail(&self, error: std::io::Error) -> Error {
        io_error("reading", &self.segments.path(self.scanner.segment), error)
    }
}

enum Gap {
    /// The segment's records end here; the last byte that a crash left behind them.
    End(Option<u64>),
    Damage {
        resume: u64,
    },
}

/// Opens a segment; `None` when the visitor was told that it cannot be read.
fn open(segments: &Segments, segment: u64, visitor: &mut dyn Visitor) -> Result<Option<Scanner>> {
    let file = segments.open_to_read(segment)?;
    let scanner = Scanner::new(file, (segment, segments.salt()));
    let scanner = scanner.map_err(|e| io_error("reading", &segments.path(segment), e))?;
    match scanner {
        Ok(scanner) => Ok(Some(scanner)),
        Err(what) => {
            visitor.damage(Damage { segment, offset: 0, what, content_only: false })?;
            Ok(None)
        }
    }
}

/// Looks at the beginning of a segment; `None` when its header cannot be read.
fn state(segments: &Segments, segment: u64, visitor: &mut dyn Visitor) -> Result<Option<Next>> {
    let Some(mut scanner) = open(segments, segment, visitor)? else { return Ok(None) };
    let fail = |error| io_error("reading", &segments.path(segment), error);
    let Some(header) = scanner.header(SEGMENT_HEADER).map_err(fail)? else {
        let rest = scanner.rest(SEGMENT_HEADER).map_err(fail)?;
        let begun = rest.later.map(|_| Begun { opening: None });
        return Ok(Some(Next { empty: rest.last_byte.is_none(), begun }));
    };
    let record = scanner.record(SEGMENT_HEADER, header).map_err(fail)?;
    let opening = record.body.and_then(|body| body::decode(&body).ok());
    let begun = Some(Begun { opening: opening.filter(|_| header.kind == Kind::Opening) });
    Ok(Some(Next { empty: false, begun }))
}

/// The number of the first segment of a log.
pub(crate) const FIRST_SEGMENT: u64 = 1;
