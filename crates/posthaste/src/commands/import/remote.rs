//! Brings the mailboxes of an account elsewhere into one here, and looks afterwards that everything is there.

use super::account::{Account, Folder, Listing, Protection, Remote};
use super::journal::{Journal, Pair};
use super::sink::Sink;
use super::url::ImapUrl;
use crate::files::Letter;
use crate::mail::Mail;
use crate::output::{Progress, Unit};
use crate::serving::now;
use crate::units::counted;
use anyhow::{Context, bail, ensure};
use aws_lc_rs::digest::{SHA256, digest};
use server::admin::{MailboxPath, Mark};
use std::path::Path;
use store::Secret;

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) imported: u64,
    pub(super) there_before: u64,
    /// How many of these were read again and are what the server sent.
    pub(super) verified: u64,
}

/// Where mail comes from and goes to.
pub(super) struct Move<'a> {
    pub(super) url: &'a ImapUrl,
    pub(super) protection: Protection,
    pub(super) password: Secret,
    pub(super) account: &'a str,
    /// The mailbox that it goes into; under its own name when `None`.
    pub(super) mailbox: Option<&'a str>,
    pub(super) data: &'a Path,
}

/// A message that was brought in: its number here, and the SHA-256 of what the server sent.
struct Kept {
    remote: u32,
    local: u32,
    digest: Vec<u8>,
}

/// Brings everything in that is not here yet.
pub(super) async fn import(mail: Mail<'_>, wanted: Move<'_>) -> anyhow::Result<Tally> {
    let mut account = Account::open(wanted.url, &wanted.protection, &wanted.password).await?;
    let mut folders = account.folders().await?;
    if let Some(name) = &wanted.url.mailbox {
        let names: Vec<String> = folders.iter().map(|folder| folder.name.clone()).collect();
        folders.retain(|folder| {
            folder.name == *name
                || folder.name.eq_ignore_ascii_case(store::INBOX) && name.eq_ignore_ascii_case(store::INBOX)
        });
        ensure!(!folders.is_empty(), "there is no mailbox {name} at the server; it has {}", names.join(", "));
    }
    let mut listings = Vec::new();
    for folder in folders {
        let listing = account.examine(&folder).await?;
        listings.push((folder, listing));
    }
    let mut journal = journal(&wanted)?;
    let all: u64 = listings
        .iter()
        .flat_map(|(_, listing)| &listing.messages)
        .map(|message| u64::from(message.size))
        .sum();
    let mut progress = Progress::new(all, Unit::Bytes);
    let mut tally = Tally::default();
    for (folder, listing) in &listings {
        let mailbox = wanted.mailbox.unwrap_or(&folder.name).to_owned();
        let path = MailboxPath { account: wanted.account.to_owned(), mailbox };
        let mut transfer =
            Transfer { account: &mut account, mail, journal: &mut journal, progress: &mut progress };
        let moved = transfer.mailbox(folder, listing, &path, &mut tally).await;
        moved.with_context(|| {
            let done = counted(tally.imported + tally.there_before, "message");
            format!("stopped in {} after {done}; the same command goes on from there", folder.name)
        })?;
    }
    progress.clear();
    account.close().await?;
    Ok(tally)
}

/// Where it is kept what is here already: beside the store, one for each pair of accounts.
fn journal(wanted: &Move<'_>) -> anyhow::Result<Journal> {
    let ImapUrl { user, host, port, .. } = wanted.url;
    let pair = format!("{user}\n{host}\n{port}\n{}\n{}", wanted.account, wanted.mailbox.unwrap_or_default());
    let name: String =
        digest(&SHA256, pair.as_bytes()).as_ref()[..8].iter().map(|octet| format!("{octet:02x}")).collect();
    let path = wanted.data.join("imports").join(name);
    Journal::open(&path).with_context(|| format!("cannot use {}", path.display()))
}

/// What a transfer works with.
struct Transfer<'a, 'm> {
    account: &'a mut Account,
    mail: Mail<'m>,
    journal: &'a mut Journal,
    progress: &'a mut Progress,
}

impl Transfer<'_, '_> {
    /// Brings one mailbox in.
    async fn mailbox(
        &mut self,
        folder: &Folder,
        listing: &Listing,
        into: &MailboxPath,
        tally: &mut Tally,
    ) -> anyhow::Result<()> {
        let mut sink = Sink::open(self.mail, into.clone()).await?;
        let here = sink.incarnation().await?;
        let pair = |here| Pair { there: listing.uid_validity, here, name: folder.name.clone() };
        let known = here.map(pair);
        if let Some(pair) = &known {
            // Of two that are alike, one may be here and the other not.
            sink.without(&self.journal.here(pair));
        }
        let is_new =
            |message: &&Remote| known.as_ref().is_none_or(|pair| !self.journal.has(pair, message.uid));
        let new: Vec<Remote> = listing.messages.iter().filter(is_new).cloned().collect();
        let old = listing.messages.len() - new.len();
        tally.there_before += old as u64;
        let of_new: u64 = new.iter().map(|message| u64::from(message.size)).sum();
        let of_all: u64 = listing.messages.iter().map(|message| u64::from(message.size)).sum();
        self.progress.advance(of_all - of_new);
        if new.is_empty() {
            return Ok(());
        }
        // Another mailbox may have been examined since.
        let again = self.account.examine(folder).await?;
        ensure!(
            again.uid_validity == listing.uid_validity,
            "the mailbox was made anew at the server meanwhile"
        );
        let mut kept = Vec::new();
        let mut rest = &new[..];
        while !rest.is_empty() {
            let (batch, after) = rest.split_at(batch(rest));
            rest = after;
            let result = self.batch(&pair(0), batch, &mut sink, &mut kept).await;
            tally.imported += std::mem::take(&mut sink.imported);
            tally.there_before += std::mem::take(&mut sink.there_before);
            result?;
        }
        self.verify(into, &kept, tally).await?;
        self.count(folder, &new, &kept).await
    }

    async fn batch(
        &mut self,
        pair: &Pair,
        batch: &[Remote],
        sink: &mut Sink<'_>,
        kept: &mut Vec<Kept>,
    ) -> anyhow::Result<()> {
        let uids: Vec<u32> = batch.iter().map(|message| message.uid).collect();
        let (journal, progress) = (&mut *self.journal, &mut *self.progress);
        let take = async |uid: u32, text: &[u8]| {
            let Some(message) = batch.iter().find(|message| message.uid == uid) else {
                // Servers tell of flags that change meanwhile; a text that nobody asked for is none of those.
                bail!("the server sent a message {uid} that was not asked for")
            };
            let letter = Letter::exactly(text, message.flags, message.received, now());
            let letter = Letter { keywords: message.keywords.clone(), ..letter };
            let local = sink.take(&letter).await.with_context(|| format!("message {uid}"))?;
            kept.push(Kept { remote: uid, local, digest: digest(&SHA256, text).as_ref().to_vec() });
            if let Some(here) = sink.incarnation().await? {
                journal.add(&Pair { here, ..pair.clone() }, uid, local)?;
            }
            progress.advance(u64::from(message.size));
            Ok(())
        };
        self.account.texts(&uids, take).await
    }

    /// Reads what was kept, and compares it with what the server sent.
    async fn verify(&self, into: &MailboxPath, kept: &[Kept], tally: &mut Tally) -> anyhow::Result<()> {
        for Kept { remote, local, digest } in kept {
            let mut context = aws_lc_rs::digest::Context::new(&SHA256);
            let read = self.mail.fetch(into, *local, Mark::Nothing, |piece| {
                context.update(&piece);
                Ok(())
            });
            read.await.with_context(|| format!("message {local} of {}", into.mailbox))?;
            ensure!(
                context.finish().as_ref() == &digest[..],
                "message {local} of {} is not what the server sent as {remote}",
                into.mailbox
            );
            tally.verified += 1;
        }
        Ok(())
    }

    /// Whether everything came that was asked for and is still there.
    async fn count(&mut self, folder: &Folder, wanted: &[Remote], kept: &[Kept]) -> anyhow::Result<()> {
        let came: std::collections::HashSet<u32> = kept.iter().map(|kept| kept.remote).collect();
        let missing = |uid: &u32| !came.contains(uid);
        if wanted.iter().all(|message| !missing(&message.uid)) {
            return Ok(());
        }
        let there: std::collections::HashSet<u32> =
            self.account.examine(folder).await?.messages.iter().map(|message| message.uid).collect();
        let uids: Vec<String> = wanted
            .iter()
            .filter(|message| missing(&message.uid) && there.contains(&message.uid))
            .map(|message| message.uid.to_string())
            .collect();
        ensure!(uids.is_empty(), "the server did not send these messages, which it has: {}", uids.join(", "));
        Ok(())
    }
}

/// How many of these are asked for at once.
fn batch(messages: &[Remote]) -> usize {
    let mut octets = 0;
    let fits = |message: &&Remote| {
        octets += u64::from(message.size);
        octets <= BATCH_OCTETS
    };
    messages.iter().take(BATCH_MESSAGES).take_while(fits).count().max(1)
}

/// So much is asked for at once, as long as it is not a single message.
const BATCH_OCTETS: u64 = 16 << 20;
const BATCH_MESSAGES: usize = 200;
