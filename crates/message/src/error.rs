//! What can go wrong: only writing fails, reading never does.

/// Why a message could not be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A value cannot stand where it was to be written.
    #[error("the {field} cannot be written: {reason}")]
    Unwritable {
        /// What was to be written.
        field: &'static str,
        /// Why it cannot be.
        reason: String,
    },
}

impl Error {
    pub(crate) fn unwritable(field: &'static str, reason: String) -> Error {
        Error::Unwritable { field, reason }
    }
}
