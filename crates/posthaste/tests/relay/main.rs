//! Relaying with the real program: a name server on loopback names the hosts, and another real server takes the mail.

#[path = "../common/mod.rs"]
mod common;
mod dns;

use common::{Data, Ran, Server};
use dns::{NameServer, Record};
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

const RECORDS: &[(&str, Record)] = &[
    ("gmail.example", Record::Mx(20, "nobody.gmail.example")),
    ("gmail.example", Record::Mx(10, "mx.gmail.example")),
    ("mx.gmail.example", Record::A(Ipv4Addr::LOCALHOST)),
    ("null.example", Record::Mx(0, "")),
];

/// A relay between this name server and a sink that stands for the rest of the world.
struct Lab {
    home: Data,
    world: Data,
    relay: Server,
    _sink: Server,
    _names: NameServer,
}

impl Lab {
    fn new() -> Lab {
        let (home, world) = (Data::new(), Data::new());
        let names = NameServer::start(RECORDS);
        let sink = Server::up(&world, &[]);
        let port = sink.address(0).rsplit(':').next().expect("a port").to_owned();
        let settings = format!(
            "hostname = \"mail.home.example\"\ndata = {:?}\ndomains = [\"home.example\"]\n\
             accounts = [\"ann@home.example\"]\n[[listen]]\naddress = \"127.0.0.1:0\"\n\
             [abuse]\ngreeting_delay = \"0s\"\n\
             [relay]\nnetworks = [\"127.0.0.0/8\"]\nresolvers = [\"{}\"]\nmx_port = {port}\n\
             private_networks = [\"127.0.0.0/8\"]\n",
            home.text(),
            names.address
        );
        let file = home.file("posthaste.toml", settings.as_bytes());
        let relay = Server::start(&["serve", "--config", &file, "--json"]);
        Lab { home, world, relay, _sink: sink, _names: names }
    }
}

/// The n-th message in a mailbox, once it is there.
fn message(data: &Data, number: &str, account: &str) -> String {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let Ran { status, stdout, .. } = data.run(&["inbox", "raw", number, "--account", account]);
        if status == 0 {
            return stdout;
        }
        assert!(Instant::now() < deadline, "nothing has come for {account}");
        std::thread::yield_now();
    }
}

#[test]
fn a_session_by_hand_reaches_a_host_found_through_mx() {
    let lab = Lab::new();
    let mut stream = BufReader::new(TcpStream::connect(lab.relay.address(0)).expect("it listens"));
    let mut say = |line: &str, expected: &str| {
        stream.get_mut().write_all(line.as_bytes()).expect("it reads");
        let mut reply = String::new();
        stream.read_line(&mut reply).expect("it answers");
        assert!(reply.starts_with(expected), "{line:?}: {reply:?}");
    };
    say("", "220 mail.home.example ");
    say("helo me.com\r\n", "250 ");
    say("MAIL FROM:<nsaffour@gmail.example>\r\n", "250 2.1.0 Ok");
    say("RCPT TO:<nsaffour@gmail.example>\r\n", "250 2.1.5 Ok");
    say("Data\r\n", "354 End data with <CR><LF>.<CR><LF>");
    say(
        "SUBJECT:  testing my smtp server\r\nFROM: nsaffour@gmail.example\r\n\r\n\
         Dear Nour, This is me testing my server\r\n.\r\n",
        "250 2.0.0 Ok: queued as ",
    );
    // The session goes on; nobody waited for its end.
    let text = message(&lab.world, "1", "nsaffour@gmail.example");
    assert!(
        text.starts_with("Return-Path: <nsaffour@gmail.example>\r\nDelivered-To: nsaffour@gmail.example\r\n")
    );
    assert!(text.contains("Received: from mail.home.example ([127.0.0.1])"), "{text}");
    assert!(text.contains("Received: from me.com ([127.0.0.1])"), "{text}");
    assert!(text.ends_with("\r\n\r\nDear Nour, This is me testing my server\r\n"), "{text}");
    say("QUIT\r\n", "221 ");
    assert_eq!(lab.relay.stop(), 0);
}

#[test]
fn what_cannot_be_delivered_comes_back_with_the_reason() {
    let lab = Lab::new();
    let sent = lab.relay.send(&[
        "--from",
        "ann@home.example",
        "--to",
        "x@null.example",
        "--to",
        "y@nowhere.example",
        "--subject",
        "hi",
        "--text",
        "x",
    ]);
    assert_eq!(sent.status, 0, "{}{}", sent.stdout, sent.stderr);
    let reports = ["1", "2"].map(|number| message(&lab.home, number, "ann@home.example"));
    let both = reports.concat();
    for part in ["x@null.example", "Status: 5.1.10\r\n", "y@nowhere.example", "Status: 5.1.2\r\n"] {
        assert!(both.contains(part), "{part} in {both}");
    }
    assert!(both.contains("From: Mail Delivery System <postmaster@mail.home.example>"));
}

/// A provider with a mailbox server behind its own, and a home whose mail goes through it.
#[test]
fn a_smart_host_asks_who_we_are_and_a_gateway_hands_over_by_lmtp() {
    let (home, provider) = (Data::new(), Data::new());
    let settings = format!(
        "hostname = \"smtp.provider.example\"\ndata = {:?}\ndomains = [\"provider.example\", \"inside.example\"]\n\
         accounts = [\"zoe@inside.example\", \"yan@provider.example\"]\n\
         [[listen]]\naddress = \"127.0.0.1:0\"\nprotocol = \"submission\"\ntls = \"starttls\"\n\
         [[listen]]\naddress = \"127.0.0.1:0\"\nprotocol = \"lmtp\"\ntls = \"none\"\n\
         [abuse]\ngreeting_delay = \"0s\"\n[submission]\nsenders = \"any\"\nfrom = \"unchecked\"\n",
        provider.text()
    );
    let file = provider.file("posthaste.toml", settings.as_bytes());
    let data = provider.text();
    let args = ["user", "add", "me@provider.example", "--password-stdin", "--data", &data];
    let made = common::run_with_input(&args, b"correct horse battery");
    assert_eq!(made.status, 0, "{}{}", made.stdout, made.stderr);
    let running = Server::start(&["serve", "--config", &file, "--json"]);
    let password = home.file("provider.password", b"correct horse battery\n");
    let settings = format!(
        "hostname = \"mail.home.example\"\ndata = {:?}\ndomains = [\"home.example\"]\n\
         [[listen]]\naddress = \"127.0.0.1:0\"\n[abuse]\ngreeting_delay = \"0s\"\n\
         [relay]\nnetworks = []\n\
         [[route]]\ndomain = \"provider.example\"\nvia = \"smtp://{}\"\nuser = \"me@provider.example\"\n\
         password_file = {password:?}\ntls = \"required\"\naccept = true\n\
         [[route]]\ndomain = \"inside.example\"\nvia = \"lmtp://{}\"\ntls = \"none\"\naccept = true\n",
        home.text(),
        running.address(0),
        running.address(1)
    );
    let file = home.file("posthaste.toml", settings.as_bytes());
    let checked = common::run(&["serve", "--config", &file, "--check"]);
    assert!(checked.stdout.contains("goes to lmtp://127.0.0.1:"), "{}{}", checked.stdout, checked.stderr);
    assert!(!checked.stdout.contains("correct horse"));
    let gateway = Server::start(&["serve", "--config", &file, "--json"]);
    for to in ["yan@provider.example", "zoe@inside.example"] {
        let sent =
            gateway.send(&["--from", "stranger@world.example", "--to", to, "--subject", "hi", "--text", "x"]);
        assert_eq!(sent.status, 0, "{}{}", sent.stdout, sent.stderr);
    }
    let text = message(&provider, "1", "yan@provider.example");
    assert!(text.contains("with ESMTPSA id "), "encrypted, and as somebody: {text}");
    let text = message(&provider, "1", "zoe@inside.example");
    assert!(text.contains("with LMTP id ") && text.contains("Received: from mail.home.example"), "{text}");
    let refused = gateway.send(&["--from", "s@world.example", "--to", "t@world.example", "--text", "x"]);
    assert_ne!(refused.status, 0, "a stranger reaches those domains and no others");
    assert_eq!(gateway.stop(), 0);
}

/// An alias leads to another server, which gets the mail under a reverse-path of ours.
#[test]
fn mail_is_forwarded_under_a_reverse_path_for_reports_alone() {
    let lab = Lab::new();
    let args = ["user", "alias", "add", "out@home.example", "eve@gmail.example"];
    assert_eq!(lab.home.run(&args).status, 0);
    let sent = lab.relay.send(&["--from", "ann@gmail.example", "--to", "out@home.example", "--text", "x"]);
    assert_eq!(sent.status, 0, "{}{}", sent.stdout, sent.stderr);
    let text = message(&lab.world, "1", "eve@gmail.example");
    let path = text.strip_prefix("Return-Path: <").and_then(|rest| rest.split('>').next()).expect(&text);
    assert!(path.starts_with("SRS0=") && path.ends_with("=gmail.example=ann@home.example"), "{path}");
    assert!(text.contains("\r\nDelivered-To: out@home.example\r\nReceived: "), "{text}");
    // Who has seen that path must not be able to write to the sender under it: only reports, which have no sender, come back.
    let back = ["--from", "robot@gmail.example", "--to", path, "--subject", "failed", "--text", "y"];
    let sent = lab.relay.send(&back);
    assert!(sent.status != 0 && sent.stdout.contains("550 5.1.1"), "{}{}", sent.stdout, sent.stderr);
}
