//! Doing something with the queue. What was done, and with how much, is always said.

use super::list::kind;
use crate::exit::Exit;
use crate::output::{self, Format};
use crate::units::counted;
use anyhow::bail;
use serde::Serialize;
use server::admin::{
    Client, Intent, Item, OrderedView, QueueFilter, QueueOrder, QueueRequest, Request, SenderReport,
};
use store::PauseScope;

/// Gives an order that can be taken back.
pub(super) async fn give(
    client: &Client,
    filter: QueueFilter,
    order: QueueOrder,
    format: Format,
) -> anyhow::Result<Exit> {
    let what = match &order {
        QueueOrder::Hold { .. } => "Put on hold:",
        QueueOrder::Release => "Released:",
        QueueOrder::Retry => "To be tried now:",
        QueueOrder::Reroute { .. } => "Rerouted:",
        QueueOrder::Remove { .. } => "Removed:",
    };
    let ordered = ask(client, filter, order, Intent::Do).await?;
    say(&ordered, what, format)
}

/// Removes deliveries, if the operator is sure.
pub(super) async fn remove(
    client: &Client,
    (filter, sure): (QueueFilter, bool),
    report: SenderReport,
    format: Format,
) -> anyhow::Result<Exit> {
    let (done, to_do) = match &report {
        SenderReport::Silent => {
            ("Removed, without a word to the senders:", "Would be removed, without a word to the senders:")
        }
        SenderReport::Reason(_) => {
            ("Removed, and the senders told:", "Would be removed, and the senders told:")
        }
    };
    let order = QueueOrder::Remove { report };
    if sure {
        let ordered = ask(client, filter, order, Intent::Do).await?;
        return say(&ordered, done, format);
    }
    let ordered = ask(client, filter, order, Intent::Count).await?;
    say(&ordered, to_do, format)?;
    if format == Format::Text && ordered.deliveries > 0 {
        output::text("Nothing was done yet: say --yes to do it.")?;
    }
    Ok(Exit::Refused)
}

pub(super) async fn pause(
    client: &Client,
    scope: PauseScope,
    reason: String,
    format: Format,
) -> anyhow::Result<Exit> {
    client.ask(Request::Queue(QueueRequest::Pause { scope: scope.clone(), reason })).await?;
    match format {
        Format::Json => output::json(&Scope::of(&scope))?,
        Format::Text => output::text(&format!(
            "Mail for {scope} waits, also what comes, until `posthaste queue resume`; nothing is given up meanwhile."
        ))?,
    }
    Ok(Exit::Done)
}

pub(super) async fn resume(client: &Client, scope: PauseScope, format: Format) -> anyhow::Result<Exit> {
    let items = client.ask(Request::Queue(QueueRequest::Resume { scope: scope.clone() })).await?;
    let was_paused = items.iter().any(|item| matches!(item, Item::Removed { count: 1.. }));
    match (format, was_paused) {
        (Format::Json, _) => output::json(&Scope::of(&scope))?,
        (Format::Text, true) => output::text(&format!("Mail for {scope} goes on."))?,
        (Format::Text, false) => {
            output::text(&format!("{scope} was not paused; `posthaste queue pauses` lists what is."))?;
        }
    }
    Ok(if was_paused { Exit::Done } else { Exit::Refused })
}

async fn ask(
    client: &Client,
    filter: QueueFilter,
    order: QueueOrder,
    intent: Intent,
) -> anyhow::Result<OrderedView> {
    let items = client.ask(Request::Queue(QueueRequest::Order { filter, order, intent })).await?;
    let ordered = items.into_iter().find_map(|item| match item {
        Item::Ordered(ordered) => Some(ordered),
        _ => None,
    });
    match ordered {
        Some(ordered) => Ok(ordered),
        None => bail!("the server did not say what it has done"),
    }
}

fn say(ordered: &OrderedView, what: &str, format: Format) -> anyhow::Result<Exit> {
    match format {
        Format::Json => output::json(ordered)?,
        Format::Text if ordered.deliveries == 0 => output::text("Nothing like that is queued.")?,
        Format::Text => output::text(&format!("{what} {}.", shown(ordered)))?,
    }
    Ok(if ordered.deliveries == 0 { Exit::Refused } else { Exit::Done })
}

/// How much, and where to.
fn shown(ordered: &OrderedView) -> String {
    let OrderedView { deliveries, messages, destinations, more } = ordered;
    let mut text = format!(
        "{} of {}, for {}",
        counted(*deliveries, "delivery"),
        counted(*messages, "message"),
        destinations.join(", ")
    );
    if *more > 0 {
        text.push_str(&format!(" and {}", counted(*more, "other destination")));
    }
    text
}

/// A pause's scope for programs.
#[derive(Serialize)]
struct Scope<'a> {
    kind: &'static str,
    name: &'a str,
}

impl Scope<'_> {
    fn of(scope: &PauseScope) -> Scope<'_> {
        Scope { kind: kind(scope), name: scope.name() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_much_is_said_in_a_sentence() {
        let ordered = |deliveries, destinations: &[&str], more| OrderedView {
            deliveries,
            messages: 1,
            destinations: destinations.iter().map(|one| (*one).to_owned()).collect(),
            more,
        };
        assert_eq!(shown(&ordered(1, &["a.example"], 0)), "1 delivery of 1 message, for a.example");
        let many = shown(&ordered(7, &["a.example", "b.example"], 5));
        assert_eq!(many, "7 deliveries of 1 message, for a.example, b.example and 5 other destinations");
    }
}
