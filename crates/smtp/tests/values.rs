//! Addresses, commands, parameters, extensions and replies: tables of what is right and wrong, and both
//! directions by properties.

use bytes::BytesMut;
use proptest::prelude::*;
use smtp::xclient::Attribute;
use smtp::{
    AddressError, AddressLiteral, Body, Command, Domain, EnvelopeId, Extension, Extensions, ForwardPath,
    Host, Limits, LocalPart, MailParameters, Mailbox, Notify, OriginalRecipient, RcptParameters, Reply,
    ReplyError, ReplyParser, Return, ReversePath, SaslMessage, Severity, Status, Submitter, Verb,
};
use std::net::{Ipv4Addr, Ipv6Addr};

mod strategies {
    //! Values of every kind, as wild as their types allow.

    use super::*;

    pub(crate) fn local_part() -> impl Strategy<Value = LocalPart> {
        prop_oneof!["[a-z.!#]{1,12}", "[ -~]{0,12}", "[a-zü例 \"\\\\@>.]{0,8}"]
            .prop_filter_map("too long", |value| LocalPart::from_unquoted(&value).ok())
    }

    pub(crate) fn domain() -> impl Strategy<Value = Domain> {
        prop_oneof!["[a-zA-Z0-9_]{1,9}(\\.[a-z0-9-]{1,9}){0,3}", "[a-zäöü例え]{1,5}\\.[a-zß]{1,5}"]
            .prop_filter_map("not a domain", |name| Domain::parse(&name).ok())
    }

    pub(crate) fn host() -> impl Strategy<Value = Host> {
        prop_oneof![
            4 => domain().prop_map(Host::Domain),
            1 => any::<u32>().prop_map(|n| Host::Literal(AddressLiteral::V4(Ipv4Addr::from(n)))),
            1 => any::<u128>().prop_map(|n| Host::Literal(AddressLiteral::V6(Ipv6Addr::from(n)))),
            1 => "[a-h][a-z0-9]{0,5}:[!-Z^-~]{1,9}"
                .prop_map(|inner| Host::Literal(AddressLiteral::parse(&inner).expect("a literal"))),
        ]
    }

    pub(crate) fn mailbox() -> impl Strategy<Value = Mailbox> {
        (local_part(), host()).prop_map(|(local_part, host)| Mailbox::new(local_part, host))
    }

    pub(crate) fn reverse_path() -> impl Strategy<Value = ReversePath> {
        prop_oneof![Just(ReversePath::Null), mailbox().prop_map(ReversePath::Mailbox)]
    }

    pub(crate) fn forward_path() -> impl Strategy<Value = ForwardPath> {
        prop_oneof![1 => Just(ForwardPath::Postmaster), 4 => mailbox().prop_map(ForwardPath::Mailbox)]
    }

    pub(crate) fn original() -> impl Strategy<Value = OriginalRecipient> {
        let ascii = ("[a-z0-9-]{1,8}", "[ -~]{1,30}");
        let utf8 = (Just("utf-8".to_owned()), "[ -~ü例\u{1F4E7}]{1,30}");
        prop_oneof![ascii, utf8]
            .prop_filter_map("too long", |(kind, address)| OriginalRecipient::new(&kind, &address))
    }

    pub(crate) fn notify() -> impl Strategy<Value = Notify> {
        prop_oneof![
            Just(Notify::Never),
            (any::<bool>(), any::<bool>(), any::<bool>())
                .prop_filter("nothing is NEVER", |(a, b, c)| *a || *b || *c)
                .prop_map(|(success, failure, delay)| Notify::On { success, failure, delay }),
        ]
    }

    pub(crate) fn body() -> impl Strategy<Value = Body> {
        prop_oneof![Just(Body::SevenBit), Just(Body::EightBitMime), Just(Body::BinaryMime)]
    }

    pub(crate) fn mail_parameters() -> impl Strategy<Value = MailParameters> {
        let ret = prop_oneof![Just(Return::Full), Just(Return::Headers)];
        let id = "[ -~]{1,40}".prop_filter_map("too long", |id| EnvelopeId::new(&id));
        let submitter = prop_oneof![Just(Submitter::Unknown), mailbox().prop_map(Submitter::Mailbox)];
        let dsn = (prop::option::of(ret), prop::option::of(id));
        (prop::option::of(any::<u64>()), body(), any::<[bool; 2]>(), dsn, prop::option::of(submitter))
            .prop_map(|(size, body, [smtputf8, require_tls], (ret, envelope_id), auth)| MailParameters {
                size,
                body,
                smtputf8,
                ret,
                envelope_id,
                auth,
                require_tls,
            })
    }

    pub(crate) fn command() -> impl Strategy<Value = Command> {
        let mail = (reverse_path(), mail_parameters()).prop_map(|(path, parameters)| {
            let smtputf8 = parameters.smtputf8 || !path.is_ascii();
            Command::Mail(path, MailParameters { smtputf8, ..parameters })
        });
        let rcpt = (forward_path(), prop::option::of(notify()), prop::option::of(original()))
            .prop_map(|(path, notify, original)| Command::Rcpt(path, RcptParameters { notify, original }));
        let initial = prop::option::of(prop::collection::vec(any::<u8>(), 0..40).prop_map(SaslMessage::from));
        let auth = ("[A-Z0-9_-]{1,20}", initial)
            .prop_map(|(mechanism, initial)| Command::Auth { mechanism, initial });
        let xclient = prop::collection::btree_map("[A-Z]", attribute(), 1..4).prop_map(|attributes| {
            let mut attributes: Vec<_> = attributes.into_values().collect();
            attributes.sort_by_key(Attribute::name);
            attributes.dedup_by_key(|attribute| attribute.name());
            Command::XClient(attributes)
        });
        prop_oneof![
            "[!-~]{1,40}".prop_map(Command::Helo),
            "[!-~]{1,40}".prop_map(Command::Ehlo),
            "[!-~]{1,40}".prop_map(Command::Lhlo),
            mail,
            rcpt,
            (0..u64::MAX, any::<bool>()).prop_map(|(size, last)| Command::Bdat { size, last }),
            mailbox().prop_map(|mailbox| Command::Vrfy(mailbox.to_string())),
            "[a-zü]{1,9}".prop_map(Command::Expn),
            prop::option::of("[!-~]( ?[!-~]){0,9}").prop_map(Command::Help),
            auth,
            xclient,
            Just(Command::Data),
            Just(Command::Rset),
            Just(Command::Noop),
            Just(Command::Quit),
            Just(Command::StartTls),
        ]
    }

    fn attribute() -> impl Strategy<Value = Attribute> {
        let text = || prop::option::of("[ -~ü]{1,20}");
        let address = || prop::option::of(any::<std::net::IpAddr>());
        let protocol = prop_oneof![Just("SMTP".to_owned()), Just("ESMTP".to_owned())];
        prop_oneof![
            text().prop_map(Attribute::Name),
            address().prop_map(Attribute::Address),
            any::<Option<u16>>().prop_map(Attribute::Port),
            prop::option::of(protocol).prop_map(Attribute::Protocol),
            text().prop_map(Attribute::Helo),
            text().prop_map(Attribute::Login),
            address().prop_map(Attribute::DestinationAddress),
            any::<Option<u16>>().prop_map(Attribute::DestinationPort),
        ]
    }

    pub(crate) fn extension() -> impl Strategy<Value = Extension> {
        let limits = || prop::option::of(1u64..);
        prop_oneof![
            Just(Extension::Pipelining),
            prop::option::of(any::<u64>()).prop_map(Extension::Size),
            Just(Extension::EightBitMime),
            Just(Extension::BinaryMime),
            Just(Extension::SmtpUtf8),
            Just(Extension::Chunking),
            Just(Extension::Dsn),
            Just(Extension::EnhancedStatusCodes),
            (limits(), limits(), limits()).prop_map(|(recipients, transactions, recipient_domains)| {
                Extension::Limits(Limits { recipients, transactions, recipient_domains })
            }),
            Just(Extension::StartTls),
            prop::collection::vec("[A-Z0-9-]{1,9}", 0..4).prop_map(Extension::Auth),
            prop::collection::vec("[A-Z]{1,9}", 0..4).prop_map(Extension::XClient),
            "X[A-Z0-9]{1,9}( [a-z]{1,5}){0,2}".prop_map(Extension::Other),
        ]
    }

    /// A reply whose text does not begin as a status does, and whose lines need no wrapping.
    pub(crate) fn reply() -> impl Strategy<Value = Reply> {
        let status = (0u16..1000, 0u16..1000).prop_map(|(subject, detail)| Status { subject, detail });
        let text = prop_oneof![
            Just(String::new()),
            prop::collection::vec("[A-Za-z(][ -~]{0,60}", 1..5).prop_map(|lines| lines.join("\n")),
        ];
        (200u16..600, prop::option::of(status), text).prop_map(|(code, status, text)| {
            // 3yz replies have no enhanced status.
            let status = status.filter(|_| code / 100 != 3);
            Reply::new(code, status, "").with_text(text)
        })
    }
}

fn parse_reply(text: &[u8]) -> Result<Option<Reply>, ReplyError> {
    let mut parser = ReplyParser::new();
    parser.receive(text);
    parser.next_reply()
}

fn encoded(reply: &Reply) -> String {
    let mut out = BytesMut::new();
    reply.encode(&mut out);
    String::from_utf8(out.to_vec()).expect("a reply is ASCII")
}

#[test]
fn mailboxes_that_are_right() {
    for (text, local_part, display) in [
        ("a@b.example", "a", "a@b.example"),
        ("A.b+c@B.Example", "A.b+c", "A.b+c@B.Example"),
        ("!#$%&'*+-/=?^_`{|}~@b", "!#$%&'*+-/=?^_`{|}~", "!#$%&'*+-/=?^_`{|}~@b"),
        (r#""a"@b.example"#, "a", "a@b.example"),
        (r#""a b"@b.example"#, "a b", r#""a b"@b.example"#),
        (r#""a@c"@b.example"#, "a@c", r#""a@c"@b.example"#),
        (r#""a\"\\\b"@b.example"#, r#"a"\b"#, r#""a\"\\b"@b.example"#),
        (r#"""@b.example"#, "", r#"""@b.example"#),
        (r#""a..b"@b.example"#, "a..b", r#""a..b"@b.example"#),
        ("a@[192.0.2.1]", "a", "a@[192.0.2.1]"),
        ("a@[192.000.002.001]", "a", "a@[192.0.2.1]"),
        ("a@[IPv6:::1]", "a", "a@[IPv6:::1]"),
        ("a@[IPv6:::ffff:192.0.2.1]", "a", "a@[IPv6:::ffff:192.0.2.1]"),
        ("a@[tag:content]", "a", "a@[tag:content]"),
        ("ü@bücher.example", "ü", "ü@bücher.example"),
        ("a@my_host.example", "a", "a@my_host.example"),
        ("a@com", "a", "a@com"),
    ] {
        let mailbox: Mailbox = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!((mailbox.local_part().as_str(), mailbox.to_string().as_str()), (local_part, display));
    }
}

#[test]
fn mailboxes_that_are_wrong() {
    use AddressError::*;
    for (text, error) in [
        ("", LocalEmpty),
        ("a", NoAt),
        ("a b", NoAt),
        ("@b.example", LocalEmpty),
        (".a@b.example", LocalDot),
        ("a.@b.example", LocalDot),
        ("a..c@b.example", LocalDot),
        ("a b@b.example", LocalCharacter),
        ("a\"b\"@c.example", LocalCharacter),
        ("\"a@b.example", LocalQuote),
        ("\"a\u{7}\"@b.example", LocalCharacter),
        ("\"a\\ü\"@b.example", LocalCharacter),
        ("\u{85}@b.example", LocalCharacter),
        ("\"a\"b@c.example", NoAt),
        ("a@", DomainEmptyLabel),
        ("a@b.example.", DomainEmptyLabel),
        ("a@.b.example", DomainEmptyLabel),
        ("a@b..example", DomainEmptyLabel),
        ("a@-bad-.example", DomainHyphen),
        ("a@b@c.example", DomainCharacter),
        ("a@b c.example", DomainCharacter),
        ("a@b\u{200B}!.example", DomainCharacter),
        ("a@xn--\u{FC}.example", DomainIdna),
        ("a@[192.0.2]", Literal),
        ("a@[192.0.2.256]", Literal),
        ("a@[192.0.2.1.1]", Literal),
        ("a@[192.0.2.1", Literal),
        ("a@[IPv6:2001:db8::g]", Literal),
        ("a@[]", Literal),
        ("a@[tag-:x]", Literal),
        ("a@[tag:x y]", Literal),
    ] {
        assert_eq!(text.parse::<Mailbox>(), Err(error), "{text}");
    }
}

#[test]
fn lengths_are_bounded_where_the_rfc_says() {
    let local_part = "x".repeat(64);
    assert!(format!("{local_part}@b.example").parse::<Mailbox>().is_ok());
    assert_eq!(format!("{local_part}x@b.example").parse::<Mailbox>(), Err(AddressError::LocalTooLong));
    // 64 octets of value, however many the quotes and backslashes make of them.
    let quoted = format!("\"{}\"@b.example", "\\\"".repeat(64));
    assert!(quoted.parse::<Mailbox>().is_ok());
    assert_eq!("ü".repeat(33).parse::<LocalPart>(), Err(AddressError::LocalTooLong));
    let domain = format!("{}abcde", "abcdefghi.".repeat(25));
    assert_eq!(domain.len(), 255);
    assert!(domain.parse::<Domain>().is_ok());
    assert_eq!(format!("{domain}f").parse::<Domain>(), Err(AddressError::DomainTooLong));
    assert_eq!(format!("{}.example", "x".repeat(64)).parse::<Domain>(), Err(AddressError::DomainTooLong));
    assert_eq!("ü.".repeat(1000).parse::<Domain>(), Err(AddressError::DomainTooLong));
}

#[test]
fn domains_are_compared_as_a_labels_and_shown_as_written() {
    let written: Domain = "BÜCHER.Example".parse().expect("a domain");
    for same in ["bücher.example", "xn--bcher-kva.example", "XN--BCHER-KVA.EXAMPLE", "bu\u{308}cher.example"]
    {
        assert_eq!(same.parse::<Domain>().expect("a domain"), written, "{same}");
    }
    assert_eq!((written.as_str(), written.ascii()), ("BÜCHER.Example", "xn--bcher-kva.example"));
    assert_ne!("bucher.example".parse::<Domain>().expect("a domain"), written);
}

#[test]
fn the_case_of_a_local_part_matters() {
    let lower: Mailbox = "a@b.example".parse().expect("a mailbox");
    assert_eq!("a@B.EXAMPLE".parse::<Mailbox>().expect("a mailbox"), lower);
    assert_ne!("A@b.example".parse::<Mailbox>().expect("a mailbox"), lower);
}

#[test]
fn paths() {
    use AddressError::*;
    assert_eq!("<>".parse(), Ok(ReversePath::Null));
    assert_eq!("<>".parse::<ForwardPath>(), Err(LocalEmpty));
    assert_eq!("<PostMaster>".parse(), Ok(ForwardPath::Postmaster));
    assert_eq!("<postmaster>".parse::<ReversePath>(), Err(NoAt));
    for text in ["<a@b.example>", "<@c.example:a@b.example>", "<@c,@d:a@b.example>"] {
        let path: ForwardPath = text.parse().expect("a path");
        assert_eq!(path.to_string(), "<a@b.example>");
    }
    for (text, error) in [
        ("a@b.example", NoBrackets),
        ("<a@b.example", Unclosed),
        ("<\"a>@b.example", LocalQuote),
        ("<a@b.example>x", Trailing),
        ("<@c.example>", Route),
        ("<@c.example,:a@b.example>", Route),
        ("<@c.example,d:a@b.example>", Route),
    ] {
        assert_eq!(text.parse::<ForwardPath>(), Err(error), "{text}");
    }
}

#[test]
fn mistyped_verbs_are_recognized() {
    for (word, verb) in [
        ("HALO", Some(Verb::Helo)),
        ("ehlo2", Some(Verb::Ehlo)),
        ("RCTP", Some(Verb::Rcpt)),
        ("MIAL", Some(Verb::Mail)),
        ("dta", Some(Verb::Data)),
        ("STARTLS", Some(Verb::StartTls)),
        ("HELLO", Some(Verb::Helo)),
        ("GET", None),
        ("", None),
        ("XYZZY", None),
    ] {
        assert_eq!(Verb::nearest(word), verb, "{word}");
    }
}

#[test]
fn dsn_values_are_bounded_and_printable() {
    assert!(EnvelopeId::new(&"x".repeat(100)).is_some());
    assert!(EnvelopeId::new(&"x".repeat(101)).is_none());
    assert!(EnvelopeId::new(&"+".repeat(34)).is_none(), "it is counted as it is written");
    for id in ["", "a\tb", "ü"] {
        assert!(EnvelopeId::new(id).is_none(), "{id:?}");
    }
    for id in ["+0A", "+4", "a=b", "a b", "+zz", "ü"] {
        assert!(id.parse::<EnvelopeId>().is_err(), "{id:?}");
    }
    assert!(OriginalRecipient::new("rfc822", "ü@b.example").is_none(), "only utf-8 goes beyond ASCII");
    for text in
        ["rfc822", ";a", "rfc822;", "utf-8;\\x{}", "utf-8;\\x{D800}", "utf-8;\\x{110000}", "utf-8;a b"]
    {
        assert!(text.parse::<OriginalRecipient>().is_err(), "{text}");
    }
    for text in ["utf-8;ü@b.example", "UTF-8;\\x{fc}@b.example", "utf-8;\\x{0000FC}+40b.example"] {
        match text.parse::<OriginalRecipient>() {
            Ok(original) => assert_eq!(original.address(), "ü@b.example"),
            Err(_) => assert!(text.contains("0000FC"), "{text}"),
        }
    }
}

#[test]
fn extensions_are_read_leniently() {
    let text = "250-mx.example PIPELINING\r\n250-size 1000\r\n250-Pipelining\r\n250-AUTH=LOGIN PLAIN\r\n\
                250-LIMITS RCPTMAX=20 MAILMAX=x FOO=1\r\n250 SIZE many\r\n";
    let reply = parse_reply(text.as_bytes()).expect("a reply").expect("it is whole");
    let extensions = Extensions::from_reply(&reply);
    assert!(extensions.pipelining() && !extensions.chunking());
    assert_eq!(extensions.size_limit(), Some(1000));
    assert_eq!(extensions.auth().collect::<Vec<_>>(), ["LOGIN", "PLAIN"]);
    assert_eq!(extensions.limits(), Limits { recipients: Some(20), ..Limits::default() });
    let unlimited = parse_reply(b"250-mx.example\r\n250 SIZE 0\r\n").expect("a reply").expect("it is whole");
    let unlimited = Extensions::from_reply(&unlimited);
    assert!(unlimited.size());
    assert_eq!(unlimited.size_limit(), None, "0 means that there is no limit");
}

#[test]
fn the_status_is_on_every_line_and_never_where_it_does_not_belong() {
    let reply = Reply::new(550, Some(Status { subject: 1, detail: 1 }), "one\ntwo\n");
    assert_eq!(encoded(&reply), "550-5.1.1 one\r\n550-5.1.1 two\r\n550 5.1.1 \r\n");
    assert_eq!(encoded(&Reply::new(250, None, "")), "250\r\n");
    let intermediate = Reply::new(354, Some(Status { subject: 0, detail: 0 }), "go on");
    assert_eq!(encoded(&intermediate), "354 go on\r\n", "RFC 2034 §4: 2yz, 4yz and 5yz only");
}

#[test]
fn long_replies_are_wrapped_at_512_octets() {
    let words = "word ".repeat(300);
    let reply = Reply::new(550, Some(Status { subject: 7, detail: 1 }), "").with_text(words.trim_end());
    let text = encoded(&reply);
    assert!(text.split_inclusive("\r\n").all(|line| line.len() <= 512 && line.starts_with("550")));
    let back = parse_reply(text.as_bytes()).expect("a reply").expect("it is whole");
    assert_eq!(back.text().replace('\n', " "), words.trim_end());
    let unbroken = Reply::new(250, None, "").with_text("x".repeat(2000));
    assert!(encoded(&unbroken).split_inclusive("\r\n").all(|line| line.len() <= 512));
}

#[test]
fn replies_hold_no_control_characters_and_are_ascii() {
    let reply = Reply::new(250, None, "").with_text("a\r\nb\0c\u{85}ü");
    assert_eq!(encoded(&reply), "250-a \r\n250 b c \\x{FC}\r\n");
}

#[test]
fn replies_are_read_leniently() {
    for (text, code, status, lines) in [
        ("250\r\n", 250, None, ""),
        ("250 \r\n", 250, None, ""),
        ("250 Ok\n", 250, None, "Ok"),
        ("250-a\n250-\r\n250 b\r\n", 250, None, "a\n\nb"),
        ("250-a\r\n550 5.1.1 b\r\n", 550, Some((1, 1)), "a\nb"),
        ("550-5.1.1 a\r\n550 5.1.1 b\r\n", 550, Some((1, 1)), "a\nb"),
        ("550 2.1.1 a\r\n", 550, None, "2.1.1 a"),
        ("550 5.1 a\r\n", 550, None, "5.1 a"),
        ("550 5.1.1\r\n", 550, Some((1, 1)), ""),
        ("550 5.1.1000 a\r\n", 550, None, "5.1.1000 a"),
        ("354 3.0.0 a\r\n", 354, None, "3.0.0 a"),
        ("299 a\r\n", 299, None, "a"),
        ("599 \tb\x07\r\n", 599, None, " b "),
    ] {
        let reply = parse_reply(text.as_bytes()).expect(text).expect(text);
        let status = status.map(|(subject, detail)| Status { subject, detail });
        assert_eq!((reply.code().number(), reply.status(), reply.text()), (code, status, lines), "{text:?}");
    }
    let broken = parse_reply(b"250 \xFF\r\n").expect("a reply").expect("it is whole");
    assert_eq!(broken.text(), "\u{FFFD}");
}

#[test]
fn what_is_no_reply_stays_an_error() {
    for text in
        ["\r\n", "25\r\n", "250Ok\r\n", "150 a\r\n", "600 a\r\n", "hello\r\n", "250-a\r\nb\r\n", "２50 a\r\n"]
    {
        let mut parser = ReplyParser::new();
        parser.receive(text.as_bytes());
        assert_eq!(parser.next_reply(), Err(ReplyError::Malformed), "{text:?}");
        parser.receive(b"250 Ok\r\n");
        assert_eq!(parser.next_reply(), Err(ReplyError::Malformed));
    }
}

#[test]
fn replies_are_bounded() {
    let line = format!("250 {}\r\n250 next\r\n", "x".repeat(1_000_000));
    let mut parser = ReplyParser::new();
    for chunk in line.as_bytes().chunks(1000) {
        parser.receive(chunk);
        if let Some(reply) = parser.next_reply().expect("the rest of a long line is dropped") {
            assert!(reply.text().len() < 2100);
        }
    }
    assert!(parser.is_empty());
    assert_eq!(parse_reply("250-x\r\n".repeat(513).as_bytes()), Err(ReplyError::TooLong));
    let wide = format!("250-{}\r\n", "x".repeat(1900)).repeat(40);
    assert_eq!(parse_reply(wide.as_bytes()), Err(ReplyError::TooLong));
}

#[test]
fn the_class_decides_what_a_code_means() {
    for (code, severity) in [
        (250, Severity::Positive),
        (354, Severity::Intermediate),
        (421, Severity::Transient),
        (599, Severity::Permanent),
    ] {
        assert_eq!(Reply::new(code, None, "").severity(), severity);
    }
}

proptest! {
    #[test]
    fn mailboxes_are_read_as_they_are_written(mailbox in strategies::mailbox()) {
        prop_assert_eq!(mailbox.to_string().parse::<Mailbox>(), Ok(mailbox));
    }

    #[test]
    fn paths_are_read_as_they_are_written(
        reverse in strategies::reverse_path(),
        forward in strategies::forward_path(),
    ) {
        prop_assert_eq!(reverse.to_string().parse::<ReversePath>(), Ok(reverse));
        prop_assert_eq!(forward.to_string().parse::<ForwardPath>(), Ok(forward));
    }

    #[test]
    fn a_domain_equals_its_ascii_form(domain in strategies::domain()) {
        prop_assert!(domain.ascii().is_ascii());
        prop_assert_eq!(Domain::parse(domain.ascii()), Ok(domain));
    }

    #[test]
    fn dsn_values_are_read_as_they_are_written(original in strategies::original()) {
        let text = original.to_string();
        prop_assert!(text.is_ascii() && !text.contains(' '));
        prop_assert_eq!(text.parse::<OriginalRecipient>(), Ok(original));
    }

    #[test]
    fn commands_are_read_as_they_are_written(command in strategies::command()) {
        let line = command.to_string();
        prop_assert_eq!(Command::parse(line.as_bytes()), Ok(command), "{}", line);
    }

    #[test]
    fn commands_are_read_in_any_case(command in strategies::command()) {
        let line = command.to_string();
        let (verb, rest) = line.split_at(4);
        let lower = format!("{}{rest}  ", verb.to_ascii_lowercase());
        prop_assert_eq!(Command::parse(lower.as_bytes()), Ok(command));
    }

    #[test]
    fn any_line_is_a_command_or_an_error(line in prop::collection::vec(any::<u8>(), 0..80)) {
        if let Ok(command) = Command::parse(&line) {
            prop_assert_eq!(Command::parse(command.to_string().as_bytes()), Ok(command));
        }
    }

    #[test]
    fn nearly_commands_are_commands_or_errors(
        command in strategies::command(), at in any::<prop::sample::Index>(), octet in any::<u8>(),
    ) {
        let mut line = command.to_string().into_bytes();
        let at = at.index(line.len());
        line[at] = octet;
        if let Ok(command) = Command::parse(&line) {
            prop_assert_eq!(Command::parse(command.to_string().as_bytes()), Ok(command));
        }
    }

    #[test]
    fn extensions_are_read_as_they_are_written(extension in strategies::extension()) {
        prop_assert_eq!(Extension::parse(&extension.to_string()), extension);
    }

    #[test]
    fn replies_are_read_as_they_are_written(
        replies in prop::collection::vec(strategies::reply(), 1..4), step in 1usize..40,
    ) {
        let mut out = BytesMut::new();
        replies.iter().for_each(|reply| reply.encode(&mut out));
        let mut parser = ReplyParser::new();
        let mut read = Vec::new();
        for chunk in out.chunks(step) {
            parser.receive(chunk);
            while let Some(reply) = parser.next_reply().expect("what we write is a reply") {
                read.push(reply);
            }
        }
        prop_assert_eq!(read, replies);
        prop_assert!(parser.is_empty());
    }
}
