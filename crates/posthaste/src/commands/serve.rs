//! `posthaste serve`: a server by its settings file.

use crate::exit::{Complaint, Exit};
use crate::logs::LogArgs;
use crate::output;
use crate::output::FormatArgs;
use crate::paths::DirectoryArgs;
use crate::serving;
use server::settings::Settings;
use std::path::{Path, PathBuf};

/// Run a mail server by a settings file
///
/// The file names domains, accounts and listeners; `posthaste config sample` prints one to begin with. SIGTERM and Ctrl-C stop it:
/// transactions in flight may finish.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The settings file
    #[arg(long, value_name = "FILE", env = "POSTHASTE_CONFIG", hide_env_values = true)]
    config: PathBuf,
    /// Only check the file and what it names, and print what it means
    #[arg(long, conflicts_with = "json")]
    check: bool,
    #[command(flatten)]
    data: DirectoryArgs,
    #[command(flatten)]
    logs: LogArgs,
    #[command(flatten)]
    format: FormatArgs,
}

const EXAMPLES: &str = "\
Examples:
  posthaste config sample > posthaste.toml
      Begin with a commented settings file.
  posthaste serve --config posthaste.toml --check
      See whether it is right and what it means.
  posthaste serve --config /etc/posthaste.toml --log-format json
      Run the server; one JSON object for each event on standard error.";

pub(crate) fn run(args: Args) -> anyhow::Result<Exit> {
    let settings = settings(&args)?;
    if args.check {
        return check(&args.config, &settings);
    }
    let log = args.logs.start();
    serving::run(settings, log, args.format.format(), |_| None)
}

/// Shows what the settings mean, and whether a server could start with them here.
fn check(file: &Path, settings: &Settings) -> anyhow::Result<Exit> {
    output::text(&format!("{settings}\n"))?;
    for doubt in server::ready::doubts(settings) {
        anstream::eprintln!("posthaste: {}: {doubt}", file.display());
    }
    let faults = server::ready::faults(settings).all();
    if !faults.is_empty() {
        let list = faults.join("\n  ");
        let text = format!(
            "{}: the server cannot start, or not do its work, with these settings:\n  {list}",
            file.display()
        );
        return Err(Complaint::usage(text).into());
    }
    output::text(&format!("{} is right.", file.display()))?;
    Ok(Exit::Done)
}

/// What the file says. A data directory named on the command line or in the environment counts more than the file's; where nobody
/// names one it is the user's own, which a service may not have.
fn settings(args: &Args) -> anyhow::Result<Settings> {
    let default = args.data.directory();
    let data = default.as_ref().cloned().unwrap_or_default();
    let mut settings = Settings::load(&args.config, server::host::name(), data)
        .map_err(|error| Complaint::usage(error.to_string()))?;
    if let Some(named) = args.data.named() {
        settings.data = named.clone();
    }
    if settings.data.as_os_str().is_empty() {
        default?;
    }
    Ok(settings)
}
