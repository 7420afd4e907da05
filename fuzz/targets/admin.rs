//! See `bodies::admin`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| bodies::admin(input));
