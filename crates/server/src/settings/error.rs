//! What is wrong with a settings file, shown where it is written.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Settings that cannot be used.
#[derive(Debug)]
pub enum SettingsError {
    /// The file cannot be read.
    Unreadable {
        /// Which file.
        file: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// Something in it is wrong.
    Wrong(Box<Wrong>),
}

/// One wrong thing, and its place.
#[derive(Debug)]
pub struct Wrong {
    /// Which file.
    pub file: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The line as written.
    pub source: String,
    /// How many characters of the line are meant.
    pub width: usize,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl Wrong {
    /// Finds line and column of `span` in the file's text.
    pub(super) fn at(file: &Path, text: &str, span: Range<usize>, message: String) -> SettingsError {
        let start = text.floor_char_boundary(span.start.min(text.len()));
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let source = text[line_start..].lines().next().unwrap_or("");
        let end = text.floor_char_boundary(span.end.clamp(start, line_start + source.len()).max(start));
        SettingsError::Wrong(Box::new(Wrong {
            file: file.to_owned(),
            line: text[..start].matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            source: source.to_owned(),
            width: text[start..end].chars().count().max(1),
            message,
        }))
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SettingsError::Unreadable { file, cause } => write!(f, "cannot read {}: {cause}", file.display()),
            SettingsError::Wrong(wrong) => wrong.fmt(f),
        }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        writeln!(f, "{}:{}:{}: {}", self.file.display(), self.line, self.column, self.message)?;
        writeln!(f, "{margin} |")?;
        writeln!(f, "{number} | {}", self.source)?;
        write!(f, "{margin} | {}{}", " ".repeat(self.column - 1), "^".repeat(self.width))
    }
}

impl std::error::Error for SettingsError {}
