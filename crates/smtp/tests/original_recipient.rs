//! ORCPT as foreign servers write it (RFC 3461 §4.2, RFC 6533 §3).

use smtp::OriginalRecipient;

#[test]
fn utf8_in_octets_under_type_rfc822_is_understood_and_passed_on_as_it_came() {
    // Postfix 3.7 writes the original recipient of an SMTPUTF8 message like this.
    let original: OriginalRecipient = "rfc822;j+C3+BCrgen@example.net".parse().expect("its meaning is clear");
    assert_eq!((original.address_type(), original.address()), ("rfc822", "jürgen@example.net"));
    assert_eq!(original.to_string(), "rfc822;j+C3+BCrgen@example.net");
}

#[test]
fn we_write_utf8_under_its_own_type_only() {
    assert_eq!(OriginalRecipient::new("rfc822", "jürgen@example.net"), None);
    let ours = OriginalRecipient::new("utf-8", "jürgen@example.net").expect("utf-8 carries it");
    assert_eq!(ours.to_string(), "utf-8;j\\x{FC}rgen@example.net");
}

#[test]
fn octets_that_spell_no_text_are_refused() {
    for text in
        ["rfc822;j+FCrgen@example.net", "rfc822;a+0Ab@example.net", "rfc822;a+00b@example.net", "rfc822;"]
    {
        assert!(text.parse::<OriginalRecipient>().is_err(), "{text}");
    }
}
