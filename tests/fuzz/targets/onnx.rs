//! Fuzzes ONNX models.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    pocketlens_fuzz::onnx::feed(bytes);
});
