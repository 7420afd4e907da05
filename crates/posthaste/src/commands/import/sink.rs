//! The mailbox that messages are brought into.

use crate::files::Letter;
use crate::mail::Mail;
use server::admin::{Import, MailboxPath};
use std::collections::{HashMap, HashSet};
use store::Timestamp;

/// Keeps letters in a mailbox, each once.
pub(super) struct Sink<'a> {
    mail: Mail<'a>,
    into: MailboxPath,
    /// Which messages a new one may be the same as. What files keep of the time of arrival is not exact, so what counts follows from
    /// the text: its size and its Date field. One stands for one: two of the same text are two.
    known: HashMap<(u64, Option<Timestamp>), Vec<u32>>,
    /// The mailbox's incarnation; `None` as long as it is missing.
    incarnation: Option<u32>,
    /// How many came in.
    pub(super) imported: u64,
    /// How many were there before.
    pub(super) there_before: u64,
}

impl Sink<'_> {
    /// Begins with a mailbox, which need not be there.
    pub(super) async fn open(mail: Mail<'_>, into: MailboxPath) -> anyhow::Result<Sink<'_>> {
        let mut sink =
            Sink { mail, into, known: HashMap::new(), incarnation: None, imported: 0, there_before: 0 };
        if sink.incarnation().await?.is_some() {
            for message in mail.list(&sink.into).await? {
                sink.known.entry((message.size, message.date)).or_default().push(message.uid);
            }
        }
        Ok(sink)
    }

    /// These stand for other messages than those that come.
    pub(super) fn without(&mut self, uids: &HashSet<u32>) {
        self.known.values_mut().for_each(|candidates| candidates.retain(|uid| !uids.contains(uid)));
    }

    /// The UIDVALIDITY of the mailbox; `None` as long as it is missing.
    pub(super) async fn incarnation(&mut self) -> anyhow::Result<Option<u32>> {
        if self.incarnation.is_none() {
            // A name that only differs from that of INBOX in case is INBOX.
            let (into, inbox) = (&self.into.mailbox, store::INBOX);
            let is_meant = |name: &str| name == into || (name == inbox && into.eq_ignore_ascii_case(inbox));
            let all = self.mail.mailboxes(&self.into.account).await?;
            self.incarnation =
                all.iter().find(|mailbox| is_meant(&mailbox.name)).map(|mailbox| mailbox.uid_validity);
        }
        Ok(self.incarnation)
    }

    /// Keeps a letter, unless it is there already; returns its number.
    pub(super) async fn take(&mut self, letter: &Letter) -> anyhow::Result<u32> {
        let candidates = self.known.entry((letter.text.len() as u64, letter.date)).or_default();
        let wanted = Import {
            mailbox: self.into.clone(),
            received: letter.received,
            flags: letter.flags,
            keywords: letter.keywords.clone(),
            candidates: candidates.clone(),
        };
        let (uid, was_there) = self.mail.import(wanted, &letter.text).await?;
        if was_there {
            candidates.retain(|candidate| *candidate != uid);
            self.there_before += 1;
        } else {
            self.imported += 1;
        }
        Ok(uid)
    }
}
