//! Maildir: a file for each message, in `new` or `cur`, with the flags behind `:2,` in its name.

use super::{FlagsIn, Label, Letter, changed, files, with_line_feeds, write_whole};
use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use store::Flags;

/// A Maildir being written.
pub(crate) struct Writer {
    directory: PathBuf,
    /// The names that are there, without their flags.
    there: HashSet<String>,
}

impl Writer {
    /// Begins a Maildir, or goes on with one.
    pub(crate) fn open(directory: &Path) -> io::Result<Writer> {
        let mut there = HashSet::new();
        for part in ["tmp", "new", "cur"] {
            fs::create_dir_all(directory.join(part))?;
        }
        for path in messages(directory)? {
            there.insert(split(&path).0.to_owned());
        }
        Ok(Writer { directory: directory.to_owned(), there })
    }

    /// Whether a message was written before.
    pub(crate) fn has(&self, label: &Label) -> bool {
        self.there.contains(&base(label))
    }

    /// Adds a message.
    pub(crate) fn add(&mut self, label: &Label, text: &[u8]) -> io::Result<()> {
        let base = base(label);
        let to = self.directory.join("cur").join(format!("{base}:2,{}", letters(label.flags)));
        write_whole(&self.directory.join("tmp").join(&base), &to, &with_line_feeds(text), label.received)?;
        self.there.insert(base);
        Ok(())
    }

    /// Ends it: all names are on the disk.
    pub(crate) fn finish(self) -> io::Result<()> {
        fs::File::open(self.directory.join("cur"))?.sync_all()
    }
}

/// Whether a directory is a Maildir.
pub(crate) fn is_one(directory: &Path) -> bool {
    ["cur", "new"].iter().all(|part| directory.join(part).is_dir())
}

/// The files of a Maildir, in the order of their names, which begin with the time.
pub(crate) fn messages(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut all = files(&directory.join("cur"))?;
    all.extend(files(&directory.join("new"))?);
    all.sort_by(|a, b| a.file_name().cmp(&b.file_name()));
    Ok(all)
}

/// Reads a message.
pub(crate) fn read(path: &Path) -> io::Result<Letter> {
    let changed = changed(path)?;
    Ok(Letter::of(&fs::read(path)?, FlagsIn::Name(flags(split(path).1)), Some(changed), changed))
}

/// The name without flags, and the flags.
fn split(path: &Path) -> (&str, &str) {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.split_once(":2,").unwrap_or((name, ""))
}

fn base(label: &Label) -> String {
    format!("{}.{}U{}.posthaste", label.received.0.div_euclid(1000), label.unique(), label.uid)
}

/// In the order of the alphabet, as the format wants it.
const LETTERS: [(Flags, char); 5] = [
    (Flags::DRAFT, 'D'),
    (Flags::FLAGGED, 'F'),
    (Flags::ANSWERED, 'R'),
    (Flags::SEEN, 'S'),
    (Flags::DELETED, 'T'),
];

fn letters(flags: Flags) -> String {
    LETTERS.iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, letter)| *letter).collect()
}

fn flags(letters: &str) -> Flags {
    let known = LETTERS.iter().filter(|(_, letter)| letters.contains(*letter));
    known.map(|(flag, _)| *flag).fold(Flags::default(), Flags::with)
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::Timestamp;

    #[test]
    fn what_is_written_is_read_again_and_not_written_twice() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("Maildir");
        let flags = Flags::SEEN.with(Flags::ANSWERED);
        let label = Label {
            account: "a@b.example".to_owned(),
            id: "ID".to_owned(),
            uid: 3,
            received: Timestamp(1_500_000),
            flags,
            sender: String::new(),
        };
        let mut writer = Writer::open(&path).expect("a Maildir");
        assert!(!writer.has(&label));
        writer.add(&label, b"Subject: a\r\n\r\nb\r\n").expect("room");
        writer.finish().expect("it can be written");
        assert!(Writer::open(&path).expect("the same").has(&label));
        let elsewhere = Label { account: "b@b.example".to_owned(), ..label.clone() };
        assert!(!Writer::open(&path).expect("the same").has(&elsewhere), "another account's copy is another");
        let file = path.join(format!("cur/1500.{}U3.posthaste:2,RS", label.unique()));
        assert_eq!(messages(&path).expect("a Maildir"), std::slice::from_ref(&file));
        assert_eq!(fs::read(&file).expect("a file"), b"Subject: a\n\nb\n");
        let text = b"Subject: a\r\n\r\nb\r\n".to_vec();
        assert_eq!(
            read(&file).expect("a message"),
            Letter { received: label.received, date: None, flags, keywords: Vec::new(), text }
        );
    }
}
