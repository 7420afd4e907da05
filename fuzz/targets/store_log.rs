//! See `bodies::store_log`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| bodies::store_log(input));
