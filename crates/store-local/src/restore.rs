//! Making a store from a backup ([`crate::backup`]): every file is compared with its checksum while it is copied.
//!
//! Until all is there and right the new store has the mark of an unfinished one, so that nobody takes it for the mail. What the store that
//! was backed up has given out since, UIDs above all, is not known here: so mailboxes get new UIDVALIDITYs, and clients begin anew. Damage in the backup
//! does not end the copying: so all of it is named, and a repair can save the rest.

use crate::backup::check::{self, no_manifest};
use crate::backup::copy::Source;
use crate::backup::manifest::{Entry, Kept, Manifest};
use crate::engine::Engine;
use crate::error::io_error;
use crate::file::{File, Files, Mode};
use crate::job::Job;
use crate::local::Options;
use crate::stats::Stats;
use crate::unfinished::Unfinished;
use crate::unreadable::Unreadable;
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::{Error, Result, Timestamp};
use tokio::sync::oneshot;

/// What a restoration has made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restored {
    /// When the backup was begun: the store holds what was acknowledged then.
    pub made: Timestamp,
    /// How many files were copied.
    pub files: u64,
    /// Their length together, in bytes.
    pub bytes: u64,
    /// What the new store holds.
    pub stats: Stats,
}

/// Makes a store in [`Options::directory`], which must be empty or not exist, from a backup. The backup is only read.
///
/// Fails with [`Error::Damaged`], which names every damaged file, when a file does not match its checksum; then and on any other error the
/// new store is not to be used and will not be opened.
pub fn restore(options: &Options, backup: &Path) -> Result<Restored> {
    let (files, directory) = (&*options.files, options.directory.as_path());
    let manifest = Manifest::read(files, backup)?.ok_or_else(|| no_manifest(files, backup))?;
    let unfinished = Unfinished::begin(files, directory)?;
    let (mut damage, mut changed, mut bytes) = (Vec::new(), BTreeSet::new(), 0);
    let unreadable = Unreadable::new(options.files.clone());
    for entry in &manifest.entries {
        let to = directory.join(entry.file.path());
        let above = to.ancestors().skip(1).take_while(|above| above.starts_with(directory));
        changed.extend(above.map(Path::to_owned));
        damage.extend(copy_back(&*unreadable, &backup.join(entry.stored()), (entry, &to))?);
        bytes += entry.length;
    }
    for changed in &changed {
        files.sync_dir(changed).map_err(|error| io_error("syncing", changed, error))?;
    }
    if !damage.is_empty() {
        unfinished.copied(manifest.end())?;
        damage.extend(unreadable.holes().iter().map(|hole| format!("{hole} cannot be read: {}", hole.cause)));
        return Err(not_whole(&damage, directory));
    }
    let stats = unfinished.finish_with(options, begin_anew)?;
    Ok(Restored { made: manifest.made, files: manifest.entries.len() as u64, bytes, stats })
}

/// Gives every mailbox a new UIDVALIDITY: what was given after the backup was made is given again.
pub(crate) fn begin_anew(engine: &Engine) -> Result<Stats> {
    let (answer, mut answered) = oneshot::channel();
    engine.writer.submit(Job::Restored { now: engine.now(), answer });
    // Whoever does the work on the spot has answered by now.
    answered.try_recv().unwrap_or(Err(Error::Closed))?;
    engine.stats()
}

/// Copies a file of the backup as it is; says what is wrong with it.
fn copy_back(files: &dyn Files, from: &Path, (entry, to): (&Entry, &PathBuf)) -> Result<Option<String>> {
    // Also for what is missing: its directory is synced with the others.
    if let Some(parent) = to.parent() {
        files.create_dir(parent).map_err(|error| io_error("creating", parent, error))?;
    }
    let file = match files.open(from, Mode::Read) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Ok(Some(format!("{} is missing", from.display())));
        }
        file => file.map_err(|error| io_error("opening", from, error))?,
    };
    let length = file.size().map_err(|error| io_error("reading", from, error))?;
    let copy = files.open(to, Mode::Create).map_err(|error| io_error("creating", to, error))?;
    let source = Source { file: &*file, path: from, length };
    let crc = source.copy((&*copy, to), &|| Ok(()))?;
    if length != entry.length {
        return Ok(Some(format!("{} is {length} bytes long and not {}", from.display(), entry.length)));
    }
    if crc != entry.crc {
        return place_of_damage(file, from, entry.file).map(Some);
    }
    Ok(None)
}

/// Says where a file differs from what it was, as closely as the checksums in it tell.
fn place_of_damage(file: Arc<dyn File>, path: &Path, kept: Kept) -> Result<String> {
    let place = check::place_of_damage(file, path, kept)?;
    Ok(place.unwrap_or_else(|| format!("{} does not match its checksum", path.display())))
}

fn not_whole(damage: &[String], directory: &Path) -> Error {
    let mut list = damage.iter().take(DAMAGE_MAX).map(String::as_str).collect::<Vec<_>>().join("; ");
    if damage.len() > DAMAGE_MAX {
        list.push_str(&format!("; and {} more", damage.len() - DAMAGE_MAX));
    }
    let directory = directory.display();
    Error::Damaged(format!(
        "in the backup: {list}. {directory} is not whole and will not be opened: use another backup, or save what is intact with \
         `posthaste store repair --data {directory} NEW-DIR`"
    ))
}

/// How many damaged files are named.
const DAMAGE_MAX: usize = 100;
