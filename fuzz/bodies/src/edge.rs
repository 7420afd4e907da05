//! What strangers send the server beside SMTP: headers of proxies, and tokens.

use server::auth::jwt::SignedTokens;
use server::auth::{introspection, token::TokenRules};
use server::proxied::{self, HeaderError};
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::LazyLock;

/// A PROXY header, version 1 or 2, and what follows it. Holds: no panic; a header is bounded; a client that it names is no address of this
/// machine; what follows it is left.
pub fn proxy(input: &[u8]) {
    run(async {
        let proxy = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
        let mut rest = input;
        let header = proxied::header(&mut rest, proxy).await;
        let taken = &input[..input.len() - rest.len()];
        assert!(taken.len() <= 4096, "{} octets", taken.len());
        match header {
            Ok(Some(ends)) => {
                let client = ends.source.ip().to_canonical();
                assert!(!client.is_loopback() && !client.is_unspecified() && !client.is_multicast());
            }
            Ok(None) | Err(HeaderError::Malformed | HeaderError::Unbelievable(_)) => {}
            Err(HeaderError::Io(_)) => assert!(rest.is_empty(), "it breaks off before the end"),
            Err(HeaderError::TimedOut) => panic!("nothing has to be waited for"),
        }
        if header_of(taken).await {
            // The same header without anything behind it is the same header.
            assert!(proxied::header(&mut &taken[..], proxy).await.is_ok());
        }
    });
}

async fn header_of(octets: &[u8]) -> bool {
    proxied::header(&mut &octets[..], IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1))).await.is_ok()
}

static RULES: LazyLock<TokenRules> = LazyLock::new(|| TokenRules {
    issuer: Some("https://id.example".to_owned()),
    audience: Some("mail".to_owned()),
    scopes: vec!["send".to_owned()],
    account_claim: "email".to_owned(),
});

/// Keys of an authorization server: those of RFC 7515 Appendix A.3 and RFC 8037 Appendix A.
const KEYS: &str = r#"{"keys":[
    {"kty":"EC","crv":"P-256","kid":"ec","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},
    {"kty":"OKP","crv":"Ed25519","kid":"ed","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

static SIGNED: LazyLock<SignedTokens> =
    LazyLock::new(|| SignedTokens::new(KEYS, RULES.clone()).expect("these are keys"));

/// The first line as a signed token, all of it as a set of keys and as an authorization server's answer. Holds: no panic; no token is good that
/// nobody has signed; an answer lets nobody in whom it does not call active.
pub fn token(input: &[u8]) {
    const NOW: i64 = 1_700_000_000;
    if let Ok(text) = std::str::from_utf8(input) {
        let first = text.lines().next().unwrap_or("");
        assert!(SIGNED.account(first, NOW).is_err(), "nobody has signed it");
        if let Ok(tokens) = SignedTokens::new(text, RULES.clone()) {
            assert!(tokens.account(first, NOW).is_err());
        }
    }
    if let Ok(account) = introspection::account(&RULES, input, NOW) {
        let claims: serde_json::Value = serde_json::from_slice(input).expect("it was read");
        assert_eq!(claims["active"], true);
        assert_eq!(claims["email"], account);
    }
}

/// Runs to the end what needs a clock for nothing but time-outs.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime without threads").block_on(future)
}
