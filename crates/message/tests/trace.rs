//! Trace fields as a reader of the message sees them.

use message::trace::{self, Dialect, Received, With, delivered_to, return_path};
use message::{Date, Limits, Structure};
use posthaste_message as message;
use proptest::prelude::*;

fn received() -> Received<'static> {
    Received {
        hello_name: "client.example",
        peer: Some("192.0.2.1".parse().unwrap()),
        by: "mx.example.org",
        with: With { dialect: Dialect::Esmtp, ..With::default() },
        id: "06BX3T9ZQ2V0G",
        recipient: Some("user@example.org"),
        tls: None,
        date: Date { millis: 1_795_251_072_345, offset_minutes: 60 },
    }
}

fn text(field: Vec<u8>) -> String {
    String::from_utf8(field).unwrap()
}

#[test]
fn received_names_peer_protocol_recipient_and_date() {
    assert_eq!(
        text(received().to_field()),
        "Received: from client.example ([192.0.2.1]) by mx.example.org with ESMTP\r\n\
         \tid 06BX3T9ZQ2V0G for <user@example.org>; Sat, 21 Nov 2026 09:51:12 +0100\r\n"
    );
}

#[test]
fn received_without_for_and_with_ipv6() {
    let received = Received {
        hello_name: "[IPv6:2001:db8::1]",
        peer: Some("2001:db8::1".parse().unwrap()),
        recipient: None,
        ..received()
    };
    assert_eq!(
        text(received.to_field()),
        "Received: from [IPv6:2001:db8::1] ([IPv6:2001:db8::1]) by mx.example.org\r\n\
         \twith ESMTP id 06BX3T9ZQ2V0G; Sat, 21 Nov 2026 09:51:12 +0100\r\n"
    );
}

#[test]
fn received_names_the_cipher_suite() {
    let tls = trace::Tls { version: "TLSv1.3", cipher: "TLS_AES_256_GCM_SHA384" };
    let with = With { dialect: Dialect::Esmtp, tls: true, ..With::default() };
    let received = Received { with, tls: Some(tls), ..received() };
    assert_eq!(
        text(received.to_field()),
        "Received: from client.example ([192.0.2.1]) by mx.example.org with ESMTPS\r\n\
         \tid 06BX3T9ZQ2V0G for <user@example.org> tls TLS_AES_256_GCM_SHA384 (TLSv1.3);\r\n\
         \tSat, 21 Nov 2026 09:51:12 +0100\r\n"
    );
}

#[test]
fn an_ipv4_peer_of_an_ipv6_socket_is_written_as_ipv4() {
    let received = Received { peer: Some("::ffff:192.0.2.1".parse().unwrap()), ..received() };
    assert!(text(received.to_field()).contains("([192.0.2.1])"));
}

#[test]
fn protocol_names_are_those_of_rfc_3848_and_rfc_6531() {
    let plain = With::default();
    let all = |dialect| With { dialect, smtputf8: true, tls: true, authenticated: true };
    assert_eq!(plain.to_string(), "SMTP");
    assert_eq!(all(Dialect::Smtp).to_string(), "SMTP");
    assert_eq!(With { dialect: Dialect::Esmtp, tls: true, ..plain }.to_string(), "ESMTPS");
    assert_eq!(With { dialect: Dialect::Esmtp, authenticated: true, ..plain }.to_string(), "ESMTPA");
    assert_eq!(all(Dialect::Esmtp).to_string(), "UTF8SMTPSA");
    assert_eq!(With { dialect: Dialect::Lmtp, ..plain }.to_string(), "LMTP");
    assert_eq!(With { dialect: Dialect::Lmtp, smtputf8: true, ..plain }.to_string(), "UTF8LMTP");
}

#[test]
fn return_path_and_delivered_to() {
    assert_eq!(text(return_path(None)), "Return-Path: <>\r\n");
    assert_eq!(text(return_path(Some("\"a b\"@example.org"))), "Return-Path: <\"a b\"@example.org>\r\n");
    assert_eq!(text(delivered_to("jürgen@example.org")), "Delivered-To: jürgen@example.org\r\n");
}

proptest! {
    /// Whatever a peer says, one field comes out, and it is one that a reader finds again.
    #[test]
    fn nothing_can_start_a_field_of_its_own(
        hello_name in "\\PC*|[\\x00-\\xff]{0,600}",
        recipient in "\\PC{0,400}|(?s:.{0,900})",
        by in any::<String>(),
    ) {
        let received = Received { hello_name: &hello_name, recipient: Some(&recipient), by: &by, ..received() };
        for field in [received.to_field(), return_path(Some(&recipient)), delivered_to(&recipient)] {
            let whole = [field.as_slice(), b"\r\nbody"].concat();
            let structure = Structure::of(&whole, &Limits::default());
            prop_assert_eq!(structure.root().header.fields.len(), 1);
            prop_assert_eq!(structure.root().header.fields[0].whole.of(&whole), field.as_slice());
            for line in field.split_inclusive(|&byte| byte == b'\n') {
                prop_assert!(line.ends_with(b"\r\n") && line.len() <= 1000);
                prop_assert!(line[..line.len() - 2].iter().all(|byte| !matches!(byte, b'\r' | b'\n' | 0)));
            }
        }
    }
}
