//! What is said to senders of a connection that failed, of a letter whose recipients got different replies, and what the replies say of the
//! host: pure functions of [`super::session`].

use super::Letter;
use smtp::client::Failure;
use smtp::{Reply, ReplySource, Severity, Status};

/// A failed connection, as a reply: always transient, but for a host that says that it takes no mail at all.
pub(super) fn trouble(failure: &Failure) -> Reply {
    match failure {
        // RFC 7504 §3: 521 is for good. Others greet with 5yz when they are busy, or dislike our address today.
        Failure::Greeting(reply) if reply.code().number() == 521 => reply.clone(),
        Failure::ServiceClosing(reply) => reply.clone(),
        Failure::Content(_) => {
            FLAWED.with_text("The message has a bare CR or LF, or a NUL, and cannot be sent by SMTP")
        }
        Failure::NoMechanism { .. } | Failure::Authentication(_) => NO_LOGIN.with_text(sentence(failure)),
        Failure::NoTls | Failure::TlsRefused(_) => NO_STARTTLS.with_text(sentence(failure)),
        Failure::Greeting(_) | Failure::Hello(_) => NOT_SERVING.with_text(sentence(failure)),
        _ => CONNECTION_BROKE.with_text(sentence(failure)),
    }
}

fn sentence(failure: &Failure) -> String {
    let text = failure.to_string();
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// `452 4.5.3`: too many recipients for one transaction.
pub(super) fn is_too_many(reply: &Reply) -> bool {
    reply.code().number() == 452 && reply.status() == Some(Status { subject: 5, detail: 3 })
}

/// What transactions came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Somebody got the mail.
    pub taken: u32,
    /// Nobody got it, and the host would rather not have had it now.
    pub put_off: u32,
}

impl Tally {
    /// Counts a transaction with these replies.
    pub(super) fn count(&mut self, letter: &Letter, replies: &[Reply]) {
        let pairs = || letter.deliveries.iter().zip(replies);
        if replies.iter().any(|reply| reply.severity() == Severity::Positive) {
            self.taken += 1;
        } else if pairs().any(|(delivery, reply)| is_about_pace(reply, delivery.attempts)) {
            self.put_off += 1;
        }
    }
}

/// Whether a host that says this to a delivery that was tried so often before would rather have less mail at the moment. It would not when the reply is about an
/// address, a mailbox or the message, or when it looks like greylisting, which wants a second attempt and no slower one.
fn is_about_pace(reply: &Reply, attempts: u32) -> bool {
    let grey = |text: &str| ["greylist", "graylist"].iter().any(|word| text.contains(word));
    if reply.source() != ReplySource::Peer || reply.severity() != Severity::Transient {
        return false;
    }
    match reply.status() {
        _ if grey(&reply.to_string().to_ascii_lowercase()) => false,
        None => reply.code().number() != 450,
        Some(Status { subject: 1 | 2 | 6, .. } | Status { subject: 5, detail: 3 }) => false,
        Some(Status { subject: 7, detail: 1 }) if attempts == 0 => false,
        Some(_) => true,
    }
}

/// The recipients of a letter whose replies are wanted, and the others, each with theirs.
pub fn split(letter: &Letter, replies: &[Reply], wanted: impl Fn(&Reply) -> bool) -> (Answered, Answered) {
    let part = |keep: &dyn Fn(&Reply) -> bool| {
        let mut part = letter.clone();
        let kept: Vec<usize> = (0..replies.len()).filter(|&place| keep(&replies[place])).collect();
        part.deliveries = kept.iter().map(|&place| letter.deliveries[place].clone()).collect();
        part.envelope.recipients =
            kept.iter().map(|&place| letter.envelope.recipients[place].clone()).collect();
        (part, kept.into_iter().map(|place| replies[place].clone()).collect())
    };
    (part(&wanted), part(&|reply| !wanted(reply)))
}

/// A letter with a reply for each of its recipients.
type Answered = (Letter, Vec<Reply>);

const fn status(subject: u16, detail: u16) -> Option<Status> {
    Some(Status { subject, detail })
}

/// X.4.2 bad connection.
pub(super) const CONNECTION_BROKE: Reply = Reply::new(451, status(4, 2), "");
/// X.7.0 other or undefined security status: in class 4 whatever the host says, for the mail is not to blame.
pub(super) const NO_LOGIN: Reply = Reply::new(451, status(7, 0), "");
/// The same, where the host is to be doubted.
pub(super) const NOT_BELIEVED: Reply = Reply::new(451, status(7, 0), "");
/// X.7.4 security features not supported.
pub(super) const NO_STARTTLS: Reply = Reply::new(451, status(7, 4), "");
/// X.7.5 cryptographic failure.
pub(super) const NO_HANDSHAKE: Reply = Reply::new(451, status(7, 5), "");
/// X.3.2 system not accepting network messages.
pub(super) const NOT_SERVING: Reply = Reply::new(451, status(3, 2), "");
/// X.3.0 other mail system status.
pub(super) const UNREADABLE: Reply = Reply::new(451, status(3, 0), "");
/// X.6.0 other media error.
pub(super) const FLAWED: Reply = Reply::new(554, status(6, 0), "");
