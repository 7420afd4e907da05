//! What a subject is about, without what replies and forwards add to it (RFC 5256 §2.1).

/// The base subject of a decoded subject.
pub fn base(subject: &str) -> String {
    extract(subject).0
}

/// Whether a decoded subject says that the message answers or passes on another one (RFC 5256 §2.1).
pub fn is_reply(subject: &str) -> bool {
    extract(subject).1
}

fn extract(subject: &str) -> (String, bool) {
    let mut text = subject.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut is_reply = false;
    loop {
        // Step 2: trailers.
        while let Some(before) = strip_suffix(text.trim_end(), "(fwd)") {
            text = before.trim_end().to_owned();
            is_reply = true;
        }
        text = text.trim().to_owned();
        // Steps 3 to 5: leaders, and blobs before a base that is not empty.
        loop {
            if let Some(rest) = after_leader(&text) {
                text = rest.trim_start().to_owned();
                is_reply = true;
            } else if let Some(rest) = after_blob(&text).filter(|rest| !rest.trim().is_empty()) {
                text = rest.trim_start().to_owned();
            } else {
                break;
            }
        }
        // Step 6: [fwd: …].
        match strip_prefix(&text, "[fwd:").and_then(|rest| rest.strip_suffix(']')) {
            Some(inner) => {
                text = inner.trim().to_owned();
                is_reply = true;
            }
            None => return (text, is_reply),
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
