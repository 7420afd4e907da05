//! Reports on delivery, made of what others said.

use message::report::{Action, International, Report, Reported, Returned, SaidBy};
use message::terminal::one_line;
use message::{Content, Date, Limits, Part, Structure};

/// The first octet chooses the form; the next lines are a host's reply, the recipient, the address as the sender had it, the host's name and
/// the sender's mark; the rest is the message that is given back.
///
/// Holds: no panic; the report is in whole lines, and 7-bit unless what it is about is not; nobody but its writer begins a field; it has three
/// parts, whatever is in them; and the third is the message.
pub fn report(input: &[u8]) {
    let [settings, octets @ ..] = input else { return };
    let mut lines = octets.splitn(6, |octet| *octet == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let [said, recipient, original, host, mark] =
        std::array::from_fn(|_| String::from_utf8_lossy(line()).into_owned());
    let message = line();
    let international = if settings & 1 == 0 { International::No } else { International::Yes };
    let reported = Reported {
        original: (!original.is_empty()).then_some(("rfc822", original.as_str())),
        recipient: &recipient,
        action: if settings & 2 == 0 { Action::Failed } else { Action::Delayed },
        status: "5.1.1",
        remote: (!host.is_empty()).then_some(host.as_str()),
        diagnostic: Some(&said),
        said_by: if settings & 4 == 0 { SaidBy::Remote } else { SaidBy::Reporter },
        last_attempt: Some(Date::utc(0)),
        retry_until: None,
    };
    let made = Report {
        reporter: "mx.example",
        to: &recipient,
        subject: "Your message could not be delivered",
        text: &format!("This is mx.example.\n\n  {}\n      {}\n", one_line(&recipient), one_line(&said)),
        date: Date::utc(0),
        id: "18f-3a",
        arrival: Date::utc(0),
        envelope_id: (!mark.is_empty()).then_some(mark.as_str()),
        recipients: &[reported, Reported { original: None, ..reported }],
        returned: match settings >> 3 & 3 {
            0 => Returned::Identity(message),
            1 => Returned::Headers(message),
            _ => Returned::Full(message),
        },
        international,
    };
    check(&made.to_bytes(), international, message.is_ascii());
}

fn check(report: &[u8], international: International, is_plain: bool) {
    let whole = report.split_inclusive(|octet| *octet == b'\n');
    assert!(whole.clone().all(|line| line.ends_with(b"\r\n")), "an LF alone");
    let alone = whole.flat_map(|line| &line[..line.len() - 2]).find(|octet| matches!(octet, b'\r' | 0));
    assert_eq!(alone, None, "a CR alone, or a NUL");
    let ascii = international == International::No;
    assert!(!(ascii && is_plain) || report.is_ascii(), "it is not 7-bit");

    let structure = Structure::of(report, &Limits::default());
    let names = |part: &Part| -> Vec<&[u8]> {
        part.header.fields.iter().map(|field| field.name.of(report)).collect()
    };
    let root = structure.root();
    let fields = "Date From To Subject Message-ID Auto-Submitted MIME-Version Content-Type";
    assert!(names(root).into_iter().eq(fields.split(' ').map(str::as_bytes)), "{:?}", names(root));
    let header = root.header.span.of(report);
    assert!(header.is_ascii() || !ascii);
    assert_eq!(root.media_type.essence(), "multipart/report");
    let Content::Multipart(children) = &root.content else { panic!("it has no parts") };
    let children: Vec<&Part> = children.iter().map(|child| &structure.parts()[*child]).collect();
    let [text, status, returned] = children[..] else { panic!("{} parts", children.len()) };
    for part in [text, status, returned] {
        let fields = "Content-Description Content-Type Content-Transfer-Encoding";
        assert!(names(part).into_iter().eq(fields.split(' ').map(str::as_bytes)), "{:?}", names(part));
    }
    assert!(text.body.of(report).is_ascii(), "the words are 7-bit in any case");
    assert!(matches!(returned.media_type.kind.as_str(), "message" | "text"));
    check_status(status.body.of(report));
    for line in [header, status.body.of(report)].concat().split(|octet| *octet == b'\n') {
        assert!(line.len() <= 999, "a line of {} octets", line.len());
    }
}

/// One block about the message, and one for each of two recipients (RFC 3464 §2.1).
fn check_status(status: &[u8]) {
    let status = std::str::from_utf8(status).expect("it is text");
    let known = [
        "Reporting-MTA",
        "Original-Envelope-Id",
        "Arrival-Date",
        "Original-Recipient",
        "Final-Recipient",
        "Action",
        "Status",
        "Remote-MTA",
        "Diagnostic-Code",
        "Last-Attempt-Date",
    ];
    let blocks: Vec<&str> = status.trim_end_matches("\r\n").split("\r\n\r\n").collect();
    assert_eq!(blocks.len(), 3, "{status:?}");
    for line in blocks.iter().flat_map(|block| block.split("\r\n")) {
        let name = line.split(':').next().unwrap_or_default();
        assert!(known.contains(&name), "{line:?} is nobody's field");
    }
    for (block, first) in blocks.iter().zip(["Reporting-MTA: ", "", ""]) {
        assert!(block.starts_with(first));
        assert_eq!(block.matches("\r\nStatus: ").count(), usize::from(first.is_empty()));
    }
}
