//! See `bodies::imap_server`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| bodies::imap_server(input));
