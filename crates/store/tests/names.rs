//! Names and identifiers.

use posthaste_store::{AccountName, MailboxName, SpoolId, SpoolIds, Timestamp, UidValidity};
use proptest::prelude::*;

#[test]
fn account_names_are_canonical() {
    for (written, kept) in [
        ("Alice@Example.ORG", "alice@example.org"),
        ("\"alice\"@example.org", "alice@example.org"),
        ("\"A b\"@example.org", "\"a b\"@example.org"),
        ("alice@BÜCHER.example", "alice@xn--bcher-kva.example"),
        ("Ü@example.org", "ü@example.org"),
        ("root@[192.0.2.1]", "root@[192.0.2.1]"),
        ("root@[IPv6:2001:DB8::1]", "root@[ipv6:2001:db8::1]"),
    ] {
        let name = AccountName::parse(written).unwrap();
        assert_eq!(name.as_str(), kept);
        assert_eq!(AccountName::parse(kept).unwrap(), name, "{kept} is its own name");
    }
    for wrong in ["", "alice", "@example.org", "a b@example.org", "alice@-.org"] {
        assert!(AccountName::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn mailbox_names_are_bounded() {
    assert_eq!(MailboxName::new("inBox").unwrap(), MailboxName::inbox());
    assert_eq!(MailboxName::new("Archiv/Grüße").unwrap().as_str(), "Archiv/Grüße");
    for wrong in ["", "a\nb", "\u{85}", &"x".repeat(256)] {
        assert!(MailboxName::new(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn incarnations_ascend_whatever_the_clock_does() {
    let first = UidValidity::after(UidValidity(0), Timestamp(1_700_000_000_999));
    assert_eq!(first, UidValidity(1_700_000_000));
    assert_eq!(UidValidity::after(first, Timestamp(1_700_000_000_999)), UidValidity(1_700_000_001));
    assert_eq!(UidValidity::after(first, Timestamp(-5)), UidValidity(1_700_000_001));
}

#[test]
fn spool_ids_know_their_time() {
    let id = SpoolIds::above(SpoolId(0), 5).next(Timestamp(1_700_000_000_123));
    assert_eq!(id.time(), Timestamp(1_700_000_000_123));
    assert!(id.0 < 1 << 63);
}

proptest! {
    #[test]
    fn spool_ids_ascend_whatever_the_clock_does(times in prop::collection::vec(any::<i64>(), 1..50), node: u16) {
        let mut ids = SpoolIds::above(SpoolId(0), node);
        let mut last = SpoolId(0);
        for time in times {
            for _ in 0..3 {
                let next = ids.next(Timestamp(time.rem_euclid(1 << 42)));
                prop_assert!(next > last);
                last = next;
            }
        }
        let other = SpoolIds::above(last, node.wrapping_sub(1)).next(Timestamp(0));
        prop_assert!(other > last, "also above those of another node");
    }

    #[test]
    fn spool_ids_read_back(number: u64) {
        let text = SpoolId(number).to_string();
        prop_assert_eq!(text.len(), 13);
        prop_assert_eq!(text.parse::<SpoolId>().unwrap(), SpoolId(number));
        prop_assert_eq!(text.to_lowercase().parse::<SpoolId>().unwrap(), SpoolId(number));
    }

    #[test]
    fn spool_ids_sort_as_they_print(a: u64, b: u64) {
        prop_assert_eq!(SpoolId(a).cmp(&SpoolId(b)), SpoolId(a).to_string().cmp(&SpoolId(b).to_string()));
    }
}
