//! Answers requests from a store.

use super::bans::Bans;
use super::directory;
use super::protocol::{
    AccountView, Frame, Item, MailboxPath, MailboxView, Mark, MessageView, Request, SUMMARY_BYTES, StoreStats,
};
use super::queue;
use crate::abuse::ban_file::BanFileError;
use crate::open::{Access, Upkeep};
use message::Summary;
use store::{Account, AccountName, Entry, Error, Flags, MailboxName, MailboxStatus, SharedStore, Uid};
use tokio::sync::mpsc::Sender;

/// The client went away: there is nobody to answer.
pub(super) struct Gone;

/// Why a request was not carried out.
pub(super) enum Stop {
    Gone,
    Failed(String),
    /// The mailbox was removed meanwhile.
    Vanished,
}

impl Stop {
    /// What a client is told of it.
    pub(super) fn told(self) -> Item {
        let message = match self {
            Stop::Failed(message) => message,
            Stop::Vanished => "the mailbox was removed meanwhile".to_owned(),
            Stop::Gone => "nobody listens".to_owned(),
        };
        Item::Failed { message }
    }
}

/// Carries out a request and sends the answer. [`Request::Status`] is the server's own and not answered here.
pub(super) async fn answer(
    access: &Access,
    bans: &Bans,
    request: Request,
    to: &Sender<Frame>,
) -> Result<(), Gone> {
    let last = match carry_out(access, bans, request, to).await {
        Ok(()) => Item::End,
        Err(Stop::Gone) => return Err(Gone),
        Err(stop) => stop.told(),
    };
    to.send(Frame::Item(last)).await.map_err(|_| Gone)
}

async fn carry_out(access: &Access, bans: &Bans, request: Request, to: &Sender<Frame>) -> Result<(), Stop> {
    let store = &access.store;
    match request {
        Request::Status => Err(Stop::Failed("no server is running on this data directory".to_owned())),
        Request::Stats => {
            let upkeep = upkeep(access)?;
            let unreclaimed = upkeep.unreclaimed();
            send(to, Item::Stats(StoreStats { unreclaimed, ..upkeep.stats().await?.into() })).await
        }
        Request::Backup { directory } => {
            send(to, Item::BackedUp(upkeep(access)?.backup(directory).await?.into())).await
        }
        Request::Accounts => {
            for account in store.accounts().await? {
                match view(store, account).await {
                    // It was removed meanwhile.
                    Err(Error::NoSuchAccount(_) | Error::NoSuchMailbox(_)) => {}
                    view => send(to, Item::Account(view?)).await?,
                }
            }
            Ok(())
        }
        Request::Queue(request) => queue::carry_out(access, request, to).await,
        Request::Directory(request) => directory::carry_out(access, request, to).await,
        Request::RemoveAccount { address } => Ok(store.remove_account(&name(&address)?).await?),
        Request::Mailboxes { account } => mailboxes(store, &name(&account)?, to).await,
        Request::List { mailbox } => {
            let (account, mailbox) = open(store, &mailbox).await?;
            list_after(store, &account, &mailbox, Uid(0), to).await.map(drop)
        }
        Request::Fetch { mailbox, uid, mark } => fetch(store, &mailbox, Uid(uid), mark, to).await,
        Request::Import(_) => Err(Stop::Failed("the text of the message is missing".to_owned())),
        Request::Remove { mailbox, uids } => {
            let (_, mailbox) = open(store, &mailbox).await?;
            let uids: Vec<Uid> = uids.into_iter().map(Uid).collect();
            let count = store.expunge(mailbox.id, &uids).await?;
            send(to, Item::Removed { count }).await
        }
        Request::Watch { account } => {
            let account = account.map(|address| name(&address)).transpose()?;
            watch(store, account, to).await
        }
        Request::Bans => {
            for ban in bans.list().await? {
                send(to, Item::Ban(ban)).await?;
            }
            Ok(())
        }
        Request::AddBan { ban } => Ok(bans.add(ban).await?),
        Request::RemoveBan { network } => {
            send(to, Item::Removed { count: bans.remove(network).await? }).await
        }
    }
}

fn upkeep(access: &Access) -> Result<&Upkeep, Stop> {
    access.upkeep.as_ref().ok_or_else(|| Stop::Failed("this store has nothing to keep up".to_owned()))
}

pub(super) async fn send(to: &Sender<Frame>, item: Item) -> Result<(), Stop> {
    to.send(Frame::Item(item)).await.map_err(|_| Stop::Gone)
}

pub(super) fn name(address: &str) -> Result<AccountName, Stop> {
    Ok(AccountName::parse(address)?)
}

pub(super) async fn view(store: &SharedStore, account: Account) -> store::Result<AccountView> {
    let inbox = store.mailbox(&account.name, &MailboxName::inbox()).await?;
    let standing = store.standing(&account.name).await?;
    let (quota, default_quota) =
        standing.map_or_else(Default::default, |standing| (standing.quota, standing.default_quota));
    let MailboxStatus { messages, unseen, bytes, .. } = inbox;
    Ok(AccountView { account, messages, unseen, bytes, quota, default_quota })
}

/// Entries are read this many at a time.
const PAGE: usize = 500;

/// The mailbox that is meant, and whose it is.
pub(super) async fn open(
    store: &SharedStore,
    path: &MailboxPath,
) -> Result<(AccountName, MailboxStatus), Stop> {
    let account = name(&path.account)?;
    let mailbox = store.mailbox(&account, &MailboxName::new(&path.mailbox)?).await?;
    Ok((account, mailbox))
}

async fn mailboxes(store: &SharedStore, account: &AccountName, to: &Sender<Frame>) -> Result<(), Stop> {
    for MailboxStatus { name, uid_validity, messages, unseen, bytes, .. } in store.mailboxes(account).await? {
        let (name, uid_validity) = (name.as_str().to_owned(), uid_validity.0);
        let view = MailboxView { name, uid_validity, messages, unseen, bytes };
        send(to, Item::Mailbox(view)).await?;
    }
    Ok(())
}

/// Sends the entries after `after` and returns the last one's UID.
async fn list_after(
    store: &SharedStore,
    account: &AccountName,
    inbox: &MailboxStatus,
    mut after: Uid,
    to: &Sender<Frame>,
) -> Result<Uid, Stop> {
    loop {
        let page = match store.entries(inbox.id, after, PAGE).await {
            Err(Error::NoSuchMailbox(_)) => return Err(Stop::Vanished),
            page => page?,
        };
        for entry in &page {
            match summarise(store, account, inbox, entry).await {
                Ok(message) => send(to, Item::Message(message)).await?,
                // It was removed while the list was being made.
                Err(Error::NoSuchMessage(_)) => {}
                // One message that cannot be read must not hide the others.
                Err(error @ Error::Damaged(_)) => {
                    let summary = Summary { subject: format!("({error})"), ..Summary::default() };
                    send(to, Item::Message(message_view(account, entry, summary))).await?;
                }
                Err(error) => return Err(error.into()),
            }
            after = entry.uid;
        }
        if page.len() < PAGE {
            return Ok(after);
        }
    }
}

async fn summarise(
    store: &SharedStore,
    account: &AccountName,
    inbox: &MailboxStatus,
    entry: &Entry,
) -> store::Result<MessageView> {
    let (entry, mut reader) = store.fetch(inbox.id, entry.uid).await?;
    let mut front = Vec::new();
    while front.len() < SUMMARY_BYTES {
        let Some(chunk) = reader.content.next().await? else { break };
        let room = SUMMARY_BYTES - front.len();
        front.extend_from_slice(&chunk[..chunk.len().min(room)]);
    }
    Ok(message_view(account, &entry, Summary::of(&front)))
}

fn message_view(account: &AccountName, entry: &Entry, summary: Summary) -> MessageView {
    MessageView {
        account: account.to_string(),
        uid: entry.uid.0,
        received: entry.received,
        size: entry.size,
        flags: entry.flags,
        id: entry.spool.to_string(),
        from: addresses(&summary.from),
        to: addresses(&summary.to),
        subject: summary.subject,
        date: summary.date.map(|date| store::Timestamp(date.millis)),
        preview: summary.preview,
    }
}

fn addresses(list: &[message::Address]) -> String {
    list.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

async fn fetch(
    store: &SharedStore,
    mailbox: &MailboxPath,
    uid: Uid,
    mark: Mark,
    to: &Sender<Frame>,
) -> Result<(), Stop> {
    let (account, mailbox) = open(store, mailbox).await?;
    let fetched = store.fetch(mailbox.id, uid).await.map_err(|error| match error {
        // The store knows the mailbox by its number; a person knows its name.
        Error::NoSuchMessage(_) => {
            Error::NoSuchMessage(format!("{uid} in {} of {account}", mailbox.name.as_str()))
        }
        error => error,
    });
    let (entry, mut reader) = fetched?;
    let message = summarise(store, &account, &mailbox, &entry).await?;
    send(to, Item::Message(message)).await?;
    while let Some(chunk) = reader.content.next().await? {
        to.send(Frame::Content(chunk)).await.map_err(|_| Stop::Gone)?;
    }
    if mark == Mark::Seen && !entry.flags.contains(Flags::SEEN) {
        store.update_flags(mailbox.id, &[uid], Flags::SEEN, Flags::default()).await?;
    }
    Ok(())
}

async fn watch(store: &SharedStore, account: Option<AccountName>, to: &Sender<Frame>) -> Result<(), Stop> {
    let mut changes = store.watch();
    changes.mark_unchanged();
    let mut seen = std::collections::HashMap::new();
    for inbox in inboxes(store, account.as_ref()).await? {
        seen.insert(inbox.1.id, Uid(inbox.1.uid_next.0 - 1));
    }
    send(to, Item::Watching).await?;
    loop {
        tokio::select! {
            changed = changes.changed() => {
                if changed.is_err() {
                    return Ok(());
                }
            }
            () = to.closed() => return Err(Stop::Gone),
        }
        for (name, inbox) in inboxes(store, account.as_ref()).await? {
            let after = seen.entry(inbox.id).or_insert(Uid(0));
            if after.0 + 1 < inbox.uid_next.0 {
                match list_after(store, &name, &inbox, *after, to).await {
                    Ok(last) => *after = last,
                    Err(Stop::Vanished) if account.is_none() => {}
                    Err(stop) => return Err(stop),
                }
            }
        }
    }
}

/// The INBOX of one account, or of all.
async fn inboxes(
    store: &SharedStore,
    account: Option<&AccountName>,
) -> Result<Vec<(AccountName, MailboxStatus)>, Stop> {
    let names = match account {
        Some(name) => vec![name.clone()],
        None => store.accounts().await?.into_iter().map(|account| account.name).collect(),
    };
    let mut inboxes = Vec::with_capacity(names.len());
    for name in names {
        match store.mailbox(&name, &MailboxName::inbox()).await {
            Ok(inbox) => inboxes.push((name, inbox)),
            // One of all was removed meanwhile.
            Err(Error::NoSuchAccount(_) | Error::NoSuchMailbox(_)) if account.is_none() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(inboxes)
}

impl From<BanFileError> for Stop {
    fn from(error: BanFileError) -> Stop {
        Stop::Failed(error.to_string())
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Failed(error.to_string())
    }
}
