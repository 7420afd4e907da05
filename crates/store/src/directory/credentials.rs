//! How the holder of an account proves who they are: what is kept of their passwords.
//!
//! The store neither makes nor checks any of it: hashes and verifiers are text to it, which the server's authentication writes and
//! reads. It takes care that they show nowhere.

use crate::{Error, Result, Timestamp};
use std::fmt;
use zeroize::Zeroize;

/// Text that nobody shall see: a password's hash, a verifier, a password on its way to be hashed.
///
/// `Debug` does not show it, and its memory is wiped when it is dropped. Serialised it is the plain text: where that goes is the
/// caller's care.
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

/// What is kept of an account's passwords. All of it may be missing: then nobody can log in.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Credentials {
    /// The main password's hash, as a PHC string.
    pub password: Option<Secret>,
    /// The main password's SCRAM verifier.
    pub scram: Option<Secret>,
    /// Passwords for one program or device each, by name.
    pub application_passwords: Vec<ApplicationPassword>,
}

/// A password for one program or device, which can be taken back without touching the others.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ApplicationPassword {
    /// What its owner calls it; unique within the account.
    pub name: String,
    /// Its hash.
    pub password: Secret,
    /// Its SCRAM verifier.
    pub scram: Option<Secret>,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last used, to the hour ([`LAST_USED_GRAIN`]).
    pub last_used: Option<Timestamp>,
}

/// An account has at most so many application passwords: each login may have to try them all.
pub const APPLICATION_PASSWORDS_MAX: usize = 32;

/// A use of an application password is kept only when the one kept before is at least so many milliseconds older: programs log in
/// every few minutes, and each time kept is a record.
pub const LAST_USED_GRAIN: i64 = 60 * 60 * 1000;

/// A hash or verifier is at most so many bytes long.
pub const SECRET_MAX: usize = 1024;

/// The name of an application password, or the full name of a person, is at most so many bytes long.
pub const LABEL_MAX: usize = 255;

impl Secret {
    /// The text, from now on kept secret.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The text, for whoever must compare or write it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Refuses what is too long to be kept.
    pub(super) fn check(&self) -> Result<()> {
        match self.0.len() {
            1..=SECRET_MAX => Ok(()),
            length => {
                Err(Error::Invalid(format!("a secret of {length} bytes; it may have 1 to {SECRET_MAX}")))
            }
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl ApplicationPassword {
    /// Refuses what cannot be kept.
    pub fn check(&self) -> Result<()> {
        check_label("the name of an application password", &self.name)?;
        self.password.check()?;
        self.scram.as_ref().map_or(Ok(()), Secret::check)
    }
}

impl Credentials {
    /// The application password of that name.
    pub fn application_password(&self, name: &str) -> Option<&ApplicationPassword> {
        self.application_passwords.iter().find(|known| known.name == name)
    }

    /// Refuses one more application password when its name is taken or there are too many.
    pub fn check_room(&self, name: &str) -> Result<()> {
        if self.application_password(name).is_some() {
            return Err(Error::Exists(format!("application password {name}")));
        }
        if self.application_passwords.len() >= APPLICATION_PASSWORDS_MAX {
            return Err(Error::Invalid(format!(
                "there are {APPLICATION_PASSWORDS_MAX} application passwords already; remove one that is not used"
            )));
        }
        Ok(())
    }
}

/// Refuses a name for people to read that is empty, too long, or could disturb a terminal or a header field.
pub(super) fn check_label(what: &str, text: &str) -> Result<()> {
    if text.trim().is_empty() || text.len() > LABEL_MAX || text.chars().any(char::is_control) {
        return Err(Error::Invalid(format!("{what} has 1 to {LABEL_MAX} bytes and no control characters")));
    }
    Ok(())
}
