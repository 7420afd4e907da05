//! The client endpoint against servers that are written down: what it sends, and what it makes of the
//! replies.

use bytes::Bytes;
use smtp::client::{Chunking, Client, Config, Event, Failure, Stage};
use smtp::{
    Body, Envelope, EnvelopeId, ForwardPath, Notify, OriginalRecipient, Protocol, Recipient, Reply, Return,
    ReversePath, replies,
};
use std::time::{Duration, Instant};
use wire::{Endpoint, Flaw, Step};

const MINUTE: Duration = Duration::from_secs(60);
const FULL: &str = "250-mx.example\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250-BINARYMIME\r\n\
                    250-SMTPUTF8\r\n250-CHUNKING\r\n250-DSN\r\n250 ENHANCEDSTATUSCODES\r\n";

/// A client, and the application that gives it content.
struct Peer {
    client: Client,
    now: Instant,
    content: Vec<&'static [u8]>,
}

/// What happened between two waits.
#[derive(Debug, Default)]
struct Turn {
    sent: String,
    events: Vec<Event>,
    closed: bool,
    wait: Option<Duration>,
}

impl Peer {
    fn new(config: Config) -> Peer {
        Peer { client: Client::new(config), now: Instant::now(), content: Vec::new() }
    }

    /// A client that is ready, greeted with `hello`.
    fn ready(config: Config, hello: &str) -> Peer {
        let mut peer = Peer::new(config);
        peer.turn();
        peer.hear("220 mx.example ESMTP\r\n");
        assert_eq!(peer.hear(hello).events, [Event::Ready]);
        peer
    }

    fn deliver(&mut self, envelope: Envelope, content: &[&'static [u8]]) -> Turn {
        self.content = content.to_vec();
        let size = content.iter().map(|piece| piece.len() as u64).sum();
        self.client.deliver(envelope, Some(size));
        self.turn()
    }

    fn hear(&mut self, text: &str) -> Turn {
        self.client.receive(text.as_bytes());
        self.turn()
    }

    fn turn(&mut self) -> Turn {
        let mut turn = Turn::default();
        let mut pieces = std::mem::take(&mut self.content).into_iter();
        loop {
            match self.client.step(self.now) {
                Step::Send(bytes) => turn.sent.push_str(&String::from_utf8_lossy(&bytes)),
                Step::Event(Event::WantContent) => match pieces.next() {
                    Some(piece) => self.client.content(Bytes::from_static(piece)),
                    None => self.client.end_of_content(),
                },
                Step::Event(event) => turn.events.push(event),
                Step::StartTls => panic!("nobody asked for TLS"),
                Step::Wait(until) => {
                    turn.wait = Some(until - self.now);
                    break;
                }
                Step::Close => {
                    turn.closed = true;
                    break;
                }
            }
        }
        self.content = pieces.collect();
        turn
    }
}

fn config() -> Config {
    Config::new("client.example")
}

fn recipients(names: &[&str]) -> Vec<Recipient> {
    let path = |name: &&str| ForwardPath::parse(&format!("<{name}>")).expect("a path");
    names.iter().map(path).map(Recipient::new).collect()
}

fn envelope(names: &[&str]) -> Envelope {
    Envelope::new(ReversePath::parse("<a@b.example>").expect("a path"), recipients(names))
}

/// The replies of the one event, a finished delivery.
fn outcome(turn: &Turn) -> Vec<String> {
    match turn.events.as_slice() {
        [Event::Done(outcome)] => outcome.recipients.iter().map(Reply::to_string).collect(),
        other => panic!("a finished delivery, not {other:?}"),
    }
}

fn failure(turn: &Turn) -> &Failure {
    assert!(turn.closed, "a failed connection closes");
    match turn.events.as_slice() {
        [Event::Failed(failure)] => failure,
        other => panic!("a failure, not {other:?}"),
    }
}

#[test]
fn a_pipelined_delivery_sends_the_envelope_in_one_group() {
    let mut peer = Peer::new(config());
    assert_eq!(peer.turn().sent, "");
    assert_eq!(peer.hear("220-mx.example\r\n220 ESMTP\r\n").sent, "EHLO client.example\r\n");
    assert_eq!(peer.hear(FULL).events, [Event::Ready]);
    let turn = peer.deliver(envelope(&["c@d.example", "e@f.example"]), &[b"x\r\n", b".y"]);
    assert_eq!(
        turn.sent,
        "MAIL FROM:<a@b.example> SIZE=5\r\nRCPT TO:<c@d.example>\r\nRCPT TO:<e@f.example>\r\nDATA\r\n"
    );
    let turn = peer.hear("250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n550 5.1.1 No\r\n354 Go\r\n");
    assert_eq!(turn.sent, "x\r\n..y\r\n.\r\n", "dots are stuffed and the last line ended");
    let turn = peer.hear("250 2.0.0 Ok: queued as 1\r\n");
    assert_eq!(outcome(&turn), ["250 2.0.0 Ok: queued as 1", "550 5.1.1 No"]);
    peer.client.quit();
    assert_eq!(peer.turn().sent, "QUIT\r\n");
    assert!(peer.hear("221 Bye\r\n").closed);
}

#[test]
fn without_pipelining_one_command_waits_for_the_other() {
    let mut peer = Peer::ready(config(), "250 mx.example\r\n");
    assert_eq!(peer.deliver(envelope(&["c@d.example"]), &[b"x\r\n"]).sent, "MAIL FROM:<a@b.example>\r\n");
    assert_eq!(peer.hear("250 Ok\r\n").sent, "RCPT TO:<c@d.example>\r\n");
    assert_eq!(peer.hear("250 Ok\r\n").sent, "DATA\r\n");
    assert_eq!(peer.hear("354 Go\r\n").sent, "x\r\n.\r\n");
    assert_eq!(outcome(&peer.hear("250 Ok\r\n")), ["250 Ok"]);
}

#[test]
fn helo_follows_a_refused_ehlo() {
    for code in [500, 502, 504, 550, 554] {
        let mut peer = Peer::new(config());
        peer.hear("220 mx.example\r\n");
        assert_eq!(peer.hear(&format!("{code} What?\r\n")).sent, "HELO client.example\r\n");
        assert_eq!(peer.hear("250 mx.example\r\n").events, [Event::Ready]);
        assert_eq!(peer.client.extensions().iter().count(), 0);
    }
    let mut peer = Peer::new(config());
    peer.hear("220 mx.example\r\n");
    let turn = peer.hear("450 Not now\r\n");
    assert!(matches!(failure(&turn), Failure::Hello(reply) if reply.code().number() == 450));
    assert_eq!(turn.sent, "QUIT\r\n");
}

#[test]
fn a_greeting_that_refuses_ends_the_connection() {
    for code in [421, 450, 521, 554] {
        let mut peer = Peer::new(config());
        peer.turn();
        let turn = peer.hear(&format!("{code}-No\r\n{code} mail here\r\n"));
        assert!(matches!(failure(&turn), Failure::Greeting(reply) if reply.code().number() == code));
    }
}

#[test]
fn a_refused_mail_is_the_reply_for_everybody() {
    let mut peer = Peer::ready(config(), FULL);
    peer.deliver(envelope(&["c@d.example", "e@f.example"]), &[b"x\r\n"]);
    let turn = peer.hear("451 4.3.0 Later\r\n503 Need MAIL\r\n503 Need MAIL\r\n503 Need MAIL\r\n");
    assert_eq!(outcome(&turn), ["451 4.3.0 Later", "451 4.3.0 Later"]);
    assert_eq!(turn.sent, "");
}

#[test]
fn a_354_although_nobody_was_accepted_gets_a_lone_dot() {
    let mut peer = Peer::ready(config(), FULL);
    peer.deliver(envelope(&["c@d.example"]), &[b"x\r\n"]);
    assert_eq!(peer.hear("250 Ok\r\n550 5.1.1 No\r\n354 Go\r\n").sent, ".\r\n");
    assert_eq!(outcome(&peer.hear("554 No valid recipients\r\n")), ["550 5.1.1 No"]);
    // The transaction was left open, so the next one begins with RSET.
    let turn = peer.deliver(envelope(&["c@d.example"]), &[b"x\r\n"]);
    assert!(turn.sent.starts_with("RSET\r\nMAIL FROM:"), "{}", turn.sent);
}

#[test]
fn without_pipelining_no_data_follows_when_nobody_was_accepted() {
    let mut peer = Peer::ready(config(), "250 mx.example\r\n");
    peer.deliver(envelope(&["c@d.example"]), &[b"x\r\n"]);
    peer.hear("250 Ok\r\n");
    let turn = peer.hear("550 5.1.1 No\r\n");
    assert_eq!((turn.sent.as_str(), outcome(&turn)), ("", vec!["550 5.1.1 No".to_owned()]));
}

#[test]
fn many_recipients_are_sent_in_bounded_groups() {
    let names: Vec<String> = (0..200).map(|n| format!("r{n}@d.example")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut peer = Peer::ready(config(), FULL);
    let mut turn = peer.deliver(envelope(&names), &[b"x\r\n"]);
    let mut sent = turn.sent.lines().count();
    assert_eq!(sent, 64);
    while !turn.sent.ends_with("DATA\r\n") {
        turn = peer.hear("250 Ok\r\n");
        sent += turn.sent.lines().count();
    }
    assert_eq!(sent, 202);
}

#[test]
fn limits_of_the_server_leave_the_rest_for_another_time() {
    let mut peer = Peer::ready(config(), "250-mx.example\r\n250-PIPELINING\r\n250 LIMITS RCPTMAX=1\r\n");
    let turn = peer.deliver(envelope(&["c@d.example", "e@f.example"]), &[b"x\r\n"]);
    assert_eq!(turn.sent, "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n");
    peer.hear("250 Ok\r\n250 Ok\r\n354 Go\r\n");
    assert_eq!(outcome(&peer.hear("250 Ok\r\n")), ["250 Ok", "452 4.5.3 Error: too many recipients"]);
}

#[test]
fn an_old_552_to_rcpt_is_temporary() {
    let mut peer = Peer::ready(config(), FULL);
    peer.deliver(envelope(&["c@d.example", "e@f.example"]), &[b"x\r\n"]);
    peer.hear("250 Ok\r\n250 Ok\r\n552 Too many\r\n354 Go\r\n");
    assert_eq!(outcome(&peer.hear("250 Ok\r\n")), ["250 Ok", "452 4.5.3 Too many"]);
}

#[test]
fn parameters_are_sent_where_they_are_offered() {
    let full = Envelope {
        body: Body::EightBitMime,
        smtputf8: true,
        ret: Some(Return::Headers),
        envelope_id: EnvelopeId::new("id+1"),
        recipients: vec![Recipient {
            notify: Some(Notify::On { success: true, failure: true, delay: false }),
            original: OriginalRecipient::new("rfc822", "c+x@d.example"),
            ..Recipient::new(ForwardPath::parse("<ü@d.example>").expect("a path"))
        }],
        ..envelope(&[])
    };
    let mut peer = Peer::ready(config(), FULL);
    assert_eq!(
        peer.deliver(full, &[]).sent,
        "MAIL FROM:<a@b.example> SIZE=0 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=id+2B1\r\n\
         RCPT TO:<ü@d.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;c+2Bx@d.example\r\nDATA\r\n"
    );
    let mut peer = Peer::ready(config(), "250 mx.example\r\n");
    let plain = Envelope { ret: Some(Return::Full), ..envelope(&["c@d.example"]) };
    assert_eq!(peer.deliver(plain, &[]).sent, "MAIL FROM:<a@b.example>\r\n");
}

#[test]
fn what_the_server_cannot_take_is_not_sent() {
    let cases = [
        (Envelope { smtputf8: true, ..envelope(&["c@d.example"]) }, replies::PEER_LACKS_SMTPUTF8),
        (Envelope { body: Body::EightBitMime, ..envelope(&["c@d.example"]) }, replies::PEER_LACKS_BODY),
        (Envelope { body: Body::BinaryMime, ..envelope(&["c@d.example"]) }, replies::PEER_LACKS_BODY),
        (envelope(&["ü@d.example"]), replies::PEER_LACKS_SMTPUTF8),
    ];
    for (envelope, reply) in cases {
        let mut peer = Peer::ready(config(), "250 mx.example\r\n");
        let turn = peer.deliver(envelope, &[b"x\r\n"]);
        assert_eq!((turn.sent.as_str(), outcome(&turn)), ("", vec![reply.to_string()]));
    }
    let mut peer = Peer::ready(config(), FULL);
    peer.client.deliver(envelope(&["c@d.example"]), Some(1001));
    assert_eq!(outcome(&peer.turn()), [replies::MESSAGE_TOO_BIG.to_string()]);
}

#[test]
fn only_a_domain_is_converted_to_ascii() {
    let mut peer = Peer::ready(config(), "250-mx.example\r\n250 PIPELINING\r\n");
    let turn = peer.deliver(envelope(&["c@bücher.example", "ü@d.example"]), &[b"x\r\n"]);
    assert_eq!(turn.sent, "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@xn--bcher-kva.example>\r\nDATA\r\n");
}

#[test]
fn binary_content_goes_in_chunks() {
    let mut peer = Peer::ready(config(), FULL);
    let binary = Envelope { body: Body::BinaryMime, ..envelope(&["c@d.example"]) };
    let turn = peer.deliver(binary, &[b"a\nb\0", b"\r"]);
    assert_eq!(turn.sent, "MAIL FROM:<a@b.example> SIZE=5 BODY=BINARYMIME\r\nRCPT TO:<c@d.example>\r\n");
    assert_eq!(peer.hear("250 Ok\r\n250 Ok\r\n").sent, "BDAT 4\r\na\nb\0BDAT 1\r\n\r");
    assert_eq!(peer.hear("250 4 octets\r\n250 1 octets\r\n").sent, "BDAT 0 LAST\r\n");
    assert_eq!(outcome(&peer.hear("250 Ok\r\n")), ["250 Ok"]);
}

#[test]
fn text_in_chunks_is_neither_stuffed_nor_left_without_crlf() {
    let config = Config { chunking: Chunking::WhenOffered, ..config() };
    let mut peer = Peer::ready(config, FULL);
    peer.deliver(envelope(&["c@d.example"]), &[b".x"]);
    assert_eq!(peer.hear("250 Ok\r\n250 Ok\r\n").sent, "BDAT 2\r\n.x");
    assert_eq!(peer.hear("250 Ok\r\n").sent, "BDAT 2 LAST\r\n\r\n");
    assert_eq!(outcome(&peer.hear("250 Ok\r\n")), ["250 Ok"]);
}

#[test]
fn after_a_refused_chunk_no_more_are_sent() {
    let config = Config { chunking: Chunking::WhenOffered, ..config() };
    let mut peer = Peer::ready(config, "250-mx.example\r\n250 CHUNKING\r\n");
    peer.deliver(envelope(&["c@d.example"]), &[b"x\r\n", b"y\r\n"]);
    peer.hear("250 Ok\r\n");
    assert_eq!(peer.hear("250 Ok\r\n").sent, "BDAT 3\r\nx\r\n");
    let turn = peer.hear("552 5.3.4 Too big\r\n");
    assert_eq!((turn.sent.as_str(), outcome(&turn)), ("", vec!["552 5.3.4 Too big".to_owned()]));
}

#[test]
fn content_that_could_be_misread_is_never_sent() {
    for (pieces, flaw) in [
        (&[&b"a\n.\r\nb"[..]][..], Flaw::BareLf),
        (&[b"a\r", b"b"], Flaw::BareCr),
        (&[b"a\r"], Flaw::BareCr),
        (&[b"a\0"], Flaw::Nul),
    ] {
        for chunking in [Chunking::OnlyForBinary, Chunking::WhenOffered] {
            let mut peer = Peer::ready(Config { chunking, ..config() }, FULL);
            peer.deliver(envelope(&["c@d.example"]), pieces);
            let replies = match chunking {
                Chunking::OnlyForBinary => "250 Ok\r\n250 Ok\r\n354 Go\r\n",
                Chunking::WhenOffered => "250 Ok\r\n250 Ok\r\n",
            };
            let turn = peer.hear(replies);
            let failed = failure(&turn);
            assert_eq!(*failed, Failure::Content(flaw));
            assert!(!failed.leaves_outcome_unknown());
            assert!(!turn.sent.contains(".\r\n") && !turn.sent.contains("LAST"), "{:?}", turn.sent);
        }
    }
}

#[test]
fn lmtp_has_a_reply_for_each_accepted_recipient() {
    let config = Config { protocol: Protocol::Lmtp, ..config() };
    let mut peer = Peer::new(config);
    assert_eq!(peer.hear("220 mx.example LMTP\r\n").sent, "LHLO client.example\r\n");
    peer.hear(FULL);
    peer.deliver(envelope(&["c@d.example", "e@f.example", "g@h.example"]), &[b"x\r\n"]);
    peer.hear("250 Ok\r\n250 Ok\r\n550 5.1.1 No\r\n250 Ok\r\n354 Go\r\n");
    assert_eq!(peer.hear("250 2.0.0 Stored\r\n").events, []);
    let turn = peer.hear("452 4.2.2 Full\r\n");
    assert_eq!(outcome(&turn), ["250 2.0.0 Stored", "550 5.1.1 No", "452 4.2.2 Full"]);
}

#[test]
fn in_lmtp_what_was_answered_stands_when_the_connection_is_lost() {
    let config = Config { protocol: Protocol::Lmtp, ..config() };
    let mut peer = Peer::ready(config, FULL);
    peer.deliver(envelope(&["c@d.example", "e@f.example"]), &[b"x\r\n"]);
    peer.hear("250 Ok\r\n250 Ok\r\n250 Ok\r\n354 Go\r\n");
    peer.hear("250 2.0.0 Stored\r\n");
    peer.client.receive_end();
    let turn = peer.turn();
    assert_eq!(outcome(&turn), ["250 2.0.0 Stored".to_owned(), replies::CONNECTION_LOST.to_string()]);
    assert!(turn.closed);
}

#[test]
fn after_421_the_connection_closes_and_nobody_is_left_without_a_reply() {
    let mut peer = Peer::ready(config(), FULL);
    peer.deliver(envelope(&["c@d.example", "e@f.example"]), &[b"x\r\n"]);
    let turn = peer.hear("250 Ok\r\n550 5.1.1 No\r\n421 4.3.2 Stopping\r\n");
    assert_eq!(outcome(&turn), ["550 5.1.1 No", "421 4.3.2 Stopping"]);
    assert!(turn.closed);
    let mut idle = Peer::ready(config(), FULL);
    let turn = idle.hear("421 4.4.2 Idle too long\r\n");
    assert!(matches!(failure(&turn), Failure::ServiceClosing(_)));
}

#[test]
fn a_lost_connection_leaves_the_outcome_unknown_only_after_the_dot() {
    let mut peer = Peer::ready(config(), FULL);
    peer.deliver(envelope(&["c@d.example"]), &[b"x\r\n"]);
    peer.client.receive_end();
    let turn = peer.turn();
    assert_eq!(*failure(&turn), Failure::ClosedByPeer { stage: Stage::Envelope });
    assert!(!failure(&turn).leaves_outcome_unknown());
    let mut peer = Peer::ready(config(), FULL);
    peer.deliver(envelope(&["c@d.example"]), &[b"x\r\n"]);
    peer.hear("250 Ok\r\n250 Ok\r\n354 Go\r\n");
    peer.client.receive_end();
    let turn = peer.turn();
    assert_eq!(*failure(&turn), Failure::ClosedByPeer { stage: Stage::End });
    assert!(failure(&turn).leaves_outcome_unknown());
}

#[test]
fn a_server_that_refuses_everybody_and_hangs_up_was_understood() {
    let mut peer = Peer::ready(config(), FULL);
    peer.deliver(envelope(&["c@d.example"]), &[b"x\r\n"]);
    peer.client.receive(b"250 Ok\r\n550 5.1.1 No\r\n");
    peer.client.receive_end();
    let turn = peer.turn();
    assert_eq!((outcome(&turn), turn.closed), (vec!["550 5.1.1 No".to_owned()], true));
}

#[test]
fn each_stage_has_its_own_patience() {
    let mut peer = Peer::new(config());
    assert_eq!(peer.turn().wait, Some(5 * MINUTE));
    assert_eq!(peer.hear("220 mx.example\r\n").wait, Some(5 * MINUTE));
    peer.hear(FULL);
    assert_eq!(peer.deliver(envelope(&["c@d.example"]), &[b"x\r\n"]).wait, Some(5 * MINUTE));
    peer.now += 4 * MINUTE;
    assert_eq!(peer.hear("250 Ok\r\n").wait, Some(5 * MINUTE), "a reply renews it");
    peer.now += 4 * MINUTE;
    assert_eq!(peer.hear("25").wait, Some(MINUTE), "a part of a reply does not");
    assert_eq!(peer.hear("0 Ok\r\n").wait, Some(2 * MINUTE));
    assert_eq!(peer.hear("354 Go\r\n").wait, Some(10 * MINUTE));
    peer.now += 10 * MINUTE;
    let turn = peer.turn();
    assert_eq!(*failure(&turn), Failure::TimedOut { stage: Stage::End });
    assert!(failure(&turn).leaves_outcome_unknown());
}

#[test]
fn quit_does_not_wait_long() {
    let mut peer = Peer::ready(config(), FULL);
    peer.client.quit();
    assert_eq!(peer.turn().wait, Some(Duration::from_secs(5)));
    peer.now += Duration::from_secs(5);
    let turn = peer.turn();
    assert!(turn.closed && turn.events.is_empty(), "that nobody says 221 is no failure");
}

#[test]
fn a_server_that_babbles_is_left() {
    for babble in ["hello\r\n", "250ok\r\n", "150 ok\r\n", "\r\n", "250 ok\r\n354 ok\r\n"] {
        let mut peer = Peer::ready(config(), FULL);
        peer.deliver(envelope(&["c@d.example"]), &[b"x\r\n"]);
        assert!(matches!(failure(&peer.hear(babble)), Failure::Protocol { stage: Stage::Envelope, .. }));
    }
}

#[test]
fn giving_up_closes_without_ending_the_content() {
    let mut peer = Peer::ready(config(), FULL);
    peer.client.deliver(envelope(&["c@d.example"]), None);
    while !matches!(peer.client.step(peer.now), Step::Wait(_)) {}
    peer.client.receive(b"250 Ok\r\n250 Ok\r\n354 Go\r\n");
    assert_eq!(peer.client.step(peer.now), Step::Event(Event::WantContent));
    peer.client.content(Bytes::from_static(b"x\r\n"));
    peer.client.abandon();
    assert_eq!(peer.client.step(peer.now), Step::Event(Event::Failed(Failure::Abandoned)));
    assert_eq!(peer.client.step(peer.now), Step::Close);
}
