//! See `bodies::dot`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| bodies::dot(input));
