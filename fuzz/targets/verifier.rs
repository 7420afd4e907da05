//! See `bodies::verifier`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| bodies::verifier(input));
