//! 8-bit messages as 7-bit ones: what each part decodes to stays the same.

use message::downgrade::{Unconvertible, to_seven_bit};
use message::{Content, Limits, Structure};
use posthaste_message as message;
use proptest::prelude::*;

fn converted(text: &str) -> String {
    String::from_utf8(to_seven_bit(text.as_bytes()).expect("it can be converted")).expect("ASCII")
}

/// What the leaves decode to.
fn leaves(message: &[u8]) -> Vec<Vec<u8>> {
    let structure = Structure::of(message, &Limits::default());
    let leaves = structure.parts().iter().filter(|part| part.content == Content::Leaf);
    leaves.map(|part| part.encoding.decode(part.body.of(message), usize::MAX).into_owned()).collect()
}

#[test]
fn readable_text_stays_readable() {
    let text = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\nSubject: x\r\n\r\nGrüße = 1 \r\n.dot\r\n";
    assert_eq!(
        converted(text),
        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nSubject: x\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BC=C3=9Fe =3D 1=20\r\n.dot\r\n"
    );
}

#[test]
fn a_message_that_knows_no_mime_says_what_it_is() {
    assert_eq!(
        converted("Subject: x\r\n\r\nna so was: ü\r\n"),
        "Subject: x\r\nContent-Transfer-Encoding: quoted-printable\r\nContent-Type: text/plain; charset=unknown-8bit\r\nMIME-Version: 1.0\r\n\r\nna so was: =C3=BC\r\n"
    );
}

#[test]
fn parts_are_converted_one_by_one_also_in_messages_within() {
    let text = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\
                preamble\r\n--b\r\n\r\nplain\r\n--b\r\nContent-Type: application/x\r\n\r\nü\r\n\
                --b\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\nSubject: in\r\n\r\ninner text ö\r\n--b--\r\n";
    let got = converted(text);
    assert_eq!(
        got,
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: 7bit\r\n\r\n\
         preamble\r\n--b\r\n\r\nplain\r\n--b\r\nContent-Type: application/x\r\nContent-Transfer-Encoding: base64\r\n\r\nw7w=\r\n\
         --b\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: 7bit\r\n\r\nSubject: in\r\n\
         Content-Transfer-Encoding: quoted-printable\r\nContent-Type: text/plain; charset=unknown-8bit\r\nMIME-Version: 1.0\r\n\r\n\
         inner text =C3=B6\r\n--b--\r\n"
    );
    assert_eq!(leaves(text.as_bytes()), leaves(got.as_bytes()));
}

#[test]
fn what_would_break_is_refused() {
    let signed = |text: &str| {
        format!(
            "Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{text}\r\n--b\r\nContent-Type: application/pgp-signature\r\n\r\nx\r\n--b--\r\n"
        )
    };
    for (text, expected) in [
        (signed("ü"), Unconvertible::Signed),
        (signed("ü").replace("signed", "encrypted"), Unconvertible::Signed),
        ("Subject: ü\r\n\r\nx\r\n".to_owned(), Unconvertible::Header),
        ("Content-Transfer-Encoding: base64\r\n\r\nü\r\n".to_owned(), Unconvertible::Part),
        ("Content-Transfer-Encoding: x-odd\r\n\r\nü\r\n".to_owned(), Unconvertible::Part),
        ("Content-Type: message/partial\r\n\r\nü\r\n".to_owned(), Unconvertible::Part),
        (
            "Content-Type: multipart/mixed; boundary=b\r\n\r\nü\r\n--b\r\n\r\nx\r\n--b--\r\n".to_owned(),
            Unconvertible::Part,
        ),
    ] {
        assert_eq!(to_seven_bit(text.as_bytes()), Err(expected), "{text}");
    }
    // A label that is wrong is not worth a signature.
    let wrapped = format!(
        "Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n{}\r\n--o\r\n\r\nü\r\n--o--\r\n",
        signed("plain")
    );
    let got = converted(&wrapped);
    assert!(got.contains(&signed("plain")), "{got}");
    assert!(got.contains("\r\n\r\n=C3=BC\r\n--o--") || got.contains("\r\n\r\nw7w=\r\n--o--"), "{got}");
}

/// A line of text, or any bytes.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        "[ -~]{0,90}".prop_map(String::into_bytes),
        "[a-zäöü =.\t]{0,200}".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..120),
    ];
    prop::collection::vec(line, 0..6).prop_map(|lines| lines.join(&b"\r\n"[..]))
}

proptest! {
    #[test]
    fn what_it_decodes_to_stays(bodies in prop::collection::vec((body(), 0..3usize), 1..4)) {
        let mut text = b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"=_never_\"\r\n\r\n".to_vec();
        for (body, kind) in &bodies {
            let kind = ["text/plain; charset=utf-8", "application/x", "image/x"][*kind];
            text.extend_from_slice(format!("--=_never_\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: binary\r\n\r\n").as_bytes());
            text.extend_from_slice(body);
            text.extend_from_slice(b"\r\n");
        }
        text.extend_from_slice(b"--=_never_--\r\n");
        let got = to_seven_bit(&text).expect("nothing stands in the way");
        prop_assert!(got.is_ascii() && !got.contains(&0));
        for line in got.split(|byte| *byte == b'\n') {
            prop_assert!(line.len() <= 999 && !line[..line.len().saturating_sub(1)].contains(&b'\r'));
        }
        let expected: Vec<Vec<u8>> = bodies.into_iter().map(|(body, _)| body).collect();
        prop_assert_eq!(leaves(&got), expected);
    }

    #[test]
    fn any_bytes_give_a_message_in_seven_bits_or_none(text in prop::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(got) = to_seven_bit(&text) {
            prop_assert!(got.is_ascii());
        }
    }
}
