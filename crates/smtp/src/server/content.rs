//! Content: by DATA or in chunks, and what is refused in it.

use super::{Abort, Closing, Event, MIN_CONTENT_RATE, Phase, Question, Server};
use crate::{Body, Protocol, Reply, replies};
use bytes::Bytes;
use std::time::{Duration, Instant};
use wire::Flaw;
use wire::dot::{Decoder, Piece};

/// Content that comes by DATA.
#[derive(Debug)]
pub(super) struct Data {
    decoder: Decoder,
    recipients: usize,
    /// Why the content is refused. The rest of it is read and thrown away, and the reply waits for its end.
    refusal: Option<Reply>,
}

/// A chunk that comes by BDAT.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) size: u64,
    left: u64,
    pub(super) last: bool,
    pub(super) recipients: usize,
    refusal: Option<Refusal>,
}

/// Why a chunk is refused. Its rest is read and thrown away, and the reply waits for its end.
#[derive(Debug)]
enum Refusal {
    /// The command came at the wrong time.
    Command { reply: Reply, line: Bytes },
    /// The message cannot be taken.
    Content { reply: Reply },
}

impl Data {
    pub(super) fn new(recipients: usize) -> Data {
        Data { decoder: Decoder::new(), recipients, refusal: None }
    }
}

impl Chunk {
    /// A chunk after which others follow.
    pub(super) fn new(size: u64) -> Chunk {
        Chunk { size, left: size, last: false, recipients: 0, refusal: None }
    }

    pub(super) fn refuse_command(&mut self, reply: Reply, line: Bytes) {
        self.refusal = Some(Refusal::Command { reply, line });
    }

    pub(super) fn refuse_content(&mut self, reply: Reply) {
        self.refusal = Some(Refusal::Content { reply });
    }

    pub(super) fn refusal(&self) -> Option<&Reply> {
        self.refusal.as_ref().map(|refusal| match refusal {
            Refusal::Command { reply, .. } | Refusal::Content { reply } => reply,
        })
    }
}

impl Server {
    /// Reads content by DATA.
    pub(super) fn data(&mut self, now: Instant) -> bool {
        let Phase::Data(data) = &mut self.phase else { return false };
        match data.decoder.decode(self.input.raw()) {
            None => return self.starve(now),
            Some(Piece::Content(bytes)) => {
                let refusal = match data.decoder.flaw() {
                    _ if data.refusal.is_some() => None,
                    Some(flaw) => Some(refusal_of(flaw)),
                    None => {
                        let limit = self.config.max_message_size;
                        (limit > 0 && data.decoder.size() > limit).then_some(replies::MESSAGE_TOO_BIG)
                    }
                };
                let taken = data.refusal.is_none() && refusal.is_none();
                let (size, refused) = (data.decoder.size(), data.refusal.clone());
                if let Some(reply) = refused.filter(|_| self.is_too_much_to_discard(size)) {
                    self.refuse_to_read_on(&reply);
                    return true;
                }
                let Phase::Data(data) = &mut self.phase else { return false };
                if let Some(reply) = refusal {
                    data.refusal = Some(reply.clone());
                    self.abort(Abort::Refused(reply));
                }
                self.renew(now, bytes.len());
                if taken {
                    self.events.push_back(Event::Content(bytes));
                }
            }
            Some(Piece::End) => {
                let (refusal, recipients) = (data.refusal.take(), data.recipients);
                self.end(refusal, recipients);
            }
        }
        true
    }

    /// Reads a chunk.
    pub(super) fn chunk(&mut self, now: Instant) -> bool {
        let Phase::Chunk(chunk) = &mut self.phase else { return false };
        if chunk.left == 0 {
            self.chunk_read();
            return true;
        }
        if self.input.is_empty() {
            return self.starve(now);
        }
        let input = self.input.raw();
        let bytes = if input.len() as u64 <= chunk.left {
            std::mem::take(input).freeze()
        } else {
            input.split_to(chunk.left as usize).freeze()
        };
        chunk.left -= bytes.len() as u64;
        if chunk.refusal.is_none()
            && let Some(transaction) = &mut self.transaction
        {
            transaction.received += bytes.len() as u64;
            let flaw = match transaction.body {
                Body::BinaryMime => None,
                Body::SevenBit | Body::EightBitMime => transaction.flaws.read(&bytes),
            };
            match flaw {
                None => self.events.push_back(Event::Content(bytes.clone())),
                Some(flaw) => {
                    chunk.refuse_content(refusal_of(flaw));
                    self.abort(Abort::Refused(refusal_of(flaw)));
                }
            }
        }
        self.renew(now, bytes.len());
        true
    }

    /// Whether so many octets are more than are read only to be thrown away.
    pub(super) fn is_too_much_to_discard(&self, octets: u64) -> bool {
        let most = match self.config.max_message_size {
            0 => DISCARD_WITHOUT_LIMIT,
            limit => limit.saturating_mul(2).saturating_add(DISCARD_MORE),
        };
        octets > most
    }

    /// Says why content is refused without waiting for its end, and closes: a client that sends this much will not stop for a reply.
    pub(super) fn refuse_to_read_on(&mut self, reply: &Reply) {
        self.say(reply);
        self.abort(Abort::Refused(reply.clone()));
        self.close(Closing::Refused);
    }

    /// A chunk was read whole.
    fn chunk_read(&mut self) {
        let Phase::Chunk(chunk) = std::mem::replace(&mut self.phase, Phase::Command) else { return };
        match chunk.refusal {
            Some(Refusal::Command { reply, line }) => self.refuse_line(line, reply),
            Some(Refusal::Content { reply }) if chunk.last => self.end(Some(reply), chunk.recipients),
            Some(Refusal::Content { reply }) => self.say(&reply),
            None if !chunk.last => self.say(&replies::chunk_received(chunk.size)),
            None => {
                // A CR at the very end has no LF.
                let flaw = self.transaction.as_ref().and_then(|transaction| match transaction.body {
                    Body::BinaryMime => None,
                    Body::SevenBit | Body::EightBitMime => transaction.flaws.finish(),
                });
                let refusal = flaw.map(refusal_of);
                if let Some(reply) = &refusal {
                    self.abort(Abort::Refused(reply.clone()));
                }
                self.end(refusal, chunk.recipients);
            }
        }
    }

    /// The content is whole: asks for the decision, or says why it is refused.
    fn end(&mut self, refusal: Option<Reply>, recipients: usize) {
        match refusal {
            None => {
                self.events.push_back(Event::End);
                self.phase = Phase::Asked(Question::End);
            }
            Some(reply) => {
                let copies = if self.config.protocol == Protocol::Lmtp { recipients } else { 1 };
                for _ in 0..copies {
                    self.say(&reply);
                }
                self.phase = Phase::Command;
                self.deadline = None;
            }
        }
    }

    /// Content came: it has more time, in proportion, but never more than the idle timeout from now.
    fn renew(&mut self, now: Instant, octets: usize) {
        let latest = now + self.config.idle_timeout;
        let earned = Duration::from_millis(octets as u64 * 1000 / MIN_CONTENT_RATE);
        self.deadline = Some(self.deadline.map_or(latest, |deadline| (deadline + earned).min(latest)));
    }
}

/// Refused content is read to its end, so that the client hears why, but no further than twice the limit for a message and this.
const DISCARD_MORE: u64 = 1 << 20;

/// The same where messages have no limit.
const DISCARD_WITHOUT_LIMIT: u64 = 1 << 30;

fn refusal_of(flaw: Flaw) -> Reply {
    match flaw {
        Flaw::BareCr | Flaw::BareLf => replies::BARE_LINE_ENDING_IN_CONTENT,
        Flaw::Nul => replies::NUL_IN_CONTENT,
    }
}
