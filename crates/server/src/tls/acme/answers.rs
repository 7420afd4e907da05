//! What an authority is answered that checks whether a name is ours: over HTTP (RFC 8555 §8.3) or over TLS (RFC 8737).
//!
//! There are answers only while an order runs. Nothing else is served: any other path is `404`, any other handshake ends.

use super::super::{TlsError, VERSIONS, provider};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::{TokioIo, TokioTimer};
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{Acceptor, ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::{LazyConfigAcceptor, StartHandshake};

/// The answers that are waited for now.
#[derive(Default)]
pub(in super::super) struct Answers {
    /// Key authorizations by token.
    files: Mutex<HashMap<String, String>>,
    /// Certificates by name.
    certificates: Mutex<HashMap<String, Arc<CertifiedKey>>>,
}

impl Answers {
    /// Answers HTTP-01.
    pub(super) fn add_file(&self, token: &str, key_authorization: &str) {
        lock(&self.files).insert(token.to_owned(), key_authorization.to_owned());
    }

    /// Answers TLS-ALPN-01: with a certificate for the name alone that carries the digest (RFC 8737 §3).
    pub(super) fn add_certificate(&self, name: &str, digest: &[u8]) -> Result<(), TlsError> {
        let failed = |error: rcgen::Error| TlsError::Internal(error.to_string());
        let key = KeyPair::generate().map_err(failed)?;
        let mut parameters = CertificateParams::new(vec![name.to_owned()]).map_err(failed)?;
        parameters.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
        let certificate = parameters.self_signed(&key).map_err(failed)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let key = provider().key_provider.load_private_key(key);
        let key = key.map_err(|error| TlsError::Internal(error.to_string()))?;
        // Not checked as others are: no verifier knows the critical extension in it.
        let certified = CertifiedKey::new(vec![certificate.der().clone()], key);
        lock(&self.certificates).insert(name.to_ascii_lowercase(), Arc::new(certified));
        Ok(())
    }

    /// The order is over.
    pub(super) fn clear(&self) {
        lock(&self.files).clear();
        lock(&self.certificates).clear();
    }

    /// Whether a client is an authority that checks a name.
    pub(in super::super) fn is_check(hello: &ClientHello<'_>) -> bool {
        hello.alpn().is_some_and(|mut protocols| protocols.any(|protocol| protocol == PROTOCOL))
    }

    /// Answers the check of an authority; the connection is of no other use (RFC 8737 §3).
    pub(in super::super) async fn check<S>(self: &Arc<Self>, start: StartHandshake<S>) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(VERSIONS)
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as _);
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        let mut stream = start.into_stream(Arc::new(config)).await?;
        tokio::io::AsyncWriteExt::shutdown(&mut stream).await
    }

    fn file(&self, request: &Request<Incoming>) -> Option<String> {
        let token = request.uri().path().strip_prefix("/.well-known/acme-challenge/")?;
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        lock(&self.files).get(token).filter(|_| is_read).cloned()
    }
}

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answers").finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Answers {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name()?.to_ascii_lowercase();
        lock(&self.certificates).get(&name).cloned()
    }
}

/// Answers HTTP-01 until dropped.
pub(super) async fn serve_http(listener: TcpListener, answers: Arc<Answers>) {
    serve(listener, |stream, peer| {
        let answers = Arc::clone(&answers);
        async move {
            let service = service_fn(|request: Request<Incoming>| {
                let response = respond(&answers, &request, peer);
                async move { Ok::<_, Infallible>(response) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(PATIENCE)
                .keep_alive(false)
                .max_buf_size(16 * 1024)
                .serve_connection(TokioIo::new(stream), service);
            connection.await.map_err(io::Error::other)
        }
    })
    .await;
}

fn respond(answers: &Answers, request: &Request<Incoming>, peer: SocketAddr) -> Response<Full<Bytes>> {
    let (status, text) = match answers.file(request) {
        Some(text) => {
            tracing::info!(peer = %peer.ip(), "an authority checks a name over HTTP");
            (StatusCode::OK, text)
        }
        None => (StatusCode::NOT_FOUND, "Not found\n".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let plain = header::HeaderValue::from_static("application/octet-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}

/// Answers TLS-ALPN-01 until dropped.
pub(super) async fn serve_tls(listener: TcpListener, answers: Arc<Answers>) {
    serve(listener, |stream, peer| {
        let answers = Arc::clone(&answers);
        async move {
            let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
            if !Answers::is_check(&start.client_hello()) {
                return Err(io::Error::other("nothing but ACME is served here"));
            }
            tracing::info!(peer = %peer.ip(), "an authority checks a name over TLS");
            answers.check(start).await
        }
    })
    .await;
}

/// Serves a few connections at a time, each for a short time.
async fn serve<F>(listener: TcpListener, answer: impl Fn(TcpStream, SocketAddr) -> F)
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(PLACES));
    loop {
        // The kernel keeps those that come meanwhile.
        let place = Arc::clone(&places).acquire_owned().await.expect("nobody closes it");
        match listener.accept().await {
            Ok((stream, peer)) => {
                let answered = answer(stream, peer);
                tokio::spawn(async move {
                    match timeout(PATIENCE, pin!(answered)).await {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => tracing::debug!(peer = %peer.ip(), %error, "ACME listener"),
                        Err(_) => tracing::debug!(peer = %peer.ip(), "ACME listener: too slow"),
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "the ACME listener cannot accept; trying again shortly");
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// RFC 8737 §6.2.
const PROTOCOL: &[u8] = b"acme-tls/1";
/// Connections at a time on one listener.
const PLACES: usize = 32;
/// How long one may take.
const PATIENCE: Duration = Duration::from_secs(15);
