//! Fuzzes manifests.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    pocketlens_fuzz::manifest::feed(bytes);
});
