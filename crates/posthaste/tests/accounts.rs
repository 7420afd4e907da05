//! Accounts with the real program: passwords, aliases, quotas, domains, imports; with a server and without one.

mod common;

use common::{Data, Ran, Server, run, run_with_input};

const ANN: &str = "ann@example.org";

/// Runs a command with something on standard input.
fn run_fed(data: &Data, args: &[&str], input: &str) -> Ran {
    run_with_input(&[args, &["--data", &data.text()]].concat(), input.as_bytes())
}

/// A server by a settings file that names no domains.
const SETTINGS: &str = "hostname = \"mail.example.org\"\n[[listen]]\naddress = \"127.0.0.1:0\"\n";

fn serve(data: &Data) -> Server {
    serve_with(data, SETTINGS)
}

fn serve_with(data: &Data, settings: &str) -> Server {
    let file = data.file("posthaste.toml", settings.as_bytes());
    Server::start(&["serve", "--config", &file, "--data", &data.text(), "--json"])
}

#[test]
fn a_server_whose_domains_were_added() {
    let data = Data::new();
    let settings = data.file("posthaste.toml", b"[[listen]]\naddress = \"127.0.0.1:0\"\n");
    let ran = data.run(&["serve", "--config", &settings]);
    assert_eq!(ran.status, 1);
    assert!(ran.stderr.contains("there is no domain to take mail for"), "{}", ran.stderr);

    assert_eq!(data.run(&["domain", "add", "Example.ORG"]).status, 0);
    assert_eq!(data.run(&["user", "add", ANN]).stdout, "Added ann@example.org.\n");
    let server = serve(&data);
    let send = |to: &str| server.send(&["--from", "a@example.com", "--to", to, "--text", "x"]);
    assert_eq!(send(ANN).status, 0);
    let refused = send("ann@example.net");
    assert!(refused.stdout.contains(": 550 5.7.1 "), "{}", refused.stdout);

    // What is added counts at once.
    let added = data.run(&["user", "add", "ann@example.net"]);
    assert!(added.stderr.contains("`posthaste domain add example.net`"), "{}", added.stderr);
    assert_eq!(data.run(&["domain", "add", "example.net"]).status, 0);
    assert_eq!(send("ann@example.net").status, 0);
    let domains = data.run(&["domain", "ls", "--json"]).json();
    assert_eq!((&domains[0]["domain"], &domains[0]["accounts"]), (&"example.net".into(), &1.into()));
    assert_eq!(data.run(&["domain", "rm", "example.net"]).status, 0);
    assert_eq!(send("ann@example.net").status, 1);
    assert_eq!(data.run(&["inbox", "ls", "--account", "ann@example.net", "--json"]).json()[0]["uid"], 1);
}

#[test]
fn who_has_no_quota_has_that_of_the_settings() {
    let data = Data::new();
    data.run(&["domain", "add", "example.org"]);
    data.run(&["user", "add", ANN, "bob@example.org"]);
    let server = serve_with(&data, &format!("{SETTINGS}[limits]\nquota = \"8 KiB\"\n"));
    let text = "x".repeat(5000);
    let send = |to: &str| server.send(&["--from", "a@example.com", "--to", to, "--text", &text]).status;
    let quota = |name: &str| {
        let shown = data.run(&["user", "show", name]).stdout;
        shown.lines().find_map(|line| line.strip_prefix("quota      ")).expect("its quota").to_owned()
    };
    assert_eq!((send(ANN), send(ANN)), (0, 75));
    assert_eq!(quota(ANN), "8.0 KiB (default)");
    data.run(&["user", "quota", "bob@example.org", "none"]);
    assert_eq!((send("bob@example.org"), send("bob@example.org")), (0, 0));
    assert_eq!(quota("bob@example.org"), "none");
    let said = data.run(&["user", "quota", "bob@example.org", "default"]).stdout;
    assert!(said.ends_with("its quota is 8.0 KiB (default), and it is over that.\n"), "{said}");
    assert_eq!(send("bob@example.org"), 75);
    assert_eq!(server.stop(), 0);
    assert_eq!(quota(ANN), "default", "without a server nobody has read the settings");
}

#[test]
fn aliases_and_quotas_at_work() {
    let data = Data::new();
    data.run(&["domain", "add", "example.org"]);
    data.run(&["user", "add", ANN, "bob@example.org"]);
    let server = serve(&data);
    let send = |to: &str| server.send(&["--from", "a@example.com", "--to", to, "--text", "x"]);
    let ran = data.run(&["user", "alias", "add", "team@example.org", ANN, "bob@example.org"]);
    assert_eq!(ran.stdout, "Mail for team@example.org goes to ann@example.org, bob@example.org.\n");
    let ran = data.run(&["user", "alias", "add", "team@example.org", "team+x@example.org"]);
    assert!(ran.stderr.contains("would lead back to itself"), "{}", ran.stderr);
    let ran = data.run(&["user", "alias", "add", "team@example.org", "eve@example.org"]);
    assert!(ran.stderr.contains("there is no mailbox eve@example.org"), "{}", ran.stderr);
    data.run(&["user", "alias", "add", "*@example.org", "bob@example.org"]);
    assert_eq!((send("team@example.org").status, send("whoever@example.org").status), (0, 0));
    let users = data.run(&["user", "ls", "--json"]).json();
    assert_eq!((&users[0]["messages"], &users[1]["messages"]), (&1.into(), &2.into()));

    let quota = data.run(&["user", "quota", "bob@example.org", "none", "--messages", "2", "--json"]).json();
    assert_eq!((&quota["quota"]["messages"], &quota["usage"]["messages"]), (&2.into(), &2.into()));
    let full = send("bob@example.org");
    assert_eq!(full.status, 75, "{}", full.stdout);
    assert!(full.stdout.contains(": 452 4.2.2 "), "{}", full.stdout);
    data.run(&["inbox", "rm", "1", "--account", "bob@example.org"]);
    assert_eq!(send("bob@example.org").status, 0, "there is room again");

    data.run(&["user", "alias", "rm", "team@example.org", ANN]);
    let aliases = data.run(&["user", "alias", "ls", "--json"]).json();
    assert_eq!(aliases[1], serde_json::json!({"alias": "team@example.org", "targets": ["bob@example.org"]}));
    let removed = data.run(&["user", "rm", "bob@example.org", "--yes"]);
    assert!(removed.stderr.contains("*@example.org, team@example.org"), "{}", removed.stderr);
}

#[test]
fn passwords_come_from_standard_input_and_show_nowhere() {
    let data = Data::new();
    let args = ["user", "add", ANN, "--password-stdin", "--name", "Ann Ø.", "--quota", "1 GiB"];
    let added = run_fed(&data, &args, "correct horse\n");
    assert_eq!((added.status, added.stdout.as_str()), (0, "Added ann@example.org.\n"), "{}", added.stderr);
    let shown = data.run(&["user", "show", ANN, "--json"]);
    let details = shown.json();
    assert_eq!((&details["name"], &details["login"]), (&"Ann Ø.".into(), &"password_or_scram".into()));
    assert_eq!(details["quota"]["bytes"], 1 << 30);

    let short = run_fed(&data, &["user", "passwd", ANN, "--password-stdin"], "horse\n");
    assert_eq!(short.status, 1);
    assert!(short.stderr.contains("at least 8") && !short.stderr.contains("horse"), "{}", short.stderr);
    let server = serve_up(&data);
    let set = run_fed(&data, &["user", "passwd", ANN, "--password-stdin"], "another good one");
    assert_eq!(set.stdout, "The password of ann@example.org is set.\n");
    let nobody =
        run_fed(&data, &["user", "passwd", "eve@example.org", "--password-stdin"], "another good one");
    assert!(nobody.stderr.contains("no account eve@example.org"), "{}", nobody.stderr);
    assert_eq!(run_fed(&data, &["user", "passwd", ANN, "--password-stdin"], "").status, 2);
    assert_eq!(
        run_fed(&data, &["user", "add", "a@b.example", "c@b.example", "--password-stdin"], "x").status,
        2
    );

    let made = data.run(&["user", "app-password", "add", ANN, "phone", "--json"]).json();
    let password = made["password"].as_str().expect("a password");
    assert_eq!(password.len(), 29);
    assert_eq!(data.run(&["user", "app-password", "add", ANN, "phone"]).status, 1);
    let details = data.run(&["user", "show", ANN]).stdout;
    assert!(details.contains("application password phone, made "), "{details}");
    assert!(!details.contains(password) && !details.contains('$'), "{details}");
    assert_eq!(server.stop(), 0);
    assert_eq!(data.run(&["user", "app-password", "rm", ANN, "phone"]).status, 0);
    assert_eq!(data.run(&["user", "app-password", "ls", ANN, "--json"]).json(), serde_json::json!([]));
}

/// A server that catches everything.
fn serve_up(data: &Data) -> Server {
    Server::up(data, &[])
}

#[test]
fn an_import_is_whole_or_can_go_on() {
    let data = Data::new();
    let table = "address,password,quota,aliases,name\n\
        ann@example.org,correct horse,1 GiB,team@example.org,\"Ann, A.\"\n\
        bob@example.org,,,team@example.org,\n";
    let wrong = run_fed(&data, &["user", "import", "-"], &format!("{table}bob,,,,\n,,,,\n"));
    assert_eq!(wrong.status, 2);
    assert!(wrong.stderr.starts_with("posthaste: -:4: \"bob\" is not an address"), "{}", wrong.stderr);
    assert!(wrong.stderr.contains("\n-:5: there is no address\nnothing was imported\n"), "{}", wrong.stderr);
    assert!(!data.path().exists(), "nothing was made");

    let file = data.file("users.csv", table.as_bytes());
    let imported = data.run(&["user", "import", &file]);
    assert_eq!(imported.stdout, "Added 2 accounts and 1 alias.\n", "{}", imported.stderr);
    data.run(&["user", "quota", ANN, "2 GiB"]);
    let again = data.run(&["user", "import", &file]).stdout;
    assert_eq!(again, "Added 0 accounts and 1 alias; 2 accounts existed already, left unchanged.\n");
    let details = data.run(&["user", "show", ANN, "--json"]).json();
    assert_eq!(
        (&details["quota"]["bytes"], &details["login"]),
        (&(2u64 << 30).into(), &"password_or_scram".into())
    );
    assert_eq!(details["aliases"], serde_json::json!(["team@example.org"]));

    let list = data.run(&[
        "user",
        "import",
        &data.file("users.txt", b"# ours\neve@example.org\nann@example.org\n"),
        "--json",
    ]);
    assert_eq!(
        list.json(),
        serde_json::json!({"added": ["eve@example.org"], "existed": [ANN], "aliases": 0})
    );
}

#[test]
fn commands_find_the_store_of_the_settings_and_say_when_they_make_one() {
    let data = Data::new();
    // What is wrong besides concerns the server, not whoever looks after its mail.
    let settings = data.file("posthaste.toml", format!("data = {:?}\nlimit = 5\n", data.text()).as_bytes());
    let added = run(&["user", "add", "ann@example.org", "--config", &settings]);
    assert_eq!((added.status, added.stdout.as_str()), (0, "Added ann@example.org.\n"), "{}", added.stderr);
    assert!(added.stderr.contains(&format!("made a new store in {}", data.text())), "{}", added.stderr);
    let again = run(&["domain", "add", "example.org", "--config", &settings]);
    assert!(again.stderr.contains(&format!("no server runs on {}", data.text())), "{}", again.stderr);
    assert!(data.run(&["user", "ls"]).stdout.contains("ann@example.org"));

    let elsewhere = data.beside("elsewhere");
    let listed = run(&["user", "ls", "--config", &settings, "--data", &elsewhere]);
    assert!(listed.stderr.contains(&format!("no mail in {elsewhere}")), "{}", listed.stderr);
    let missing = run(&["user", "ls", "--config", &data.beside("missing.toml")]);
    assert_eq!(missing.status, 2);
    assert!(missing.stderr.contains("cannot read"), "{}", missing.stderr);
}
