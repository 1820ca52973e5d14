//! Ed25519 (RFC 8032) over the digest of a pack's head.
//!
//! Keys are files of 64 hexadecimal digits: `openssl rand -hex 32` makes a signing key, and the
//! public one is computed from it.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use ed25519_dalek::{Signature, Signer};

use super::PackError;
use super::head::SIGNATURE_BYTES;

/// Signs packs; to be kept secret.
pub struct SigningKey(ed25519_dalek::SigningKey);

/// Recognises the packs of one signer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(ed25519_dalek::VerifyingKey);

impl SigningKey {
    /// Any 32 bytes, from a source of randomness that nobody can guess.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(bytes))
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// [`PackError::BadKey`] when it is not 64 hexadecimal digits, [`PackError::Io`].
    pub fn read(path: &Path) -> Result<Self, PackError> {
        Ok(Self::from_bytes(&read_key(path)?))
    }

    /// What devices need to recognise this signer.
    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    pub(super) fn sign(&self, digest: &[u8; 32]) -> [u8; SIGNATURE_BYTES] {
        self.0.sign(digest).to_bytes()
    }
}

impl PublicKey {
    /// The key of these 32 bytes; `None` when they are no point of the curve.
    pub fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        ed25519_dalek::VerifyingKey::from_bytes(bytes)
            .ok()
            .map(Self)
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// [`PackError::BadKey`] when it is no public key in hexadecimal, [`PackError::Io`].
    pub fn read(path: &Path) -> Result<Self, PackError> {
        Self::from_bytes(&read_key(path)?).ok_or_else(|| PackError::BadKey {
            path: path.to_owned(),
            found: "digits that are no public key".to_owned(),
        })
    }

    pub(super) fn recognises(&self, digest: &[u8; 32], signature: &[u8; SIGNATURE_BYTES]) -> bool {
        let signature = Signature::from_bytes(signature);
        self.0.verify_strict(digest, &signature).is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .as_bytes()
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey(of {})", self.public_key())
    }
}

fn read_key(path: &Path) -> Result<[u8; 32], PackError> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(1024).read_to_string(&mut text))
        .map_err(|source| PackError::Io {
            path: path.to_owned(),
            source,
        })?;
    let digits = text.trim();
    let bad = || PackError::BadKey {
        path: path.to_owned(),
        // Not the text: it may be a secret.
        found: format!("{} characters", digits.chars().count()),
    };
    if digits.len() != 64 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(bad());
    }
    let mut key = [0; 32];
    for (i, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).map_err(|_| bad())?;
    }
    Ok(key)
}
