//! A message that comes from a file instead of a server.
//!
//! It is kept as it is, without trace fields of ours, with the time and the flags that it had. An import that was interrupted can be done
//! again: whoever asks names the messages that this one may be the same as, and when its text is theirs it is not kept twice.

use super::handle::{Stop, name};
use super::protocol::{Import, Item};
use aws_lc_rs::digest::{Context, Digest, SHA256};
use bytes::Bytes;
use store::{
    AccountName, Entry, Error, Keyword, MailboxName, MailboxStatus, Marking, Marks, NewMessage, SharedStore,
    Stage, Uid,
};

/// A message on its way in.
pub(super) struct Importing {
    store: SharedStore,
    account: AccountName,
    name: MailboxName,
    /// `None` as long as it is missing.
    mailbox: Option<MailboxStatus>,
    wanted: Import,
    marks: Marks,
    stage: Box<dyn Stage>,
    digest: Context,
}

impl Importing {
    /// Begins with the first octet.
    pub(super) async fn begin(store: &SharedStore, wanted: Import) -> Result<Importing, Stop> {
        let account = name(&wanted.mailbox.account)?;
        let name = MailboxName::new(&wanted.mailbox.mailbox)?;
        let keywords = wanted.keywords.iter().map(|keyword| Keyword::new(keyword));
        let marks = Marks { flags: wanted.flags, keywords: keywords.collect::<Result<_, _>>()? };
        let mailbox = match store.mailbox(&account, &name).await {
            Err(Error::NoSuchMailbox(_)) => None,
            found => Some(found?),
        };
        let (store, stage) = (SharedStore::clone(store), store.stage()?);
        Ok(Importing { store, account, name, mailbox, wanted, marks, stage, digest: Context::new(&SHA256) })
    }

    /// Takes the next octets.
    pub(super) async fn take(&mut self, bytes: Bytes) -> Result<(), Stop> {
        self.digest.update(&bytes);
        Ok(self.stage.append(bytes).await?)
    }

    /// Keeps the message, unless it is there already.
    pub(super) async fn finish(self) -> Result<Item, Stop> {
        let Importing { store, account, name, mailbox, wanted, marks, stage, digest } = self;
        let digest = digest.finish();
        let mailbox = match mailbox {
            Some(mailbox) => mailbox,
            None => match store.create_mailbox(&account, &name, None).await {
                // Somebody else was quicker.
                Err(Error::Exists(_)) => store.mailbox(&account, &name).await?,
                made => made?,
            },
        };
        for uid in wanted.candidates.iter().copied().map(Uid) {
            if is_same(&store, &mailbox, uid, (stage.len(), &digest)).await? {
                store.mark(mailbox.id, &[uid], Marking::add(marks)).await?;
                return Ok(Item::Imported { uid: uid.0, was_there: true });
            }
        }
        let message = NewMessage { stage, received: wanted.received, marks };
        let appended = store.append(mailbox.id, vec![message]).await?;
        let uid = *appended.uids.first().ok_or(Stop::Vanished)?;
        Ok(Item::Imported { uid: uid.0, was_there: false })
    }
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
