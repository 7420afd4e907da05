//! See `bodies::tls_rpt`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| bodies::tls_rpt(input));
