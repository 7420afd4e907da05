use super::*;
use rustls::{InvalidMessage, PeerMisbehaved};

fn of(side: Side, error: Error, first: &[u8]) -> String {
    HandshakeError::new(side, &io::Error::new(io::ErrorKind::InvalidData, error), first).to_string()
}

#[test]
fn what_speaks_no_tls_is_named() {
    for (first, speaks) in [
        (&b"GET / HT"[..], "HTTP"),
        (b"EHLO mx.", "SMTP in clear"),
        (b"QUIT", "SMTP in clear"),
        (b"220 mx.e", "SMTP in clear"),
        (b"SSH-2.0-", "SSH"),
        (b"PROXY TC", "the PROXY protocol"),
        (b"\r\n\r\n\0\r\nQ", "the PROXY protocol"),
        (b"\0\x01\x02", "something else"),
    ] {
        let text = of(Side::Server, Error::InvalidMessage(InvalidMessage::InvalidContentType), first);
        assert_eq!(text, format!("the peer does not speak TLS here, but {speaks}"));
    }
    let text = of(Side::Server, Error::InvalidMessage(InvalidMessage::MissingData("x")), b"\x16\x03\x01\0\0");
    assert_eq!(text, "the peer sent a TLS record that cannot be read");
}

#[test]
fn errors_are_told_in_plain_words() {
    use AlertDescription as Alert;
    use PeerIncompatible as Lacks;
    for (side, error, part) in [
        (Side::Server, Lacks::Tls12NotOfferedOrEnabled.into(), "the client knows no TLS newer than 1.1"),
        (Side::Server, Lacks::SignatureAlgorithmsExtensionRequired.into(), "no TLS newer than 1.1"),
        (Side::Server, Lacks::NoCipherSuitesInCommon.into(), "no cipher suite in common with the client"),
        (Side::Server, Lacks::NoKxGroupsInCommon.into(), "X25519"),
        (Side::Server, Error::AlertReceived(Alert::UnknownCA), "the client does not trust our certificate"),
        (Side::Server, Error::AlertReceived(Alert::CertificateExpired), "our certificate has expired"),
        (
            Side::Client,
            Error::AlertReceived(Alert::HandshakeFailure),
            "in common with us (handshake_failure)",
        ),
        (Side::Client, Error::AlertReceived(Alert::InternalError), "(internal_error)"),
        (Side::Client, CertificateError::UnknownIssuer.into(), "signed by nobody who is trusted here"),
        (Side::Client, CertificateError::Expired.into(), "the certificate of the server has expired"),
        (Side::Server, Error::DecryptError, "cannot be decrypted"),
        (Side::Server, PeerMisbehaved::TooMuchEarlyDataReceived.into(), "the client broke the rules of TLS"),
    ] {
        let text = of(side, error, b"");
        assert!(text.contains(part), "{text}\nshould contain {part}");
    }
}

#[test]
fn a_peer_that_goes_away_is_not_an_error_of_tls() {
    let gone = io::Error::from(io::ErrorKind::UnexpectedEof);
    let error = HandshakeError::new(Side::Server, &gone, b"\x16");
    assert!(error.to_string().contains("closed the connection in the middle"));
    assert_eq!(io::Error::from(error).kind(), io::ErrorKind::UnexpectedEof);
}
