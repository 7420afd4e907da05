//! What is done with the entries of the model's mailboxes.

use super::mailboxes::sorted;
use super::{Kept, Model};
use crate::{
    AccountId, Copied, Entry, Error, KEYWORDS_MAX, Keyword, KeywordSet, MailboxId, Marked, Marking,
    Originals, Result, Timestamp, Uid, Usage, VANISHED_MAX,
};

impl Model {
    pub(super) fn mark(&mut self, mailbox: MailboxId, uids: &[Uid], marking: &Marking) -> Result<Marked> {
        let kept = self.kept(mailbox)?;
        let present: Vec<&Entry> =
            sorted(uids).iter().filter_map(|uid| kept.entries.get(uid)).map(|(entry, _)| entry).collect();
        let is_late = |entry: &&&Entry| marking.unchanged_since.is_some_and(|since| entry.modseq > since);
        let failed = present.iter().filter(is_late).map(|entry| entry.uid).collect();
        let wanted: Vec<Uid> =
            present.iter().filter(|entry| !is_late(entry)).map(|entry| entry.uid).collect();
        let mut marked = Marked { failed, ..Marked::default() };
        if wanted.is_empty() {
            return Ok(marked);
        }
        let keywords = kept.with_keywords(&marking.add.keywords)?;
        let masks = marking.masks(&keywords);
        self.mailboxes.get_mut(&mailbox).expect("found above").keywords = keywords;
        for uid in wanted {
            let (entry, _) = &self.mailboxes[&mailbox].entries[&uid];
            let marks = masks.apply((entry.flags, entry.keywords));
            if marks == (entry.flags, entry.keywords) {
                marked.same.push(entry.mark());
                continue;
            }
            let modseq = self.next_modseq();
            let kept = self.mailboxes.get_mut(&mailbox).expect("found above");
            kept.modseq = modseq;
            let (entry, _) = kept.entries.get_mut(&uid).expect("found above");
            marked.former.push(std::mem::replace(&mut entry.modseq, modseq));
            (entry.flags, entry.keywords) = marks;
            marked.changed.push(entry.mark());
        }
        if !marked.changed.is_empty() {
            self.touched(mailbox);
        }
        Ok(marked)
    }

    pub(super) fn expunge(&mut self, mailbox: MailboxId, uids: impl IntoIterator<Item = Uid>) -> u64 {
        let uids: Vec<Uid> = uids.into_iter().collect();
        let mut spools = Vec::new();
        for uid in sorted(&uids) {
            let kept = self.mailboxes.get_mut(&mailbox).expect("found by the caller");
            let Some((entry, _)) = kept.entries.remove(&uid) else { continue };
            spools.push(entry.spool);
            let modseq = self.next_modseq();
            let kept = self.mailboxes.get_mut(&mailbox).expect("found above");
            kept.modseq = modseq;
            kept.expunged.insert(modseq, uid);
            if kept.expunged.len() > VANISHED_MAX {
                kept.expunged.pop_first();
            }
        }
        let found = spools.len() as u64;
        if found > 0 {
            self.touched(mailbox);
        }
        self.forget_unused(spools);
        found
    }

    pub(super) fn copy(
        &mut self,
        now: Timestamp,
        (mailbox, uids): (MailboxId, &[Uid]),
        target: MailboxId,
        originals: Originals,
    ) -> Result<Copied> {
        let source = self.kept(mailbox)?;
        let to = self.kept(target)?;
        if source.account != to.account {
            return Err(Error::Invalid("the mailboxes are of two accounts".to_owned()));
        }
        let (account, uid_validity) = (source.account, to.uid_validity);
        let entries: Vec<_> =
            sorted(uids).iter().filter_map(|uid| source.entries.get(uid)).cloned().collect();
        let used = entries.iter().fold(KeywordSet::default(), |used, (entry, _)| used.with(entry.keywords));
        let used: Vec<Keyword> = used.numbers().map(|number| source.keywords[number].clone()).collect();
        let known = source.keywords.clone();
        let keywords = to.with_keywords(&used)?;
        if originals == Originals::Stay {
            let bytes = entries.iter().map(|(entry, _)| entry.size).sum();
            self.check_room(account, Usage { bytes, messages: entries.len() as u64 })?;
        }
        self.mailboxes.get_mut(&target).expect("found above").keywords.clone_from(&keywords);
        let mut pairs = Vec::new();
        for (entry, trace) in entries {
            let of_entry: Vec<Keyword> = entry.keywords.numbers().map(|n| known[n].clone()).collect();
            let uid = entry.uid;
            let copy = Entry { keywords: KeywordSet::of(&of_entry, &keywords), saved: now, ..entry };
            pairs.push((uid, self.insert(target, copy, trace)));
        }
        if originals == Originals::Go {
            self.expunge(mailbox, pairs.iter().map(|(uid, _)| *uid));
        }
        Ok(Copied { uid_validity, pairs })
    }

    /// Refuses what does not fit into an account's quota.
    pub(super) fn check_room(&self, account: AccountId, more: Usage) -> Result<()> {
        let name = &self.accounts.values().find(|known| known.id == account).expect("it has mailboxes").name;
        let standing = self.standing(name).expect("there is such an account");
        match standing.allowance().allows(standing.usage.with(more)) || more.messages == 0 {
            true => Ok(()),
            false => Err(Error::OverQuota(name.to_string())),
        }
    }
}

impl Kept {
    /// Its keywords with these, new ones last.
    pub(super) fn with_keywords<'k>(
        &self,
        added: impl IntoIterator<Item = &'k Keyword>,
    ) -> Result<Vec<Keyword>> {
        let mut keywords = self.keywords.clone();
        for keyword in added {
            if !keywords.contains(keyword) {
                keywords.push(keyword.clone());
            }
        }
        match keywords.len() <= KEYWORDS_MAX {
            true => Ok(keywords),
            false => Err(Error::Limit(format!("keywords in mailbox {}", self.name))),
        }
    }
}
