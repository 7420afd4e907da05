//! What the program says of itself: help, manual pages, completions, errors of usage.

mod common;

use common::{assert_file, run};
use std::path::Path;

/// Every command that can be typed.
const COMMANDS: [&str; 61] = [
    "",
    "up",
    "serve",
    "status",
    "config",
    "config sample",
    "send",
    "inbox",
    "inbox ls",
    "inbox show",
    "inbox raw",
    "inbox rm",
    "inbox mailboxes",
    "inbox watch",
    "export",
    "import",
    "user",
    "user add",
    "user passwd",
    "user app-password",
    "user app-password add",
    "user app-password ls",
    "user app-password rm",
    "user alias",
    "user alias add",
    "user alias ls",
    "user alias rm",
    "user quota",
    "user ls",
    "user show",
    "user import",
    "user rm",
    "domain",
    "domain add",
    "domain ls",
    "domain rm",
    "queue",
    "queue ls",
    "queue show",
    "queue summary",
    "queue hold",
    "queue release",
    "queue retry",
    "queue remove",
    "queue reroute",
    "queue pause",
    "queue resume",
    "queue pauses",
    "explain",
    "ban",
    "ban ls",
    "ban add",
    "ban rm",
    "store",
    "store verify",
    "store stats",
    "store repair",
    "store backup",
    "store restore",
    "completions",
    "man",
];

fn words(command: &str) -> Vec<&str> {
    command.split_whitespace().collect()
}

#[test]
fn every_command_has_help_with_an_example() {
    for command in COMMANDS {
        let help = run(&[words(command), vec!["--help"]].concat());
        assert_eq!(help.status, 0, "{command}");
        assert!(help.stdout.contains("\nExample"), "posthaste {command} --help shows no example");
        let name = if command.is_empty() { "posthaste".to_owned() } else { command.replace(' ', "-") };
        assert_file(&Path::new("help").join(name + ".txt"), &help.stdout);
    }
}

#[test]
fn help_fits_eighty_columns() {
    for command in COMMANDS {
        let help = run(&[words(command), vec!["--help"]].concat()).stdout;
        for line in help.lines() {
            assert!(line.chars().count() <= 80, "posthaste {command} --help: {line}");
        }
        let examples = help.split("\nExample").nth(1).expect("there are examples");
        let in_two = |line: &&str| line.starts_with(char::is_alphabetic) && line.contains("--");
        assert_eq!(
            examples.lines().find(in_two),
            None,
            "posthaste {command} --help: an example is broken in two"
        );
    }
}

#[test]
fn the_list_of_commands_is_whole() {
    for command in COMMANDS {
        let help = run(&[words(command), vec!["-h"]].concat()).stdout;
        let Some(listed) = help.split("\nCommands:\n").nth(1) else { continue };
        for line in listed.lines().take_while(|line| !line.is_empty()) {
            let Some(name) = line.strip_prefix("  ").and_then(|line| line.split(' ').next()) else {
                continue;
            };
            if name.is_empty() || name == "help" {
                continue;
            }
            let whole = format!("{command} {name}").trim().to_owned();
            assert!(COMMANDS.contains(&whole.as_str()), "{whole} is not in COMMANDS");
        }
    }
}

#[test]
fn usage_errors_end_with_2_and_say_what_is_right() {
    for (args, said) in [
        (&[][..], "Usage: posthaste <COMMAND>"),
        (&["upp"], "a similar subcommand exists: 'up'"),
        (&["up", "--listen", "localhost"], "like 127.0.0.1:2525"),
        (&["up", "--users", "/nonexistent"], "cannot read the users file /nonexistent"),
        (&["serve"], "--config <FILE>"),
        (&["serve", "--config", "/nonexistent"], "cannot read /nonexistent"),
        (&["send"], "--from <ADDRESS>"),
        (&["send", "--from", "me", "--to", "you@example.org"], "like bob@example.org"),
        (&["send", "--from", "me@example.org"], "name one with --to"),
        (&["send", "--from", "<>", "--to", "a@example.org"], "a message needs an author"),
        (&["send", "--message", "x", "--subject", "y"], "cannot be used with"),
        (&["send", "--message", "/nonexistent"], "cannot read /nonexistent"),
        (&["send", "--server", "mail.example.org"], "HOST:PORT"),
        (&["send", "--timeout", "5"], "\"5m\""),
        (&["inbox", "show", "one"], "invalid value 'one'"),
        (&["inbox", "rm"], "<N>..."),
        (&["user", "add", "alice"], "like alice@example.org"),
        (&["completions", "tcsh"], "possible values: bash"),
        (&["inbox", "ls"], "name the data directory with --data"),
    ] {
        let ran = run(args);
        assert_eq!(ran.status, 2, "{args:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(said), "{args:?} says {:?}", ran.stderr);
        assert_eq!(ran.stdout, "", "{args:?}");
    }
}

#[test]
fn composing_refuses_a_line_break_in_a_field() {
    let args = [
        "send",
        "--from",
        "a@example.org",
        "--to",
        "b@example.org",
        "--text",
        "x",
        "--subject",
        "x\r\nBcc: c@d",
    ];
    let ran = run(&args);
    assert_eq!(ran.status, 2);
    assert!(ran.stderr.starts_with("posthaste: the Subject cannot be written: "), "{}", ran.stderr);
    assert!(ran.stderr.trim_end().ends_with("has a line break"), "{}", ran.stderr);
}

#[test]
fn completions_come_for_every_shell() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let ran = run(&["completions", shell]);
        assert_eq!(ran.status, 0);
        assert!(ran.stdout.contains("posthaste") && ran.stdout.contains("inbox"), "{shell}");
    }
}

#[test]
fn manual_pages_come_for_every_command() {
    let page = run(&["man"]);
    assert_eq!(page.status, 0);
    assert!(page.stdout.contains(".TH posthaste 1"), "{}", page.stdout);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let place = directory.path().join("man1");
    assert_eq!(run(&["man", place.to_str().expect("a plain name")]).status, 0);
    for command in COMMANDS {
        let name = format!("posthaste {command}").trim().replace(' ', "-") + ".1";
        let page = std::fs::read_to_string(place.join(&name)).expect("a page for each command");
        assert!(page.contains("\n.SH EXAMPLES\n"), "{name} shows no example");
    }
}

#[test]
fn the_sample_settings_are_right() {
    let sample = run(&["config", "sample"]);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("posthaste.toml");
    std::fs::write(&file, &sample.stdout).expect("the file can be written");
    let file = file.to_str().expect("a plain name");
    let check = run(&["serve", "--config", file, "--check", "--data", "/tmp/nowhere"]);
    assert_eq!(check.status, 0, "{}", check.stderr);
    assert!(check.stdout.contains("accounts in example.org"), "{}", check.stdout);
    assert!(check.stdout.ends_with(" is right.\n"), "{}", check.stdout);
}

#[test]
fn wrong_settings_are_shown_where_they_stand() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("posthaste.toml");
    std::fs::write(&file, "domains = [\"example.org\"]\nlisten_on = 1\n").expect("the file can be written");
    let file = file.to_str().expect("a plain name");
    let check = run(&["serve", "--config", file, "--check", "--data", "/tmp/nowhere"]);
    assert_eq!(check.status, 2);
    assert!(check.stderr.contains("posthaste.toml:2:1: "), "{}", check.stderr);
    assert!(check.stderr.contains("listen_on"), "{}", check.stderr);
}
