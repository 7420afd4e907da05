//! See `bodies::command`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| bodies::command(input));
