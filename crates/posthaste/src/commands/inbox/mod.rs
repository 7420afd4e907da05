//! `posthaste inbox`: the mail of one account.

mod ls;
mod mailboxes;
mod raw;
mod rm;
mod show;
mod watch;

use super::{Needs, with_client};
use crate::exit::{Complaint, Exit};
use crate::mail::Mail;
use crate::output::FormatArgs;
use crate::paths::DataArgs;
use clap::Subcommand;
use serde::Serialize;
use server::admin::{MailboxPath, MessageView};
use store::Flags;

/// List, show, follow and remove the mail of an account
///
/// Works while the server runs, and when none does. N is a message's number in the list; it stays the same for good.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
    /// Whose mail; not needed when there is one account only
    #[arg(long, value_name = "ADDRESS", global = true)]
    account: Option<String>,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    format: FormatArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the messages, the newest last; * marks what is not read
    #[command(after_help = LS_EXAMPLES)]
    Ls {
        #[command(flatten)]
        which: Which,
    },
    /// Show a message: who, when, the text, and what is attached
    #[command(after_help = SHOW_EXAMPLES)]
    Show {
        /// The message's number
        #[arg(value_name = "N")]
        number: u32,
        #[command(flatten)]
        which: Which,
    },
    /// Write a message to standard output exactly as it is kept
    #[command(after_help = RAW_EXAMPLES)]
    Raw {
        /// The message's number
        #[arg(value_name = "N")]
        number: u32,
        #[command(flatten)]
        which: Which,
    },
    /// Remove messages for good
    #[command(after_help = RM_EXAMPLES)]
    Rm {
        /// The messages' numbers
        #[arg(value_name = "N", required = true)]
        numbers: Vec<u32>,
        #[command(flatten)]
        which: Which,
    },
    /// List the account's mailboxes
    #[command(after_help = MAILBOXES_EXAMPLES)]
    Mailboxes,
    /// Print a line for each new message in INBOX, until interrupted; of all accounts when none is named
    #[command(after_help = WATCH_EXAMPLES)]
    Watch,
}

/// Which of the account's mailboxes.
#[derive(Debug, clap::Args)]
struct Which {
    /// Which of the account's mailboxes
    #[arg(long, value_name = "NAME", default_value = store::INBOX)]
    mailbox: String,
}

const EXAMPLES: &str = "\
Examples:
  posthaste inbox ls
  posthaste inbox show 3
  posthaste inbox ls --account alice@example.org --json
  posthaste inbox raw 3 > message.eml
  posthaste inbox rm 1 2 3
  posthaste inbox watch";
const LS_EXAMPLES: &str = "\
Examples:
  posthaste inbox ls
  posthaste inbox ls --account alice@example.org --json | jq '.[].subject'";
const SHOW_EXAMPLES: &str = "\
Examples:
  posthaste inbox show 3
  posthaste inbox show 3 --json | jq -r .text";
const RAW_EXAMPLES: &str = "\
Example:
  posthaste inbox raw 3 > message.eml";
const RM_EXAMPLES: &str = "\
Examples:
  posthaste inbox rm 3
  posthaste inbox rm 1 2 3 --account alice@example.org";
const MAILBOXES_EXAMPLES: &str = "\
Examples:
  posthaste inbox mailboxes
  posthaste inbox mailboxes --account alice@example.org --json";
const WATCH_EXAMPLES: &str = "\
Examples:
  posthaste inbox watch
  posthaste inbox watch --account alice@example.org --json";

pub(crate) fn run(args: Args) -> anyhow::Result<Exit> {
    let data = args.data.directory()?;
    with_client(&data, Needs::Store, async |client| act(Mail::of(client), &args).await)
}

async fn act(mail: Mail<'_>, args: &Args) -> anyhow::Result<Exit> {
    let format = args.format.format();
    let named = args.account.as_deref();
    match &args.command {
        Command::Watch => watch::run(mail, named, format).await,
        Command::Ls { which } => ls::run(mail, mailbox(mail, named, which).await?.as_ref(), format).await,
        Command::Mailboxes => mailboxes::run(mail, mail.account(named).await?.as_deref(), format).await,
        Command::Show { number, which } => {
            show::run(mail, &meant(mail, named, which).await?, *number, format).await
        }
        Command::Raw { number, which } => raw::run(mail, &meant(mail, named, which).await?, *number).await,
        Command::Rm { numbers, which } => {
            rm::run(mail, &meant(mail, named, which).await?, numbers, format).await
        }
    }
}

/// The mailbox that is meant; `None` when there are no accounts.
async fn mailbox(mail: Mail<'_>, named: Option<&str>, which: &Which) -> anyhow::Result<Option<MailboxPath>> {
    let account = mail.account(named).await?;
    Ok(account.map(|account| MailboxPath { account, mailbox: which.mailbox.clone() }))
}

async fn meant(mail: Mail<'_>, named: Option<&str>, which: &Which) -> anyhow::Result<MailboxPath> {
    let nobody = || Complaint::usage("there are no accounts, and so no messages");
    Ok(mailbox(mail, named, which).await?.ok_or_else(nobody)?)
}

/// A message for programs.
#[derive(Serialize)]
struct Listed<'a> {
    uid: u32,
    account: &'a str,
    id: &'a str,
    received: String,
    date: Option<String>,
    from: &'a str,
    to: &'a str,
    subject: &'a str,
    preview: &'a str,
    size: u64,
    seen: bool,
}

impl Listed<'_> {
    fn new(view: &MessageView) -> Listed<'_> {
        Listed {
            uid: view.uid,
            account: &view.account,
            id: &view.id,
            received: crate::units::rfc3339(view.received),
            date: view.date.map(crate::units::rfc3339),
            from: &view.from,
            to: &view.to,
            subject: &view.subject,
            preview: &view.preview,
            size: view.size,
            seen: view.flags.contains(Flags::SEEN),
        }
    }
}

/// Who wrote, in short: the name, or the address where there is none.
fn author(from: &str) -> String {
    let name = from.split_once(" <").map_or(from, |(name, _)| name);
    let name = message::terminal::one_line(name);
    if name.trim().is_empty() { "(nobody)".to_owned() } else { name.into_owned() }
}

/// The subject on one line.
fn subject(subject: &str) -> String {
    let subject = message::terminal::one_line(subject);
    if subject.trim().is_empty() { "(no subject)".to_owned() } else { subject.into_owned() }
}
