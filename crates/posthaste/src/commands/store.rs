//! `posthaste store`: the store as such.

use super::block_on;
use crate::exit::Exit;
use crate::output::{self, Format, FormatArgs};
use crate::paths::DataArgs;
use crate::units::counted;
use anstyle::{AnsiColor, Style};
use clap::Subcommand;
use serde::Serialize;
use server::open::Report;
use std::path::Path;

/// Check the store that keeps the mail
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
}

const EXAMPLES: &str = "\
Examples:
  posthaste store verify
  posthaste store verify --data /var/lib/posthaste --json";

pub(crate) fn run(args: Args) -> anyhow::Result<Exit> {
    let data = args.data.directory()?;
    match args.command {
        Command::Verify => verify(&data, args.format.format()),
    }
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
