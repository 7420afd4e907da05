//! What was promised for recipients elsewhere, held against what next hops have taken, what reports to the sender say, and what is queued.
//!
//! Every recipient that was acknowledged is in one of them at any time. A hop may be given a message a second time only when nobody can know
//! better: when the reply to the first was never read (RFC 1047), or the server ended, or its disk failed, just when it would have
//! written down that the message is delivered. What fails at another time excuses nothing. A report comes once, unless the server ended or its
//! disk failed in that life, and not for what was delivered.

use std::collections::{BTreeMap, BTreeSet};
use tokio::time::Instant;

/// One recipient of one message: its token, and a number that the caller gives addresses.
pub type Recipient = (u64, usize);

/// What a campaign knows of recipients elsewhere.
#[derive(Debug, Default)]
pub struct Relayed {
    owed: BTreeSet<Recipient>,
    takes: BTreeMap<Recipient, Vec<Take>>,
    /// In which life of the server a report was seen last.
    reported: BTreeMap<Recipient, usize>,
    /// Takes of which it is not plain yet whether the server could write them down.
    open: Vec<TakeId>,
    lives: Vec<Life>,
    duplicates: u64,
}

/// Names one taking of a message by a hop.
#[derive(Debug, Clone, Copy)]
pub struct TakeId(Recipient, usize);

#[derive(Debug)]
struct Take {
    life: usize,
    /// How often the disk had failed in this life when the reply was given.
    failures: u64,
    /// When it was plain that the server had read the reply.
    read: Option<Instant>,
    /// It was read, and there were the time and the disk to write that down.
    settled: bool,
}

#[derive(Debug, Default)]
struct Life {
    /// It was stopped in order, and had the time for it.
    orderly: bool,
    /// How often its disk has failed, as far as that was looked at.
    failures: u64,
}

/// Whether a store takes what is to be written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writes {
    /// It does.
    Taken,
    /// It says that it does not.
    Refused,
}

impl Relayed {
    /// A server begins to live.
    pub fn begin(&mut self) {
        self.lives.push(Life::default());
    }

    /// How the server that lives is by now: how often its disk has failed since it began, and whether its store takes anything. To be called
    /// often, and in any case when a hop is about to take something, and when the server is about to end.
    pub fn look(&mut self, failures: u64, writes: Writes) {
        let Some(life) = self.lives.last_mut() else { return };
        life.failures = failures;
        let (now, takes) = (Instant::now(), &mut self.takes);
        self.open.retain(|TakeId(recipient, number)| {
            let Some(take) = takes.get_mut(recipient).and_then(|takes| takes.get_mut(*number)) else {
                return false;
            };
            if take.failures != failures || writes == Writes::Refused {
                return false;
            }
            // In the same instant nobody can say which was first.
            take.settled = take.read.is_some_and(|read| read < now);
            !take.settled
        });
    }

    /// The server that lives has ended, in order or not.
    pub fn end(&mut self, orderly: bool) {
        self.open.clear();
        if let Some(life) = self.lives.last_mut() {
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
        let failures = self.lives.last().map_or(0, |life| life.failures);
        let takes = self.takes.entry(recipient).or_default();
        takes.push(Take { life: self.lives.len().saturating_sub(1), failures, read: None, settled: false });
        self.duplicates += u64::from(takes.len() > 1);
        let take = TakeId(recipient, takes.len() - 1);
        self.open.push(take);
        Ok(take)
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
        let (token, number) = recipient;
        if let Some(before) = self.reported.insert(recipient, seen) {
            let excused = self.lives.get(before).is_none_or(|life| {
                // It ended, or its disk failed, between the report and the settlement.
                life.failures > 0 || (!life.orderly && before < seen)
            });
            return if excused {
                Ok(())
            } else {
                Err(format!(
                    "message {token:016x} is reported as failed for recipient {number} again, and was in life {before}"
                ))
            };
        }
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
            let reported_in = self.reported.get(recipient).and_then(|life| self.lives.get(*life));
            if reported_in.is_some_and(|life| life.orderly && life.failures == 0) {
                return Err(format!("message {:016x} is reported as failed and still queued", recipient.0));
            }
        }
        Ok(())
    }

    /// The life in which a delivery was settled for good.
    fn settled(&self, recipient: Recipient) -> Option<usize> {
        let takes = self.takes.get(&recipient)?;
        takes.iter().find(|take| take.settled).map(|take| take.life)
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const RECIPIENT: Recipient = (7, 1);

    /// A life in which a hop takes a message and the reply is read a second later; `before` and `after` are how often the disk has failed
    /// by then.
    async fn life(relayed: &mut Relayed, before: u64, after: (u64, Writes)) -> Result<(), String> {
        relayed.begin();
        relayed.look(before, Writes::Taken);
        let take = relayed.take(RECIPIENT)?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        relayed.read(take);
        relayed.look(before, Writes::Taken);
        tokio::time::sleep(Duration::from_secs(1)).await;
        relayed.look(after.0, after.1);
        relayed.end(true);
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_failure_at_the_settlement_excuses_a_second_delivery() {
        for (before, after, excused) in [
            (0, (0, Writes::Taken), false),
            (1, (1, Writes::Taken), false),
            (0, (1, Writes::Taken), true),
            (1, (1, Writes::Refused), true),
        ] {
            let mut relayed = Relayed::default();
            assert_eq!(life(&mut relayed, before, after).await, Ok(()));
            let again = life(&mut relayed, 0, (0, Writes::Taken)).await;
            assert_eq!(again.is_ok(), excused, "{before} failures, then {after:?}: {again:?}");
        }
    }

    #[test]
    fn a_report_comes_once_where_nothing_went_wrong() {
        for (orderly, failures, excused) in [(true, 0, false), (true, 1, true), (false, 0, true)] {
            let mut relayed = Relayed::default();
            relayed.begin();
            relayed.look(failures, Writes::Taken);
            relayed.end(orderly);
            assert_eq!(relayed.report(RECIPIENT), Ok(()));
            relayed.begin();
            relayed.end(false);
            let again = relayed.report(RECIPIENT);
            assert_eq!(again.is_ok(), excused, "orderly: {orderly}, {failures} failures: {again:?}");
            assert!(relayed.report(RECIPIENT).is_err(), "twice in a life without a failure");
        }
    }
}
