//! Handshakes in memory: our server with our client, and with rustls' own where the test needs more of it.

use super::*;
use crate::settings::{Catcher, Service, Settings};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use rustls::ClientConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use store::Timestamp;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio_rustls::TlsConnector;

/// 2026-11-22, as the clock that rustls asks, so that what is made now counts now.
fn now() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_millisecond())
}

fn settings(data: &TempDir) -> Settings {
    let catcher = Catcher { data: data.path().to_owned(), ..Catcher::default() };
    Settings::catcher(catcher, smtp::Domain::parse("mx.example").expect("a domain"))
}

fn open(settings: &Settings) -> Tls {
    Tls::open(settings, now()).expect("TLS can be had").expect("a listener wants it")
}

fn own_certificate(data: &TempDir) -> PathBuf {
    data.path().join("tls/self-signed.crt")
}

/// Both ends of a connection after its handshake.
async fn shake(
    tls: &Tls,
    service: Service,
    connector: Connector,
) -> (Result<TlsSession, String>, Result<TlsSession, String>) {
    let (client, server) = tokio::io::duplex(1 << 16);
    let mut client = Stream::connected(client, Some(connector));
    let mut server = Stream::accepted(server, Some(tls.acceptor(service)));
    let (client, server) = tokio::join!(client.secure(), server.secure());
    (client.map_err(|error| error.to_string()), server.map_err(|error| error.to_string()))
}

#[tokio::test]
async fn both_sides_know_the_same_of_a_session() {
    let data = TempDir::new().expect("a directory");
    let tls = open(&settings(&data));
    let trust = Trust::File(own_certificate(&data));
    for name in ["mx.example", "localhost", "127.0.0.1", "[::1]"] {
        let connector = Connector::new(name, &trust).expect("a name");
        let (client, server) = shake(&tls, Service::Smtp, connector).await;
        let (client, server) = (client.expect("it is trusted"), server.expect("it is trusted"));
        assert_eq!((client.version, &client.cipher), (server.version, &server.cipher));
        assert_eq!(client.version, "TLSv1.3");
        assert!(client.cipher.starts_with("TLS_") && !client.cipher.contains("13"), "{}", client.cipher);
        assert!(client.exporter.is_some() && client.exporter == server.exporter, "RFC 9266");
        let asked = (!name.contains(['1', ':'])).then(|| name.to_owned());
        assert_eq!(server.server_name, asked);
    }
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_told_on_both_sides() {
    let data = TempDir::new().expect("a directory");
    let tls = open(&settings(&data));
    let trust = Trust::File(own_certificate(&data));
    let connector = Connector::new("other.example", &trust).expect("a name");
    let (client, server) = shake(&tls, Service::Smtp, connector).await;
    let client = client.expect_err("another name");
    assert!(client.contains("is not for other.example, but for"), "{client}");
    assert!(server.expect_err("the client went").contains("does not trust our certificate"));

    let others = TempDir::new().expect("a directory");
    open(&settings(&others));
    let connector = Connector::new("mx.example", &Trust::File(own_certificate(&others))).expect("a name");
    let (client, _) = shake(&tls, Service::Smtp, connector).await;
    let client = client.expect_err("another server's certificate");
    assert!(client.contains("certificate of the server"), "{client}");

    let connector = Connector::new("other.example", &Trust::Anything).expect("a name");
    let (client, server) = shake(&tls, Service::Smtp, connector).await;
    assert!(client.is_ok() && server.is_ok());
}

#[test]
fn the_servers_own_certificate_is_kept_and_private() {
    let data = TempDir::new().expect("a directory");
    let mut settings = settings(&data);
    let first = open(&settings).certificates().list();
    let again = open(&settings).certificates().list();
    assert_eq!(first, again, "it is kept over a restart");
    assert_eq!(first[0].names[0], "mx.example");
    for file in ["self-signed.key", "self-signed.crt"] {
        let mode =
            fs::metadata(data.path().join("tls").join(file)).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    settings.host_name = smtp::Domain::parse("renamed.example").expect("a domain");
    let renamed = open(&settings).certificates().list();
    assert_eq!(renamed[0].names[0], "renamed.example");
    assert_ne!(renamed[0].fingerprint, first[0].fingerprint);
}

#[test]
fn nothing_is_made_where_nobody_uses_tls() {
    let data = TempDir::new().expect("a directory");
    let mut settings = settings(&data);
    settings.listeners[0].tls = crate::settings::ListenerTls::None;
    assert!(Tls::open(&settings, now()).expect("nothing can fail").is_none());
    assert!(!data.path().join("tls").exists());
}

/// A client of rustls' own, so that certificates and tickets can be had.
async fn raw(
    tls: &Tls,
    service: Service,
    config: &Arc<ClientConfig>,
) -> (tokio_rustls::client::TlsStream<DuplexStream>, TlsSession) {
    let (client, server) = tokio::io::duplex(1 << 16);
    let mut server = Stream::accepted(server, Some(tls.acceptor(service)));
    let name = ServerName::try_from("mx.example").expect("a name");
    let connector = TlsConnector::from(Arc::clone(config));
    let (client, session) = tokio::join!(connector.connect(name, client), server.secure());
    let (mut client, session) = (client.expect("a session"), session.expect("a session"));
    // One round trip, so that tickets and refusals of a certificate have come.
    server.write_all(b"220\r\n").await.expect("room");
    server.flush().await.expect("room");
    let mut greeting = [0; 5];
    client.read_exact(&mut greeting).await.expect("a greeting");
    (client, session)
}

fn roots(data: &TempDir) -> rustls::RootCertStore {
    let mut roots = rustls::RootCertStore::empty();
    let bytes = fs::read(own_certificate(data)).expect("it is there");
    for certificate in files::certificates(Path::new("own"), &bytes).expect("PEM") {
        roots.add(certificate).expect("a certificate");
    }
    roots
}

fn client(data: &TempDir) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
    ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(VERSIONS)
        .expect("both versions are there")
        .with_root_certificates(roots(data))
}

#[tokio::test]
async fn those_who_submit_may_resume_a_session_and_other_servers_may_not() {
    let data = TempDir::new().expect("a directory");
    let tls = open(&settings(&data));
    for (service, kind) in [
        (Service::Submission, rustls::HandshakeKind::Resumed),
        (Service::Smtp, rustls::HandshakeKind::Full),
        (Service::Lmtp, rustls::HandshakeKind::Full),
    ] {
        let config = Arc::new(client(&data).with_no_client_auth());
        raw(&tls, service, &config).await;
        let (second, session) = raw(&tls, service, &config).await;
        assert_eq!(second.get_ref().1.handshake_kind(), Some(kind), "{service}");
        assert!(session.exporter.is_some());
    }
}

#[tokio::test]
async fn tls_1_2_is_spoken_without_channel_binding() {
    let data = TempDir::new().expect("a directory");
    let tls = open(&settings(&data));
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS12])
        .expect("the version is there")
        .with_root_certificates(roots(&data))
        .with_no_client_auth();
    let (_, session) = raw(&tls, Service::Submission, &Arc::new(config)).await;
    assert_eq!((session.version, session.exporter), ("TLSv1.2", None));
    assert!(session.cipher.starts_with("TLS_ECDHE_"), "{}", session.cipher);
}

/// A certificate for this address, signed by a new authority, which is written to a file.
fn client_pair(authority: &Path, address: &str) -> (CertificateDerOwned, PrivateKeyDer<'static>) {
    let ca_key = KeyPair::generate().expect("randomness");
    let mut ca = CertificateParams::new(Vec::new()).expect("no names");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    fs::write(authority, ca.self_signed(&ca_key).expect("a certificate").pem()).expect("room");
    let issuer = Issuer::new(ca, ca_key);
    let key = KeyPair::generate().expect("randomness");
    let mut parameters = CertificateParams::new(Vec::new()).expect("no names");
    parameters.subject_alt_names = vec![SanType::Rfc822Name(address.try_into().expect("ASCII"))];
    let certificate = parameters.signed_by(&key, &issuer).expect("a certificate");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    (certificate.der().clone(), key)
}

#[tokio::test]
async fn changed_authorities_count_for_who_connects_then_also_with_a_ticket() {
    let data = TempDir::new().expect("a directory");
    let (file, other) = (data.path().join("ours.pem"), data.path().join("other.pem"));
    let with = |(certificate, key): (CertificateDerOwned, PrivateKeyDer<'static>)| {
        Arc::new(client(&data).with_client_auth_cert(vec![certificate], key).expect("they belong together"))
    };
    let (former, later) = (client_pair(&file, "bob@b.example"), client_pair(&other, "ann@b.example"));
    let mut settings = settings(&data);
    settings.tls.client_ca = Some(file.clone());
    let tls = open(&settings);
    let (former, later) = (with(former), with(later));
    assert!(raw(&tls, Service::Submission, &former).await.1.client_certificate.is_some());

    fs::write(&file, "no certificate").expect("room");
    tls.refresh(now());
    assert!(raw(&tls, Service::Submission, &former).await.1.client_certificate.is_some(), "as before");

    fs::copy(&other, &file).expect("room");
    tls.refresh(now());
    assert_eq!(raw(&tls, Service::Submission, &former).await.1.client_certificate, None);
    let certificate = raw(&tls, Service::Submission, &later).await.1.client_certificate.expect("vouched for");
    assert_eq!(certificate.addresses, ["ann@b.example"]);
}

type CertificateDerOwned = rustls::pki_types::CertificateDer<'static>;

#[tokio::test]
async fn a_client_certificate_counts_only_from_an_authority_of_the_settings() {
    let data = TempDir::new().expect("a directory");
    let ours = data.path().join("ours.pem");
    let known = client_pair(&ours, "bob@b.example");
    let unknown = client_pair(&data.path().join("theirs.pem"), "bob@b.example");
    let mut settings = settings(&data);
    settings.tls.client_ca = Some(ours);
    let tls = open(&settings);
    let with = |(certificate, key): (CertificateDerOwned, PrivateKeyDer<'static>)| {
        Arc::new(client(&data).with_client_auth_cert(vec![certificate], key).expect("they belong together"))
    };
    let known = with(known);
    for _ in ["full", "resumed"] {
        let (_, session) = raw(&tls, Service::Submission, &known).await;
        let certificate = session.client_certificate.expect("it is vouched for");
        assert_eq!(certificate.addresses, ["bob@b.example"]);
    }
    let (_, session) = raw(&tls, Service::Smtp, &known).await;
    assert_eq!(session.client_certificate, None, "other servers are not asked");
    let (_, session) = raw(&tls, Service::Submission, &with(unknown)).await;
    assert_eq!(session.client_certificate, None, "it is served as somebody without one");
    let (_, session) = raw(&tls, Service::Submission, &Arc::new(client(&data).with_no_client_auth())).await;
    assert_eq!(session.client_certificate, None);
}
