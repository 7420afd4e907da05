//! `sim`: the campaigns that must not lose mail. `docs/reliability.md` says what each of them proves.

#![forbid(unsafe_code)]

mod simulate;
mod unsynced;

use clap::Parser;
use sim::campaign::{Image, Program, crash, power_cut};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

/// Campaigns that must not lose mail
#[derive(Debug, Parser)]
enum Command {
    /// Run the server's code under virtual time, on a disk and a network in which things go wrong: one seed, one history
    Run(simulate::Args),
    /// Kill the real server at random moments and read back what it had acknowledged
    Crash {
        #[command(flatten)]
        args: Args,
    },
    /// Cut the power of the real server's disk: an ext4 image on a loop device. Needs root; says so and ends well elsewhere
    Powercut {
        #[command(flatten)]
        args: Args,
        /// The negative control: a server whose syncs do nothing must be caught losing mail
        #[arg(long)]
        without_sync: bool,
    },
    /// The server of the negative control
    #[command(hide = true)]
    ServeUnsynced {
        #[arg(long)]
        data: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
struct Args {
    /// How many times
    #[arg(long, default_value_t = 20)]
    rounds: u64,
    /// What decides the moments and the messages; the processes' own timing is not decided
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The server to test
    #[arg(long, default_value = "target/release/posthaste")]
    posthaste: PathBuf,
    /// Where to work; a new directory is made there and removed in the end
    #[arg(long, default_value = "/var/tmp")]
    directory: PathBuf,
}

fn main() -> ExitCode {
    let began = Instant::now();
    let result = match Command::parse() {
        Command::Run(args) => simulate::run(&args).map(|()| None),
        Command::Crash { args } => in_directory(&args, |directory| {
            crash(args.program(), &directory.join("data"), args.rounds, args.seed).map(Some)
        }),
        Command::Powercut { args, without_sync } => in_directory(&args, |directory| {
            let image = match Image::create(directory) {
                Ok(image) => image,
                Err(error) => {
                    println!("skipped: no ext4 image on a loop device here ({error}); this needs root");
                    return Ok(None);
                }
            };
            if without_sync {
                control(image, &args).map(|()| None)
            } else {
                power_cut(args.program(), image, args.rounds, args.seed).map(Some)
            }
        }),
        Command::ServeUnsynced { data } => match unsynced::serve(&data) {
            Ok(()) => return ExitCode::SUCCESS,
            Err(error) => Err(error),
        },
    };
    match result {
        Ok(figures) => {
            if let Some(figures) = figures {
                println!("{figures}; {:.1} s", began.elapsed().as_secs_f64());
            }
            ExitCode::SUCCESS
        }
        Err(what) => {
            println!("VIOLATED after {:.1} s: {what}", began.elapsed().as_secs_f64());
            ExitCode::FAILURE
        }
    }
}

/// Without syncs mail must be lost, or the campaign proves nothing.
fn control(image: Image, args: &Args) -> Result<(), String> {
    let program = Program::Unsynced(std::env::current_exe().map_err(|error| error.to_string())?);
    match power_cut(program, image, args.rounds, args.seed) {
        Err(what) => {
            println!("the server without syncs was caught: {what}");
            Ok(())
        }
        Ok(figures) => Err(format!("the server without syncs was not caught: {figures}")),
    }
}

/// Runs a campaign in a directory of its own. It stays when the campaign found something.
fn in_directory<T>(args: &Args, run: impl FnOnce(&Path) -> Result<T, String>) -> Result<T, String> {
    let directory = args.directory.join(format!("posthaste-sim-{}", std::process::id()));
    std::fs::create_dir_all(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let result = run(&directory).map_err(|what| format!("{what} (left in {})", directory.display()))?;
    std::fs::remove_dir_all(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    Ok(result)
}

impl Args {
    fn program(&self) -> Program {
        Program::Posthaste(self.posthaste.clone())
    }
}
