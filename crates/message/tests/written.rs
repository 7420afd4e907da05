//! Address lists as they stand: names and addresses apart, groups kept, nothing decoded.

#![forbid(unsafe_code)]

use posthaste_message::{Written, written_addresses};
use proptest::prelude::*;

/// One member, in a form that fits on a line: `name|route|local|domain`, `{group` and `}`.
fn shown(value: &str) -> Vec<String> {
    let text = |part: &Option<std::borrow::Cow<'_, [u8]>>| {
        part.as_ref().map_or("-".to_owned(), |part| String::from_utf8_lossy(part).into_owned())
    };
    let members = written_addresses(value.as_bytes());
    let line = |member: &Written<'_>| match member {
        Written::Mailbox { name, route, local_part, domain } => {
            let local = String::from_utf8_lossy(local_part);
            format!("{}|{}|{local}|{}", text(name), text(route), text(domain))
        }
        Written::Group(name) => format!("{{{}", String::from_utf8_lossy(name)),
        Written::GroupEnd => "}".to_owned(),
    };
    members.iter().map(line).collect()
}

#[test]
fn the_forms_of_rfc_5322() {
    assert_eq!(shown("ann@example.org"), ["-|-|ann|example.org"]);
    assert_eq!(shown("Ann Other <ann@example.org>"), ["Ann Other|-|ann|example.org"]);
    assert_eq!(shown("\"Other, Ann\" <ann@example.org>, b@c"), ["Other, Ann|-|ann|example.org", "-|-|b|c"]);
    assert_eq!(shown("\"a \\\"b\\\" c\" <x@y>"), ["a \"b\" c|-|x|y"]);
    assert_eq!(shown("=?utf-8?q?J=C3=B6rg?= <j@example.org>"), ["=?utf-8?q?J=C3=B6rg?=|-|j|example.org"]);
    assert_eq!(shown("ann@example.org (Ann Other)"), ["Ann Other|-|ann|example.org"]);
    assert_eq!(shown("<@a,@b:ann@example.org>"), ["-|@a,@b|ann|example.org"]);
    assert_eq!(shown("\"a@b\"@example.org"), ["-|-|a@b|example.org"]);
    assert_eq!(shown("Team: a@b, C <c@d>;, e@f"), ["{Team", "-|-|a|b", "C|-|c|d", "}", "-|-|e|f"]);
    assert_eq!(shown("undisclosed-recipients:;"), ["{undisclosed-recipients", "}"]);
}

#[test]
fn what_is_malformed_is_as_much_as_it_can_be() {
    assert_eq!(shown(""), Vec::<String>::new());
    assert_eq!(shown(" , ,"), Vec::<String>::new());
    assert_eq!(shown("ann"), ["-|-|ann|-"]);
    assert_eq!(shown("Ann <ann@example.org"), ["Ann|-|ann|example.org"]);
    assert_eq!(shown("<>"), ["-|-||-"]);
    assert_eq!(shown("Team: a@b"), ["{Team", "-|-|a|b", "}"]);
    assert_eq!(shown("a;b@c"), ["-|-|a;b|c"]);
    assert_eq!(shown("a (never closed"), ["never closed|-|a|-"]);
}

proptest! {
    #[test]
    fn any_octets_are_read(value in proptest::collection::vec(prop_oneof![
        any::<u8>(), Just(b'"'), Just(b'<'), Just(b'>'), Just(b'('), Just(b')'), Just(b'\\'), Just(b':'), Just(b';'), Just(b',')
    ], 0..64)) {
        let members = written_addresses(&value);
        prop_assert!(members.len() <= value.len() + 1);
        let begun = members.iter().filter(|member| matches!(member, Written::Group(_))).count();
        let ended = members.iter().filter(|member| matches!(member, Written::GroupEnd)).count();
        prop_assert_eq!(begun, ended);
    }
}
