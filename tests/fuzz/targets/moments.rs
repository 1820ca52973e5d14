//! Fuzzes moments of bundles.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    pocketlens_fuzz::moments::feed(bytes);
});
