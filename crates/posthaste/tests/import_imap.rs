//! `import imap://` that breaks off: the same command goes on from there, and in the end nothing is missing and nothing is there twice.

mod common;

use common::{Data, Ran, Server, posthaste, run_with_input};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// As many messages, of which ten in a row are alike: wherever it breaks off, some of them are here and some are not.
const MESSAGES: usize = 120;

fn subject(number: usize) -> usize {
    number / 10
}

/// An account elsewhere, and where it is read.
fn elsewhere() -> (Data, Server, SocketAddr) {
    let data = Data::new();
    assert_eq!(data.run(&["user", "add", "ann@a.example"]).status, 0);
    let mbox: String = (0..MESSAGES)
        .map(|number| {
            let subject = subject(number);
            let line = "some words that take room\n".repeat(10);
            format!(
                "From a@a.example Thu Jan  1 00:00:05 2026\nSubject: message {subject}\n\n{line}{subject}\n\n"
            )
        })
        .collect();
    let mbox = data.file("in.mbox", mbox.as_bytes());
    assert_eq!(data.run(&["import", "--account", "ann@a.example", "--mbox", &mbox]).status, 0);
    let password = ["user", "passwd", "ann@a.example", "--password-stdin", "--data", &data.text()];
    assert_eq!(run_with_input(&password, b"correct horse\n").status, 0);
    let server = Server::up(&data, &["--imap", "0"]);
    let address = server.address(1).parse().expect("an address");
    (data, server, address)
}

/// Passes on what is said, but no more than so many octets of what the server says on each connection; returns where.
fn passes_on(server: SocketAddr, allowed: &Arc<AtomicUsize>) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let address = listener.local_addr().expect("an address");
    let allowed = Arc::clone(allowed);
    std::thread::spawn(move || {
        while let Ok((client, _)) = listener.accept() {
            let there = TcpStream::connect(server).expect("the server listens");
            let (mut from_client, mut to_there) =
                (client.try_clone().expect("a socket"), there.try_clone().expect("a socket"));
            std::thread::spawn(move || std::io::copy(&mut from_client, &mut to_there));
            let (mut some, mut client) = (there.take(allowed.load(Ordering::SeqCst) as u64), client);
            // Either side may be gone by then: that is what this is for.
            std::io::copy(&mut some, &mut client).ok();
            client.shutdown(Shutdown::Both).ok();
            some.get_ref().shutdown(Shutdown::Both).ok();
        }
    });
    address
}

fn here() -> Data {
    let data = Data::new();
    assert_eq!(data.run(&["user", "add", "bob@b.example"]).status, 0);
    data
}

fn arguments(address: SocketAddr, data: &str) -> Vec<String> {
    let url = format!("imap://ann%40a.example@127.0.0.1:{}", address.port());
    [
        "import",
        "--json",
        "--tls",
        "none",
        "--password-stdin",
        "--account",
        "bob@b.example",
        "--data",
        data,
        &url,
    ]
    .map(str::to_owned)
    .to_vec()
}

fn import(address: SocketAddr, data: &Data) -> Ran {
    let arguments = arguments(address, &data.text());
    run_with_input(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), b"correct horse\n")
}

/// How often each subject is there.
fn kept(data: &Data) -> BTreeMap<String, usize> {
    let list = data.run(&["inbox", "ls", "--json", "--account", "bob@b.example"]).json();
    let mut kept = BTreeMap::new();
    for message in list.as_array().expect("a list") {
        *kept.entry(message["subject"].as_str().expect("a subject").to_owned()).or_default() += 1;
    }
    kept
}

fn expected() -> BTreeMap<String, usize> {
    let mut expected = BTreeMap::new();
    for number in 0..MESSAGES {
        *expected.entry(format!("message {}", subject(number))).or_default() += 1;
    }
    expected
}

#[test]
fn a_connection_that_breaks_again_and_again_loses_and_doubles_nothing() {
    let (_elsewhere, _server, address) = elsewhere();
    let allowed = Arc::new(AtomicUsize::new(0));
    let (through, data) = (passes_on(address, &allowed), here());
    let (mut before, mut broken) = (0, 0);
    loop {
        // Every time some more than the greeting and the list of messages take.
        allowed.fetch_add(7_001, Ordering::SeqCst);
        let ran = import(through, &data);
        let there: usize = kept(&data).values().sum();
        assert!(there >= before, "{there} after {before}");
        if ran.status == 0 {
            break;
        }
        broken += usize::from(there > before && there < MESSAGES);
        before = there;
    }
    assert!(broken >= 2, "it broke off in the middle {broken} times");
    assert_eq!(kept(&data), expected());
    assert_eq!(import(address, &data).json()["imported"], 0, "nothing is left to be brought in");
}

#[test]
fn an_import_that_is_killed_loses_and_doubles_nothing() {
    let (_elsewhere, _server, address) = elsewhere();
    let data = here();
    let journals = data.path().join("imports");
    let journaled = || -> usize {
        let files = std::fs::read_dir(&journals)
            .map(|files| files.flatten().collect())
            .unwrap_or_else(|_| Vec::new());
        files
            .iter()
            .map(|file| std::fs::read_to_string(file.path()).map_or(0, |text| text.lines().count()))
            .sum()
    };
    for at in [3, 14, 30, 77] {
        let arguments = arguments(address, &data.text());
        let mut child = posthaste(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        child.stdin.take().expect("a pipe").write_all(b"correct horse\n").expect("it reads its password");
        while journaled() < at && matches!(child.try_wait(), Ok(None)) {
            std::thread::yield_now();
        }
        child.kill().expect("a child can be killed");
        child.wait().expect("a killed child ends");
    }
    assert_eq!(import(address, &data).status, 0);
    assert_eq!(kept(&data), expected());
}
