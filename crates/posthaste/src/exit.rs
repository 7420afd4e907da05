//! How the program ends.

use std::fmt;
use std::io;
use std::process::ExitCode;

/// An exit status, the same for every command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done; for `send`: accepted for every recipient.
    Done,
    /// Refused, or failed for another reason that will not pass by itself.
    Refused,
    /// Done as far as it was possible, but not everything could be saved.
    Lost,
    /// The command makes no sense as it was given.
    Usage,
    /// Not now, but the same may work later (EX_TEMPFAIL of sysexits.h, which mail programs understand).
    TryLater,
}

/// A mistake in the command, as against one in the world.
#[derive(Debug)]
pub(crate) struct Complaint(String);

impl Complaint {
    /// The command makes no sense as it was given; the text says what would.
    pub(crate) fn usage(text: impl Into<String>) -> Complaint {
        Complaint(text.into())
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Complaint {}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(match exit {
            Exit::Done => 0,
            Exit::Refused => 1,
            Exit::Usage => 2,
            Exit::Lost => 3,
            Exit::TryLater => 75,
        })
    }
}

/// Prints an error for the person who typed the command, and says how to end.
pub(crate) fn report(error: &anyhow::Error) -> Exit {
    let is_broken_pipe = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    };
    if error.chain().any(is_broken_pipe) {
        // `posthaste inbox ls | head`: the reader has what it wanted.
        return Exit::Done;
    }
    // it may quote what others wrote
    anstream::eprintln!("posthaste: {}", message::terminal::lines(&in_words(error)));
    if error.is::<Complaint>() { Exit::Usage } else { Exit::Refused }
}

/// The error with its causes, each of which is said once: some errors quote their cause themselves.
fn in_words(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context, anyhow};

    #[test]
    fn each_cause_is_said_once() {
        let quoting = || Err::<(), _>(anyhow!("no such file")).context("cannot read x: no such file");
        assert_eq!(in_words(&quoting().expect_err("it fails")), "cannot read x: no such file");
        let above = quoting().context("it cannot start").expect_err("it fails");
        assert_eq!(in_words(&above), "it cannot start: cannot read x: no such file");
    }
}
