//! `posthaste`: the command. Arguments and printing only; what they do is in `server`, `smtp` and `message`.
//!
//! [`cli`] says what can be typed, [`commands`] has a module for each command, [`output`] how things are printed, [`mail`] the only
//! way to mailboxes. Errors become one line on standard error and an exit status here.

#![forbid(unsafe_code)]

mod cli;
mod commands;
mod exit;
mod files;
mod logs;
mod mail;
mod output;
mod paths;
mod secret;
mod serving;
mod supervisor;
mod units;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    match commands::run(cli::Cli::parse().command) {
        Ok(exit) => exit.into(),
        Err(error) => exit::report(&error).into(),
    }
}
