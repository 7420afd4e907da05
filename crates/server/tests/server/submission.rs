//! Submission over TCP: who may send as whom, what is mended, and what is refused.

use crate::common::{NOW, PASSWORD, Running, Talk, name, only_message, plain, start_submission};
use data_encoding::BASE64URL_NOPAD;
use posthaste_server::auth::token::TokenRules;
use posthaste_server::policy::sender::{HeaderFrom, HelloName, Senders};
use posthaste_server::settings::{OAuth, RateText, Settings, TokenSource};
use sasl::server::OAuthHints;
use store::Origin;

/// Bob's session.
async fn bob(running: &Running) -> Talk {
    let mut talk = Talk::hello(running.address).await;
    assert!(talk.say(&plain("bob@b.example", PASSWORD)).await.starts_with("235 "));
    talk
}

/// Sends a message to ann; the reply to its end.
async fn submit(talk: &mut Talk, reverse_path: &str, content: &str) -> String {
    assert_eq!(talk.say(&format!("MAIL FROM:<{reverse_path}>")).await, "250 2.1.0 Ok");
    assert_eq!(talk.say("RCPT TO:<ann@b.example>").await, "250 2.1.5 Ok");
    assert!(talk.say("DATA").await.starts_with("354 "));
    talk.send(format!("{content}\r\n.\r\n").as_bytes()).await;
    talk.reply().await
}

/// What ann got, below the trace fields of her own.
async fn arrived(running: &Running) -> String {
    let text = only_message(&running.store, "ann@b.example").await;
    text.split_once("Delivered-To: ann@b.example\r\n").expect("it was delivered").1.to_owned()
}

#[tokio::test]
async fn what_a_message_lacks_is_added_and_blind_copies_go() {
    let running = start_submission(|_| {}).await;
    let mut talk = bob(&running).await;
    let content = "Subject: hello\r\nBcc: eve@elsewhere.example,\r\n\tmal@elsewhere.example\r\nTo: ann@b.example\r\n\r\n\
        Bcc: this is text\r\n..a dot";
    let said = submit(&mut talk, "bob+list@b.example", content).await;
    let id = said.strip_prefix("250 2.0.0 Ok: queued as ").expect(&said);
    assert_eq!(
        arrived(&running).await,
        format!(
            "Received: from client.example ([127.0.0.1]) by mx.example with ESMTPA\r\n\
             \tid {id} for <ann@b.example>; Fri, 2 Jan 2026 03:04:05 +0000\r\n\
             Date: Fri, 2 Jan 2026 03:04:05 +0000\r\n\
             Message-ID: <{id}@mx.example>\r\n\
             From: bob+list@b.example\r\n\
             Subject: hello\r\nTo: ann@b.example\r\n\r\nBcc: this is text\r\n.a dot\r\n"
        )
    );
}

#[tokio::test]
async fn a_message_that_has_everything_stays_as_it_is() {
    let running = start_submission(|_| {}).await;
    let content = "Message-ID: <1@b.example>\r\nFrom: Bob <bob@b.example>\r\nDate: Thu, 1 Jan 2026 00:00:00 +0000\r\n\r\nx";
    assert!(submit(&mut bob(&running).await, "bob@b.example", content).await.starts_with("250 "));
    let text = arrived(&running).await;
    let (received, rest) = text.split_once("+0000\r\n").expect("a Received field");
    assert!(received.starts_with("Received: "), "{text}");
    assert_eq!(rest, format!("{content}\r\n"));
}

#[tokio::test]
async fn text_without_a_header_gets_one() {
    let running = start_submission(|_| {}).await;
    assert!(submit(&mut bob(&running).await, "", "just text").await.starts_with("250 "));
    let text = arrived(&running).await;
    assert!(text.ends_with("@mx.example>\r\nFrom: bob@b.example\r\n\r\njust text\r\n"), "{text}");
}

#[tokio::test]
async fn broken_line_ends_are_mended_and_long_lines_refused() {
    let running = start_submission(|_| {}).await;
    let mut talk = bob(&running).await;
    let long = format!("Subject: x\r\n\r\n{}", "x".repeat(999));
    let said = submit(&mut talk, "bob@b.example", &long).await;
    assert!(said.starts_with("554 5.6.0 ") && said.contains("fold it"), "{said}");
    assert!(
        submit(&mut talk, "bob@b.example", "Bcc: eve@x.example\nSubject: x\n\none\rtwo")
            .await
            .starts_with("250 ")
    );
    let text = arrived(&running).await;
    assert!(text.ends_with("\r\nSubject: x\r\n\r\none\r\ntwo\r\n") && !text.contains("eve@"), "{text}");
}

#[tokio::test]
async fn an_account_sends_from_addresses_that_reach_it() {
    let running = start_submission(|_| {}).await;
    let target = ["bob@b.example".parse().expect("an address")];
    running.store.set_alias(&name("sales@b.example"), &target, Origin::Added).await.expect("a free name");
    let mut talk = bob(&running).await;
    for (path, said) in [
        ("bob@b.example", "250 2.1.0 Ok"),
        ("BOB+tag@B.example", "250 2.1.0 Ok"),
        ("sales@b.example", "250 2.1.0 Ok"),
        ("", "250 2.1.0 Ok"),
        ("ann@b.example", "550 5.7.1 Sender refused: ann@b.example is not an address of bob@b.example"),
        ("bob@x.example", "550 5.7.1 Sender refused: bob@x.example is not an address of bob@b.example"),
    ] {
        assert_eq!(talk.say(&format!("MAIL FROM:<{path}>")).await, said, "{path}");
        talk.say("RSET").await;
    }
}

#[tokio::test]
async fn and_writes_in_its_own_name() {
    let running = start_submission(|_| {}).await;
    let mut talk = bob(&running).await;
    let ann = "550 5.7.1 Refused: From names ann@b.example, which is not an address of bob@b.example";
    let unclear = "550 5.6.0 Refused: the message must have one From field that can be read";
    for (from, said) in [
        ("From: ann@b.example", ann),
        ("From: \"bob@b.example\" <ann@b.example>", ann),
        ("From: bob@b.example\r\nFrom: bob@b.example", unclear),
        ("From: nobody in particular", unclear),
    ] {
        // A null reverse-path does not hide who writes.
        for path in ["bob@b.example", ""] {
            assert_eq!(submit(&mut talk, path, &format!("{from}\r\n\r\nx")).await, said);
        }
    }
    assert!(submit(&mut talk, "", "From: bob@b.example\r\n\r\nx").await.starts_with("250 "));
    arrived(&running).await;
}

#[tokio::test]
async fn who_may_write_in_any_name_is_named_as_sender() {
    let running = start_submission(|settings| {
        settings.submission.senders = Senders::Domains;
        settings.submission.from = HeaderFrom::Unchecked;
    })
    .await;
    let mut talk = bob(&running).await;
    assert!(talk.say("MAIL FROM:<bob@x.example>").await.starts_with("550 5.7.1 "));
    let content = "Date: x\r\nMessage-ID: <1@x>\r\nFrom: boss@x.example\r\n\r\nx";
    assert!(submit(&mut talk, "ann@b.example", content).await.starts_with("250 "));
    let text = arrived(&running).await;
    assert!(text.contains("+0000\r\nSender: bob@b.example\r\nDate: x\r\n"), "{text}");
}

#[tokio::test]
async fn an_account_has_limits_of_its_own_wherever_it_is() {
    let running = start_submission(|settings| {
        settings.abuse.accounts.messages = "2/h".parse::<RateText>().expect("a rate").0;
        settings.abuse.accounts.recipients = "1/h".parse::<RateText>().expect("a rate").0;
        settings.limits.sessions_per_account = 2;
    })
    .await;
    // Loopback is exempt, and bob is not.
    let (mut first, mut second) = (bob(&running).await, bob(&running).await);
    let mut third = Talk::hello(running.address).await;
    let crowded = "454 4.7.0 Error: this account has too many sessions, try again later";
    assert_eq!(third.say(&plain("bob", PASSWORD)).await, crowded);
    assert!(submit(&mut first, "bob@b.example", "x").await.starts_with("250 "));
    assert_eq!(second.say("MAIL FROM:<bob@b.example>").await, "250 2.1.0 Ok");
    let reply = second.say("RCPT TO:<ann@b.example>").await;
    assert!(reply.starts_with("451 4.7.0 Error: too many recipients from this account, "), "{reply}");
    let reply = first.say("MAIL FROM:<bob@b.example>").await;
    assert!(reply.starts_with("451 4.7.0 Error: too many messages from this account, "), "{reply}");
    drop(first);
    // Its place is free as soon as the server has seen it go.
    for _ in 0..1000 {
        let said = third.say(&plain("bob", PASSWORD)).await;
        if said.starts_with("235 ") {
            return;
        }
        assert_eq!(said, crowded);
    }
    panic!("the place stays taken");
}

#[tokio::test]
async fn an_account_logs_in_and_gives_commands_so_often_only() {
    let running = start_submission(|settings| {
        settings.abuse.accounts.connections = "2/h".parse::<RateText>().expect("a rate").0;
        settings.abuse.accounts.commands = "2/h".parse::<RateText>().expect("a rate").0;
    })
    .await;
    let mut talk = bob(&running).await;
    drop(bob(&running).await);
    let mut third = Talk::hello(running.address).await;
    let reply = third.say(&plain("bob", PASSWORD)).await;
    assert!(reply.starts_with("454 4.7.0 Error: too many connections from this account, "), "{reply}");
    // Who does not know the password learns nothing of that.
    assert!(third.say(&plain("bob", "guessed")).await.starts_with("535 "));

    assert_eq!(talk.say("MAIL FROM:<bob@b.example>").await, "250 2.1.0 Ok");
    assert_eq!(talk.say("RCPT TO:<ann@b.example>").await, "250 2.1.5 Ok");
    let reply = talk.say("RCPT TO:<ann@b.example>").await;
    assert!(reply.starts_with("421 4.7.0 Error: too many commands from this account, "), "{reply}");
}

#[tokio::test]
async fn an_account_that_makes_errors_is_put_off_in_all_of_its_sessions() {
    let running = start_submission(|settings| {
        settings.abuse.accounts.errors = "2/h".parse::<RateText>().expect("a rate").0;
    })
    .await;
    let (mut one, mut other) = (bob(&running).await, bob(&running).await);
    one.say("MAIL FROM:<bob@b.example>").await;
    for name in ["x", "y"] {
        assert!(one.say(&format!("RCPT TO:<{name}@b.example>")).await.starts_with("550 5.1.1 "));
    }
    let reply = one.say("RCPT TO:<z@b.example>").await;
    assert!(reply.starts_with("421 4.7.0 Error: too many errors from this account, "), "{reply}");
    assert!(one.closed().await);
    let reply = other.say("MAIL FROM:<bob@b.example>").await;
    assert!(reply.starts_with("451 4.7.0 Error: too many errors from this account, "), "{reply}");
    assert!(Talk::hello(running.address).await.say("NOOP").await.starts_with("250 "), "nobody is banned");
}

#[tokio::test]
async fn hello_may_have_to_name_the_senders_domain() {
    let running = start_submission(|settings| settings.submission.hello = HelloName::SendersDomain).await;
    let mut talk = bob(&running).await;
    assert_eq!(
        talk.say("MAIL FROM:<bob@b.example>").await,
        "550 5.7.1 Sender refused: say HELO or EHLO with the sender's domain, b.example"
    );
    assert!(talk.say("EHLO b.example").await.starts_with("250-"));
    assert_eq!(talk.say("MAIL FROM:<bob@b.example>").await, "250 2.1.0 Ok");
}

#[tokio::test]
async fn nothing_is_accepted_that_nobody_would_deliver() {
    let running = start_submission(|_| {}).await;
    let mut talk = bob(&running).await;
    talk.say("MAIL FROM:<bob@b.example>").await;
    assert_eq!(
        talk.say("RCPT TO:<eve@elsewhere.example>").await,
        "550 5.7.1 This server delivers to its own domains only; nothing is relayed"
    );
    assert!(talk.say("RCPT TO:<nobody@b.example>").await.starts_with("550 5.1.1 "));
}

#[tokio::test]
async fn a_bearer_token_lets_its_account_in() {
    let keys = tempfile::NamedTempFile::new().expect("a file");
    let pair = Pair::generate();
    std::fs::write(keys.path(), pair.key_set()).expect("the file can be written");
    let running = start_submission(|settings: &mut Settings| {
        settings.auth.oauth = Some(OAuth {
            source: TokenSource::Keys(keys.path().to_owned()),
            rules: TokenRules {
                issuer: Some("https://id.example".to_owned()),
                audience: Some("mail".to_owned()),
                scopes: Vec::new(),
                account_claim: "email".to_owned(),
            },
            hints: OAuthHints { scope: Some("mail".to_owned()), openid_configuration: None },
        });
    })
    .await;
    let seconds = NOW.0 / 1000;
    let good = pair.token("bob@b.example", seconds + 100);
    let mut talk = Talk::hello(running.address).await;
    for (user, token, granted) in [
        ("bob@b.example", pair.token("bob@b.example", seconds - 100), false),
        ("bob@b.example", Pair::generate().token("bob@b.example", seconds + 100), false),
        ("ann@b.example", good.clone(), false),
        ("bob@b.example", pair.token("nobody@b.example", seconds + 100), false),
        ("bob@b.example", good, true),
    ] {
        let message = format!("n,a={user},\u{1}auth=Bearer {token}\u{1}\u{1}");
        let message = data_encoding::BASE64.encode(message.as_bytes());
        let mut said = talk.say(&format!("AUTH OAUTHBEARER {message}")).await;
        if let Some(challenge) = said.strip_prefix("334 ") {
            let error = data_encoding::BASE64.decode(challenge.as_bytes()).expect("base64");
            assert_eq!(error, b"{\"status\":\"invalid_token\",\"scope\":\"mail\"}");
            said = talk.say("AQ==").await;
        }
        match granted {
            true => assert_eq!(said, "235 2.7.0 Authentication successful"),
            false => assert_eq!(said, "535 5.7.8 Authentication credentials invalid", "{user}"),
        }
    }
}

/// How tokens are checked.
fn oauth(source: TokenSource) -> OAuth {
    OAuth {
        source,
        rules: TokenRules {
            issuer: Some("https://id.example".to_owned()),
            audience: Some("mail".to_owned()),
            scopes: Vec::new(),
            account_claim: "email".to_owned(),
        },
        hints: OAuthHints::default(),
    }
}

fn bearer(token: &str) -> String {
    let message = format!("n,a=bob@b.example,\u{1}auth=Bearer {token}\u{1}\u{1}");
    format!("AUTH OAUTHBEARER {}", data_encoding::BASE64.encode(message.as_bytes()))
}

#[tokio::test]
async fn a_token_is_put_off_while_the_authorization_server_is_away() {
    // Nobody listens there any more.
    let gone =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port");
    let running = start_submission(|settings| {
        let url = format!("http://{gone}/introspect");
        settings.auth.oauth = Some(oauth(TokenSource::Introspection { url, client: None }));
    })
    .await;
    let mut talk = Talk::hello(running.address).await;
    let said = talk.say(&bearer("opaque")).await;
    assert_eq!(said, "454 4.7.0 Temporary authentication failure, try again later");
    assert_eq!(
        talk.say(&plain("bob", PASSWORD)).await,
        "235 2.7.0 Authentication successful",
        "others go on"
    );
}

/// A key that an authorization server signs with.
struct Pair(aws_lc_rs::signature::Ed25519KeyPair);

impl Pair {
    fn generate() -> Pair {
        Pair(aws_lc_rs::signature::Ed25519KeyPair::generate().expect("randomness"))
    }

    fn key_set(&self) -> String {
        use aws_lc_rs::signature::KeyPair;
        let x = BASE64URL_NOPAD.encode(self.0.public_key().as_ref());
        serde_json::json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x}]}).to_string()
    }

    fn token(&self, account: &str, expires: i64) -> String {
        let claims = serde_json::json!({
            "iss": "https://id.example", "aud": "mail", "exp": expires, "email": account,
        });
        let header = BASE64URL_NOPAD.encode(br#"{"alg":"EdDSA","typ":"JWT"}"#);
        let signed = format!("{header}.{}", BASE64URL_NOPAD.encode(claims.to_string().as_bytes()));
        let signature = self.0.sign(signed.as_bytes());
        format!("{signed}.{}", BASE64URL_NOPAD.encode(signature.as_ref()))
    }
}
