//! What an operator sees and does of the queue, with the real program: with a server, and with the store alone.

mod common;

use common::{Data, Server, damage};
use std::time::{Duration, Instant};

/// A server that relays for this machine to a port where nobody listens: so mail stays in the queue.
fn settings(data: &Data) -> String {
    data.file(
        "posthaste.toml",
        b"hostname = \"mx.example.org\"\ndomains = [\"example.org\"]\naccounts = [\"ann@example.org\"]\n[[listen]]\naddress = \"127.0.0.1:0\"\n\
          [relay]\nnetworks = [\"127.0.0.0/8\"]\nprivate_networks = [\"127.0.0.0/8\"]\nmx_port = 1\n",
    )
}

/// Asks until the answer is as it should be: the server tries to deliver meanwhile.
fn until(data: &Data, args: &[&str], fits: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
    let deadline = Instant::now() + Duration::from_secs(60);
    while Instant::now() < deadline {
        let answer = data.run(args).json();
        if fits(&answer) {
            return answer;
        }
        std::thread::yield_now();
    }
    panic!("{args:?} never said what it should: {}", data.run(args).stdout);
}

#[test]
fn an_operator_rules_the_queue() {
    let data = Data::new();
    let (text, settings) = (data.text(), settings(&data));
    let server = Server::start(&["serve", "--config", &settings, "--data", &text, "--json"]);
    assert_eq!(data.run(&["queue", "pause", "[127.0.0.3]", "--because", "they asked"]).status, 0);
    for to in ["bob@[127.0.0.2]", "eve@[127.0.0.2]", "zoe@[127.0.0.3]"] {
        let sent = server.send(&["--from", "ann@example.org", "--to", to, "--text", "x"]);
        assert_eq!(sent.status, 0, "{}{}", sent.stdout, sent.stderr);
    }
    // The first one was tried; nobody answers there, so the second one waits, and the third one is paused.
    let tried = until(&data, &["queue", "ls", "--domain", "[127.0.0.2]", "--json"], |all| {
        all.as_array().is_some_and(|all| all.len() == 2 && all[0]["attempts"] == 1)
    });
    assert_eq!((&tried[0]["recipient"], &tried[0]["state"]), (&"bob@[127.0.0.2]".into(), &"queued".into()));
    assert!(
        tried[0]["history"][0]["reply"].as_str().is_some_and(|reply| reply.starts_with("451 4.4.1")),
        "{tried}"
    );
    let paused = data.run(&["queue", "ls", "--recipient", "[127.0.0.3]", "--json"]).json();
    assert_eq!((&paused[0]["state"], &paused[0]["attempts"]), (&"paused".into(), &0.into()));
    let summary = data.run(&["queue", "summary", "--json"]).json();
    assert_eq!((&summary[0]["destination"], &summary[0]["deliveries"]), (&"[127.0.0.2]".into(), &2.into()));
    assert_eq!(summary[1]["paused"]["reason"], "they asked");

    let id = tried[0]["id"].as_str().expect("an id");
    let held = data.run(&["queue", "hold", id, "--because", "looks odd"]);
    assert_eq!(
        (held.status, held.stdout.trim()),
        (0, "Put on hold: 1 delivery of 1 message, for [127.0.0.2].")
    );
    let shown = data.run(&["queue", "show", id]).stdout;
    assert!(shown.contains("on hold      since ") && shown.contains(": looks odd"), "{shown}");
    let story = data.run(&["explain", id]).stdout;
    assert!(story.contains("accepted from ") && story.contains("(RFC 3848)"), "{story}");
    assert!(story.contains("said: 451 4.4.1") && story.contains("on hold since "), "{story}");
    assert_eq!(
        data.run(&["queue", "retry", "--held", "--site", "mx.example"]).status,
        1,
        "nothing like that"
    );
    assert_eq!(server.stop(), 0);

    // Without a server.
    let listed = data.run(&["queue", "ls", "--held", "--json"]).json();
    assert_eq!((listed.as_array().map(Vec::len), &listed[0]["reason"]), (Some(1), &"looks odd".into()));
    let rerouted = data.run(&["queue", "reroute", id, "--to", "[192.0.2.9]"]);
    assert!(rerouted.stdout.starts_with("Rerouted: 1 delivery"), "{}", rerouted.stdout);
    assert_eq!(data.run(&["queue", "ls", "--domain", "[192.0.2.9]", "--json"]).json()[0]["id"], id);
    assert_eq!(data.run(&["queue", "release", "--all"]).status, 0);
    let told = data.run(&["queue", "remove", id, "--report"]);
    assert_eq!(told.status, 1);
    assert!(told.stderr.contains("told by a running server"), "{}", told.stderr);
    let unsure = data.run(&["queue", "remove", "--sender", "ann@example.org"]);
    assert_eq!(unsure.status, 1);
    assert!(
        unsure.stdout.contains("Would be removed, without a word to the senders: 3 deliveries of 3 messages")
    );
    assert_eq!(
        data.run(&["queue", "ls", "--json"]).json().as_array().map(Vec::len),
        Some(3),
        "nothing was done"
    );
    assert_eq!(data.run(&["queue", "remove", id]).status, 0, "it was named");
    let story = data.run(&["explain", id, "--json"]).json();
    assert_eq!(story[0]["recipients"][0]["delivery"]["state"], "removed");
    assert_eq!(data.run(&["queue", "show", id]).status, 1);
    assert_eq!(data.run(&["queue", "resume", "[127.0.0.3]"]).status, 0);
    assert_eq!(data.run(&["queue", "pauses", "--json"]).json(), serde_json::json!([]));
    assert_eq!(data.run(&["queue", "remove"]).status, 2, "everything is said with --all");
}

#[test]
fn a_sender_is_told_of_a_removal_and_an_address_is_explained() {
    let data = Data::new();
    let (text, settings) = (data.text(), settings(&data));
    let server = Server::start(&["serve", "--config", &settings, "--data", &text, "--json"]);
    assert_eq!(data.run(&["queue", "pause", "[127.0.0.2]"]).status, 0);
    assert_eq!(
        server.send(&["--from", "ann@example.org", "--to", "bob@[127.0.0.2]", "--text", "x"]).status,
        0
    );
    let removed = data.run(&["queue", "remove", "--all", "--report", "sent by mistake", "--yes"]);
    assert_eq!((removed.status, removed.stderr.as_str()), (0, ""));
    assert!(
        removed.stdout.starts_with("Removed, and the senders told: 1 delivery of 1 message"),
        "{}",
        removed.stdout
    );
    let report = data.run(&["inbox", "raw", "--account", "ann@example.org", "1"]).stdout;
    assert!(report.contains("550 5.7.0") && report.contains("sent by mistake"), "{report}");
    assert!(report.contains("administrator took the message out of the queue"), "{report}");
    assert!(!report.contains("The other server"), "{report}");
    let stories = data.run(&["explain", "ann@example.org", "--json"]).json();
    let states: Vec<_> = stories
        .as_array()
        .expect("a list")
        .iter()
        .map(|story| (story["sender"].clone(), story["recipients"][0]["recipient"].clone()))
        .collect();
    // The latest first: the report that is in her mailbox, and what she had sent.
    assert_eq!(
        states,
        [("".into(), "ann@example.org".into()), ("ann@example.org".into(), "bob@[127.0.0.2]".into())]
    );
    assert_eq!(stories[0]["origin"], serde_json::Value::Null, "the server made it");
    assert_eq!(stories[0]["report_on"], stories[1]["id"]);
    let words = &stories[1]["recipients"][0]["delivery"]["history"][0];
    assert_eq!(words["report"], stories[0]["id"]);
    let story = data.run(&["explain", "bob@[127.0.0.2]"]).stdout;
    let id = stories[0]["id"].as_str().expect("an id");
    assert!(story.contains("sent by mistake") && story.contains(&format!("in message {id}")), "{story}");
    assert!(!story.contains("no host"), "a removal is no attempt: {story}");
    assert_eq!(data.run(&["explain", "nobody@example.org"]).status, 1);
    assert_eq!(server.stop(), 0);
}

#[test]
fn what_cannot_be_read_is_listed_and_can_be_removed() {
    let data = Data::new();
    let (text, settings) = (data.text(), settings(&data));
    let server = Server::start(&["serve", "--config", &settings, "--data", &text, "--json"]);
    assert_eq!(data.run(&["queue", "pause", "[127.0.0.2]"]).status, 0);
    for to in ["bob@[127.0.0.2]", "eve@[127.0.0.2]"] {
        assert_eq!(server.send(&["--from", "ann@example.org", "--to", to, "--text", "x"]).status, 0);
    }
    assert_eq!(server.stop(), 0);
    // In the trace field, which belongs to the acceptance.
    damage(&data.path().join("log"), b"for <bob@[127.0.0.2]>");
    let listed = data.run(&["queue", "ls", "--json"]).json();
    let states = [&listed[0]["state"], &listed[1]["state"], &listed[2]["state"]];
    assert_eq!(states, [&"paused".into(), &"unreadable".into(), &serde_json::Value::Null]);
    let shown = data.run(&["queue", "ls"]).stdout;
    assert!(shown.lines().any(|line| line.contains("unreadable") && line.contains("[127.0.0.2]")), "{shown}");
    let id = listed[1]["id"].as_str().expect("an id");
    let shown = data.run(&["queue", "show", id]);
    assert_eq!(shown.status, 0);
    assert!(shown.stdout.contains("cannot be read: `posthaste store verify`"), "{}", shown.stdout);
    // Who looks for a sender does not mean it.
    assert_eq!(
        data.run(&["queue", "ls", "--sender", "example.org", "--json"]).json()[1],
        serde_json::Value::Null
    );
    let removed = data.run(&["queue", "remove", id]);
    assert_eq!((removed.status, removed.stderr.contains("ERROR")), (0, false), "{}", removed.stderr);
    assert!(removed.stdout.contains("1 delivery of 1 message, for [127.0.0.2]"), "{}", removed.stdout);
    let left = data.run(&["queue", "ls", "--json"]).json();
    assert_eq!(left.as_array().map(Vec::len), Some(1), "{left}");
    assert_eq!(left[0]["recipient"], "eve@[127.0.0.2]");
}
