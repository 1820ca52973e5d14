//! The generator starts, and is of the version that the library is built with.

use std::process::Command;

#[test]
fn the_generator_is_of_the_version_of_the_library() {
    let program = Command::new(env!("CARGO_BIN_EXE_pocketlens-bindgen"))
        .arg("--version")
        .output()
        .unwrap();
    let manifest = include_str!("../../../../Cargo.toml");
    let version = String::from_utf8(program.stdout).unwrap();
    let version = version.split_whitespace().last().unwrap_or_default();
    assert!(
        !version.is_empty() && manifest.contains(&format!("uniffi = {{ version = \"={version}\"")),
        "{version:?}"
    );
}
