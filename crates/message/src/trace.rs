//! The header fields that a server puts before a message: `Received`, `Return-Path`, `Delivered-To` (RFC 5321 §4.4).
//!
//! Each function returns whole fields: folded below 78 columns where the words allow it and below 998 always, ended by CRLF. What
//! comes from a peer (its name, a path) is cleaned on the way, so that no argument can start a field of its own.

use crate::Date;
use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

/// What a `Received` field says (RFC 5321 §4.4).
#[derive(Debug, Clone, Copy)]
pub struct Received<'a> {
    /// The name that the peer gave in HELO, EHLO or LHLO, as it gave it.
    pub hello_name: &'a str,
    /// The address that the peer has; `None` for a local socket.
    pub peer: Option<IpAddr>,
    /// Our own host name.
    pub by: &'a str,
    /// How it came.
    pub with: With,
    /// The identifier of the message here.
    pub id: &'a str,
    /// The forward-path, without angle brackets, when the message has a single recipient. With several it must stay out: one
    /// recipient would learn of another (RFC 5321 §7.2).
    pub recipient: Option<&'a str>,
    /// The TLS of the session.
    pub tls: Option<Tls<'a>>,
    /// When it was accepted.
    pub date: Date,
}

/// What a `Received` field says of TLS (RFC 8314 §4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tls<'a> {
    /// Like `TLSv1.3`; goes into a comment.
    pub version: &'a str,
    /// The cipher suite by its name in IANA's registry.
    pub cipher: &'a str,
}

/// The protocol of a `Received` field: `SMTP`, `ESMTPS`, `UTF8LMTP` and so on (RFC 3848, RFC 6531 §4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct With {
    /// The dialect of the session.
    pub dialect: Dialect,
    /// The transaction asked for SMTPUTF8.
    pub smtputf8: bool,
    /// The session was encrypted.
    pub tls: bool,
    /// The peer was authenticated.
    pub authenticated: bool,
}

/// The dialect that a session spoke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// After HELO.
    #[default]
    Smtp,
    /// After EHLO.
    Esmtp,
    /// After LHLO (RFC 2033).
    Lmtp,
}

impl Received<'_> {
    /// The field.
    pub fn to_field(&self) -> Vec<u8> {
        let hello_name = host_text(self.hello_name);
        let from = match self.peer {
            Some(peer) => format!("from {hello_name} ({})", literal(peer)),
            None => format!("from {hello_name}"),
        };
        let mut clauses = vec![
            from,
            format!("by {}", host_text(self.by)),
            format!("with {}", self.with),
            format!("id {}", host_text(self.id)),
        ];
        if let Some(recipient) = self.recipient {
            clauses.push(format!("for <{}>", path_text(recipient)));
        }
        if let Some(Tls { version, cipher }) = self.tls {
            clauses.push(format!("tls {} ({})", host_text(cipher), host_text(version)));
        }
        if let Some(last) = clauses.last_mut() {
            last.push(';');
        }
        clauses.push(self.date.to_string());
        fold("Received:", &clauses)
    }
}

/// `Return-Path: <reverse-path>`, written at final delivery only (RFC 5321 §4.4). The path goes without angle brackets; `None` is
/// the null reverse-path.
pub fn return_path(reverse_path: Option<&str>) -> Vec<u8> {
    fold("Return-Path:", &[format!("<{}>", path_text(reverse_path.unwrap_or("")))])
}

/// `Delivered-To: forward-path` (RFC 9228): for whom this copy is.
pub fn delivered_to(forward_path: &str) -> Vec<u8> {
    fold("Delivered-To:", &[path_text(forward_path).into_owned()])
}

impl fmt::Display for With {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without EHLO there is no SMTPUTF8, STARTTLS or AUTH; RFC 3848 has no letters to add to SMTP.
        let name = match (self.dialect, self.smtputf8) {
            (Dialect::Smtp, _) => return f.write_str("SMTP"),
            (Dialect::Esmtp, false) => "ESMTP",
            (Dialect::Esmtp, true) => "UTF8SMTP",
            (Dialect::Lmtp, false) => "LMTP",
            (Dialect::Lmtp, true) => "UTF8LMTP",
        };
        f.write_str(name)?;
        f.write_str(if self.tls { "S" } else { "" })?;
        f.write_str(if self.authenticated { "A" } else { "" })
    }
}

/// An address literal (RFC 5321 §4.1.3).
fn literal(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => format!("[{address}]"),
        IpAddr::V6(address) => format!("[IPv6:{address}]"),
    }
}

/// A host name, address literal or identifier: what is not of their alphabet becomes `?`, and nothing at all `unknown`.
fn host_text(text: &str) -> Cow<'_, str> {
    if text.is_empty() {
        return Cow::Borrowed("unknown");
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
    if text.len() <= MAX_HOST && text.chars().all(allowed) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().take(MAX_HOST).map(|c| if allowed(c) { c } else { '?' }).collect())
}

/// A path: it was parsed before it came here, so only what could break the line is replaced.
fn path_text(text: &str) -> Cow<'_, str> {
    if text.len() <= MAX_PATH && !text.chars().any(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut kept = String::new();
    for c in text.chars().map(|c| if c.is_control() { '?' } else { c }) {
        if kept.len() + c.len_utf8() > MAX_PATH {
            break;
        }
        kept.push(c);
    }
    Cow::Owned(kept)
}

/// The name and the clauses, one space between them, or a new line where the column would pass [`COLUMNS`] (RFC 5322 §2.1.1).
fn fold(name: &str, clauses: &[String]) -> Vec<u8> {
    let mut field = Vec::with_capacity(256);
    field.extend_from_slice(name.as_bytes());
    let mut column = name.len();
    for (n, clause) in clauses.iter().enumerate() {
        if n > 0 && column + 1 + clause.len() > COLUMNS {
            field.extend_from_slice(b"\r\n\t");
            column = 1;
        } else {
            field.push(b' ');
            column += 1;
        }
        field.extend_from_slice(clause.as_bytes());
        column += clause.len();
    }
    field.extend_from_slice(b"\r\n");
    field
}

/// RFC 5322 §2.1.1: lines should not be longer.
const COLUMNS: usize = 78;
/// RFC 5321 §4.5.3.1.2: a domain has at most 255 octets; an address literal and an identifier have less.
const MAX_HOST: usize = 255;
/// RFC 5321 §4.5.3.1.3 allows 256 octets; this leaves room for quoting and stays far below a line of 998.
const MAX_PATH: usize = 600;
