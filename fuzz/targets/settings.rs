//! See `bodies::settings`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| bodies::settings(input));
