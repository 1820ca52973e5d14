//! Fuzzes segments of an index.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    pocketlens_fuzz::segment::feed(bytes);
});
