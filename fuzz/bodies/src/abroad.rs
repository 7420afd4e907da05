//! What other domains and hosts say of themselves, and addresses that were rewritten here or there.

use server::mta_sts::policy::{self, Policy};
use server::srs::{KEY, Returned, Srs};
use server::tls_reports::{ENDPOINTS_MAX, Endpoint, endpoints};
use smtp::{Domain, LocalPart, Mailbox};
use store::Timestamp;

/// All of it as a policy of MTA-STS, each line as a TXT record. Holds: no panic; what is read can be written and read again, and allows the hosts that
/// it names; an identifier is short and plain.
pub fn mta_sts(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(policy) = Policy::parse(text) {
        assert_eq!(Policy::parse(&policy.lines().join("\r\n")).as_ref(), Ok(&policy));
        for host in &policy.hosts {
            assert!(policy.allows(&host.replace('*', "any")), "{host}");
        }
    }
    let texts: Vec<String> = text.lines().map(str::to_owned).collect();
    if let Some(id) = policy::identifier(&texts) {
        assert!(id.len() <= 32 && id.bytes().all(|octet| octet.is_ascii_alphanumeric()), "{id}");
    }
}

/// An address as the sender of mail that is forwarded, and its local part as what comes back. Holds: no panic; what was rewritten here is an
/// address and finds its way back; what was not is never believed.
pub fn srs(input: &[u8]) {
    const NOW: Timestamp = Timestamp(1_767_323_045_000);
    let (srs, other) = (Srs::new(&[7; KEY]), Srs::new(&[8; KEY]));
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(local_part) = LocalPart::from_unquoted(text) {
        // A hash that fits by chance is one in 2^30, with two keys one in 2^60.
        let believed = [&srs, &other].map(|srs| srs.back(&local_part, NOW));
        assert!(!believed.iter().all(|back| matches!(back, Some(Returned::To(_)))), "{text}");
    }
    let Ok(sender) = text.parse::<Mailbox>() else { return };
    let ours = Domain::parse("ours.example").expect("a domain");
    let Some(rewritten) = srs.forward(&sender, &ours, NOW) else { return };
    assert!(rewritten.to_string().parse::<Mailbox>().is_ok(), "{rewritten}");
    let back = srs.back(rewritten.local_part(), NOW);
    assert!(matches!(back, Some(Returned::To(_))), "{sender} became {rewritten}: {back:?}");
    assert_eq!(other.back(rewritten.local_part(), NOW), Some(Returned::Forged));
}

/// Each line as a TXT record that says where reports on TLS go. Holds: no panic; they are few; each is an address, or a host's name with a path
/// of it.
pub fn tls_rpt(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let texts: Vec<String> = text.lines().map(str::to_owned).collect();
    let found = endpoints(&texts);
    assert!(found.len() <= ENDPOINTS_MAX);
    for endpoint in found {
        match endpoint {
            Endpoint::Mail(mailbox) => assert_eq!(mailbox.to_string().parse(), Ok(mailbox)),
            Endpoint::Https { host, path } => {
                assert!(Domain::parse(&host).is_ok() && host.is_ascii(), "{host}");
                assert!(path.starts_with('/'), "{path}");
            }
        }
    }
}

/// A certificate as anybody can show it. Holds: no panic; its key is part of it.
pub fn certificate(input: &[u8]) {
    if let Some((says, key)) = server::tls::unverified(input) {
        assert!(says.addresses.iter().all(|address| address.len() <= input.len()));
        assert!(input.windows(key.len()).any(|octets| octets == key), "its key is not in it");
    }
}
