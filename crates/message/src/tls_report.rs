//! The mail that carries a report on TLS (RFC 8460 §5.3), as bytes. What is in the report is the caller's affair.

use crate::Date;
use data_encoding::BASE64;

/// Mail with a report on the TLS towards one domain.
#[derive(Debug, Clone, Copy)]
pub struct TlsReport<'a> {
    /// Who sends it: an address, without angle brackets.
    pub from: &'a str,
    /// Who gets it.
    pub to: &'a str,
    /// The domain that it is about, in ASCII.
    pub domain: &'a str,
    /// The host that has measured, in ASCII.
    pub submitter: &'a str,
    /// When it is written.
    pub date: Date,
    /// What makes the mail unique: letters, digits, dots and hyphens.
    pub id: &'a str,
    /// What makes the report unique: the same in each mail and each request that carries it.
    pub report_id: &'a str,
    /// The name of its file, without extensions.
    pub file_name: &'a str,
    /// The report: JSON, compressed by gzip.
    pub report: &'a [u8],
}

impl TlsReport<'_> {
    /// The message, with CRLF at the end of every line, in ASCII.
    pub fn to_bytes(&self) -> Vec<u8> {
        let TlsReport { domain, submitter, date, id, file_name, .. } = *self;
        let [from, to, report_id] = [self.from, self.to, self.report_id].map(one_line);
        // No base64 and none of the words has an underscore after an equals sign.
        let boundary = format!("=_{id}");
        // RFC 8689 §3: it must come through when what it reports on is broken.
        let mut out = format!(
            "Date: {date}\r\nFrom: <{from}>\r\nTo: <{to}>\r\n\
             Subject: Report Domain: {domain}\r\n Submitter: {submitter}\r\n Report-ID: <{report_id}>\r\n\
             Message-ID: <{id}@{submitter}>\r\nTLS-Report-Domain: {domain}\r\nTLS-Report-Submitter: {submitter}\r\n\
             TLS-Required: No\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n\
             Content-Type: multipart/report; report-type=\"tlsrpt\";\r\n\tboundary=\"{boundary}\"\r\n\r\n\
             --{boundary}\r\nContent-Type: text/plain; charset=us-ascii\r\nContent-Transfer-Encoding: 7bit\r\n\r\n\
             This is an aggregate report on TLS with the mail hosts of\r\n{domain}, from {submitter} (RFC 8460).\r\n\r\n\
             --{boundary}\r\nContent-Type: application/tlsrpt+gzip\r\nContent-Transfer-Encoding: base64\r\n\
             Content-Disposition: attachment;\r\n\tfilename=\"{file_name}.json.gz\"\r\n\r\n"
        )
        .into_bytes();
        for piece in self.report.chunks(LINE / 4 * 3) {
            out.extend_from_slice(BASE64.encode(piece).as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        out
    }
}

/// Text that stays on its line, in ASCII.
fn one_line(text: &str) -> String {
    let fits = |c: char| if c.is_ascii() && !c.is_ascii_control() { c } else { '?' };
    text.chars().take(320).map(fits).collect()
}

/// RFC 2045 §6.8.
const LINE: usize = 76;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, Structure};

    #[test]
    fn a_reader_finds_the_report_and_whom_it_is_about() {
        let report: Vec<u8> = (0..=255).cycle().take(1000).collect();
        let mail = TlsReport {
            from: "tls@example.org",
            to: "reports@example.com\r\nBcc: x",
            domain: "example.com",
            submitter: "mail.example.org",
            date: Date::utc(1_700_000_000_000),
            id: "ID1",
            report_id: "2023-11-14.ID0@mail.example.org",
            file_name: "mail.example.org!example.com!1!2!ID0",
            report: &report,
        };
        let bytes = mail.to_bytes();
        let text = String::from_utf8(bytes.clone()).expect("ASCII");
        for part in [
            "TLS-Report-Domain: example.com\r\nTLS-Report-Submitter: mail.example.org\r\nTLS-Required: No\r\n",
            "Content-Type: multipart/report; report-type=\"tlsrpt\";\r\n",
            "filename=\"mail.example.org!example.com!1!2!ID0.json.gz\"\r\n",
        ] {
            assert!(text.contains(part), "{part:?} in {text}");
        }
        assert!(!text.contains("\r\nBcc"), "{text}");
        assert!(text.lines().all(|line| line.len() <= 78), "{text}");
        let structure = Structure::of(&bytes, &Limits::default());
        let part = structure
            .parts()
            .iter()
            .find(|part| part.media_type.essence() == "application/tlsrpt+gzip")
            .expect("it is there");
        let body = part.body.of(&bytes);
        assert_eq!(part.encoding.decode(body, usize::MAX).as_ref(), report.as_slice());
    }
}
