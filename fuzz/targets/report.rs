//! See `bodies::report`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| bodies::report(input));
