//! `posthaste man`: manual pages from the same source as `--help`.

use crate::cli::Cli;
use crate::exit::Exit;
use anyhow::Context;
use clap::builder::Resettable;
use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Print the manual page, or write one for each command into a directory
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Write posthaste.1, posthaste-up.1 and so on here
    directory: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  posthaste man | man -l -
      Read the manual page.
  posthaste man ~/.local/share/man/man1
      Install all of them.";

pub(crate) fn run(args: Args) -> anyhow::Result<Exit> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    match args.directory {
        Some(directory) => {
            let failed = || format!("cannot write the manual pages to {}", directory.display());
            std::fs::create_dir_all(&directory).with_context(failed)?;
            write_all(&command, &directory).with_context(failed)?;
        }
        None => io::stdout().write_all(&page(&command)?.1)?,
    }
    Ok(Exit::Done)
}

/// Writes the page of a command and those of its own commands.
fn write_all(command: &Command, directory: &Path) -> io::Result<()> {
    let (name, page) = page(command)?;
    std::fs::write(directory.join(name), page)?;
    command.get_subcommands().try_for_each(|command| write_all(command, directory))
}

/// The name of a command's page, and the page. The examples get a section of their own, in which lines stay as they are.
fn page(command: &Command) -> io::Result<(String, Vec<u8>)> {
    let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let man = Man::new(command.clone().after_help(Resettable::Reset)).source(SOURCE);
    let mut page = Vec::new();
    man.render(&mut page)?;
    let (examples, status) = after.split_once("\n\nExit status: ").unwrap_or((&after, ""));
    let examples = examples.split_once('\n').map_or("", |(_heading, examples)| examples);
    for (title, text) in [("EXAMPLES", examples), ("EXIT STATUS", status)] {
        if !text.is_empty() {
            let mut section = Roff::new();
            section.control("SH", [title]).control("nf", []).text([roman(text)]).control("fi", []);
            section.to_writer(&mut page)?;
        }
    }
    Ok((man.get_filename(), page))
}

/// What stands at the foot of every page.
const SOURCE: &str = concat!("posthaste ", env!("CARGO_PKG_VERSION"));
