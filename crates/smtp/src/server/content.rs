//! Content: by DATA or in chunks, and what is refused in it.

use super::text::{Text, refusal_of};
use super::{Abort, Closing, Config, Event, MIN_CONTENT_RATE, Phase, Question, Server};
use crate::{Protocol, Reply, replies};
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
    /// Looks at the content where that takes more than the decoder does.
    text: Option<Box<Text>>,
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
    pub(super) fn new(recipients: usize, config: &Config) -> Data {
        let text = Text::is_wanted(config).then(|| Box::new(Text::new(config)));
        Data { decoder: Decoder::new(), recipients, refusal: None, text }
    }

    /// Whether lines ended otherwise than in CRLF, so that the client may mean an end that is none.
    pub(super) fn has_bare_endings(&self) -> bool {
        matches!(self.decoder.flaw(), Some(Flaw::BareCr | Flaw::BareLf))
    }

    /// Looks at what was decoded; returns what the application gets, or why it gets nothing.
    fn inspect(&mut self, bytes: Bytes, config: &Config) -> Result<Bytes, Reply> {
        if let Some(text) = &mut self.text {
            return text.take(bytes, config);
        }
        // What came first counts, however the content was cut.
        match self.decoder.flaw_at().filter(|(_, at)| !config.is_too_big(*at)) {
            Some((flaw, _)) => Err(refusal_of(flaw)),
            None if config.is_too_big(self.decoder.size()) => Err(replies::MESSAGE_TOO_BIG),
            None => Ok(bytes),
        }
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
                self.renew(now, bytes.len());
                self.data_came(bytes);
            }
            Some(Piece::End) => {
                let (refusal, recipients) = (data.refusal.take(), data.recipients);
                self.end(refusal, recipients);
            }
        }
        true
    }

    /// Hands content on, or refuses it, or throws it away.
    fn data_came(&mut self, bytes: Bytes) {
        let Phase::Data(data) = &mut self.phase else { return };
        if let Some(reply) = &data.refusal {
            let (size, reply) = (data.decoder.size(), reply.clone());
            if self.is_too_much_to_discard(size) {
                self.refuse_to_read_on(&reply);
            }
            return;
        }
        match data.inspect(bytes, &self.config) {
            Ok(bytes) => self.events.push_back(Event::Content(bytes)),
            Err(reply) => {
                data.refusal = Some(reply.clone());
                self.abort(Abort::Refused(reply));
            }
        }
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
        let octets = bytes.len();
        chunk.left -= octets as u64;
        if chunk.refusal.is_none()
            && let Some(transaction) = &mut self.transaction
        {
            transaction.received += octets as u64;
            let content = match &mut transaction.text {
                None => Ok(bytes),
                Some(text) => text.take(bytes, &self.config),
            };
            match content {
                Ok(bytes) => self.events.push_back(Event::Content(bytes)),
                Err(reply) => {
                    chunk.refuse_content(reply.clone());
                    self.abort(Abort::Refused(reply));
                }
            }
        }
        self.renew(now, octets);
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
                let text = self.transaction.as_ref().and_then(|transaction| transaction.text.as_ref());
                let refusal = match text.map_or(Ok(None), |text| text.finish(&self.config)) {
                    Ok(rest) => {
                        self.events.extend(rest.map(Event::Content));
                        None
                    }
                    Err(reply) => {
                        self.abort(Abort::Refused(reply.clone()));
                        Some(reply)
                    }
                };
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
