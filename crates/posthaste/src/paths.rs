//! Where things are.

use crate::exit::Complaint;
use std::ffi::OsString;
use std::path::PathBuf;

/// `--data`, for commands that have no settings file, or one of their own.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct DirectoryArgs {
    /// The data directory [default: $XDG_DATA_HOME/posthaste or ~/.local/share/posthaste]
    #[arg(long = "data", value_name = "DIR", env = "POSTHASTE_DATA", hide_env_values = true, global = true)]
    directory: Option<PathBuf>,
}

impl DirectoryArgs {
    /// The directory named, or the user's own.
    pub(crate) fn directory(&self) -> anyhow::Result<PathBuf> {
        match &self.directory {
            Some(directory) => Ok(directory.clone()),
            None => Ok(default_data(std::env::var_os("XDG_DATA_HOME"), std::env::var_os("HOME"))?),
        }
    }

    /// The directory named, if one was.
    pub(crate) fn named(&self) -> Option<&PathBuf> {
        self.directory.as_ref()
    }

    /// What to add to another `posthaste` command so that it finds the same mail; empty when it does by itself.
    pub(crate) fn as_option(&self) -> String {
        // Other commands take it from the settings where these are named for all of them.
        let has_settings = std::env::var_os("POSTHASTE_CONFIG").is_some();
        let own = || self.directory().ok().filter(|_| has_settings);
        match self.directory.clone().or_else(own) {
            Some(directory) => format!(" --data {}", shell_quoted(&directory.to_string_lossy())),
            None => String::new(),
        }
    }
}

/// `--data` and `--config`, for commands that work on the mail of a server.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct DataArgs {
    #[command(flatten)]
    data: DirectoryArgs,
    /// The settings file of the server, for the data directory that it names
    #[arg(
        long = "config",
        value_name = "FILE",
        env = "POSTHASTE_CONFIG",
        hide_env_values = true,
        global = true
    )]
    settings: Option<PathBuf>,
}

impl DataArgs {
    /// The directory named; or that of the settings, as `serve` takes it; or the user's own.
    pub(crate) fn directory(&self) -> anyhow::Result<PathBuf> {
        if let (None, Some(file)) = (self.data.named(), &self.settings) {
            let named = server::settings::data_directory(file);
            if let Some(directory) = named.map_err(|error| Complaint::usage(error.to_string()))? {
                return Ok(directory);
            }
        }
        self.data.directory()
    }
}

/// The data directory of the user, by the XDG base directory specification: what is not absolute counts as not set.
fn default_data(data_home: Option<OsString>, home: Option<OsString>) -> Result<PathBuf, Complaint> {
    let absolute = |name: OsString| Some(PathBuf::from(name)).filter(|path| path.is_absolute());
    let data_home = data_home.and_then(absolute);
    let base = data_home.or_else(|| Some(home.and_then(absolute)?.join(".local/share")));
    base.map(|base| base.join("posthaste")).ok_or_else(|| {
        Complaint::usage("neither XDG_DATA_HOME nor HOME is set; name the data directory with --data")
    })
}

/// The text as one word of a POSIX shell.
pub(crate) fn shell_quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_directory_follows_the_xdg_specification() {
        let directory = |data_home: Option<&str>, home: Option<&str>| {
            default_data(data_home.map(OsString::from), home.map(OsString::from))
                .map_err(|error| error.to_string())
        };
        let home = Some("/home/ann");
        assert_eq!(directory(None, home), Ok(PathBuf::from("/home/ann/.local/share/posthaste")));
        assert_eq!(directory(Some("/data"), home), Ok(PathBuf::from("/data/posthaste")));
        assert_eq!(directory(Some(""), home), Ok(PathBuf::from("/home/ann/.local/share/posthaste")));
        assert_eq!(directory(Some("relative"), home), Ok(PathBuf::from("/home/ann/.local/share/posthaste")));
        assert!(directory(None, None).is_err_and(|error| error.contains("--data")));
    }

    #[test]
    fn words_are_quoted_where_a_shell_needs_it() {
        assert_eq!(shell_quoted("/tmp/mail"), "/tmp/mail");
        assert_eq!(shell_quoted("/tmp/my mail"), "'/tmp/my mail'");
        assert_eq!(shell_quoted("it's"), r"'it'\''s'");
        assert_eq!(shell_quoted(""), "''");
    }
}
