//! FETCH: message after message, item after item, as far as there is room (RFC 9051 §6.4.5).
//!
//! Before a message is read it is clear how much of it is needed: nothing, its header, all of it for a moment, or all of it in passing. So a
//! list of a hundred thousand envelopes reads no bodies, and a large message goes from the store to the client without being held.

mod need;
mod outside;
mod read;

use super::envelope::envelope;
use super::news::End;
use super::select::ranges;
use super::structure::{self, Place, body_structure};
use super::text::apart;
use super::{Session, marks};
use crate::reading::{Ahead, Room};
use bytes::Bytes;
use imap::answer::{Code, Condition, FetchData, LiteralName, Status, Untagged};
use imap::server::{Access, Fetch, Server};
use imap::{FetchItem, Numbers, Partial};
use message::{Structure, Summary, TransferEncoding};
use need::{Need, is_reading, need};
use read::Read;
use std::collections::VecDeque;
use store::{Entry, Error, Flags, ModSeq, Reader, Uid};

pub(super) use outside::entry;
pub use outside::tell;

/// A FETCH under way.
pub(super) struct Fetching {
    items: Vec<FetchItem>,
    /// How much of each message is needed.
    need: Need,
    /// Whether it is needed for the ENVELOPE alone: then what was told before will do.
    envelopes_only: bool,
    changed_since: Option<ModSeq>,
    /// Those that were not looked up yet.
    left: Numbers,
    /// Those that were, and not told yet.
    page: VecDeque<Entry>,
    /// Texts of those that come next.
    ahead: Ahead,
    /// The message that is being told.
    telling: Option<Telling>,
    /// A text that is on its way as the last item of its message.
    passing: Option<Reader>,
    /// Room for texts of which there are slices that were told and not sent.
    room: Option<Room>,
    /// Whether a message is to be marked as seen, and which are.
    marks_seen: bool,
    /// What comes after it, where it is no command's.
    then: Option<End>,
    seen: Vec<Uid>,
    /// Messages that were asked for and found.
    missing: u64,
    outcome: Status,
}

/// How many messages are looked up at once.
const PAGE: usize = 500;

impl Session {
    /// Begins a FETCH; its messages are told by [`Session::go_on_fetching`].
    pub(super) async fn begin_fetch(&mut self, endpoint: &mut Server, fetch: Fetch) -> Result<(), Error> {
        let Fetch { uids, mut items, changed_since, vanished } = fetch;
        if changed_since.is_some() && !items.contains(&FetchItem::ModSeq) {
            // RFC 7162 §3.1.4.1: it is as if it was asked for.
            items.push(FetchItem::ModSeq);
        }
        if let (Some(known), Some(since)) = (vanished, changed_since) {
            // What is still in the client's view is told with its number, before the command ends.
            let unknown = endpoint.unknown_below(u32::MAX);
            let gone =
                self.vanished(endpoint, ModSeq(since)).await?.intersection(&known).intersection(&unknown);
            if !gone.is_empty() {
                endpoint.tell(&Untagged::Vanished { earlier: true, uids: gone });
            }
        }
        let may_mark = self.open.as_ref().is_some_and(|open| open.access == Access::ReadWrite);
        // What passes by is told last, so that everything else is known by then.
        items.sort_by_key(|item| need(item) == Need::Passing);
        let passing = items.iter().filter(|item| need(item) == Need::Passing).count();
        let most = items.iter().map(need).max().unwrap_or(Need::Nothing);
        let others = items.iter().map(need).filter(|need| *need != Need::Passing).max();
        let need = match (most, others.unwrap_or(Need::Nothing)) {
            (Need::Passing, Need::Nothing) if passing == 1 => Need::Passing,
            (Need::Passing, _) => Need::Whole,
            (most, _) => most,
        };
        let is_of_text = |item: &&FetchItem| need::need(item) != Need::Nothing;
        self.fetching = Some(Box::new(Fetching {
            need,
            envelopes_only: items.iter().filter(is_of_text).all(|item| *item == FetchItem::Envelope),
            marks_seen: may_mark && items.iter().any(is_reading),
            items,
            changed_since: changed_since.map(ModSeq),
            missing: uids.len() as u64,
            left: uids,
            page: VecDeque::new(),
            ahead: Ahead::default(),
            telling: None,
            passing: None,
            room: None,
            then: None,
            seen: Vec::new(),
            outcome: Status::ok("Fetch completed"),
        }));
        Ok(())
    }

    async fn vanished(&mut self, endpoint: &Server, since: ModSeq) -> Result<Numbers, Error> {
        let Some(open) = &self.open else { return Ok(Numbers::new()) };
        let status = self.visit.context.store.status(open.id).await?;
        self.vanished_since(endpoint, &status, since).await
    }

    /// Tells messages as long as there is room, and ends the command after the last.
    pub(super) async fn go_on_fetching(&mut self, endpoint: &mut Server) {
        let Some(mut fetching) = self.fetching.take() else { return endpoint.content_lost() };
        if fetching.telling.is_none() {
            fetching.room = None;
        }
        let done = loop {
            let told = match endpoint.has_room() {
                true => self.tell_some(endpoint, &mut fetching).await,
                false => Ok(Told::Enough),
            };
            match told {
                Ok(Told::Some) => {}
                Ok(Told::Enough) => {
                    endpoint.more();
                    self.fetching = Some(fetching);
                    return;
                }
                Ok(Told::All) => break Ok(()),
                Err(Lost::Here) => return endpoint.content_lost(),
                Err(Lost::Store(error)) => break Err(error),
                Err(Lost::Busy) => {
                    let status = Status::no("Too much is being read now; try again in a moment");
                    fetching.outcome = status.with(Code::Limit);
                    break Ok(());
                }
            }
        };
        let then = fetching.then.take();
        let result = match done {
            Ok(()) => self.fetched(*fetching).await,
            Err(error) => Err(error),
        };
        match (then, result) {
            (None, result) => self.finish(endpoint, result).await,
            (Some(end), result) => {
                if let Err(error) = result {
                    tracing::warn!(session = %self.visit.id, %error, "what came cannot be told");
                }
                end.say(endpoint);
            }
        }
    }

    /// Tells of messages that came what the client wants of them, and ends what is told (RFC 5465 §5.2). None is seen by that.
    pub(super) async fn tell_arrivals(&mut self, endpoint: &mut Server, uids: Numbers, end: End) {
        let items = self.notification.of_new().to_vec();
        let fetch = Fetch { uids, items, changed_since: None, vanished: None };
        match self.begin_fetch(endpoint, fetch).await {
            Ok(()) => {
                if let Some(fetching) = &mut self.fetching {
                    (fetching.marks_seen, fetching.then) = (false, Some(end));
                }
                Box::pin(self.go_on_fetching(endpoint)).await;
            }
            Err(error) => {
                tracing::warn!(session = %self.visit.id, %error, "what came cannot be told");
                end.say(endpoint);
            }
        }
    }

    async fn fetched(&mut self, fetching: Fetching) -> Result<Status, Error> {
        let Fetching { seen, missing, outcome, .. } = fetching;
        if let (Some(open), false) = (&self.open, seen.is_empty()) {
            self.visit.context.store.update_flags(open.id, &seen, Flags::SEEN, Flags::default()).await?;
        }
        if outcome.condition == Condition::Ok && missing > 0 {
            return Ok(Status::ok("Some of the messages are gone").with(Code::ExpungeIssued));
        }
        Ok(outcome)
    }

    /// Tells the next piece of a text, the next item, or begins the next message.
    async fn tell_some(&mut self, endpoint: &mut Server, fetching: &mut Fetching) -> Result<Told, Lost> {
        if let Some(reader) = &mut fetching.passing {
            match reader.content.next().await {
                Ok(Some(piece)) => endpoint.literal(piece),
                Ok(None) => fetching.passing = None,
                Err(error) => {
                    tracing::warn!(session = %self.visit.id, %error, "a message broke off: the connection ends");
                    return Err(Lost::Here);
                }
            }
            return Ok(Told::Some);
        }
        if fetching.telling.is_some() {
            fetching.tell_item(endpoint);
            return Ok(Told::Some);
        }
        if fetching.page.is_empty() && !self.look_up(endpoint, fetching).await? {
            return Ok(Told::All);
        }
        let Some(entry) = fetching.page.pop_front() else { return Ok(Told::Some) };
        let mut room = None;
        if fetching.need == Need::Whole {
            let memory = &self.visit.context.reading;
            room = match fetching.room {
                // Who waits holds nothing: all the room may be what is held here.
                Some(_) => memory.room_now(entry.size),
                None => Some(memory.room(entry.size).await.ok_or(Lost::Busy)?),
            };
            if room.is_none() {
                fetching.page.push_front(entry);
                return Ok(Told::Enough);
            }
        }
        self.begin_telling(endpoint, fetching, entry, room).await?;
        Ok(Told::Some)
    }

    /// Looks up the next messages; says whether there are any left to look at.
    async fn look_up(&mut self, endpoint: &mut Server, fetching: &mut Fetching) -> Result<bool, Error> {
        let Some(open) = &self.open else { return Ok(false) };
        if fetching.left.is_empty() {
            return Ok(false);
        }
        let page = self.visit.context.store.entries_in(open.id, &ranges(&fetching.left), PAGE).await?;
        fetching.left = match page.last() {
            Some(last) if page.len() == PAGE => fetching.left.difference(&Numbers::range(1, last.uid.0)),
            _ => Numbers::new(),
        };
        if fetching.items.contains(&FetchItem::Flags) {
            self.learn_keywords_of(endpoint, &page).await?;
        }
        for entry in page {
            fetching.missing -= 1;
            if fetching.changed_since.is_none_or(|since| entry.modseq > since) {
                fetching.page.push_back(entry);
            }
        }
        Ok(true)
    }

    /// Reads of a message what is needed, and begins to tell it.
    async fn begin_telling(
        &mut self,
        endpoint: &mut Server,
        fetching: &mut Fetching,
        entry: Entry,
        room: Option<Room>,
    ) -> Result<(), Lost> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let context = &self.visit.context;
        let read = match fetching.read(context, endpoint, (open.id, &entry)).await {
            Ok(Some(read)) => read,
            Ok(None) => {
                fetching.missing += 1;
                return Ok(());
            }
            // One message that cannot be read must not hide the others.
            Err(Lost::Store(error @ Error::Damaged(_))) => {
                tracing::error!(session = %self.visit.id, mailbox = %open.id.0, uid = %entry.uid, %error, "a message cannot be shown");
                let text = format!(
                    "The message with UID {} is damaged here; the administrator can read more in the log",
                    entry.uid
                );
                fetching.outcome = Status::no("").saying(text);
                return Ok(());
            }
            Err(lost) => return Err(lost),
        };
        if !endpoint.begin_message(entry.uid.0) {
            return Ok(());
        }
        if fetching.marks_seen && !entry.flags.contains(Flags::SEEN) {
            fetching.seen.push(entry.uid);
        }
        if fetching.items.contains(&FetchItem::Flags) && !endpoint.wants_mod_seqs() {
            open.has_told(entry.modseq);
        }
        let flags = marks::flags(entry.flags, entry.keywords, &open.keywords);
        fetching.telling = Some(Telling { entry, read, flags, room, next: 0 });
        Ok(())
    }
}

impl Fetching {
    /// Tells the next item of the message in hand, or ends it after the last.
    fn tell_item(&mut self, endpoint: &mut Server) {
        let Some(mut telling) = self.telling.take() else { return };
        let Some(item) = self.items.get(telling.next) else {
            endpoint.end_message();
            self.keep_room(telling);
            return;
        };
        telling.next += 1;
        match telling.read.passing.take_if(|_| need(item) == Need::Passing) {
            Some(reader) => {
                endpoint.begin_literal(whole_name(item), reader.len);
                self.passing = Some(reader);
            }
            None => {
                if let Some(status) = telling.item(endpoint, item) {
                    self.outcome = status;
                }
            }
        }
        self.telling = Some(telling);
    }

    /// A message was told: its room is needed only as long as slices of its text wait to be sent.
    fn keep_room(&mut self, telling: Telling) {
        let Telling { read: Read { text, .. }, room: Some(room), .. } = telling else { return };
        match &mut self.room {
            _ if text.is_unique() => {}
            Some(held) => held.merge(room),
            None => self.room = Some(room),
        }
    }
}

/// How far it went.
enum Told {
    Some,
    /// What was told is to be sent first.
    Enough,
    /// There is no more.
    All,
}

/// Why no more is told.
enum Lost {
    /// In the middle of a text.
    Here,
    /// Between two messages.
    Store(Error),
    /// Between two messages: too many others are being read.
    Busy,
}

impl From<Error> for Lost {
    fn from(error: Error) -> Lost {
        Lost::Store(error)
    }
}

/// A message with what was read of it.
struct Telling {
    entry: Entry,
    read: Read,
    flags: Vec<imap::Flag>,
    room: Option<Room>,
    /// The number of the item that comes next.
    next: usize,
}

impl Telling {
    /// Tells an item; returns what the command ends with when it cannot be told.
    fn item(&self, endpoint: &mut Server, item: &FetchItem) -> Option<Status> {
        let entry = &self.entry;
        match item {
            FetchItem::Uid => endpoint.item_uid(entry.uid.0),
            FetchItem::Flags => endpoint.item(&FetchData::Flags(&self.flags)),
            FetchItem::InternalDate => endpoint.item(&FetchData::InternalDate(entry.received.0)),
            FetchItem::Rfc822Size => endpoint.item(&FetchData::Rfc822Size(entry.size)),
            FetchItem::ModSeq => endpoint.item(&FetchData::ModSeq(entry.modseq.0)),
            FetchItem::EmailId => endpoint.item(&FetchData::EmailId(&entry.email_id())),
            FetchItem::ThreadId => endpoint.item(&FetchData::NoThreadId),
            FetchItem::Envelope if let Some(item) = &self.read.envelope => {
                endpoint.item(&FetchData::Written(item))
            }
            _ => return self.of_text(endpoint, item),
        }
        None
    }

    /// The same for what the text says.
    fn of_text(&self, endpoint: &mut Server, item: &FetchItem) -> Option<Status> {
        let structure = self.read.structure.as_ref()?;
        let header = &structure.root().header;
        let all = || self.read.text.slice(..);
        match item {
            FetchItem::Envelope => endpoint.item(&FetchData::Envelope(&envelope(&self.read.text, header))),
            FetchItem::Body => {
                endpoint.item(&FetchData::Body(&body_structure(&self.read.text, structure, 0)))
            }
            FetchItem::BodyStructure => {
                endpoint.item(&FetchData::BodyStructure(&body_structure(&self.read.text, structure, 0)));
            }
            FetchItem::Preview { .. } => {
                let preview: String = Summary::of(&self.read.text).preview;
                endpoint.item(&FetchData::Preview(Some(&preview)));
            }
            FetchItem::Rfc822 => literal(endpoint, LiteralName::Rfc822, all()),
            FetchItem::Rfc822Header => {
                literal(endpoint, LiteralName::Rfc822Header, self.slice(0, header.span.end));
            }
            FetchItem::Rfc822Text => {
                let body = structure.root().body;
                literal(endpoint, LiteralName::Rfc822Text, self.slice(body.start, body.end));
            }
            FetchItem::BodySection { section, partial, .. } => {
                let name = LiteralName::Section(section, partial.map(|partial| partial.first));
                match structure::section(&self.read.text, structure, section) {
                    None => endpoint.item(&FetchData::Nil(name)),
                    Some(Place::Span(span)) => {
                        literal(
                            endpoint,
                            name,
                            cut(self.read.text.slice(span.start..span.end), *partial, self.read.text.len()),
                        );
                    }
                    Some(Place::Picked(octets)) => {
                        let length = octets.len();
                        literal(endpoint, name, cut(octets.into(), *partial, length));
                    }
                }
            }
            FetchItem::Binary { part, partial, .. } => {
                let name = LiteralName::Binary(part, partial.map(|partial| partial.first));
                match self.decoded(structure, part) {
                    Decoded::Octets(octets) => {
                        let length = octets.len().max(self.read.text.len());
                        literal(endpoint, name, cut(octets, *partial, length));
                    }
                    Decoded::Nothing => endpoint.item(&FetchData::Nil(name)),
                    Decoded::Unknown => {
                        endpoint.item(&FetchData::Nil(name));
                        return Some(unknown_encoding());
                    }
                }
            }
            FetchItem::BinarySize(part) => match self.decoded(structure, part) {
                Decoded::Octets(octets) => endpoint.item(&FetchData::BinarySize(part, octets.len() as u64)),
                Decoded::Nothing => endpoint.item(&FetchData::BinarySize(part, 0)),
                Decoded::Unknown => return Some(unknown_encoding()),
            },
            // The others are told without the text.
            _ => {}
        }
        None
    }

    fn slice(&self, start: usize, end: usize) -> Bytes {
        apart(self.read.text.slice(start..end), self.read.text.len())
    }

    /// A part without its transfer encoding (RFC 3516 §4.2).
    fn decoded(&self, structure: &Structure, number: &[u32]) -> Decoded {
        if number.is_empty() {
            return Decoded::Octets(self.read.text.clone());
        }
        let Some(part) = structure::entity(structure, number) else { return Decoded::Nothing };
        match part.encoding {
            TransferEncoding::Unknown => Decoded::Unknown,
            encoding if encoding.is_identity() => {
                Decoded::Octets(self.read.text.slice(part.body.start..part.body.end))
            }
            encoding => Decoded::Octets(
                encoding.decode(part.body.of(&self.read.text), usize::MAX).into_owned().into(),
            ),
        }
    }
}

enum Decoded {
    Octets(Bytes),
    Nothing,
    Unknown,
}

fn unknown_encoding() -> Status {
    Status::no("A part has an encoding that nobody here can decode").with(Code::UnknownCte)
}

fn literal(endpoint: &mut Server, name: LiteralName<'_>, octets: Bytes) {
    endpoint.begin_literal(name, octets.len() as u64);
    endpoint.literal(octets);
}

/// The octets that were asked for, none beyond the end; `held` is how long the text is that they keep in memory.
fn cut(octets: Bytes, partial: Option<Partial>, held: usize) -> Bytes {
    let Some(Partial { first, count }) = partial else { return apart(octets, held) };
    let length = octets.len() as u64;
    let (first, end) = (first.min(length), first.saturating_add(count).min(length));
    apart(octets.slice(first as usize..end as usize), held)
}

/// How an item is called whose text passes by.
fn whole_name(item: &FetchItem) -> LiteralName<'_> {
    match item {
        FetchItem::BodySection { section, .. } => LiteralName::Section(section, None),
        _ => LiteralName::Rfc822,
    }
}
