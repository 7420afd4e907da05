//! NOTIFY (RFC 5465): when a client hears of what happens, and what it may ask for.
//!
//! The endpoint knows when something may be told: in commands alone, or at any time. What happened, in the selected mailbox and in others, is the
//! application's to say.

use super::{Asked, Event, Expunges, Kind, Question, Request, Server};
use crate::answer::{Code, Status};
use crate::{EventGroup, FetchItem, Mailbox, MailboxFilter, Notify, NotifyEvent};

/// When the client hears of what happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listening {
    /// While a command is done.
    InCommands,
    /// At any time; that messages are gone, then or in commands (RFC 5465 §6.1).
    Always(Expunges),
}

/// Of what a client wants to hear at any time (NOTIFY SET).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    /// Whether the STATUS of mailboxes of whose messages it wants to hear is to be told now, but for the one that is selected.
    pub status: bool,
    /// Of the mailbox that is selected; `None`: nothing.
    pub selected: Option<WatchSelected>,
    /// Of others; message events of the one that is selected are not meant.
    pub groups: Vec<EventGroup>,
}

/// Of what in the selected mailbox a client wants to hear: of messages that come and go, and of this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchSelected {
    /// Whether of flags as well.
    pub flags: bool,
    /// What is to be told of messages that come.
    pub new: Vec<FetchItem>,
}

impl Server {
    /// NOTIFY.
    pub(super) fn notify(&mut self, asked: Asked, notify: Notify) -> Result<(), Status> {
        let (watch, listening) = match notify {
            Notify::None => (None, Listening::InCommands),
            Notify::Set { status, groups } => {
                let (watch, expunges) = self.watch(status, groups)?;
                (Some(watch), Listening::Always(expunges))
            }
        };
        // What it tells at once it tells as it will from then on: with UIDs (RFC 5465 §5.1).
        let uid = listening != Listening::InCommands;
        self.request(Request::Notify(watch), Asked { kind: Kind::Notify(listening), uid, ..asked })
    }

    /// What is asked for, if it may be.
    fn watch(&self, status: bool, groups: Vec<EventGroup>) -> Result<(Watch, Expunges), Status> {
        let mut watch = Watch { status, selected: None, groups: Vec::new() };
        let mut selected = None;
        for EventGroup { filter, events } in groups {
            check_events(&events)?;
            let expunges = match &filter {
                MailboxFilter::Selected => Expunges::Told,
                MailboxFilter::SelectedDelayed => Expunges::Held,
                _ => {
                    if events
                        .iter()
                        .any(|event| matches!(event, NotifyEvent::MessageNew(items) if !items.is_empty()))
                    {
                        return Err(Status::bad(
                            "Data of new messages are told of the selected mailbox alone",
                        ));
                    }
                    watch.groups.push(EventGroup { filter: self.decoded(filter)?, events });
                    continue;
                }
            };
            if selected.replace(expunges).is_some() {
                return Err(Status::bad("The selected mailbox is named once"));
            }
            let is_layout = |event: &NotifyEvent| {
                matches!(event, NotifyEvent::MailboxName | NotifyEvent::SubscriptionChange)
            };
            if events.iter().any(is_layout) {
                return Err(Status::bad("Of the selected mailbox there are events of messages alone"));
            }
            let flags = events.contains(&NotifyEvent::FlagChange);
            watch.selected = events.into_iter().find_map(|event| match event {
                NotifyEvent::MessageNew(new) => Some(WatchSelected { flags, new }),
                _ => None,
            });
        }
        Ok((watch, selected.unwrap_or(Expunges::Held)))
    }

    /// The same with names as the application has them.
    fn decoded(&self, filter: MailboxFilter) -> Result<MailboxFilter, Status> {
        let decoded = |names: Vec<Mailbox>| -> Result<Vec<Mailbox>, Status> {
            names.into_iter().map(|name| Ok(Mailbox(self.name(name.0)?))).collect()
        };
        Ok(match filter {
            MailboxFilter::Subtree(names) => MailboxFilter::Subtree(decoded(names)?),
            MailboxFilter::Mailboxes(names) => MailboxFilter::Mailboxes(decoded(names)?),
            other => other,
        })
    }

    /// Between commands: asks what is new, if the client wants to hear of it now; says whether it did.
    pub(super) fn ask_for_news(&mut self) -> bool {
        let asks = self.woken && self.listening != Listening::InCommands;
        if asks {
            self.woken = false;
            self.ask(Event::Look, Question::Watch);
        }
        asks
    }

    /// More happens than can be told: from here on nothing is told at any time (RFC 5465 §5.8).
    pub fn stop_listening(&mut self) {
        self.listening = Listening::InCommands;
        let status = Status::ok("There is too much to tell: no more of it will be");
        self.untagged_status(&status.with(Code::NotificationOverflow));
    }
}

/// RFC 5465 §5: what belongs together, and what there is.
fn check_events(events: &[NotifyEvent]) -> Result<(), Status> {
    let has = |wanted: fn(&NotifyEvent) -> bool| events.iter().any(wanted);
    if has(|event| matches!(event, NotifyEvent::Other(_))) {
        return Err(Status::no("There is no such event here").with(Code::BadEvent));
    }
    let new = has(|event| matches!(event, NotifyEvent::MessageNew(_)));
    let expunge = has(|event| matches!(event, NotifyEvent::MessageExpunge));
    let flags = has(|event| matches!(event, NotifyEvent::FlagChange));
    if new != expunge || flags && !new {
        return Err(Status::bad("MessageNew and MessageExpunge go together, and FlagChange goes with both"));
    }
    Ok(())
}
