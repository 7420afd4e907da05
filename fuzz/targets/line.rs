//! See `bodies::line`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| bodies::line(input));
