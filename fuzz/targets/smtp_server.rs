//! See `bodies::smtp_server`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| bodies::smtp_server(input));
