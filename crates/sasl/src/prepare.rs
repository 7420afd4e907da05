//! The preparation of user names and passwords.

use std::borrow::Cow;

/// Text as it is compared and hashed: SASLprep (RFC 4013) where that is defined, and the text itself where it is not.
///
/// SASLprep knows Unicode 3.2 only and forbids what came later, emoji among it. Such a password stays usable: both sides
/// take it as it is, as PostgreSQL does. A client that insists on SASLprep will not send it, which no server can mend.
pub fn prepare(text: &str) -> Cow<'_, str> {
    stringprep::saslprep(text).unwrap_or(Cow::Borrowed(text))
}

#[cfg(test)]
mod tests {
    use super::prepare;

    #[test]
    fn follows_the_examples_of_rfc_4013_and_leaves_alone_what_it_does_not_define() {
        // RFC 4013 §3.
        assert_eq!(prepare("I\u{ad}X"), "IX");
        assert_eq!(prepare("user"), "user");
        assert_eq!(prepare("USER"), "USER");
        assert_eq!(prepare("\u{aa}"), "a");
        assert_eq!(prepare("\u{2168}"), "IX");
        // Prohibited characters, a bidirectional mixture, a character after Unicode 3.2.
        for text in ["\u{7}", "\u{627}\u{31}", "correct \u{1f40e} battery"] {
            assert_eq!(prepare(text), text);
        }
    }
}
