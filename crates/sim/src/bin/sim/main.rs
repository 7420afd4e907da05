//! `sim`: the campaigns that must not lose mail. `docs/reliability.md` says what each of them proves.

#![forbid(unsafe_code)]

mod simulate;
mod unsynced;

use clap::Parser;
use sim::campaign::{Failure, Figures, Image, Program, crash, power_cut};
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
    /// Cut the power of the real server's disk: an ext4 image on a loop device. Needs root and Python; says so and ends well elsewhere
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
        Command::Run(args) => simulate::run(&args).map(|()| None).map_err(Failure::Violated),
        Command::Crash { args } => in_directory(&args, |directory| {
            crash(args.program(), directory, args.rounds, args.seed).map(Some)
        }),
        Command::Powercut { args, without_sync } => in_directory(&args, |directory| {
            let image = match Image::create(directory) {
                Ok(image) => image,
                Err(error) => {
                    println!(
                        "skipped: no ext4 image on a loop device here ({error}); this needs root and Python"
                    );
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
            Err(error) => Err(Failure::Stopped(error)),
        },
    };
    match result {
        Ok(figures) => {
            if let Some(figures) = figures {
                println!("{figures}; {:.1} s", began.elapsed().as_secs_f64());
            }
            ExitCode::SUCCESS
        }
        Err(failure) => {
            println!("after {:.1} s: {failure}", began.elapsed().as_secs_f64());
            ExitCode::FAILURE
        }
    }
}

/// Without syncs mail must be lost, or the campaign proves nothing. A campaign that merely could not go on has caught nobody.
fn control(image: Image, args: &Args) -> Result<(), Failure> {
    let program = std::env::current_exe().map_err(|error| Failure::Stopped(error.to_string()))?;
    match power_cut(Program::Unsynced(program), image, args.rounds, args.seed) {
        Err(Failure::Violated(what)) => {
            println!("the server without syncs was caught: {what}");
            Ok(())
        }
        Err(stopped @ Failure::Stopped(_)) => Err(stopped),
        Ok(figures) => Err(Failure::Violated(format!("the server without syncs was not caught: {figures}"))),
    }
}

/// Runs a campaign in a directory of its own. It stays when the campaign found something.
fn in_directory(
    args: &Args,
    run: impl FnOnce(&Path) -> Result<Option<Figures>, Failure>,
) -> Result<Option<Figures>, Failure> {
    let directory = args.directory.join(format!("posthaste-sim-{}", std::process::id()));
    let failed = |error| Failure::Stopped(format!("{}: {error}", directory.display()));
    std::fs::create_dir_all(&directory).map_err(failed)?;
    let result =
        run(&directory).inspect_err(|_| eprintln!("what there is was left in {}", directory.display()))?;
    std::fs::remove_dir_all(&directory).map_err(failed)?;
    Ok(result)
}

impl Args {
    fn program(&self) -> Program {
        Program::Posthaste(self.posthaste.clone())
    }
}
