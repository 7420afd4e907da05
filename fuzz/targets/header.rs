//! See `bodies::header`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| bodies::header(input));
