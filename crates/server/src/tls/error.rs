//! What is wrong with a certificate, a key or an authority's file: always the file, the reason, and where it helps what would be right.

use std::io;
use std::path::PathBuf;

/// TLS that cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}: {cause}", file.display())]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {}: {cause}", file.display())]
    Unwritable {
        /// Which.
        file: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{}: {reason}", file.display())]
    Malformed {
        /// Which.
        file: PathBuf,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// A key belongs to another certificate.
    #[error(
        "the key in {} does not belong to the first certificate in {}: the server's own certificate comes first, those of \
         authorities after it",
        key.display(), chain.display()
    )]
    Mismatch {
        /// The file of certificates.
        chain: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
    /// This system knows no authority.
    #[error(
        "this system trusts no certificate authority: install ca-certificates, or name a file of authorities"
    )]
    NoAuthorities,
    /// A name that no certificate can be for.
    #[error("{0:?} is neither a host name nor an IP address")]
    Name(String),
    /// Something that no setting can cause.
    #[error("TLS cannot be set up: {0}")]
    Internal(String),
}
