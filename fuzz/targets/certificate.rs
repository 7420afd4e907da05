//! See `bodies::certificate`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| bodies::certificate(input));
