//! Mail into files and out of them: texts, flags and times come through, and what was interrupted goes on.

mod common;

use common::{Data, Server};
use std::fs;
use std::path::Path;

/// Three messages as mutt would keep them, two of them alike.
const MBOX: &str = "From a@a.example Thu Jan  1 00:00:05 2026\nSubject: one\nStatus: RO\nX-Status: F\n\n\
                    >From the start\n\n\
                    From a@a.example Thu Jan  1 00:00:06 2026\nSubject: two\n\n2\n\n\
                    From a@a.example Thu Jan  1 00:00:06 2026\nSubject: two\n\n2\n\n";

fn with_accounts() -> Data {
    let data = Data::new();
    for account in ["ann@a.example", "bob@a.example"] {
        assert_eq!(data.run(&["user", "add", account]).status, 0);
    }
    data
}

fn import(data: &Data, account: &str, from: &[&str]) -> (u64, u64) {
    let ran = data.run(&[&["import", "--json", "--account", account], from].concat());
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let outcome = ran.json();
    (outcome["imported"].as_u64().expect("a number"), outcome["there_before"].as_u64().expect("a number"))
}

fn export(data: &Data, account: &str, to: &[&str]) -> u64 {
    let ran = data.run(&[&["export", "--json", "--account", account], to].concat());
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    ran.json()["exported"].as_u64().expect("a number")
}

/// What the list says of each message but its number and name, and the texts.
fn mail(data: &Data, account: &str) -> Vec<(String, String)> {
    let list = data.run(&["inbox", "ls", "--json", "--account", account]).json();
    let messages = list.as_array().expect("a list").iter();
    messages
        .map(|message| {
            let text = data.run(&["inbox", "raw", &message["uid"].to_string(), "--account", account]).stdout;
            let seen = [&message["received"], &message["seen"], &message["subject"]];
            assert!(!text.is_empty(), "a message has a text");
            (seen.map(ToString::to_string).join(" "), text)
        })
        .collect()
}

#[test]
fn an_mbox_comes_in_once_and_goes_out_as_it_was() {
    let data = with_accounts();
    let mbox = data.file("in.mbox", MBOX.as_bytes());
    assert_eq!(import(&data, "ann@a.example", &["--mbox", &mbox]), (3, 0));
    assert_eq!(import(&data, "ann@a.example", &["--mbox", &mbox]), (0, 3), "two that are alike are two");
    let kept = mail(&data, "ann@a.example");
    assert_eq!(kept[0].1, "Subject: one\r\n\r\nFrom the start\r\n");
    assert!(kept[0].0.contains("2026-01-01T00:00:05.000Z"), "{}", kept[0].0);
    let out = data.beside("out.mbox");
    assert_eq!(export(&data, "ann@a.example", &["--mbox", &out]), 3);
    let again = data.run(&["export", "--account", "ann@a.example", "--mbox", &out]);
    assert_eq!(again.status, 1, "nothing is written over");
    assert_eq!(import(&data, "bob@a.example", &["--mbox", &out]), (3, 0));
    assert_eq!(mail(&data, "bob@a.example"), kept);
}

#[test]
fn directories_keep_texts_flags_and_times_and_an_interrupted_export_goes_on() {
    let data = with_accounts();
    let mbox = data.file("in.mbox", MBOX.as_bytes());
    import(&data, "ann@a.example", &["--mbox", &mbox]);
    let kept = mail(&data, "ann@a.example");
    let (maildir, eml) = (data.beside("Maildir"), data.beside("eml"));
    assert_eq!(export(&data, "ann@a.example", &["--maildir", &maildir]), 3);
    assert_eq!(export(&data, "ann@a.example", &["--eml", &eml]), 3);
    assert_eq!(import(&data, "bob@a.example", &["--maildir", &maildir]), (3, 0));
    assert_eq!(mail(&data, "bob@a.example"), kept);
    let files: Vec<_> = fs::read_dir(Path::new(&eml)).expect("a directory").collect();
    assert_eq!(files.len(), 3);
    fs::remove_file(files[0].as_ref().expect("a file").path()).expect("it goes");
    assert_eq!(export(&data, "ann@a.example", &["--eml", &eml]), 1, "only what is missing");
}

#[test]
fn a_running_server_takes_them_as_well() {
    let data = with_accounts();
    let server = Server::up(&data, &[]);
    let body = "0123456789\n".repeat(200_000);
    let large = format!("From a@a.example Thu Jan  1 00:00:05 2026\nSubject: large\n\n{body}\n");
    let mbox = data.file("large.mbox", large.as_bytes());
    assert_eq!(import(&data, "ann@a.example", &["--mbox", &mbox]), (1, 0));
    assert_eq!(import(&data, "ann@a.example", &["--mbox", &mbox]), (0, 1));
    let missing = data.run(&["import", "--account", "nobody@a.example", "--mbox", &mbox]);
    assert_eq!(missing.status, 1);
    assert!(missing.stderr.contains("no account nobody@a.example"), "{}", missing.stderr);
    let out = data.beside("out.mbox");
    assert_eq!(export(&data, "ann@a.example", &["--mbox", &out]), 1);
    let exported = fs::read_to_string(&out).expect("a file");
    let after = |text: &str| text.split_once("Subject").expect("a header").1.to_owned();
    assert!(after(&exported) == after(&large), "{} bytes are not {}", exported.len(), large.len());
    assert_eq!(server.stop(), 0);
}

#[test]
fn what_was_exported_is_not_imported_again() {
    let data = with_accounts();
    let server = Server::up(&data, &[]);
    for subject in ["one", "two"] {
        let sent = server.send(&[
            "--from",
            "x@b.example",
            "--to",
            "ann@a.example",
            "--subject",
            subject,
            "--text",
            "From me",
        ]);
        assert_eq!(sent.status, 0, "{}", sent.stderr);
    }
    // One without a Date field: nothing but its file says when it came.
    let plain =
        data.file("plain.mbox", b"From a@a.example Thu Jan  1 00:00:05 2026\nSubject: three\n\n3\n\n");
    assert_eq!(import(&data, "ann@a.example", &["--mbox", &plain]), (1, 0));
    for (form, name) in [("--mbox", "out.mbox"), ("--maildir", "Maildir"), ("--eml", "eml")] {
        let out = data.beside(name);
        assert_eq!(export(&data, "ann@a.example", &[form, &out]), 3);
        assert_eq!(import(&data, "ann@a.example", &[form, &out]), (0, 3), "{form}");
    }
    assert_eq!(server.stop(), 0);
}

#[test]
fn files_are_for_their_owner_and_a_link_left_in_the_way_leads_nowhere() {
    let data = with_accounts();
    let mbox = data.file("in.mbox", MBOX.as_bytes());
    import(&data, "ann@a.example", &["--mbox", &mbox]);
    let (out, elsewhere) = (data.beside("out.mbox"), data.file("elsewhere", b"as it was"));
    std::os::unix::fs::symlink(&elsewhere, format!("{out}.posthaste-part")).expect("a link");
    assert_eq!(export(&data, "ann@a.example", &["--mbox", &out]), 3);
    assert_eq!(fs::read(&elsewhere).expect("a file"), b"as it was");
    let metadata = fs::symlink_metadata(&out).expect("a file");
    assert!(metadata.is_file());
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777, 0o600);
}

#[test]
fn a_tree_of_mailboxes_comes_out_as_it_is_laid_out_elsewhere() {
    let data = with_accounts();
    let mbox = data.file("in.mbox", MBOX.as_bytes());
    assert_eq!(import(&data, "ann@a.example", &["--mbox", &mbox]), (3, 0));
    let root = data.beside("Maildir");
    assert_eq!(export(&data, "ann@a.example", &["--maildir", &root, "--all"]), 3);
    assert_eq!(fs::read_dir(Path::new(&root).join("cur")).expect("INBOX is the root").count(), 3);
    let root = data.beside("mboxes");
    assert_eq!(export(&data, "ann@a.example", &["--mbox", &root, "--all"]), 3);
    assert_eq!(import(&data, "bob@a.example", &["--mbox", &root, "--all"]), (3, 0));
    assert_eq!(mail(&data, "bob@a.example"), mail(&data, "ann@a.example"));
    assert_eq!(import(&data, "bob@a.example", &["--mbox", &mbox, "--mailbox", "Archive/2026"]), (3, 0));
    assert_eq!(import(&data, "bob@a.example", &["--mbox", &mbox, "--mailbox", "Archive/2026"]), (0, 3));
    let root = data.beside("bob");
    assert_eq!(export(&data, "bob@a.example", &["--maildir", &root, "--all"]), 6);
    assert_eq!(fs::read_dir(Path::new(&root).join(".Archive.2026/cur")).expect("a folder").count(), 3);
    assert_eq!(import(&data, "ann@a.example", &["--maildir", &root, "--all"]), (3, 3));
    let list = data.run(&["inbox", "mailboxes", "--json", "--account", "bob@a.example"]).json();
    let names: Vec<_> = list.as_array().expect("a list").iter().map(|mailbox| &mailbox["name"]).collect();
    assert_eq!(names, ["Archive/2026", "INBOX"]);
    assert_eq!(data.run(&["inbox", "ls", "--mailbox", "Nowhere", "--account", "bob@a.example"]).status, 1);
}

#[test]
fn a_directory_of_another_kind_is_refused() {
    let data = Data::new();
    assert_eq!(data.run(&["user", "add", "ann@a.example"]).status, 0);
    let empty = data.beside("empty");
    fs::create_dir(&empty).expect("it can be made");
    for (form, part) in [("--maildir", "is no Maildir"), ("--eml", "no .eml file")] {
        let ran = data.run(&["import", form, &empty]);
        assert_eq!(ran.status, 2, "{}", ran.stdout);
        assert!(ran.stderr.contains(part), "{}", ran.stderr);
    }
}
