//! TLS as the server knows it. rustls does the work; nothing outside this module names it.

mod session;

pub use session::{ClientCertificate, Fingerprint, TlsSession};
