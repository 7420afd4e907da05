//! See `bodies::imap_command`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| bodies::imap_command(input));
