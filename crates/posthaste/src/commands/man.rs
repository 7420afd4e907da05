//! `posthaste man`: manual pages from the same source as `--help`.

use crate::cli::Cli;
use crate::exit::Exit;
use anyhow::Context;
use clap::CommandFactory;
use clap_mangen::Man;
use std::io::Write;
use std::path::PathBuf;

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
    let command = Cli::command();
    match args.directory {
        Some(directory) => {
            let failed = || format!("cannot write the manual pages to {}", directory.display());
            std::fs::create_dir_all(&directory).with_context(failed)?;
            clap_mangen::generate_to(command, &directory).with_context(failed)?;
        }
        None => {
            let mut page = Vec::new();
            Man::new(command).render(&mut page)?;
            std::io::stdout().write_all(&page)?;
        }
    }
    Ok(Exit::Done)
}
