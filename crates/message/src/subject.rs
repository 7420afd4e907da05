//! What a subject is about, without what replies and forwards add to it (RFC 5256 §2.1).

/// As many octets of a subject count: what is longer is cut, so that no subject takes long.
const SUBJECT_MAX: usize = 1000;

/// What a subject is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// The base subject (RFC 5256 §2.1).
    pub text: String,
    /// Whether the subject says that the message answers or passes on another one.
    pub is_reply: bool,
}

/// The base of a decoded subject, of which the first 1,000 octets count.
pub fn base(subject: &str) -> Base {
    let subject = &subject[..subject.floor_char_boundary(SUBJECT_MAX)];
    let whole = subject.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut text = whole.as_str();
    let mut is_reply = false;
    loop {
        // Step 2: trailers.
        while let Some(before) = strip_suffix(text.trim_end(), "(fwd)") {
            text = before;
            is_reply = true;
        }
        text = text.trim();
        // Steps 3 to 5: leaders, and blobs before a base that is not empty.
        loop {
            if let Some(rest) = after_leader(text) {
                text = rest.trim_start();
                is_reply = true;
            } else if let Some(rest) = after_blob(text).filter(|rest| !rest.trim().is_empty()) {
                text = rest.trim_start();
            } else {
                break;
            }
        }
        // Step 6: [fwd: …].
        match strip_prefix(text, "[fwd:").and_then(|rest| rest.strip_suffix(']')) {
            Some(inner) => {
                text = inner.trim();
                is_reply = true;
            }
            None => return Base { text: text.to_owned(), is_reply },
        }
    }
}

/// What follows `*blob refwd`: `[x] Re [y]:`.
fn after_leader(text: &str) -> Option<&str> {
    let mut rest = text;
    while let Some(after) = after_blob(rest) {
        rest = after.trim_start();
    }
    let word = ["re", "fwd", "fw"].into_iter().find_map(|word| strip_prefix(rest, word))?;
    let word = word.trim_start();
    after_blob(word).unwrap_or(word).trim_start().strip_prefix(':')
}

/// What follows `[…]`.
fn after_blob(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('[')?;
    let end = inner.find(['[', ']'])?;
    inner[end..].strip_prefix(']')
}

fn strip_prefix<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let start = text.get(..prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then(|| &text[prefix.len()..])
}

fn strip_suffix<'a>(text: &'a str, suffix: &str) -> Option<&'a str> {
    let at = text.len().checked_sub(suffix.len())?;
    text.get(at..)?.eq_ignore_ascii_case(suffix).then(|| &text[..at])
}

#[cfg(test)]
mod tests {
    use super::base;

    #[test]
    fn bases() {
        let cases = [
            ("Lunch", "Lunch", false),
            ("  Re: [list]  Fwd :  Lunch \t today (fwd) ", "Lunch today", true),
            ("[list] Lunch", "Lunch", false),
            ("[list]", "[list]", false),
            ("[Fwd: [x] re[2]: Lunch]", "Lunch", true),
            ("", "", false),
        ];
        for (subject, text, is_reply) in cases {
            let found = base(subject);
            assert_eq!((found.text.as_str(), found.is_reply), (text, is_reply), "{subject}");
        }
    }

    #[test]
    fn no_subject_takes_long() {
        for piece in ["[a]", "re:", "[fwd:", "(fwd)", "é", " "] {
            assert!(base(&piece.repeat(1_000_000)).text.len() <= 1000, "{piece}");
        }
    }
}
