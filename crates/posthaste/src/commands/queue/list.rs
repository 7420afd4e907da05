//! Showing the queue.

use crate::commands::explain::{ToldAttempt, ToldDelivery, attempt_lines, state};
use crate::exit::Exit;
use crate::output::{self, Align, Column, Fit, Format, Row, Table};
use crate::serving::now;
use crate::units::{counted, duration, minute, rfc3339, second, size};
use anstyle::{AnsiColor, Style};
use jiff::tz::TimeZone;
use message::terminal::one_line;
use serde::Serialize;
use server::admin::{
    BacklogView, Client, DeliveryView, Item, QueueFilter, QueueRequest, Readable, Request, SiteView,
};
use store::{Pause, PauseScope, Timestamp};

pub(super) async fn list(
    client: &Client,
    filter: QueueFilter,
    limit: usize,
    format: Format,
) -> anyhow::Result<Exit> {
    // One more, to know whether there are more.
    let mut all = deliveries(client, filter, limit.saturating_add(1)).await?;
    let more = all.len() > limit;
    all.truncate(limit);
    match format {
        Format::Json => output::json_list(all.iter().map(ToldDelivery::new))?,
        Format::Text if all.is_empty() => output::text("Nothing like that is queued.")?,
        Format::Text => {
            output::text(&table(&all, now()).render(output::columns()))?;
            if more {
                output::text(&format!("… and more: these are the first {limit}; --limit shows others."))?;
            }
        }
    }
    Ok(Exit::Done)
}

pub(super) async fn show(client: &Client, ids: Vec<String>, format: Format) -> anyhow::Result<Exit> {
    let filter = QueueFilter { ids, ..QueueFilter::default() };
    let all = deliveries(client, filter, usize::MAX).await?;
    match format {
        Format::Json => output::json_list(all.iter().map(ToldDelivery::new))?,
        Format::Text if all.is_empty() => {
            output::text("Not in the queue (any more); `posthaste explain` tells what became of it.")?;
        }
        Format::Text => {
            let (now, zone) = (now(), TimeZone::system());
            let shown = all.iter().map(|delivery| shown(delivery, now, &zone));
            output::text(&shown.collect::<Vec<_>>().join("\n\n"))?;
        }
    }
    Ok(if all.is_empty() { Exit::Refused } else { Exit::Done })
}

pub(super) async fn summary(client: &Client, limit: usize, format: Format) -> anyhow::Result<Exit> {
    let items = client.ask(Request::Queue(QueueRequest::Summary { limit })).await?;
    let backlog = |item| match item {
        Item::Backlog(backlog) => Some(*backlog),
        _ => None,
    };
    let all: Vec<BacklogView> = items.into_iter().filter_map(backlog).collect();
    match format {
        Format::Json => output::json_list(all.iter().map(ToldBacklog::new))?,
        Format::Text if all.is_empty() => output::text("The queue is empty.")?,
        Format::Text => output::text(&backlogs(&all, now()).render(output::columns()))?,
    }
    Ok(Exit::Done)
}

pub(super) async fn pauses(client: &Client, format: Format) -> anyhow::Result<Exit> {
    let items = client.ask(Request::Queue(QueueRequest::Pauses)).await?;
    let pause = |item| match item {
        Item::Pause(pause) => Some(pause),
        _ => None,
    };
    let all: Vec<Pause> = items.into_iter().filter_map(pause).collect();
    match format {
        Format::Json => output::json_list(all.iter().map(ToldPause::new))?,
        Format::Text if all.is_empty() => output::text("Nothing is paused.")?,
        Format::Text => output::text(&paused(&all, &TimeZone::system()).render(output::columns()))?,
    }
    Ok(Exit::Done)
}

async fn deliveries(client: &Client, filter: QueueFilter, limit: usize) -> anyhow::Result<Vec<DeliveryView>> {
    let items = client.ask(Request::Queue(QueueRequest::List { filter, limit })).await?;
    let delivery = |item| match item {
        Item::Delivery(delivery) => Some(*delivery),
        _ => None,
    };
    Ok(items.into_iter().filter_map(delivery).collect())
}

fn table(all: &[DeliveryView], now: Timestamp) -> Table {
    let row = |delivery: &DeliveryView| {
        let length = match delivery.readable {
            Readable::Yes => size(delivery.size),
            Readable::No => "?".to_owned(),
        };
        Row {
            cells: vec![
                delivery.id.clone(),
                duration(delivery.received, now),
                one_line(sender(delivery)).into_owned(),
                one_line(recipient(delivery)).into_owned(),
                length,
                delivery.attempts.to_string(),
                next(delivery, now),
                last(delivery.history.last().map(|attempt| attempt.reply.as_str())),
            ],
            style: style(delivery),
        }
    };
    let column = |title, align, fit| Column { title, align, fit };
    Table {
        columns: vec![
            column("ID", Align::Left, Fit::Whole),
            column("AGE", Align::Right, Fit::Whole),
            column("FROM", Align::Left, Fit::Shortened),
            column("TO", Align::Left, Fit::Last),
            column("SIZE", Align::Right, Fit::LeftOut),
            column("TRIES", Align::Right, Fit::LeftOut),
            column("NEXT", Align::Left, Fit::Whole),
            column("LAST REPLY", Align::Left, Fit::Shortened),
        ],
        rows: all.iter().map(row).collect(),
    }
}

fn backlogs(all: &[BacklogView], now: Timestamp) -> Table {
    let row = |backlog: &BacklogView| Row {
        cells: vec![
            backlog.destination.clone(),
            backlog.deliveries.to_string(),
            backlog.held.to_string(),
            duration(backlog.oldest, now),
            match (&backlog.paused, backlog.next) {
                (Some(_), _) => "paused".to_owned(),
                (None, None) => "held".to_owned(),
                (None, Some(next)) => until(next, now),
            },
            backlog.site.as_ref().map_or("-".to_owned(), connections),
            last(backlog.last.as_ref().map(|attempt| attempt.reply.as_str())),
        ],
        style: Style::new(),
    };
    let column = |title, align, fit| Column { title, align, fit };
    Table {
        columns: vec![
            column("DESTINATION", Align::Left, Fit::Last),
            column("QUEUED", Align::Right, Fit::Whole),
            column("HELD", Align::Right, Fit::Whole),
            column("OLDEST", Align::Right, Fit::Whole),
            column("NEXT", Align::Left, Fit::Whole),
            column("CONNECTIONS", Align::Left, Fit::LeftOut),
            column("LAST REPLY", Align::Left, Fit::Shortened),
        ],
        rows: all.iter().map(row).collect(),
    }
}

/// Connections with a destination's hosts: those that carry mail of those that they bear, and those that wait for mail.
fn connections(site: &SiteView) -> String {
    let idle = if site.idle > 0 { format!(", {} idle", site.idle) } else { String::new() };
    match site.wait {
        Some(wait) => {
            format!("{} of {}{idle}, more in {} s", site.connections, site.limit, wait.div_ceil(1000))
        }
        None => format!("{} of {}{idle}", site.connections, site.limit),
    }
}

fn paused(all: &[Pause], zone: &TimeZone) -> Table {
    let row = |pause: &Pause| Row {
        cells: vec![
            kind(&pause.scope).to_owned(),
            pause.scope.name().to_owned(),
            minute(pause.since, zone),
            one_line(&pause.reason).into_owned(),
        ],
        style: Style::new(),
    };
    let column = |title, fit| Column { title, align: Align::Left, fit };
    Table {
        columns: vec![
            column("WHAT", Fit::Whole),
            column("NAME", Fit::Whole),
            column("SINCE", Fit::Whole),
            column("WHY", Fit::Shortened),
        ],
        rows: all.iter().map(row).collect(),
    }
}

/// One delivery, with every attempt that is remembered.
fn shown(delivery: &DeliveryView, now: Timestamp, zone: &TimeZone) -> String {
    let length = match delivery.readable {
        Readable::Yes => size(delivery.size),
        Readable::No => "cannot be read: `posthaste store verify` says what is damaged".to_owned(),
    };
    let mut lines = vec![
        format!("message      {}, {length}", delivery.id),
        format!("from         {}", one_line(sender(delivery))),
        format!("to           {}", one_line(recipient(delivery))),
        format!("destination  {}", delivery.destination),
        format!("accepted     {}, {} ago", second(delivery.received, zone), duration(delivery.received, now)),
        format!("state        {}, tried {}", state(delivery), counted(u64::from(delivery.attempts), "time")),
    ];
    if let Some(hold) = &delivery.held {
        lines.push(format!("on hold      since {}: {}", second(hold.since, zone), one_line(&hold.reason)));
    }
    if let Some(pause) = &delivery.paused {
        lines.push(format!("paused       since {}: {}", second(pause.since, zone), one_line(&pause.reason)));
    }
    lines.push(format!("due          {} ({})", second(delivery.due, zone), until(delivery.due, now)));
    for attempt in &delivery.history {
        lines.extend(attempt_lines(attempt, zone).into_iter().map(|line| format!("  {line}")));
    }
    lines.join("\n")
}

fn sender(delivery: &DeliveryView) -> &str {
    match (delivery.readable, &*delivery.sender) {
        (Readable::No, _) => "unreadable",
        (Readable::Yes, "") => "<>",
        (Readable::Yes, sender) => sender,
    }
}

fn recipient(delivery: &DeliveryView) -> &str {
    match delivery.readable {
        // What is known is where mail for the recipient goes.
        Readable::No => &delivery.destination,
        Readable::Yes => &delivery.recipient,
    }
}

fn next(delivery: &DeliveryView, now: Timestamp) -> String {
    match (&delivery.held, &delivery.paused) {
        (Some(_), _) => "held".to_owned(),
        (None, Some(_)) => "paused".to_owned(),
        (None, None) => until(delivery.due, now),
    }
}

fn until(due: Timestamp, now: Timestamp) -> String {
    if due > now { format!("in {}", duration(now, due)) } else { "now".to_owned() }
}

fn last(reply: Option<&str>) -> String {
    one_line(reply.unwrap_or("")).into_owned()
}

fn style(delivery: &DeliveryView) -> Style {
    match delivery.held.is_some() || delivery.paused.is_some() {
        true => Style::new().fg_color(Some(AnsiColor::Yellow.into())),
        false => Style::new(),
    }
}

/// What a pause is about, in a word.
pub(super) fn kind(scope: &PauseScope) -> &'static str {
    match scope {
        PauseScope::Destination(_) => "domain",
        PauseScope::Host(_) => "host",
    }
}

/// A destination for programs.
#[derive(Serialize)]
struct ToldBacklog<'a> {
    destination: &'a str,
    deliveries: u64,
    held: u64,
    oldest: String,
    next: Option<String>,
    paused: Option<ToldPause<'a>>,
    last: Option<ToldAttempt<'a>>,
    site: Option<&'a SiteView>,
}

/// A pause for programs.
#[derive(Serialize)]
pub(super) struct ToldPause<'a> {
    kind: &'static str,
    name: &'a str,
    since: String,
    reason: &'a str,
}

impl ToldBacklog<'_> {
    fn new(backlog: &BacklogView) -> ToldBacklog<'_> {
        let BacklogView { destination, deliveries, held, oldest, next, paused, last, site } = backlog;
        ToldBacklog {
            destination,
            deliveries: *deliveries,
            held: *held,
            oldest: rfc3339(*oldest),
            next: next.map(rfc3339),
            paused: paused.as_ref().map(ToldPause::new),
            last: last.as_ref().map(ToldAttempt::new),
            site: site.as_ref(),
        }
    }
}

impl ToldPause<'_> {
    pub(super) fn new(pause: &Pause) -> ToldPause<'_> {
        let Pause { scope, since, reason } = pause;
        ToldPause { kind: kind(scope), name: scope.name(), since: rfc3339(*since), reason }
    }
}
