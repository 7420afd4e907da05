//! What an operator does with a server and its store, with the real program.

mod common;

use common::{Data, Server, damage};

const ANN: &str = "ann@example.org";

#[test]
fn a_server_says_how_it_is() {
    let data = Data::new();
    let ran = data.run(&["status"]);
    assert_eq!((ran.status, ran.stdout.as_str()), (1, ""));
    assert!(ran.stderr.contains("no server is running on "), "{}", ran.stderr);
    let server = Server::up(&data, &[]);
    assert_eq!(server.send(&["--from", "a@example.org", "--to", ANN, "--text", "x"]).status, 0);
    let ran = data.run(&["status"]);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
    assert!(ran.stdout.contains("\nmail         accepted\n"), "{}", ran.stdout);
    let status = data.run(&["status", "--json"]).json();
    assert_eq!(status["listeners"][0], format!("smtp {}", server.address(0)));
    assert_eq!((&status["accepts_mail"], &status["store"]["messages"]), (&true.into(), &1.into()));
    assert_eq!(server.stop(), 0);
    assert_eq!(data.run(&["status", "--json"]).status, 1);
}

#[test]
fn a_full_disk_is_said_before_it_is_full() {
    let data = Data::new();
    let text = data.text();
    let settings = data.file(
        "posthaste.toml",
        b"domains = [\"example.org\"]\n[[listen]]\naddress = \"127.0.0.1:0\"\n[limits]\ndisk_reserve = \"8000000 TiB\"\n",
    );
    let server = Server::start(&["serve", "--config", &settings, "--data", &text, "--json"]);
    assert_eq!(data.run(&["user", "add", ANN]).status, 0, "what is not mail is still done");
    let ran = server.send(&["--from", "a@example.org", "--to", ANN, "--text", "x"]);
    assert_eq!(ran.status, 75, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("452 4.3.1"), "{}{}", ran.stdout, ran.stderr);
    let ran = data.run(&["status"]);
    assert_eq!(ran.status, 1);
    assert!(ran.stdout.contains("mail         not accepted: the disk is full"), "{}", ran.stdout);
    assert_eq!(server.stop(), 0);
}

#[test]
fn a_store_is_measured() {
    let data = Data::new();
    assert_eq!(data.run(&["store", "stats"]).status, 1, "there is none yet");
    let server = Server::up(&data, &[]);
    for text in ["one", "two"] {
        assert_eq!(server.send(&["--from", "a@example.org", "--to", ANN, "--text", text]).status, 0);
    }
    let running = data.run(&["store", "stats", "--json"]).json();
    assert_eq!((&running["messages"], &running["segments"]), (&2.into(), &1.into()), "while the server runs");
    assert_eq!(server.stop(), 0);

    let stats = data.run(&["store", "stats", "--json"]).json();
    assert_eq!((&stats["messages"], &stats["segments"], &stats["queued"]), (&2.into(), &1.into(), &0.into()));
    assert_eq!(stats["dead_bytes"], 0);
    assert!(stats["live_bytes"].as_u64().is_some_and(|live| live > 0), "{stats}");
    assert_eq!(data.run(&["inbox", "rm", "--account", ANN, "1"]).status, 0);
    let ran = data.run(&["store", "stats"]);
    let start = "accounts     1\naliases      0\ndomains      0\nmessages     1\n";
    assert!(ran.stdout.starts_with(start), "{}", ran.stdout);
    let stats = data.run(&["store", "stats", "--json"]).json();
    assert!(stats["dead_bytes"].as_u64().is_some_and(|dead| dead > 0), "{stats}");
}

#[test]
fn a_store_is_verified() {
    let data = Data::new();
    let server = Server::up(&data, &[]);
    for text in ["needle in the log", "what comes after it"] {
        assert_eq!(server.send(&["--from", "a@example.org", "--to", ANN, "--text", text]).status, 0);
    }
    let ran = data.run(&["store", "verify"]);
    assert_eq!(ran.status, 1);
    assert!(ran.stderr.contains("in use"), "while the server runs: {}", ran.stderr);
    assert_eq!(server.stop(), 0);

    let ran = data.run(&["store", "verify"]);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
    assert!(ran.stdout.contains("2 messages, 0 of them"), "{}", ran.stdout);
    assert!(ran.stdout.ends_with("All is right.\n"), "{}", ran.stdout);
    assert_eq!(data.run(&["store", "verify", "--json"]).json()["ok"], true);

    damage(&data.path().join("log"), b"needle in the log");
    let ran = data.run(&["store", "verify", "--json"]);
    assert_eq!(ran.status, 1);
    assert_eq!(ran.json()["ok"], false);
    assert!(
        ran.json()["findings"][0]["place"].as_str().is_some_and(|place| place.contains(".seg")),
        "{}",
        ran.stdout
    );
    let ran = data.run(&["store", "verify"]);
    assert!(ran.stdout.contains("\nwrong: "), "{}", ran.stdout);
    let next = format!("posthaste store repair --data {} NEW-DIR\n", data.path().display());
    assert!(ran.stdout.ends_with(&next), "the next step is said: {}", ran.stdout);
}

#[test]
fn a_backup_is_verified_and_never_served() {
    let data = Data::new();
    let server = Server::up(&data, &[]);
    assert_eq!(
        server.send(&["--from", "a@example.org", "--to", ANN, "--text", "needle in the log"]).status,
        0
    );
    assert_eq!(server.stop(), 0);
    let backup = data.beside("backup");
    assert_eq!(data.run(&["store", "backup", &backup]).status, 0);
    for command in [["up", "--listen", "0"], ["store", "stats", "--json"], ["inbox", "ls", "--json"]] {
        let ran = common::run(&[&command[..], &["--data", &backup]].concat());
        assert_eq!(ran.status, 1, "{command:?}: {}", ran.stdout);
        assert!(ran.stderr.contains("posthaste store restore"), "{command:?}: {}", ran.stderr);
    }
    let ran = common::run(&["store", "verify", "--data", &backup]);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
    assert!(ran.stdout.starts_with("This is a backup as of "), "{}", ran.stdout);
    assert!(ran.stdout.contains("1 message, 0 of them"), "{}", ran.stdout);
    damage(&data.path().join("../backup/log"), b"needle in the log");
    let ran = common::run(&["store", "verify", "--data", &backup]);
    assert_eq!(ran.status, 1);
    assert!(ran.stdout.contains("does not match its checksum"), "{}", ran.stdout);
    assert!(ran.stdout.contains("Make a new backup"), "{}", ran.stdout);

    let ran = data.run(&["store", "restore", &backup, &data.beside("new")]);
    assert_eq!(ran.status, 2, "an option that means nothing there: {}", ran.stdout);
    assert!(ran.stderr.contains("takes neither --data"), "{}", ran.stderr);
}

#[test]
fn a_damaged_store_is_repaired() {
    let data = Data::new();
    let server = Server::up(&data, &[]);
    for text in ["first", "needle in the log", "last"] {
        assert_eq!(server.send(&["--from", "a@example.org", "--to", ANN, "--text", text]).status, 0);
    }
    assert_eq!(server.stop(), 0);
    damage(&data.path().join("log"), b"needle in the log");
    let new = data.beside("new");
    let ran = data.run(&["store", "repair", &new]);
    assert_eq!((ran.status, ran.stderr.as_str()), (3, ""));
    assert!(ran.stdout.starts_with("lost: INBOX of ann@example.org, number 2: message "), "{}", ran.stdout);
    assert!(ran.stdout.contains("\nSaved 2 messages (0 deliveries in the queue) into "), "{}", ran.stdout);
    let ran = data.run(&["store", "repair", &new]);
    assert_eq!(ran.status, 1);
    assert!(ran.stderr.contains("is not empty"), "{}", ran.stderr);

    assert_eq!(common::run(&["store", "verify", "--data", &new]).status, 0);
    let list = common::run(&["inbox", "ls", "--data", &new, "--json"]).json();
    assert_eq!((&list[0]["uid"], &list[1]["uid"]), (&1.into(), &3.into()), "numbers are kept");
    let again = data.beside("again");
    let ran = common::run(&["store", "repair", "--data", &new, &again, "--json"]);
    assert_eq!((ran.status, &ran.json()["messages"]), (0, &2.into()));
}

/// A server that may write backups somewhere.
fn serve_with_backups_in(data: &Data, backups: &str) -> Server {
    let settings = format!(
        "hostname = \"mail.example.org\"\ndomains = [\"example.org\"]\naccounts = [\"{ANN}\"]\n\
         [[listen]]\naddress = \"127.0.0.1:0\"\n[hardening]\nbackups = \"{backups}\"\n"
    );
    let file = data.file("posthaste.toml", settings.as_bytes());
    Server::start(&["serve", "--config", &file, "--data", &data.text(), "--json"])
}

#[test]
fn a_store_is_backed_up_while_the_server_runs_and_restored() {
    let data = Data::new();
    let backups = data.beside("backups");
    std::fs::create_dir(&backups).expect("a directory");
    let backup = format!("{backups}/mail");
    let server = serve_with_backups_in(&data, &backups);
    for text in ["needle in the backup", "second"] {
        assert_eq!(server.send(&["--from", "a@example.org", "--to", ANN, "--text", text]).status, 0);
    }
    let inside = data.path().join("backup").display().to_string();
    let ran = data.run(&["store", "backup", &inside]);
    assert_eq!(ran.status, 1);
    assert!(ran.stderr.contains("inside of the data directory"), "{}", ran.stderr);
    let ran = data.run(&["store", "backup", &data.beside("elsewhere")]);
    assert_eq!(ran.status, 1);
    assert!(ran.stderr.contains("below the directory that `backups` names"), "{}", ran.stderr);
    let first = data.run(&["store", "backup", &backup, "--json"]);
    assert_eq!((first.status, first.stderr.as_str()), (0, ""));
    assert_eq!((&first.json()["files"], &first.json()["copied_files"]), (&1.into(), &1.into()));
    let ran = data.run(&["store", "backup", &backup]);
    assert!(ran.stdout.ends_with("; 0 files, 0 B, had to be copied.\n"), "{}{}", ran.stdout, ran.stderr);
    assert_eq!(server.send(&["--from", "a@example.org", "--to", ANN, "--text", "after it"]).status, 0);

    let new = data.beside("new");
    let ran = common::run(&["store", "restore", &backup, &new]);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
    assert!(
        ran.stdout.starts_with("Restored 2 messages (0 deliveries in the queue) as of 20"),
        "{}",
        ran.stdout
    );
    for uid in ["1", "2"] {
        let raw = |data: &str| common::output_bytes(&["inbox", "raw", "--data", data, "--account", ANN, uid]);
        assert!(!raw(&new).is_empty());
        assert!(raw(&new) == raw(&data.text()), "byte for byte");
    }
    assert_eq!(common::run(&["store", "verify", "--data", &new]).status, 0);
    let ran = common::run(&["store", "restore", &backup, &new]);
    assert_eq!(ran.status, 1);
    assert!(ran.stderr.contains("is not empty"), "{}", ran.stderr);

    // And without a server.
    assert_eq!(server.stop(), 0);
    let ran = data.run(&["store", "backup", &backup, "--json"]);
    assert_eq!((ran.status, &ran.json()["copied_files"]), (0, &1.into()), "{}", ran.stderr);
    damage(&std::path::Path::new(&backup).join("log"), b"needle in the backup");
    let bad = data.beside("bad");
    let ran = common::run(&["store", "restore", &backup, &bad, "--json"]);
    assert_eq!((ran.status, ran.stdout.as_str()), (1, ""));
    assert!(ran.stderr.contains("log/00000001.seg-"), "{}", ran.stderr);
    let ran = common::run(&["inbox", "ls", "--data", &bad]);
    assert_eq!(ran.status, 1);
    assert!(ran.stderr.contains("was not finished"), "{}", ran.stderr);
    let ran = common::run(&["store", "repair", "--data", &bad, &data.beside("saved"), "--json"]);
    assert_eq!((ran.status, &ran.json()["messages"]), (3, &2.into()));
}
