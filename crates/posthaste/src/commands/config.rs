//! `posthaste config`: settings files.

use crate::exit::Exit;
use crate::output;
use clap::Subcommand;

/// Help with settings files
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print a commented settings file with every key
    #[command(after_help = EXAMPLES)]
    Sample,
}

const EXAMPLES: &str = "\
Examples:
  posthaste config sample > posthaste.toml
  posthaste serve --config posthaste.toml --check";

pub(crate) fn run(args: Args) -> anyhow::Result<Exit> {
    match args.command {
        Command::Sample => output::text(server::settings::SAMPLE.trim_end())?,
    }
    Ok(Exit::Done)
}
