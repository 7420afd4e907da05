//! See `bodies::downgrade`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| bodies::downgrade(input));
