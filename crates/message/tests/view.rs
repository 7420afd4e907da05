//! What people are shown of a message.

use message::{Attachment, Summary, View, html, terminal};
use posthaste_message as message;
use proptest::prelude::*;

const MIXED: &str = "From: =?utf-8?Q?J=C3=BCrgen?= <j@example.org>\r\nTo: a@example.org,\r\n b@example.org\r\n\
    Date: Sat, 21 Nov 2026 09:51:12 +0100\r\nSubject: =?utf-8?B?R3LDvMOfZQ==?=\r\n\
    Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\nContent-Type: multipart/alternative; boundary=a\r\n\r\n\
    --a\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
    Sch=F6ne Gr=FC=DFe\r\n--a\r\nContent-Type: text/html\r\n\r\n<p>not shown</p>\r\n--a--\r\n\
    --m\r\nContent-Type: application/pdf; name=x.pdf\r\nContent-Transfer-Encoding: base64\r\n\
    Content-Disposition: attachment; filename*=utf-8''M%C3%BCll.pdf\r\n\r\naGVsbG8=\r\n\
    --m\r\nContent-Type: text/plain\r\n\r\n-- \r\nlist footer\r\n--m--\r\n";

#[test]
fn a_list_shows_who_what_and_when() {
    let summary = Summary::of(MIXED.as_bytes());
    assert_eq!(summary.from[0].short(), "Jürgen");
    assert_eq!(summary.to.len(), 2);
    assert_eq!(summary.subject, "Grüße");
    assert_eq!(summary.date.unwrap().millis, 1_795_251_072_000);
    assert_eq!(summary.preview, "Schöne Grüße -- list footer");
}

#[test]
fn a_list_is_made_from_the_first_bytes() {
    let cut = MIXED.find("Gr=FC").unwrap();
    let summary = Summary::of(&MIXED.as_bytes()[..cut]);
    assert_eq!((summary.subject.as_str(), summary.preview.as_str()), ("Grüße", "Schöne"));
    for cut in 0..MIXED.len() {
        assert!(Summary::of(&MIXED.as_bytes()[..cut]).preview.len() < 100);
    }
}

#[test]
fn a_preview_is_short_and_on_one_line() {
    let text = format!("Subject: x\r\n\r\n{}", "many words\r\n\tand lines \r\n".repeat(1000));
    let preview = Summary::of(text.as_bytes()).preview;
    assert_eq!(preview.chars().count(), message::PREVIEW_CHARS);
    assert!(preview.starts_with("many words and lines many words and lines"));
}

#[test]
fn a_screen_shows_headers_text_and_attachments() {
    let view = View::of(MIXED.as_bytes());
    let expected = [
        ("From", "Jürgen <j@example.org>"),
        ("To", "a@example.org, b@example.org"),
        ("Date", "Sat, 21 Nov 2026 09:51:12 +0100"),
        ("Subject", "Grüße"),
    ];
    assert_eq!(view.headers, expected.map(|(name, value)| (name, value.to_owned())));
    assert_eq!(view.text, "Schöne Grüße\n\n-- \nlist footer");
    assert!(!view.is_cut);
    let attachment =
        Attachment { name: Some("Müll.pdf".to_owned()), media_type: "application/pdf".to_owned(), size: 5 };
    assert_eq!(view.attachments, [attachment]);
}

#[test]
fn mail_with_html_only_is_shown_as_text() {
    let view = View::of(b"Content-Type: text/html; charset=utf-8\r\n\r\n<h1>Hello</h1><p>a &amp; b</p>\r\n");
    assert_eq!(view.text, "Hello\n\na & b");
}

#[test]
fn long_text_is_cut_and_says_so() {
    let text = format!("Content-Type: text/plain; charset=utf-8\r\n\r\n{}", "é".repeat(message::TEXT_BYTES));
    let view = View::of(text.as_bytes());
    assert!(view.is_cut);
    assert_eq!(view.text.len(), message::TEXT_BYTES);
}

#[test]
fn an_attached_message_is_an_attachment() {
    let text = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nsee below\r\n--b\r\n\
        Content-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\nhidden\r\n--b--\r\n";
    let view = View::of(text.as_bytes());
    assert_eq!(view.text, "see below");
    assert_eq!(view.attachments[0].media_type, "message/rfc822");
}

#[test]
fn a_message_typed_by_hand_is_shown() {
    let view = View::of(b"SUBJECT:  testing\r\nFROM: a@b.example\r\nDear Nour, this is me\r\n");
    assert_eq!(view.headers, [("From", "a@b.example".to_owned()), ("Subject", "testing".to_owned())]);
    assert_eq!(view.text, "Dear Nour, this is me\n");
}

#[test]
fn html_becomes_text() {
    for (html, expected) in [
        ("plain", "plain"),
        ("a<br>b<BR/>c", "a\nb\nc"),
        ("<p>one</p>\n<p>two</p>", "one\n\ntwo"),
        ("<div>one</div><div>two</div>", "one\ntwo"),
        ("<ul><li>a</li><li>b</li></ul>", "* a\n* b"),
        ("  much \n\t space&nbsp;&nbsp;kept ", "much space  kept"),
        ("<pre>a\n  b</pre>", "a\n  b"),
        ("<head><title>x</title></head><body>y</body>", "y"),
        ("<script>if (a < b) { '</p>' }</script>z<style>p{}</style>", "z"),
        ("<a href='https://e.example/?a=1&amp;b=2'>here</a>", "here <https://e.example/?a=1&b=2>"),
        ("<a href=\"https://e.example\">https://e.example</a>", "https://e.example"),
        ("<a href=javascript:alert(1)>click</a>", "click"),
        ("<a class=x href = https://e.example/y >open", "open <https://e.example/y>"),
        ("&lt;b&gt; &#65;&#x42; &unknown; & &#0; &auml;", "<b> AB &unknown; & &#0; ä"),
        ("1 < 2 and <3", "1 < 2 and <3"),
        ("<!-- comment --> after <!DOCTYPE html>", "after"),
        ("<!-- never closed", ""),
        ("<b title='>'>bold</b>", "bold"),
        ("<b title='>bold</b> rest", "bold rest"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc"),
        ("<script>never closed", ""),
        ("<", "<"),
    ] {
        assert_eq!(html::to_text(html, 1000), expected, "{html}");
    }
    assert_eq!(html::to_text(&"é".repeat(100), 9), "éééé");
}

#[test]
fn a_terminal_is_sent_no_commands() {
    assert_eq!(terminal::one_line("plain ü"), "plain ü");
    assert_eq!(terminal::one_line("a\r\nb\tc"), "a  b c");
    assert_eq!(terminal::one_line("\x1b[31mred\x07\x7f"), "␛[31mred␇␡");
    assert_eq!(terminal::one_line("\u{9b}31m \u{202e}txt.exe"), "\u{fffd}31m \u{fffd}txt.exe");
    assert_eq!(terminal::lines("a\r\nb\n\tc\rd\x1b]0;title\x07"), "a\nb\n\tc␍d␛]0;title␇");
}

proptest! {
    #[test]
    fn nothing_harmful_is_left(text in "(?s:.{0,60})|[\\x00-\\xff]{0,60}") {
        let is_safe = |c: char| !c.is_control();
        prop_assert!(terminal::one_line(&text).chars().all(is_safe));
        prop_assert!(terminal::lines(&text).chars().all(|c| is_safe(c) || c == '\n' || c == '\t'));
    }

    #[test]
    fn any_html_becomes_bounded_text(
        pieces in prop::collection::vec("<|>|&|;|\"|'|=|/|!--|-->|a href=|script|style|br|li|pre|#x41|\\PC|[ \n]", 0..60),
        max in 0usize..100,
    ) {
        prop_assert!(html::to_text(&pieces.concat(), max).len() <= max);
    }

    #[test]
    fn any_bytes_can_be_shown(bytes in prop::collection::vec(any::<u8>(), 0..400), cut in 0..MIXED.len(), at in 0..MIXED.len()) {
        let (start, end) = (cut.min(at), cut.max(at));
        let spliced = [&MIXED.as_bytes()[..start], &bytes, &MIXED.as_bytes()[end..]].concat();
        let view = View::of(&spliced);
        prop_assert!(view.text.len() <= 4 * spliced.len());
        prop_assert!(Summary::of(&bytes).preview.chars().count() <= message::PREVIEW_CHARS);
    }
}
