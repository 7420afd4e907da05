//! Why there is no TLS, in plain words: what the log of a server and the message of a client say.

use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};
use std::fmt;
use std::io;
use std::time::Duration;

/// A handshake that failed.
#[derive(Debug)]
pub struct HandshakeError {
    what: String,
    kind: io::ErrorKind,
    flaw: Flaw,
}

/// What is wrong with the TLS of a host, as far as those who look after it are told (RFC 8460 §4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// It has none.
    NotOffered,
    /// Its certificate is for another name.
    OtherName,
    /// Its certificate does not count any more, or not yet.
    Expired,
    /// Nobody who is trusted has signed its certificate.
    NotTrusted,
    /// Something else.
    Other,
}

impl Flaw {
    /// The flaw behind an error of a handshake.
    pub(super) fn of(error: &Error) -> Flaw {
        let Error::InvalidCertificate(why) = error else { return Flaw::Other };
        match why {
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => Flaw::Expired,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Flaw::OtherName
            }
            CertificateError::UnknownIssuer | CertificateError::Revoked => Flaw::NotTrusted,
            _ => Flaw::Other,
        }
    }
}

/// Which side we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Server,
    Client,
}

impl HandshakeError {
    /// TLS was asked of a stream that cannot have it.
    pub(super) fn unavailable() -> HandshakeError {
        HandshakeError {
            what: "there is no TLS on this connection".to_owned(),
            kind: io::ErrorKind::Unsupported,
            flaw: Flaw::Other,
        }
    }

    /// An authority has checked a name by a handshake, as it should.
    pub(super) fn check() -> HandshakeError {
        let what = "none was wanted: an authority has checked our name (RFC 8737)".to_owned();
        HandshakeError { what, kind: io::ErrorKind::ConnectionAborted, flaw: Flaw::Other }
    }

    /// It took too long.
    pub(crate) fn timed_out(limit: Duration) -> HandshakeError {
        let what = format!(
            "no handshake within {} seconds: a peer that is slow, or one that waits for a greeting in clear",
            limit.as_secs()
        );
        HandshakeError { what, kind: io::ErrorKind::TimedOut, flaw: Flaw::Other }
    }

    /// We did not wait for it.
    pub(crate) fn interrupted() -> HandshakeError {
        let what = "interrupted by the end of the server".to_owned();
        HandshakeError { what, kind: io::ErrorKind::Interrupted, flaw: Flaw::Other }
    }

    /// The stream or the protocol failed; `first` is how the peer began.
    pub(super) fn new(side: Side, error: &io::Error, first: &[u8]) -> HandshakeError {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        let what = match inner {
            Some(Error::InvalidMessage(_)) if !first.is_empty() => no_tls(first),
            Some(error) => explain(side, error),
            None => match error.kind() {
                io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
                    "the peer closed the connection in the middle of the handshake".to_owned()
                }
                _ => error.to_string(),
            },
        };
        HandshakeError { what, kind: error.kind(), flaw: inner.map_or(Flaw::Other, Flaw::of) }
    }

    /// What is wrong.
    pub fn flaw(&self) -> Flaw {
        self.flaw
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for HandshakeError {}

impl From<HandshakeError> for io::Error {
    fn from(error: HandshakeError) -> io::Error {
        io::Error::new(error.kind, error)
    }
}

/// What a peer speaks that does not begin with a TLS record.
fn no_tls(first: &[u8]) -> String {
    let starts = |words: &[&str]| {
        words.iter().any(|word| first.starts_with(&word.as_bytes()[..word.len().min(first.len())]))
    };
    // A TLS record of a handshake or an alert; SSL 2 began otherwise, but nobody speaks it.
    if matches!(first, [20..=23, 3, ..]) {
        return "the peer sent a TLS record that cannot be read".to_owned();
    }
    let speaks = if starts(&["GET /", "POST /", "HEAD /", "PUT /", "OPTIONS ", "CONNECT "]) {
        "HTTP"
    } else if starts(&["EHLO", "HELO", "LHLO", "MAIL", "QUIT", "NOOP", "RSET", "AUTH", "220", "ehlo", "helo"])
    {
        "SMTP in clear"
    } else if starts(&["SSH-"]) {
        "SSH"
    } else if starts(&["PROXY "]) || first.starts_with(b"\r\n\r\n\0\r\nQ") {
        "the PROXY protocol"
    } else {
        "something else"
    };
    format!("the peer does not speak TLS here, but {speaks}")
}

/// What an error of rustls means for a person.
fn explain(side: Side, error: &Error) -> String {
    let other = match side {
        Side::Server => "client",
        Side::Client => "server",
    };
    match error {
        Error::PeerIncompatible(why) => incompatible(other, why),
        Error::AlertReceived(alert) => alerted(other, *alert),
        Error::InvalidCertificate(why) => certificate(other, why),
        Error::NoCertificatesPresented => format!("the {other} showed no certificate"),
        Error::InvalidMessage(_)
        | Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. } => {
            format!("the {other} sent what does not belong into a handshake")
        }
        Error::PeerMisbehaved(why) => format!("the {other} broke the rules of TLS ({why:?})"),
        Error::General(why) => why.clone(),
        Error::DecryptError => format!("what the {other} sent cannot be decrypted"),
        error => error.to_string(),
    }
}

/// Why a next hop's certificate proves nothing.
pub(super) fn certificate_flaw(error: &Error) -> String {
    explain(Side::Client, error)
}

fn incompatible(other: &str, why: &PeerIncompatible) -> String {
    use PeerIncompatible::{
        ExtendedMasterSecretExtensionRequired, KeyShareExtensionRequired, NamedGroupsExtensionRequired,
        NoCipherSuitesInCommon, NoKxGroupsInCommon, NoSignatureSchemesInCommon,
        ServerDoesNotSupportTls12Or13, ServerTlsVersionIsDisabledByOurConfig,
        SignatureAlgorithmsExtensionRequired, SupportedVersionsExtensionRequired, Tls12NotOffered,
        Tls12NotOfferedOrEnabled,
    };
    match why {
        Tls12NotOffered
        | SignatureAlgorithmsExtensionRequired
        | Tls12NotOfferedOrEnabled
        | SupportedVersionsExtensionRequired
        | ServerDoesNotSupportTls12Or13
        | ServerTlsVersionIsDisabledByOurConfig => {
            format!("the {other} knows no TLS newer than 1.1; 1.2 and 1.3 are spoken here (RFC 8996)")
        }
        NoCipherSuitesInCommon => format!(
            "no cipher suite in common with the {other}: those of TLS 1.3 are spoken here, and those of TLS 1.2 with ECDHE and \
             AES-GCM or ChaCha20"
        ),
        NoKxGroupsInCommon | NamedGroupsExtensionRequired | KeyShareExtensionRequired => {
            format!("no key exchange in common with the {other}: X25519, P-256 and P-384 are spoken here")
        }
        NoSignatureSchemesInCommon => {
            format!("the {other} cannot verify signatures of the kind that the certificate's key makes")
        }
        ExtendedMasterSecretExtensionRequired => format!("the {other} does without RFC 7627"),
        why => format!("the {other} lacks what is needed ({why:?})"),
    }
}

fn alerted(other: &str, alert: AlertDescription) -> String {
    use AlertDescription as Alert;
    match (other, alert) {
        (
            _,
            Alert::UnknownCA
            | Alert::BadCertificate
            | Alert::CertificateUnknown
            | Alert::UnsupportedCertificate,
        ) => {
            format!("the {other} does not trust our certificate ({})", name(alert))
        }
        (_, Alert::CertificateExpired) => format!("the {other} says that our certificate has expired"),
        (_, Alert::CertificateRevoked) => format!("the {other} says that our certificate was revoked"),
        (_, Alert::ProtocolVersion) => {
            format!("the {other} speaks no version of TLS that we speak: 1.2 or 1.3")
        }
        (_, Alert::HandshakeFailure | Alert::InsufficientSecurity) => {
            format!("the {other} found nothing in common with us ({})", name(alert))
        }
        (_, Alert::UnrecognisedName) => {
            format!("the {other} has no certificate for the name that we asked for")
        }
        (_, Alert::CloseNotify | Alert::UserCanceled) => format!("the {other} broke the handshake off"),
        _ => format!("the {other} refused the handshake ({})", name(alert)),
    }
}

/// The alert's name as RFC 8446 §6 writes it.
fn name(alert: AlertDescription) -> String {
    let mut name = String::new();
    for c in format!("{alert:?}").chars() {
        if c.is_ascii_uppercase() && name.chars().last().is_some_and(|last| last.is_ascii_lowercase()) {
            name.push('_');
        }
        name.push(c.to_ascii_lowercase());
    }
    name
}

fn certificate(other: &str, why: &CertificateError) -> String {
    let its = format!("the certificate of the {other}");
    match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => format!("{its} has expired"),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            format!("{its} does not count yet; is the clock right?")
        }
        CertificateError::Revoked => format!("{its} was revoked"),
        CertificateError::UnknownIssuer => {
            format!("{its} is signed by nobody who is trusted here; it may be self-signed")
        }
        CertificateError::NotValidForName => format!("{its} is for another name"),
        CertificateError::NotValidForNameContext { expected, presented } => {
            let expected = expected.to_str();
            match presented.as_slice() {
                [] => format!("{its} is not for {expected}"),
                names => format!("{its} is not for {expected}, but for {}", names.join(", ")),
            }
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            format!("{its} is not for this use")
        }
        CertificateError::Other(other) if other.0.to_string().contains("CaUsedAsEndEntity") => {
            format!("{its} is that of an authority, which must not serve as its own")
        }
        why => format!("{its} does not hold: {why}"),
    }
}

#[cfg(test)]
mod tests;
