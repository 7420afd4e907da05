//! Transfer encodings, charsets, encoded words, parameters and address lists, each against a table.

use message::{Address, Disposition, MediaType, TransferEncoding, charset, encoded_word, unfold};
use posthaste_message as message;
use proptest::prelude::*;

fn decode(encoding: TransferEncoding, body: &str) -> Vec<u8> {
    encoding.decode(body.as_bytes(), usize::MAX).into_owned()
}

#[test]
fn base64() {
    for (body, expected) in [
        ("aGVsbG8gd29ybGQ=", "hello world"),
        ("aGVsbG8gd29ybGQ", "hello world"),
        ("aGVs\r\nbG8g\r\nd29y\r\nbGQ=\r\n", "hello world"),
        ("aGVsbG8=IHdvcmxk", "hello world"),
        ("aGVs*bG8!!", "hello"),
        ("", ""),
        ("=", ""),
        ("a", ""),
    ] {
        assert_eq!(decode(TransferEncoding::Base64, body), expected.as_bytes(), "{body}");
    }
    assert_eq!(TransferEncoding::Base64.decode(b"aGVsbG8=", 3).as_ref(), b"hel");
}

#[test]
fn quoted_printable() {
    for (body, expected) in [
        ("plain", "plain"),
        ("caf=C3=A9", "café"),
        ("caf=c3=a9", "café"),
        ("one=\r\ntwo", "onetwo"),
        ("one= \t\r\ntwo", "onetwo"),
        ("one=\ntwo", "onetwo"),
        ("trailing  \t\r\nnext", "trailing\r\nnext"),
        ("inner   spaces", "inner   spaces"),
        ("spaces at the end  ", "spaces at the end"),
        ("a==b", "a==b"),
        ("100 =% sure=C3=A9", "100 =% sureé"),
        ("cut=", "cut"),
        ("cut=4", "cut=4"),
    ] {
        assert_eq!(decode(TransferEncoding::QuotedPrintable, body), expected.as_bytes(), "{body}");
    }
    assert_eq!(TransferEncoding::QuotedPrintable.decoded_len(b"caf=C3=A9"), 5);
}

#[test]
fn encoding_names() {
    for (value, expected) in [
        ("base64", TransferEncoding::Base64),
        (" BASE64 ", TransferEncoding::Base64),
        ("Quoted-Printable; x=y", TransferEncoding::QuotedPrintable),
        ("7bit (plain)", TransferEncoding::SevenBit),
        ("8BIT", TransferEncoding::EightBit),
        ("binary", TransferEncoding::Binary),
        ("x-uuencode", TransferEncoding::Unknown),
        ("", TransferEncoding::SevenBit),
    ] {
        assert_eq!(TransferEncoding::parse(value.as_bytes()), expected, "{value}");
    }
}

#[test]
fn charsets() {
    assert_eq!(charset::decode(Some("utf-8"), "é\u{1f4e7}".as_bytes()), "é\u{1f4e7}");
    assert_eq!(charset::decode(Some("ISO-8859-1"), b"caf\xe9"), "café");
    assert_eq!(charset::decode(Some("us-ascii"), "café".as_bytes()), "café");
    assert_eq!(charset::decode(Some("us-ascii"), b"caf\xe9!"), "café!");
    assert_eq!(charset::decode(Some("x-unheard-of"), b"\x93quoted\x94."), "“quoted”.");
    assert_eq!(charset::decode(None, "ascii".as_bytes()), "ascii");
    assert_eq!(charset::decode(Some("iso-2022-jp"), b"\x1b$B$3$s\x1b(B"), "こん");
    assert_eq!(charset::decode(Some("koi8-r"), b"\xf0\xd2\xc9"), "При");
    assert_eq!(charset::decode(Some("utf-8"), b"a\xffb"), "a\u{fffd}b");
    assert_eq!(charset::decode(Some("UTF-7"), b"Hi Mom -+Jjo--!"), "Hi Mom -\u{263a}-!");
    assert_eq!(charset::decode(Some("utf-7"), b"1 +- 1 +AGE"), "1 + 1 a");
}

#[test]
fn encoded_words() {
    for (value, expected) in [
        ("plain", "plain"),
        ("=?utf-8?Q?caf=C3=A9?=", "café"),
        ("=?UTF-8?q?a_b?=", "a b"),
        ("=?utf-8?B?Y2Fmw6k=?= au lait", "café au lait"),
        ("=?iso-8859-1?Q?a?= =?utf-8?Q?b?=", "ab"),
        ("=?utf-8?Q?a?= =?utf-8?Q?_b?=", "a b"),
        ("=?utf-8?Q?a?= b =?utf-8?Q?c?=", "a b c"),
        ("=?ISO-8859-1*en?Q?language?=", "language"),
        // a character split between two words
        ("=?utf-8?Q?=C3?= =?utf-8?Q?=A9?=", "é"),
        ("Re: =?utf-8?Q?=41?=.", "Re: A."),
        ("=?utf-8?Q?with space?=", "with space"),
        ("=?utf-8?X?unknown?=", "=?utf-8?X?unknown?="),
        ("=?utf-8?Q?unfinished", "=?utf-8?Q?unfinished"),
        ("=?=?=?", "=?=?=?"),
        ("x =?unknown-charset?Q?caf=E9!?=", "x café!"),
        ("=?utf-8?Q??=", ""),
    ] {
        assert_eq!(encoded_word::decode(value.as_bytes()), expected, "{value}");
    }
    assert_eq!(encoded_word::decode(b"raw \xc3\xa9 and latin"), "raw é and latin");
    assert_eq!(encoded_word::decode(b"raw \xe9!"), "raw é!");
}

#[test]
fn unfolding() {
    assert_eq!(unfold(b" one\r\n two\r\n\tthree ").as_ref(), b"one two\tthree");
    assert_eq!(unfold(b"  one  ").as_ref(), b"one");
}

fn parameter(value: &str, name: &str) -> Option<String> {
    MediaType::parse(value.as_bytes()).parameters.value(name).map(str::to_owned)
}

#[test]
fn parameters() {
    for (value, expected) in [
        ("a/b; name=plain.txt", "plain.txt"),
        ("a/b; NAME = \"with; semicolon\\\" quote.txt\"", "with; semicolon\" quote.txt"),
        ("a/b; x=y; name=with spaces.txt ; z", "with spaces.txt"),
        ("a/b; name=(comment) plain.txt (comment; more)", "plain.txt"),
        ("a/b; name*=utf-8''na%C3%AFve%20file.txt", "naïve file.txt"),
        ("a/b; name*=iso-8859-1'fr'caf%E9", "café"),
        ("a/b; name*0=\"long \"; name*1=\"na\"; name*2=me", "long name"),
        ("a/b; name*1*=%C3%A9.txt; name*0*=utf-8''caf; name*2=\" %41\"", "café.txt %41"),
        ("a/b; name=fallback; name*=utf-8''better", "better"),
        ("a/b; name*0=a; name*2=lost", "a"),
        ("a/b; name*0*=utf-8''%C3; name*1*=%A9", "é"),
        ("a/b; name=\"=?utf-8?Q?caf=C3=A9?=\"", "café"),
        ("a/b; name*=no%20charset", "no charset"),
        ("a/b; name*=utf-8''100%", "100%"),
        ("a/b; name=first; name=second", "first"),
        ("a/b;; name=\"unclosed", "unclosed"),
    ] {
        assert_eq!(parameter(value, "name").as_deref(), Some(expected), "{value}");
    }
    assert_eq!(parameter("a/b; name*1=only", "name"), None);
    assert_eq!(parameter("a/b; =x; *=y; noequals", "name"), None);
}

#[test]
fn media_types() {
    let parsed = MediaType::parse(b"Text/HTML; Charset=\"UTF-8\"");
    assert!(parsed.is("text", "html"));
    assert_eq!(parsed.charset(), Some("UTF-8"));
    for broken in ["", "text", ";charset=x", "/", "a b/c", "text/"] {
        assert!(MediaType::parse(broken.as_bytes()).is("text", "plain"), "{broken}");
    }
    let disposition = Disposition::parse(b"ATTACHMENT; filename=a.txt");
    assert_eq!(disposition.kind, "attachment");
    assert_eq!(disposition.parameters.value("filename"), Some("a.txt"));
}

fn addresses(value: &str) -> Vec<String> {
    Address::parse_list(value.as_bytes()).iter().map(Address::to_string).collect()
}

#[test]
fn address_lists() {
    for (value, expected) in [
        ("a@x.example", &["a@x.example"][..]),
        ("Ann <a@x.example>, b@x.example", &["Ann <a@x.example>", "b@x.example"]),
        ("\"Ann, the \\\"First\\\"\" <a@x.example>", &["Ann, the \"First\" <a@x.example>"]),
        ("a@x.example (Ann (A.) Other)", &["Ann A. Other <a@x.example>"]),
        ("=?utf-8?Q?J=C3=BCrgen?= =?utf-8?Q?_B?= <j@x.example>", &["Jürgen B <j@x.example>"]),
        ("=?utf-8?Q?Ann=2C_B?= <a@x.example>", &["Ann, B <a@x.example>"]),
        ("\"=?utf-8?Q?quoted?=\" <a@x.example>", &["quoted <a@x.example>"]),
        (
            "Friends: a@x.example, Bo <b@x.example>; c@x.example",
            &["a@x.example", "Bo <b@x.example>", "c@x.example"],
        ),
        ("undisclosed-recipients:;", &[]),
        ("<@r1.example,@r2.example:a@x.example>", &["a@x.example"]),
        ("\"a b\"@x.example", &["\"a b\"@x.example"]),
        ("<\"a>b\"@x.example>", &["\"a>b\"@x.example"]),
        ("Just A Name", &["Just A Name"]),
        ("Ann <a@x.example", &["Ann <a@x.example>"]),
        (", ,", &[]),
        ("", &[]),
        ("用户@例え.example", &["用户@例え.example"]),
    ] {
        assert_eq!(addresses(value), expected, "{value}");
    }
    let many = "a@x.example,".repeat(5000);
    assert_eq!(Address::parse_list(many.as_bytes()).len(), message::MAX_ADDRESSES);
}

proptest! {
    #[test]
    fn base64_of_others_is_read(content in prop::collection::vec(any::<u8>(), 0..300)) {
        let encoded = data_encoding::BASE64_MIME.encode(&content);
        prop_assert_eq!(decode(TransferEncoding::Base64, &encoded), content.clone());
        prop_assert_eq!(TransferEncoding::Base64.decoded_len(encoded.as_bytes()), content.len());
        let bare = data_encoding::BASE64URL_NOPAD.encode(&content);
        prop_assert_eq!(decode(TransferEncoding::Base64, &bare), content);
    }

    #[test]
    fn any_bytes_decode(bytes in prop::collection::vec(any::<u8>(), 0..200), max in 0usize..100) {
        for encoding in [TransferEncoding::Base64, TransferEncoding::QuotedPrintable, TransferEncoding::Unknown] {
            prop_assert!(encoding.decode(&bytes, max).len() <= max);
            prop_assert!(encoding.decoded_len(&bytes) <= bytes.len());
        }
        for label in [None, Some("utf-7"), Some("iso-2022-jp"), Some("gb18030"), Some("utf-16"), Some("x")] {
            prop_assert!(charset::decode(label, &bytes).len() <= 3 * bytes.len());
        }
    }

    #[test]
    fn any_text_is_decoded(
        pieces in prop::collection::vec("=\\?|\\?=|\\?|utf-8|[QqBb]|=C3|[a-z ]|\\PC|[\"<>(),;:*'%=\\\\]", 0..40),
    ) {
        let text = pieces.concat();
        prop_assert!(encoded_word::decode(text.as_bytes()).len() <= 3 * text.len());
        for address in Address::parse_list(text.as_bytes()) {
            prop_assert!(address.name.is_some() || !address.address.is_empty());
        }
        let media_type = MediaType::parse(format!("a/b; {text}").as_bytes());
        prop_assert!(media_type.parameters.iter().all(|(name, _)| !name.is_empty()));
    }
}
