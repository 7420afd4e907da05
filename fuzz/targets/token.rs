//! See `bodies::token`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| bodies::token(input));
