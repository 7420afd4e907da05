//! `posthaste domain`: the domains that mail is taken for.

use super::user::origin;
use super::{Needs, with_client};
use crate::exit::Exit;
use crate::mail::Mail;
use crate::output::{self, Align, Column, Fit, Format, FormatArgs, Row, Table};
use crate::paths::DataArgs;
use crate::units;
use anstyle::Style;
use clap::Subcommand;
use jiff::tz::TimeZone;
use serde::Serialize;
use server::admin::{DirectoryRequest, DomainView, Item};
use smtp::Domain;

/// Manage the domains that mail is taken for
///
/// Besides the domains that the settings file names, a server takes mail for those that are added here. A server that catches everything
/// (`posthaste up`) takes no notice of them. Works while the server runs, and when none does.
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
    /// Take mail for a domain
    #[command(after_help = "Example:\n  posthaste domain add example.org")]
    Add {
        /// Its name
        #[arg(value_name = "DOMAIN", value_parser = domain)]
        domain: Domain,
    },
    /// List the domains
    #[command(after_help = "Example:\n  posthaste domain ls")]
    Ls,
    /// Take no more mail for a domain; its accounts and their mail stay
    #[command(after_help = "Example:\n  posthaste domain rm example.org")]
    Rm {
        /// Its name
        #[arg(value_name = "DOMAIN", value_parser = domain)]
        domain: Domain,
    },
}

const EXAMPLES: &str = "\
Examples:
  posthaste domain add example.org
  posthaste domain ls";

fn domain(text: &str) -> Result<Domain, String> {
    Domain::parse(text).map_err(|error| format!("{error}; write it like example.org"))
}

pub(crate) fn run(args: Args) -> anyhow::Result<Exit> {
    let data = args.data.directory()?;
    let format = args.format.format();
    let needs = match args.command {
        Command::Add { .. } => Needs::StoreOrNew,
        Command::Ls | Command::Rm { .. } => Needs::Store,
    };
    with_client(&data, needs, async |client| carry_out(Mail::of(client), args.command, format).await)
}

async fn carry_out(mail: Mail<'_>, command: Command, format: Format) -> anyhow::Result<Exit> {
    match command {
        Command::Add { domain } => {
            let request = DirectoryRequest::AddDomain { domain: domain.to_string() };
            let added = views(mail.directory(request).await?);
            match format {
                Format::Json => output::json_list(added.iter().map(Listed::new))?,
                Format::Text => output::text(&format!("Mail for {domain} is taken."))?,
            }
        }
        Command::Ls => {
            let all = views(mail.directory(DirectoryRequest::Domains).await?);
            match format {
                Format::Json => output::json_list(all.iter().map(Listed::new))?,
                Format::Text if all.is_empty() => {
                    output::text("There are no domains yet. Add one with `posthaste domain add DOMAIN`.")?;
                }
                Format::Text => output::text(&table(&all, &TimeZone::system()).render(output::columns()))?,
            }
        }
        Command::Rm { domain } => {
            let name = domain.to_string();
            mail.directory(DirectoryRequest::RemoveDomain { domain: name.clone() }).await?;
            match format {
                Format::Json => output::json(&Removed { domain: &name })?,
                Format::Text => output::text(&format!("Mail for {name} is no longer taken."))?,
            }
        }
    }
    Ok(Exit::Done)
}

fn views(items: Vec<Item>) -> Vec<DomainView> {
    let view = |item| match item {
        Item::Domain(view) => Some(view),
        _ => None,
    };
    items.into_iter().filter_map(view).collect()
}

fn table(domains: &[DomainView], zone: &TimeZone) -> Table {
    let column = |title, align, fit| Column { title, align, fit };
    let row = |view: &DomainView| Row {
        cells: vec![
            view.domain.clone(),
            view.accounts.to_string(),
            view.aliases.to_string(),
            message::terminal::one_line(&view.catch_all.join(", ")).into_owned(),
            units::minute(view.created, zone),
            origin(view.origin).to_owned(),
        ],
        style: Style::new(),
    };
    Table {
        columns: vec![
            column("DOMAIN", Align::Left, Fit::Last),
            column("ACCOUNTS", Align::Right, Fit::Whole),
            column("ALIASES", Align::Right, Fit::Whole),
            column("CATCH-ALL", Align::Left, Fit::Shortened),
            column("SINCE", Align::Left, Fit::LeftOut),
            column("ORIGIN", Align::Left, Fit::Whole),
        ],
        rows: domains.iter().map(row).collect(),
    }
}

/// A domain for programs.
#[derive(Serialize)]
struct Listed<'a> {
    domain: &'a str,
    accounts: u64,
    aliases: u64,
    catch_all: &'a [String],
    created: String,
    origin: &'static str,
}

#[derive(Serialize)]
struct Removed<'a> {
    domain: &'a str,
}

impl Listed<'_> {
    fn new(view: &DomainView) -> Listed<'_> {
        Listed {
            domain: &view.domain,
            accounts: view.accounts,
            aliases: view.aliases,
            catch_all: &view.catch_all,
            created: units::rfc3339(view.created),
            origin: origin(view.origin),
        }
    }
}
