//! AUTH over TCP: every mechanism, what a client hears, and what stays the same for those who have no account.

use crate::common::{NOW, PASSWORD, Running, Talk, application_password, name, plain, start_submission};
use data_encoding::BASE64;
use posthaste_server::auth::pool::Pool;
use posthaste_server::auth::token::TokenRules;
use posthaste_server::auth::{self, Authenticator, Costs, WithScram};
use posthaste_server::inbound::{Context, Peer};
use posthaste_server::listen;
use posthaste_server::settings::{
    Catcher, InClear, ListenerTls, OAuth, RateText, Service, Settings, TokenSource,
};
use posthaste_server::tls::{Connector, Stream, Transport, Trust};
use sasl::client::{ChannelBinding, Credentials, Exchange};
use sasl::server::OAuthHints;
use sasl::{Iterations, Mechanism, Secret, TlsExporter};
use std::sync::Arc;
use std::time::Duration;
use store::SharedStore;
use store::memory::Memory;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

const REFUSED: &str = "535 5.7.8 Authentication credentials invalid";
const GRANTED: &str = "235 2.7.0 Authentication successful";

/// Speaks the exchange to its end, over whatever there is; the last reply.
async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, mut client: Exchange) -> String {
    let mut stream = BufReader::new(stream);
    let initial = client.initial().map(|secret| format!(" {}", BASE64.encode(secret.expose().as_bytes())));
    let mut line = format!("AUTH {}{}", client.mechanism(), initial.unwrap_or_default());
    loop {
        stream.write_all(format!("{line}\r\n").as_bytes()).await.expect("the server reads");
        stream.flush().await.expect("the server reads");
        let mut reply = String::new();
        stream.read_line(&mut reply).await.expect("the server answers");
        let Some(challenge) = reply.strip_prefix("334 ") else {
            if reply.starts_with("235 ") {
                assert_eq!(client.succeeded(), Ok(()), "the server proved itself");
            }
            return reply.trim_end().to_owned();
        };
        let challenge = BASE64.decode(challenge.trim_end().as_bytes()).expect("base64");
        line = match client.respond(&challenge) {
            Ok(response) => BASE64.encode(response.expose().as_bytes()),
            Err(_) => "*".to_owned(),
        };
    }
}

fn credentials(user: &str, password: &str) -> Credentials {
    Credentials::Password { user: user.to_owned(), password: Secret::new(password), authorization: None }
}

async fn log_in(running: &Running, mechanism: Mechanism, credentials: Credentials) -> String {
    let mut stream = TcpStream::connect(running.address).await.expect("a connection");
    greet(&mut stream).await;
    let client =
        Exchange::new(mechanism, credentials, "fyko+d2lbbFgONRv9qkxdawL", ChannelBinding::Unsupported)
            .expect("they fit");
    exchange(&mut stream, client).await
}

/// Greeting and EHLO; what is offered.
async fn greet<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> String {
    let mut stream = BufReader::new(stream);
    let mut said = String::new();
    stream.read_line(&mut said).await.expect("a greeting");
    said.clear();
    hello(&mut stream, &mut said).await;
    said
}

async fn hello<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut BufReader<S>, said: &mut String) {
    stream.write_all(b"EHLO client.example\r\n").await.expect("the server reads");
    stream.flush().await.expect("the server reads");
    loop {
        let start = said.len();
        assert!(stream.read_line(said).await.expect("the server answers") > 0);
        if said.as_bytes()[start + 3] == b' ' {
            return;
        }
    }
}

#[tokio::test]
async fn the_old_dialogue_of_login() {
    let running = start_submission(|_| {}).await;
    let mut talk = Talk::hello(running.address).await;
    assert_eq!(talk.say("AUTH LOGIN").await, "334 VXNlcm5hbWU6");
    assert_eq!(talk.say(&BASE64.encode(b"bob@b.example")).await, "334 UGFzc3dvcmQ6");
    assert_eq!(talk.say(&BASE64.encode(b"wrong")).await, REFUSED);
    assert!(talk.say("MAIL FROM:<bob@b.example>").await.starts_with("530 5.7.0 "));
    assert_eq!(talk.say("AUTH LOGIN").await, "334 VXNlcm5hbWU6");
    assert_eq!(talk.say(&BASE64.encode(b"bob")).await, "334 UGFzc3dvcmQ6", "the main domain is meant");
    assert_eq!(talk.say(&BASE64.encode(PASSWORD.as_bytes())).await, GRANTED);
    assert!(talk.say("AUTH LOGIN").await.starts_with("503 5.5.1 "), "once in a session");
    assert_eq!(talk.say("MAIL FROM:<bob@b.example>").await, "250 2.1.0 Ok");
}

#[tokio::test]
async fn who_has_no_account_hears_what_a_wrong_password_hears() {
    let running = start_submission(|_| {}).await;
    for mechanism in [Mechanism::Plain, Mechanism::Login, Mechanism::ScramSha256] {
        let mut heard = Vec::new();
        for (user, password) in [
            ("bob@b.example", "wrong"),
            ("ann@b.example", "she has none"),
            ("nobody@b.example", PASSWORD),
            ("bob@elsewhere.example", PASSWORD),
            ("not an address@", PASSWORD),
        ] {
            heard.push(log_in(&running, mechanism, credentials(user, password)).await);
        }
        assert_eq!(heard, vec![REFUSED; 5], "{mechanism}");
        let right = log_in(&running, mechanism, credentials("BOB@b.example", PASSWORD)).await;
        assert_eq!(right, GRANTED, "{mechanism}");
    }
}

#[tokio::test]
async fn an_account_acts_for_itself_alone() {
    let running = start_submission(|_| {}).await;
    for (authorization, said) in [("bob@b.example", GRANTED), ("Bob", GRANTED), ("ann@b.example", REFUSED)] {
        let credentials = Credentials::Password {
            user: "bob@b.example".to_owned(),
            password: Secret::new(PASSWORD),
            authorization: Some(authorization.to_owned()),
        };
        for mechanism in [Mechanism::Plain, Mechanism::ScramSha256] {
            assert_eq!(
                log_in(&running, mechanism, credentials.clone()).await,
                said,
                "{mechanism} {authorization}"
            );
        }
    }
}

#[tokio::test]
async fn a_client_may_give_up_and_must_keep_to_base64() {
    let running = start_submission(|_| {}).await;
    let mut talk = Talk::hello(running.address).await;
    assert_eq!(talk.say("AUTH PLAIN").await, "334 ");
    assert!(talk.say("*").await.starts_with("501 5.7.0 "));
    assert!(talk.say("AUTH PLAIN !").await.starts_with("501 5.5.2 "));
    assert!(talk.say("AUTH CRAM-MD5").await.starts_with("504 5.5.4 "));
    assert_eq!(talk.say("AUTH PLAIN =").await, REFUSED, "an empty response is no name and password");
    assert_eq!(talk.say(&plain("bob", PASSWORD)).await, GRANTED);
}

#[tokio::test]
async fn nobody_logs_in_without_tls_unless_it_is_allowed() {
    let running = start_submission(|settings| settings.auth.in_clear = InClear::Never).await;
    let mut talk = Talk::to(running.address).await;
    talk.reply().await;
    assert!(!talk.say("EHLO client.example").await.contains("AUTH"));
    assert!(talk.say(&plain("bob", PASSWORD)).await.starts_with("538 5.7.11 "));
}

#[tokio::test]
async fn a_proxys_client_that_is_elsewhere_does_not_log_in_in_clear() {
    let running = start_submission(|settings| {
        settings.proxies.xclient = vec!["127.0.0.1".parse().expect("a network")];
    })
    .await;
    let mut talk = Talk::to(running.address).await;
    talk.reply().await;
    assert!(talk.say("EHLO proxy.example").await.contains("AUTH "), "the proxy itself is on this machine");
    for (client, may) in [("203.0.113.7", false), ("127.0.0.1", true), ("IPv6:2001:db8::7", false)] {
        assert!(talk.say(&format!("XCLIENT ADDR={client}")).await.starts_with("220 "));
        assert_eq!(talk.say("EHLO client.example").await.contains("AUTH "), may, "{client}");
        let said = talk.say(&plain("bob", PASSWORD)).await;
        assert_eq!(said == GRANTED, may, "{client}: {said}");
    }
}

#[tokio::test]
async fn under_tls_the_channel_can_be_bound() {
    let running = start_submission(|settings| {
        settings.auth.in_clear = InClear::Never;
        settings.listeners[0].tls = ListenerTls::Implicit;
    })
    .await;
    let trust = Trust::File(running.data.path().join("tls/self-signed.crt"));
    for (mechanism, binds, said) in [
        (Mechanism::ScramSha256Plus, Binds::Channel, GRANTED),
        (Mechanism::ScramSha256Plus, Binds::AnotherChannel, REFUSED),
        (Mechanism::ScramSha256, Binds::Nothing, GRANTED),
        // Somebody took PLUS out of the list that this client saw.
        (Mechanism::ScramSha256, Binds::ButWasNotOffered, REFUSED),
        (Mechanism::Plain, Binds::Nothing, GRANTED),
    ] {
        let connector = Connector::new("mx.example", &trust).expect("a name");
        let stream = TcpStream::connect(running.address).await.expect("a connection");
        let mut stream = Stream::connected(stream, Some(connector));
        let session = stream.secure().await.expect("TLS");
        let offered = greet(&mut stream).await;
        assert!(offered.contains("SCRAM-SHA-256-PLUS") && offered.contains(" PLAIN"), "{offered}");
        assert!(!offered.contains("EXTERNAL") && !offered.contains("OAUTHBEARER"), "{offered}");
        let binding = match binds {
            Binds::Channel => ChannelBinding::TlsExporter(session.exporter.expect("TLS 1.3")),
            Binds::AnotherChannel => ChannelBinding::TlsExporter(TlsExporter([0; 32])),
            Binds::Nothing => ChannelBinding::Unsupported,
            Binds::ButWasNotOffered => ChannelBinding::NotOffered,
        };
        let client =
            Exchange::new(mechanism, credentials("bob", PASSWORD), "nonce", binding).expect("they fit");
        assert_eq!(exchange(&mut stream, client).await, said, "{mechanism} {binds:?}");
    }
}

#[derive(Debug, Clone, Copy)]
enum Binds {
    Channel,
    AnotherChannel,
    Nothing,
    ButWasNotOffered,
}

#[tokio::test]
async fn an_application_password_logs_in_and_its_use_is_kept() {
    let running = start_submission(|_| {}).await;
    let (shown, application) = application_password("phone");
    let ann = name("ann@b.example");
    running.store.add_application_password(&ann, application).await.expect("ann has an account");
    // Ann has no other password, so that SCRAM can only mean this one.
    for mechanism in [Mechanism::Plain, Mechanism::ScramSha256] {
        let said = log_in(&running, mechanism, credentials("ann", shown.expose())).await;
        assert_eq!(said, GRANTED, "{mechanism}");
    }
    let kept = running.store.credentials(&ann).await.expect("ann has an account");
    assert_eq!(kept.application_passwords[0].last_used, Some(NOW));
}

#[tokio::test]
async fn a_hash_with_other_parameters_is_made_anew_at_the_next_login() {
    let running = start_submission(|_| {}).await;
    let weak = Costs {
        argon2: auth::password::Cost { memory: 64, passes: 1 },
        scram: Iterations::new(Iterations::MIN).expect("the bound"),
    };
    let kept = auth::keep(&Secret::new("old"), weak, WithScram::No, &auth::system_random());
    let ann = name("ann@b.example");
    running.store.set_password(&ann, kept.password.clone(), None).await.expect("ann has an account");
    assert_eq!(log_in(&running, Mechanism::Plain, credentials("ann", "wrong")).await, REFUSED);
    assert_eq!(log_in(&running, Mechanism::Plain, credentials("ann", "old")).await, GRANTED);
    let made = tokio::time::timeout(Duration::from_secs(60), async {
        loop {
            let now = running.store.credentials(&ann).await.expect("ann has an account");
            if now.password.as_ref() != Some(&kept.password) {
                return now;
            }
            tokio::task::yield_now().await;
        }
    });
    let made = made.await.expect("it is made while nobody waits for it");
    let hash = made.password.expect("there is one");
    assert!(hash.reveal().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "the default parameters");
    assert!(made.scram.expect("made, too").reveal().starts_with("SCRAM-SHA-256$65536:"));
    assert_eq!(log_in(&running, Mechanism::Plain, credentials("ann", "old")).await, GRANTED);
    assert_eq!(log_in(&running, Mechanism::ScramSha256, credentials("ann", "old")).await, GRANTED);
}

/// A server where loopback is not exempt and three failed logins an hour are too many.
async fn start_strict(change: impl FnOnce(&mut Settings)) -> Running {
    start_submission(|settings| {
        settings.limits.exempt.clear();
        settings.limits.errors = 1000;
        settings.abuse.tarpit = Duration::ZERO;
        settings.abuse.rates.failed_logins = "3/h".parse::<RateText>().expect("a rate").0;
        change(settings);
    })
    .await
}

#[tokio::test]
async fn a_token_that_was_refused_counts_also_for_a_client_that_breaks_off() {
    let keys = tempfile::NamedTempFile::new().expect("a file");
    let key = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    std::fs::write(keys.path(), key).expect("a file");
    let oauth = OAuth {
        source: TokenSource::Keys(keys.path().to_owned()),
        rules: TokenRules {
            issuer: Some("https://login.example".to_owned()),
            audience: Some("mail".to_owned()),
            scopes: Vec::new(),
            account_claim: "email".to_owned(),
        },
        hints: OAuthHints::default(),
    };
    let running = start_strict(|settings| settings.auth.oauth = Some(oauth)).await;
    let guess = format!("AUTH XOAUTH2 {}", BASE64.encode(b"user=bob@b.example\x01auth=Bearer guess\x01\x01"));
    for end in ["*", "", "*"] {
        let mut talk = Talk::hello(running.address).await;
        assert!(talk.say(&guess).await.starts_with("334 "), "why it is no good");
        if !end.is_empty() {
            assert!(talk.say(end).await.starts_with("501 "));
        }
    }
    let mut talk = Talk::hello(running.address).await;
    let said = talk.say(&guess).await;
    assert!(said.starts_with("421 4.7.0 Error: too many failed logins "), "{said}");
    assert!(talk.closed().await);
}

#[tokio::test]
async fn a_ban_at_auth_reaches_the_sessions_that_are_open() {
    let running = start_strict(|_| {}).await;
    let mut idle = Talk::hello(running.address).await;
    let mut asked = Talk::hello(running.address).await;
    assert!(asked.say("AUTH LOGIN").await.starts_with("334 "));
    assert!(asked.say(&BASE64.encode(b"bob@b.example")).await.starts_with("334 "));
    let mut talk = Talk::hello(running.address).await;
    for _ in 0..3 {
        assert_eq!(talk.say(&plain("bob", "guess")).await, REFUSED);
    }
    let banned =
        "421 4.7.0 Error: too many failed logins from your network address, try again in some minutes";
    assert_eq!(talk.say(&plain("bob", "guess")).await, banned);
    assert!(talk.closed().await);
    assert_eq!(asked.say(&BASE64.encode(PASSWORD.as_bytes())).await, banned, "even if it is right");
    assert!(asked.closed().await);
    assert_eq!(idle.say("AUTH LOGIN").await, banned);
    assert!(idle.closed().await);
    assert_eq!(Talk::to(running.address).await.reply().await, banned);
}

#[tokio::test]
async fn scram_makes_up_the_same_for_a_name_however_it_is_spelt() {
    let running = start_submission(|_| {}).await;
    for user in ["nobody", "ann", "bob"] {
        let mut salts = Vec::new();
        for spelling in
            [user.to_owned(), format!("{user}@b.example"), format!("{}@B.Example", user.to_uppercase())]
        {
            let mut talk = Talk::hello(running.address).await;
            let first = BASE64.encode(format!("n,,n={spelling},r=fyko+d2lbbFgONRv9qkxdawL").as_bytes());
            let challenge = talk.say(&format!("AUTH SCRAM-SHA-256 {first}")).await;
            let challenge = challenge.strip_prefix("334 ").expect("a challenge");
            let challenge = BASE64.decode(challenge.as_bytes()).expect("base64");
            let challenge = String::from_utf8(challenge).expect("text");
            let (_, salt_and_iterations) = challenge.split_once(',').expect("a nonce and more");
            salts.push(salt_and_iterations.to_owned());
        }
        assert_eq!(salts, vec![salts[0].clone(); 3], "{user}");
        assert!(salts[0].ends_with(",i=65536"), "as many as a real one's: {}", salts[0]);
    }
}

#[tokio::test]
async fn who_finds_no_place_to_have_a_password_checked_is_put_off() {
    let domain = smtp::Domain::parse("b.example").expect("a domain");
    let mut settings = Settings::catcher(Catcher::default(), domain.clone());
    settings.auth.in_clear = InClear::Loopback;
    let store: SharedStore = Arc::new(Memory::new(|| NOW));
    let authenticator = Authenticator::open(auth::Options {
        settings: &settings.auth,
        store: Arc::clone(&store),
        key: [7; 32],
        domain,
        costs: Costs::default(),
        random: auth::system_random(),
        // One thread, and no place before it.
        pool: Pool::new(1, 0).expect("a thread"),
        now: std::time::Instant::now(),
    });
    let authenticator = Some(Arc::new(authenticator.expect("it opens")));
    let context = Context::new(&settings, store, Arc::new(|| NOW)).with_authenticator(authenticator);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("it has one");
    tokio::spawn(async move {
        let (stream, client) = listener.accept().await.expect("a connection");
        listen::session(stream, Peer::new(client, address, Service::Submission), Arc::new(context)).await;
    });
    let mut talk = Talk::hello(address).await;
    let said = talk.say(&plain("bob", PASSWORD)).await;
    assert_eq!(said, "454 4.7.0 Temporary authentication failure, try again later");
    assert_eq!(talk.say("MAIL FROM:<bob@b.example>").await, "530 5.7.0 Authentication required");
    assert_eq!(talk.say("QUIT").await, "221 2.0.0 Bye", "the session goes on");
}

#[tokio::test]
async fn guessing_is_slowed_down_for_a_stranger_to_an_account() {
    let running = start_strict(|_| {}).await;
    let mut talk = Talk::hello(running.address).await;
    let mut said = String::new();
    for _ in 0..10 {
        said = talk.say(&plain("bob", "guess")).await;
        if said != REFUSED {
            break;
        }
    }
    assert!(said.starts_with("421 4.7.0 "), "{said}");
    assert!(talk.closed().await);
}
