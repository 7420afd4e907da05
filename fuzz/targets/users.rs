//! See `bodies::users`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| bodies::users(input));
