//! Fuzzes model bundles.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    pocketlens_fuzz::bundle::feed(bytes);
});
