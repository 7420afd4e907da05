//! One delivery: what of the envelope can be sent, what was sent, and what became of each recipient.

use super::{Chunking, Config};
use crate::{
    Body, Command, Envelope, Extensions, ForwardPath, MailParameters, RcptParameters, Reply, ReversePath,
    Severity, replies,
};
use wire::FlawFinder;
use wire::dot::Encoder;

/// A delivery in hand.
#[derive(Debug)]
pub(super) struct Delivery {
    envelope: Envelope,
    size: Option<u64>,
    /// The final reply for each recipient, as far as it is known.
    outcome: Vec<Option<Reply>>,
    /// The recipients accepted by RCPT, in order.
    pub(super) accepted: Vec<usize>,
    /// MAIL was accepted, and no reply to content has ended the transaction.
    pub(super) open: bool,
    pub(super) next: Next,
    pub(super) content: Content,
}

/// What is to be sent next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// MAIL.
    Mail,
    /// The recipient with this index, or one after it.
    Rcpt(usize),
    /// DATA or the first chunk.
    Content,
    /// Nothing more.
    Nothing,
}

/// How content is sent.
#[derive(Debug)]
pub(super) enum Content {
    /// By DATA.
    Dots(Encoder),
    /// By BDAT.
    Chunks {
        /// What looks for flaws; none in binary content.
        flaws: Option<FlawFinder>,
        /// The last octet so far.
        last_octet: Option<u8>,
        /// The application said that it is whole.
        whole: bool,
    },
}

impl Delivery {
    /// Prepares an envelope for what a server offers. What it cannot take is refused here.
    pub(super) fn new(
        envelope: Envelope,
        size: Option<u64>,
        offered: &Extensions,
        config: &Config,
    ) -> Delivery {
        let chunked = offered.chunking()
            && (envelope.body == Body::BinaryMime || config.chunking == Chunking::WhenOffered);
        let content = if chunked {
            let flaws = (envelope.body != Body::BinaryMime).then(FlawFinder::new);
            Content::Chunks { flaws, last_octet: None, whole: false }
        } else {
            Content::Dots(Encoder::new())
        };
        let mut delivery = Delivery {
            outcome: vec![None; envelope.recipients.len()],
            envelope,
            size,
            accepted: Vec::new(),
            open: false,
            next: Next::Mail,
            content,
        };
        if let Some(reply) = delivery.refusal(offered) {
            delivery.settle_rest(&reply);
        }
        delivery.refuse_recipients(offered);
        if delivery.all_settled() {
            delivery.next = Next::Nothing;
        }
        delivery
    }

    /// Why the server could not take the message for anybody.
    fn refusal(&mut self, offered: &Extensions) -> Option<Reply> {
        let envelope = &mut self.envelope;
        if !offered.smtputf8() {
            let reverse_path = ascii_reverse_path(&envelope.reverse_path);
            match reverse_path {
                Some(path) if !envelope.smtputf8 => envelope.reverse_path = path,
                // RFC 6531 §3.2: the message must not be sent.
                _ => return Some(replies::PEER_LACKS_SMTPUTF8),
            }
        }
        if envelope.require_tls && !offered.require_tls() {
            return Some(replies::PEER_LACKS_REQUIRETLS);
        }
        let body_fits = match envelope.body {
            Body::SevenBit => true,
            Body::EightBitMime => offered.eight_bit_mime(),
            Body::BinaryMime => offered.binary_mime() && offered.chunking(),
        };
        if !body_fits {
            return Some(replies::PEER_LACKS_BODY);
        }
        let too_big = self.size.zip(offered.size_limit()).is_some_and(|(size, limit)| size > limit);
        too_big.then_some(replies::MESSAGE_TOO_BIG)
    }

    /// Refuses the recipients that the server could not take.
    fn refuse_recipients(&mut self, offered: &Extensions) {
        let limit = offered.limits().recipients.unwrap_or(u64::MAX);
        let mut sent = 0;
        for (recipient, outcome) in self.envelope.recipients.iter_mut().zip(&mut self.outcome) {
            if outcome.is_some() {
                continue;
            }
            if !offered.smtputf8() {
                match ascii_forward_path(&recipient.forward_path) {
                    Some(path) => recipient.forward_path = path,
                    None => {
                        *outcome = Some(replies::PEER_LACKS_SMTPUTF8);
                        continue;
                    }
                }
            }
            if sent >= limit {
                *outcome = Some(replies::TOO_MANY_RECIPIENTS);
                continue;
            }
            sent += 1;
        }
    }

    /// The MAIL command.
    pub(super) fn mail(&self, offered: &Extensions) -> Command {
        let envelope = &self.envelope;
        let utf8 = envelope.smtputf8
            || !envelope.reverse_path.is_ascii()
            || envelope.recipients.iter().any(|recipient| !recipient.forward_path.is_ascii());
        let parameters = MailParameters {
            size: self.size.filter(|_| offered.size()),
            body: envelope.body,
            smtputf8: utf8 && offered.smtputf8(),
            ret: envelope.ret.filter(|_| offered.dsn()),
            envelope_id: envelope.envelope_id.clone().filter(|_| offered.dsn()),
            // Nobody who could be trusted to say so said who submitted the message.
            auth: None,
            require_tls: envelope.require_tls,
        };
        Command::Mail(envelope.reverse_path.clone(), parameters)
    }

    /// The first recipient from `from` on that is to be sent, with its RCPT command.
    pub(super) fn rcpt(&self, from: usize, offered: &Extensions) -> Option<(usize, Command)> {
        let index = (from..self.outcome.len()).find(|index| self.outcome[*index].is_none())?;
        let recipient = &self.envelope.recipients[index];
        let parameters = RcptParameters {
            notify: recipient.notify.filter(|_| offered.dsn()),
            original: recipient.original.clone().filter(|_| offered.dsn()),
        };
        Some((index, Command::Rcpt(recipient.forward_path.clone(), parameters)))
    }

    /// Takes note of the reply to a RCPT.
    pub(super) fn rcpt_answered(&mut self, index: usize, reply: Reply) {
        // After a refused MAIL each recipient has that reply already, and this one says only that MAIL is
        // missing.
        if self.outcome[index].is_some() {
            return;
        }
        if reply.severity() == Severity::Positive {
            self.accepted.push(index);
            return;
        }
        // RFC 5321 §4.5.3.1.10: 552 may be the old code for too many recipients, which is no permanent
        // failure.
        let too_many = reply.code().number() == 552 && !self.accepted.is_empty();
        let reply = if too_many { reply.read_as(&replies::TOO_MANY_RECIPIENTS) } else { reply };
        self.outcome[index] = Some(reply);
    }

    /// Whether a recipient has its final reply.
    pub(super) fn is_settled(&self, index: usize) -> bool {
        self.outcome[index].is_some()
    }

    /// Whether every recipient has its final reply.
    pub(super) fn all_settled(&self) -> bool {
        self.outcome.iter().all(Option::is_some)
    }

    /// Gives one recipient its final reply.
    pub(super) fn settle(&mut self, index: usize, reply: Reply) {
        self.outcome[index] = Some(reply);
    }

    /// Gives all recipients that have none this final reply.
    pub(super) fn settle_rest(&mut self, reply: &Reply) {
        for outcome in &mut self.outcome {
            outcome.get_or_insert_with(|| reply.clone());
        }
    }

    /// Whether any recipient has a final reply that says it was delivered.
    pub(super) fn any_delivered(&self) -> bool {
        self.outcome.iter().flatten().any(|reply| reply.severity() == Severity::Positive)
    }

    /// The final replies. Whoever has none by now was accepted, and the reply to the content never came.
    pub(super) fn into_outcome(mut self) -> Vec<Reply> {
        debug_assert!(self.all_settled(), "a recipient without a reply");
        self.settle_rest(&replies::CONNECTION_LOST);
        self.outcome.into_iter().flatten().collect()
    }
}

/// The path in ASCII: only its domain can be converted (RFC 6531 §3.2 forbids to alter a local part).
fn ascii_reverse_path(path: &ReversePath) -> Option<ReversePath> {
    match path {
        ReversePath::Null => Some(ReversePath::Null),
        ReversePath::Mailbox(mailbox) => mailbox.to_ascii().map(ReversePath::Mailbox),
    }
}

fn ascii_forward_path(path: &ForwardPath) -> Option<ForwardPath> {
    match path {
        ForwardPath::Postmaster => Some(ForwardPath::Postmaster),
        ForwardPath::Mailbox(mailbox) => mailbox.to_ascii().map(ForwardPath::Mailbox),
    }
}
