//! See `bodies::mender`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| bodies::mender(input));
