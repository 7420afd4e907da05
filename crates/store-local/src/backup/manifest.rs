//! What a backup holds: its manifest, and what the files in it are called.
//!
//! The manifest is text, one file a line, closed by a checksum of itself. A file's name in a backup says its length and its checksum, so
//! that what has the name is the file, and nothing that another manifest names is ever in the way.

use crate::error::io_error;
use crate::file::{Files, Mode, read_exact_at};
use crate::open::{LARGE, LOG};
use crate::{large, segment};
use std::io::ErrorKind;
use std::path::Path;
use store::{Error, Result, SpoolId, Timestamp};

/// A backup's table of contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// When the backup was begun: it holds what was acknowledged then.
    pub(crate) made: Timestamp,
    pub(crate) entries: Vec<Entry>,
}

/// A file of the store in a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Entry {
    pub(crate) file: Kept,
    pub(crate) length: u64,
    /// The CRC32C of all its bytes.
    pub(crate) crc: u32,
}

/// Which file of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kept {
    /// A segment of the log.
    Segment(u64),
    /// The file of a message's large content.
    Large(u64),
}

impl Manifest {
    /// The manifest of the backup in this directory; `None` when there is none.
    pub(crate) fn read(files: &dyn Files, directory: &Path) -> Result<Option<Manifest>> {
        let path = directory.join(MANIFEST);
        let fail = |error| io_error("reading", &path, error);
        let file = match files.open(&path, Mode::Read) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            file => file.map_err(fail)?,
        };
        let size = file.size().map_err(fail)?;
        let damaged = || Error::Damaged(format!("{} is not what was written", path.display()));
        if size > MANIFEST_MAX {
            return Err(damaged());
        }
        let mut bytes = vec![0; size as usize];
        read_exact_at(&*file, &mut bytes, 0).map_err(fail)?;
        let text = String::from_utf8(bytes).map_err(|_| damaged())?;
        match text.lines().next() {
            Some(line) if line != FIRST_LINE && line.starts_with(FORMAT) => Err(Error::Invalid(format!(
                "{} has a format that this program does not know: {line:?}",
                path.display()
            ))),
            _ => Manifest::decode(&text).map(Some).ok_or_else(damaged),
        }
    }

    /// The last segment of the log, and how much of it there is; `None` when there is no segment.
    pub(crate) fn end(&self) -> Option<(u64, u64)> {
        let segment = |entry: &Entry| match entry.file {
            Kept::Segment(segment) => Some((segment, entry.length)),
            Kept::Large(_) => None,
        };
        self.entries.iter().filter_map(segment).max_by_key(|(segment, _)| segment::last(*segment))
    }

    /// Its text.
    pub(crate) fn encode(&self) -> String {
        let mut text = format!("{FIRST_LINE}\nmade {}\n", self.made.0);
        for Entry { file, length, crc } in &self.entries {
            text.push_str(&format!("{crc:08x} {length} {}\n", file.path()));
        }
        text.push_str(&format!("end {:08x}\n", crc32c::crc32c(text.as_bytes())));
        text
    }

    fn decode(text: &str) -> Option<Manifest> {
        let (front, last) = text.strip_suffix('\n')?.rsplit_once('\n')?;
        let front = &text[..=front.len()];
        if last != format!("end {:08x}", crc32c::crc32c(front.as_bytes())) {
            return None;
        }
        let mut lines = front.lines();
        if lines.next() != Some(FIRST_LINE) {
            return None;
        }
        let made = Timestamp(lines.next()?.strip_prefix("made ")?.parse().ok()?);
        let entry = |line: &str| {
            let mut words = line.splitn(3, ' ');
            let crc = u32::from_str_radix(words.next()?, 16).ok()?;
            let length = words.next()?.parse().ok()?;
            Some(Entry { file: Kept::parse(words.next()?)?, length, crc })
        };
        Some(Manifest { made, entries: lines.map(entry).collect::<Option<_>>()? })
    }
}

impl Entry {
    /// Its name in the backup.
    pub(crate) fn stored(&self) -> String {
        format!("{}-{}-{:08x}", self.file.path(), self.length, self.crc)
    }

    /// The entry whose name this is.
    pub(crate) fn parse_stored(name: &str) -> Option<Entry> {
        let (front, crc) = name.rsplit_once('-')?;
        let (path, length) = front.rsplit_once('-')?;
        let crc = u32::from_str_radix(crc, 16).ok()?;
        let entry = Entry { file: Kept::parse(path)?, length: length.parse().ok()?, crc };
        (entry.stored() == name).then_some(entry)
    }
}

impl Kept {
    /// Its path in a store.
    pub(crate) fn path(self) -> String {
        match self {
            Kept::Segment(segment) => format!("{LOG}/{}.seg", segment::name(segment)),
            Kept::Large(spool) => format!("{LARGE}/{}", large::name(spool)),
        }
    }

    /// Nothing but a path that a store can have: a manifest must not lead anywhere else.
    fn parse(path: &str) -> Option<Kept> {
        let (directory, name) = path.split_once('/')?;
        let file = match directory {
            LOG => Kept::Segment(segment::parse(name.strip_suffix(".seg")?)?),
            LARGE => Kept::Large(name.split_once('/')?.1.parse::<SpoolId>().ok()?.0),
            _ => return None,
        };
        (file.path() == path).then_some(file)
    }
}

/// The manifest's name.
pub(crate) const MANIFEST: &str = "manifest";

const FORMAT: &str = "posthaste-backup ";
const FIRST_LINE: &str = "posthaste-backup 1";

/// Some ten million files.
const MANIFEST_MAX: u64 = 1 << 30;

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let entries = vec![
            Entry { file: Kept::Segment(7), length: 65_536, crc: 0xBEEF },
            Entry { file: Kept::Segment(segment::rewritten(3, 6, 2).unwrap()), length: 0, crc: u32::MAX },
            Entry { file: Kept::Large(0x0123_4567_89AB_CDEF), length: u64::MAX, crc: 0 },
        ];
        Manifest { made: Timestamp(1_700_000_000_123), entries }
    }

    #[test]
    fn a_manifest_is_read_as_it_was_written_or_not_at_all() {
        let manifest = manifest();
        let text = manifest.encode();
        assert_eq!(Manifest::decode(&text), Some(manifest.clone()));
        let empty = Manifest { entries: Vec::new(), ..manifest };
        assert_eq!(Manifest::decode(&empty.encode()), Some(empty));
        for cut in 0..text.len() {
            assert_eq!(Manifest::decode(&text[..cut]), None, "cut at {cut}");
        }
        for place in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[place] ^= 1;
            assert_eq!(Manifest::decode(std::str::from_utf8(&bytes).unwrap()), None, "changed at {place}");
        }
    }

    #[test]
    fn a_manifest_leads_nowhere_but_into_a_store() {
        for entry in manifest().entries {
            assert_eq!(Kept::parse(&entry.file.path()), Some(entry.file));
            assert_eq!(Entry::parse_stored(&entry.stored()), Some(entry));
        }
        let large = Kept::Large(1).path();
        for wrong in [
            "/etc/passwd",
            "log/../../x.seg",
            "log/7.seg",
            "log/00000007.seg/x",
            "log/00000007.new",
            "index.redb",
            "large/x",
            "log",
            "",
            &format!("/{large}"),
            &large.replace("large/", "large/../large/"),
            &large.replace("large/", "large/0"),
        ] {
            assert_eq!(Kept::parse(wrong), None, "{wrong}");
        }
        assert_eq!(
            Entry::parse_stored("log/00000007.seg"),
            None,
            "a file of a store itself is never taken for one"
        );
    }
}
