//! An authorization server on loopback that says what it is told.

use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

fn rules() -> TokenRules {
    TokenRules { issuer: None, audience: None, scopes: Vec::new(), account_claim: "username".to_owned() }
}

/// Answers one question with these bytes and returns what was asked.
async fn answering(answer: &'static str) -> (String, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/introspect", listener.local_addr().expect("an address"));
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a client");
        let mut asked = Vec::new();
        while !asked.ends_with(b"access_token") {
            assert!(stream.read_buf(&mut asked).await.expect("a request") > 0, "the request is whole");
        }
        stream.write_all(answer.as_bytes()).await.expect("it is read");
        String::from_utf8(asked).expect("ASCII")
    });
    (url, served)
}

#[tokio::test]
async fn an_active_token_names_its_account() {
    let json = "{\"active\":true,\"username\":\"bob@b.example\"}";
    let answer: &'static str = Box::leak(
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{json}", json.len()).into_boxed_str(),
    );
    let (url, served) = answering(answer).await;
    let client = ClientSecret { id: "mail server".to_owned(), secret: Secret::new("s&cret") };
    let introspection = Introspection::new(&url, Some(&client), rules()).expect("a URL");
    assert_eq!(introspection.account(&Secret::new("a+b/c=="), 0).await, Ok("bob@b.example".to_owned()));
    let asked = served.await.expect("no panic");
    assert!(asked.starts_with("POST /introspect HTTP/1.1\r\n"), "{asked}");
    assert!(asked.ends_with("\r\n\r\ntoken=a%2Bb%2Fc%3D%3D&token_type_hint=access_token"), "{asked}");
    let basic = BASE64.encode(b"mail%20server:s%26cret");
    assert!(asked.contains(&format!("authorization: Basic {basic}\r\n")), "{asked}");
    assert!(!format!("{introspection:?}").contains("cret"));
}

#[tokio::test]
async fn what_is_not_active_is_refused_and_what_is_unclear_is_put_off() {
    let refused = Err(TokenError::Refused("it is not active"));
    for (answer, expected) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{\"active\":false}", Some(refused)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", None),
        ("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", None),
        ("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", None),
        ("nonsense\r\n\r\n", None),
    ] {
        let (url, served) = answering(answer).await;
        let introspection = Introspection::new(&url, None, rules()).expect("a URL");
        let account = introspection.account(&Secret::new("abc"), 0).await;
        match expected {
            Some(expected) => assert_eq!(account, expected, "{answer}"),
            None => assert!(matches!(account, Err(TokenError::Unavailable(_))), "{answer}: {account:?}"),
        }
        served.await.expect("no panic");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_silent_is_not_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let introspection = Introspection::new(&url, None, rules()).expect("a URL");
    let account = introspection.account(&Secret::new("abc"), 0).await;
    assert_eq!(account, Err(TokenError::Unavailable("the authorization server takes too long".to_owned())));
}

#[test]
fn tokens_are_not_sent_in_clear() {
    let new = |url| Introspection::new(url, None, rules()).map(drop);
    assert!(new("https://id.example/introspect").is_ok());
    assert!(new("http://[::1]:8080/introspect").is_ok());
    for url in ["http://id.example/introspect", "ftp://id.example/", "id.example", "http://", "/introspect"] {
        assert!(matches!(new(url), Err(IntrospectionError::Url(_))), "{url}");
    }
}
