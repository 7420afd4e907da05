//! `posthaste status`: how the running server is.

use super::block_on;
use crate::exit::Exit;
use crate::output::{self, Format, FormatArgs};
use crate::paths::DataArgs;
use crate::serving::now;
use crate::units::{counted, duration, minute, rfc3339, size};
use anstyle::{AnsiColor, Style};
use anyhow::bail;
use jiff::tz::TimeZone;
use serde::Serialize;
use server::admin::{Client, Item, Request, Status, StoreTotals};
use store::Timestamp;

/// Show how the running server is
///
/// Says since when it runs, where it listens, how many connections it has, whether it accepts mail and if not, why, and what its store
/// holds. Exits with 0 when it accepts mail, with 1 when it does not or when no server runs.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    format: FormatArgs,
}

const EXAMPLES: &str = "\
Examples:
  posthaste status
  posthaste status --data /var/lib/posthaste --json";

pub(crate) fn run(args: Args) -> anyhow::Result<Exit> {
    let data = args.data.directory()?;
    let items = block_on(async { Ok(Client::of_server(&data).await?.ask(Request::Status).await?) })?;
    let [Item::Status(status)] = &items[..] else {
        bail!("the server answered with {items:?} instead of its status")
    };
    match args.format.format() {
        Format::Json => output::json(&Shown::new(status))?,
        Format::Text => output::text(&text(status, now(), &TimeZone::system()))?,
    }
    Ok(if status.trouble.is_none() { Exit::Done } else { Exit::Refused })
}

fn text(status: &Status, now: Timestamp, zone: &TimeZone) -> String {
    let good = Style::new().fg_color(Some(AnsiColor::Green.into()));
    let bad = Style::new().fg_color(Some(AnsiColor::Red.into()));
    let mail = match &status.trouble {
        None => format!("{good}accepted{good:#}"),
        Some(trouble) => format!("{bad}not accepted{bad:#}: {}", message::terminal::one_line(trouble)),
    };
    let mut lines = vec![
        format!("Posthaste {}, process {}", status.version, status.pid),
        format!("mail         {mail}"),
        format!("running      for {}, since {}", duration(status.started, now), minute(status.started, zone)),
    ];
    for (number, listener) in status.listeners.iter().enumerate() {
        lines.push(format!("{:<13}{listener}", if number == 0 { "listening" } else { "" }));
    }
    lines.push(format!("connections  {}", status.connections));
    if let Some(StoreTotals { accounts, messages, bytes, queued, unreadable, free, reserve }) = status.store {
        let (bytes, free, reserve) = (size(bytes), size(free), size(reserve));
        lines.push(format!("messages     {messages} in {}, {bytes}", counted(accounts, "account")));
        let damaged = match unreadable {
            0 => String::new(),
            _ => format!("; {bad}{unreadable} cannot be read{bad:#}: see `posthaste store verify`"),
        };
        lines.push(format!("in the queue {queued}{damaged}"));
        lines.push(format!("disk         {free} free; no mail is accepted below {reserve}"));
    }
    if let Some(why) = &status.unreclaimed {
        lines.push(format!(
            "space        {bad}not all given back{bad:#}: {}",
            message::terminal::one_line(why)
        ));
    }
    lines.join("\n")
}

/// The status for programs. Lengths are in bytes.
#[derive(Serialize)]
struct Shown<'a> {
    version: &'a str,
    pid: u32,
    started: String,
    listeners: &'a [String],
    connections: usize,
    accepts_mail: bool,
    trouble: Option<&'a str>,
    store: Option<StoreTotals>,
    unreclaimed: Option<&'a str>,
}

impl Shown<'_> {
    fn new(status: &Status) -> Shown<'_> {
        let Status { version, pid, started, listeners, connections, trouble, store, unreclaimed } = status;
        Shown {
            version,
            pid: *pid,
            started: rfc3339(*started),
            listeners,
            connections: *connections,
            accepts_mail: trouble.is_none(),
            trouble: trouble.as_deref(),
            store: *store,
            unreclaimed: unreclaimed.as_deref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_said_in_the_second_line() {
        let status = Status {
            version: "1.2.3".to_owned(),
            pid: 42,
            started: Timestamp(1_795_251_072_345),
            listeners: vec!["smtp 127.0.0.1:25".to_owned(), "lmtp 127.0.0.1:24".to_owned()],
            connections: 2,
            trouble: Some("the disk is full".to_owned()),
            store: None,
            unreclaimed: Some("segment 00000002: it cannot be read".to_owned()),
        };
        let text = text(&status, Timestamp(1_795_251_072_345 + 93_600_000), &TimeZone::UTC);
        assert_eq!(
            anstream::adapter::strip_str(&text).to_string(),
            "Posthaste 1.2.3, process 42\n\
             mail         not accepted: the disk is full\n\
             running      for 1 day 2 h, since 2026-11-21 08:51\n\
             listening    smtp 127.0.0.1:25\n             lmtp 127.0.0.1:24\n\
             connections  2\n\
             space        not all given back: segment 00000002: it cannot be read"
        );
    }
}
