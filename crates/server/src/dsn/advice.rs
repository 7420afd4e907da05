//! What a sender can do about a failure, and how long something took: the sentences of a report that are not a host's.
//!
//! Pure functions of [`super::text`]. `posthaste explain` has words of its own for the same statuses: those are for operators.

use smtp::{Reply, ReplySource, Severity, Status};

/// What a reply means for who sent the message, and what to do.
pub(super) fn advice(reply: &Reply) -> &'static str {
    let Some(Status { subject, detail }) = reply.status() else { return GENERAL };
    let is_its_own_word = reply.source() == ReplySource::Peer && reply.severity() == Severity::Permanent;
    match (subject, detail) {
        // Whoever says so was reached: Exchange means an unknown recipient.
        (4, 1) if is_its_own_word => NO_MAILBOX,
        (1, 2) => "The domain behind the @ does not exist, or has no mail server. Check how it is spelled.",
        (1, 6) => "The mailbox has moved. Ask the recipient in another way for the new address.",
        (1, 7 | 8) => {
            "The other server finds fault with your own address. Show this report to your administrator."
        }
        (1, 10) => "The domain behind the @ takes no mail at all. Ask the recipient for another address.",
        (1, _) => NO_MAILBOX,
        (2, 1) => "The mailbox is closed. Ask the recipient in another way for another address.",
        (2, 2) => "The mailbox is full. Send the message again when the recipient has made room.",
        (2, 3) | (3, 4) => {
            "The message is too large. Send less at once, or put large files where the recipient can fetch them."
        }
        (2, _) => "The mailbox takes no mail now. Ask the recipient in another way.",
        (3, _) => {
            "The other server has trouble of its own, or takes no mail now. Send the message again later."
        }
        (4, 3) => {
            "The domain behind the @ could not be looked up. Check how it is spelled, or send the message again later."
        }
        (4, 4) => {
            "No usable way leads to the domain behind the @. Check how it is spelled; whoever runs it has to mend the rest."
        }
        (4, 6 | 14) => {
            "The message went in a circle between servers. Only their administrators can mend that."
        }
        (4, _) => {
            "The other server could not be reached. Check the domain behind the @; if it is right, send the message again later."
        }
        (6, 7) => {
            "The address has letters beyond ASCII, and the other server takes none. Ask the recipient for another one."
        }
        (6, _) => "The other server does not take such content. Send it in another form, such as plain text.",
        (7, 4 | 5 | 10 | 30) => {
            "No connection could be had that was protected as it had to be. Administrators have to mend that."
        }
        (7, 20..=29) => {
            "The other server doubts that the message is yours. Your administrator can mend that (SPF, DKIM, DNS)."
        }
        // Our own word: see crate::queue::orders. What we say of a login that failed is not for good.
        (7, 0) if reply.source() == ReplySource::Own && reply.severity() == Severity::Permanent => {
            "Your administrator took the message out of the queue. Ask there before you send it again."
        }
        (7, _) => {
            "The other server's rules do not allow the message. Its words may say why; your administrator can ask there."
        }
        _ => GENERAL,
    }
}

/// How long something took, in words.
pub(super) fn span(milliseconds: i64) -> String {
    let minutes = milliseconds / 60_000;
    let (count, unit) = match minutes {
        2880.. => (minutes / 1440, "day"),
        120.. => (minutes / 60, "hour"),
        _ => (minutes.max(1), "minute"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

const NO_MAILBOX: &str =
    "There is no such mailbox. Check the address, or ask the recipient in another way for the right one.";
const GENERAL: &str = "Check the address, or ask the recipient in another way.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_said_in_words() {
        let minute = 60_000;
        let hour = 60 * minute;
        for (time, words) in [
            (0, "1 minute"),
            (90 * minute, "90 minutes"),
            (5 * hour, "5 hours"),
            (47 * hour, "47 hours"),
            (5 * 24 * hour + 3, "5 days"),
        ] {
            assert_eq!(span(time), words);
        }
    }
}
