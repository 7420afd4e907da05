//! Writes first inputs for the fuzz targets, made of the transcripts, into `fuzz/corpus`.
//!
//! `cargo run -p posthaste-sim --example fuzz_corpus` after transcripts were added. What is there already
//! stays, if its name is another.

#![forbid(unsafe_code)]

use sim::chat::script::Script;
use sim::chat::{Chat, Proxy, Setup, Tls};
use smtp::server::{LineEndings, MailNeeds};
use smtp::{InClear, Protocol};
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

/// Longer inputs slow the fuzzers down more than they help.
const LONGEST: usize = 2048;

fn main() -> Result<(), Box<dyn Error>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let corpus = here.join("../../fuzz/corpus");
    let chats = Chat::read_all(&here.join("tests/chat"))?;
    let mut commands = Vec::new();
    let mut replies = vec![0];
    for chat in &chats {
        let client: Vec<u8> = chat.turns().iter().flat_map(|turn| turn.client.iter().copied()).collect();
        let settings = settings_of(chat.setup());
        if !client.is_empty() {
            write(corpus.join("smtp_server"), &chat.name(), &[&[settings, 1], &client[..]].concat())?;
            write(corpus.join("line"), &chat.name(), &[&[2], &client[..]].concat())?;
        }
        if chat.name().starts_with("smuggling") || chat.name().starts_with("data") {
            write(corpus.join("dot"), &chat.name(), &[&[1], &client[..]].concat())?;
        }
        let lines = chat.turns().iter().flat_map(|turn| &turn.server).map(|expected| &expected.pattern);
        for line in lines.filter(|line| *line != "...") {
            replies.extend_from_slice(line.as_bytes());
            replies.extend_from_slice(b"\r\n");
        }
        commands.extend(
            client.split(|octet| *octet == b'\n').filter(|line| line.len() < 100).map(<[u8]>::to_vec),
        );
    }
    commands.sort();
    commands.dedup();
    for (n, lines) in commands.chunks(40).enumerate() {
        write(corpus.join("command"), &format!("chats-{n:02}"), &lines.join(&b'\n'))?;
        let paths: Vec<Vec<u8>> = lines.iter().filter_map(|line| path_of(line)).collect();
        write(corpus.join("address"), &format!("chats-{n:02}"), &paths.join(&b'\n'))?;
    }
    for (n, piece) in replies.chunks(LONGEST).enumerate() {
        write(corpus.join("reply"), &format!("chats-{n:02}"), &[&[7], piece].concat())?;
    }
    for script in Script::read_all(&here.join("tests/pop3"))? {
        write(corpus.join("pop3_server"), &script.name(), &[&[8, 1], &script.client()[..]].concat())?;
    }
    for script in Script::read_all(&here.join("tests/classroom"))? {
        // The smaller server has no room for what is too big.
        let settings = u8::from(script.settings().any(|setting| setting.starts_with("max-size")));
        write(
            corpus.join("classroom_server"),
            &script.name(),
            &[&[settings, 1], &script.client()[..]].concat(),
        )?;
    }
    for (name, message) in MESSAGES {
        write(corpus.join("imap_message"), name, message.as_bytes())?;
    }
    for (name, settings, about) in REPORTS {
        write(corpus.join("report"), name, &[&[*settings], about.as_bytes()].concat())?;
    }
    write(
        corpus.join("tls_rpt"),
        "both",
        b"v=TLSRPTv1; rua=mailto:tls%40reports@example.org,https://example.org:443/tls?v=1",
    )?;
    write(corpus.join("header"), "fields", HEADER_VALUES.as_bytes())?;
    client_inputs(&corpus.join("smtp_client"))
}

/// Messages, of which IMAP is to tell all that it can.
const MESSAGES: &[(&str, &str)] = &[
    (
        "fields",
        "Date: Tue, 6 Jan 2026 23:30:00 -0800\r\nFrom: \"Ann \\\"A.\\\"\" <ann@example.org>,\r\n\t=?utf-8?q?J=C3=BC?= <@a,@b:j@example.net>\r\n\
        Sender: s\r\nReply-To: <>\r\nTo: friends: a@example.net, <b@example.net>;, none:;\r\nCc: (c) x@[192.0.2.1]\r\nBcc: d@example.com\r\n\
        Subject: Re: [list] =?utf-8?q?Gr=C3=BC=C3=9Fe?= (fwd)\r\nMessage-ID: <1@example.org>\r\nIn-Reply-To: <0@example.org>\r\n\
        References: <0@example.org>\r\n <00@example.org>\r\nList-Id: <l.example.org>\r\n\r\nHello\r\n",
    ),
    (
        "parts",
        "Subject: =?iso-8859-1?q?gr=FCn?=\r\nContent-Type: multipart/mixed; boundary=b; x*=utf-8''%e2%82%ac\r\n\r\n--b\r\n\
        Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\nContent-Language: de, en\r\n\r\n\
        Ein gr=FCnes H=\r\naus\r\n--b\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\
        Content-Disposition: attachment; filename=\"a \\\"b\\\".html\"\r\nContent-ID: <c@d>\r\nContent-Location: x\r\n\r\nPGI+VGlnZXI8L2I+\r\n\
        --b\r\nContent-Type: image/png\r\nContent-MD5: abc\r\nContent-Transfer-Encoding: x-unknown\r\n\r\nhidden\r\n--b--\r\n",
    ),
    (
        "within",
        "Content-Type: multipart/digest; boundary=\"x y\"\r\n\r\n--x y\r\n\r\nFrom: one@example.org\r\nSubject: Fwd: [fwd: inner]\r\n\
        Content-Type: multipart/alternative; boundary=z\r\n\r\n--z\r\n\r\none\r\n--z\r\nContent-Type: message/rfc822\r\n\r\n\
        To: deep@example.org\r\n\r\nend\r\n--z--\r\n--x y\r\nContent-Type: message/global\r\n\r\nSubject: ü\r\n\r\nü\r\n--x y--\r\n",
    ),
    (
        "threads",
        "Subject: one\r\nMessage-ID: <1>\r\n\r\n\0Subject: re: one\r\nMessage-ID: <2>\r\nReferences: <0> <1>\r\n\r\n\0\
        Message-ID: <3>\r\nIn-Reply-To: <2>\r\n\r\n\0Subject: two\r\nMessage-ID: <1>\r\nReferences: <3> <1>\r\n\r\n",
    ),
    ("odd", "no header\r\n\r\n\r\nContent-Type: multipart/mixed; boundary=b\n\n--b--\r\n"),
];

/// What reports are made of: a form; a reply, a recipient, as whom the sender had it, a host, a mark, each on a line; the message.
const REPORTS: &[(&str, u8, &str)] = &[
    (
        "failed",
        0b1_0000,
        "550 5.1.1 No such user\nbob@example.org\nbob+2B@example.org\nmx.example.org\nQQ314\nSubject: Hi\r\n\r\nHello\r\n",
    ),
    (
        "delayed",
        0b0_1010,
        "451 sp\u{e4}ter\r\tX: y\n\"a b\"@example.org\n\n\n\nMessage-ID: <1@x>\r\nSubject: Hi\r\n\r\nHello",
    ),
    (
        "identity",
        0b0_0100,
        "mine\nj\u{fc}rgen@example.org\n\n\n\nDate: now\r\nMessage-ID:\r\n <1@x>\r\nTo: z\r\n\r\n",
    ),
    (
        "international",
        0b1_0001,
        "550 n\u{f6}\nj\u{fc}@d\u{f6}.example\n\nmx\n\n--=_18f3a_0--\nS: \u{fc}\r\n\r\n\u{fc}\0\n",
    ),
];

/// Values of header fields as mailers write them, one a line.
const HEADER_VALUES: &str = "Sat, 21 Nov 2026 10:11:12 +0100\n21 Nov 26 10:11 (noon) EST\n\
    \"Bob, B.\" <bob@example.org>, friends: a@example.net, <b@example.net>;, =?utf-8?Q?J=C3=BCrgen?= <c@example.com>\n\
    =?iso-8859-1?Q?a_b=E4?= =?utf-8?B?w6TDtg==?=\ntext/html; charset=\"utf-8\"; boundary*0=\"a\"; boundary*1=b\n\
    attachment; filename*=utf-8''%e2%82%ac.txt; size=3\n<p>One<br><a href=\"https://example.org\">two</a></p>\nU29tZSB0ZXh0IQ==\n";

/// The first octet that makes the server of the target most like the one of a chat.
fn settings_of(setup: &Setup) -> u8 {
    let config = &setup.config;
    let submission = !config.auth.mechanisms.is_empty() || config.line_endings == LineEndings::Normalise;
    let open = config.mail_needs == MailNeeds::Nothing;
    // Under TLS from the start AUTH may come at once, as it may in clear where that is allowed.
    let at_once = setup.tls == Tls::FromTheStart || config.auth.in_clear == InClear::Allow;
    [
        (config.protocol == Protocol::Lmtp, 1),
        (submission, 0x80),
        (submission && open, 0x10),
        (submission && at_once || setup.proxy == Proxy::Trusted, 0x20),
    ]
    .iter()
    .map(|(wanted, bit)| if *wanted { *bit } else { 0 })
    .sum()
}

/// Servers for the client: one with every extension, one without any, one that refuses, one of LMTP, some with TLS and
/// AUTH.
fn client_inputs(folder: &Path) -> Result<(), Box<dyn Error>> {
    let full = "220 mx.example ESMTP\r\n250-mx.example\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-8BITMIME\r\n\
                250-BINARYMIME\r\n250-CHUNKING\r\n250-DSN\r\n250 LIMITS RCPTMAX=30\r\n";
    let accepted = format!("250 2.1.0 Ok\r\n{}", "250 2.1.5 Ok\r\n".repeat(30));
    let plain = "220 mx.example\r\n502 No\r\n250 mx.example\r\n";
    let tls = "220 mx\r\n250-mx\r\n250 STARTTLS\r\n220 Go\r\n";
    let auth = "250-mx\r\n250 AUTH PLAIN LOGIN SCRAM-SHA-256\r\n";
    let inputs = [
        (
            "pipelined",
            0x04,
            format!("{full}{accepted}354 Go\r\n250 Ok\r\n250 Ok\r\n451 Later\r\n421 Stop\r\n"),
        ),
        ("chunked", 0x16, format!("{full}{accepted}250 Ok\r\n250 Ok\r\n250 Ok\r\n250 Ok\r\n")),
        (
            "refused",
            0x04,
            format!("{full}250 Ok\r\n{}354 Go\r\n554 Nobody\r\n", "550 5.1.1 No\r\n".repeat(30)),
        ),
        ("lmtp", 0x05, format!("{full}{accepted}354 Go\r\n{}", "250 Ok\r\n".repeat(30))),
        ("plain", 0x04, format!("{plain}{}354 Go\r\n250 Ok\r\n", "250 Ok\r\n".repeat(41))),
        ("starttls-and-auth", 0xA8, format!("{tls}{auth}334 \r\n334 YQ==\r\n235 Ok\r\n")),
        (
            "auth-in-clear",
            0x94,
            format!("220 mx\r\n{auth}334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n535 No\r\n"),
        ),
        ("auth-given-up", 0xA4, format!("{tls}{auth}334 eA==\r\n501 Given up\r\n")),
        ("starttls-refused", 0x20, "220 mx\r\n250-mx\r\n250 STARTTLS\r\n454 Later\r\n421 Bye\r\n".to_owned()),
        ("greeted-with-421", 0x00, "421-No\r\n421 more\r\n".to_owned()),
    ];
    for (name, settings, octets) in inputs {
        write(folder.to_owned(), name, &[&[settings, 1], octets.as_bytes()].concat())?;
    }
    Ok(())
}

/// The path in a command line.
fn path_of(line: &[u8]) -> Option<Vec<u8>> {
    let start = line.iter().position(|octet| *octet == b'<')?;
    let end = line.iter().rposition(|octet| *octet == b'>')?;
    line.get(start..=end).map(<[u8]>::to_vec)
}

fn write(folder: PathBuf, name: &str, input: &[u8]) -> Result<(), Box<dyn Error>> {
    if input.len() <= 2 * LONGEST {
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(name), input)?;
    }
    Ok(())
}
