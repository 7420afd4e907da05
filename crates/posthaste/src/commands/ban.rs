//! `posthaste ban`: who is not served.

use super::{Needs, with_client};
use crate::exit::{Complaint, Exit};
use crate::output::{self, Align, Column, Fit, Format, FormatArgs, Row, Table};
use crate::paths::DataArgs;
use crate::serving::now;
use crate::units::{self, minute, rfc3339};
use anstyle::Style;
use clap::Subcommand;
use jiff::tz::TimeZone;
use serde::Serialize;
use server::abuse::ban_file::HandBan;
use server::admin::{BanCause, BanView, Client, Item, Request};
use server::settings::{Network, Span};
use store::Timestamp;

/// Manage bans: hosts and networks that are not served
///
/// The server bans for a while who makes too many errors, tries names, or logs in wrongly too often. Bans made here last until they end
/// or are removed, also over a restart. Works while the server runs, and when none does.
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
    /// List the bans in force
    #[command(after_help = "Example:\n  posthaste ban ls")]
    Ls,
    /// Ban a host or a network
    #[command(after_help = ADD_EXAMPLES)]
    Add {
        /// An address, or a network like 192.0.2.0/24
        #[arg(value_name = "NETWORK")]
        network: Network,
        /// For so long, like 90m or 7d; without it: until it is removed
        #[arg(long = "for", value_name = "TIME")]
        time: Option<Span>,
        /// Why, for those who read the list
        #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
        reason: String,
    },
    /// Lift the ban of a host or a network
    ///
    /// A ban by hand must be named as it was made. The bans that the server made of hosts in the network are lifted as well, and what
    /// led to them is forgotten.
    #[command(after_help = "Example:\n  posthaste ban rm 192.0.2.0/24")]
    Rm {
        /// An address, or a network like 192.0.2.0/24
        #[arg(value_name = "NETWORK")]
        network: Network,
    },
}

const EXAMPLES: &str = "\
Examples:
  posthaste ban ls
  posthaste ban add 192.0.2.0/24 --for 7d --reason 'guesses passwords'
  posthaste ban rm 192.0.2.0/24";

const ADD_EXAMPLES: &str = "\
Examples:
  posthaste ban add 192.0.2.77
  posthaste ban add 2001:db8:7::/48 --for 7d --reason 'guesses passwords'";

pub(crate) fn run(args: Args) -> anyhow::Result<Exit> {
    let data = args.data.directory()?;
    let format = args.format.format();
    with_client(&data, Needs::Store, async |client| match args.command {
        Command::Ls => list(client, format).await,
        Command::Add { network, time, reason } => add(client, ban(network, time, reason)?, format).await,
        Command::Rm { network } => remove(client, network, format).await,
    })
}

fn ban(network: Network, time: Option<Span>, reason: String) -> Result<HandBan, Complaint> {
    if network.prefix() == 0 {
        return Err(Complaint::usage(format!("{network} is everybody; stop the server instead")));
    }
    let added = now();
    let until = time.map(|Span(time)| {
        let length = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        Timestamp(added.0.saturating_add(length))
    });
    Ok(HandBan { network, until, added, reason })
}

/// Those that are not over.
async fn in_force(client: &Client) -> anyhow::Result<Vec<BanView>> {
    let items = client.ask(Request::Bans).await?;
    let now = now();
    let bans = items
        .into_iter()
        .filter_map(|item| match item {
            Item::Ban(ban) => Some(ban),
            _ => None,
        })
        // Without a server nobody has left out those that are over.
        .filter(|ban| ban.until.is_none_or(|until| until > now));
    Ok(bans.collect())
}

async fn list(client: &Client, format: Format) -> anyhow::Result<Exit> {
    let bans = in_force(client).await?;
    match format {
        Format::Json => output::json_list(bans.iter().map(Listed::new))?,
        Format::Text if bans.is_empty() => output::text("Nobody is banned.")?,
        Format::Text => output::text(&table(&bans, &TimeZone::system()).render(output::columns()))?,
    }
    Ok(Exit::Done)
}

async fn add(client: &Client, ban: HandBan, format: Format) -> anyhow::Result<Exit> {
    let is_same =
        |known: &BanView| known.network == ban.network && matches!(known.cause, BanCause::ByHand { .. });
    let replaced = in_force(client).await?.into_iter().find(is_same);
    client.ask(Request::AddBan { ban: ban.clone() }).await?;
    let HandBan { network, until, added, reason } = ban;
    let view = BanView { network, until, cause: BanCause::ByHand { added, reason } };
    let zone = TimeZone::system();
    let end = |until: Option<Timestamp>| match until {
        Some(until) => format!("until {}", minute(until, &zone)),
        None => "until it is removed".to_owned(),
    };
    match (format, &replaced) {
        (Format::Json, _) => output::json(&Listed::new(&view))?,
        (Format::Text, None) => output::text(&format!("Banned {network} {}.", end(until)))?,
        (Format::Text, Some(before)) => {
            let text = format!(
                "Banned {network} {}, in place of the ban {} ({}).",
                end(until),
                end(before.until),
                why(before)
            );
            output::text(&message::terminal::one_line(&text))?;
        }
    }
    Ok(Exit::Done)
}

async fn remove(client: &Client, network: Network, format: Format) -> anyhow::Result<Exit> {
    let items = client.ask(Request::RemoveBan { network }).await?;
    let removed = items.iter().find_map(|item| match item {
        Item::Removed { count } => Some(*count),
        _ => None,
    });
    let removed = removed.unwrap_or(0);
    match format {
        Format::Json => output::json(&serde_json::json!({ "removed": removed }))?,
        Format::Text if removed == 0 => {
            output::text(&format!("{network} is not banned; `posthaste ban ls` lists who is."))?;
        }
        Format::Text => output::text(&format!("Lifted {}.", units::counted(removed, "ban")))?,
    }
    Ok(if removed == 0 { Exit::Refused } else { Exit::Done })
}

fn table(bans: &[BanView], zone: &TimeZone) -> Table {
    let column = |title, fit| Column { title, align: Align::Left, fit };
    let row = |ban: &BanView| Row {
        cells: vec![
            ban.network.to_string(),
            ban.until.map_or("no end".to_owned(), |until| minute(until, zone)),
            message::terminal::one_line(&why(ban)).into_owned(),
        ],
        style: Style::new(),
    };
    Table {
        columns: vec![
            column("NETWORK", Fit::Whole),
            column("UNTIL", Fit::Whole),
            column("WHY", Fit::Shortened),
        ],
        rows: bans.iter().map(row).collect(),
    }
}

fn why(ban: &BanView) -> String {
    match &ban.cause {
        BanCause::ByHand { reason, .. } if reason.is_empty() => "by hand".to_owned(),
        BanCause::ByHand { reason, .. } => format!("by hand: {reason}"),
        BanCause::Automatic { measure } => format!("too many {measure}"),
    }
}

/// A ban for programs.
#[derive(Serialize)]
struct Listed {
    network: String,
    until: Option<String>,
    by_hand: bool,
    why: String,
}

impl Listed {
    fn new(ban: &BanView) -> Listed {
        Listed {
            network: ban.network.to_string(),
            until: ban.until.map(rfc3339),
            by_hand: matches!(ban.cause, BanCause::ByHand { .. }),
            why: why(ban),
        }
    }
}
