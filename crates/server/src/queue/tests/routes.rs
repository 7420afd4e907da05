//! Ways of the operator's own: smart hosts, LMTP, mail that is thrown away.

use super::certificates::Certificate;
use super::lab::{Lab, SENDER, Say, Via, report_text};
use data_encoding::BASE64;
use smtp::Notify;
use std::io::Write;
use std::net::IpAddr;
use std::time::Duration;

/// The hello of a hop that wants to know who comes.
const WITH_AUTH: Say = Say::Reply("250-mx\r\n250-PIPELINING\r\n250 AUTH SCRAM-SHA-1 PLAIN LOGIN");

fn secret(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(text.as_bytes()).expect("it is written");
    file
}

/// All mail goes to this hop, with a password; `rest` is more of the table.
fn smart_host(via: &str, password: &tempfile::NamedTempFile, rest: &str) -> Lab {
    let file = password.path().display();
    let lab = Lab::with_routes(&format!(
        "[[route]]\ndomain = \"*\"\nvia = {via}\nuser = \"me\"\npassword_file = \"{file}\"\n{rest}"
    ));
    lab.address("smart.example", "192.0.32.1");
    lab
}

#[tokio::test(start_paused = true)]
async fn mail_for_every_domain_goes_to_the_smart_host_which_is_told_who_we_are() {
    let password = secret("correct horse\n");
    let lab = smart_host("\"smtp://smart.example:587\"", &password, "");
    lab.tls(1, Certificate::Signed("smart.example"));
    lab.says(1, "EHLO", &[Say::Default, WITH_AUTH]);
    lab.until_empty(lab.send(SENDER, &["a@example.com"])).await;
    let taken = lab.taken();
    assert_eq!((taken.len(), taken[0].hop, taken[0].via), (1, 1, Via::Tls));
    let plain = format!("AUTH PLAIN {}", BASE64.encode(b"\0me\0correct horse"));
    assert!(lab.said(1).contains(&plain), "{:?}", lab.said(1));
    assert!(lab.reports().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_password_is_for_the_real_smart_host_alone() {
    for certificate in [
        Some(Certificate::SelfSigned("smart.example")),
        Some(Certificate::Signed("other.example")),
        Some(Certificate::Expired("smart.example")),
        None,
    ] {
        let password = secret("correct horse");
        let lab = smart_host("\"smtp://smart.example:587\"", &password, "");
        match certificate {
            Some(certificate) => {
                lab.tls(1, certificate);
                lab.says(1, "EHLO", &[Say::Default, WITH_AUTH]);
            }
            None => lab.says(1, "EHLO", &[WITH_AUTH; 9]),
        }
        lab.send(SENDER, &["a@example.com"]).await;
        lab.wait(Duration::from_secs(60)).await;
        let queued = lab.queued().await;
        let reply = queued[0].last_reply().expect("it was tried");
        assert!(reply.starts_with("451 4.7."), "the mail waits: {reply}");
        assert!(
            lab.said(1).iter().all(|line| !line.starts_with("AUTH")),
            "{certificate:?}: {:?}",
            lab.said(1)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn mail_waits_when_the_login_fails_and_goes_when_it_is_mended() {
    let password = secret("wrong");
    let lab = smart_host("\"smtp://smart.example:587\"", &password, "");
    lab.tls(1, Certificate::Signed("smart.example"));
    lab.says(1, "EHLO", &[Say::Default, WITH_AUTH, Say::Default, WITH_AUTH]);
    lab.says(1, "AUTH", &[Say::Reply("535 5.7.8 no")]);
    lab.send(SENDER, &["a@example.com"]).await;
    lab.wait(Duration::from_secs(60)).await;
    let reply = lab.queued().await[0].last_reply().expect("it was tried").to_owned();
    assert_eq!(reply, "451 4.7.0 The server refused the authentication: 535 5.7.8 no");
    std::fs::write(password.path(), "right").expect("it is written");
    lab.until_empty(async {}).await;
    assert_eq!(lab.taken().len(), 1);
    let plain = format!("AUTH PLAIN {}", BASE64.encode(b"\0me\0right"));
    assert!(lab.said(1).contains(&plain), "the file is read anew");
    assert!(lab.reports().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_cannot_be_read_makes_mail_wait() {
    let password = secret("");
    let lab = smart_host("\"smtp://smart.example:587\"", &password, "");
    lab.tls(1, Certificate::Signed("smart.example"));
    lab.says(1, "EHLO", &[Say::Default, WITH_AUTH]);
    lab.send(SENDER, &["a@example.com"]).await;
    lab.wait(Duration::from_secs(60)).await;
    let reply = lab.queued().await[0].last_reply().expect("it was tried").to_owned();
    assert!(reply.starts_with("451 4.7.0 There is no login at this host: "), "{reply}");
    assert!(reply.ends_with("it is empty"), "{reply}");
}

#[tokio::test(start_paused = true)]
async fn a_bearer_token_stands_for_a_password() {
    let token = secret("ya29.token\n");
    let lab = Lab::with_routes(&format!(
        "[[route]]\ndomain = \"*\"\nvia = \"smtp://smart.example:587\"\nuser = \"me@smart.example\"\ntoken_file = \"{}\"",
        token.path().display()
    ));
    lab.address("smart.example", "192.0.32.1");
    lab.tls(1, Certificate::Signed("smart.example"));
    lab.says(1, "EHLO", &[Say::Default, Say::Reply("250-mx\r\n250 AUTH PLAIN XOAUTH2")]);
    lab.until_empty(lab.send(SENDER, &["a@example.com"])).await;
    let said = lab.said(1).into_iter().find_map(|line| line.strip_prefix("AUTH XOAUTH2 ").map(str::to_owned));
    let said = BASE64.decode(said.expect("it is used").as_bytes()).expect("base64");
    assert_eq!(String::from_utf8_lossy(&said), "user=me@smart.example\u{1}auth=Bearer ya29.token\u{1}\u{1}");
}

#[tokio::test(start_paused = true)]
async fn the_next_smart_host_is_for_when_the_first_does_not_answer() {
    for first in ["192.0.32.66", "192.0.32.3"] {
        let lab = Lab::with_routes(
            "[[route]]\ndomain = \"*\"\nvia = [\"smtp://one.example\", \"smtp://two.example:26\"]\ntls = \"none\"",
        );
        lab.address("one.example", first);
        lab.address("two.example", "192.0.32.2");
        lab.says(3, "", &[Say::Reply("554 5.3.2 not today"); 9]);
        let took = lab.until_empty(lab.send(SENDER, &["a@example.com"])).await;
        assert!(took < Duration::from_secs(1), "{took:?}");
        assert_eq!(lab.taken()[0].hop, 2, "{first}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_smart_host_by_mx_and_a_domain_of_its_own_way() {
    let lab = Lab::with_routes(
        "[[route]]\ndomain = \"*\"\nvia = \"mx://provider.example\"\n\
         [[route]]\ndomain = \"direct.example\"\nvia = \"mx\"\n\
         [[route]]\ndomain = \".inside.example\"\nvia = \"smtp://192.0.32.4\"",
    );
    lab.domain("provider.example", &[(10, "mx1", 1), (20, "mx2", 2)]);
    lab.domain("direct.example", &[(10, "mx", 3)]);
    let to = ["a@example.com", "b@direct.example", "c@x.inside.example", "d@[192.0.32.9]"];
    lab.until_empty(lab.send(SENDER, &to)).await;
    let mut taken: Vec<_> = lab.taken().into_iter().map(|taken| (taken.to[0].clone(), taken.hop)).collect();
    taken.sort();
    let expected = [
        ("<a@example.com>", 1),
        ("<b@direct.example>", 3),
        ("<c@x.inside.example>", 4),
        ("<d@[192.0.32.9]>", 1),
    ];
    assert_eq!(taken, expected.map(|(to, hop)| (to.to_owned(), hop)));
}

#[tokio::test(start_paused = true)]
async fn a_smart_host_that_is_this_server_is_a_loop() {
    let lab = Lab::with_routes("[[route]]\ndomain = \"*\"\nvia = \"smtp://smart.example:2525\"");
    lab.address("smart.example", &format!("192.0.32.{}", super::lab::OURSELVES));
    lab.until_empty(lab.send(SENDER, &["a@example.com"])).await;
    assert!(report_text(&lab.reports().await).contains("554 5.4.6 Mail for example.com loops back"));
}

#[tokio::test(start_paused = true)]
async fn a_smart_host_without_a_name_makes_mail_wait() {
    let lab = Lab::with_routes("[[route]]\ndomain = \"*\"\nvia = \"smtp://gone.example\"");
    lab.send(SENDER, &["a@example.com"]).await;
    lab.wait(Duration::from_secs(60)).await;
    let reply = lab.queued().await[0].last_reply().expect("it was tried").to_owned();
    assert_eq!(
        reply,
        "451 4.4.3 The next hop smtp://gone.example:25 cannot be found now: there is no such name"
    );
}

#[tokio::test(start_paused = true)]
async fn a_route_has_an_address_and_a_name_of_its_own() {
    let lab = Lab::with_routes(
        "[relay]\nsource = \"192.0.32.241\"\nhello = \"out.example.org\"\n\
         [[route]]\ndomain = \"bulk.example\"\nvia = \"mx\"\nsource = \"192.0.32.242\"\nhello = \"bulk.example.org\"",
    );
    lab.domain("example.com", &[(10, "mx", 1)]);
    // The same host: connections are not shared all the same.
    lab.exchanges("bulk.example", vec![super::lab::exchange(10, "mx.example.com")]);
    for to in ["a@example.com", "b@bulk.example", "c@example.com", "d@bulk.example"] {
        lab.until_empty(lab.send(SENDER, &[to])).await;
    }
    let source = |last: u8| Some([192, 0, 32, last].into());
    assert_eq!(lab.sources(1), [source(241), source(242)]);
    let said = lab.said(1);
    let hellos: Vec<&String> = said.iter().filter(|line| line.starts_with("EHLO")).collect();
    assert_eq!(hellos, ["EHLO out.example.org", "EHLO bulk.example.org"]);
}

#[tokio::test(start_paused = true)]
async fn mail_waits_while_its_source_address_is_none_of_this_machine() {
    let lab = Lab::with_routes("[[route]]\ndomain = \"bulk.example\"\nvia = \"mx\"\nsource = \"192.0.2.1\"");
    lab.domain("example.com", &[(10, "mx", 1)]);
    lab.exchanges("bulk.example", vec![super::lab::exchange(10, "mx.example.com")]);
    lab.send(SENDER, &["a@bulk.example"]).await;
    lab.wait(Duration::from_secs(5)).await;
    let reply = lab.queued().await[0].last_reply().expect("it was tried").to_owned();
    assert_eq!(reply, "451 4.4.1 No connection to mx.example.com: it is no address of this machine");
    lab.send(SENDER, &["b@example.com"]).await;
    let took = lab.until_taken(1).await;
    assert!(took < Duration::from_secs(1), "nothing is held against the host: {took:?}");
}

/// No IPv6 here, or no port left: unlike a source of ours that is wrong, it ends the hope in that host for now.
#[tokio::test(start_paused = true)]
async fn a_host_that_the_system_cannot_connect_with_is_left_alone() {
    let lab = Lab::new();
    lab.domain("example.com", &[(10, "mx", 65), (20, "backup", 2)]);
    for to in ["a@example.com", "b@example.com"] {
        lab.until_empty(lab.send(SENDER, &[to])).await;
        lab.wait(Duration::from_secs(60)).await;
    }
    assert_eq!((lab.connections(65), lab.taken().len()), (1, 2), "the second goes to the other one at once");
}

#[tokio::test(start_paused = true)]
async fn a_route_to_a_listener_of_ours_is_a_loop_wherever_the_connection_comes_from() {
    for (listener, is_local) in [([192, 0, 32, 1], false), ([0, 0, 0, 0], true)] {
        let route =
            "[relay]\nsource = \"192.0.32.241\"\n[[route]]\ndomain = \"*\"\nvia = \"smtp://192.0.32.1:2525\"";
        let lab = Lab::with(route, |outbound| {
            outbound.terms.ours.listeners = vec![(listener, 2525).into()];
            if is_local {
                outbound.terms.ours.is_local = |address| address == IpAddr::from([192, 0, 32, 1]);
            }
        });
        lab.until_empty(lab.send(SENDER, &["a@example.com"])).await;
        assert!(report_text(&lab.reports().await).contains("554 5.4.6 Mail for example.com loops back"));
        assert!(lab.taken().is_empty());
    }
}

const LMTP: &str = "[[route]]\ndomain = \"example.com\"\nvia = \"lmtp://192.0.32.1\"";

#[tokio::test(start_paused = true)]
async fn lmtp_answers_for_each_recipient() {
    let lab = Lab::with_routes(LMTP);
    lab.says(
        1,
        ".",
        &[Say::Default, Say::Reply("550 5.2.1 mailbox closed"), Say::Reply("452 4.2.2 mailbox full")],
    );
    let to = ["a@example.com", "b@example.com", "c@example.com"];
    let took = lab.until_empty(lab.send(SENDER, &to)).await;
    assert!((270..=331).contains(&took.as_secs()), "one is tried again: {took:?}");
    let taken: Vec<_> = lab.taken().into_iter().flat_map(|taken| taken.to).collect();
    assert_eq!(taken, ["<a@example.com>", "<c@example.com>"]);
    assert!(lab.said(1)[0].starts_with("LHLO "), "{:?}", lab.said(1));
    let reports = lab.reports().await;
    assert_eq!(reports.len(), 1);
    assert!(
        reports[0].contains("Final-Recipient: rfc822; b@example.com\r\nAction: failed\r\nStatus: 5.2.1\r\n")
    );
}

#[tokio::test(start_paused = true)]
async fn what_lmtp_takes_is_delivered_and_who_asked_is_told() {
    let lab = Lab::with_routes(LMTP);
    let success = Notify::On { success: true, failure: false, delay: false };
    let sent = lab.send_with(&["a@example.com", "b@example.com"], |envelope| {
        envelope.recipients[0].notify = Some(success);
    });
    lab.until_empty(sent).await;
    let reports = lab.reports().await;
    assert_eq!(reports.len(), 1);
    assert!(reports[0].contains("Final-Recipient: rfc822; a@example.com\r\nAction: delivered\r\nStatus: 2."));
    assert!(!reports[0].contains("b@example.com"));
}

#[tokio::test(start_paused = true)]
async fn mail_that_is_thrown_away_reaches_nobody_and_makes_no_noise() {
    let lab = Lab::with_routes("[[route]]\ndomain = \"example.com\"\nvia = \"discard\"");
    lab.domain("example.com", &[(10, "mx", 1)]);
    let success = Notify::On { success: true, failure: true, delay: true };
    let sent = lab.send_with(&["a@example.com"], |envelope| envelope.recipients[0].notify = Some(success));
    let took = lab.until_empty(sent).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!((lab.taken().len(), lab.connections(1)), (0, 0));
    assert!(lab.reports().await.is_empty(), "nothing good can be said of it, and nothing bad");
}
