//! Files that are made for one piece of work and removed at its end: a repair's, a verification's.

use crate::error::io_error;
use crate::file::{File, Files, Mode, read_exact_at, write_all_at};
use std::io::{ErrorKind, IoSlice};
use std::path::{Path, PathBuf};
use store::Result;

/// Removes the file when it is dropped.
pub(crate) struct Scratch<'a> {
    pub(crate) files: &'a dyn Files,
    pub(crate) path: PathBuf,
}

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        match self.files.remove(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::warn!(%error, file = %self.path.display(), "cannot remove a file that is not needed any more");
            }
            _ => {}
        }
    }
}

/// Copies a file, in place of any that a process which was killed has left there; whether there was one to copy.
pub(crate) fn copy_of(files: &dyn Files, from: &Path, to: &Path) -> Result<bool> {
    let source = match files.open(from, Mode::Read) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        source => source.map_err(|error| io_error("opening", from, error))?,
    };
    match files.remove(to) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(io_error("removing", to, error)),
        _ => {}
    }
    let target = files.open(to, Mode::Create).map_err(|error| io_error("creating", to, error))?;
    copy_bytes(&*source, &*target).map_err(|error| io_error("copying", from, error))?;
    Ok(true)
}

fn copy_bytes(source: &dyn File, target: &dyn File) -> std::io::Result<()> {
    let (size, mut at) = (source.size()?, 0);
    let mut bytes = vec![0; COPIED_AT_ONCE];
    while at < size {
        let length = (size - at).min(COPIED_AT_ONCE as u64) as usize;
        read_exact_at(source, &mut bytes[..length], at)?;
        write_all_at(target, &mut [IoSlice::new(&bytes[..length])], at)?;
        at += length as u64;
    }
    Ok(())
}

const COPIED_AT_ONCE: usize = 1 << 20;
