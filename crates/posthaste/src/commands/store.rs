//! `posthaste store`: the store as such.

use super::{Needs, block_on, with_client};
use crate::exit::{Complaint, Exit};
use crate::output::{self, Format, FormatArgs};
use crate::paths::DataArgs;
use crate::units::{counted, rfc3339, size};
use anstyle::{AnsiColor, Style};
use anyhow::bail;
use clap::Subcommand;
use serde::Serialize;
use server::admin::{BackupView, Item, Request, StoreStats};
use server::open::{Remedy, Repaired, Report, Restored};
use std::path::{Path, PathBuf};

/// Check, measure, back up and repair the store that keeps the mail
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
    /// Changes nothing. The server must not be running. Exits with 0 when all is right, with 1 when something is wrong. A backup can be verified
    /// as well: name its directory with `--data`; every file is compared with what was written.
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify,
    /// Show how much there is: messages, queue, segments of the log, what of them is dead
    ///
    /// Works while the server runs, and when none does.
    #[command(after_help = STATS_EXAMPLES)]
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
    /// Copy the store into a directory, while the server runs or when none does
    ///
    /// The copy holds all mail that was accepted when the command began, with accounts, flags and the queue; mail goes on meanwhile. Of an
    /// earlier backup in the directory only what is new is copied, and it is replaced when the new one is whole, not before. While a
    /// server runs it is the server that writes: only below the directory that `backups` names in its settings, or `posthaste up --backups`.
    /// Settings, keys, certificates and bans are not in the store: keep copies of those yourself.
    #[command(after_help = BACKUP_EXAMPLES)]
    Backup {
        /// Where the backup is: a directory that is empty, does not exist, or has an earlier backup of this store
        #[arg(value_name = "TARGET-DIR")]
        target: PathBuf,
    },
    /// Make a store from a backup, comparing everything with its checksums
    ///
    /// The backup is only read. Afterwards use the new directory as the data directory. What was in the queue when the backup was made is in it
    /// again, also what was delivered since: look at `posthaste queue ls` before a server sends it. When something of the backup is damaged, all of that
    /// is named and the new store is not opened; `posthaste store repair` saves what is intact of it.
    #[command(after_help = RESTORE_EXAMPLES)]
    Restore {
        /// The directory of the backup
        #[arg(value_name = "BACKUP")]
        backup: PathBuf,
        /// The option of all these commands, which means nothing here: hidden, and refused
        #[arg(id = "directory", long = "data", value_name = "DIR", hide = true)]
        data: Option<PathBuf>,
        /// Another such option
        #[arg(id = "settings", long = "config", value_name = "FILE", hide = true)]
        settings: Option<PathBuf>,
        /// Where the store is made: a directory that is empty, or does not exist
        #[arg(value_name = "NEW-DIR")]
        target: PathBuf,
    },
}

const VERIFY_EXAMPLES: &str = "\
Examples:
  posthaste store verify
  posthaste store verify --data /var/lib/posthaste --json
  posthaste store verify --data /srv/backup/mail
      Verify a backup.";

const STATS_EXAMPLES: &str = "\
Examples:
  posthaste store stats
  posthaste store stats --data /var/lib/posthaste --json";

const BACKUP_EXAMPLES: &str = "\
Examples:
  posthaste store backup /srv/backup/mail
  posthaste store backup --data /var/lib/posthaste /srv/backup/mail --json";

const RESTORE_EXAMPLES: &str = "\
Examples:
  posthaste store restore /srv/backup/mail /var/lib/posthaste-restored
  posthaste store restore /srv/backup/mail /tmp/test --json";

const REPAIR_EXAMPLES: &str = "\
Examples:
  posthaste store repair /var/lib/posthaste-repaired
  posthaste store repair --data /var/lib/posthaste /srv/new";

const EXAMPLES: &str = "\
Examples:
  posthaste store verify
  posthaste store verify --data /var/lib/posthaste --json
  posthaste store stats
  posthaste store backup /srv/backup/mail
  posthaste store repair /var/lib/posthaste-repaired";

pub(crate) fn run(args: Args) -> anyhow::Result<Exit> {
    let format = args.format.format();
    match args.command {
        Command::Verify => verify(&args.data.directory()?, format),
        Command::Stats => stats(&args.data.directory()?, format),
        Command::Repair { target } => repair(&args.data.directory()?, &target, format),
        Command::Backup { target } => backup(&args.data.directory()?, &target, format),
        Command::Restore { data, settings, .. }
            if is_given(data.as_deref(), "POSTHASTE_DATA")
                || is_given(settings.as_deref(), "POSTHASTE_CONFIG") =>
        {
            let what = "restore takes neither --data nor --config: name the backup, and the directory where the new store is made";
            Err(Complaint::usage(what).into())
        }
        Command::Restore { backup, target, .. } => restore(&backup, &target, format),
    }
}

/// Whether a person has given an option, and not the environment.
fn is_given(value: Option<&Path>, variable: &str) -> bool {
    value.is_some_and(|value| std::env::var_os(variable).is_none_or(|named| named != value.as_os_str()))
}

fn backup(data: &Path, target: &Path, format: Format) -> anyhow::Result<Exit> {
    let directory = std::path::absolute(target)?;
    let items = with_client(data, Needs::Store, async |client| {
        Ok(client.ask(Request::Backup { directory }).await?)
    })?;
    let [Item::BackedUp(done)] = &items[..] else {
        bail!("the server answered with {items:?} instead of a report")
    };
    match format {
        Format::Json => output::json(&Backup::new(done))?,
        Format::Text => output::text(&format!(
            "Backed up {}, {}, into {}; {}, {}, had to be copied.",
            counted(done.files, "file"),
            size(done.bytes),
            target.display(),
            counted(done.copied_files, "file"),
            size(done.copied_bytes),
        ))?,
    }
    Ok(Exit::Done)
}

fn restore(backup: &Path, target: &Path, format: Format) -> anyhow::Result<Exit> {
    let restored = block_on(async { Ok(server::open::restore(backup, target).await?) })?;
    match format {
        Format::Json => output::json(&FromBackup::new(&restored))?,
        Format::Text => output::text(&restored_text(&restored, target))?,
    }
    Ok(Exit::Done)
}

fn restored_text(restored: &Restored, target: &Path) -> String {
    let mut text = format!(
        "Restored {} ({} in the queue) as of {} into {}.",
        counted(restored.stats.messages, "message"),
        counted(restored.stats.queued, "delivery"),
        rfc3339(restored.made),
        target.display()
    );
    if restored.stats.queued > 0 {
        text.push_str(&format!(
            "\nA server sends what is in the queue, also what was delivered since the backup was made: see posthaste queue ls --data {}",
            target.display()
        ));
    }
    text
}

/// A backup for programs.
#[derive(Serialize)]
struct Backup {
    made: String,
    files: u64,
    bytes: u64,
    copied_files: u64,
    copied_bytes: u64,
    removed_files: u64,
}

impl Backup {
    fn new(done: &BackupView) -> Backup {
        let BackupView { made, files, bytes, copied_files, copied_bytes, removed_files } = *done;
        Backup { made: rfc3339(made), files, bytes, copied_files, copied_bytes, removed_files }
    }
}

/// A restored store for programs.
#[derive(Serialize)]
struct FromBackup {
    made: String,
    files: u64,
    bytes: u64,
    messages: u64,
    queued: u64,
}

impl FromBackup {
    fn new(restored: &Restored) -> FromBackup {
        let Restored { made, files, bytes, stats } = *restored;
        FromBackup { made: rfc3339(made), files, bytes, messages: stats.messages, queued: stats.queued }
    }
}

fn stats(data: &Path, format: Format) -> anyhow::Result<Exit> {
    let items = with_client(data, Needs::Store, async |client| Ok(client.ask(Request::Stats).await?))?;
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
        Format::Text => output::text(&text(&report, data))?,
    }
    Ok(if report.findings.is_empty() { Exit::Done } else { Exit::Refused })
}

fn text(report: &Report, data: &Path) -> String {
    let good = Style::new().fg_color(Some(AnsiColor::Green.into()));
    let bad = Style::new().fg_color(Some(AnsiColor::Red.into()));
    let backup = report.backup.map(|made| format!("This is a backup as of {}.", rfc3339(made)));
    let mut lines = Vec::from_iter(backup);
    lines.push(format!(
        "Read {} of the log: {}, {} of them in files of their own.",
        counted(report.segments, "segment"),
        counted(report.messages, "message"),
        report.large
    ));
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
    lines.extend(report.remedy.map(|remedy| what_to_do(remedy, data)));
    lines.join("\n")
}

/// The next step after a verification that found something.
fn what_to_do(remedy: Remedy, data: &Path) -> String {
    let shown = data.display();
    match remedy {
        Remedy::RemoveIndex => format!(
            "Remove {} while no server runs: it is made anew from the log at the next start.",
            data.join("index.redb").display()
        ),
        Remedy::Repair => format!(
            "Save what is intact into a new store, and see what is lost: posthaste store repair --data {shown} NEW-DIR"
        ),
        Remedy::AnotherBackup => format!(
            "Make a new backup in another directory. If there is no other copy of the mail: `posthaste store restore {shown} NEW-DIR` \
             copies what is there, and `posthaste store repair --data NEW-DIR OTHER-DIR` saves what is intact of that."
        ),
        Remedy::MakeAgain => {
            format!("Remove {shown}, and make it again with the command that was interrupted.")
        }
    }
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
    /// When the backup was made, if it is one.
    backup: Option<String>,
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
        let Report { backup, segments, batches, messages, large, findings, more, notes, remedy: _ } = report;
        let findings: Vec<_> =
            findings.iter().map(|f| CheckedFinding { place: &f.place, what: &f.what }).collect();
        Checked {
            ok: findings.is_empty(),
            backup: backup.map(rfc3339),
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
    let StoreStats { accounts, aliases, domains, messages, queued, segments, large_files, .. } = stats;
    let (log, live, dead) = (size(stats.log_bytes), size(stats.live_bytes), size(stats.dead_bytes));
    let reserved = size(stats.log_bytes.saturating_sub(stats.live_bytes + stats.dead_bytes));
    let (large, index) = (size(stats.large_bytes), size(stats.index_bytes));
    let mut lines = vec![
        format!("accounts     {accounts}"),
        format!("aliases      {aliases}"),
        format!("domains      {domains}"),
        format!("messages     {messages}"),
        format!("in the queue {queued}"),
        format!(
            "log          {}, {log}: {live} live, {dead} dead, {reserved} reserved for more",
            counted(*segments, "segment")
        ),
        format!("large files  {large_files}, {large}"),
        format!("index        {index}"),
    ];
    lines.extend(stats.unreclaimed.iter().map(|why| format!("not all space is given back: {}", shown(why))));
    lines.join("\n")
}
