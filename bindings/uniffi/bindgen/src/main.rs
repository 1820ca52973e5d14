//! Writes the foreign side of the interface: the generator must be of the same version as the library, so it is pinned
//! with it in one workspace.
//!
//! `pocketlens-bindgen generate LIBRARY --language kotlin --out-dir DIR`

fn main() {
    uniffi::uniffi_bindgen_main();
}
