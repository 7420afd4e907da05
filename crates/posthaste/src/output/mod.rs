//! Printing: for people, in colour where a terminal is and nothing forbids it (NO_COLOR, CLICOLOR), or as JSON for programs.

mod progress;
mod table;

pub(crate) use progress::{Progress, Unit};
pub(crate) use table::{Align, Column, Fit, Row, Table};

use serde::Serialize;
use std::io::{self, IsTerminal, Write};

/// `--json`, for every command that answers with something.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct FormatArgs {
    /// Print JSON, for programs
    #[arg(long, global = true)]
    json: bool,
}

/// For whom to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

impl FormatArgs {
    /// The format asked for.
    pub(crate) fn format(self) -> Format {
        if self.json { Format::Json } else { Format::Text }
    }
}

/// Prints text, with a line ending after it. Styles in it are left out where they do not belong.
pub(crate) fn text(text: &str) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// Prints one value as JSON, on one line.
pub(crate) fn json(value: &impl Serialize) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(value)?)?;
    out.flush()
}

/// Prints values as one JSON array, each on a line of its own.
pub(crate) fn json_list<T: Serialize>(values: impl IntoIterator<Item = T>) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut separator = "[\n";
    for value in values {
        write!(out, "{separator}{}", serde_json::to_string(&value)?)?;
        separator = ",\n";
    }
    writeln!(out, "{}", if separator == "[\n" { "[]" } else { "\n]" })?;
    out.flush()
}

/// How many columns a table may take: those of the terminal; `None` when the output goes elsewhere and nothing is to be cut.
pub(crate) fn columns() -> Option<usize> {
    if !io::stdout().is_terminal() {
        return None;
    }
    let size = terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    Some(size.unwrap_or(USUAL_COLUMNS))
}

/// For a terminal that does not say how wide it is.
const USUAL_COLUMNS: usize = 80;
