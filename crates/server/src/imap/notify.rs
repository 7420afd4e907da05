//! NOTIFY: what happens in other mailboxes is told by STATUS, and what happens to mailboxes by LIST (RFC 5465).
//!
//! What a client was told last of each mailbox is kept, and the store's stream of changes says where to look again. When it says more than is
//! kept for a session, everything is looked at: so nothing here grows with what happens, and nothing is lost. Of the selected mailbox
//! [`super::news`] tells.

mod layout;

use super::Session;
use imap::answer::{Code, Status, Untagged};
use imap::server::{Server, Watch, WatchSelected};
use imap::{EventGroup, FetchItem, Mailbox, MailboxFilter, NotifyEvent, StatusItem};
use std::collections::{BTreeSet, HashMap};
use store::{Error, Event, MailboxId, MailboxName, MailboxStatus, ModSeq, SEPARATOR, Uid};

/// Of what a session tells when nobody has asked.
#[derive(Default)]
pub(super) enum Notification {
    /// Of all that happens in the selected mailbox: NOTIFY was not said.
    #[default]
    Selected,
    /// Of nothing: NOTIFY NONE.
    Nothing,
    /// NOTIFY SET.
    Watched(Box<Watching>),
}

/// What is watched, and what the client knows of it.
pub(super) struct Watching {
    selected: Option<WatchSelected>,
    groups: Vec<Group>,
    known: HashMap<MailboxId, Known>,
    subscriptions: BTreeSet<MailboxName>,
    touched: Touched,
    /// Names of mailboxes that the session itself has changed: of those it need not hear.
    own: BTreeSet<MailboxName>,
}

/// Where something happened since the client was told.
enum Touched {
    /// In the entries of these mailboxes.
    Entries(BTreeSet<MailboxId>),
    /// Anything may have happened.
    Everything,
}

struct Group {
    filter: Filter,
    wanted: Wanted,
}

enum Filter {
    All,
    Subscribed,
    Subtree(BTreeSet<String>),
    Named(BTreeSet<String>),
}

/// Of which events of a mailbox a client wants to hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Wanted {
    messages: bool,
    flags: bool,
    names: bool,
    subscriptions: bool,
}

/// What the client knows of a mailbox, or could know if it wanted to.
struct Known {
    name: MailboxName,
    uid_next: Uid,
    messages: u64,
    unseen: u64,
    highest_modseq: ModSeq,
}

/// Of the selected mailbox: what is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tells {
    /// Messages that come and go, and marks.
    All,
    /// Marks are not told.
    Messages,
    Nothing,
}

/// As many mailboxes are watched at most; an account that has more cannot have them watched.
const MAILBOXES_MAX: usize = 2000;

/// As many names are kept of what the session does itself.
const OWN_MAX: usize = 100;

impl Notification {
    /// What is told of the selected mailbox.
    pub(super) fn of_selected(&self) -> Tells {
        match self {
            Notification::Selected => Tells::All,
            Notification::Nothing => Tells::Nothing,
            Notification::Watched(watching) => match &watching.selected {
                Some(WatchSelected { flags: true, .. }) => Tells::All,
                Some(WatchSelected { flags: false, .. }) => Tells::Messages,
                None => Tells::Nothing,
            },
        }
    }

    /// What is told of messages that come into the selected mailbox.
    pub(super) fn of_new(&self) -> &[FetchItem] {
        match self {
            Notification::Watched(watching) => {
                watching.selected.as_ref().map_or(&[], |selected| &selected.new)
            }
            _ => &[],
        }
    }

    /// Whether the store's stream of changes is followed also while no IDLE is under way.
    pub(super) fn is_watching(&self) -> bool {
        matches!(self, Notification::Watched(_))
    }

    /// Takes note of an event; says whether it is to be looked at.
    pub(super) fn note(&mut self, event: Event, selected: Option<MailboxId>) -> bool {
        let watching = match self {
            Notification::Watched(watching) if !watching.groups.is_empty() => Some(watching),
            _ => None,
        };
        match (event, watching) {
            (Event::Entries { mailbox, .. }, Some(watching)) => {
                if let Touched::Entries(touched) = &mut watching.touched {
                    touched.insert(mailbox);
                }
                true
            }
            (Event::Entries { mailbox, .. }, None) => selected == Some(mailbox),
            (Event::Layout | Event::Missed, watching) => {
                if let Some(watching) = watching {
                    watching.touched = Touched::Everything;
                }
                // The mailbox that is selected may be gone.
                true
            }
            // The right to be here may be gone.
            (Event::Credentials, _) => true,
        }
    }

    /// The session itself is changing a mailbox of this name.
    pub(super) fn note_own(&mut self, name: &MailboxName) {
        if let Notification::Watched(watching) = self
            && watching.own.len() < OWN_MAX
        {
            watching.own.extend(parent(name));
            watching.own.insert(name.clone());
        }
    }

    /// The session itself has subscribed to this name.
    pub(super) fn note_subscribed(&mut self, name: &MailboxName) {
        if let Notification::Watched(watching) = self {
            watching.subscriptions.insert(name.clone());
        }
    }

    /// The session itself has ended the subscription to this name.
    pub(super) fn note_unsubscribed(&mut self, name: &MailboxName) {
        if let Notification::Watched(watching) = self {
            watching.subscriptions.remove(name);
        }
    }
}

impl Session {
    /// NOTIFY.
    pub(super) async fn notify(
        &mut self,
        endpoint: &mut Server,
        watch: Option<Watch>,
    ) -> Result<Status, Error> {
        let Some(watch) = watch else {
            (self.notification, self.news) = (Notification::Nothing, None);
            return Ok(Status::ok("Nothing will be told"));
        };
        let Some(grant) = &self.grant else { return Ok(Status::no("Nobody is logged in")) };
        // What happens from here on is followed; what was before is looked at.
        let news = self.visit.context.store.follow(grant.account_id());
        let mut watching = Box::new(Watching::of(&watch));
        let all = self.visit.context.store.mailboxes(self.account()?).await?;
        if all.len() > MAILBOXES_MAX && !watching.groups.is_empty() {
            let status = Status::no("There are too many mailboxes to watch them all");
            return Ok(status.with(Code::NotificationOverflow));
        }
        watching.subscriptions = self.watched_subscriptions(&watching).await?;
        for status in &all {
            let items = watching.items_at_first(status);
            let is_selected = self.open.as_ref().is_some_and(|open| open.id == status.id);
            if watch.status && !is_selected && !items.is_empty() {
                endpoint.tell(&Untagged::Status(self.data(status, &items).await?));
            }
            watching.known.insert(status.id, Known::of(status));
        }
        self.news = Some(news);
        self.notification = Notification::Watched(watching);
        Ok(Status::ok("What happens will be told"))
    }

    /// The subscriptions, as far as it matters to somebody which there are.
    async fn watched_subscriptions(&mut self, watching: &Watching) -> Result<BTreeSet<MailboxName>, Error> {
        if !watching.groups.iter().any(Group::needs_subscriptions) {
            return Ok(BTreeSet::new());
        }
        Ok(self.visit.context.store.subscriptions(self.account()?).await?.into_iter().collect())
    }

    /// Tells what happened in other mailboxes, and to mailboxes.
    pub(super) async fn tell_watched(&mut self, endpoint: &mut Server) {
        if !self.notification.is_watching() {
            return;
        }
        let Notification::Watched(mut watching) = std::mem::take(&mut self.notification) else { return };
        let result = self.look_around(endpoint, &mut watching).await;
        if result.is_err() {
            watching.touched = Touched::Everything;
        }
        self.notification = match result {
            Ok(Around::Known) => Notification::Watched(watching),
            Ok(Around::TooMuch) => {
                endpoint.stop_listening();
                Notification::Nothing
            }
            Err(error) => {
                tracing::warn!(session = %self.visit.id, %error, "mailboxes cannot be looked at");
                Notification::Watched(watching)
            }
        };
    }

    async fn look_around(&mut self, endpoint: &mut Server, watching: &mut Watching) -> Result<Around, Error> {
        let touched = std::mem::replace(&mut watching.touched, Touched::Entries(BTreeSet::new()));
        let Touched::Entries(touched) = touched else {
            return self.look_everywhere(endpoint, watching).await;
        };
        for id in touched {
            match self.visit.context.store.status(id).await {
                Ok(status) => self.tell_status(endpoint, watching, &status).await?,
                // The layout is news by itself.
                Err(Error::NoSuchMailbox(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Around::Known)
    }

    async fn look_everywhere(
        &mut self,
        endpoint: &mut Server,
        watching: &mut Watching,
    ) -> Result<Around, Error> {
        let all = self.visit.context.store.mailboxes(self.account()?).await?;
        if all.len() > MAILBOXES_MAX {
            return Ok(Around::TooMuch);
        }
        let subscriptions = self.watched_subscriptions(watching).await?;
        for answer in watching.layout_changes(&all, &subscriptions) {
            endpoint.tell(&answer);
        }
        watching.subscriptions = subscriptions;
        watching.own.clear();
        let there: BTreeSet<MailboxId> = all.iter().map(|status| status.id).collect();
        watching.known.retain(|id, _| there.contains(id));
        for status in &all {
            self.tell_status(endpoint, watching, status).await?;
        }
        Ok(Around::Known)
    }

    /// Tells what is new in the entries of a mailbox, unless it is the one that is selected.
    async fn tell_status(
        &mut self,
        endpoint: &mut Server,
        watching: &mut Watching,
        status: &MailboxStatus,
    ) -> Result<(), Error> {
        let is_selected = self.open.as_ref().is_some_and(|open| open.id == status.id);
        let items = watching.items(status, endpoint.wants_mod_seqs());
        if !is_selected && !items.is_empty() {
            endpoint.tell(&Untagged::Status(self.data(status, &items).await?));
        }
        watching.known.insert(status.id, Known::of(status));
        Ok(())
    }
}

/// What came of a look at all mailboxes.
enum Around {
    Known,
    TooMuch,
}

impl Watching {
    fn of(watch: &Watch) -> Watching {
        Watching {
            selected: watch.selected.clone(),
            groups: watch.groups.iter().map(Group::of).collect(),
            known: HashMap::new(),
            subscriptions: BTreeSet::new(),
            touched: Touched::Entries(BTreeSet::new()),
            own: BTreeSet::new(),
        }
    }

    /// What of a mailbox is wanted, by all groups together.
    fn wanted(&self, name: &MailboxName, is_subscribed: bool) -> Wanted {
        let groups = self.groups.iter().filter(|group| group.filter.matches(name, is_subscribed));
        groups.fold(Wanted::default(), |all, group| all.or(group.wanted))
    }

    /// What the first STATUS of a mailbox says (RFC 5465 §3.1).
    fn items_at_first(&self, status: &MailboxStatus) -> Vec<StatusItem> {
        let wanted = self.wanted(&status.name, status.subscribed);
        let mut items = Vec::new();
        if wanted.messages {
            items.extend([StatusItem::Messages, StatusItem::UidNext, StatusItem::UidValidity]);
        }
        if wanted.flags {
            items.push(StatusItem::HighestModSeq);
        }
        items
    }

    /// What STATUS says when this is how a mailbox is now; nothing when nothing is new that is wanted (RFC 5465 §5.1 to §5.3).
    fn items(&self, status: &MailboxStatus, with_mod_seqs: bool) -> Vec<StatusItem> {
        let wanted = self.wanted(&status.name, status.subscribed);
        let known = self.known.get(&status.id);
        // A mailbox that is new was empty.
        let (messages, uid_next) =
            known.map_or((0, status.uid_next), |known| (known.messages, known.uid_next));
        let unseen = known.map_or(0, |known| known.unseen);
        let is_changed = known.is_none_or(|known| known.highest_modseq != status.highest_modseq);
        let came_or_went = wanted.messages && (messages, uid_next) != (status.messages, status.uid_next);
        // One that is new may have the name of another one: its UIDVALIDITY is news then.
        let marked =
            wanted.flags && is_changed && (known.is_none() || with_mod_seqs || unseen != status.unseen);
        let mut items = Vec::new();
        if came_or_went {
            items.extend([StatusItem::Messages, StatusItem::UidNext]);
        }
        if came_or_went || marked {
            items.push(StatusItem::UidValidity);
            items.extend(with_mod_seqs.then_some(StatusItem::HighestModSeq));
        }
        if marked && unseen != status.unseen {
            items.push(StatusItem::Unseen);
        }
        items
    }
}

/// The name of the level above.
fn parent(name: &MailboxName) -> Option<MailboxName> {
    let (above, _) = name.as_str().rsplit_once(SEPARATOR)?;
    MailboxName::new(above).ok()
}

impl Known {
    fn of(status: &MailboxStatus) -> Known {
        Known {
            name: status.name.clone(),
            uid_next: status.uid_next,
            messages: status.messages,
            unseen: status.unseen,
            highest_modseq: status.highest_modseq,
        }
    }
}

impl Group {
    fn of(group: &EventGroup) -> Group {
        // A name that no mailbox can have means none (RFC 5465 §3.1).
        let written = |name: &Mailbox| MailboxName::new(&name.0).ok().map(|name| name.as_str().to_owned());
        let names = |names: &[Mailbox]| names.iter().filter_map(written).collect();
        let filter = match &group.filter {
            MailboxFilter::Subscribed => Filter::Subscribed,
            MailboxFilter::Subtree(tops) => Filter::Subtree(names(tops)),
            MailboxFilter::Mailboxes(named) => Filter::Named(names(named)),
            // Mail can be delivered to every mailbox, and all are one's own (RFC 5465 §6.3).
            MailboxFilter::Inboxes
            | MailboxFilter::Personal
            | MailboxFilter::Selected
            | MailboxFilter::SelectedDelayed => Filter::All,
        };
        let has = |wanted: &NotifyEvent| group.events.contains(wanted);
        let wanted = Wanted {
            // The two events go together.
            messages: has(&NotifyEvent::MessageExpunge),
            flags: has(&NotifyEvent::FlagChange),
            names: has(&NotifyEvent::MailboxName),
            subscriptions: has(&NotifyEvent::SubscriptionChange),
        };
        Group { filter, wanted }
    }

    /// Whether it matters which names are subscribed to, also those of mailboxes that are no more.
    fn needs_subscriptions(&self) -> bool {
        self.wanted.subscriptions || self.wanted.names && matches!(self.filter, Filter::Subscribed)
    }
}

impl Filter {
    fn matches(&self, name: &MailboxName, is_subscribed: bool) -> bool {
        match self {
            Filter::All => true,
            Filter::Subscribed => is_subscribed,
            // However many are named, each level of the name is looked for once.
            Filter::Subtree(tops) => {
                let above = name.as_str().match_indices(SEPARATOR).map(|(at, _)| &name.as_str()[..at]);
                above.chain([name.as_str()]).any(|level| tops.contains(level))
            }
            Filter::Named(names) => names.contains(name.as_str()),
        }
    }
}

impl Wanted {
    fn or(self, other: Wanted) -> Wanted {
        Wanted {
            messages: self.messages || other.messages,
            flags: self.flags || other.flags,
            names: self.names || other.names,
            subscriptions: self.subscriptions || other.subscriptions,
        }
    }
}
