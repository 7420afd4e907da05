//! What of an account elsewhere is here already, so that an import that was interrupted, or is done again for what came since, need not
//! fetch everything once more.
//!
//! It saves time and nothing depends on it: what it does not know is fetched and compared with what is here. So it is not synced, and a
//! line that cannot be read counts as none. It is text: a line `mailbox UIDVALIDITY NAME`, then the UIDs of that mailbox, one on a line.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Which messages were brought in.
pub(super) struct Journal {
    file: File,
    known: HashMap<(u32, String), HashSet<u32>>,
    /// The mailbox whose UIDs are being written.
    current: Option<(u32, String)>,
}

impl Journal {
    /// Reads a journal, or begins one.
    pub(super) fn open(path: &Path) -> io::Result<Journal> {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            text => text?,
        };
        let mut known: HashMap<(u32, String), HashSet<u32>> = HashMap::new();
        let mut current = None;
        // A line that was cut off could be another number.
        for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            if let Some((validity, name)) =
                line.strip_prefix("mailbox ").and_then(|rest| rest.split_once(' '))
            {
                current = validity.parse().ok().map(|validity| (validity, name.to_owned()));
            } else if let (Some(mailbox), Ok(uid)) = (&current, line.parse()) {
                known.entry(mailbox.clone()).or_default().insert(uid);
            }
        }
        let mut file = File::options().append(true).create(true).mode(0o600).open(path)?;
        if !text.is_empty() && !text.ends_with('\n') {
            file.write_all(b"-\n")?;
        }
        Ok(Journal { file, known, current: None })
    }

    /// Whether a message was brought in before.
    pub(super) fn has(&self, uid_validity: u32, mailbox: &str, uid: u32) -> bool {
        self.known.get(&(uid_validity, mailbox.to_owned())).is_some_and(|uids| uids.contains(&uid))
    }

    /// A message was brought in.
    pub(super) fn add(&mut self, uid_validity: u32, mailbox: &str, uid: u32) -> io::Result<()> {
        let key = (uid_validity, mailbox.to_owned());
        if self.current.as_ref() != Some(&key) {
            writeln!(self.file, "mailbox {uid_validity} {mailbox}")?;
            self.current = Some(key);
        }
        writeln!(self.file, "{uid}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_knows_what_was_added_and_survives_a_cut() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("imports/one");
        let mut journal = Journal::open(&path).expect("a file");
        for (validity, mailbox, uid) in [(7, "INBOX", 1), (7, "INBOX", 20), (8, "a b", 20)] {
            journal.add(validity, mailbox, uid).expect("room");
        }
        drop(journal);
        let whole = fs::read_to_string(&path).expect("a file");
        // The last number is cut off in the middle.
        fs::write(&path, &whole[..whole.len() - 2]).expect("a file");
        let mut journal = Journal::open(&path).expect("a file");
        assert!(journal.has(7, "INBOX", 1) && journal.has(7, "INBOX", 20));
        assert!(!journal.has(8, "INBOX", 1) && !journal.has(7, "INBOX", 2) && !journal.has(8, "a b", 20));
        journal.add(8, "a b", 21).expect("room");
        assert!(Journal::open(&path).expect("a file").has(8, "a b", 21));
    }
}
