//! Salvaging what is intact of a damaged store into a new one. The old one is only read.
//!
//! The log is gone through three times: which accounts and mailboxes it makes and what of it cannot be read ([`Survey`]); which messages
//! are alive (an index made for that); and the writing ([`write`]). The old index, when every page of it matches its checksum, tells the
//! names and numbers of what the log has lost, and what was removed there. A store that opens needs none of this.

mod copies;
mod layout;
mod orders;
mod report;
mod salt;
mod salvage;
mod survey;
mod told;
mod write;

use crate::backup;
use crate::body::AccountChange;
use crate::effect::{Committed, Content, Effect, Position};
use crate::error::io_error;
use crate::file::Files;
use crate::index::{Index, Snapshot};
use crate::large::LargeFiles;
use crate::local::Options;
use crate::open::{INDEX, LARGE, LOG, lock};
use crate::restore::begin_anew;
use crate::scratch::{Scratch, copy_of};
use crate::segments::Segments;
use crate::space::{self, Choice};
use crate::stats::Stats;
use crate::unfinished::{self, Progress, Unfinished};
use crate::unreadable::Unreadable;
use copies::Retold;
use salvage::{Piece, Salvage};
use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use store::{Error, Result};
use survey::Survey;

/// What a repair has saved, and what not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repaired {
    /// What the new store holds.
    pub stats: Stats,
    /// What is lost, as far as that is known. Nothing is when this is empty.
    pub lost: Vec<Loss>,
    /// How many more losses there were than are kept.
    pub more: u64,
    /// What was found and is no loss.
    pub notes: Vec<String>,
}

/// Something that is lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// Where it was: a range of a file, or a place in a mailbox.
    pub place: String,
    /// What it was, or what is wrong.
    pub what: String,
}

/// What the UIDs of the old store are worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Numbers {
    /// They stand for the same messages as before.
    Kept,
    /// Under the UIDVALIDITY that is left they may have stood for others: every mailbox needs a new one.
    Doubtful,
}

/// The old store, as it is read.
struct Old {
    segments: Segments,
    large: Option<Arc<LargeFiles>>,
    /// Its index, when that can be trusted.
    index: Option<Snapshot>,
    /// What that reads from.
    database: Option<Index>,
    /// Where the log ended in the backup that this was restored from, when that is damaged.
    backed_up: Option<Position>,
    /// What of its files the disk cannot read.
    unreadable: Arc<Unreadable>,
}

/// Salvages the store in [`Options::directory`] into `target`, a directory that is empty or does not exist. Fails with [`Error::InUse`]
/// when it is open, with [`Error::Invalid`] when there is none; then and on any other error the new store is not to be used.
pub fn repair(options: &Options, target: &Path) -> Result<Repaired> {
    let (files, directory) = (&*options.files, options.directory.as_path());
    let names = match files.list(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        names => names.map_err(|error| io_error("listing", directory, error))?,
    };
    backup::refuse(files, directory)?;
    if !names.iter().any(|name| name == LOG) {
        return Err(Error::Invalid(format!("there is no store in {}", directory.display())));
    }
    let held = lock(files, directory)?;
    // What an interrupted restoration or repair did not come to is written nowhere: it could not be listed as lost.
    let progress = unfinished::progress(files, directory)?;
    if progress == Some(Progress::Begun) {
        return Err(Error::Invalid(format!("{} {}", directory.display(), Progress::Begun.what())));
    }
    let unfinished = Unfinished::begin(files, target)?;
    let mut repaired = Repaired::default();
    let scratch = Scratch { files, path: target.join("repair.redb") };
    let copy = Scratch { files, path: target.join("old.redb") };
    let mut old = Old::open(options, &names, &copy, &mut repaired)?;
    if let Some(Progress::Copied(end)) = progress {
        old.backed_up = end;
    }
    let numbers = rebuild(options, target, (&old, &scratch), &mut repaired)?;
    drop((old, scratch, copy));
    // A restoration that found damage ends here: clients may know more of the mailboxes than the backup does.
    let is_restored = progress.is_some();
    let target_options = Options { directory: target.to_owned(), ..options.clone() };
    repaired.stats = unfinished.finish_with(&target_options, |engine| match numbers {
        Numbers::Kept if !is_restored => engine.stats(),
        Numbers::Kept | Numbers::Doubtful => begin_anew(engine),
    })?;
    drop(held);
    Ok(repaired)
}

fn rebuild(
    options: &Options,
    target: &Path,
    (old, scratch): (&Old, &Scratch<'_>),
    repaired: &mut Repaired,
) -> Result<Numbers> {
    let mut survey = Survey::new(old.index.as_ref())?;
    old.salvage(&mut |piece| survey.see(piece))?;
    let founding = survey.founding((options.clock)())?;
    let index = Index::create(&*options.files, &scratch.path, options.index_cache)?;
    let mut damaged = HashMap::new();
    let mut retold = Retold::new(&survey)?;
    old.find_alive((&survey, &founding), (&index, retold.clone()), &mut damaged)?;
    let index = match retold.add_missing(&survey, &index.read()?)? {
        false => index,
        true => {
            drop(index);
            let index = Index::create(&*options.files, &scratch.path, options.index_cache)?;
            old.find_alive((&survey, &founding), (&index, retold.clone()), &mut damaged)?;
            index
        }
    };
    let scratch = index.read()?;
    old.check_large(&scratch, &mut damaged)?;

    let mut writer = write::Writer::new(options, target, survey.counters(&scratch)?)?;
    let mut founding = Some(founding);
    old.salvage(&mut |piece| {
        // Where the first loss is, or else before everything: see Alive.
        if (matches!(piece, Piece::Lost(_)) || !survey.has_losses())
            && let Some(founding) = founding.take()
        {
            founding.iter().try_for_each(|change| writer.account(change, &mut retold))?;
        }
        writer.piece(piece, (&scratch, &damaged, old.large.as_deref()), &mut retold)
    })?;
    founding.into_iter().flatten().try_for_each(|change| writer.account(&change, &mut retold))?;
    if survey.has_losses() {
        survey.reconcile(&scratch, &mut |effect| writer.effect(effect))?;
    }
    writer.finish()?;
    report::report(&survey, old, (&scratch, &damaged), repaired)?;
    if !survey.has_lost_a_restoration() {
        return Ok(Numbers::Kept);
    }
    let note = "the record of a restoration from a backup is lost: every mailbox has a new UIDVALIDITY";
    repaired.notes.push(note.to_owned());
    Ok(Numbers::Doubtful)
}

impl Old {
    fn open(options: &Options, names: &[String], copy: &Scratch<'_>, repaired: &mut Repaired) -> Result<Old> {
        let directory = &options.directory;
        let unreadable = Unreadable::new(options.files.clone());
        let files: Arc<dyn Files> = unreadable.clone();
        let mut segments = Segments::open(files.clone(), directory.join(LOG), &options.random)?;
        if segments.written_salt()?.is_none()
            && let Some(salt) = salt::implied(&segments)?
        {
            repaired.notes.push(
                "no segment has a whole header: what the log's salt is was told from its records".to_owned(),
            );
            segments.set_salt(salt);
        }
        let large = names.iter().any(|name| name == LARGE);
        let large = large.then(|| LargeFiles::open(files.clone(), directory.join(LARGE)));
        let large = large.transpose()?.map(Arc::new);
        // Even opening a redb file may change it.
        let index = match copy_of(&*files, &directory.join(INDEX), &copy.path) {
            Ok(true) => {
                Index::open(&*options.files, &copy.path, options.index_cache)?.map_err(|why| why.to_string())
            }
            Ok(false) => Err("there is none".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        let index =
            index.and_then(
                |mut index| {
                    if index.is_whole() { Ok(index) } else { Err("it is damaged itself".to_owned()) }
                },
            );
        let database =
            index.map_err(|why| repaired.notes.push(format!("the old index could not be used: {why}"))).ok();
        let index = database.as_ref().map(Index::read).transpose()?;
        let mut old = Old { segments, large, index, database, backed_up: None, unreadable };
        let Some(snapshot) = &old.index else { return Ok(old) };
        let known: Vec<u64> = snapshot.segments()?.into_iter().map(|(segment, _)| segment).collect();
        match space::choose(&old.segments.all()?, &known) {
            Choice::Fits(left_over) => old.segments.ignore(left_over),
            Choice::Missing(_) => {}
            Choice::Stale => {
                repaired.notes.push("the old index is older than the log and was not used".to_owned());
                (old.index, old.database) = (None, None);
            }
        }
        Ok(old)
    }

    fn position(&self) -> Result<Option<Position>> {
        let known = self.index.as_ref().map_or(Ok(None), Snapshot::position)?;
        Ok(known.or(self.backed_up))
    }

    /// Finds out which messages are alive, as an index would.
    fn find_alive(
        &self,
        (survey, founding): (&Survey<'_>, &[AccountChange]),
        (index, retold): (&Index, Retold),
        damaged: &mut HashMap<u64, String>,
    ) -> Result<()> {
        let founding = Some(founding.to_vec());
        let mut alive = Alive { index, waiting: Vec::new(), founding, retold };
        if !survey.has_losses() {
            alive.found()?;
        }
        self.salvage(&mut |piece| alive.see(piece, damaged))?;
        alive.flush()
    }

    fn salvage(&self, each: &mut dyn FnMut(Piece) -> Result<()>) -> Result<()> {
        Salvage::new((&self.segments, &self.unreadable), self.position()?, each).run()
    }

    /// Takes note of living messages whose large content cannot be read.
    fn check_large(&self, alive: &Snapshot, damaged: &mut HashMap<u64, String>) -> Result<()> {
        alive.all_messages(|spool, message| {
            if let Content::Large { length, crc, .. } = message.content
                && message.references > 0
            {
                let read = match &self.large {
                    None => Err("the file is missing".to_owned()),
                    Some(large) => crate::verify::read_large(large, spool, (length, crc)),
                };
                if let Err(what) = read {
                    damaged.insert(spool.0, format!("its content in a file of its own: {what}"));
                }
            }
            Ok(())
        })
    }
}

/// An index of what the log tells, in the making.
struct Alive<'a> {
    index: &'a Index,
    waiting: Vec<Committed>,
    founding: Option<Vec<AccountChange>>,
    retold: Retold,
}

impl Alive<'_> {
    fn see(&mut self, piece: Piece, damaged: &mut HashMap<u64, String>) -> Result<()> {
        match piece {
            Piece::Lost(_) => self.found(),
            Piece::Torn(_) => Ok(()),
            Piece::Change { effect, .. } => {
                let more = match &effect {
                    Effect::Account(change) => self.retold.after_change(change),
                    _ => Vec::new(),
                };
                self.put([vec![effect], more].concat())
            }
            Piece::Message(message) => {
                if let Err(what) = message.content {
                    damaged.insert(message.accepted.spool, what.to_owned());
                }
                let more = self.retold.after_message(message.accepted.spool);
                self.put([vec![Effect::Accepted(message.arrival)], more].concat())
            }
        }
    }

    /// Makes what has lost its making.
    fn found(&mut self) -> Result<()> {
        for change in self.founding.take().unwrap_or_default() {
            let more = self.retold.after_change(&change);
            self.put([vec![Effect::Account(change)], more].concat())?;
        }
        Ok(())
    }

    fn put(&mut self, effects: Vec<Effect>) -> Result<()> {
        // Where it is does not matter here.
        let position = Position { segment: 1, start: 0, end: 0 };
        self.waiting.push(Committed { position, effects });
        if self.waiting.len() >= BATCHES_MAX { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        self.index.apply(&std::mem::take(&mut self.waiting)).map(drop)
    }
}

/// How many batches are applied in one transaction.
const BATCHES_MAX: usize = 16 * 1024;
