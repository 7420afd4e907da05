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

proptest! {
    #[test]
    fn headers_read_back_in_their_place_alone(header in header(), segment: u64, offset: u64, other: u64) {
        let bytes = header.encode(segment, offset);
        prop_assert_eq!(Header::decode(&bytes, segment, offset), Some(header));
        if other != 0 {
            prop_assert_eq!(Header::decode(&bytes, segment ^ other, offset), None);
            prop_assert_eq!(Header::decode(&bytes, segment, offset ^ other), None);
        }
    }

    #[test]
    fn a_changed_header_is_none(header in header(), segment: u64, offset: u64, bit in 0usize..24 * 8) {
        let mut bytes = header.encode(segment, offset);
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(Header::decode(&bytes, segment, offset), None);
    }

    #[test]
    fn any_bytes_are_refused_quietly(bytes in prop::collection::vec(any::<u8>(), 0..40), segment: u64, offset: u64) {
        prop_assert_eq!(Header::decode(&bytes, segment, offset), None);
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
    let whole = segment_header(7);
    assert_eq!(check_segment_header(&whole, 7), Ok(None));
    let changed = |at: usize, byte: u8| {
        let mut bytes = whole;
        bytes[at] = byte;
        check_segment_header(&bytes, 7).unwrap_err()
    };
    assert!(changed(0, b'x').contains("not a segment"));
    assert!(changed(8, 9).contains("version 9"));
    assert!(changed(17, 1).contains("damaged"));
    assert!(check_segment_header(&whole, 8).unwrap_err().contains("another number"));
}

/// The format on disk is a promise: these bytes must stay readable for ever.
#[test]
fn the_format_stays() {
    let header =
        Header { kind: Kind::Accepted, version: 1, last: true, batch: 32, length: 5, body_crc: 0x0403_0201 };
    let bytes = header.encode(1, 32);
    assert_eq!(bytes[..20], [b'P', b'r', 1, 4, 1, 1, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0, 1, 2, 3, 4]);
    assert_eq!(
        bytes[20..],
        crc32c::crc32c(&[&1u64.to_le_bytes()[..], &32u64.to_le_bytes(), &bytes[..20]].concat()).to_le_bytes()
    );
    assert_eq!(&segment_header(1)[..28], b"PosthLog\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0");
}
