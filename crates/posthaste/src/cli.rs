//! What can be typed. The man pages, the completions and `--help` are made from this.

use crate::commands::{
    ban, completions, config, domain, explain, export, import, inbox, man, queue, send, serve, status, store,
    up, user,
};
use clap::{Parser, Subcommand};

/// One program for the whole life of an email
///
/// Receives mail and keeps it safe, shows it, and sends it. `posthaste up` starts a mail server without any configuration: it catches
/// the mail for every address on this computer and never sends any on.
#[derive(Debug, Parser)]
#[command(name = "posthaste", version, max_term_width = 100, arg_required_else_help = true, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Up(up::Args),
    Serve(serve::Args),
    Status(status::Args),
    Config(config::Args),
    Send(Box<send::Args>),
    Inbox(inbox::Args),
    Export(export::Args),
    Import(import::Args),
    User(user::Args),
    Domain(domain::Args),
    Queue(Box<queue::Args>),
    Explain(explain::Args),
    Ban(ban::Args),
    Store(store::Args),
    Completions(completions::Args),
    Man(man::Args),
}

const EXAMPLES: &str = "\
Examples:
  posthaste up
      Start a mail server here; it shows how to send it the first message.
  posthaste send --from me@example.org --to you@example.org --text 'It works'
      Send a message to it.
  posthaste inbox ls
      List what arrived.

Exit status: 0 done, 1 refused or failed, 2 wrong usage, 3 done but something
is lost, 75 perhaps later.";
