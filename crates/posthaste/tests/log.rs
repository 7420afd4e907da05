//! What a running server tells, and that nobody waits for whoever reads it.

mod common;

use common::{Data, Server};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::thread;

#[test]
fn a_log_that_nobody_reads_holds_up_no_session_and_loses_nothing() {
    let data = Data::new();
    let directory = data.text();
    let args = ["up", "--listen", "0", "--data", &directory, "--json", "--log-format", "json"];
    let mut server = Server::start_logging(&args, Stdio::piped());
    let mut log = server.log();
    // A pipe takes 64 KiB, some six hundred lines.
    for _ in 0..100 {
        session(&server.address(0));
    }
    // It ends while its log is read at last.
    let reader = thread::spawn(move || {
        let mut text = String::new();
        log.read_to_string(&mut text).expect("UTF-8");
        text
    });
    assert_eq!(server.stop(), 0);
    let text = reader.join().expect("it is read to its end");
    let messages: Vec<String> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("a whole line"))
        .map(|event| event["message"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(messages.iter().filter(|message| message.starts_with("MAIL FROM:")).count(), 2000);
    assert_eq!(messages.last().map(String::as_str), Some("stopped"));
}

/// One that leaves twenty lines and some in the log.
fn session(server: &str) {
    let mut client = TcpStream::connect(server).expect("it listens");
    let mut replies = BufReader::new(client.try_clone().expect("a second handle"));
    let mut reply = String::new();
    replies.read_line(&mut reply).expect("it greets");
    let commands = ["MAIL FROM:<sender@client.example>", "RSET"];
    for command in std::iter::once("HELO client.example").chain(commands.into_iter().cycle().take(40)) {
        client.write_all(format!("{command}\r\n").as_bytes()).expect("it reads");
        reply.clear();
        replies.read_line(&mut reply).expect("it answers");
        assert!(reply.starts_with("250 "), "{reply}");
    }
}

/// The rules of time zones are read from the system's files, so that a server in another zone need not be told its offset.
#[test]
fn times_are_in_the_zone_that_is_named() {
    if !std::path::Path::new("/usr/share/zoneinfo/Asia/Kathmandu").exists() {
        return;
    }
    let data = Data::new();
    let shown = |zone: &str| {
        let listed = common::posthaste(&["user", "show", "ann@example.org", "--data", &data.text()])
            .env("TZ", zone)
            .output()
            .expect("the program starts");
        let text = String::from_utf8(listed.stdout).expect("UTF-8");
        let since = text.lines().find_map(|line| line.strip_prefix("since ")).expect("it is shown");
        let (time, _) = since.trim().split_once(',').expect("time, origin");
        let (_, minutes) = time.rsplit_once(':').expect("hours:minutes");
        minutes.parse::<u32>().expect("a number")
    };
    assert_eq!(data.run(&["user", "add", "ann@example.org"]).status, 0);
    assert_eq!(shown("Asia/Kathmandu"), (shown("UTC") + 45) % 60, "it is 5:45 ahead");
}
