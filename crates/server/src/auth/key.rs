//! The server's own secret keys, each in a file of the data directory: one makes up SCRAM verifiers for users that do not exist, and so has
//! to be the same as long as those of real users are; another signs the reverse-paths of forwarded mail ([`crate::srs`]).

use super::Random;
use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The name of the file with the key for logins in the data directory.
pub const NAME: &str = "auth.key";
/// The name of the file with the key for reverse-paths.
pub const SRS_NAME: &str = "srs.key";

const LENGTH: usize = 32;

/// The key file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {cause}", path.display())]
pub struct KeyError {
    path: PathBuf,
    cause: io::Error,
}

/// Reads the key, and makes one when there is none yet; only the owner can read it.
pub fn load(data: &Path, name: &str, random: &Random) -> Result<[u8; LENGTH], KeyError> {
    let path = data.join(name);
    read_or_make(&path, random).map_err(|cause| KeyError { path, cause })
}

fn read_or_make(path: &Path, random: &Random) -> io::Result<[u8; LENGTH]> {
    match std::fs::read(path) {
        Ok(bytes) => bytes.try_into().map_err(|bytes: Vec<u8>| {
            let wrong =
                format!("it has {} bytes instead of {LENGTH}; remove it, and a new one is made", bytes.len());
            io::Error::new(ErrorKind::InvalidData, wrong)
        }),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let mut key = [0; LENGTH];
            random(&mut key);
            // Under another name until it is whole: a crash must not leave half a key.
            let unfinished = path.with_extension("key.new");
            let mut file =
                OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
            file.write_all(&key)?;
            file.sync_all()?;
            std::fs::rename(&unfinished, path)?;
            Ok(key)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Arc;

    #[test]
    fn it_is_made_once_and_for_the_owner_only() {
        let data = tempfile::tempdir().expect("a directory");
        let sevens: Random = Arc::new(|bytes: &mut [u8]| bytes.fill(7));
        let eights: Random = Arc::new(|bytes: &mut [u8]| bytes.fill(8));
        let made = load(data.path(), NAME, &sevens).expect("a key");
        let read = load(data.path(), NAME, &eights).expect("the same");
        assert_eq!((made, read), ([7; 32], [7; 32]));
        let path = data.path().join(NAME);
        let mode = std::fs::metadata(&path).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::write(&path, "short").expect("a file");
        let error = load(data.path(), NAME, &super::super::system_random()).expect_err("not a key");
        assert!(error.to_string().contains("it has 5 bytes"), "{error}");
    }
}
