//! A message that comes from a file instead of a server.
//!
//! It is kept as it is, without trace fields of ours, with the time and the flags that it had. An import that was interrupted can be done
//! again: whoever asks names the messages that this one may be the same as, and when its text is theirs it is not kept twice.

use super::handle::{Stop, open};
use super::protocol::{Import, Item};
use aws_lc_rs::digest::{Context, Digest, SHA256};
use bytes::Bytes;
use store::{
    Accepted, AccountName, Destination, Entry, Error, Flags, IfFull, IfMissing, MailboxName, MailboxStatus,
    NewDelivery, SharedStore, SpoolId, Stage, Uid,
};

/// A message on its way in.
pub(super) struct Importing {
    store: SharedStore,
    account: AccountName,
    mailbox: MailboxStatus,
    wanted: Import,
    stage: Box<dyn Stage>,
    digest: Context,
}

impl Importing {
    /// Begins with the first octet.
    pub(super) async fn begin(store: &SharedStore, wanted: Import) -> Result<Importing, Stop> {
        let (account, mailbox) = open(store, &wanted.mailbox).await?;
        let (store, stage) = (SharedStore::clone(store), store.stage()?);
        Ok(Importing { store, account, mailbox, wanted, stage, digest: Context::new(&SHA256) })
    }

    /// Takes the next octets.
    pub(super) async fn take(&mut self, bytes: Bytes) -> Result<(), Stop> {
        self.digest.update(&bytes);
        Ok(self.stage.append(bytes).await?)
    }

    /// Keeps the message, unless it is there already.
    pub(super) async fn finish(self) -> Result<Item, Stop> {
        let Importing { store, account, mailbox, wanted, stage, digest } = self;
        let digest = digest.finish();
        for uid in wanted.candidates.iter().copied().map(Uid) {
            if is_same(&store, &mailbox, uid, (stage.len(), &digest)).await? {
                mark(&store, &mailbox, uid, wanted.flags).await?;
                return Ok(Item::Imported { uid: uid.0, was_there: true });
            }
        }
        let spool = stage.commit(accepted(&account, &mailbox.name, &wanted)?).await?;
        let uid = find(&store, &mailbox, spool).await?;
        mark(&store, &mailbox, uid, wanted.flags).await?;
        Ok(Item::Imported { uid: uid.0, was_there: false })
    }
}

/// One delivery, straight into the mailbox.
fn accepted(account: &AccountName, mailbox: &MailboxName, wanted: &Import) -> Result<Accepted, Stop> {
    let path =
        format!("<{account}>").parse().map_err(|_| Stop::Failed(format!("{account} is no address")))?;
    let destination = Destination::Mailbox {
        account: account.clone(),
        mailbox: mailbox.clone(),
        if_missing: IfMissing::Fail,
        if_full: IfFull::Fail,
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
async fn find(store: &SharedStore, mailbox: &MailboxStatus, spool: SpoolId) -> Result<Uid, Stop> {
    let mut after = Uid(mailbox.uid_next.0.saturating_sub(1));
    loop {
        let page = store.entries(mailbox.id, after, PAGE).await?;
        if let Some(entry) = page.iter().find(|entry| entry.spool == spool) {
            return Ok(entry.uid);
        }
        // Somebody may have removed it since.
        after = page.last().map(|entry| entry.uid).ok_or(Stop::Vanished)?;
    }
}

async fn mark(store: &SharedStore, mailbox: &MailboxStatus, uid: Uid, flags: Flags) -> Result<(), Stop> {
    if flags != Flags::default() {
        store.update_flags(mailbox.id, &[uid], flags, Flags::default()).await?;
    }
    Ok(())
}

/// Whether the text of an entry is this one.
async fn is_same(
    store: &SharedStore,
    mailbox: &MailboxStatus,
    uid: Uid,
    (size, digest): (u64, &Digest),
) -> Result<bool, Stop> {
    let (Entry { size: kept, .. }, mut reader) = match store.fetch(mailbox.id, uid).await {
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
