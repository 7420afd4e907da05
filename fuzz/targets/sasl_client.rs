//! See `bodies::sasl_client`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| bodies::sasl_client(input));
