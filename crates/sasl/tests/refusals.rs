//! What neither side puts up with.

mod common;

use common::{CLIENT_NONCE, SERVER_NONCE, password, terms};
use sasl::client::{self, ChannelBinding, Credentials};
use sasl::server::{Answer, Exchange, Next};
use sasl::{Failure, Iterations, MESSAGE_MAX, Mechanism, NAME_MAX, ScramVerifier, Secret};

fn begin(mechanism: Mechanism, message: &str) -> Next {
    Exchange::new(mechanism, terms()).start(Some(message.as_bytes()))
}

#[test]
fn malformed_first_messages() {
    use Mechanism::{OAuthBearer, Plain, ScramSha256, ScramSha256Plus, XOAuth2};
    for (mechanism, message) in [
        (Plain, "tim"),
        (Plain, "\0tim"),
        (Plain, "\0tim\0tanstaaf\0more"),
        (Plain, "\0\0tanstaaf"),
        (Plain, "\0tim\0"),
        (ScramSha256, ""),
        (ScramSha256, "n,n=tim,r=abc"),
        (ScramSha256, "x,,n=tim,r=abc"),
        (ScramSha256, "n,tom,n=tim,r=abc"),
        (ScramSha256, "n,a=,n=tim,r=abc"),
        (ScramSha256, "n,,r=abc,n=tim"),
        (ScramSha256, "n,,n=tim"),
        (ScramSha256, "n,,n=,r=abc"),
        (ScramSha256, "n,,n=t=im,r=abc"),
        (ScramSha256, "n,,n=t=2cim,r=abc"),
        (ScramSha256, "n,,n=tim,r="),
        (ScramSha256, "n,,n=tim,r=a c"),
        (ScramSha256, "n,,m=ext,n=tim,r=abc"),
        (ScramSha256, "n,,n=tim,r=abc,m=ext"),
        (ScramSha256, "n,,n=tim,r=abc,extension"),
        (ScramSha256Plus, "p=tls-exporter,,n=,r=abc"),
        (OAuthBearer, ""),
        (OAuthBearer, "n,a=tim,"),
        (OAuthBearer, "n,a=tim,\u{1}auth=Bearer abc"),
        (OAuthBearer, "n,a=tim,\u{1}auth=Bearer abc\u{1}"),
        (OAuthBearer, "n,a=tim,\u{1}auth=Basic abc\u{1}\u{1}"),
        (OAuthBearer, "n,a=tim,\u{1}auth=Bearer a b\u{1}\u{1}"),
        (OAuthBearer, "n,a=tim,\u{1}auth=Bearer a\u{1}auth=Bearer b\u{1}\u{1}"),
        (OAuthBearer, "n,a=tim,\u{1}host=x\u{1}\u{1}"),
        (OAuthBearer, "n,a=tim,\u{1}1=x\u{1}auth=Bearer abc\u{1}\u{1}"),
        (XOAuth2, "user=\u{1}auth=Bearer abc\u{1}\u{1}"),
        (XOAuth2, "auth=Bearer abc\u{1}\u{1}"),
    ] {
        let next = begin(mechanism, message);
        assert!(matches!(next, Next::Failed(Failure::Malformed(_))), "{mechanism} {message:?}: {next:?}");
    }
}

#[test]
fn channel_binding_that_does_not_fit() {
    use Mechanism::{OAuthBearer, ScramSha256, ScramSha256Plus};
    for (mechanism, message) in [
        (ScramSha256Plus, "n,,n=tim,r=abc"),
        (ScramSha256Plus, "y,,n=tim,r=abc"),
        (ScramSha256Plus, "p=tls-unique,,n=tim,r=abc"),
        (ScramSha256, "p=tls-exporter,,n=tim,r=abc"),
        (OAuthBearer, "p=tls-exporter,a=tim,\u{1}auth=Bearer abc\u{1}\u{1}"),
    ] {
        let next = begin(mechanism, message);
        assert!(
            matches!(next, Next::Failed(Failure::ChannelBinding(_))),
            "{mechanism} {message:?}: {next:?}"
        );
    }
}

#[test]
fn everything_is_bounded() {
    let long = "x".repeat(NAME_MAX + 1);
    let huge = "x".repeat(MESSAGE_MAX + 1);
    for (mechanism, message) in [
        (Mechanism::Plain, format!("\0{long}\0secret")),
        (Mechanism::Plain, format!("{long}\0tim\0secret")),
        (Mechanism::Plain, format!("\0tim\0{long}")),
        (Mechanism::Login, long.clone()),
        (Mechanism::External, long.clone()),
        (Mechanism::ScramSha256, format!("n,,n={long},r=abc")),
        (Mechanism::ScramSha256, format!("n,a={long},n=tim,r=abc")),
        (Mechanism::XOAuth2, format!("user={long}\u{1}auth=Bearer abc\u{1}\u{1}")),
        (Mechanism::OAuthBearer, huge),
    ] {
        assert_eq!(begin(mechanism, &message), Next::Failed(Failure::TooLong), "{mechanism}");
    }
    let nonce = format!("n,,n=tim,r={}", "x".repeat(600));
    assert_eq!(begin(Mechanism::ScramSha256, &nonce), Next::Failed(Failure::Malformed("nonce")));
    // RFC 4616 §2: 255 octets must do.
    let all = "x".repeat(255);
    assert!(matches!(begin(Mechanism::Plain, &format!("{all}\0{all}\0{all}")), Next::Ask(_)));
}

#[test]
fn what_is_not_utf_8_and_what_comes_out_of_order() {
    let mut exchange = Exchange::new(Mechanism::Plain, terms());
    assert_eq!(exchange.start(Some(b"\0tim\0\xff")), Next::Failed(Failure::Malformed("not UTF-8")));
    assert_eq!(exchange.respond(b"\0tim\0tanstaaf"), Next::Failed(Failure::OutOfOrder));
    let mut exchange = Exchange::new(Mechanism::Plain, terms());
    assert_eq!(exchange.answer(Answer::Accepted("tim".to_owned())), Next::Failed(Failure::OutOfOrder));
    let mut exchange = Exchange::new(Mechanism::Plain, terms());
    assert!(matches!(exchange.start(Some(b"\0tim\0tanstaaf")), Next::Ask(_)));
    assert_eq!(exchange.respond(b"\0tim\0tanstaaf"), Next::Failed(Failure::OutOfOrder));
}

#[test]
fn malformed_proofs() {
    let verifier = ScramVerifier::derive("tanstaaf", b"salt", Iterations::new(4096).expect("the bound"));
    let nonce = format!("{CLIENT_NONCE}{SERVER_NONCE}");
    let proof = format!("{}=", "A".repeat(43));
    for (message, malformed) in [
        (format!("c=biws,r={nonce}"), "no proof"),
        (format!("c=biws,r={CLIENT_NONCE},p={proof}"), "another nonce"),
        (format!("r={nonce},c=biws,p={proof}"), "an attribute is not in its place"),
        (format!("c=bi ws,r={nonce},p={proof}"), "base64"),
        (format!("c=biws,r={nonce},p={proof},x=y"), "base64"),
        (format!("c=biws,r={nonce},m=x,p={proof}"), "extension"),
    ] {
        let mut exchange = Exchange::new(Mechanism::ScramSha256, terms());
        let first = format!("n,,n=tim,r={CLIENT_NONCE}");
        assert!(matches!(exchange.start(Some(first.as_bytes())), Next::Ask(_)));
        assert!(matches!(exchange.answer(Answer::Verifier(verifier.clone())), Next::Challenge(_)));
        let next = exchange.respond(message.as_bytes());
        assert_eq!(next, Next::Failed(Failure::Malformed(malformed)), "{message}");
    }
}

#[test]
fn a_client_does_not_trust_any_server() {
    let first = |message: &str| {
        let credentials = password("tim", "tanstaaf");
        let mechanism = Mechanism::ScramSha256;
        let mut client =
            client::Exchange::new(mechanism, credentials, CLIENT_NONCE, ChannelBinding::Unsupported)
                .expect("they fit");
        assert!(client.initial().is_some());
        client.respond(message.as_bytes()).map(drop)
    };
    let nonce = format!("{CLIENT_NONCE}{SERVER_NONCE}");
    assert_eq!(first(&format!("r={nonce},s=c2FsdA==,i=4096")), Ok(()));
    assert_eq!(first(&format!("r={SERVER_NONCE},s=c2FsdA==,i=4096")), Err(Failure::Server));
    assert_eq!(first(&format!("r={CLIENT_NONCE},s=c2FsdA==,i=4096")), Err(Failure::Server));
    assert_eq!(first(&format!("r={nonce},s=c2FsdA==,i=1")), Err(Failure::Iterations(1)));
    assert_eq!(first(&format!("r={nonce},s=c2FsdA==,i=4000000000")), Err(Failure::Iterations(4_000_000_000)));
    assert_eq!(first(&format!("r={nonce},s=,i=4096")), Err(Failure::Malformed("salt")));
    assert_eq!(first(&format!("r={nonce},s=c2FsdA==,i=+4096")), Err(Failure::Malformed("iteration count")));
}

#[test]
fn a_client_sends_nothing_that_could_end_a_field() {
    let with = |user: &str, secret: &str| password(user, secret);
    for (mechanism, credentials) in [
        (Mechanism::Plain, with("tim\0tom", "tanstaaf")),
        (Mechanism::Plain, with("tim", "tan\0staaf")),
        (Mechanism::External, Credentials::Certificate { authorization: Some("a\0b".to_owned()) }),
        (
            Mechanism::XOAuth2,
            Credentials::Token {
                user: "tim\u{1}auth=Bearer x".to_owned(),
                token: Secret::new("abc"),
                host: "mail.example".to_owned(),
                port: 587,
            },
        ),
        (
            Mechanism::OAuthBearer,
            Credentials::Token {
                user: "tim".to_owned(),
                token: Secret::new("abc\u{1}"),
                host: "mail.example".to_owned(),
                port: 587,
            },
        ),
        (Mechanism::Plain, Credentials::Certificate { authorization: None }),
    ] {
        let made = client::Exchange::new(mechanism, credentials, CLIENT_NONCE, ChannelBinding::Unsupported);
        assert_eq!(made.err(), Some(Failure::Unfit), "{mechanism}");
    }
}
