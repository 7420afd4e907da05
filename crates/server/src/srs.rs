//! The Sender Rewriting Scheme: reverse-paths of mail that is forwarded from here, and the way back for what comes to them.
//!
//! Mail that goes from `ann@a.example` to an alias here, and from there to another host, would arrive there from a host that `a.example` has
//! not named in its SPF record. So it gets a reverse-path of ours that holds the real one:
//! `SRS0=HASH=DAY=a.example=ann@ours.example`. A second forwarder does not make it longer but names the first one
//! (`SRS1=HASH=first.example==…`). The form is that of Shevek's paper (2004), which postsrsd and libsrs2 write as well.
//!
//! What comes back is sent on only when the hash is ours and the day not long past: nobody can make this server write to somebody. Pure: key
//! and time are arguments. Who is asked what here is [`crate::policy::recipient`]'s and [`crate::inbound`]'s affair.

use aws_lc_rs::hmac;
use data_encoding::BASE32_NOPAD;
use smtp::{Domain, Host, LocalPart, Mailbox};
use store::Timestamp;

/// Rewrites, with a key of its own.
#[derive(Clone)]
pub struct Srs {
    key: hmac::Key,
    /// The domain of all rewritten addresses; `None` for that of the alias.
    domain: Option<Domain>,
}

/// What is behind an address that was written by a rewriting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Returned {
    /// This address: what comes is sent there.
    To(Mailbox),
    /// The hash is not ours: somebody made it up, or the key is another one now.
    Forged,
    /// It was written too long ago.
    Expired,
}

/// The octets of a key.
pub const KEY: usize = 32;

impl Srs {
    /// With this key; addresses live as long as it.
    pub fn new(key: &[u8; KEY]) -> Srs {
        Srs { key: hmac::Key::new(hmac::HMAC_SHA256, key), domain: None }
    }

    /// The same with one domain for all addresses, if there is one; mail for it must come here.
    pub fn at(self, domain: Option<Domain>) -> Srs {
        Srs { domain, ..self }
    }

    /// The reverse-path under which mail from `sender` is sent on for an address in `domain`. `None` when it would be longer than an address may be
    /// (RFC 5321 §4.5.3.1.1): then there is none.
    pub fn forward(&self, sender: &Mailbox, domain: &Domain, now: Timestamp) -> Option<Mailbox> {
        let local_part = sender.local_part().as_str();
        let host = host_text(sender.host());
        let text = match Rewritten::read(local_part) {
            // The first forwarder knows the rest.
            Some(Rewritten::Srs0 { rest }) => self.srs1(&host, rest),
            Some(Rewritten::Srs1 { first, rest, .. }) => self.srs1(first, rest),
            None => {
                let day = day_text(now);
                format!("SRS0={}={day}={host}={local_part}", self.hash(&["0", &day, &host, local_part]))
            }
        };
        let local_part = LocalPart::from_unquoted(&text).ok()?;
        let domain = self.domain.as_ref().unwrap_or(domain).clone();
        Some(Mailbox::new(local_part, Host::Domain(domain)))
    }

    /// Where mail goes that comes for an address of ours with this local part; `None` when it is not of this form.
    pub fn back(&self, local_part: &LocalPart, now: Timestamp) -> Option<Returned> {
        let text = local_part.as_str();
        match Rewritten::read(text)? {
            Rewritten::Srs1 { hash, first, rest } => {
                if !self.is_ours(hash, &["1", first, rest]) {
                    return Some(Returned::Forged);
                }
                let host = Host::parse(first).ok()?;
                let local_part = LocalPart::from_unquoted(&format!("SRS0{rest}")).ok()?;
                Some(Returned::To(Mailbox::new(local_part, host)))
            }
            Rewritten::Srs0 { rest } => {
                let mut parts = rest[1..].splitn(4, '=');
                let (hash, day, host, local_part) =
                    (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
                if !self.is_ours(hash, &["0", day, host, local_part]) {
                    return Some(Returned::Forged);
                }
                if !is_fresh(day, now)? {
                    return Some(Returned::Expired);
                }
                let local_part = LocalPart::from_unquoted(local_part).ok()?;
                Some(Returned::To(Mailbox::new(local_part, Host::parse(host).ok()?)))
            }
        }
    }

    fn srs1(&self, first: &str, rest: &str) -> String {
        format!("SRS1={}={first}={rest}", self.hash(&["1", first, rest]))
    }

    /// The first part keeps the two forms apart. Some hosts on the way change the case of letters, so it does not count.
    fn hash(&self, parts: &[&str]) -> String {
        let mut context = hmac::Context::with_key(&self.key);
        for part in parts {
            context.update(part.to_lowercase().as_bytes());
            context.update(b"=");
        }
        let mut text = BASE32_NOPAD.encode(context.sign().as_ref());
        text.truncate(HASH);
        text
    }

    fn is_ours(&self, hash: &str, parts: &[&str]) -> bool {
        let expected = self.hash(parts);
        let given = hash.to_ascii_uppercase();
        aws_lc_rs::constant_time::verify_slices_are_equal(expected.as_bytes(), given.as_bytes()).is_ok()
    }
}

impl std::fmt::Debug for Srs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Srs { .. }")
    }
}

/// A local part that was rewritten, by us or by others.
enum Rewritten<'a> {
    /// `rest` is what follows `SRS0`, the separator first.
    Srs0 { rest: &'a str },
    /// `rest` is what followed `SRS0` at the first forwarder.
    Srs1 { hash: &'a str, first: &'a str, rest: &'a str },
}

impl<'a> Rewritten<'a> {
    fn read(local_part: &'a str) -> Option<Rewritten<'a>> {
        let tag = local_part.get(..4)?;
        let rest = &local_part[4..];
        let separated = rest.starts_with(['=', '+', '-']);
        if tag.eq_ignore_ascii_case("SRS0") && separated {
            return Some(Rewritten::Srs0 { rest });
        }
        if tag.eq_ignore_ascii_case("SRS1") && separated {
            let mut parts = rest[1..].splitn(3, '=');
            let (hash, first, rest) = (parts.next()?, parts.next()?, parts.next()?);
            // What nobody could have written is left as it is: there would be no way back.
            let has_way_back = Host::parse(first).is_ok() && rest.starts_with(['=', '+', '-']);
            return has_way_back.then_some(Rewritten::Srs1 { hash, first, rest });
        }
        None
    }
}

/// Domains as A-labels: what an address without SMTPUTF8 can hold.
fn host_text(host: &Host) -> String {
    match host {
        Host::Domain(domain) => domain.ascii().to_owned(),
        Host::Literal(literal) => literal.to_string(),
    }
}

/// The day, modulo 1024, in two letters.
fn day_text(now: Timestamp) -> String {
    let day = day(now);
    [day >> 5, day & 31].map(|digit| char::from(DIGITS[usize::from(digit)])).iter().collect()
}

fn day(now: Timestamp) -> u16 {
    u16::try_from(now.0.div_euclid(DAY).rem_euclid(DAYS)).expect("less than 1024")
}

/// Whether a day is not too long past; `None` when it is no day.
fn is_fresh(text: &str, now: Timestamp) -> Option<bool> {
    let [high, low] = text.as_bytes() else { return None };
    let digit = |letter: &u8| DIGITS.iter().position(|digit| *digit == letter.to_ascii_uppercase());
    let written = i64::try_from(digit(high)? * 32 + digit(low)?).expect("less than 1024");
    let age = (i64::from(day(now)) - written).rem_euclid(DAYS);
    // A clock that went back makes it written tomorrow.
    Some(age <= FRESH || age == DAYS - 1)
}

/// Letters of a hash: 30 bits, and whoever tries them is a stranger who asks for unknown recipients, and is banned soon.
const HASH: usize = 6;
const DIGITS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// Milliseconds.
const DAY: i64 = 24 * 3600 * 1000;
/// The days are counted so far, and then from the beginning.
const DAYS: i64 = 1024;
/// For how many days what comes back is sent on: a host tries for five days to deliver, and another to deliver its report.
const FRESH: i64 = 21;

#[cfg(test)]
mod tests {
    use super::*;

    fn srs() -> Srs {
        Srs::new(&[7; KEY])
    }

    fn domain() -> Domain {
        Domain::parse("ours.example").expect("a domain")
    }

    fn at(days: i64) -> Timestamp {
        Timestamp(1_767_323_045_000 + days * DAY)
    }

    fn forward(sender: &str) -> Option<Mailbox> {
        srs().forward(&sender.parse().expect(sender), &domain(), at(0))
    }

    #[test]
    fn what_was_rewritten_finds_its_way_back() {
        for sender in [
            "ann@a.example",
            "Ann.Lee+tag@sub.a.example",
            "a=b=c@a.example",
            "\"with space\"@a.example",
            "\"quo\\\"te\"@a.example",
            "ann@[192.0.2.1]",
            "ann@[IPv6:2001:db8::1]",
            "SRS2=x@a.example",
            "srs0@a.example",
            "SRS1=HASH=-no.host-==x@a.example",
            "SRS1=HASH===x@a.example",
            "ünï@a.example",
        ] {
            let rewritten = forward(sender).expect(sender);
            assert_eq!(rewritten.domain(), Some(&domain()));
            assert!(rewritten.local_part().as_str().starts_with("SRS0="), "{rewritten}");
            assert!(rewritten.to_string().parse::<Mailbox>().is_ok(), "{rewritten}");
            let back = srs().back(rewritten.local_part(), at(0));
            assert_eq!(back, Some(Returned::To(sender.parse().expect(sender))), "{rewritten}");
        }
    }

    #[test]
    fn one_domain_may_stand_for_all() {
        let srs = Srs::new(&[7; KEY]).at(Some(Domain::parse("bounces.example").expect("a domain")));
        let rewritten = srs.forward(&"ann@a.example".parse().expect("an address"), &domain(), at(0));
        let rewritten = rewritten.expect("it fits");
        assert_eq!(rewritten.domain().map(Domain::ascii), Some("bounces.example"));
        let back = srs.back(rewritten.local_part(), at(0));
        assert_eq!(back, Some(Returned::To("ann@a.example".parse().expect("an address"))));
    }

    #[test]
    fn the_form_is_the_one_that_others_write() {
        let rewritten = forward("ann@A.example").expect("it fits").to_string();
        let parts: Vec<&str> = rewritten.split('=').collect();
        assert_eq!((parts[0], parts[1].len(), parts[2].len()), ("SRS0", HASH, 2), "{rewritten}");
        assert_eq!(parts[3..], ["a.example", "ann@ours.example"]);
        // 2026-01-02 is day 20455 since 1970, 999 modulo 1024: 31 times 32 and 7.
        assert_eq!(parts[2], "7H");
    }

    #[test]
    fn a_second_forwarder_names_the_first_and_a_third_too() {
        let first = "SRS0=HHHH=TT=a.example=ann@one.example";
        let second = forward(first).expect("it fits").to_string();
        assert!(second.starts_with("SRS1="), "{second}");
        assert!(second.ends_with("=one.example==HHHH=TT=a.example=ann@ours.example"), "{second}");
        let third = forward(&second.replace("ours.example", "two.example")).expect("it fits");
        assert_eq!(third.to_string(), second, "the second is left out");
        let back = srs().back(third.local_part(), at(400));
        assert_eq!(back, Some(Returned::To(first.parse().expect("an address"))), "the first knows its age");
        // Others separate otherwise.
        let plus = forward("SRS0+HHHH=TT=a.example=ann@one.example").expect("it fits");
        assert!(plus.to_string().contains("=one.example=+HHHH=TT="), "{plus}");
        let back = srs().back(plus.local_part(), at(0));
        assert_eq!(
            back,
            Some(Returned::To("SRS0+HHHH=TT=a.example=ann@one.example".parse().expect("an address")))
        );
    }

    #[test]
    fn nothing_forged_or_old_comes_back() {
        let rewritten = forward("ann@a.example").expect("it fits");
        let text = rewritten.local_part().as_str();
        let back = |text: &str, days| srs().back(&LocalPart::from_unquoted(text).expect(text), at(days));
        for changed in [
            text.replace("ann", "eve"),
            text.replace("a.example", "b.example"),
            text.replacen("=7H=", "=7I=", 1),
            format!("SRS0=AAAAAA={}", &text[12..]),
            format!("SRS0=={}", &text[12..]),
        ] {
            assert_eq!(back(&changed, 0), Some(Returned::Forged), "{changed}");
        }
        assert_eq!(Srs::new(&[8; KEY]).back(rewritten.local_part(), at(0)), Some(Returned::Forged));
        assert!(matches!(back(&text.to_lowercase(), 0), Some(Returned::To(_))), "case does not count");
        for (days, fresh) in [(-1, true), (FRESH, true), (FRESH + 1, false), (400, false), (-2, false)] {
            assert_eq!(matches!(back(text, days), Some(Returned::To(_))), fresh, "after {days} days");
        }
        let second = forward("SRS0=HHHH=TT=a.example=ann@one.example").expect("it fits");
        let changed = second.local_part().as_str().replace("one.example", "two.example");
        assert_eq!(back(&changed, 0), Some(Returned::Forged));
    }

    #[test]
    fn other_addresses_are_left_alone() {
        for text in [
            "ann",
            "SRS0",
            "SRS0x=a=b",
            "SRS0=",
            "SRS0=a=b=c",
            "SRS1=a=b",
            "SRS1=a=b=c",
            "ünï",
            "SRS9=a=b=c=d",
        ] {
            assert_eq!(srs().back(&LocalPart::from_unquoted(text).expect(text), at(0)), None, "{text}");
        }
    }

    #[test]
    fn what_does_not_fit_is_not_rewritten() {
        let long = format!("{}@a.example", "x".repeat(50));
        assert_eq!(forward(&long), None);
    }
}
