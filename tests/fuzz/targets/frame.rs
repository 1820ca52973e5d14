//! Fuzzes frames of a camera.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    pocketlens_fuzz::frame::feed(bytes);
});
