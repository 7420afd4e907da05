//! From what the file system and redb say to what the store's callers understand.

use std::io;
use std::path::Path;
use store::Error;

/// The error for a file operation: what was being done, to which file.
pub(crate) fn io_error(doing: &str, path: &Path, error: io::Error) -> Error {
    let what = format!("{doing} {}", path.display());
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::Full(format!("{what}: {error}")),
        io::ErrorKind::UnexpectedEof => Error::Damaged(format!("{what}: the file is too short")),
        _ => Error::Io { what, cause: error.to_string() },
    }
}

/// The same for a write or a sync after which nobody can know what the disk holds: unless it was for want of space, that is for good.
pub(crate) fn write_error(doing: &str, path: &Path, error: io::Error) -> Error {
    match io_error(doing, path, error) {
        full @ Error::Full(_) => full,
        error => Error::Fenced(error.to_string()),
    }
}

/// The error for an index operation.
pub(crate) fn index_error(error: impl Into<redb::Error>) -> Error {
    match error.into() {
        redb::Error::Io(error) => io_error("using", Path::new("the index"), error),
        redb::Error::Corrupted(what) => Error::Damaged(format!("the index: {what}")),
        error => Error::Io { what: "using the index".to_owned(), cause: error.to_string() },
    }
}
