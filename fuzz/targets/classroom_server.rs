//! See `bodies::classroom_server`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| bodies::classroom_server(input));
