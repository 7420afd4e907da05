//! What of an account elsewhere is here already, so that an import that was interrupted, or is done again for what came since, need not
//! fetch everything once more.
//!
//! It saves time: what it does not know is fetched and compared with what is here. So it is not synced, and a line that cannot be read
//! counts as none. It speaks of one incarnation of a mailbox there and of the one here: where either was made anew it knows nothing. It is text:
//! a line `mailbox UIDVALIDITY-THERE UIDVALIDITY-HERE NAME-THERE`, then a line for each message: its UID there, and that here.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Which messages were brought in.
pub(super) struct Journal {
    file: File,
    /// By the UID there, the one here.
    known: HashMap<Pair, HashMap<u32, u32>>,
    /// The mailboxes whose UIDs are being written.
    current: Option<Pair>,
}

/// A mailbox there, and the one here that it goes into.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Pair {
    /// The incarnation there; 0 when the server knows none, and then nothing is remembered.
    pub(super) there: u32,
    /// The incarnation here.
    pub(super) here: u32,
    /// The name there.
    pub(super) name: String,
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
        let mut known: HashMap<Pair, HashMap<u32, u32>> = HashMap::new();
        let mut current = None;
        // A line that was cut off could be another number.
        for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            if let Some(pair) = line.strip_prefix("mailbox ") {
                current = Pair::read(pair);
            } else if let (Some(pair), Some((there, here))) = (&current, line.split_once(' '))
                && let (Ok(there), Ok(here)) = (there.parse(), here.parse())
            {
                known.entry(Pair::clone(pair)).or_default().insert(there, here);
            }
        }
        let mut file = File::options().append(true).create(true).mode(0o600).open(path)?;
        if !text.is_empty() && !text.ends_with('\n') {
            file.write_all(b"-\n")?;
        }
        Ok(Journal { file, known, current: None })
    }

    /// Whether a message was brought in before.
    pub(super) fn has(&self, pair: &Pair, uid: u32) -> bool {
        pair.there != 0 && self.known.get(pair).is_some_and(|uids| uids.contains_key(&uid))
    }

    /// The UIDs here of all that were.
    pub(super) fn here(&self, pair: &Pair) -> HashSet<u32> {
        match self.known.get(pair) {
            Some(uids) if pair.there != 0 => uids.values().copied().collect(),
            _ => HashSet::new(),
        }
    }

    /// A message was brought in: its UID there, and that here.
    pub(super) fn add(&mut self, pair: &Pair, there: u32, here: u32) -> io::Result<()> {
        if self.current.as_ref() != Some(pair) {
            writeln!(self.file, "mailbox {} {} {}", pair.there, pair.here, pair.name)?;
            self.current = Some(pair.clone());
        }
        writeln!(self.file, "{there} {here}")
    }
}

impl Pair {
    fn read(text: &str) -> Option<Pair> {
        let (there, rest) = text.split_once(' ')?;
        let (here, name) = rest.split_once(' ')?;
        Some(Pair { there: there.parse().ok()?, here: here.parse().ok()?, name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_knows_what_was_added_and_survives_a_cut() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("imports/one");
        let pair = |there, name: &str| Pair { there, here: 5, name: name.to_owned() };
        let (inbox, other) = (pair(7, "INBOX"), pair(8, "a b"));
        let mut journal = Journal::open(&path).expect("a file");
        for (pair, uid) in [(&inbox, 1), (&inbox, 20), (&other, 20)] {
            journal.add(pair, uid, 100 + uid).expect("room");
        }
        drop(journal);
        let whole = fs::read_to_string(&path).expect("a file");
        // The last number is cut off in the middle.
        fs::write(&path, &whole[..whole.len() - 2]).expect("a file");
        let mut journal = Journal::open(&path).expect("a file");
        assert!(journal.has(&inbox, 1) && journal.has(&inbox, 20));
        assert_eq!(journal.here(&inbox), HashSet::from([101, 120]));
        assert!(!journal.has(&other, 20) && !journal.has(&other, 2) && !journal.has(&inbox, 2));
        assert!(!journal.has(&Pair { here: 6, ..inbox.clone() }, 1), "the mailbox here is another one");
        journal.add(&other, 21, 5).expect("room");
        assert!(Journal::open(&path).expect("a file").has(&other, 21));
    }
}
