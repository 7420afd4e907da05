//! See `bodies::imap_message`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| bodies::imap_message(input));
