//! The small languages inside the lines of a chat: escapes, patterns, replies.

use smtp::{Reply, Status};

/// Reads escapes and repetitions.
pub(super) fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut octets = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some((repeated, after)) = repetition(rest) {
            octets.extend(repeated?);
            rest = after;
            continue;
        }
        if c != '\\' {
            octets.extend_from_slice(c.to_string().as_bytes());
            rest = &rest[c.len_utf8()..];
            continue;
        }
        let code = rest[1..].chars().next().ok_or("a backslash at the end")?;
        let (octet, length) = match code {
            'r' => (b'\r', 2),
            'n' => (b'\n', 2),
            't' => (b'\t', 2),
            '0' => (0, 2),
            '\\' => (b'\\', 2),
            'x' => {
                let digits = rest.get(2..4).ok_or("\\x has two digits")?;
                (u8::from_str_radix(digits, 16).map_err(|_| format!("`\\x{digits}`"))?, 4)
            }
            _ => return Err(format!("`\\{code}` is no escape")),
        };
        octets.push(octet);
        rest = &rest[length..];
    }
    Ok(octets)
}

/// `{text*N}` at the front: the octets that it stands for, and what follows it.
fn repetition(text: &str) -> Option<(Result<Vec<u8>, String>, &str)> {
    let (inner, after) = text.strip_prefix('{')?.split_once('}')?;
    let (repeated, times) = inner.rsplit_once('*')?;
    let times = times.parse().ok()?;
    Some((unescape(repeated).map(|octets| octets.repeat(times)), after))
}

/// Writes octets so that [`unescape`] reads them.
pub(super) fn escape(octets: &[u8]) -> String {
    let mut out = String::new();
    for chunk in octets.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\r' => out.push_str("\\r"),
                '\n' => out.push_str("\\n"),
                '\t' => out.push_str("\\t"),
                '\0' => out.push_str("\\0"),
                '\\' => out.push_str("\\\\"),
                c if c.is_ascii_control() => out.push_str(&format!("\\x{:02X}", u32::from(c))),
                c => out.push(c),
            }
        }
        for octet in chunk.invalid() {
            out.push_str(&format!("\\x{octet:02X}"));
        }
    }
    out
}

/// Whether `text` has the form of `pattern`, in which `...` stands for any text.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split("...");
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// Reads a reply as it is written in one line: `550 5.1.1 No such mailbox here`.
pub(super) fn reply(text: &str) -> Result<Reply, String> {
    let mut parser = smtp::ReplyParser::new();
    parser.receive(text.as_bytes());
    parser.receive(b"\r\n");
    match parser.next_reply() {
        Ok(Some(reply)) => Ok(reply),
        _ => Err(format!("`{text}` is no reply")),
    }
}

/// Reads a decision that is a challenge: `challenge Username:`.
pub(super) fn challenge(text: &str) -> Option<Vec<u8>> {
    let challenge = text.strip_prefix("challenge")?;
    unescape(challenge.strip_prefix(' ').unwrap_or(challenge)).ok()
}

/// The three numbers of a status, if there is one, for messages about replies.
pub(super) fn status(reply: &Reply) -> String {
    let class = reply.code().number() / 100;
    match reply.status() {
        Some(Status { subject, detail }) => format!(" {class}.{subject}.{detail}"),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::{escape, matches, unescape};

    #[test]
    fn escapes_and_repetitions_are_octets() {
        assert_eq!(unescape(r"a\r\n\0\xFF\\{ab*2}{x}"), Ok(b"a\r\n\0\xff\\abab{x}".to_vec()));
        assert_eq!(unescape(&escape(b"\x00\x01\xffa\\\r\n")), Ok(b"\x00\x01\xffa\\\r\n".to_vec()));
        assert!(unescape("\\q").is_err());
    }

    #[test]
    fn dots_stand_for_any_text() {
        assert!(matches("250 Ok...", "250 Ok: queued as 1"));
        assert!(matches("250 ... as ...", "250 Ok: queued as 1"));
        assert!(!matches("250 Ok", "250 Okay"));
        assert!(!matches("250 ... as", "250 Ok: queued as 1"));
    }
}
