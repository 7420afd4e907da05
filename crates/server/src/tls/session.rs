//! What is known of a connection when its handshake is done.

use super::Flaw;
use rustls::{CommonState, ConnectionCommon, ProtocolVersion};
use sasl::TlsExporter;
use std::fmt;
use std::ops::{Deref, DerefMut};
use store::Identity;

/// The TLS of a connection.
#[derive(Clone, PartialEq, Eq)]
pub struct TlsSession {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
    /// The cipher suite by its name in IANA's registry, like `TLS_AES_128_GCM_SHA256`.
    pub cipher: String,
    /// The name of the server that the client asked for (SNI, RFC 6066 §3).
    pub server_name: Option<String>,
    /// Keying material for SCRAM's channel binding `tls-exporter` (RFC 9266). `None` with TLS 1.2: there the value is unique only
    /// with the extended master secret (RFC 9266 §4.2), and rustls does not tell whether that was used.
    pub exporter: Option<TlsExporter>,
    /// The client's certificate, when it showed one that an authority of the settings has signed. Nothing is known of any other.
    pub client_certificate: Option<ClientCertificate>,
    /// Whether a next hop could prove who it is. Known to its client alone, and only where that looked.
    pub server: Option<Identity>,
    /// If it could not, what was wrong.
    pub flaw: Option<Flaw>,
}

/// A client's certificate that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The mail addresses in it (subjectAltName, rfc822Name), as written.
    pub addresses: Vec<String>,
    /// Its subject, for logs.
    pub subject: String,
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
}

/// The SHA-256 of a certificate, printed as openssl does: `AB:CD:…`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 32]);

/// What both sides know.
pub(super) fn of<C, D>(connection: &C) -> TlsSession
where
    C: Deref<Target = ConnectionCommon<D>> + DerefMut,
    ConnectionCommon<D>: Deref<Target = CommonState>,
{
    let is_new = connection.protocol_version() == Some(ProtocolVersion::TLSv1_3);
    let cipher = connection.negotiated_cipher_suite().map(|suite| format!("{:?}", suite.suite()));
    let exporter = is_new
        .then(|| connection.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(&[])).ok())
        .flatten()
        .map(TlsExporter);
    TlsSession {
        version: if is_new { "TLSv1.3" } else { "TLSv1.2" },
        // rustls says TLS13_ where the registry says TLS_.
        cipher: cipher.unwrap_or_default().replacen("TLS13_", "TLS_", 1),
        server_name: None,
        exporter,
        client_certificate: None,
        server: None,
        flaw: None,
    }
}

impl fmt::Debug for TlsSession {
    // The exporter's value is a secret of the connection.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsSession")
            .field("version", &self.version)
            .field("cipher", &self.cipher)
            .field("server_name", &self.server_name)
            .field("client_certificate", &self.client_certificate)
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, byte) in self.0.iter().enumerate() {
            write!(f, "{}{byte:02X}", if place > 0 { ":" } else { "" })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_prints_as_openssl_prints_it() {
        let mut bytes = [0; 32];
        bytes[..2].copy_from_slice(&[0xAB, 0x0C]);
        let printed = Fingerprint(bytes).to_string();
        assert!(printed.starts_with("AB:0C:00:"), "{printed}");
        assert_eq!(printed.len(), 32 * 3 - 1);
    }

    #[test]
    fn the_exporter_is_not_shown() {
        let session = TlsSession {
            version: "TLSv1.3",
            cipher: "TLS_AES_128_GCM_SHA256".to_owned(),
            server_name: None,
            exporter: Some(TlsExporter([0x5A; 32])),
            client_certificate: None,
            server: None,
            flaw: None,
        };
        let shown = format!("{session:?}");
        assert!(shown.contains("TLSv1.3") && !shown.contains("90") && !shown.contains("exporter"), "{shown}");
    }
}
