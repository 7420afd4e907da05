//! See `bodies::smtp_client`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| bodies::smtp_client(input));
