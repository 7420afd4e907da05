//! `posthaste store`: the store as such.

use super::block_on;
use crate::exit::Exit;
use crate::output::{self, Format, FormatArgs};
use crate::paths::DataArgs;
use crate::units::{counted, size};
use anstyle::{AnsiColor, Style};
use anyhow::bail;
use clap::Subcommand;
use serde::Serialize;
use server::admin::{Client, Item, Request, StoreStats};
use server::open::{Repaired, Report};
use std::path::{Path, PathBuf};

/// Check, measure and repair the store that keeps the mail
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
    /// Read everything and compare it with its checksums, and the index with the log
    ///
    /// Changes nothing. The server must not be running. Exits with 0 when all is right, with 1 when something is wrong.
    #[command(after_help = EXAMPLES)]
    Verify,
    /// Show how much there is: messages, queue, segments of the log, what of them is dead
    ///
    /// Works while the server runs, and when none does.
    #[command(after_help = EXAMPLES)]
    Stats,
    /// Save what is intact of a damaged store into a new one, and list what is lost
    ///
    /// For a store that the server refuses to open, or in which `posthaste store verify` finds something wrong. The old store is only read
    /// and stays as it is; the server must not be running. Messages keep their numbers, their flags and their place in the queue. Afterwards
    /// use the new directory as the data directory. Exits with 0 when nothing is lost, with 3 when something is, with 1 when it failed.
    #[command(after_help = REPAIR_EXAMPLES)]
    Repair {
        /// Where the new store is made: a directory that is empty, or does not exist
        #[arg(value_name = "NEW-DIR")]
        target: PathBuf,
    },
}

const REPAIR_EXAMPLES: &str = "\
Examples:
  posthaste store repair /var/lib/posthaste-repaired
  posthaste store repair --data /var/lib/posthaste /srv/new";

const EXAMPLES: &str = "\
Examples:
  posthaste store verify
  posthaste store verify --data /var/lib/posthaste --json
  posthaste store stats
  posthaste store repair /var/lib/posthaste-repaired";

pub(crate) fn run(args: Args) -> anyhow::Result<Exit> {
    let data = args.data.directory()?;
    match args.command {
        Command::Verify => verify(&data, args.format.format()),
        Command::Stats => stats(&data, args.format.format()),
        Command::Repair { target } => repair(&data, &target, args.format.format()),
    }
}

fn stats(data: &Path, format: Format) -> anyhow::Result<Exit> {
    let items = block_on(async {
        let client = Client::open(data).await?;
        let items = client.ask(Request::Stats).await;
        client.close().await?;
        Ok(items?)
    })?;
    let [Item::Stats(stats)] = &items[..] else {
        bail!("the server answered with {items:?} instead of figures")
    };
    match format {
        Format::Json => output::json(stats)?,
        Format::Text => output::text(&stats_text(stats))?,
    }
    Ok(Exit::Done)
}

fn verify(data: &Path, format: Format) -> anyhow::Result<Exit> {
    let report = block_on(async { Ok(server::open::verify(data).await?) })?;
    match format {
        Format::Json => output::json(&Checked::new(&report))?,
        Format::Text => output::text(&text(&report))?,
    }
    Ok(if report.findings.is_empty() { Exit::Done } else { Exit::Refused })
}

fn text(report: &Report) -> String {
    let good = Style::new().fg_color(Some(AnsiColor::Green.into()));
    let bad = Style::new().fg_color(Some(AnsiColor::Red.into()));
    let mut lines = vec![format!(
        "Read {} of the log: {}, {} of them in files of their own.",
        counted(report.segments, "segment"),
        counted(report.messages, "message"),
        report.large
    )];
    lines.extend(report.notes.iter().map(|note| format!("note: {note}")));
    lines.extend(
        report
            .findings
            .iter()
            .map(|finding| format!("{bad}wrong{bad:#}: {}: {}", finding.place, finding.what)),
    );
    if report.more > 0 {
        lines.push(format!("… and {} more", report.more));
    }
    lines.push(match report.findings.len() as u64 + report.more {
        0 => format!("{good}All is right.{good:#}"),
        count => format!("{bad}Found {}.{bad:#}", counted(count, "fault")),
    });
    lines.join("\n")
}

fn repair(data: &Path, target: &Path, format: Format) -> anyhow::Result<Exit> {
    let repaired = block_on(async { Ok(server::open::repair(data, target).await?) })?;
    match format {
        Format::Json => output::json(&Salvaged::new(&repaired))?,
        Format::Text => output::text(&repaired_text(&repaired, target))?,
    }
    Ok(if repaired.lost.is_empty() { Exit::Done } else { Exit::Lost })
}

fn repaired_text(repaired: &Repaired, target: &Path) -> String {
    let good = Style::new().fg_color(Some(AnsiColor::Green.into()));
    let bad = Style::new().fg_color(Some(AnsiColor::Red.into()));
    let mut lines: Vec<String> = repaired
        .lost
        .iter()
        .map(|loss| format!("{bad}lost{bad:#}: {}: {}", shown(&loss.place), shown(&loss.what)))
        .collect();
    if repaired.more > 0 {
        lines.push(format!("… and {} more", repaired.more));
    }
    lines.extend(repaired.notes.iter().map(|note| format!("note: {note}")));
    lines.push(format!(
        "Saved {} ({} in the queue) into {}.",
        counted(repaired.stats.messages, "message"),
        counted(repaired.stats.queued, "delivery"),
        target.display()
    ));
    lines.push(match repaired.lost.is_empty() {
        true => format!("{good}Nothing is lost.{good:#}"),
        false => format!("{bad}Not everything could be saved; the old store is as it was.{bad:#}"),
    });
    lines.join("\n")
}

/// Safe for a terminal: mailboxes and addresses come from others.
fn shown(text: &str) -> std::borrow::Cow<'_, str> {
    message::terminal::one_line(text)
}

/// A repair for programs.
#[derive(Serialize)]
struct Salvaged<'a> {
    messages: u64,
    queued: u64,
    lost: Vec<CheckedFinding<'a>>,
    more_lost: u64,
    notes: &'a [String],
}

impl Salvaged<'_> {
    fn new(repaired: &Repaired) -> Salvaged<'_> {
        let Repaired { stats, lost, more, notes } = repaired;
        let lost = lost.iter().map(|loss| CheckedFinding { place: &loss.place, what: &loss.what }).collect();
        Salvaged { messages: stats.messages, queued: stats.queued, lost, more_lost: *more, notes }
    }
}

/// A check for programs.
#[derive(Serialize)]
struct Checked<'a> {
    ok: bool,
    segments: u64,
    batches: u64,
    messages: u64,
    large: u64,
    findings: Vec<CheckedFinding<'a>>,
    more_findings: u64,
    notes: &'a [String],
}

#[derive(Serialize)]
struct CheckedFinding<'a> {
    place: &'a str,
    what: &'a str,
}

impl Checked<'_> {
    fn new(report: &Report) -> Checked<'_> {
        let Report { segments, batches, messages, large, findings, more, notes } = report;
        let findings: Vec<_> =
            findings.iter().map(|f| CheckedFinding { place: &f.place, what: &f.what }).collect();
        Checked {
            ok: findings.is_empty(),
            segments: *segments,
            batches: *batches,
            messages: *messages,
            large: *large,
            findings,
            more_findings: *more,
            notes,
        }
    }
}

fn stats_text(stats: &StoreStats) -> String {
    let StoreStats { messages, queued, segments, large_files, .. } = stats;
    let (log, live, dead) = (size(stats.log_bytes), size(stats.live_bytes), size(stats.dead_bytes));
    let (large, index) = (size(stats.large_bytes), size(stats.index_bytes));
    [
        format!("messages     {messages}"),
        format!("in the queue {queued}"),
        format!("log          {}, {log}: {live} live, {dead} dead", counted(*segments, "segment")),
        format!("large files  {large_files}, {large}"),
        format!("index        {index}"),
    ]
    .join("\n")
}
