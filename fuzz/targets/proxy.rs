//! See `bodies::proxy`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| bodies::proxy(input));
