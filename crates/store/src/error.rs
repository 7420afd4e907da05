//! What can go wrong in a store: one enum for all engines, made so that a caller can tell what to say to a peer without knowing the
//! engine. The texts are for the operator's log, never for a peer.

/// The result of a store operation.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a store did not do what it was asked. Nothing was changed unless the variant says otherwise.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// No such account.
    #[error("no account {0}")]
    NoSuchAccount(String),
    /// No such mailbox.
    #[error("no mailbox {0}")]
    NoSuchMailbox(String),
    /// No such message.
    #[error("no message {0}")]
    NoSuchMessage(String),
    /// No such alias.
    #[error("no alias {0}")]
    NoSuchAlias(String),
    /// No such domain.
    #[error("no domain {0}")]
    NoSuchDomain(String),
    /// No application password of that name.
    #[error("no application password {0}")]
    NoSuchPassword(String),
    /// It is no longer what the change was made for.
    #[error("{0} was changed meanwhile")]
    Changed(String),
    /// It exists already.
    #[error("{0} exists already")]
    Exists(String),
    /// The disk is full, or too full to accept more. Temporary: `452 4.3.1`.
    #[error("the disk is full: {0}")]
    Full(String),
    /// The message does not fit into an account's quota. Temporary, because somebody may make room: `452 4.2.2`.
    #[error("{0} is over its quota")]
    OverQuota(String),
    /// It would be more than is allowed of its kind.
    #[error("too many: {0}")]
    Limit(String),
    /// A write or a sync failed; the engine accepts nothing more until it is opened anew. Temporary for peers: `451 4.3.0`.
    /// For the operation in hand the outcome is unknown until then.
    #[error("the store is out of service: {0}")]
    Fenced(String),
    /// What was read does not match its checksum or its format.
    #[error("damaged data: {0}")]
    Damaged(String),
    /// The operating system refused.
    #[error("{what}: {cause}")]
    Io {
        /// What was being done, with the file's name.
        what: String,
        /// What the system said.
        cause: String,
    },
    /// Another process has the store open.
    #[error("{0}")]
    InUse(String),
    /// The store is closing.
    #[error("the store is closing")]
    Closed,
    /// The request itself is not acceptable.
    #[error("{0}")]
    Invalid(String),
}
