//! `user alias`: addresses whose mail goes to others.

use super::address;
use crate::exit::Exit;
use crate::mail::Mail;
use crate::output::{self, Align, Column, Fit, Format, Row, Table};
use anstyle::Style;
use clap::Subcommand;
use server::admin::{AliasView, DirectoryRequest, Item};
use smtp::Mailbox;

pub(super) const EXAMPLES: &str = "\
Examples:
  posthaste user alias add sales@example.org alice@example.org bob@example.org
  posthaste user alias add '*@example.org' alice@example.org
  posthaste user alias rm sales@example.org bob@example.org
  posthaste user alias ls";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Let an address lead to others, or to more than before
    #[command(
        after_help = "Examples:\n  posthaste user alias add sales@example.org alice@example.org bob@example.org\n  posthaste user alias add '*@example.org' alice@example.org"
    )]
    Add {
        /// The address, or *@DOMAIN for all that have no account
        #[arg(value_name = "ALIAS", value_parser = address)]
        alias: Mailbox,
        /// Who gets its mail: accounts, other aliases, or addresses elsewhere
        #[arg(required = true, value_name = "TARGET", value_parser = address)]
        targets: Vec<Mailbox>,
    },
    /// List the aliases
    #[command(after_help = "Example:\n  posthaste user alias ls")]
    Ls,
    /// Remove an alias, or some of its targets
    #[command(
        after_help = "Examples:\n  posthaste user alias rm sales@example.org\n  posthaste user alias rm sales@example.org bob@example.org"
    )]
    Rm {
        /// The address
        #[arg(value_name = "ALIAS", value_parser = address)]
        alias: Mailbox,
        /// Who gets no more of its mail; without any the alias goes
        #[arg(value_name = "TARGET", value_parser = address)]
        targets: Vec<Mailbox>,
    },
}

pub(super) async fn run(mail: Mail<'_>, args: Args, format: Format) -> anyhow::Result<Exit> {
    match args.command {
        Command::Add { alias, targets } => {
            let request = DirectoryRequest::AddAlias { alias: alias.to_string(), targets: texts(&targets) };
            let made = views(mail.directory(request).await?);
            match format {
                Format::Json => output::json_list(&made)?,
                Format::Text => made.iter().try_for_each(|view| {
                    let text = format!("Mail for {} goes to {}.", view.alias, view.targets.join(", "));
                    output::text(&message::terminal::one_line(&text))
                })?,
            }
        }
        Command::Ls => {
            let all = views(mail.directory(DirectoryRequest::Aliases).await?);
            match format {
                Format::Json => output::json_list(&all)?,
                Format::Text if all.is_empty() => output::text("There are no aliases.")?,
                Format::Text => output::text(&table(&all).render(output::columns()))?,
            }
        }
        Command::Rm { alias, targets } => {
            let (alias, targets) = (alias.to_string(), texts(&targets));
            mail.directory(DirectoryRequest::RemoveAlias { alias: alias.clone(), targets: targets.clone() })
                .await?;
            match format {
                Format::Json => output::json(&AliasView { alias, targets })?,
                Format::Text if targets.is_empty() => output::text(&format!("Removed the alias {alias}."))?,
                Format::Text => {
                    output::text(&format!("Mail for {alias} no longer goes to {}.", targets.join(", ")))?;
                }
            }
        }
    }
    Ok(Exit::Done)
}

fn texts(addresses: &[Mailbox]) -> Vec<String> {
    addresses.iter().map(ToString::to_string).collect()
}

fn views(items: Vec<Item>) -> Vec<AliasView> {
    let view = |item| match item {
        Item::Alias(view) => Some(view),
        _ => None,
    };
    items.into_iter().filter_map(view).collect()
}

fn table(aliases: &[AliasView]) -> Table {
    let column = |title| Column { title, align: Align::Left, fit: Fit::Shortened };
    let row = |view: &AliasView| Row {
        cells: [&view.alias, &view.targets.join(", ")]
            .map(|text| message::terminal::one_line(text).into_owned())
            .to_vec(),
        style: Style::new(),
    };
    Table { columns: vec![column("ALIAS"), column("TARGETS")], rows: aliases.iter().map(row).collect() }
}
