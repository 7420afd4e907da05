//! Delivery status notifications: what a mailer, and RFC 3464, would read in them.

use posthaste_message::report::{Action, International, Report, Reported, Returned, SaidBy};
use posthaste_message::{Date, Limits, Structure, View};

const ORIGINAL: &[u8] = b"From: a@example.org\r\nSubject: hello\r\n\r\nbody --=_DSN1_0\r\n";

fn failed() -> Reported<'static> {
    Reported {
        original: Some(("rfc822", "Bob+list@example.net")),
        recipient: "bob@example.net",
        action: Action::Failed,
        status: "5.1.1",
        remote: Some("mx.example.net"),
        diagnostic: Some("550 5.1.1 no such user"),
        said_by: SaidBy::Remote,
        last_attempt: None,
        retry_until: None,
    }
}

fn report<'a>(recipients: &'a [Reported<'a>], returned: Returned<'a>) -> Report<'a> {
    Report {
        reporter: "mail.example.org",
        to: "a@example.org",
        subject: "Undelivered",
        text: "It did not work.\nSorry.\n",
        date: Date::utc(1_700_000_000_000),
        id: "DSN1",
        arrival: Date::utc(1_699_999_000_000),
        envelope_id: Some("QQ+1"),
        recipients,
        returned,
        international: International::No,
    }
}

fn text(report: &Report<'_>) -> String {
    String::from_utf8(report.to_bytes()).expect("UTF-8")
}

#[test]
fn a_failure_says_who_why_and_by_whom() {
    let recipients = [failed()];
    let text = text(&report(&recipients, Returned::Headers(ORIGINAL)));
    for expected in [
        "From: Mail Delivery System <postmaster@mail.example.org>\r\nTo: <a@example.org>\r\n",
        "Message-ID: <DSN1@mail.example.org>\r\nAuto-Submitted: auto-replied\r\n",
        "Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"=_DSN1_0\"\r\n",
        "It did not work.\r\nSorry.\r\n",
        "Reporting-MTA: dns; mail.example.org\r\nOriginal-Envelope-Id: QQ+1\r\nArrival-Date: Tue, 14 Nov 2023 21:56:40 +0000\r\n\r\n",
        "\r\n\r\nOriginal-Recipient: rfc822; Bob+list@example.net\r\nFinal-Recipient: rfc822; bob@example.net\r\nAction: failed\r\n\
         Status: 5.1.1\r\nRemote-MTA: dns; mx.example.net\r\nDiagnostic-Code: smtp; 550 5.1.1 no such user\r\n",
        "Content-Type: text/rfc822-headers\r\nContent-Transfer-Encoding: 7bit\r\n\r\nFrom: a@example.org\r\nSubject: hello\r\n",
    ] {
        assert!(text.contains(expected), "{expected:?} in {text}");
    }
    assert!(!text.contains("body --"), "only the header section comes back");
    assert!(text.ends_with("--=_DSN1_0--\r\n"));
}

#[test]
fn the_parts_are_found_although_the_message_holds_the_boundary() {
    let recipients = [failed(), Reported { action: Action::Delayed, ..failed() }];
    let bytes = report(&recipients, Returned::Full(ORIGINAL)).to_bytes();
    let structure = Structure::of(&bytes, &Limits::default());
    let direct = structure.parts().iter().filter(|part| part.parent == Some(0));
    let types: Vec<String> = direct.map(|part| part.media_type.essence()).collect();
    assert_eq!(types, ["text/plain", "message/delivery-status", "message/rfc822"]);
    assert!(bytes.windows(ORIGINAL.len()).any(|window| window == ORIGINAL), "all of it comes back");
}

#[test]
fn what_others_said_cannot_start_a_field() {
    let evil = "550 no\r\nAction: delivered\r\n\r\nStatus: 2.0.0";
    let recipients = [Reported { diagnostic: Some(evil), remote: Some("mx\r\nX: y"), ..failed() }];
    let mut report = report(&recipients, Returned::Headers(b"\r\nno header"));
    report.to = "a@example.org>\r\nBcc: <b@example.com";
    let text = text(&report);
    assert_eq!(text.matches("\r\nAction: ").count(), 1);
    assert!(!text.contains("\r\nBcc:") && !text.contains("\r\nX:"));
}

#[test]
fn utf8_stands_only_where_the_reader_takes_it() {
    let diagnostic = format!("550 Grüße {}", "ü".repeat(2000));
    let recipients = [Reported { recipient: "büro@example.net", diagnostic: Some(&diagnostic), ..failed() }];
    let mut report = report(&recipients, Returned::Headers(ORIGINAL));
    let plain = text(&report);
    assert!(plain.is_ascii() && plain.contains("Final-Recipient: rfc822; b\\x{FC}ro@example.net\r\n"));
    report.international = International::Yes;
    let utf8 = text(&report);
    for expected in [
        "Content-Type: multipart/report; report-type=global-delivery-status;",
        "Content-Type: message/global-delivery-status\r\nContent-Transfer-Encoding: 8bit\r\n",
        "Final-Recipient: utf-8; büro@example.net\r\n",
        "Content-Type: message/global-headers\r\n",
    ] {
        assert!(utf8.contains(expected), "{expected:?} in {utf8}");
    }
    for text in [plain, utf8] {
        assert!(text.lines().all(|line| line.len() <= 998), "RFC 5322 §2.1.1");
    }
}

#[test]
fn the_text_for_people_travels_by_seven_bit_hosts() {
    let recipients = [failed()];
    let long = format!("mx.example.net sagt: Postfach voll, bitte später{}\n", " noch einmal".repeat(200));
    let mut report = report(&recipients, Returned::Headers(ORIGINAL));
    report.text = &long;
    let bytes = report.to_bytes();
    assert!(bytes.is_ascii());
    assert!(bytes.split(|octet| *octet == b'\n').all(|line| line.len() <= 998), "RFC 5322 §2.1.1");
    assert!(View::of(&bytes).text.starts_with(&long), "nothing of it is lost");
}

#[test]
fn what_was_cut_says_so() {
    let diagnostic = format!("550 5.7.1 {}", "x".repeat(5000));
    let recipients = [Reported { diagnostic: Some(&diagnostic), ..failed() }];
    let text = text(&report(&recipients, Returned::Headers(ORIGINAL)));
    assert!(text.contains("xxx [...]\r\n"));
}

#[test]
fn own_words_are_no_reply_of_a_host() {
    let recipients = [Reported { said_by: SaidBy::Reporter, remote: None, ..failed() }];
    let text = text(&report(&recipients, Returned::Headers(ORIGINAL)));
    assert!(
        text.contains("Diagnostic-Code: X-Posthaste; 550 5.1.1 no such user\r\n"),
        "RFC 3464 §2.3.6: {text}"
    );
    assert!(!text.contains("Remote-MTA"));
}

#[test]
fn what_is_given_back_is_taken_by_every_host() {
    let recipients = [failed()];
    for (content, given_back) in [
        (&b"Subject: a\rb\nX: \0y\r\n\r\nbody"[..], "Subject: a\r\nb\r\nX: y\r\n"),
        // Cut off in the middle of a line.
        (b"Subject: a\r\nX: y\r", "Subject: a\r\n"),
        (b"Subject: a\r\nX: y\r\n\r", "Subject: a\r\nX: y\r\n"),
    ] {
        let text = text(&report(&recipients, Returned::Headers(content)));
        assert!(text.contains(&format!("\r\n\r\n{given_back}\r\n--=_DSN1_0--\r\n")), "{text:?}");
        let alone = text.replace("\r\n", "");
        assert!(!alone.contains(['\r', '\n', '\0']), "{text:?}");
    }
}

#[test]
fn of_what_is_secret_only_its_identity_comes_back() {
    let recipients = [failed()];
    let content = b"Received: by a\r\nMessage-ID:\r\n <1@example.org>\r\nSubject: secret\r\n plan\r\nDATE: today\r\nTo: x@y\r\n\r\nbody";
    let text = text(&report(&recipients, Returned::Identity(content)));
    assert!(text.contains("\r\n\r\nMessage-ID:\r\n <1@example.org>\r\nDATE: today\r\n\r\n--="), "{text}");
    assert!(!text.contains("secret") && !text.contains("plan"), "{text}");
}
