//! See `bodies::mta_sts`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| bodies::mta_sts(input));
