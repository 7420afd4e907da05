//! See `bodies::srs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| bodies::srs(input));
