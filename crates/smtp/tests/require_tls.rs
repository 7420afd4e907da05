//! REQUIRETLS (RFC 8689), on both sides.

use smtp::client::{self, Client};
use smtp::server::{self, Event, RequireTls, Server, StartTls};
use smtp::{Envelope, ForwardPath, Recipient, Reply, ReversePath, replies};
use std::time::Instant;
use wire::{Endpoint, Step};

/// Gives a server these bytes and returns what it says, every hello and MAIL answered with 250.
fn say(server: &mut Server, bytes: &str) -> String {
    server.receive(bytes.as_bytes());
    let mut said = String::new();
    loop {
        match server.step(Instant::now()) {
            Step::Send(bytes) => said.push_str(std::str::from_utf8(&bytes).expect("text")),
            Step::Event(Event::Hello(_) | Event::Mail(_)) => server.reply(Reply::new(250, None, "ok")),
            Step::Event(_) => {}
            Step::StartTls => server.secured(),
            Step::Wait(_) | Step::Close => return said,
        }
    }
}

#[test]
fn it_is_offered_and_taken_under_tls_alone() {
    let config = server::Config {
        starttls: StartTls::Offered,
        require_tls: RequireTls::UnderTls,
        ..server::Config::new("mx.example")
    };
    let mut server = Server::new(config.into());
    say(&mut server, "");
    assert!(!say(&mut server, "EHLO c.example\r\n").contains("REQUIRETLS"));
    let refused = say(&mut server, "MAIL FROM:<a@b.example> REQUIRETLS\r\n");
    assert!(refused.starts_with("555 5.5.4 "), "{refused}");
    say(&mut server, "STARTTLS\r\n");
    assert!(say(&mut server, "EHLO c.example\r\n").contains("REQUIRETLS"));
    let refused = say(&mut server, "MAIL FROM:<a@b.example> REQUIRETLS=1\r\n");
    assert!(refused.starts_with("501 5.5.4 "), "{refused}");
    let taken = say(&mut server, "MAIL FROM:<a@b.example> REQUIRETLS\r\n");
    assert!(taken.starts_with("250 "), "{taken}");
}

#[test]
fn a_client_asks_those_who_offer_it_and_nobody_else() {
    for (offer, expected) in [
        ("250-mx.example\r\n250 REQUIRETLS\r\n", Ok("MAIL FROM:<a@b.example> REQUIRETLS\r\n")),
        ("250 mx.example\r\n", Err(replies::PEER_LACKS_REQUIRETLS)),
    ] {
        let mut client = Client::new(client::Config::new("c.example"));
        client.receive(format!("220 mx.example\r\n{offer}").as_bytes());
        let mut sent = String::new();
        let mut outcome = None;
        loop {
            match client.step(Instant::now()) {
                Step::Send(bytes) => sent = String::from_utf8(bytes.to_vec()).expect("text"),
                Step::Event(client::Event::Ready) => {
                    let path = ReversePath::parse("<a@b.example>").expect("a path");
                    let to = Recipient::new(ForwardPath::parse("<c@d.example>").expect("a path"));
                    let envelope = Envelope { require_tls: true, ..Envelope::new(path, vec![to]) };
                    client.deliver(envelope, None);
                }
                Step::Event(client::Event::Done(done)) => outcome = Some(done.recipients[0].clone()),
                Step::Event(event) => panic!("{event:?}"),
                Step::StartTls => panic!("no TLS here"),
                Step::Wait(_) | Step::Close => break,
            }
        }
        assert_eq!(outcome.map_or(Ok(sent.as_str()), Err), expected);
    }
}
