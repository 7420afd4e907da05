//! Where a server listens, and what is spoken there.

use super::Proxied;
use serde::Deserialize;
use std::fmt;
use std::net::SocketAddr;

/// One address to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listener {
    /// Address and port.
    pub address: SocketAddr,
    /// Who is served there.
    pub service: Service,
    /// How TLS comes to a connection.
    pub tls: ListenerTls,
    /// Whether connections come through a proxy.
    pub proxied: Proxied,
}

/// Who is served on a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// Other servers, which bring mail for the accounts here (RFC 5321).
    #[default]
    Smtp,
    /// People and programs that have an account here and send mail (RFC 6409).
    Submission,
    /// A relay of one's own that hands over mail (RFC 2033).
    Lmtp,
    /// People and programs that fetch the mail of an account (RFC 1939).
    Pop3,
    /// People and programs that read the mail of an account where it is (RFC 9051).
    Imap,
    /// Pupils, who send and see mail by a small protocol of their own and log in nowhere.
    Classroom,
}

/// How TLS comes to the connections of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ListenerTls {
    /// Not at all.
    None,
    /// When the client asks for it (RFC 3207).
    #[default]
    StartTls,
    /// From the first byte (RFC 8314 §3).
    Implicit,
}

impl Listener {
    /// What is usual at this address, with what was said otherwise: 465 and 587 are for submission, 110 and 995 for POP3, 143 and 993 for
    /// IMAP (RFC 8314 §7); 465, 993 and 995 begin with TLS.
    pub fn usual(address: SocketAddr, service: Option<Service>, tls: Option<ListenerTls>) -> Listener {
        let usual = match address.port() {
            _ if service == Some(Service::Classroom) => (Service::Classroom, ListenerTls::None),
            465 => (Service::Submission, ListenerTls::Implicit),
            587 => (Service::Submission, ListenerTls::StartTls),
            110 => (Service::Pop3, ListenerTls::StartTls),
            995 => (Service::Pop3, ListenerTls::Implicit),
            143 => (Service::Imap, ListenerTls::StartTls),
            993 => (Service::Imap, ListenerTls::Implicit),
            _ => (Service::Smtp, ListenerTls::StartTls),
        };
        Listener {
            address,
            service: service.unwrap_or(usual.0),
            tls: tls.unwrap_or(usual.1),
            proxied: Proxied::No,
        }
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tls = match self.tls {
            ListenerTls::None => "in clear",
            ListenerTls::StartTls => "STARTTLS",
            ListenerTls::Implicit => "TLS",
        };
        write!(f, "{} ({}, {tls})", self.address, self.service)
    }
}

impl Service {
    /// Whether those who are served log in first.
    pub fn is_for_accounts(self) -> bool {
        match self {
            Service::Submission | Service::Pop3 | Service::Imap => true,
            Service::Smtp | Service::Lmtp | Service::Classroom => false,
        }
    }

    /// Its name in settings, logs and output for programs.
    pub fn name(self) -> &'static str {
        match self {
            Service::Smtp => "smtp",
            Service::Submission => "submission",
            Service::Lmtp => "lmtp",
            Service::Pop3 => "pop3",
            Service::Imap => "imap",
            Service::Classroom => "classroom",
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Service::Smtp => "SMTP",
            Service::Submission => "submission",
            Service::Lmtp => "LMTP",
            Service::Pop3 => "POP3",
            Service::Imap => "IMAP",
            Service::Classroom => "classroom",
        })
    }
}

impl ListenerTls {
    /// Its name in settings and in output for programs.
    pub fn name(self) -> &'static str {
        match self {
            ListenerTls::None => "none",
            ListenerTls::StartTls => "starttls",
            ListenerTls::Implicit => "implicit",
        }
    }
}
