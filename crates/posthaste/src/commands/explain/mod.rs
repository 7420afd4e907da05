//! `posthaste explain`: the story of a message, from its acceptance to what became of it.

mod reply;
mod text;

pub(super) use text::attempt_lines;

use super::{Needs, with_client};
use crate::exit::Exit;
use crate::output::{self, Format, FormatArgs};
use crate::paths::DataArgs;
use crate::serving::now;
use crate::units::rfc3339;
use jiff::tz::TimeZone;
use serde::Serialize;
use server::admin::{
    AttemptView, DeliveryView, EntryView, Item, OriginView, QueueRequest, Readable, RecipientView, Request,
    StoryView,
};

/// Tell what became of a message
///
/// Tells the story of a message: when it was accepted and from whom, each attempt to deliver it and what the other host said, and how it
/// ended, in plain sentences with the sections of the RFCs that they follow. Deliveries that are done with are remembered for a while
/// (see `remembered` in the settings file). Works while the server runs, and when none does.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A message's id, as in the server's 250 reply and in its log; or an address or a domain, for the latest messages from or to it
    #[arg(value_name = "ID|ADDRESS")]
    what: String,
    /// How many messages at most
    #[arg(long, value_name = "N", default_value_t = 10)]
    limit: usize,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    format: FormatArgs,
}

const EXAMPLES: &str = "\
Examples:
  posthaste explain 06JGV6XS9G000
  posthaste explain bob@example.com --limit 3
  posthaste explain example.com --json";

pub(crate) fn run(args: Args) -> anyhow::Result<Exit> {
    let data = args.data.directory()?;
    let request = QueueRequest::Explain { what: args.what.clone(), limit: args.limit };
    let items =
        with_client(&data, Needs::Store, async |client| Ok(client.ask(Request::Queue(request)).await?))?;
    let story = |item| match item {
        Item::Story(story) => Some(*story),
        _ => None,
    };
    let stories: Vec<StoryView> = items.into_iter().filter_map(story).collect();
    match args.format.format() {
        Format::Json => output::json_list(stories.iter().map(Told::new))?,
        Format::Text if stories.is_empty() => {
            let what = message::terminal::one_line(&args.what).into_owned();
            output::text(&format!(
                "Nothing is known of {what}: it never came, or what became of it is forgotten by now. The server's log may tell more."
            ))?;
        }
        Format::Text => {
            let tell = |story| text::story(story, now(), &TimeZone::system());
            output::text(&stories.iter().map(tell).collect::<Vec<_>>().join("\n\n"))?;
        }
    }
    Ok(if stories.is_empty() { Exit::Refused } else { Exit::Done })
}

/// A story for programs.
#[derive(Serialize)]
struct Told<'a> {
    id: &'a str,
    received: String,
    sender: &'a str,
    size: u64,
    origin: &'a Option<OriginView>,
    report_on: Option<&'a str>,
    recipients: Vec<ToldRecipient<'a>>,
}

#[derive(Serialize)]
struct ToldRecipient<'a> {
    recipient: &'a str,
    entries: &'a [EntryView],
    delivery: Option<ToldDelivery<'a>>,
}

/// A delivery for programs.
#[derive(Serialize)]
pub(super) struct ToldDelivery<'a> {
    id: &'a str,
    received: String,
    sender: &'a str,
    recipient: &'a str,
    size: u64,
    destination: &'a str,
    state: &'static str,
    due: Option<String>,
    reason: Option<&'a str>,
    attempts: u32,
    history: Vec<ToldAttempt<'a>>,
    ended: Option<String>,
}

/// An attempt for programs.
#[derive(Serialize)]
pub(super) struct ToldAttempt<'a> {
    at: String,
    milliseconds: u32,
    host: Option<&'a str>,
    address: Option<std::net::SocketAddr>,
    tls: Option<String>,
    choice: Option<&'a str>,
    reply: &'a str,
    report: Option<&'a str>,
    untold: Option<&'a str>,
}

impl Told<'_> {
    fn new(story: &StoryView) -> Told<'_> {
        let StoryView { id, received, sender, size, origin, report_on, recipients } = story;
        let recipients = recipients.iter().map(ToldRecipient::new).collect();
        let (received, report_on) = (rfc3339(*received), report_on.as_deref());
        Told { id, received, sender, size: *size, origin, report_on, recipients }
    }
}

impl ToldRecipient<'_> {
    fn new(view: &RecipientView) -> ToldRecipient<'_> {
        let RecipientView { recipient, entries, delivery } = view;
        ToldRecipient { recipient, entries, delivery: delivery.as_ref().map(ToldDelivery::new) }
    }
}

impl ToldDelivery<'_> {
    pub(super) fn new(delivery: &DeliveryView) -> ToldDelivery<'_> {
        let reasons = (delivery.held.as_ref(), delivery.paused.as_ref());
        ToldDelivery {
            id: &delivery.id,
            received: rfc3339(delivery.received),
            sender: &delivery.sender,
            recipient: &delivery.recipient,
            size: delivery.size,
            destination: &delivery.destination,
            state: state(delivery),
            due: delivery.end.is_none().then(|| rfc3339(delivery.due)),
            reason: match reasons {
                (Some(hold), _) => Some(&hold.reason),
                (None, paused) => paused.map(|pause| pause.reason.as_str()),
            },
            attempts: delivery.attempts,
            history: delivery.history.iter().map(ToldAttempt::new).collect(),
            ended: delivery.end.map(|end| rfc3339(end.at)),
        }
    }
}

impl ToldAttempt<'_> {
    pub(super) fn new(attempt: &AttemptView) -> ToldAttempt<'_> {
        ToldAttempt {
            at: rfc3339(attempt.at),
            milliseconds: attempt.took,
            host: attempt.host.as_deref(),
            address: attempt.address,
            tls: attempt.tls.as_ref().map(ToString::to_string),
            choice: attempt.choice.as_deref(),
            reply: &attempt.reply,
            report: attempt.report.as_deref(),
            untold: attempt.untold.as_deref(),
        }
    }
}

/// A delivery's state in a word.
pub(super) fn state(delivery: &DeliveryView) -> &'static str {
    if delivery.readable == Readable::No {
        return "unreadable";
    }
    match (&delivery.end, &delivery.held, &delivery.paused) {
        (Some(end), _, _) => match end.ending {
            store::Ending::Delivered => "delivered",
            store::Ending::Failed => "failed",
            store::Ending::Removed => "removed",
            store::Ending::Discarded => "discarded",
        },
        (None, Some(_), _) => "held",
        (None, None, Some(_)) => "paused",
        (None, None, None) => "queued",
    }
}
