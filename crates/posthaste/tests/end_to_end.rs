//! The main job with the real program: start a server, send, list, read, remove.

mod common;

use common::{Beside, Data, Server, output_bytes, run, run_with_input};
use std::os::unix::fs::PermissionsExt;

const ANN: &str = "ann@example.org";

#[test]
fn the_first_message() {
    let data = Data::new();
    let server = Server::up(&data, &[]);
    let sent = server.send(&[
        "--from",
        "Jürgen <j@example.org>",
        "--to",
        ANN,
        "--subject",
        "Grüße",
        "--text",
        "It works",
    ]);
    assert_eq!(sent.status, 0, "{}", sent.stderr);
    assert!(sent.stdout.starts_with("accepted  ann@example.org: 250 2.0.0 "), "{}", sent.stdout);

    let list = data.run(&["inbox", "ls"]).stdout;
    let lines: Vec<Vec<&str>> = list.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["N", "RECEIVED", "FROM", "SUBJECT", "SIZE"]);
    assert_eq!((lines[1][0], &lines[1][3..5]), ("*1", &["Jürgen", "Grüße"][..]));

    let shown = data.run(&["inbox", "show", "1"]).stdout;
    assert!(
        shown.starts_with("From:     Jürgen <j@example.org>\nTo:       ann@example.org\nDate:     "),
        "{shown}"
    );
    assert!(shown.ends_with("\nSubject:  Grüße\n\nIt works\n"), "{shown}");

    let list = data.run(&["inbox", "ls"]).stdout;
    assert!(
        list.lines().nth(1).is_some_and(|line| line.trim_start().starts_with("1 ")),
        "it is read now: {list}"
    );
    assert_eq!(server.stop(), 0);
}

#[test]
fn the_port_that_was_free_is_printed() {
    let data = Data::new();
    let server = Server::up(&data, &[]);
    let listener = &server.ready["listeners"][0];
    assert_eq!(listener["protocol"], "smtp");
    let address: std::net::SocketAddr = server.address(0).parse().expect("an address");
    assert!(address.ip().is_loopback() && address.port() != 0);
    assert_eq!(server.ready["data"], data.text());
}

#[test]
fn blind_copies_stay_blind() {
    let data = Data::new();
    let server = Server::up(&data, &[]);
    let message = "From: a@example.org\nTo: ann@example.org\nBcc: bob@example.org,\n eve@example.org\nSubject: x\n\nx\n";
    let file = data.file("ready.eml", message.as_bytes());
    let sent = server.send(&["--message", &file]);
    assert_eq!((sent.status, sent.stdout.lines().count()), (0, 3), "{}{}", sent.stdout, sent.stderr);
    for account in [ANN, "bob@example.org", "eve@example.org"] {
        let raw = data.run(&["inbox", "raw", "1", "--account", account]).stdout;
        assert!(raw.ends_with("To: ann@example.org\r\nSubject: x\r\n\r\nx\r\n"), "{raw}");
    }
}

#[test]
fn what_programs_get() {
    let data = Data::new();
    let server = Server::up(&data, &[]);
    let sent = server.send(&[
        "--from",
        "a@example.org",
        "--to",
        ANN,
        "--cc",
        "b@example.org",
        "--text",
        "x",
        "--json",
    ]);
    let sent = sent.json();
    assert_eq!(sent["server"], server.address(0));
    assert_eq!(sent["failure"], serde_json::Value::Null);
    let recipient = &sent["recipients"][1];
    assert_eq!(recipient["recipient"], "b@example.org");
    assert_eq!(recipient["result"], "accepted");
    assert_eq!((&recipient["code"], &recipient["status"]), (&250.into(), &"2.0.0".into()));

    let list = data.run(&["inbox", "ls", "--account", ANN, "--json"]).json();
    let message = &list[0];
    assert_eq!(
        (&message["uid"], &message["account"], &message["seen"]),
        (&1.into(), &ANN.into(), &false.into())
    );
    assert_eq!((&message["from"], &message["subject"]), (&"a@example.org".into(), &"".into()));
    assert_eq!(message["preview"], "x");
    assert!(message["received"].as_str().is_some_and(|text| text.ends_with('Z')));

    let shown = data.run(&["inbox", "show", "1", "--account", ANN, "--json"]).json();
    assert_eq!((&shown["text"], &shown["seen"]), (&"x\n".into(), &true.into()));
    assert_eq!(shown["headers"]["To"], ANN);
    assert_eq!(shown["attachments"], serde_json::json!([]));

    let users = data.run(&["user", "ls", "--json"]).json();
    assert_eq!(
        (&users[0]["account"], &users[0]["messages"], &users[0]["unread"]),
        (&ANN.into(), &1.into(), &0.into())
    );
    assert_eq!(users[0]["origin"], "caught");
    let removed = data.run(&["inbox", "rm", "1", "7", "--account", ANN, "--json"]);
    assert_eq!((removed.status, removed.json()), (1, serde_json::json!({"removed": 1, "missing": 1})));
    assert_eq!(data.run(&["inbox", "ls", "--account", ANN, "--json"]).json(), serde_json::json!([]));
}

#[test]
fn a_ready_message_arrives_as_it_is() {
    let data = Data::new();
    let server = Server::up(&data, &[]);
    let message = "From: a@example.org\r\nTo: ann@example.org,\r\n bob@example.org\r\nSubject: Gr\u{fc}\u{df}e\r\n\r\n\
        .\r\n..two dots\r\n--\r\n\u{4f60}\u{597d}\r\n";
    let file = data.file("ready.eml", message.as_bytes());
    let sent = server.send(&["--message", &file]);
    assert_eq!(sent.status, 0, "{}{}", sent.stdout, sent.stderr);
    assert_eq!(sent.stdout.lines().count(), 2, "To names two recipients: {}", sent.stdout);
    let raw = output_bytes(&["inbox", "raw", "1", "--account", ANN, "--data", &data.text()]);
    assert!(raw.starts_with(b"Return-Path: <a@example.org>\r\n"));
    assert!(raw.ends_with(message.as_bytes()), "{}", String::from_utf8_lossy(&raw));

    // the same with the line endings of a Unix file, from standard input, to somebody else
    let unix = message.replace("\r\n", "\n");
    let args =
        ["send", "--server", &server.address(0), "--message", "-", "--to", "eve@example.org", "--from", "<>"];
    let sent = run_with_input(&args, unix.as_bytes());
    assert_eq!(sent.status, 0, "{}", sent.stderr);
    let raw = output_bytes(&["inbox", "raw", "1", "--account", "eve@example.org", "--data", &data.text()]);
    assert!(raw.starts_with(b"Return-Path: <>\r\n"));
    assert!(raw.ends_with(message.as_bytes()));
}

#[test]
fn html_files_and_hidden_recipients() {
    let data = Data::new();
    let server = Server::up(&data, &[]);
    let content: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    let file = data.file("picture.png", &content);
    let html = data.file("page.html", b"<h1>Report</h1><p>see <a href='https://example.org/'>there</a></p>");
    let sent = server.send(&[
        "--from",
        "a@example.org",
        "--to",
        ANN,
        "--bcc",
        "hidden@example.org",
        "--html-file",
        &html,
        "--attach",
        &file,
    ]);
    assert_eq!(sent.status, 0, "{}", sent.stderr);
    let shown = data.run(&["inbox", "show", "1", "--account", "hidden@example.org"]).stdout;
    assert!(shown.ends_with(
        "Report\n\nsee there <https://example.org/>\n\nAttachments:\n  picture.png  (image/png, 68 KiB)\n"
    ));
    let raw = output_bytes(&["inbox", "raw", "1", "--account", ANN, "--data", &data.text()]);
    assert!(!String::from_utf8_lossy(&raw).contains("hidden"), "nobody learns of a hidden recipient");
}

#[test]
fn the_text_comes_from_standard_input() {
    let data = Data::new();
    let server = Server::up(&data, &[]);
    let args = ["send", "--server", &server.address(0), "--from", "a@example.org", "--to", ANN];
    assert_eq!(run_with_input(&args, "Guten Tag\nJürgen\n".as_bytes()).status, 0);
    assert_eq!(data.run(&["inbox", "show", "1", "--json"]).json()["text"], "Guten Tag\nJürgen\n");
}

#[test]
fn the_conversation_is_shown() {
    let data = Data::new();
    let server = Server::up(&data, &[]);
    let text = "a line\n".repeat(100);
    let sent = server.send(&[
        "--from",
        "a@example.org",
        "--to",
        ANN,
        "--text",
        &text,
        "-v",
        "--helo",
        "client.example",
    ]);
    let said: Vec<&str> = sent.stderr.lines().collect();
    assert!(said[0].starts_with("S: 220 "), "{said:?}");
    assert_eq!(said[1], "C: EHLO client.example");
    for line in ["C: RCPT TO:<ann@example.org>", "C: DATA", "C: a line", "C: .", "C: QUIT"] {
        assert!(said.contains(&line), "{line} in {said:?}");
    }
    assert!(said.iter().any(|line| line.starts_with("C: MAIL FROM:<a@example.org>")));
    assert!(said.iter().any(|line| line.starts_with("C: … ") && line.ends_with(" more lines")), "{said:?}");
    assert!(said.last().is_some_and(|line| line.starts_with("S: 221 ")));
}

#[test]
fn only_the_users_of_the_file_get_mail() {
    let data = Data::new();
    let users = data.file("users.txt", b"# ours\nann@example.org\n");
    let server = Server::up(&data, &["--users", &users]);
    let sent =
        server.send(&["--from", "a@example.org", "--to", ANN, "--to", "nobody@example.org", "--text", "x"]);
    assert_eq!(sent.status, 1);
    let lines: Vec<&str> = sent.stdout.lines().collect();
    assert!(lines[0].starts_with("accepted  ann@example.org: 250 "), "{lines:?}");
    assert!(lines[1].starts_with("refused   nobody@example.org: 550 5.1.1 "), "{lines:?}");
    assert_eq!(data.run(&["inbox", "ls", "--json"]).json()[0]["account"], ANN);
}

#[test]
fn a_malformed_users_file_starts_nothing() {
    let data = Data::new();
    let users = data.file("users.txt", b"ann@example.org\nbob\n");
    let ran = data.run(&["up", "--listen", "0", "--users", &users]);
    assert_eq!(ran.status, 2);
    assert!(ran.stderr.contains("users.txt:2: \"bob\" is not an address"), "{}", ran.stderr);
    assert!(!data.path().exists(), "nothing was made");
}

#[test]
fn a_settings_file_with_lmtp() {
    let data = Data::new();
    let settings = format!(
        "hostname = \"mail.example.org\"\ndata = \"{}\"\ndomains = [\"example.org\"]\naccounts = [\"{ANN}\"]\n\
         [[listen]]\naddress = \"127.0.0.1:0\"\n[[listen]]\naddress = \"127.0.0.1:0\"\nprotocol = \"lmtp\"\n",
        data.text()
    );
    let file = data.file("posthaste.toml", settings.as_bytes());
    let server = Server::start(&["serve", "--config", &file, "--json"]);
    assert_eq!(server.ready["listeners"][1]["protocol"], "lmtp");
    let lmtp = server.address(1);
    let args = [
        "send",
        "--lmtp",
        "--server",
        &lmtp,
        "--from",
        "a@example.net",
        "--to",
        ANN,
        "--to",
        "eve@example.org",
    ];
    let sent = run(&[&args[..], &["--text", "x", "-v"]].concat());
    assert_eq!(sent.status, 1, "{}", sent.stdout);
    assert!(sent.stderr.contains("\nC: LHLO "), "{}", sent.stderr);
    assert!(sent.stdout.contains("accepted  ann@example.org: 250"), "{}", sent.stdout);
    assert!(sent.stdout.contains("refused   eve@example.org: 550"), "{}", sent.stdout);
    let raw = output_bytes(&["inbox", "raw", "1", "--data", &data.text()]);
    assert!(String::from_utf8_lossy(&raw).contains(" with LMTP"), "{}", String::from_utf8_lossy(&raw));
}

#[test]
fn several_accounts_must_be_told_apart() {
    let data = Data::new();
    let server = Server::up(&data, &[]);
    assert_eq!(data.run(&["inbox", "ls"]).stdout, "There is no mail yet.\n");
    assert_eq!(data.run(&["inbox", "ls", "--json"]).json(), serde_json::json!([]));
    let sent =
        server.send(&["--from", "a@example.org", "--to", ANN, "--to", "bob@example.org", "--text", "x"]);
    assert_eq!(sent.status, 0);
    let ran = data.run(&["inbox", "ls"]);
    assert_eq!(ran.status, 2);
    assert_eq!(
        ran.stderr,
        "posthaste: there are 2 accounts; name one with --account:\n  ann@example.org\n  bob@example.org\n"
    );
    let ran = data.run(&["inbox", "ls", "--account", "eve@example.org"]);
    assert_eq!((ran.status, ran.stderr.as_str()), (1, "posthaste: no account eve@example.org\n"));
    let ran = data.run(&["inbox", "show", "9", "--account", ANN]);
    assert_eq!(ran.status, 1);
    assert_eq!(ran.stderr, "posthaste: no message 9 in INBOX of ann@example.org\n");
}

#[test]
fn accounts_come_and_go() {
    let data = Data::new();
    let users = data.file("users.txt", b"ann@example.org\n");
    let server = Server::up(&data, &["--users", &users]);
    assert_eq!(data.run(&["user", "add", "Bob@Example.ORG"]).stdout, "Added bob@example.org.\n");
    let again = data.run(&["user", "add", "bob@example.org"]);
    assert_eq!(again.status, 1);
    assert!(again.stderr.contains("bob@example.org exists already"), "{}", again.stderr);
    assert_eq!(server.send(&["--from", "a@example.org", "--to", "bob@example.org", "--text", "x"]).status, 0);

    let list = data.run(&["user", "ls"]).stdout;
    assert!(list.lines().next().is_some_and(|line| line.starts_with("ACCOUNT ")), "{list}");
    assert!(
        list.lines().any(|line| line.starts_with("bob@example.org ") && line.ends_with(" added")),
        "{list}"
    );

    let ran = data.run(&["user", "rm", "bob@example.org", "eve@example.org"]);
    assert_eq!(ran.status, 2);
    assert!(ran.stderr.contains("no account eve@example.org; nothing was removed"), "{}", ran.stderr);
    let ran = data.run(&["user", "rm", "bob@example.org"]);
    assert_eq!(ran.status, 1);
    assert!(
        ran.stdout.starts_with("Would be removed: bob@example.org and its mail (1 message).\n"),
        "{}",
        ran.stdout
    );
    assert_eq!(data.run(&["inbox", "ls", "--account", "bob@example.org", "--json"]).json()[0]["uid"], 1);
    let ran = data.run(&["user", "rm", "bob@example.org", "--yes"]);
    assert_eq!(ran.stdout, "Removed bob@example.org and its mail (1 message).\n");
    assert_eq!(server.send(&["--from", "a@example.org", "--to", "bob@example.org", "--text", "x"]).status, 1);
}

#[test]
fn new_mail_is_watched() {
    let data = Data::new();
    let server = Server::up(&data, &[]);
    let mut all = Beside::start(&["inbox", "watch", "--data", &data.text()]);
    assert_eq!(
        server.send(&["--from", "a@example.org", "--to", ANN, "--subject", "first", "--text", "x"]).status,
        0
    );
    let line = all.line();
    assert!(line.ends_with("  ann@example.org 1  a@example.org: first\n"), "{line}");
    let mut one = Beside::start(&["inbox", "watch", "--data", &data.text(), "--account", ANN, "--json"]);
    for to in ["bob@example.org", ANN] {
        assert_eq!(
            server.send(&["--from", "a@example.org", "--to", to, "--subject", to, "--text", "x"]).status,
            0
        );
    }
    let message: serde_json::Value = serde_json::from_str(&one.line()).expect("JSON");
    assert_eq!((&message["uid"], &message["subject"]), (&2.into(), &ANN.into()));
}

#[test]
fn nobody_listens() {
    let ran = run(&[
        "send",
        "--server",
        "127.0.0.1:1",
        "--from",
        "a@example.org",
        "--to",
        ANN,
        "--text",
        "x",
        "--json",
    ]);
    assert_eq!(ran.status, 75);
    assert!(ran.stderr.starts_with("posthaste: cannot connect to 127.0.0.1:1: "), "{}", ran.stderr);
    assert_eq!(ran.json()["recipients"][0]["result"], "later");
}

#[test]
fn where_there_is_no_mail() {
    let data = Data::new();
    for command in [&["inbox", "ls"][..], &["inbox", "watch"], &["user", "ls"]] {
        let ran = data.run(command);
        assert_eq!(ran.status, 1, "{command:?}");
        assert!(ran.stderr.starts_with("posthaste: there is no mail in "), "{}", ran.stderr);
    }
    assert!(!data.path().exists(), "looking makes nothing");
}

#[test]
fn the_data_are_private() {
    let data = Data::new();
    let server = Server::up(&data, &[]);
    let mode = |path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(data.path()), 0o700);
    assert_eq!(mode(data.path().join("admin.sock")), 0o600);
    assert_eq!(server.stop(), 0);
    assert!(!data.path().join("admin.sock").exists());
}

#[test]
fn mail_stays_through_a_kill_and_is_read_without_a_server() {
    let data = Data::new();
    let server = Server::up(&data, &[]);
    let large = data.file("large.bin", &[7; 3_000_000]);
    assert_eq!(
        server.send(&["--from", "a@example.org", "--to", ANN, "--subject", "one", "--attach", &large]).status,
        0
    );
    assert_eq!(
        server.send(&["--from", "a@example.org", "--to", ANN, "--subject", "two", "--text", "x"]).status,
        0
    );
    let raw = |number| output_bytes(&["inbox", "raw", number, "--account", ANN, "--data", &data.text()]);
    let before = (raw("1"), raw("2"));
    assert!(before.0.len() > 4_000_000);
    drop(server); // as kill -9

    assert!((raw("1"), raw("2")) == before, "read with no server running");
    assert_eq!(data.run(&["inbox", "rm", "1"]).stdout, "Removed 1 message.\n");
    assert_eq!(data.run(&["user", "add", "bob@example.org"]).status, 0);

    let server = Server::up(&data, &[]);
    assert!(raw("2") == before.1);
    let list = data.run(&["inbox", "ls", "--account", ANN, "--json"]).json();
    let list: Vec<_> = list.as_array().expect("a list").iter().map(|message| &message["uid"]).collect();
    assert_eq!(list, [2]);
    assert_eq!(
        server.send(&["--from", "a@example.org", "--to", ANN, "--subject", "three", "--text", "x"]).status,
        0
    );
    assert_eq!(server.stop(), 0);
    let list = data.run(&["inbox", "ls", "--account", ANN, "--json"]).json();
    assert_eq!(list[1]["uid"], 3, "a number is never given again");
}
