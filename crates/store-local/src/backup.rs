//! Copies of a store while it is in use.
//!
//! A backup is a directory with a manifest and copies of the log's segments and of large files, each under a name that says which file it
//! is, how long, and its checksum ([`manifest`]). What an earlier backup in the directory has is not copied again; the new manifest takes
//! the place of the old one in one step, and only then is removed what it does not name. So a backup that is interrupted leaves the
//! earlier one as it was. The index is not part of it. [`crate::restore`] is the way back.

pub(crate) mod check;
pub(crate) mod copy;
pub(crate) mod manifest;

use crate::effect::{Content, Position};
use crate::engine::Engine;
use crate::error::io_error;
use crate::file::{File, Files, Lock, Mode, write_all_at};
use crate::open::{LARGE, LOCK, LOG, create_directory};
use crate::record::SEGMENT_HEADER;
use crate::scan::Scanner;
use crate::verify;
use copy::Source;
use manifest::{Entry, Kept, MANIFEST, Manifest};
use std::collections::{BTreeSet, HashSet};
use std::io::{self, ErrorKind, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use store::{Error, Result, SpoolId, Timestamp};

/// What a backup has done. Lengths are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackedUp {
    /// When it was begun: it holds what was acknowledged then.
    pub made: Timestamp,
    /// Files that the backup holds now: segments of the log, and large contents.
    pub files: u64,
    /// Their length together.
    pub bytes: u64,
    /// How many of them were copied, because they were not there yet.
    pub copied_files: u64,
    /// The length of those.
    pub copied_bytes: u64,
    /// How many files of earlier backups were removed, because this one has no use for them.
    pub removed_files: u64,
}

/// What there is to copy at one moment.
struct Contents {
    position: Option<Position>,
    segments: Vec<u64>,
    /// Messages with a file of their own: the length and the CRC32C of the content.
    large: Vec<(SpoolId, (u64, u32))>,
}

/// The directory that a backup is made in.
struct Target<'a> {
    files: &'a dyn Files,
    directory: &'a Path,
    /// Ends the backup with an error.
    go_on: &'a dyn Fn() -> Result<()>,
    /// Directories whose names are not durable yet.
    unsynced: BTreeSet<PathBuf>,
    entries: Vec<Entry>,
    done: BackedUp,
    _lock: Box<dyn Lock>,
}

impl Engine {
    /// Copies everything that the index knows now into a directory. `given_up` ends it early, with an error.
    pub(crate) fn backup(&self, directory: &Path, given_up: &AtomicBool) -> Result<BackedUp> {
        if directory.starts_with(&self.directory) {
            let (directory, data) = (directory.display(), self.directory.display());
            return Err(Error::Invalid(format!(
                "{directory} is in the store's own directory, {data}: a backup belongs somewhere else"
            )));
        }
        let go_on = || {
            self.status.check_open()?;
            let given_up = given_up.load(Ordering::Relaxed);
            if given_up { Err(Error::Invalid("the backup was given up".to_owned())) } else { Ok(()) }
        };
        let mut target = Target::open(&*self.files, directory, &go_on)?;
        target.done.made = self.now();
        // From here on what there is stays: no segment is rewritten, and no large file removed.
        let _segments = self.space.hold()?;
        let _large = self.large.hold();
        let Contents { position, segments, large } = self.contents()?;
        for segment in segments {
            let end = position.filter(|at| at.segment == segment).map(|at| at.end);
            self.back_up_segment(&mut target, segment, end)?;
        }
        for (spool, expected) in large {
            self.back_up_large(&mut target, spool, expected)?;
        }
        target.finish()
    }

    fn contents(&self) -> Result<Contents> {
        let snapshot = self.view.read()?;
        let segments = snapshot.segments()?.into_iter().map(|(segment, _)| segment).collect();
        let mut large = Vec::new();
        snapshot.all_messages(|spool, message| {
            if let Content::Large { length, crc, .. } = message.content {
                large.push((spool, (length, crc)));
            }
            Ok(())
        })?;
        Ok(Contents { position: snapshot.position()?, segments, large })
    }

    /// Backs up a segment: up to its `end` when it is the one that is being written.
    fn back_up_segment(&self, target: &mut Target<'_>, segment: u64, end: Option<u64>) -> Result<()> {
        let (file, path) = (self.segments.open_to_read(segment)?, self.segments.path(segment));
        let size = file.size().map_err(|error| io_error("reading", &path, error))?;
        let source = Source { file: &*file, path: &path, length: end.unwrap_or(size) };
        target.take(Kept::Segment(segment), &source, &|| {
            let damage = first_damage(file.clone(), segment, end);
            match damage.map_err(|error| io_error("reading", &path, error))? {
                None => Ok(()),
                Some(at) => Err(refusal(&format!("the record at {at} of {}", path.display()))),
            }
        })
    }

    fn back_up_large(&self, target: &mut Target<'_>, spool: SpoolId, expected: (u64, u32)) -> Result<()> {
        let path = self.large.path(spool.0);
        let fail = |error| io_error("reading", &path, error);
        let file = self.files.open(&path, Mode::Read).map_err(fail)?;
        let source = Source { file: &*file, path: &path, length: file.size().map_err(fail)? };
        target.take(Kept::Large(spool.0), &source, &|| {
            let read = verify::read_large(&self.large, spool, expected);
            read.map_err(|what| refusal(&format!("{}: {what}", path.display())))
        })
    }
}

impl<'a> Target<'a> {
    fn open(
        files: &'a dyn Files,
        directory: &'a Path,
        go_on: &'a dyn Fn() -> Result<()>,
    ) -> Result<Target<'a>> {
        let fail = |error| unwritable(directory, error);
        let names = match files.list(directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            names => names.map_err(fail)?,
        };
        let begun = names.iter().any(|name| name == MARK);
        let shown = directory.display();
        if !begun && names.iter().any(|name| name != LOCK) {
            return Err(Error::Invalid(format!(
                "{shown} is neither a backup nor empty: name the directory of a backup, an empty or a new one"
            )));
        }
        create_directory(files, directory).map_err(fail)?;
        let lock = files.lock(&directory.join(LOCK)).map_err(fail)?;
        let lock = lock.ok_or_else(|| Error::InUse(format!("another backup into {shown} is under way")))?;
        if !begun {
            let path = directory.join(MARK);
            let file = files.open(&path, Mode::Create).map_err(fail)?;
            write_all_at(&*file, &mut [IoSlice::new(MARK_TEXT)], 0).map_err(fail)?;
            file.sync_data().and_then(|()| files.sync_dir(directory)).map_err(fail)?;
        }
        // One that this program does not understand is not replaced.
        Manifest::read(files, directory)?;
        let done = BackedUp {
            made: Timestamp(0),
            files: 0,
            bytes: 0,
            copied_files: 0,
            copied_bytes: 0,
            removed_files: 0,
        };
        let (unsynced, entries) = (BTreeSet::new(), Vec::new());
        Ok(Target { files, directory, go_on, unsynced, entries, done, _lock: lock })
    }

    /// Makes sure that the backup has a file. `check` refuses one that is damaged: that must not take the place of what was right.
    fn take(&mut self, file: Kept, source: &Source<'_>, check: &dyn Fn() -> Result<()>) -> Result<()> {
        let crc = source.checksum(self.go_on)?;
        let entry = Entry { file, length: source.length, crc };
        let stored = self.directory.join(entry.stored());
        // A file that is there was synced before it got its name, and checked before that; of the name nothing is known.
        let above = stored.ancestors().skip(1).take_while(|above| above.starts_with(self.directory));
        self.unsynced.extend(above.map(Path::to_owned));
        if !self.has(&stored, entry.length)? {
            check()?;
            let parent = stored.parent().unwrap_or(self.directory);
            self.files.create_dir(parent).map_err(|error| io_error("creating", parent, error))?;
            let copied = self.write_new(&stored, &|copy, new| source.copy((copy, new), self.go_on))?;
            if copied != crc {
                self.files.remove(&stored).map_err(|error| io_error("removing", &stored, error))?;
                return Err(Error::Damaged(format!("{} changed while it was copied", source.path.display())));
            }
            self.done.copied_files += 1;
            self.done.copied_bytes += entry.length;
        }
        self.done.files += 1;
        self.done.bytes += entry.length;
        self.entries.push(entry);
        Ok(())
    }

    fn has(&self, stored: &Path, length: u64) -> Result<bool> {
        match self.files.open(stored, Mode::Read).and_then(|file| file.size()) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            size => Ok(size.map_err(|error| io_error("reading", stored, error))? == length),
        }
    }

    /// From here on this is the backup; what it does not name is removed.
    fn finish(mut self) -> Result<BackedUp> {
        let sync = |directory: &Path| {
            self.files.sync_dir(directory).map_err(|error| io_error("syncing", directory, error))
        };
        self.unsynced.iter().try_for_each(|directory| sync(directory))?;
        let text = Manifest { made: self.done.made, entries: self.entries.clone() }.encode();
        self.write_new(&self.directory.join(MANIFEST), &|file, new| {
            let written = write_all_at(file, &mut [IoSlice::new(text.as_bytes())], 0);
            written.map_err(|error| io_error("writing", new, error))?;
            file.sync_data().map_err(|error| io_error("syncing", new, error))
        })?;
        sync(self.directory)?;
        let named: HashSet<String> = self.entries.iter().map(Entry::stored).collect();
        self.done.removed_files = self.sweep(LOG, &named)?;
        for name in self.list(LARGE)? {
            self.done.removed_files += self.sweep(&format!("{LARGE}/{name}"), &named)?;
        }
        Ok(self.done)
    }

    /// Removes what a backup has written here and this one does not name; nothing else.
    fn sweep(&self, directory: &str, named: &HashSet<String>) -> Result<u64> {
        let mut removed = 0;
        for name in self.list(directory)? {
            let name = format!("{directory}/{name}");
            let is_ours = Entry::parse_stored(name.strip_suffix(NEW).unwrap_or(&name)).is_some();
            if is_ours && !named.contains(&name) {
                let path = self.directory.join(name);
                self.files.remove(&path).map_err(|error| io_error("removing", &path, error))?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    fn list(&self, directory: &str) -> Result<Vec<String>> {
        let path = self.directory.join(directory);
        match self.files.list(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            names => names.map_err(|error| io_error("listing", &path, error)),
        }
    }

    /// Writes a file under another name first, so that under its own there is only ever a whole one. `write` syncs it.
    fn write_new<T>(&self, path: &Path, write: &dyn Fn(&dyn File, &Path) -> Result<T>) -> Result<T> {
        let mut new = path.as_os_str().to_owned();
        new.push(NEW);
        let new = PathBuf::from(new);
        match self.files.remove(&new) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(io_error("removing", &new, error));
            }
            _ => {}
        }
        let file = self.files.open(&new, Mode::Create).map_err(|error| io_error("creating", &new, error))?;
        let written = write(&*file, &new).and_then(|written| {
            self.files.rename(&new, path).map_err(|error| io_error("renaming", &new, error))?;
            Ok(written)
        });
        if written.is_err() {
            // Most likely the disk is full: its room goes back. The first error is the one to tell.
            self.files.remove(&new).unwrap_or_else(|error| {
                tracing::warn!(%error, file = %new.display(), "cannot remove an unfinished file of a backup");
            });
        }
        written
    }
}

/// Whether a directory is one for backups. A store's own never has such a mark.
pub(crate) fn is_backup(files: &dyn Files, directory: &Path) -> Result<bool> {
    let path = directory.join(MARK);
    match files.open(&path, Mode::Read) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            // The mark may have been left behind when the files were copied elsewhere.
            Ok(!matches!(Manifest::read(files, directory), Ok(None)))
        }
        Err(error) => Err(io_error("opening", &path, error)),
        Ok(_) => Ok(true),
    }
}

/// Refuses a directory that is one for backups where a store is wanted.
pub(crate) fn refuse(files: &dyn Files, directory: &Path) -> Result<()> {
    if !is_backup(files, directory)? {
        return Ok(());
    }
    let shown = directory.display();
    Err(Error::Invalid(format!(
        "{shown} is a backup, and not a store: `posthaste store restore {shown} NEW-DIR` makes a store from it"
    )))
}

/// Where the first thing is in a segment that is not as it was written, up to `end` or in all of it.
pub(crate) fn first_damage(file: Arc<dyn File>, segment: u64, end: Option<u64>) -> io::Result<Option<u64>> {
    let Ok(mut scanner) = Scanner::of_file(file, segment)? else { return Ok(Some(0)) };
    let mut at = SEGMENT_HEADER;
    while end.is_none_or(|end| at < end) {
        let Some(batch) = scanner.batch(at)? else { break };
        if let Some(record) = batch.damaged().next() {
            return Ok(Some(record.offset));
        }
        at = batch.end;
    }
    let whole = match end {
        Some(end) => at == end,
        // A rewritten segment ends with its file; the rest of another is zeros.
        None => {
            scanner.rest(at)?.last_byte.is_none() && (scanner.replaced_end.is_none() || at == scanner.size)
        }
    };
    Ok((!whole).then_some(at))
}

fn refusal(damage: &str) -> Error {
    Error::Damaged(format!(
        "{damage}. Nothing was backed up, and an earlier backup is as it was: see `posthaste store verify` and `repair`"
    ))
}

fn unwritable(directory: &Path, error: io::Error) -> Error {
    match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Error::Invalid(format!(
            "cannot write to {}: {error}. Who has the store open writes its backup: while a server runs that is the server, as its own \
             user, and only below the directory that `backups` names in its settings ([hardening]; in a systemd unit also ReadWritePaths=) or that \
             `posthaste up --backups` names",
            directory.display()
        )),
        _ => io_error("writing to", directory, error),
    }
}

/// Says that a directory is one for backups, and nothing in it is anybody else's.
pub(crate) const MARK: &str = "posthaste-backup";

const MARK_TEXT: &[u8] = b"A backup of a Posthaste store; `manifest` says what is in it.\n\
    `posthaste store restore` makes a store from it, `posthaste store backup` brings it up to date.\n";

/// How the name of a file ends that is being written.
const NEW: &str = ".new";
