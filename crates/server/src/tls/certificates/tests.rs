use super::*;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use std::fs;
use tempfile::TempDir;

/// 2026-01-02.
const NOW: Timestamp = Timestamp(1_767_323_045_000);

/// Writes a pair for these names and returns where.
fn pair(directory: &Path, name: &str, names: &[&str]) -> CertificateFiles {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let key = KeyPair::generate().expect("randomness");
    let mut parameters = CertificateParams::new(names).expect("names");
    parameters.not_after = date_time_ymd(2027, 1, 1);
    let certificate = parameters.self_signed(&key).expect("a certificate");
    let files = CertificateFiles {
        chain: directory.join(format!("{name}.crt")),
        key: directory.join(format!("{name}.key")),
    };
    fs::write(&files.chain, certificate.pem()).expect("room");
    fs::write(&files.key, key.serialize_pem()).expect("room");
    files
}

fn load(files: &[&CertificateFiles]) -> Result<Certificates, String> {
    let sources = files.iter().map(|files| ((*files).clone(), Origin::Files)).collect();
    Certificates::load(sources, NOW).map_err(|error| error.to_string())
}

fn fingerprints(certificates: &Certificates) -> Vec<Fingerprint> {
    certificates.list().into_iter().map(|view| view.fingerprint).collect()
}

#[test]
fn the_name_that_a_client_asks_for_chooses() {
    let place = TempDir::new().expect("a directory");
    let certificates = load(&[
        &pair(place.path(), "one", &["mail.one.example", "one.example"]),
        &pair(place.path(), "two", &["*.two.example"]),
    ])
    .expect("both are right");
    let current = certificates.current();
    let every = [SignatureScheme::ECDSA_NISTP256_SHA256];
    let chosen = |name: Option<&str>, schemes: &[SignatureScheme]| {
        let chosen = choose(&current, name, schemes).expect("there is always one");
        current.iter().position(|loaded| Arc::ptr_eq(&loaded.key, &chosen)).expect("one of them")
    };
    for (name, place) in [
        (Some("mail.one.example"), 0),
        (Some("MAIL.Two.Example"), 1),
        (Some("mail.two.example."), 1),
        (Some("two.example"), 0),
        (Some("a.b.two.example"), 0),
        (Some("elsewhere.example"), 0),
        (None, 0),
    ] {
        assert_eq!(chosen(name, &every), place, "{name:?}");
    }
    let only_rsa = [SignatureScheme::RSA_PSS_SHA256];
    assert_eq!(chosen(Some("mail.two.example"), &only_rsa), 0, "rustls then says that nothing fits");
}

#[test]
fn wrong_files_are_named_with_the_reason() {
    let place = TempDir::new().expect("a directory");
    let right = pair(place.path(), "right", &["one.example"]);
    let other = pair(place.path(), "other", &["two.example"]);
    let written = |name: &str, text: &str| {
        let file = place.path().join(name);
        fs::write(&file, text).expect("room");
        file
    };
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let cut = &fs::read_to_string(&right.chain).expect("it is there")[..200];
    for (chain, key, parts) in [
        (place.path().join("none.crt"), right.key.clone(), ["none.crt", "No such file"]),
        (right.chain.clone(), other.key.clone(), ["other.key", "does not belong"]),
        (right.key.clone(), right.chain.clone(), ["right.key", "swapped"]),
        (right.chain.clone(), right.chain.clone(), ["right.crt", "swapped"]),
        (written("empty.crt", ""), right.key.clone(), ["empty.crt", "BEGIN CERTIFICATE"]),
        (right.chain.clone(), written("locked.key", encrypted), ["locked.key", "password"]),
        (written("cut.crt", cut), right.key.clone(), ["cut.crt", "cut off"]),
    ] {
        let error = load(&[&CertificateFiles { chain, key }]).expect_err("it is wrong");
        assert!(parts.iter().all(|part| error.contains(part)), "{error}\nshould contain {parts:?}");
    }
}

#[test]
fn changed_files_come_into_force_and_broken_ones_do_not() {
    let place = TempDir::new().expect("a directory");
    let files = pair(place.path(), "mail", &["one.example"]);
    let certificates = load(&[&files]).expect("it is right");
    let first = fingerprints(&certificates);
    certificates.refresh(NOW);
    assert_eq!(fingerprints(&certificates), first, "nothing has changed");

    pair(place.path(), "mail", &["one.example"]);
    certificates.refresh(NOW);
    let second = fingerprints(&certificates);
    assert_ne!(second, first);

    // Half of a change: the new certificate with the old key.
    let key = fs::read(&files.key).expect("it is there");
    pair(place.path(), "mail", &["one.example"]);
    let new_key = fs::read(&files.key).expect("it is there");
    fs::write(&files.key, key).expect("room");
    certificates.refresh(NOW);
    assert_eq!(fingerprints(&certificates), second, "what does not fit is not taken");
    fs::write(&files.key, new_key).expect("room");
    certificates.refresh(NOW);
    assert_ne!(fingerprints(&certificates), second, "the other half has come");

    let third = fingerprints(&certificates);
    fs::remove_file(&files.chain).expect("it was there");
    certificates.refresh(NOW);
    assert_eq!(fingerprints(&certificates), third, "what is in force stays");
}

#[test]
fn one_that_has_still_to_come_is_no_error_and_replaces_the_servers_own() {
    let place = TempDir::new().expect("a directory");
    let own = pair(place.path(), "own", &["host.example"]);
    let files = super::super::acme_files(place.path());
    let sources = vec![(files.clone(), Origin::Acme), (own, Origin::SelfSigned)];
    let certificates = Certificates::load(sources, NOW).expect("nothing is wrong");
    assert_eq!(certificates.list()[0].origin, Origin::SelfSigned);
    let come = pair(place.path(), "come", &["host.example"]);
    let both = [fs::read(come.key), fs::read(come.chain)].map(|read| read.expect("it is there"));
    fs::write(&files.chain, both.concat()).expect("room");
    certificates.refresh(NOW);
    let origins: Vec<Origin> = certificates.list().iter().map(|view| view.origin).collect();
    assert_eq!(origins, [Origin::Acme]);
}

#[test]
fn a_name_matches_whole_labels() {
    let facts = Facts {
        names: vec!["*.one.example".to_owned(), "two.example".to_owned()],
        not_before: 0,
        not_after: 0,
        fingerprint: Fingerprint([0; 32]),
    };
    for (name, is_for) in [
        ("a.one.example", true),
        ("one.example", false),
        ("a.b.one.example", false),
        ("two.example", true),
        ("xtwo.example", false),
        ("", false),
    ] {
        assert_eq!(facts.is_for(name), is_for, "{name}");
    }
}
