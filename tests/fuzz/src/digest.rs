//! The digests that a reader wants to see, so that what lies behind them is reached.

use sha2::{Digest, Sha256};

/// SHA-256 in hexadecimal.
pub fn hexadecimal(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A manifest of its fields: `{` and all of them, without the last `}`.
pub fn signed(body: &str) -> String {
    let body = format!("{body},\n  \"sha256\": \"");
    format!("{body}{}\"\n}}\n", hexadecimal(body.as_bytes()))
}
