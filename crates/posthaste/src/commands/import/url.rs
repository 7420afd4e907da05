//! The address of an account on an IMAP server (RFC 5092, as far as it names an account or one of its mailboxes).

use std::str::FromStr;

/// `imaps://USER@HOST[:PORT][/MAILBOX]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ImapUrl {
    pub(super) scheme: Scheme,
    pub(super) user: String,
    /// A name or an address; one of IPv6 in brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// All of them when `None`.
    pub(super) mailbox: Option<String>,
}

/// How TLS comes to the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    /// With STARTTLS.
    Imap,
    /// From the first byte.
    Imaps,
}

impl FromStr for ImapUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<ImapUrl, String> {
        let wrong = || "write it like imaps://alice%40example.org@imap.example.org".to_owned();
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("imap") => (Scheme::Imap, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("imaps") => (Scheme::Imaps, rest),
            _ => return Err(wrong()),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        // The user's name may be an address as it is.
        let (user, server) = authority.rsplit_once('@').ok_or_else(wrong)?;
        if user.contains(':') {
            return Err(
                "leave the password out: others see the arguments of a command; it is asked for".to_owned()
            );
        }
        let (host, port) = match server.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (server, None),
        };
        let port = match (port, scheme) {
            (Some(port), _) => port.parse().map_err(|_| format!("{port} is no port"))?,
            (None, Scheme::Imap) => 143,
            (None, Scheme::Imaps) => 993,
        };
        let user = decode(user).filter(|user| !user.is_empty()).ok_or_else(wrong)?;
        let path = decode(path).ok_or_else(wrong)?;
        if host.is_empty() || host.contains(':') != host.starts_with('[') {
            return Err(wrong());
        }
        let mailbox = (!path.is_empty()).then_some(path);
        Ok(ImapUrl { scheme, user, host: host.to_owned(), port, mailbox })
    }
}

/// Without percent-encoding; `None` where that is no text.
fn decode(text: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut parts = text.split('%');
    octets.extend_from_slice(parts.next()?.as_bytes());
    for part in parts {
        octets.push(u8::from_str_radix(part.get(..2)?, 16).ok()?);
        octets.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(octets).ok().filter(|text| !text.chars().any(char::is_control))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_and_mailboxes() {
        let url = |text: &str| text.parse::<ImapUrl>();
        let alice = ImapUrl {
            scheme: Scheme::Imaps,
            user: "alice@example.org".to_owned(),
            host: "imap.example.org".to_owned(),
            port: 993,
            mailbox: None,
        };
        assert_eq!(url("imaps://alice%40example.org@imap.example.org"), Ok(alice.clone()));
        assert_eq!(url("imaps://alice@example.org@imap.example.org/"), Ok(alice.clone()));
        let one =
            ImapUrl { scheme: Scheme::Imap, port: 1143, mailbox: Some("Größe/2024".to_owned()), ..alice };
        assert_eq!(url("imap://alice@example.org@imap.example.org:1143/Gr%C3%B6%C3%9Fe/2024"), Ok(one));
        assert_eq!(url("imap://a@[::1]").map(|url| (url.host, url.port)), Ok(("[::1]".to_owned(), 143)));
        for wrong in [
            "imap.example.org",
            "http://a@b",
            "imap://host",
            "imap://@host",
            "imap://a@::1",
            "imap://a%4@b",
            "imap://a@b/%0a",
        ] {
            assert!(url(wrong).is_err_and(|error| error.contains("write it like")), "{wrong}");
        }
        assert!(url("imap://alice:secret@host").is_err_and(|error| error.contains("leave the password out")));
    }
}
