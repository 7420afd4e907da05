//! See `bodies::bans`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| bodies::bans(input));
