//! Against name servers on loopback: one with a signed zone, and one that says of itself that it validates.

use super::*;
use hickory_resolver::proto::dnssec::crypto::Ed25519SigningKey;
use hickory_resolver::proto::dnssec::rdata::DNSKEY;
use hickory_resolver::proto::dnssec::{DnssecSigner, SigningKey};
use hickory_resolver::proto::op::Message;
use hickory_resolver::proto::rr::rdata::tlsa::{CertUsage, Matching, Selector};
use hickory_resolver::proto::rr::rdata::{A, CNAME, MX, SOA, TLSA, TXT};
use hickory_resolver::proto::rr::{LowerName, Record};
use hickory_resolver::proto::serialize::binary::{BinDecodable, BinEncodable};
use hickory_server::Server;
use hickory_server::store::in_memory::InMemoryZoneHandler;
use hickory_server::zone_handler::{AxfrPolicy, Catalog, ZoneType};
use std::sync::Arc;
use tokio::net::UdpSocket;

fn name(text: &str) -> Name {
    Name::from_ascii(text).expect("a name")
}

/// A name server for `example.`, and its key.
struct Zone {
    _server: Server<Catalog>,
    address: SocketAddr,
    anchors: TrustAnchors,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Signed {
    Yes,
    No,
}

impl Zone {
    async fn new(signed: Signed) -> Zone {
        let origin = name("example.");
        let mut zone: InMemoryZoneHandler = InMemoryZoneHandler::empty(
            origin.clone(),
            ZoneType::Primary,
            AxfrPolicy::Deny,
            (signed == Signed::Yes).then_some(hickory_server::dnssec::NxProofKind::Nsec),
        );
        let soa = SOA::new(name("ns.example."), name("root.example."), 1, 3600, 600, 86400, 60);
        let tlsa = TLSA::new(CertUsage::DaneEe, Selector::Spki, Matching::Sha256, vec![7; 32]);
        for (owner, data) in [
            ("example.", RData::SOA(soa)),
            ("a.example.", RData::MX(MX::new(10, name("mx.a.example.")))),
            ("mx.a.example.", RData::A(A::new(203, 0, 113, 1))),
            ("alias.a.example.", RData::CNAME(CNAME(name("mx.a.example.")))),
            ("_25._tcp.mx.a.example.", RData::TLSA(tlsa)),
            ("_mta-sts.a.example.", RData::TXT(TXT::new(vec!["v=STSv1; ".to_owned(), "id=1".to_owned()]))),
        ] {
            zone.upsert_mut(Record::from_rdata(name(owner), 60, data), 1);
        }
        let key = Ed25519SigningKey::from_pkcs8(&Ed25519SigningKey::generate_pkcs8().expect("randomness"))
            .expect("a key");
        let public = key.to_public_key().expect("it has one");
        let mut anchors = TrustAnchors::empty();
        anchors.insert_with_name(&public, LowerName::from(origin.clone()));
        if signed == Signed::Yes {
            let signer = DnssecSigner::new(
                DNSKEY::from_key(&public),
                Box::new(key),
                origin.clone(),
                Duration::from_secs(86400),
            );
            zone.add_zone_signing_key_mut(signer).expect("it can sign");
            zone.secure_zone_mut().expect("it is signed");
        }
        let mut catalog = Catalog::new();
        catalog.upsert(origin.into(), vec![Arc::new(zone)]);
        let mut server = Server::new(catalog);
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        let address = socket.local_addr().expect("it has one");
        let listener = tokio::net::TcpListener::bind(address).await.expect("the same port");
        server.register_socket(socket);
        server.register_listener(listener, Duration::from_secs(5), 16);
        Zone { _server: server, address, anchors }
    }

    fn resolver(&self, dnssec: Dnssec) -> Resolver {
        Resolver::anchored(&[self.address], dnssec, self.anchors.clone())
    }
}

fn domain(name: &str) -> Domain {
    Domain::parse(name).expect("a domain")
}

#[tokio::test]
async fn a_signed_zone_proves_what_it_says() {
    let zone = Zone::new(Signed::Yes).await;
    let resolver = zone.resolver(Dnssec::Validate);
    let exchanges = resolver.exchanges(&domain("a.example")).await;
    let expected = vec![Exchange { preference: 10, name: "mx.a.example".to_owned() }];
    assert_eq!((exchanges.lookup, exchanges.authenticity), (Lookup::Found(expected), Authenticity::Proven));
    let address = Lookup::Found(vec!["203.0.113.1".parse().expect("an address")]);
    let addresses = resolver.addresses("mx.a.example").await;
    assert_eq!((addresses.lookup, addresses.authenticity), (address.clone(), Authenticity::Proven));
    let addresses = resolver.addresses("alias.a.example").await;
    assert_eq!(
        addresses,
        Answer {
            lookup: address,
            authenticity: Authenticity::Proven,
            canonical: Some("mx.a.example".to_owned())
        }
    );
    let tlsa = Tlsa { usage: 3, selector: 1, matching: 1, data: vec![7; 32] };
    let associations = resolver.associations("_25._tcp.mx.a.example").await;
    assert_eq!(
        (associations.lookup, associations.authenticity),
        (Lookup::Found(vec![tlsa]), Authenticity::Proven)
    );
    let texts = resolver.texts("_mta-sts.a.example").await;
    assert_eq!(texts.lookup, Lookup::Found(vec!["v=STSv1; id=1".to_owned()]));
    // One label below the zone: for deeper names this server proves too little.
    assert_eq!(resolver.addresses("gone.example").await.lookup, Lookup::NoName);
    assert_eq!(resolver.exchanges(&domain("mx.a.example")).await.lookup, Lookup::NoRecords);
}

#[tokio::test]
async fn what_should_be_signed_and_is_not_is_no_answer() {
    let zone = Zone::new(Signed::No).await;
    let resolver = zone.resolver(Dnssec::Validate);
    for lookup in
        [resolver.addresses("mx.a.example").await.lookup, resolver.addresses("gone.a.example").await.lookup]
    {
        assert!(matches!(lookup, Lookup::Failed(_)), "{lookup:?}");
    }
    assert!(matches!(resolver.associations("_25._tcp.gone.example").await.lookup, Lookup::Failed(_)));
}

#[tokio::test]
async fn without_validation_nothing_is_proven() {
    let zone = Zone::new(Signed::Yes).await;
    for dnssec in [Dnssec::Off, Dnssec::Resolver] {
        let resolver = zone.resolver(dnssec);
        let found = resolver.associations("_25._tcp.mx.a.example").await;
        assert!(matches!(found.lookup, Lookup::Found(_)));
        assert_eq!(
            found.authenticity,
            Authenticity::Unknown,
            "{dnssec:?}: this server does not say that it validates"
        );
    }
}

/// A name server that answers every question for addresses with 203.0.113.1, and AD to whoever asks for that.
async fn claims_to_validate() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    let address = socket.local_addr().expect("it has one");
    tokio::spawn(async move {
        let mut buffer = [0; 1500];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
            let question = Message::from_bytes(&buffer[..length]).expect("a question");
            let query = question.queries.first().expect("one").clone();
            let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
            answer.metadata.authentic_data = question.metadata.authentic_data;
            if query.query_type() == RecordType::A {
                answer.add_answer(Record::from_rdata(
                    query.name().clone(),
                    60,
                    RData::A(A::new(203, 0, 113, 1)),
                ));
            }
            answer.add_query(query);
            let bytes = answer.to_bytes().expect("it can be written");
            socket.send_to(&bytes, peer).await.expect("it is sent");
        }
    });
    address
}

#[tokio::test]
async fn a_name_server_on_this_machine_is_believed_if_it_is_to_be() {
    let server = claims_to_validate().await;
    for (dnssec, expected) in [(Dnssec::Resolver, Authenticity::Proven), (Dnssec::Off, Authenticity::Unknown)]
    {
        let resolver = Resolver::new(&[server], dnssec);
        for turn in ["asked", "remembered"] {
            let answer = resolver.addresses("mx.example").await;
            assert!(matches!(answer.lookup, Lookup::Found(_)), "{:?}", answer.lookup);
            assert_eq!(answer.authenticity, expected, "{dnssec:?}, {turn}");
        }
    }
}
