//! `posthaste ban` with the real program, beside a server and without one.

mod common;

use common::{Data, Server};

#[test]
fn bans_made_without_a_server_hold_when_it_starts() {
    let data = Data::new();
    let server = Server::up(&data, &[]);
    assert_eq!(data.run(&["ban", "ls"]).stdout, "Nobody is banned.\n");
    assert_eq!(server.stop(), 0);

    let added = data.run(&["ban", "add", "127.0.0.1", "--for", "1h", "--reason", "a test"]);
    assert_eq!(added.status, 0, "{}", added.stderr);
    assert!(added.stdout.starts_with("Banned 127.0.0.1/32 until 2"), "{}", added.stdout);
    let server = Server::up(&data, &[]);
    let list = data.run(&["ban", "ls", "--json"]).json();
    assert_eq!((&list[0]["network"], &list[0]["why"]), (&"127.0.0.1/32".into(), &"by hand: a test".into()));
    assert_eq!(list[0]["by_hand"], true);
    data.run(&["ban", "add", "192.0.2.1", "--for", "1h"]);
    let replaced = data.run(&["ban", "add", "192.0.2.1"]);
    assert!(
        replaced.stdout.contains("until it is removed, in place of the ban until 2"),
        "{}",
        replaced.stdout
    );
    assert!(data.run(&["ban", "ls"]).stdout.contains("no end"));
    let sent = server.send(&["--from", "a@example.org", "--to", "ann@example.org", "--text", "x"]);
    assert_eq!(sent.status, 75, "{}{}", sent.stdout, sent.stderr);

    let lifted = data.run(&["ban", "rm", "127.0.0.1"]);
    assert_eq!((lifted.status, lifted.stdout.as_str()), (0, "Lifted 1 ban.\n"));
    let sent = server.send(&["--from", "a@example.org", "--to", "ann@example.org", "--text", "x"]);
    assert_eq!(sent.status, 0, "{}", sent.stderr);
    let again = data.run(&["ban", "rm", "127.0.0.1"]);
    assert_eq!(again.status, 1);
    assert!(again.stdout.starts_with("127.0.0.1/32 is not banned; "), "{}", again.stdout);
}

#[test]
fn nobody_can_ban_everybody_by_mistake() {
    let data = Data::new();
    let _server = Server::up(&data, &[]);
    let everybody = data.run(&["ban", "add", "0.0.0.0/0"]);
    assert_eq!(everybody.status, 2);
    assert!(everybody.stderr.contains("everybody"), "{}", everybody.stderr);
    let nobody = data.run(&["ban", "add", "somewhere"]);
    assert!(nobody.stderr.contains("192.0.2.0/24"), "{}", nobody.stderr);
}
