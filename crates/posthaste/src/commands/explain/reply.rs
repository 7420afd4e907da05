//! What a reply means, in plain words with the section that says so.

/// What follows from the class of a reply's code; nothing when there is none.
pub(super) fn class(reply: &str) -> Option<&'static str> {
    Some(match reply.as_bytes().first()? {
        b'2' => "taken: the other host is responsible for it from then on (RFC 5321 §4.2.5)",
        b'4' => "not taken for now; it is tried again (RFC 5321 §4.2.1, §4.5.4.1)",
        b'5' => "refused for good: trying again would not help (RFC 5321 §4.2.1)",
        _ => return None,
    })
}

/// What the enhanced status of a reply says (RFC 3463); nothing when there is none, or it says no more than the code.
pub(super) fn status(reply: &str) -> Option<&'static str> {
    let status = reply.split([' ', '-']).nth(1)?;
    let mut parts = status.split('.');
    let (class, subject, detail) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || !matches!(class, "4" | "5") || detail.is_empty() {
        return None;
    }
    let known = KNOWN.iter().find(|(code, _)| *code == format!("{subject}.{detail}"));
    let whole = known.map(|(_, meaning)| *meaning);
    whole.or_else(|| SUBJECTS.iter().find(|(code, _)| *code == subject).map(|(_, meaning)| *meaning))
}

/// What is said most often.
const KNOWN: [(&str, &str); 30] = [
    ("1.1", "there is no such mailbox (RFC 3463 §3.2)"),
    ("1.2", "there is no such domain, or no mail host for it (RFC 3463 §3.2)"),
    ("1.6", "the mailbox has moved (RFC 3463 §3.2)"),
    ("1.8", "the sender's domain is not there (RFC 3463 §3.2)"),
    ("1.10", "the domain says that it takes no mail (RFC 7505 §4)"),
    ("2.1", "the mailbox is disabled (RFC 3463 §3.3)"),
    ("2.2", "the mailbox is full (RFC 3463 §3.3)"),
    ("2.3", "the message is longer than is taken for that mailbox (RFC 3463 §3.3)"),
    ("3.1", "the other host's disk is full (RFC 3463 §3.4)"),
    ("3.2", "the other host takes no mail now (RFC 3463 §3.4)"),
    ("3.4", "the message is too long for the other host (RFC 3463 §3.4)"),
    ("4.1", "no host answered (RFC 3463 §3.5)"),
    ("4.2", "the connection broke (RFC 3463 §3.5)"),
    ("4.3", "the domain could not be looked up (RFC 3463 §3.5)"),
    ("4.4", "no way to the domain is known (RFC 3463 §3.5)"),
    ("4.5", "the other host is busy (RFC 3463 §3.5)"),
    ("4.6", "the mail goes in a circle (RFC 3463 §3.5)"),
    ("4.7", "it took too long (RFC 3463 §3.5)"),
    ("5.3", "too many recipients at once (RFC 3463 §3.6)"),
    ("6.3", "the message would have to be converted (RFC 3463 §3.7)"),
    ("6.7", "an address beyond ASCII, and the other host takes none (RFC 6531 §3.5)"),
    ("7.0", "a matter of policy (RFC 3463 §3.8)"),
    ("7.1", "the other host's policy does not want it, or not yet (RFC 3463 §3.8)"),
    ("7.5", "TLS could not be had as it was required (RFC 3463 §3.8)"),
    ("7.8", "the login was wrong (RFC 4954 §6)"),
    ("7.10", "the domain asks for TLS that the host does not have (RFC 8689 §5)"),
    ("7.23", "SPF failed (RFC 7372 §3.2)"),
    ("7.25", "our address has no name that leads back to it (RFC 7372 §3.3)"),
    ("7.26", "the message was not authenticated (RFC 7372 §3.4)"),
    ("7.27", "the sender's domain takes no mail (RFC 7505 §4)"),
];

/// What else may be said.
const SUBJECTS: [(&str, &str); 7] = [
    ("1", "something is wrong with an address (RFC 3463 §3.2)"),
    ("2", "something is wrong with the mailbox (RFC 3463 §3.3)"),
    ("3", "something is wrong with the other host (RFC 3463 §3.4)"),
    ("4", "something is wrong on the way (RFC 3463 §3.5)"),
    ("5", "the other host did not understand (RFC 3463 §3.6)"),
    ("6", "something is wrong with the content (RFC 3463 §3.7)"),
    ("7", "a matter of security or policy (RFC 3463 §3.8)"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_put_into_words() {
        for (reply, expected) in [
            ("550 5.1.1 No such user", Some("there is no such mailbox (RFC 3463 §3.2)")),
            (
                "451 4.7.1 Greylisted",
                Some("the other host's policy does not want it, or not yet (RFC 3463 §3.8)"),
            ),
            ("550-5.7.26 not authenticated", Some("the message was not authenticated (RFC 7372 §3.4)")),
            ("550 5.7.99 odd", Some("a matter of security or policy (RFC 3463 §3.8)")),
            ("550 5.9.1 odder", None),
            ("550 no status", None),
            ("250 2.1.1 fine", None),
            ("451", None),
            ("451 4.7.1.9 x", None),
            ("", None),
        ] {
            assert_eq!(status(reply), expected, "{reply}");
        }
    }

    #[test]
    fn a_class_says_what_follows() {
        assert!(class("250 ok").expect("one").starts_with("taken"));
        assert!(class("421 bye").expect("one").starts_with("not taken for now"));
        assert!(class("554 no").expect("one").starts_with("refused"));
        assert_eq!((class(""), class("354 go")), (None, None));
    }
}
