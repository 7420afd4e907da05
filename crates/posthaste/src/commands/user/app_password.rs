//! `user app-password`: passwords for one program or device each.

use super::accounts::{ShownPassword, details};
use super::{address, done};
use crate::exit::Exit;
use crate::mail::Mail;
use crate::output::{self, Align, Column, Fit, Format, Row, Table};
use crate::serving::now;
use crate::units;
use anstyle::Style;
use anyhow::bail;
use clap::Subcommand;
use jiff::tz::TimeZone;
use serde::Serialize;
use server::admin::{AccountDetails, DirectoryRequest, Item};
use smtp::Mailbox;

pub(super) const EXAMPLES: &str = "\
Examples:
  posthaste user app-password add alice@example.org phone
  posthaste user app-password ls alice@example.org
  posthaste user app-password rm alice@example.org phone";

const ADD: &str = "\
A program that logs in with SCRAM is refused with it while the account has a
main password or another application password: tell it to use PLAIN.

Example:
  posthaste user app-password add alice@example.org phone";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make an application password and print it, this once
    #[command(after_help = ADD)]
    Add {
        /// The account's address
        #[arg(value_name = "ADDRESS", value_parser = address)]
        address: Mailbox,
        /// What it is for
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// List an account's application passwords, with their last use
    #[command(after_help = "Example:\n  posthaste user app-password ls alice@example.org")]
    Ls {
        /// The account's address
        #[arg(value_name = "ADDRESS", value_parser = address)]
        address: Mailbox,
    },
    /// Take an application password back
    #[command(after_help = "Example:\n  posthaste user app-password rm alice@example.org phone")]
    Rm {
        /// The account's address
        #[arg(value_name = "ADDRESS", value_parser = address)]
        address: Mailbox,
        /// What it was for
        #[arg(value_name = "NAME")]
        name: String,
    },
}

pub(super) async fn run(mail: Mail<'_>, args: Args, format: Format) -> anyhow::Result<Exit> {
    match args.command {
        Command::Add { address, name } => add(mail, address.to_string(), name, format).await,
        Command::Ls { address } => list(&details(mail, &address.to_string()).await?, format),
        Command::Rm { address, name } => {
            let address = address.to_string();
            let request =
                DirectoryRequest::RemoveApplicationPassword { address: address.clone(), name: name.clone() };
            mail.directory(request).await?;
            done(format, &address, &format!("The application password {name} of {address} is gone."))
        }
    }
}

async fn add(mail: Mail<'_>, address: String, name: String, format: Format) -> anyhow::Result<Exit> {
    let (for_whom, what) = (address.clone(), name.clone());
    let request = DirectoryRequest::AddApplicationPassword { address, name, created: now() };
    let secret = match mail.directory(request).await?.into_iter().next() {
        Some(Item::Secret { secret }) => secret,
        _ => bail!("the server did not say which password it made"),
    };
    match format {
        Format::Json => {
            output::json(&Made { account: &for_whom, name: &what, password: secret.reveal() })?;
        }
        Format::Text => {
            let text = format!("The application password {what} of {for_whom}, shown this once:");
            output::text(&format!("{}\n\n  {}", message::terminal::one_line(&text), secret.reveal()))?;
        }
    }
    Ok(Exit::Done)
}

fn list(details: &AccountDetails, format: Format) -> anyhow::Result<Exit> {
    match format {
        Format::Json => output::json_list(ShownPassword::all(details))?,
        Format::Text if details.application_passwords.is_empty() => {
            output::text("There are no application passwords.")?;
        }
        Format::Text => output::text(&table(details, &TimeZone::system()).render(output::columns()))?,
    }
    Ok(Exit::Done)
}

fn table(details: &AccountDetails, zone: &TimeZone) -> Table {
    let column = |title, fit| Column { title, align: Align::Left, fit };
    let row = |password: &server::admin::ApplicationPasswordView| Row {
        cells: vec![
            message::terminal::one_line(&password.name).into_owned(),
            units::minute(password.created, zone),
            password.last_used.map_or("never".to_owned(), |at| units::minute(at, zone)),
        ],
        style: Style::new(),
    };
    Table {
        columns: vec![
            column("NAME", Fit::Shortened),
            column("MADE", Fit::Whole),
            column("LAST USED", Fit::Whole),
        ],
        rows: details.application_passwords.iter().map(row).collect(),
    }
}

/// A new application password, for programs.
#[derive(Serialize)]
struct Made<'a> {
    account: &'a str,
    name: &'a str,
    password: &'a str,
}
