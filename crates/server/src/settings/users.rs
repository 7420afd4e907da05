//! The list of users that `up --users` takes: one address a line.

use smtp::Mailbox;
use std::path::{Path, PathBuf};

/// A users file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UsersError {
    /// It cannot be read.
    #[error("cannot read the users file {}: {cause}", file.display())]
    Unreadable {
        /// Which file.
        file: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// A line is not an address.
    #[error("{}:{line}: {text:?} is not an address: {reason}; write one address a line, like alice@example.org", file.display())]
    Malformed {
        /// Which file.
        file: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What it says.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no address at all.
    #[error("{}: no address in it; write one address a line, like alice@example.org", file.display())]
    Empty {
        /// Which file.
        file: PathBuf,
    },
}

/// Reads a users file. Empty lines and lines that begin with `#` are passed over.
pub fn read(file: &Path) -> Result<Vec<Mailbox>, UsersError> {
    let bytes =
        std::fs::read(file).map_err(|cause| UsersError::Unreadable { file: file.to_owned(), cause })?;
    parse(file, &bytes)
}

/// The same of its bytes; `file` is what errors call it.
pub fn parse(file: &Path, bytes: &[u8]) -> Result<Vec<Mailbox>, UsersError> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let mut users = Vec::new();
    for (number, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
        let malformed = |text: String, reason: String| UsersError::Malformed {
            file: file.to_owned(),
            line: number + 1,
            text,
            reason,
        };
        let line = std::str::from_utf8(line)
            .map_err(|_| malformed(String::from_utf8_lossy(line).into_owned(), "it is not UTF-8".to_owned()))?
            .trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        users.push(
            line.parse()
                .map_err(|error: smtp::AddressError| malformed(line.to_owned(), error.to_string()))?,
        );
    }
    if users.is_empty() { Err(UsersError::Empty { file: file.to_owned() }) } else { Ok(users) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Vec<String>, String> {
        parse(Path::new("users.txt"), text.as_bytes())
            .map(|users| users.iter().map(ToString::to_string).collect())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn one_address_a_line() {
        assert_eq!(
            parsed("\u{feff}alice@example.org\r\n\n# the second\n  bob@example.org\n"),
            Ok(vec!["alice@example.org".to_owned(), "bob@example.org".to_owned()])
        );
    }

    #[test]
    fn a_bad_line_is_named() {
        let error = parsed("alice@example.org\nbob\n").expect_err("no domain");
        assert!(error.starts_with("users.txt:2: \"bob\" is not an address: "), "{error}");
        assert!(error.ends_with("like alice@example.org"), "{error}");
    }

    #[test]
    fn an_empty_list_is_no_list() {
        assert!(parsed("# nobody\n").expect_err("no address").starts_with("users.txt: no address in it"));
    }
}
