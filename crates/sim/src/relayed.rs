//! What was promised for recipients elsewhere, held against what next hops have taken, what reports to the sender say, and what is queued.
//!
//! Every recipient that was acknowledged is in one of them at any time. A hop may be given a message a second time only when nobody can know
//! better: when the reply to the first was never read (RFC 1047), or the server ended, or its disk failed, before it could
//! write down that the message is delivered. A report comes at least once, and not for what was delivered.

use std::collections::{BTreeMap, BTreeSet};
use tokio::time::Instant;

/// One recipient of one message: its token, and a number that the caller gives addresses.
pub type Recipient = (u64, usize);

/// What a campaign knows of recipients elsewhere.
#[derive(Debug, Default)]
pub struct Relayed {
    owed: BTreeSet<Recipient>,
    takes: BTreeMap<Recipient, Vec<Take>>,
    /// In which life of the server a report was first seen.
    reported: BTreeMap<Recipient, usize>,
    lives: Vec<Life>,
    duplicates: u64,
}

/// Names one taking of a message by a hop.
#[derive(Debug, Clone, Copy)]
pub struct TakeId(Recipient, usize);

#[derive(Debug)]
struct Take {
    life: usize,
    /// When it was plain that the server had read the reply.
    read: Option<Instant>,
}

#[derive(Debug, Default)]
struct Life {
    ended: Option<Instant>,
    /// It was stopped in order, and had the time for it.
    orderly: bool,
    /// Its disk has failed.
    troubled: bool,
}

impl Relayed {
    /// A server begins to live.
    pub fn begin(&mut self) {
        self.lives.push(Life::default());
    }

    /// The disk of the server that lives has failed.
    pub fn trouble(&mut self) {
        if let Some(life) = self.lives.last_mut() {
            life.troubled = true;
        }
    }

    /// The server that lives has ended, in order or not.
    pub fn end(&mut self, orderly: bool) {
        if let Some(life) = self.lives.last_mut() {
            life.ended = Some(Instant::now());
            life.orderly = orderly;
        }
    }

    /// A message was acknowledged for this recipient.
    pub fn acknowledge(&mut self, recipient: Recipient) {
        self.owed.insert(recipient);
    }

    /// How many recipients were acknowledged.
    pub fn owed(&self) -> u64 {
        self.owed.len() as u64
    }

    /// How many times a hop was given what it had.
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// How many recipients a report has named.
    pub fn reports(&self) -> u64 {
        self.reported.len() as u64
    }

    /// A hop takes a message for a recipient, and is about to say so. The error says why it must not have come.
    pub fn take(&mut self, recipient: Recipient) -> Result<TakeId, String> {
        let (token, number) = recipient;
        if let Some(before) = self.settled(recipient) {
            return Err(format!(
                "message {token:016x} was sent again to recipient {number}, delivered in life {before}"
            ));
        }
        let takes = self.takes.entry(recipient).or_default();
        takes.push(Take { life: self.lives.len().saturating_sub(1), read: None });
        self.duplicates += u64::from(takes.len() > 1);
        Ok(TakeId(recipient, takes.len() - 1))
    }

    /// The server has read the reply, for it has said something since.
    pub fn read(&mut self, take: TakeId) {
        let TakeId(recipient, number) = take;
        if let Some(take) = self.takes.get_mut(&recipient).and_then(|takes| takes.get_mut(number)) {
            take.read.get_or_insert_with(Instant::now);
        }
    }

    /// A report that the message has failed for a recipient is in the sender's mailbox. The error says why it must not be there.
    pub fn report(&mut self, recipient: Recipient) -> Result<(), String> {
        let seen = self.lives.len().saturating_sub(1);
        if self.reported.contains_key(&recipient) {
            return Ok(());
        }
        self.reported.insert(recipient, seen);
        let (token, number) = recipient;
        match self.settled(recipient) {
            // The report may have been first, and its server ended before that was written down.
            Some(life) if life <= seen => Err(format!(
                "message {token:016x} is reported as failed for recipient {number}, which has it since life {life}"
            )),
            _ => Ok(()),
        }
    }

    /// Holds all of it against the queue of a server that rests. The error says what is wrong.
    pub fn check(&self, queued: &BTreeSet<Recipient>) -> Result<(), String> {
        for recipient in &self.owed {
            let (token, number) = *recipient;
            let is_kept = queued.contains(recipient)
                || self.takes.contains_key(recipient)
                || self.reported.contains_key(recipient);
            if !is_kept {
                return Err(format!("lost: message {token:016x} for recipient {number} is nowhere"));
            }
        }
        for recipient in queued {
            if let Some(life) = self.settled(*recipient) {
                let (token, number) = *recipient;
                return Err(format!(
                    "message {token:016x} for recipient {number} was delivered in life {life} and is queued again"
                ));
            }
            let first_reported = self.reported.get(recipient).and_then(|life| self.lives.get(*life));
            if first_reported.is_some_and(|life| life.orderly && !life.troubled) {
                return Err(format!("message {:016x} is reported as failed and still queued", recipient.0));
            }
        }
        Ok(())
    }

    /// The life in which a delivery was settled for good: its reply was read, and there were the time and the disk to write that down.
    fn settled(&self, recipient: Recipient) -> Option<usize> {
        let takes = self.takes.get(&recipient)?;
        takes.iter().find(|take| self.is_settled(take)).map(|take| take.life)
    }

    fn is_settled(&self, take: &Take) -> bool {
        let Some((read, life)) = take.read.zip(self.lives.get(take.life)) else { return false };
        // In the same instant nobody can say which was first.
        !life.troubled && life.ended.unwrap_or_else(Instant::now) > read
    }
}

/// Which recipients a report says a message has failed for, and which message that is; `None` when it is no such report.
pub fn failures(text: &[u8]) -> Option<(u64, Vec<String>)> {
    let text = String::from_utf8_lossy(text);
    let token = text.lines().find_map(|line| line.strip_prefix("Original-Envelope-Id: "))?;
    let token = u64::from_str_radix(token.trim(), 16).ok()?;
    let (mut failed, mut recipient) = (Vec::new(), None);
    for line in text.lines() {
        if let Some(address) = line.strip_prefix("Final-Recipient: rfc822;") {
            recipient = Some(address.trim().to_owned());
        } else if line == "Action: failed" {
            failed.extend(recipient.take());
        }
    }
    Some((token, failed))
}
