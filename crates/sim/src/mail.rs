//! Messages that can be told from each other and checked without anything but themselves: a number and a length decide every byte.

use crate::random::Random;

/// One message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mail {
    /// No two messages of a campaign have the same.
    pub token: u64,
    /// About how many bytes it has.
    pub size: u32,
}

const FIELD: &str = "X-Sim-Token: ";

impl Mail {
    /// Its content, as it is to be stored: lines with CRLF, some of which begin with a dot.
    pub fn content(self) -> Vec<u8> {
        let mut random = Random::new(self.token);
        let mut text =
            format!("{FIELD}{:016x} {}\r\nSubject: simulated\r\n\r\n", self.token, self.size).into_bytes();
        while text.len() < self.size as usize {
            if random.one_in(7) {
                text.push(b'.');
            }
            for _ in 0..random.below(5) {
                text.extend_from_slice(format!("{:016x}", random.next()).as_bytes());
            }
            text.extend_from_slice(b"\r\n");
        }
        text
    }

    /// Its content as it is sent after DATA: with dots stuffed (RFC 5321 §4.5.2), and the line that ends it.
    pub fn stuffed(self) -> Vec<u8> {
        let content = self.content();
        let mut text = Vec::with_capacity(content.len() + content.len() / 64);
        for line in content.split_inclusive(|byte| *byte == b'\n') {
            if line.starts_with(b".") {
                text.push(b'.');
            }
            text.extend_from_slice(line);
        }
        text.extend_from_slice(b".\r\n");
        text
    }

    /// Which message a stored text is; an error says how it is not whole.
    pub fn of(text: &[u8]) -> Result<Mail, String> {
        Mail::with_trace(text, b"Return-Path:")
    }

    /// The same of a text that is sent on: only its own trace fields come before it.
    pub fn relayed(text: &[u8]) -> Result<Mail, String> {
        Mail::with_trace(text, b"Received:")
    }

    fn with_trace(text: &[u8], first: &[u8]) -> Result<Mail, String> {
        let at = text.windows(FIELD.len()).position(|window| window == FIELD.as_bytes());
        let at = at.ok_or_else(|| format!("{} bytes without a token", text.len()))?;
        let (trace, content) = text.split_at(at);
        let line = content.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let mail = Mail::parse(line).ok_or_else(|| "a token that cannot be read".to_owned())?;
        let sent = mail.content();
        if content != sent {
            let at = content.iter().zip(&sent).take_while(|(one, other)| one == other).count();
            let (token, got, len) = (mail.token, content.len(), sent.len());
            return Err(format!(
                "message {token:016x} has {got} bytes instead of {len} and differs from byte {at} on"
            ));
        }
        if !trace.starts_with(first) || !trace.ends_with(b"\r\n") {
            return Err(format!("message {:016x} has no whole trace", mail.token));
        }
        Ok(mail)
    }

    fn parse(line: &[u8]) -> Option<Mail> {
        let line = std::str::from_utf8(line).ok()?.strip_prefix(FIELD)?;
        let (token, size) = line.split_once(' ')?;
        Some(Mail { token: u64::from_str_radix(token, 16).ok()?, size: size.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::Mail;

    #[test]
    fn a_byte_more_less_or_other_is_seen() {
        let mail = Mail { token: 77, size: 900 };
        let whole = [b"Return-Path: <>\r\n".as_slice(), &mail.content()].concat();
        assert_eq!(Mail::of(&whole), Ok(mail));
        assert!(Mail::of(&whole[..whole.len() - 1]).is_err());
        assert!(Mail::of(&[whole.as_slice(), b"\r\n"].concat()).is_err());
        let mut other = whole.clone();
        other[600] ^= 1;
        assert!(Mail::of(&other).is_err());
        assert!(Mail::of(&whole[5..]).is_err(), "a torn trace");
    }
}
