//! Messages out of the RFCs, octet by octet, on both sides.

mod common;

use common::{CLIENT_NONCE, EXPORTER, account, password, terms, token};
use sasl::client::{self, ChannelBinding, Credentials};
use sasl::server::{Answer, Exchange, Identity, Next, OAuthHints, Question, Terms};
use sasl::{Failure, Iterations, Mechanism, ScramVerifier, Secret};

fn challenge(text: &str) -> Next {
    Next::Challenge(text.to_owned())
}

fn done(authentication: &str, authorization: Option<&str>) -> Next {
    Next::Done(Identity {
        authentication: authentication.to_owned(),
        authorization: authorization.map(str::to_owned),
    })
}

/// RFC 7677 §3.
mod scram_example {
    pub(super) const CLIENT_FIRST: &str = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    pub(super) const SERVER_FIRST: &str =
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    pub(super) const CLIENT_FINAL: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
        p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    pub(super) const SERVER_FINAL: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
    pub(super) const SALT: &[u8] = b"\x5b\x6d\x99\x68\x9d\x12\x35\x8e\xec\xa0\x4b\x14\x12\x36\xfa\x81";
}

#[test]
fn the_server_speaks_the_example_of_rfc_7677() {
    use scram_example::{CLIENT_FINAL, CLIENT_FIRST, SALT, SERVER_FINAL, SERVER_FIRST};
    let nonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0".to_owned();
    let terms = Terms { nonce, channel_binding: None, ..terms() };
    let mut exchange = Exchange::new(Mechanism::ScramSha256, terms);
    let question = exchange.start(Some(CLIENT_FIRST.as_bytes()));
    assert_eq!(question, Next::Ask(Question::Verifier { user: "user".to_owned() }));
    let verifier = ScramVerifier::derive("pencil", SALT, Iterations::new(4096).expect("a bound"));
    assert_eq!(exchange.answer(Answer::Verifier(verifier)), challenge(SERVER_FIRST));
    assert_eq!(exchange.respond(CLIENT_FINAL.as_bytes()), challenge(SERVER_FINAL));
    assert_eq!(exchange.respond(b""), done("user", None));
}

#[test]
fn the_client_speaks_the_example_of_rfc_7677() {
    use scram_example::{CLIENT_FINAL, CLIENT_FIRST, SERVER_FINAL, SERVER_FIRST};
    let nonce = "rOprNGfwEbeRWgbNEkqO";
    let credentials = password("user", "pencil");
    let mut exchange =
        client::Exchange::new(Mechanism::ScramSha256, credentials, nonce, ChannelBinding::Unsupported)
            .expect("they fit");
    assert_eq!(exchange.initial().expect("it is first").expose(), CLIENT_FIRST);
    assert_eq!(exchange.respond(SERVER_FIRST.as_bytes()).expect("a proof").expose(), CLIENT_FINAL);
    assert_eq!(exchange.succeeded(), Err(Failure::Server), "the server has proved nothing yet");
    assert_eq!(exchange.respond(SERVER_FINAL.as_bytes()).expect("the end").expose(), "");
    assert_eq!(exchange.succeeded(), Ok(()));
}

#[test]
fn a_verifier_is_kept_as_text() {
    let verifier =
        ScramVerifier::derive("pencil", scram_example::SALT, Iterations::new(4096).expect("a bound"));
    let record = verifier.record();
    // The keys of the example, computed apart from this code with Python's hashlib.
    assert_eq!(
        record.expose(),
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:\
         wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    );
    let again = ScramVerifier::parse(record.expose()).expect("our own text");
    assert_eq!(again.record(), record);
    assert_eq!(format!("{again:?}"), "ScramVerifier { iterations: 4096, .. }");
    for wrong in [
        "",
        "SCRAM-SHA-1$4096:AAAA$AAAA:AAAA",
        "SCRAM-SHA-256$4095:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
        "SCRAM-SHA-256$4096:$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
    ] {
        assert!(ScramVerifier::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn plain_as_in_rfc_4616() {
    let mut exchange = Exchange::new(Mechanism::Plain, terms());
    assert_eq!(exchange.start(None), challenge(""));
    let question = exchange.respond(b"\0tim\0tanstaaftanstaaf");
    let asked = Question::Password { user: "tim".to_owned(), password: Secret::new("tanstaaftanstaaf") };
    assert_eq!(question, Next::Ask(asked));
    assert_eq!(exchange.answer(Answer::Accepted("tim".to_owned())), done("tim", None));

    let mut exchange = Exchange::new(Mechanism::Plain, terms());
    assert!(matches!(exchange.start(Some(b"Ursel\0Kurt\0xipj3plmq")), Next::Ask(_)));
    assert_eq!(exchange.answer(Answer::Accepted("kurt".to_owned())), done("kurt", Some("Ursel")));
}

#[test]
fn login_prompts_as_clients_expect() {
    let mut exchange = Exchange::new(Mechanism::Login, terms());
    assert_eq!(exchange.start(None), challenge("Username:"));
    assert_eq!(exchange.respond(b"tim"), challenge("Password:"));
    let asked = Question::Password { user: "tim".to_owned(), password: Secret::new("secret") };
    assert_eq!(exchange.respond(b"secret"), Next::Ask(asked.clone()));
    assert_eq!(exchange.answer(Answer::Refused), Next::Failed(Failure::Refused));

    // Some clients send the name with the command.
    let mut exchange = Exchange::new(Mechanism::Login, terms());
    assert_eq!(exchange.start(Some(b"tim")), challenge("Password:"));
    assert_eq!(exchange.respond(b"secret"), Next::Ask(asked));
}

#[test]
fn oauthbearer_as_in_rfc_7628() {
    let hints = OAuthHints {
        scope: Some("example_scope".to_owned()),
        openid_configuration: Some("https://example.com/.well-known/openid-configuration".to_owned()),
    };
    let mut exchange = Exchange::new(Mechanism::OAuthBearer, Terms { hints, ..terms() });
    let message = "n,a=user@example.com,\u{1}host=server.example.com\u{1}port=587\u{1}\
        auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\u{1}\u{1}";
    let asked = Question::Token {
        user: Some("user@example.com".to_owned()),
        token: Secret::new("vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="),
    };
    assert_eq!(exchange.start(Some(message.as_bytes())), Next::Ask(asked));
    assert_eq!(
        exchange.answer(Answer::Refused),
        challenge(
            "{\"status\":\"invalid_token\",\"scope\":\"example_scope\",\
             \"openid-configuration\":\"https://example.com/.well-known/openid-configuration\"}"
        )
    );
    assert_eq!(exchange.respond(b"\x01"), Next::Failed(Failure::Refused));

    let mut client = client::Exchange::new(
        Mechanism::OAuthBearer,
        Credentials::Token {
            user: "user@example.com".to_owned(),
            token: Secret::new("vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="),
            host: "server.example.com".to_owned(),
            port: 587,
        },
        CLIENT_NONCE,
        ChannelBinding::Unsupported,
    )
    .expect("they fit");
    assert_eq!(client.initial().expect("it is first").expose(), message);
    assert_eq!(client.respond(b"{\"status\":\"invalid_token\"}").expect("the dummy").expose(), "\u{1}");
    assert_eq!(client.succeeded(), Err(Failure::Token("{\"status\":\"invalid_token\"}".to_owned())));
}

#[test]
fn a_client_without_a_token_learns_where_to_get_one() {
    let mut exchange = Exchange::new(Mechanism::OAuthBearer, terms());
    assert_eq!(
        exchange.start(Some(b"n,,\x01auth=\x01\x01")),
        challenge("{\"status\":\"invalid_token\"}"),
        "RFC 7628 §4.3: without asking anybody"
    );
    assert_eq!(exchange.respond(b"\x01"), Next::Failed(Failure::Refused));
}

#[test]
fn xoauth2_as_google_describes_it() {
    let message =
        "user=someuser@example.com\u{1}auth=Bearer ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg\u{1}\u{1}";
    let mut exchange = Exchange::new(Mechanism::XOAuth2, terms());
    let Next::Ask(Question::Token { user, token }) = exchange.start(Some(message.as_bytes())) else {
        panic!("a token was sent");
    };
    assert_eq!(user.as_deref(), Some("someuser@example.com"));
    assert_eq!(token.expose(), "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg");
    assert_eq!(exchange.answer(Answer::Refused), challenge("{\"status\":\"401\",\"schemes\":\"bearer\"}"));
    assert_eq!(exchange.respond(b""), Next::Failed(Failure::Refused));

    let mut client = client::Exchange::new(
        Mechanism::XOAuth2,
        token_of("someuser@example.com", token.expose()),
        CLIENT_NONCE,
        ChannelBinding::Unsupported,
    )
    .expect("they fit");
    assert_eq!(client.initial().expect("it is first").expose(), message);
    assert_eq!(client.respond(b"{}").expect("an empty one").expose(), "");
    assert!(client.succeeded().is_err());
}

#[test]
fn external_with_and_without_a_name() {
    for (response, user) in [("", None), ("fred@example.com", Some("fred@example.com"))] {
        let mut exchange = Exchange::new(Mechanism::External, terms());
        let asked = Question::External { user: user.map(str::to_owned) };
        assert_eq!(exchange.start(Some(response.as_bytes())), Next::Ask(asked));
        assert_eq!(exchange.answer(Answer::Accepted(account(user))), done(&account(user), user));
    }
}

#[test]
fn nothing_secret_is_shown_by_debug() {
    let credentials = [password("tim", "tanstaaf"), token_of("tim", "tanstaaf")];
    for credentials in credentials {
        assert!(!format!("{credentials:?}").contains("tanstaaf"));
    }
    let mut exchange = Exchange::new(Mechanism::Plain, terms());
    let next = exchange.start(Some(b"\0tim\0tanstaaf"));
    assert!(!format!("{next:?} {exchange:?}").contains("tanstaaf"));
    let first = format!("p=tls-exporter,,n=tim,r={CLIENT_NONCE}");
    let mut exchange = Exchange::new(Mechanism::ScramSha256Plus, terms());
    let before = format!("{exchange:?}");
    let next = exchange.start(Some(first.as_bytes()));
    let binding = ChannelBinding::TlsExporter(EXPORTER);
    let shown = format!("{before} {next:?} {exchange:?} {binding:?}");
    assert!(!shown.contains("7, 7"), "the channel's exporter value: {shown}");
}

#[test]
fn a_client_chooses_the_strongest_that_fits_and_tells_of_a_missing_plus() {
    use Mechanism::{External, Login, OAuthBearer, Plain, ScramSha256, ScramSha256Plus};
    let credentials = password("tim", "tanstaaf");
    let choose = |offered: &[Mechanism], exporter| client::choose(offered, &credentials, exporter);
    let all = [Login, Plain, OAuthBearer, External, ScramSha256, ScramSha256Plus];
    let bound = ChannelBinding::TlsExporter(EXPORTER);
    assert_eq!(choose(&all, Some(EXPORTER)), Some((ScramSha256Plus, bound)));
    assert_eq!(choose(&all, None), Some((ScramSha256, ChannelBinding::Unsupported)));
    assert_eq!(choose(&all[..5], Some(EXPORTER)), Some((ScramSha256, ChannelBinding::NotOffered)));
    assert_eq!(choose(&[Login, Plain], None), Some((Plain, ChannelBinding::Unsupported)));
    assert_eq!(choose(&[OAuthBearer, External], None), None);
    let offered = client::choose(&all, &token("tim"), None).map(|(mechanism, _)| mechanism);
    assert_eq!(offered, Some(OAuthBearer));
}

#[test]
fn names_are_parsed_in_any_case() {
    for mechanism in Mechanism::ALL {
        assert_eq!(Mechanism::parse(&mechanism.as_str().to_lowercase()), Some(mechanism));
    }
    assert_eq!(Mechanism::parse("CRAM-MD5"), None);
}

fn token_of(user: &str, token: &str) -> Credentials {
    Credentials::Token {
        user: user.to_owned(),
        token: Secret::new(token),
        host: "mail.example".to_owned(),
        port: 587,
    }
}
