//! The client's STARTTLS and AUTH against servers that are written down.

use smtp::client::{Authentication, Client, Config, Event, Failure, Security, Stage};
use smtp::{InClear, Reply, SaslMessage};
use std::time::{Duration, Instant};
use wire::{Endpoint, Step};

const STARTTLS: &str =
    "250-mx.example\r\n250-AUTH PLAIN LOGIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS\r\n250 STARTTLS\r\n";
const AUTH: &str = "250-mx.example\r\n250 AUTH PLAIN LOGIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS\r\n";
const PLAIN_MX: &str = "250 mx.example\r\n";

/// What happened between two waits.
#[derive(Debug, Default)]
struct Turn {
    sent: String,
    events: Vec<Event>,
    starts_tls: bool,
    closed: bool,
}

struct Peer {
    client: Client,
    now: Instant,
}

impl Peer {
    fn new(security: Security, authentication: Authentication) -> Peer {
        Peer::with(Config { security, authentication, ..Config::new("client.example") })
    }

    fn with(config: Config) -> Peer {
        let mut peer = Peer { client: Client::new(config), now: Instant::now() };
        assert_eq!(peer.turn().sent, "");
        peer
    }

    /// A client under TLS from the start, which was offered AUTH and is asked for credentials.
    fn asked() -> Peer {
        let mut peer = Peer::new(Security::None, Authentication::Yes);
        peer.client.secured();
        peer.greet(AUTH);
        peer
    }

    fn greet(&mut self, hello: &str) -> Turn {
        assert_eq!(self.hear("220 mx.example ESMTP\r\n").sent, "EHLO client.example\r\n");
        self.hear(hello)
    }

    fn hear(&mut self, text: &str) -> Turn {
        self.client.receive(text.as_bytes());
        self.turn()
    }

    fn turn(&mut self) -> Turn {
        let mut turn = Turn::default();
        loop {
            match self.client.step(self.now) {
                Step::Send(bytes) => turn.sent.push_str(&String::from_utf8_lossy(&bytes)),
                Step::Event(event) => turn.events.push(event),
                Step::StartTls => {
                    turn.starts_tls = true;
                    return turn;
                }
                Step::Wait(_) => return turn,
                Step::Close => {
                    turn.closed = true;
                    return turn;
                }
            }
        }
    }
}

fn message(octets: &[u8]) -> SaslMessage {
    octets.into()
}

fn failure(turn: &Turn) -> &Failure {
    assert!(turn.closed, "a failed connection closes");
    match turn.events.as_slice() {
        [Event::Failed(failure)] => failure,
        other => panic!("a failure, not {other:?}"),
    }
}

fn names(mechanisms: &[&str]) -> [Event; 1] {
    [Event::Authenticate(mechanisms.iter().map(|name| (*name).to_owned()).collect())]
}

#[test]
fn what_came_in_clear_is_forgotten_when_tls_starts() {
    let mut peer = Peer::new(Security::Required, Authentication::No);
    assert_eq!(peer.greet(STARTTLS).sent, "STARTTLS\r\n");
    // Somebody between the two put the answer to the EHLO to come behind the reply.
    let turn = peer.hear("220 2.0.0 Ready\r\n250-mx.example\r\n250 SIZE 1\r\n");
    assert!(turn.starts_tls && turn.events.is_empty());
    peer.client.receive(b"250 forged\r\n");
    peer.client.secured();
    assert!(peer.client.is_secured());
    assert_eq!(peer.client.extensions().iter().count(), 0, "what was offered in clear is forgotten");
    let turn = peer.turn();
    assert_eq!((turn.sent.as_str(), turn.events.len()), ("EHLO client.example\r\n", 0));
    let turn = peer.hear("250-mx.example\r\n250 DSN\r\n");
    assert_eq!(turn.events, [Event::Ready]);
    assert!(peer.client.extensions().dsn() && !peer.client.extensions().start_tls());
}

#[test]
fn starttls_is_not_asked_for_twice() {
    let mut peer = Peer::new(Security::Required, Authentication::No);
    peer.greet(STARTTLS);
    assert!(peer.hear("220 Ready\r\n").starts_tls);
    peer.client.secured();
    peer.turn();
    assert_eq!(peer.hear(STARTTLS).events, [Event::Ready], "the offer under TLS is of no account");
}

#[test]
fn required_tls_is_required() {
    let mut peer = Peer::new(Security::Required, Authentication::No);
    let turn = peer.greet(PLAIN_MX);
    assert_eq!(failure(&turn), &Failure::NoTls);
    assert_eq!(turn.sent, "QUIT\r\n");

    let mut peer = Peer::new(Security::Required, Authentication::No);
    peer.greet(STARTTLS);
    let turn = peer.hear("454 4.7.0 Not now\r\n");
    assert!(matches!(failure(&turn), Failure::TlsRefused(reply) if reply.code().number() == 454));

    // A server without extensions has no TLS either.
    let mut peer = Peer::new(Security::Required, Authentication::No);
    assert_eq!(peer.greet("502 No\r\n").sent, "HELO client.example\r\n");
    assert_eq!(failure(&peer.hear(PLAIN_MX)), &Failure::NoTls);
}

#[test]
fn tls_where_it_is_offered_goes_on_without() {
    let mut peer = Peer::new(Security::IfOffered, Authentication::No);
    assert_eq!(peer.greet(PLAIN_MX).events, [Event::Ready]);

    let mut peer = Peer::new(Security::IfOffered, Authentication::No);
    assert_eq!(peer.greet(STARTTLS).sent, "STARTTLS\r\n");
    assert_eq!(peer.hear("454 4.7.0 Not now\r\n").events, [Event::Ready]);
    assert!(!peer.client.is_secured());
}

#[test]
fn a_handshake_that_fails_or_lasts_too_long_ends_the_connection() {
    let mut peer = Peer::new(Security::IfOffered, Authentication::No);
    peer.greet(STARTTLS);
    assert!(peer.hear("220 Ready\r\n").starts_tls);
    peer.client.receive_end();
    let turn = peer.turn();
    assert_eq!(failure(&turn), &Failure::ClosedByPeer { stage: Stage::StartTls });
    assert_eq!(turn.sent, "", "nothing is said in clear any more");

    let mut peer = Peer::new(Security::IfOffered, Authentication::No);
    peer.greet(STARTTLS);
    assert!(peer.hear("220 Ready\r\n").starts_tls);
    assert!(peer.turn().events.is_empty());
    peer.now += Duration::from_secs(300);
    assert_eq!(failure(&peer.turn()), &Failure::TimedOut { stage: Stage::StartTls });
}

#[test]
fn a_421_instead_of_starttls_is_the_service_closing() {
    let mut peer = Peer::new(Security::IfOffered, Authentication::No);
    peer.greet(STARTTLS);
    assert!(matches!(failure(&peer.hear("421 4.3.2 Bye\r\n")), Failure::ServiceClosing(_)));
}

#[test]
fn passwords_do_not_go_in_clear_unless_it_is_allowed() {
    let mut peer = Peer::new(Security::None, Authentication::Yes);
    assert_eq!(peer.greet(AUTH).events, names(&["SCRAM-SHA-256"]));

    let mut peer = Peer::new(Security::IfOffered, Authentication::Yes);
    let turn = peer.greet("250-mx.example\r\n250 AUTH PLAIN LOGIN OAUTHBEARER X-NEW SCRAM-SHA-256-PLUS\r\n");
    assert_eq!(failure(&turn), &Failure::NoMechanism { secured: false });
    assert_eq!(
        failure(&turn).to_string(),
        "the server offers no mechanism of AUTH that may be used without TLS"
    );
    assert_eq!(turn.sent, "QUIT\r\n");

    let allowed = Config {
        authentication: Authentication::Yes,
        in_clear: InClear::Allow,
        ..Config::new("client.example")
    };
    let mut peer = Peer::with(allowed);
    assert_eq!(peer.greet(AUTH).events, names(&["PLAIN", "LOGIN", "SCRAM-SHA-256"]));
}

#[test]
fn under_tls_everything_offered_may_be_used() {
    let mut peer = Peer::new(Security::Required, Authentication::Yes);
    assert_eq!(peer.greet(STARTTLS).events, []);
    assert!(peer.hear("220 Ready\r\n").starts_tls);
    peer.client.secured();
    peer.turn();
    assert_eq!(peer.hear(AUTH).events, names(&["PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"]));

    let mut peer = Peer::new(Security::None, Authentication::Yes);
    peer.client.secured();
    let turn = peer.greet(PLAIN_MX);
    assert_eq!(failure(&turn), &Failure::NoMechanism { secured: true });
}

#[test]
fn plain_goes_with_its_initial_response() {
    let mut peer = Peer::asked();
    peer.client.authenticate("PLAIN", Some(message(b"\0alice\0secret")));
    assert_eq!(peer.turn().sent, "AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n");
    assert!(!peer.client.is_authenticated());
    assert_eq!(peer.hear("235 2.7.0 Welcome\r\n").events, [Event::Ready]);
    assert!(peer.client.is_authenticated());
}

#[test]
fn an_empty_initial_response_is_an_equals_sign_and_an_empty_response_an_empty_line() {
    let mut peer = Peer::asked();
    peer.client.authenticate("SCRAM-SHA-256", Some(message(b"")));
    assert_eq!(peer.turn().sent, "AUTH SCRAM-SHA-256 =\r\n");
    assert_eq!(peer.hear("334 \r\n").events, [Event::Challenge(message(b""))]);
    peer.client.respond(b"");
    assert_eq!(peer.turn().sent, "\r\n");
}

#[test]
fn the_login_dialogue() {
    let mut peer = Peer::asked();
    peer.client.authenticate("LOGIN", None);
    assert_eq!(peer.turn().sent, "AUTH LOGIN\r\n");
    assert_eq!(peer.hear("334 VXNlcm5hbWU6\r\n").events, [Event::Challenge(message(b"Username:"))]);
    peer.client.respond(b"alice");
    assert_eq!(peer.turn().sent, "YWxpY2U=\r\n");
    assert_eq!(peer.hear("334 UGFzc3dvcmQ6\r\n").events, [Event::Challenge(message(b"Password:"))]);
    peer.client.respond(b"wrong");
    peer.turn();
    let turn = peer.hear("535 5.7.8 No\r\n");
    assert!(matches!(failure(&turn), Failure::Authentication(reply) if reply.code().number() == 535));
    assert_eq!(turn.sent, "QUIT\r\n");
}

#[test]
fn an_initial_response_that_is_too_long_for_a_command_waits_for_the_server() {
    let token = vec![b'x'; 1000];
    let mut peer = Peer::asked();
    peer.client.authenticate("PLAIN", Some(token.as_slice().into()));
    assert_eq!(peer.turn().sent, "AUTH PLAIN\r\n");
    let turn = peer.hear("334 \r\n");
    assert_eq!(turn.events, [], "the application has said it already");
    assert_eq!(turn.sent, format!("{}\r\n", message(&token).to_base64()));
    assert_eq!(peer.hear("235 Welcome\r\n").events, [Event::Ready]);
}

#[test]
fn a_challenge_may_be_longer_than_other_replies() {
    let long = vec![7u8; 9000];
    let mut peer = Peer::asked();
    peer.client.authenticate("LOGIN", None);
    peer.turn();
    let challenge = format!("334 {}\r\n", message(&long).to_base64());
    assert_eq!(peer.hear(&challenge).events, [Event::Challenge(message(&long))]);
}

#[test]
fn an_auth_can_be_given_up() {
    let mut peer = Peer::asked();
    peer.client.authenticate("LOGIN", None);
    peer.turn();
    peer.hear("334 VXNlcm5hbWU6\r\n");
    peer.client.cancel();
    assert_eq!(peer.turn().sent, "*\r\n");
    assert!(matches!(failure(&peer.hear("501 5.7.0 Cancelled\r\n")), Failure::Authentication(_)));
}

#[test]
fn a_server_cannot_accept_what_was_given_up() {
    let mut peer = Peer::asked();
    peer.client.authenticate("LOGIN", None);
    peer.turn();
    peer.hear("334 VXNlcm5hbWU6\r\n");
    peer.client.cancel();
    peer.turn();
    let turn = peer.hear("235 Welcome all the same\r\n");
    assert!(matches!(failure(&turn), Failure::Protocol { stage: Stage::Auth, .. }));
    assert!(!peer.client.is_authenticated());
}

#[test]
fn what_is_no_answer_to_auth_is_a_protocol_error() {
    for reply in ["334 not base64!\r\n", "354 Go\r\n", "334 =\r\n"] {
        let mut peer = Peer::asked();
        peer.client.authenticate("LOGIN", None);
        peer.turn();
        assert!(
            matches!(failure(&peer.hear(reply)), Failure::Protocol { stage: Stage::Auth, .. }),
            "{reply}"
        );
    }
    let mut peer = Peer::asked();
    let turn = peer.hear("235 2.7.0 Welcome\r\n");
    assert!(matches!(failure(&turn), Failure::Protocol { stage: Stage::Auth, .. }), "before AUTH was sent");
}

#[test]
fn a_silent_server_is_waited_for_five_minutes() {
    let mut peer = Peer::asked();
    // As long as the application likes for its own part.
    peer.now += Duration::from_secs(3600);
    assert!(peer.turn().events.is_empty());
    peer.client.authenticate("LOGIN", None);
    peer.turn();
    peer.now += Duration::from_secs(300);
    assert_eq!(failure(&peer.turn()), &Failure::TimedOut { stage: Stage::Auth });
}

#[test]
fn secrets_do_not_show() {
    let mut peer = Peer::asked();
    peer.client.authenticate("PLAIN", Some(message(b"secret")));
    let shown = format!("{:?} {:?}", peer.client, Event::Challenge(message(b"secret")));
    assert!(!shown.contains("secret") && !shown.contains("c2VjcmV0"), "{shown}");
}

#[test]
fn failures_of_security_leave_nothing_unknown() {
    let reply = || Reply::new(535, None, "No");
    for failure in [
        Failure::NoTls,
        Failure::TlsRefused(reply()),
        Failure::NoMechanism { secured: true },
        Failure::Authentication(reply()),
        Failure::TimedOut { stage: Stage::StartTls },
        Failure::ClosedByPeer { stage: Stage::Auth },
    ] {
        assert!(!failure.leaves_outcome_unknown(), "{failure}");
    }
}
