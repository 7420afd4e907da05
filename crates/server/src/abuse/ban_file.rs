//! The bans that an operator made: a small JSON file in the data directory.
//!
//! It is written as a whole, beside the old one, synced, and put in its place, so that a crash leaves the old or the new list. A ban that
//! the server made by itself is not in it: it is short, and a restart may forgive it. Who changes the file holds the data directory: the
//! running server, or a command while none runs.

use crate::settings::Network;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use store::Timestamp;

/// A ban that an operator made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandBan {
    /// Who.
    pub network: Network,
    /// Until when; without an end when `None`.
    pub until: Option<Timestamp>,
    /// When it was made.
    pub added: Timestamp,
    /// Why, for those who read the list.
    #[serde(default)]
    pub reason: String,
}

/// Why the list cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum BanFileError {
    /// The system said no.
    #[error("{}: {cause}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What it said.
        cause: io::Error,
    },
    /// It is not what this program writes.
    #[error("{}: {cause}; mend it, or remove it to ban nobody", path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// Where and what.
        cause: serde_json::Error,
    },
    /// There is no room for one more.
    #[error("there are {BANS_MAX} bans already, the most that are kept: ban a larger network instead")]
    TooMany,
}

/// As many bans are kept. More belong into a packet filter.
pub const BANS_MAX: usize = 10_000;

const NAME: &str = "bans.json";

/// The bans in this data directory; none when there is no file.
pub fn read(data: &Path) -> Result<Vec<HandBan>, BanFileError> {
    let path = data.join(NAME);
    match fs::read(&path) {
        Ok(text) => parse(&text).map_err(|cause| BanFileError::Malformed { path, cause }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(cause) => Err(BanFileError::Io { path, cause }),
    }
}

/// The bans in a file's text.
pub fn parse(text: &[u8]) -> serde_json::Result<Vec<HandBan>> {
    serde_json::from_slice(text)
}

/// Adds a ban, in place of one for the same network, and returns all of them. Those that were over at its beginning are left out.
pub fn add(data: &Path, ban: HandBan) -> Result<Vec<HandBan>, BanFileError> {
    let mut bans = read(data)?;
    bans.retain(|known| known.network != ban.network && known.until.is_none_or(|until| until > ban.added));
    if bans.len() >= BANS_MAX {
        return Err(BanFileError::TooMany);
    }
    bans.push(ban);
    bans.sort_by_key(|ban| ban.network);
    write(data, &bans)?;
    Ok(bans)
}

/// Removes the ban of this network; returns all others, and whether there was one.
pub fn remove(data: &Path, network: Network) -> Result<(Vec<HandBan>, bool), BanFileError> {
    let mut bans = read(data)?;
    let before = bans.len();
    bans.retain(|ban| ban.network != network);
    let was_there = bans.len() < before;
    if was_there {
        write(data, &bans)?;
    }
    Ok((bans, was_there))
}

fn write(data: &Path, bans: &[HandBan]) -> Result<(), BanFileError> {
    let path = data.join(NAME);
    let new = data.join("bans.json.new");
    let failed = |cause| BanFileError::Io { path: path.clone(), cause };
    let mut text = serde_json::to_vec_pretty(bans).map_err(|error| failed(error.into()))?;
    text.push(b'\n');
    let written = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        File::open(data)?.sync_all()
    };
    written().map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ban(network: &str, added: i64, until: Option<i64>) -> HandBan {
        HandBan {
            network: network.parse().expect("a network"),
            until: until.map(Timestamp),
            added: Timestamp(added),
            reason: "spam".to_owned(),
        }
    }

    #[test]
    fn bans_are_kept_until_they_are_removed_or_over() {
        let data = tempfile::tempdir().expect("a directory");
        assert!(read(data.path()).expect("no file").is_empty());
        add(data.path(), ban("192.0.2.0/24", 0, None)).expect("written");
        add(data.path(), ban("2001:db8::/32", 0, Some(50))).expect("written");
        assert_eq!(read(data.path()).expect("a list").len(), 2);
        let bans = add(data.path(), ban("192.0.2.0/24", 100, Some(200))).expect("written");
        assert_eq!(bans, [ban("192.0.2.0/24", 100, Some(200))], "replaced, and the other one is over");
        assert_eq!(read(data.path()).expect("a list"), bans);
        let (left, was_there) = remove(data.path(), bans[0].network).expect("written");
        assert!(left.is_empty() && was_there);
        assert!(!remove(data.path(), bans[0].network).expect("nothing to do").1);
    }

    #[test]
    fn a_damaged_list_is_not_taken_for_an_empty_one() {
        let data = tempfile::tempdir().expect("a directory");
        fs::write(data.path().join(NAME), "[{\"network\": \"nowhere\"}]").expect("written");
        let error = read(data.path()).expect_err("no network").to_string();
        assert!(error.contains("bans.json") && error.contains("nowhere"), "{error}");
    }
}
