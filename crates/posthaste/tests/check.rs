//! `serve --check`, and starts that cannot come to anything: what stands in the way is said, and where it is set.

mod common;

use common::{Data, Server, run};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

/// A settings file with these tables.
fn settings(data: &Data, tables: &str) -> String {
    let head = format!(
        "hostname = \"mail.example.org\"\ndomains = [\"example.org\"]\ndata = {:?}\n\
         [[listen]]\naddress = \"127.0.0.1:0\"\ntls = \"none\"\n",
        data.text()
    );
    data.file("posthaste.toml", format!("{head}{tables}").as_bytes())
}

#[test]
fn what_stands_in_the_way_of_a_start_is_said_by_the_check_and_by_the_start() {
    let data = Data::new();
    let (missing, rubbish) = (data.beside("missing"), data.file("rubbish", b"no certificate"));
    let route = |secret: &str| {
        format!(
            "[[route]]\ndomain = \"*\"\nvia = \"smtps://smart.example.net\"\nuser = \"me\"\npassword_file = {secret:?}\n"
        )
    };
    let certificate = |file: &str| format!("[[tls.certificate]]\nchain = {file:?}\nkey = {file:?}\n");
    let tls = "[[listen]]\naddress = \"127.0.0.1:0\"\ntls = \"starttls\"\n";
    for (tables, part) in [
        (format!("{tls}{}", certificate(&missing)), "cannot read"),
        (format!("{tls}{}", certificate(&rubbish)), "no certificate in it"),
        (
            "[hardening]\nuser = \"nobody-has-this-name\"\n".to_owned(),
            "there is no user nobody-has-this-name",
        ),
    ] {
        let file = settings(&data, &tables);
        let start = run(&["serve", "--config", &file]);
        assert_eq!(start.status, 1, "{tables}");
        assert!(start.stderr.contains(part), "{tables}\n{}", start.stderr);
        assert!(!data.path().exists(), "nothing was made");
        is_pointed_out(&file, part);
    }
    // Other mail goes on without these.
    for (tables, part) in [
        (certificate(&missing), "cannot read"),
        (format!("[hardening]\nbackups = {missing:?}\n"), "is no directory"),
        (route(&missing), "cannot read"),
        (route(&data.file("empty", b"\n")), "is empty"),
    ] {
        let file = settings(&data, &tables);
        is_pointed_out(&file, part);
        let server = Server::start(&["serve", "--config", &file, "--json"]);
        assert_eq!(server.stop(), 0);
    }
}

fn is_pointed_out(file: &str, part: &str) {
    let check = run(&["serve", "--config", file, "--check"]);
    assert_eq!(check.status, 2, "{}", check.stdout);
    assert!(check.stderr.contains(part), "{}", check.stderr);
    assert!(!check.stdout.contains("is right"), "{}", check.stdout);
}

#[test]
fn what_is_hardly_meant_is_pointed_out() {
    let data = Data::new();
    let file = data.file("posthaste.toml", b"hostname = \"mail\"\n");
    let check = run(&["serve", "--config", &file, "--check", "--data", &data.text()]);
    assert_eq!(check.status, 0, "{}", check.stderr);
    assert!(check.stderr.contains("the host name mail has no dot"), "{}", check.stderr);
    assert!(check.stderr.contains("posthaste domain add"), "{}", check.stderr);
    assert!(check.stdout.contains("sends mail on for        accounts that log in\n"), "{}", check.stdout);
}

/// A service's directory is seldom there, and in a place where only root may make it. Needs root, as becoming another user does.
#[test]
fn the_data_directory_is_made_for_the_user_that_the_server_becomes() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let data = Data::new();
    let above = data.path().with_file_name("");
    std::fs::set_permissions(&above, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
    let file = settings(&data, "[hardening]\nuser = \"nobody\"\n");
    let server = Server::start(&["serve", "--config", &file, "--json"]);
    let made = std::fs::metadata(data.path()).expect("it was made");
    assert_ne!(made.uid(), 0);
    assert_eq!(made.mode() & 0o777, 0o700);
    assert_eq!(server.stop(), 0);
}
