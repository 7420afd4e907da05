use super::*;
use proptest::prelude::*;

fn header() -> impl Strategy<Value = Header> {
    let kind = any::<u8>().prop_map(Kind::of);
    (kind, any::<u8>(), any::<bool>(), any::<u32>(), any::<u32>(), any::<u32>()).prop_map(
        |(kind, version, last, batch, length, body_crc)| {
            let batch = u64::from(batch) * ALIGNMENT;
            Header { kind, version, last, batch, length, body_crc }
        },
    )
}

fn spot() -> impl Strategy<Value = Spot> {
    any::<(u32, u64, u64)>().prop_map(|(salt, segment, offset)| Spot { salt, segment, offset })
}

proptest! {
    #[test]
    fn headers_read_back_in_their_place_alone(header in header(), spot in spot(), other: u64, salt: u32) {
        let bytes = header.encode(spot);
        prop_assert_eq!(Header::decode(&bytes, spot), Some(header));
        if other != 0 {
            prop_assert_eq!(Header::decode(&bytes, Spot { segment: spot.segment ^ other, ..spot }), None);
            prop_assert_eq!(Header::decode(&bytes, Spot { offset: spot.offset ^ other, ..spot }), None);
        }
        if salt != spot.salt {
            prop_assert_eq!(Header::decode(&bytes, Spot { salt, ..spot }), None);
        }
    }

    #[test]
    fn a_changed_header_is_none(header in header(), spot in spot(), bit in 0usize..24 * 8) {
        let mut bytes = header.encode(spot);
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(Header::decode(&bytes, spot), None);
    }

    #[test]
    fn any_bytes_are_refused_quietly(bytes in prop::collection::vec(any::<u8>(), 0..40), spot in spot()) {
        prop_assert_eq!(Header::decode(&bytes, spot), None);
    }

    #[test]
    fn records_keep_their_alignment(length: u32) {
        let space = space(length);
        prop_assert_eq!(space % ALIGNMENT, 0);
        prop_assert!(space >= RECORD_HEADER + u64::from(length) && space < RECORD_HEADER + u64::from(length) + ALIGNMENT);
    }
}

#[test]
fn segment_headers_say_what_is_wrong() {
    let header = SegmentHeader { salt: 0x5EED, segment: 7, replaced_end: None };
    let whole = header.encode();
    assert_eq!(SegmentHeader::decode(&whole, 7), Ok(header));
    let changed = |at: usize, byte: u8| {
        let mut bytes = whole;
        bytes[at] = byte;
        bytes
    };
    let wrong = |bytes: [u8; 32], segment| SegmentHeader::decode(&bytes, segment).unwrap_err().to_string();
    assert!(wrong(changed(0, b'x'), 7).contains("not a segment"));
    assert!(wrong(changed(8, 9), 7).contains("damaged"));
    assert!(wrong(changed(17, 1), 7).contains("damaged"));
    assert!(wrong(whole, 8).contains("another number"));
    let mut older = changed(8, 1);
    let crc = crc32c::crc32c(&older[..28]);
    older[28..].copy_from_slice(&crc.to_le_bytes());
    assert_eq!(SegmentHeader::decode(&older, 7), Err(Flaw::Version(1)));
}

/// The format on disk is a promise: these bytes must stay readable for ever.
#[test]
fn the_format_stays() {
    let header =
        Header { kind: Kind::Accepted, version: 1, last: true, batch: 32, length: 5, body_crc: 0x0403_0201 };
    let bytes = header.encode(Spot { salt: 0, segment: 1, offset: 32 });
    assert_eq!(bytes[..20], [b'P', b'r', 1, 4, 1, 1, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0, 1, 2, 3, 4]);
    assert_eq!(
        bytes[20..],
        crc32c::crc32c(&[&1u64.to_le_bytes()[..], &32u64.to_le_bytes(), &bytes[..20]].concat()).to_le_bytes()
    );
    let salted = header.encode(Spot { salt: 0x5EED_5A17, segment: 1, offset: 32 });
    let place = [&1u64.to_le_bytes()[..], &32u64.to_le_bytes(), &bytes[..20]].concat();
    assert_eq!(salted[20..], crc32c::crc32c_append(0x5EED_5A17, &place).to_le_bytes());
    let segment = SegmentHeader { salt: 0x0403_0201, segment: 1, replaced_end: None }.encode();
    assert_eq!(&segment[..28], b"PosthLog\x03\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x01\x02\x03\x04");
}
