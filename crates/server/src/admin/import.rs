//! A message that comes from a file instead of a server.
//!
//! It is kept as it is, without trace fields of ours, with the time and the flags that it had. An import that was interrupted can be done
//! again: whoever asks names the messages that this one may be the same as, and when its text is theirs it is not kept twice.

use super::handle::{Stop, name};
use super::protocol::{Import, Item};
use aws_lc_rs::digest::{Context, Digest, SHA256};
use bytes::Bytes;
use store::{
    Accepted, AccountName, Destination, Entry, Error, Flags, IfMissing, MailboxName, MailboxStatus,
    NewDelivery, SharedStore, SpoolId, Stage, Uid,
};

/// A message on its way in.
pub(super) struct Importing {
    store: SharedStore,
    account: AccountName,
    inbox: MailboxStatus,
    wanted: Import,
    stage: Box<dyn Stage>,
    digest: Context,
}

impl Importing {
    /// Begins with the first octet.
    pub(super) async fn begin(store: &SharedStore, wanted: Import) -> Result<Importing, Stop> {
        let account = name(&wanted.account)?;
        let inbox = store.mailbox(&account, &MailboxName::inbox()).await?;
        let (store, stage) = (SharedStore::clone(store), store.stage()?);
        Ok(Importing { store, account, inbox, wanted, stage, digest: Context::new(&SHA256) })
    }

    /// Takes the next octets.
    pub(super) async fn take(&mut self, bytes: Bytes) -> Result<(), Stop> {
        self.digest.update(&bytes);
        Ok(self.stage.append(bytes).await?)
    }

    /// Keeps the message, unless it is there already.
    pub(super) async fn finish(self) -> Result<Item, Stop> {
        let Importing { store, account, inbox, wanted, stage, digest } = self;
        let digest = digest.finish();
        for uid in wanted.candidates.iter().copied().map(Uid) {
            if is_same(&store, &inbox, uid, (stage.len(), &digest)).await? {
                mark(&store, &inbox, uid, wanted.flags).await?;
                return Ok(Item::Imported { uid: uid.0, was_there: true });
            }
        }
        let spool = stage.commit(accepted(&account, &wanted)?).await?;
        let uid = find(&store, &inbox, spool).await?;
        mark(&store, &inbox, uid, wanted.flags).await?;
        Ok(Item::Imported { uid: uid.0, was_there: false })
    }
}

/// One delivery, straight into the mailbox.
fn accepted(account: &AccountName, wanted: &Import) -> Result<Accepted, Stop> {
    let path =
        format!("<{account}>").parse().map_err(|_| Stop::Failed(format!("{account} is no address")))?;
    let destination = Destination::Mailbox {
        account: account.clone(),
        mailbox: MailboxName::inbox(),
        if_missing: IfMissing::Fail,
        trace: Bytes::new(),
    };
    Ok(Accepted {
        received: wanted.received,
        envelope: smtp::Envelope::new(smtp::ReversePath::Null, vec![smtp::Recipient::new(path)]),
        trace: Bytes::new(),
        deliveries: vec![NewDelivery { recipient: 0, destination }],
    })
}

/// The UID that a message has got.
async fn find(store: &SharedStore, inbox: &MailboxStatus, spool: SpoolId) -> Result<Uid, Stop> {
    let mut after = Uid(inbox.uid_next.0.saturating_sub(1));
    loop {
        let page = store.entries(inbox.id, after, PAGE).await?;
        if let Some(entry) = page.iter().find(|entry| entry.spool == spool) {
            return Ok(entry.uid);
        }
        // Somebody may have removed it since.
        after = page.last().map(|entry| entry.uid).ok_or(Stop::Vanished)?;
    }
}

async fn mark(store: &SharedStore, inbox: &MailboxStatus, uid: Uid, flags: Flags) -> Result<(), Stop> {
    if flags != Flags::default() {
        store.update_flags(inbox.id, &[uid], flags, Flags::default()).await?;
    }
    Ok(())
}

/// Whether the text of an entry is this one.
async fn is_same(
    store: &SharedStore,
    inbox: &MailboxStatus,
    uid: Uid,
    (size, digest): (u64, &Digest),
) -> Result<bool, Stop> {
    let (Entry { size: kept, .. }, mut reader) = match store.fetch(inbox.id, uid).await {
        Err(Error::NoSuchMessage(_)) => return Ok(false),
        found => found?,
    };
    if kept != size {
        return Ok(false);
    }
    let mut context = Context::new(&SHA256);
    while let Some(chunk) = reader.content.next().await? {
        context.update(&chunk);
    }
    Ok(context.finish().as_ref() == digest.as_ref())
}

/// How many entries are asked for at once.
const PAGE: usize = 500;
