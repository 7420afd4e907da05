//! See `bodies::sasl_server`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| bodies::sasl_server(input));
