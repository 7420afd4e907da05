//! Delivery status notifications (RFC 3464 in a multipart/report of RFC 6522; RFC 6533 beyond ASCII), as bytes.
//!
//! What is reported, to whom and when, is the caller's decision; here is only the form. Nothing is invented: date and identifier come
//! from the caller, and the boundary follows from the identifier, so the same report is always the same bytes. What others
//! said is cleaned, so that it cannot start a field of its own, and what is given back so that every host takes it.

use crate::Date;
use crate::downgrade::{has_whole_lines, is_plain, quoted_printable};
use memchr::memmem;
use std::borrow::Cow;

/// A delivery status notification to be written.
#[derive(Debug, Clone, Copy)]
pub struct Report<'a> {
    /// The host that reports (RFC 3464 §2.2.2): it also stands in From and Message-ID.
    pub reporter: &'a str,
    /// Who gets it: the reverse-path of the message that it is about, without angle brackets.
    pub to: &'a str,
    /// What the Subject says.
    pub subject: &'a str,
    /// What happened, in plain words, as lines that end in `\n`.
    pub text: &'a str,
    /// When it is written.
    pub date: Date,
    /// What makes it unique: letters, digits, dots and hyphens.
    pub id: &'a str,
    /// When the message that it is about arrived (RFC 3464 §2.2.5).
    pub arrival: Date,
    /// The sender's own mark for that message (RFC 3464 §2.2.1).
    pub envelope_id: Option<&'a str>,
    /// What became of each recipient: at least one.
    pub recipients: &'a [Reported<'a>],
    /// What of the message is given back.
    pub returned: Returned<'a>,
    /// Whether the reader understands UTF-8 in header fields (the message came with SMTPUTF8): then the forms of RFC 6533 are used.
    pub international: International,
}

/// What became of one recipient (RFC 3464 §2.3).
#[derive(Debug, Clone, Copy)]
pub struct Reported<'a> {
    /// The type and text of the address as the sender first named it, if it said so (RFC 3461 §4.2).
    pub original: Option<(&'a str, &'a str)>,
    /// The recipient's address here.
    pub recipient: &'a str,
    /// What was done.
    pub action: Action,
    /// The enhanced status, class included: `5.1.1`.
    pub status: &'a str,
    /// The host that said it.
    pub remote: Option<&'a str>,
    /// What was said: code and text.
    pub diagnostic: Option<&'a str>,
    /// Who said that.
    pub said_by: SaidBy,
    /// When it was tried last.
    pub last_attempt: Option<Date>,
    /// Until when it will be tried again.
    pub retry_until: Option<Date>,
}

/// Whose words a diagnostic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaidBy {
    /// Those of the remote host, as a reply in SMTP.
    Remote,
    /// Those of the host that reports: no reply of any protocol (RFC 3464 §2.3.6), so they go under a type of its own.
    Reporter,
}

/// What was done with a recipient (RFC 3464 §2.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It could not be delivered, and will not be tried again.
    Failed,
    /// It could not be delivered yet.
    Delayed,
    /// It was handed to a host that does not promise to report.
    Relayed,
    /// It is in the recipient's mailbox.
    Delivered,
    /// It was sent on to several others, for whom the address stands.
    Expanded,
}

/// What of a message is given back to its sender.
#[derive(Debug, Clone, Copy)]
pub enum Returned<'a> {
    /// Of its header section only what tells it from other messages: Message-ID and Date. For what may not be seen by everybody on the way.
    Identity(&'a [u8]),
    /// Its header section.
    Headers(&'a [u8]),
    /// All of it.
    Full(&'a [u8]),
}

/// Whether UTF-8 may stand in header fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum International {
    /// It may (RFC 6532).
    Yes,
    /// It may not; what is beyond ASCII is written as `\x{HEX}`.
    No,
}

impl Action {
    fn as_str(self) -> &'static str {
        match self {
            Action::Failed => "failed",
            Action::Delayed => "delayed",
            Action::Relayed => "relayed",
            Action::Delivered => "delivered",
            Action::Expanded => "expanded",
        }
    }
}

impl Report<'_> {
    /// The message, with CRLF at the end of every line of its own.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (returned_type, returned) = self.returned_part();
        let boundary = self.boundary(&returned);
        let utf8 = self.international == International::Yes;
        let status_type = if utf8 { "message/global-delivery-status" } else { "message/delivery-status" };
        let (text_encoding, text) = self.text_part();
        let status = self.status();
        let mut out = self.header(&boundary).into_bytes();
        let as_it_is = |content: &[u8]| if content.is_ascii() { "7bit" } else { "8bit" };
        let parts = [
            ("text/plain; charset=utf-8", "Notification", text_encoding, text.as_slice()),
            (status_type, "Delivery report", as_it_is(status.as_bytes()), status.as_bytes()),
            (returned_type, "The message that it is about", as_it_is(&returned), &returned),
        ];
        for (media_type, description, encoding, content) in parts {
            let head = format!(
                "--{boundary}\r\nContent-Description: {description}\r\nContent-Type: {media_type}\r\n\
                 Content-Transfer-Encoding: {encoding}\r\n\r\n"
            );
            out.extend_from_slice(head.as_bytes());
            out.extend_from_slice(content);
            out.extend_from_slice(if content.ends_with(b"\r\n") { b"\r\n" } else { b"\r\n\r\n" });
        }
        out.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        out
    }

    fn header(&self, boundary: &str) -> String {
        let (reporter, to) = (self.one_line(self.reporter), self.one_line(self.to));
        let report_type = match self.international {
            International::Yes => "global-delivery-status",
            International::No => "delivery-status",
        };
        // RFC 3834 §5: nobody shall answer this automatically.
        format!(
            "Date: {}\r\nFrom: Mail Delivery System <postmaster@{reporter}>\r\nTo: <{to}>\r\nSubject: {}\r\n\
             Message-ID: <{}@{reporter}>\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n\
             Content-Type: multipart/report; report-type={report_type};\r\n\tboundary=\"{boundary}\"\r\n\r\n",
            self.date,
            self.one_line(self.subject),
            self.one_line(self.id),
        )
    }

    /// The part for people, as every host takes it: there is no promise that the way back is an 8-bit one.
    fn text_part(&self) -> (&'static str, Vec<u8>) {
        let text = self.text.replace('\n', "\r\n").into_bytes();
        match is_plain(&text) {
            true => ("7bit", text),
            false => ("quoted-printable", quoted_printable(&text)),
        }
    }

    /// The body of the delivery-status part: fields about the message, then a block for each recipient (RFC 3464 §2.1).
    fn status(&self) -> String {
        let mut out = String::new();
        let field = |out: &mut String, name: &str, value: &str| {
            out.push_str(&format!("{name}: {}\r\n", self.one_line(value)));
        };
        field(&mut out, "Reporting-MTA", &format!("dns; {}", self.reporter));
        if let Some(id) = self.envelope_id {
            field(&mut out, "Original-Envelope-Id", id);
        }
        field(&mut out, "Arrival-Date", &self.arrival.to_string());
        for one in self.recipients {
            out.push_str("\r\n");
            if let Some((kind, address)) = one.original {
                field(&mut out, "Original-Recipient", &format!("{kind}; {address}"));
            }
            let kind = match self.international {
                International::Yes if !one.recipient.is_ascii() => "utf-8",
                _ => "rfc822",
            };
            field(&mut out, "Final-Recipient", &format!("{kind}; {}", one.recipient));
            field(&mut out, "Action", one.action.as_str());
            field(&mut out, "Status", one.status);
            if let Some(remote) = one.remote {
                field(&mut out, "Remote-MTA", &format!("dns; {remote}"));
            }
            if let Some(diagnostic) = one.diagnostic {
                let kind = match one.said_by {
                    SaidBy::Remote => "smtp",
                    SaidBy::Reporter => "X-Posthaste",
                };
                field(&mut out, "Diagnostic-Code", &format!("{kind}; {diagnostic}"));
            }
            if let Some(date) = one.last_attempt {
                field(&mut out, "Last-Attempt-Date", &date.to_string());
            }
            if let Some(date) = one.retry_until {
                field(&mut out, "Will-Retry-Until", &date.to_string());
            }
        }
        out
    }

    fn returned_part(&self) -> (&'static str, Cow<'_, [u8]>) {
        let (content, is_full) = match self.returned {
            Returned::Full(all) => (whole_lines(all), true),
            Returned::Headers(all) => (whole_lines(header_section(all)), false),
            Returned::Identity(all) => (identity(header_section(all)).into(), false),
        };
        let media_type = match (is_full, self.international) {
            (true, International::No) => "message/rfc822",
            (true, International::Yes) => "message/global",
            (false, International::No) => "text/rfc822-headers",
            (false, International::Yes) => "message/global-headers",
        };
        (media_type, content)
    }

    /// One that does not occur in what is given back (RFC 2046 §5.1.1; at most 70 characters). What is given back has an end, so
    /// it cannot hold them all.
    fn boundary(&self, returned: &[u8]) -> String {
        let letters: String = self.id.chars().filter(char::is_ascii_alphanumeric).take(40).collect();
        let candidates = (0u32..).map(|number| format!("=_{letters}_{number}"));
        let mut free = candidates.filter(|one| memmem::find(returned, one.as_bytes()).is_none());
        free.next().expect("four thousand million of them do not fit a message")
    }

    /// Text that stays on its line: without control characters, and in ASCII unless more is allowed.
    fn one_line(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        for c in text.chars() {
            if out.len() >= VALUE_MAX {
                out.push_str(" [...]");
                break;
            }
            match c {
                c if c.is_control() => out.push(' '),
                c if c.is_ascii() || self.international == International::Yes => out.push(c),
                // RFC 6533 §3: the form of UTF-8 where only ASCII may stand.
                c => out.push_str(&format!("\\x{{{:X}}}", u32::from(c))),
            }
        }
        out
    }
}

/// The header section of a message, with the line ending of its last field. Of one that was cut off, the lines that are whole.
fn header_section(message: &[u8]) -> &[u8] {
    match memmem::find(message, b"\r\n\r\n") {
        _ if message.starts_with(b"\r\n") => b"",
        Some(end) => &message[..end + 2],
        None => &message[..memmem::rfind(message, b"\r\n").map_or(message.len(), |end| end + 2)],
    }
}

/// Content without what no host takes but as BINARYMIME: a CR or LF alone becomes CRLF, a NUL goes.
fn whole_lines(content: &[u8]) -> Cow<'_, [u8]> {
    if has_whole_lines(content) && !content.contains(&0) {
        return Cow::Borrowed(content);
    }
    let mut out = Vec::with_capacity(content.len() + 16);
    let mut octets = content.iter().copied().peekable();
    while let Some(octet) = octets.next() {
        match octet {
            0 => {}
            b'\r' => {
                octets.next_if_eq(&b'\n');
                out.extend_from_slice(b"\r\n");
            }
            b'\n' => out.extend_from_slice(b"\r\n"),
            octet => out.push(octet),
        }
    }
    Cow::Owned(out)
}

/// The fields of a header section that say which message it is, and nothing of what is in it.
fn identity(section: &[u8]) -> Vec<u8> {
    let section = whole_lines(section);
    let mut out = Vec::new();
    let mut is_kept = false;
    for line in section.split_inclusive(|octet| *octet == b'\n') {
        if !line.starts_with(b" ") && !line.starts_with(b"\t") {
            let name = line.split(|octet| *octet == b':').next().unwrap_or_default().trim_ascii_end();
            is_kept = name.eq_ignore_ascii_case(b"Message-ID") || name.eq_ignore_ascii_case(b"Date");
        }
        if is_kept {
            out.extend_from_slice(line);
        }
    }
    out
}

/// A line has at most 998 octets (RFC 5322 §2.1.1), of which the field's name and the longest escape take some.
const VALUE_MAX: usize = 900;
