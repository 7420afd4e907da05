//! Tokens signed by keys of all kinds, and by keys that are none of ours.

use super::*;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};

pub(in crate::auth) struct Signer {
    pub(in crate::auth) jwk: Value,
    key: EncodingKey,
    algorithm: Algorithm,
}

pub(in crate::auth) fn ed25519(id: &str) -> Signer {
    let pair = Ed25519KeyPair::generate().expect("randomness");
    let x = BASE64URL_NOPAD.encode(pair.public_key().as_ref());
    let der = pair.to_pkcs8v1().expect("a key");
    Signer {
        jwk: json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": id, "use": "sig"}),
        key: EncodingKey::from_ed_der(der.as_ref()),
        algorithm: Algorithm::EdDSA,
    }
}

fn p256(id: &str) -> Signer {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("randomness");
    let point = pair.public_key().as_ref();
    let [x, y] = [&point[1..33], &point[33..]].map(|half| BASE64URL_NOPAD.encode(half));
    let der = pair.to_pkcs8v1().expect("a key");
    Signer {
        jwk: json!({"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": id, "alg": "ES256"}),
        key: EncodingKey::from_ec_der(der.as_ref()),
        algorithm: Algorithm::ES256,
    }
}

pub(in crate::auth) fn rules() -> TokenRules {
    TokenRules {
        issuer: Some("https://id.example".to_owned()),
        audience: Some("mail".to_owned()),
        scopes: Vec::new(),
        account_claim: "email".to_owned(),
    }
}

pub(in crate::auth) fn claims() -> Value {
    json!({"iss": "https://id.example", "aud": "mail", "exp": 2000, "email": "bob@b.example"})
}

pub(in crate::auth) fn sign(signer: &Signer, id: Option<&str>, claims: &Value) -> String {
    let header = Header { kid: id.map(str::to_owned), ..Header::new(signer.algorithm) };
    encode(&header, claims, &signer.key).expect("a token")
}

fn tokens(signers: &[&Signer]) -> SignedTokens {
    let keys: Vec<&Value> = signers.iter().map(|signer| &signer.jwk).collect();
    SignedTokens::new(&json!({ "keys": keys }).to_string(), rules()).expect("keys")
}

#[test]
fn a_token_of_a_key_of_the_set_is_good() {
    let (one, two) = (ed25519("one"), p256("two"));
    let tokens = tokens(&[&one, &two]);
    for (signer, id) in [(&one, "one"), (&two, "two")] {
        let token = sign(signer, Some(id), &claims());
        assert_eq!(tokens.account(&token, 1000), Ok("bob@b.example".to_owned()));
        assert_eq!(tokens.account(&token, 3000), Err(TokenError::Refused("it has expired")));
    }
}

#[test]
fn others_are_not() {
    let (one, two, stranger) = (ed25519("one"), p256("two"), ed25519("one"));
    let tokens = tokens(&[&one, &two]);
    let signature = "its signature is not good";
    let mut forged = sign(&one, Some("one"), &claims());
    let last = forged.pop().expect("not empty");
    forged.push(if last == 'A' { 'Q' } else { 'A' });
    let secret = EncodingKey::from_secret(b"guess");
    let shared = Signer { jwk: Value::Null, key: secret, algorithm: Algorithm::HS256 };
    let none = format!(
        "{}.{}.",
        BASE64URL_NOPAD.encode(br#"{"alg":"none","kid":"one"}"#),
        BASE64URL_NOPAD.encode(claims().to_string().as_bytes())
    );
    let header = Header {
        kid: Some("one".to_owned()),
        crit: Some(vec!["http://id.example/bound".to_owned()]),
        ..Header::new(one.algorithm)
    };
    let critical = encode(&header, &claims(), &one.key).expect("a token");
    let mut endless = claims();
    endless.as_object_mut().expect("an object").remove("exp");
    for (token, why) in [
        (sign(&stranger, Some("one"), &claims()), signature),
        (sign(&one, Some("two"), &claims()), signature),
        (sign(&one, Some("three"), &claims()), "it names no key of the set"),
        (sign(&one, None, &claims()), "it names no key of the set"),
        (sign(&shared, Some("one"), &claims()), signature),
        (forged, signature),
        (critical, "it asks for an extension"),
        (none, "it is not a JSON Web Token"),
        ("opaque".to_owned(), "it is not a JSON Web Token"),
        (sign(&one, Some("one"), &endless), "it never expires"),
    ] {
        assert_eq!(tokens.account(&token, 1000), Err(TokenError::Refused(why)), "{token}");
    }
}

#[test]
fn the_only_key_needs_no_name() {
    let one = ed25519("one");
    let token = sign(&one, None, &claims());
    assert!(tokens(&[&one]).account(&token, 1000).is_ok());
}

#[test]
fn a_set_without_a_key_for_signatures_is_refused() {
    let mut for_encryption = ed25519("one").jwk;
    for_encryption["use"] = json!("enc");
    let shared = json!({"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"});
    let weak = json!({"kty": "oct", "k": "c2VjcmV0"});
    for key in [for_encryption, shared, weak] {
        let set = json!({ "keys": [key] }).to_string();
        assert_eq!(SignedTokens::new(&set, rules()).err(), Some(KeySetError::Empty));
    }
    assert!(matches!(SignedTokens::new("{}", rules()), Err(KeySetError::Malformed(_))));
}
