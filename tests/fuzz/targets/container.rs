//! Fuzzes headers of containers.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    pocketlens_fuzz::container::feed(bytes);
});
