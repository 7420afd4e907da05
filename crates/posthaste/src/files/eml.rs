//! A directory of `.eml` files, one for each message.

use super::{FlagsIn, Label, Letter, changed, files, status_fields, write_whole};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A directory being written.
pub(crate) struct Writer {
    directory: PathBuf,
}

impl Writer {
    /// Begins a directory, or goes on with one.
    pub(crate) fn open(directory: &Path) -> io::Result<Writer> {
        fs::create_dir_all(directory)?;
        Ok(Writer { directory: directory.to_owned() })
    }

    /// Whether a message was written before.
    pub(crate) fn has(&self, label: &Label) -> bool {
        self.place(label).exists()
    }

    /// Adds a message.
    pub(crate) fn add(&mut self, label: &Label, text: &[u8]) -> io::Result<()> {
        let text = [status_fields(label.flags, "\r\n").as_bytes(), text].concat();
        let to = self.place(label);
        write_whole(&to.with_extension("posthaste-part"), &to, &text, label.received)
    }

    /// Ends it: all names are on the disk.
    pub(crate) fn finish(self) -> io::Result<()> {
        fs::File::open(&self.directory)?.sync_all()
    }

    fn place(&self, label: &Label) -> PathBuf {
        self.directory.join(format!("{:08}-{}.eml", label.uid, label.unique()))
    }
}

/// The `.eml` files of a directory, by name.
pub(crate) fn messages(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut all = files(directory)?;
    all.retain(|path| path.extension().is_some_and(|end| end.eq_ignore_ascii_case(OsStr::new("eml"))));
    Ok(all)
}

/// Reads a message. Its time is that of its Date field: that of the file is often the time of a copy.
pub(crate) fn read(path: &Path) -> io::Result<Letter> {
    Ok(Letter::of(&fs::read(path)?, FlagsIn::Fields, None, changed(path)?))
}
