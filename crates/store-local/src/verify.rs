//! Checking a store that is not open: everything in it is read, and nothing in it is changed.
//!
//! Every record of every segment and every block of every large file is read and its checksum compared; a copy of the index is compared,
//! row by row, with an index made anew from the log. Both are removed at the end. It is a copy because redb puts a file in order when it
//! opens it and when it checks it, and what it takes back thereby would no longer prove what was acknowledged.

use crate::backup;
use crate::effect::{Committed, Content, Position};
use crate::error::io_error;
use crate::index::Index;
use crate::large::LargeFiles;
use crate::local::Options;
use crate::open::{INDEX, LARGE, LOG, lock};
use crate::recover::{self, Damage, Visitor};
use crate::scan::Batch;
use crate::scratch::{Scratch, copy_of};
use crate::segments::Segments;
use crate::space::{self, Choice};
use crate::unfinished::{self, Progress};
use crate::unreadable::Unreadable;
use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use store::{Error, Result, SpoolId, Timestamp};

/// What a verification found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// When the backup was begun, if it is one.
    pub backup: Option<Timestamp>,
    /// How many segments of the log were read.
    pub segments: u64,
    /// How many batches of records they hold.
    pub batches: u64,
    /// How many messages are queued or in mailboxes.
    pub messages: u64,
    /// How many of them have content in files of their own.
    pub large: u64,
    /// What is wrong. Nothing is when this is empty.
    pub findings: Vec<Finding>,
    /// How many more findings there were than are kept.
    pub more: u64,
    /// What is to be done about the gravest of them.
    pub remedy: Option<Remedy>,
    /// What is as it may be after a crash and will be put right at the next opening.
    pub notes: Vec<String>,
}

/// What is to be done about what was found, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Remedy {
    /// Only the index is wrong, and no mail is lost by it: without its file it is made anew from the log.
    RemoveIndex,
    /// [`crate::repair`] saves what is intact.
    Repair,
    /// The backup is damaged: another one is needed, or [`crate::restore`] and then [`crate::repair`] save what is intact of it.
    AnotherBackup,
    /// It was being made by a repair or a restoration that did not come to its end: that is to be done again.
    MakeAgain,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file, and the place in it.
    pub place: String,
    /// What is wrong there.
    pub what: String,
}

/// Checks the store in [`Options::directory`], or the backup. Fails with [`Error::InUse`] when it is open or being written, with
/// [`Error::Invalid`] when there is none.
pub fn verify(options: &Options) -> Result<Report> {
    let unreadable = Unreadable::new(options.files.clone());
    let options = Options { files: unreadable.clone(), ..options.clone() };
    let mut report = match backup::is_backup(&*options.files, &options.directory)? {
        true => verify_backup(&options),
        false => verify_store(&options),
    }?;
    for hole in unreadable.holes() {
        let remedy = match hole.path == options.directory.join(INDEX) {
            true => Remedy::RemoveIndex,
            false => Remedy::Repair,
        };
        report.finding(hole.to_string().into(), format!("the disk cannot read this: {}", hole.cause), remedy);
    }
    Ok(report)
}

fn verify_store(options: &Options) -> Result<Report> {
    let directory = &options.directory;
    let names = match options.files.list(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        names => names.map_err(|error| io_error("listing", directory, error))?,
    };
    if !names.iter().any(|name| name == LOG) {
        return Err(Error::Invalid(format!("there is no store in {}", directory.display())));
    }
    let lock = lock(&*options.files, directory)?;
    let mut report = Report::default();
    if let Some(progress) = unfinished::progress(&*options.files, directory)? {
        let remedy = match progress {
            Progress::Begun => Remedy::MakeAgain,
            Progress::Copied(_) => Remedy::Repair,
        };
        report.finding(directory.to_owned(), format!("it {}", progress.what()), remedy);
    }
    let mut segments = Segments::open(options.files.clone(), directory.join(LOG), &options.random)?;
    let scratch = |name| Scratch { files: &*options.files, path: directory.join(name) };
    let (copy, anew) = (scratch(COPY), scratch(SCRATCH));
    let opened = match copy_of(&*options.files, &directory.join(INDEX), &copy.path) {
        Ok(true) => {
            Index::open(&*options.files, &copy.path, options.index_cache)?.map_err(|why| why.to_string())
        }
        Ok(false) => Err("there is none".to_owned()),
        // The log says everything that the index does.
        Err(error) => Err(error.to_string()),
    };
    // What a damaged page says is no account of anything.
    let whole = |mut index: Index| match index.is_whole() {
        true => Ok(index),
        false => Err("a page does not match its checksum".to_owned()),
    };
    let index = match opened.and_then(whole) {
        Ok(index) => Some(index),
        Err(why) => {
            report.notes.push(format!("the index will be made anew: {why}"));
            None
        }
    };
    let index = without_left_over(index, &mut segments, &mut report)?;
    report.segments = segments.list()?.len() as u64;
    let rebuilt = Index::create(&*options.files, &anew.path, options.index_cache)?;
    let result = check(options, &segments, (index, &rebuilt), &mut report);
    drop(rebuilt);
    drop((copy, anew));
    drop(lock);
    result.map(|()| report)
}

/// The files of a backup are compared with its manifest, and the log that they are is gone through like that of a store.
fn verify_backup(options: &Options) -> Result<Report> {
    let directory = &options.directory;
    let backup = backup::check::open(&*options.files, directory)?;
    let mut report = Report { backup: Some(backup.manifest.made), ..Report::default() };
    backup.compare(&*options.files, directory, &mut |place, what| {
        report.finding(place, what, Remedy::AnotherBackup);
    })?;
    let scratch = Scratch { files: &*options.files, path: directory.join(SCRATCH) };
    let rebuilt = Index::create(&*options.files, &scratch.path, options.index_cache)?;
    let as_store = backup.as_store(options);
    let segments = Segments::open(as_store.files.clone(), directory.join(LOG), &options.random)?;
    report.segments = segments.list()?.len() as u64;
    let result = check(&as_store, &segments, (None, &rebuilt), &mut report);
    drop(rebuilt);
    drop(scratch);
    result.map(|()| report)
}

/// Segments that a crash during a reclamation of space has left over do not count, nor does an index that is older than the segments.
fn without_left_over(
    index: Option<Index>,
    segments: &mut Segments,
    report: &mut Report,
) -> Result<Option<Index>> {
    let Some(index) = index else { return Ok(None) };
    let known: Vec<u64> = index.read()?.segments()?.into_iter().map(|(segment, _)| segment).collect();
    match space::choose(&segments.all()?, &known) {
        Choice::Fits(left_over) if left_over.is_empty() => {}
        Choice::Fits(left_over) => {
            report.notes.push(format!("{} segments that others replace will be removed", left_over.len()));
            segments.ignore(left_over);
        }
        Choice::Stale => {
            report.notes.push("the index is older than the segments and will be made anew".to_owned());
            return Ok(None);
        }
        Choice::Missing(segment) => {
            let what = "the segment is missing".to_owned();
            report.finding(segments.path(segment), what, Remedy::Repair);
        }
    }
    Ok(Some(index))
}

fn check(
    options: &Options,
    segments: &Segments,
    (index, rebuilt): (Option<Index>, &Index),
    report: &mut Report,
) -> Result<()> {
    let position = index.as_ref().map_or(Ok(None), |index| index.read()?.position())?;
    let index = index.filter(|_| position.is_some());
    let directory = &*options.directory;
    let mut check =
        Check { directory, segments, index, position, rebuilt, waiting: Vec::new(), effects: 0, report };
    let tail = match recover::walk(segments, None, &mut check) {
        // Nobody can go on there, and it has been told why.
        Err(Error::Damaged(_)) if !check.report.findings.is_empty() => None,
        tail => tail?,
    };
    check.flush()?;
    if check.index.is_some() {
        let place = options.directory.join(INDEX);
        let what =
            "it knows more than the log has: acknowledged messages may be missing from the log".to_owned();
        check.report.finding(place, what, Remedy::Repair);
    }
    if let Some(last) = tail.and_then(|tail| Some(tail.torn? + 1 - tail.end)) {
        report
            .notes
            .push(format!("{last} bytes behind the end of the log, never acknowledged, will be cut off"));
    }
    let large = LargeFiles::open(options.files.clone(), options.directory.join(LARGE))?;
    check_large(&large, rebuilt, report)
}

struct Check<'a> {
    directory: &'a Path,
    segments: &'a Segments,
    /// The index to compare, until that is done.
    index: Option<Index>,
    position: Option<Position>,
    rebuilt: &'a Index,
    waiting: Vec<Committed>,
    effects: usize,
    report: &'a mut Report,
}

impl Visitor for Check<'_> {
    fn batch(&mut self, segment: u64, batch: &Batch) -> Result<()> {
        self.report.batches += 1;
        match Committed::read(segment, batch) {
            Ok(committed) => {
                self.effects += committed.effects.len();
                self.waiting.push(committed);
            }
            Err(error) => {
                let (offset, what) = (batch.start, error.to_string());
                self.damage(Damage { segment, offset, what, content_only: false })?;
            }
        }
        let reached = self.waiting.last().map(|last| last.position) == self.position;
        if reached || self.effects >= EFFECTS_MAX {
            self.flush()?;
        }
        if let Some(index) = self.index.take_if(|_| reached) {
            let report = &mut *self.report;
            let is_log_whole = report.findings.is_empty();
            let place = self.directory.join(INDEX);
            index.compare(self.rebuilt, &mut |what| {
                let (what, remedy) = match is_log_whole {
                    true => (
                        format!("{what}; no mail is lost by that, for the log is whole"),
                        Remedy::RemoveIndex,
                    ),
                    false => (what, Remedy::Repair),
                };
                report.finding(place.clone(), what, remedy);
            })?;
        }
        Ok(())
    }

    fn damage(&mut self, damage: Damage) -> Result<()> {
        let path = self.segments.path(damage.segment);
        let place = PathBuf::from(format!("{} at {}", path.display(), damage.offset));
        self.report.finding(place, damage.what, Remedy::Repair);
        Ok(())
    }
}

impl Check<'_> {
    fn flush(&mut self) -> Result<()> {
        self.effects = 0;
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() { Ok(()) } else { self.rebuilt.apply(&waiting).map(drop) }
    }
}

/// Reads every large file that a message names, to its end.
fn check_large(large: &LargeFiles, rebuilt: &Index, report: &mut Report) -> Result<()> {
    let mut leftovers: HashSet<u64> = large.list()?.into_iter().collect();
    rebuilt.read()?.all_messages(|spool, message| {
        report.messages += 1;
        if let Content::Large { length, crc, .. } = message.content {
            report.large += 1;
            leftovers.remove(&spool.0);
            if let Err(what) = read_large(large, spool, (length, crc)) {
                report.finding(large.path(spool.0), what, Remedy::Repair);
            }
        }
        Ok(())
    })?;
    if !leftovers.is_empty() {
        let count = leftovers.len();
        report.notes.push(format!("{count} files of large content that no message names will be removed"));
    }
    Ok(())
}

/// Reads a large file to its end; says what is wrong with it.
pub(crate) fn read_large(
    large: &LargeFiles,
    spool: SpoolId,
    (length, crc): (u64, u32),
) -> std::result::Result<(), String> {
    let mut reader = large.read(spool, length).map_err(|error| match error {
        Error::NoSuchMessage(_) => "the file is missing".to_owned(),
        error => error.to_string(),
    })?;
    let mut actual = 0;
    while let Some(block) = reader.next().map_err(|error| error.to_string())? {
        actual = crc32c::crc32c_append(actual, &block);
    }
    if actual == crc { Ok(()) } else { Err("the content is not what the log says it is".to_owned()) }
}

impl Report {
    fn finding(&mut self, place: PathBuf, what: String, remedy: Remedy) {
        // What is wrong with a backup is wrong with the log in it.
        let remedy = if self.backup.is_some() { Remedy::AnotherBackup } else { remedy };
        self.remedy = self.remedy.max(Some(remedy));
        if self.findings.len() >= FINDINGS_MAX {
            self.more += 1;
            return;
        }
        self.findings.push(Finding { place: place.display().to_string(), what });
    }
}

/// How many findings are kept: enough to see what happened.
const FINDINGS_MAX: usize = 1_000;

/// The names of the copy of the index, and of the index that is made for comparison.
const COPY: &str = "verify-index.redb";
const SCRATCH: &str = "verify.redb";

/// About how many effects are applied in one transaction.
const EFFECTS_MAX: usize = 32 * 1024;
