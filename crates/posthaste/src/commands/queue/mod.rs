//! `posthaste queue`: the mail that is on its way to other hosts.

mod list;
mod order;

use super::{Needs, with_client};
use crate::exit::{Complaint, Exit};
use crate::output::FormatArgs;
use crate::paths::DataArgs;
use clap::Subcommand;
use server::admin::{Client, HoldState, QueueFilter, SenderReport};
use server::settings::Span;
use store::PauseScope;

/// Manage the queue: the mail that is on its way to other hosts
///
/// A message to several recipients is a delivery for each. Works while the server runs, which then acts at once, and when none does.
/// `posthaste explain` tells what became of a message, also when it is no longer queued.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    format: FormatArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the queued deliveries, those that came first first
    #[command(after_help = LS_EXAMPLES)]
    Ls {
        #[command(flatten)]
        filter: FilterArgs,
        /// How many at most
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: usize,
    },
    /// Show queued deliveries with every attempt
    #[command(after_help = "Example:\n  posthaste queue show 06JGV6XS9G000")]
    Show {
        /// The messages' ids
        #[arg(value_name = "ID", required = true)]
        ids: Vec<String>,
    },
    /// Show how much is queued for each destination, and how that goes
    #[command(after_help = "Example:\n  posthaste queue summary --limit 10")]
    Summary {
        /// How many destinations at most, those with the most deliveries first
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: usize,
    },
    /// Put deliveries on hold: they are not tried until they are released
    #[command(after_help = HOLD_EXAMPLES)]
    Hold {
        #[command(flatten)]
        which: WhichArgs,
        /// Why, for those who look at it
        #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
        because: String,
    },
    /// Release deliveries that are on hold
    #[command(after_help = "Example:\n  posthaste queue release --sender list@example.org")]
    Release {
        #[command(flatten)]
        which: WhichArgs,
    },
    /// Try deliveries now
    #[command(after_help = "Example:\n  posthaste queue retry --domain example.com")]
    Retry {
        #[command(flatten)]
        which: WhichArgs,
    },
    /// Remove deliveries; those named by a filter only with --yes
    #[command(after_help = REMOVE_EXAMPLES)]
    Remove {
        #[command(flatten)]
        which: WhichArgs,
        /// Tell the senders that it was not delivered; the text says why
        #[arg(long, value_name = "TEXT", num_args = 0..=1, default_missing_value = "")]
        report: Option<String>,
        /// Do it; without this only say what would be removed
        #[arg(long)]
        yes: bool,
    },
    /// Send deliveries where mail for another domain goes, or to an address
    #[command(after_help = REROUTE_EXAMPLES)]
    Reroute {
        #[command(flatten)]
        which: WhichArgs,
        /// A domain, whose mail hosts or route are then used, or an address like [192.0.2.1]
        #[arg(long, value_name = "DOMAIN")]
        to: String,
    },
    /// Let all mail for a domain, or to a host, wait, also what comes later
    #[command(after_help = PAUSE_EXAMPLES)]
    Pause {
        #[command(flatten)]
        scope: ScopeArgs,
        /// Why, for those who look at it
        #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
        because: String,
    },
    /// Let mail that was paused go on
    #[command(after_help = "Example:\n  posthaste queue resume example.com")]
    Resume {
        #[command(flatten)]
        scope: ScopeArgs,
    },
    /// List what is paused
    #[command(after_help = "Example:\n  posthaste queue pauses")]
    Pauses,
}

const EXAMPLES: &str = "\
Examples:
  posthaste queue summary
  posthaste queue ls --domain example.com --older 4h
  posthaste queue retry --domain example.com
  posthaste queue pause example.com --because 'they asked'";

const LS_EXAMPLES: &str = "\
Examples:
  posthaste queue ls
  posthaste queue ls --sender example.org --reason quota --json";

const HOLD_EXAMPLES: &str = "\
Examples:
  posthaste queue hold 06JGV6XS9G000
  posthaste queue hold --sender list@example.org --because 'looks odd'";

const REMOVE_EXAMPLES: &str = "\
Examples:
  posthaste queue remove 06JGV6XS9G000 --report 'sent by mistake'
  posthaste queue remove --sender list@example.org --yes";

const REROUTE_EXAMPLES: &str = "\
Examples:
  posthaste queue reroute --domain example.com --to relay.example.net
  posthaste queue reroute 06JGV6XS9G000 --to '[192.0.2.1]'";

const PAUSE_EXAMPLES: &str = "\
Examples:
  posthaste queue pause example.com --because 'they asked'
  posthaste queue pause --host mail.example.net";

/// Which deliveries a list shows.
#[derive(Debug, clap::Args)]
struct FilterArgs {
    /// From this address or domain; '<>' for reports
    #[arg(long, value_name = "ADDRESS")]
    sender: Option<String>,
    /// To this address or domain
    #[arg(long, value_name = "ADDRESS")]
    recipient: Option<String>,
    /// Queued for this domain or address literal
    #[arg(long, value_name = "DOMAIN")]
    domain: Option<String>,
    /// Its site has this host, or one below it
    #[arg(long, value_name = "HOST")]
    site: Option<String>,
    /// Accepted longer ago than this, like 90m or 2d
    #[arg(long, value_name = "TIME")]
    older: Option<Span>,
    /// Accepted since, like 90m or 2d
    #[arg(long, value_name = "TIME")]
    younger: Option<Span>,
    /// With this text in the last reply
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// On hold
    #[arg(long, conflicts_with = "waiting")]
    held: bool,
    /// Not on hold
    #[arg(long)]
    waiting: bool,
}

/// Which deliveries something is done with.
#[derive(Debug, clap::Args)]
struct WhichArgs {
    /// Messages by their ids; with filters, those that fit
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    #[command(flatten)]
    filter: FilterArgs,
    /// Everything that is queued
    #[arg(long)]
    all: bool,
}

/// What is paused.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct ScopeArgs {
    /// A domain, or an address literal
    #[arg(value_name = "DOMAIN")]
    domain: Option<String>,
    /// A mail host, with all below it
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
}

pub(crate) fn run(args: Args) -> anyhow::Result<Exit> {
    let data = args.data.directory()?;
    let format = args.format.format();
    with_client(&data, Needs::Store, async |client| carry_out(client, args.command, format).await)
}

async fn carry_out(client: &Client, command: Command, format: crate::output::Format) -> anyhow::Result<Exit> {
    use server::admin::QueueOrder as Order;
    match command {
        Command::Ls { filter, limit } => list::list(client, filter.filter(Vec::new()), limit, format).await,
        Command::Show { ids } => list::show(client, ids, format).await,
        Command::Summary { limit } => list::summary(client, limit, format).await,
        Command::Hold { which, because } => {
            order::give(client, which.filter()?, Order::Hold { reason: because }, format).await
        }
        Command::Release { which } => order::give(client, which.filter()?, Order::Release, format).await,
        Command::Retry { which } => order::give(client, which.filter()?, Order::Retry, format).await,
        Command::Reroute { which, to } => {
            order::give(client, which.filter()?, Order::Reroute { to }, format).await
        }
        Command::Remove { which, report, yes } => {
            let sure = yes || which.names_messages();
            let report = report.map_or(SenderReport::Silent, SenderReport::Reason);
            order::remove(client, (which.filter()?, sure), report, format).await
        }
        Command::Pause { scope, because } => order::pause(client, scope.scope()?, because, format).await,
        Command::Resume { scope } => order::resume(client, scope.scope()?, format).await,
        Command::Pauses => list::pauses(client, format).await,
    }
}

impl FilterArgs {
    fn filter(self, ids: Vec<String>) -> QueueFilter {
        let milliseconds = |Span(time): Span| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let state = match (self.held, self.waiting) {
            (true, _) => Some(HoldState::Held),
            (_, true) => Some(HoldState::Waiting),
            _ => None,
        };
        QueueFilter {
            ids,
            sender: self.sender,
            recipient: self.recipient,
            domain: self.domain,
            site: self.site,
            older: self.older.map(milliseconds),
            younger: self.younger.map(milliseconds),
            reason: self.reason,
            state,
        }
    }
}

impl WhichArgs {
    /// Whether it is about messages that are named one by one.
    fn names_messages(&self) -> bool {
        !self.ids.is_empty()
    }

    fn filter(self) -> Result<QueueFilter, Complaint> {
        let filter = self.filter.filter(self.ids);
        match (filter.is_empty(), self.all) {
            (true, false) => Err(Complaint::usage(
                "name messages by their ids or by filters like --domain, or say --all for everything that is queued",
            )),
            (false, true) => Err(Complaint::usage("--all and a filter contradict each other")),
            _ => Ok(filter),
        }
    }
}

impl ScopeArgs {
    fn scope(self) -> Result<PauseScope, Complaint> {
        let scope = match (self.domain, self.host) {
            (Some(domain), None) => PauseScope::Destination(domain),
            (None, Some(host)) => PauseScope::Host(host),
            _ => return Err(Complaint::usage("name a domain, or a host with --host")),
        };
        scope.canonical().map_err(|error| Complaint::usage(error.to_string()))
    }
}
