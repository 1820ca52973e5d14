//! Fuzzes what a server says.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    pocketlens_fuzz::server::feed(bytes);
});
