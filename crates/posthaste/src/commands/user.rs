//! `posthaste user`: accounts.

use super::block_on;
use crate::exit::{Complaint, Exit};
use crate::mail::Mail;
use crate::output::{self, Align, Column, Fit, Format, FormatArgs, Row, Table};
use crate::paths::DataArgs;
use crate::units;
use anstyle::Style;
use clap::Subcommand;
use jiff::tz::TimeZone;
use serde::Serialize;
use server::admin::AccountView;
use smtp::Mailbox;
use std::borrow::Cow;
use store::Origin;

/// Add, list and remove accounts
///
/// An account is an address with a mailbox. Works while the server runs, and when none does.
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
    /// Add accounts
    #[command(after_help = "Example:\n  posthaste user add alice@example.org bob@example.org")]
    Add {
        /// Their addresses
        #[arg(required = true, value_name = "ADDRESS", value_parser = address)]
        addresses: Vec<Mailbox>,
    },
    /// List the accounts, with what is in their mailboxes
    #[command(after_help = "Example:\n  posthaste user ls")]
    Ls,
    /// Remove accounts with all their mail
    #[command(after_help = "Example:\n  posthaste user rm alice@example.org")]
    Rm {
        /// Their addresses
        #[arg(required = true, value_name = "ADDRESS", value_parser = address)]
        addresses: Vec<Mailbox>,
    },
}

const EXAMPLES: &str = "\
Examples:
  posthaste user add alice@example.org
  posthaste user ls
  posthaste user rm alice@example.org";

fn address(text: &str) -> Result<Mailbox, String> {
    text.parse().map_err(|error| format!("{error}; write it like alice@example.org"))
}

pub(crate) fn run(args: Args) -> anyhow::Result<Exit> {
    let data = args.data.directory()?;
    let format = args.format.format();
    block_on(async {
        let mail = match args.command {
            Command::Add { .. } => Mail::open_or_create(&data).await?,
            Command::Ls | Command::Rm { .. } => Mail::open(&data).await?,
        };
        let result = match &args.command {
            Command::Add { addresses } => add(&mail, addresses, format).await,
            Command::Ls => list(&mail, format).await,
            Command::Rm { addresses } => remove(&mail, addresses, format).await,
        };
        let closed = mail.close().await;
        let exit = result?;
        closed?;
        Ok(exit)
    })
}

async fn add(mail: &Mail, addresses: &[Mailbox], format: Format) -> anyhow::Result<Exit> {
    let mut added = Vec::new();
    for address in addresses {
        let account = mail.add_account(&address.to_string()).await?;
        if format == Format::Text {
            output::text(&format!("Added {}.", shown(&account)))?;
        }
        added.push(account);
    }
    if format == Format::Json {
        output::json_list(added.iter().map(Listed::new))?;
    }
    Ok(Exit::Done)
}

async fn list(mail: &Mail, format: Format) -> anyhow::Result<Exit> {
    let accounts = mail.accounts().await?;
    match format {
        Format::Json => output::json_list(accounts.iter().map(Listed::new))?,
        Format::Text if accounts.is_empty() => {
            output::text("There are no accounts yet. Add one with `posthaste user add ADDRESS`.")?;
        }
        Format::Text => output::text(&table(&accounts, &TimeZone::system()).render(output::columns()))?,
    }
    Ok(Exit::Done)
}

async fn remove(mail: &Mail, addresses: &[Mailbox], format: Format) -> anyhow::Result<Exit> {
    let accounts = mail.accounts().await?;
    let mut removed = Vec::new();
    // all or none: a mistyped address is seen before anything is gone
    for address in addresses {
        let name = store::AccountName::of(address);
        match accounts.iter().find(|account| account.account.name == name) {
            Some(account) => removed.push(account),
            None => {
                return Err(
                    Complaint::usage(format!("there is no account {name}; nothing was removed")).into()
                );
            }
        }
    }
    for account in &removed {
        mail.remove_account(account.account.name.as_str()).await?;
        if format == Format::Text {
            let mail = units::counted(account.messages, "message");
            output::text(&format!("Removed {} and its mail ({mail}).", shown(account)))?;
        }
    }
    if format == Format::Json {
        output::json_list(removed.iter().map(|account| Listed::new(account)))?;
    }
    Ok(Exit::Done)
}

/// The account's name, safe for a terminal: whoever sends mail to a catcher chooses it.
fn shown(account: &AccountView) -> Cow<'_, str> {
    message::terminal::one_line(account.account.name.as_str())
}

fn table(accounts: &[AccountView], zone: &TimeZone) -> Table {
    let column = |title, align, fit| Column { title, align, fit };
    let row = |view: &AccountView| Row {
        cells: vec![
            shown(view).into_owned(),
            view.messages.to_string(),
            view.unseen.to_string(),
            units::size(view.bytes),
            units::minute(view.account.created, zone),
            origin(view.account.origin).to_owned(),
        ],
        style: Style::new(),
    };
    Table {
        columns: vec![
            column("ACCOUNT", Align::Left, Fit::Shortened),
            column("MESSAGES", Align::Right, Fit::Whole),
            column("UNREAD", Align::Right, Fit::Whole),
            column("SIZE", Align::Right, Fit::Whole),
            column("SINCE", Align::Left, Fit::Whole),
            column("ORIGIN", Align::Left, Fit::Whole),
        ],
        rows: accounts.iter().map(row).collect(),
    }
}

fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Added => "added",
        Origin::Declared => "declared",
        Origin::Caught => "caught",
    }
}

/// An account for programs.
#[derive(Serialize)]
struct Listed<'a> {
    account: &'a str,
    messages: u64,
    unread: u64,
    size: u64,
    created: String,
    origin: &'static str,
}

impl Listed<'_> {
    fn new(view: &AccountView) -> Listed<'_> {
        Listed {
            account: view.account.name.as_str(),
            messages: view.messages,
            unread: view.unseen,
            size: view.bytes,
            created: units::rfc3339(view.account.created),
            origin: origin(view.account.origin),
        }
    }
}
