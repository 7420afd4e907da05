//! See `bodies::pop3_server`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| bodies::pop3_server(input));
