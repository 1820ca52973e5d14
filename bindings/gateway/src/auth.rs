//! Who may ask: bearer tokens (JWT, RFC 7519) that an app's backend signs, short-lived, with one algorithm that is set
//! here and not by the token.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde::Deserialize;

/// Longest token that is looked at.
const MAX_TOKEN_BYTES: usize = 8 * 1024;
/// Shortest secret: as long as the digest (RFC 7518, section 3.2).
const MIN_SECRET_BYTES: usize = 32;
/// By how much clocks may differ.
const LEEWAY: Duration = Duration::from_secs(30);

/// What tokens are checked with.
pub struct Auth {
    key: DecodingKey,
    validation: Validation,
    max_lifetime: Duration,
}

/// The key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A secret that could be guessed.
    #[error(
        "{path}: a secret for HS256 is at least 32 bytes, found {found}; make one with `openssl rand -hex 32`"
    )]
    ShortSecret {
        /// The file.
        path: String,
        /// Its bytes, without white space around them.
        found: usize,
    },
    /// No public key.
    #[error("{path}: expected an Ed25519 public key in PEM: {reason}")]
    NotAKey {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
}

#[derive(Deserialize)]
struct Claims {
    sub: Option<String>,
    exp: u64,
    iat: Option<u64>,
}

impl Auth {
    /// Tokens signed with a secret that the backend shares (HS256): the text of a file, at least 32 bytes.
    ///
    /// # Errors
    /// [`AuthError`].
    pub fn hs256(secret: &Path) -> Result<Self, AuthError> {
        let text = read(secret)?;
        let text = text.trim_ascii();
        if text.len() < MIN_SECRET_BYTES {
            return Err(AuthError::ShortSecret {
                path: secret.display().to_string(),
                found: text.len(),
            });
        }
        Ok(Self::new(DecodingKey::from_secret(text), Algorithm::HS256))
    }

    /// Tokens signed with an Ed25519 key (EdDSA), of which the gateway knows the public half only: a PEM file.
    ///
    /// # Errors
    /// [`AuthError`].
    pub fn eddsa(public_key: &Path) -> Result<Self, AuthError> {
        let key =
            DecodingKey::from_ed_pem(&read(public_key)?).map_err(|error| AuthError::NotAKey {
                path: public_key.display().to_string(),
                reason: error.to_string(),
            })?;
        Ok(Self::new(key, Algorithm::EdDSA))
    }

    fn new(key: DecodingKey, algorithm: Algorithm) -> Self {
        let mut validation = Validation::new(algorithm);
        validation.leeway = LEEWAY.as_secs();
        validation.validate_nbf = true;
        // Whom a token is for is checked where it was set: `for_audience`.
        validation.validate_aud = false;
        Self {
            key,
            validation,
            max_lifetime: Duration::from_secs(3600),
        }
    }

    /// Tokens must name this audience.
    pub fn for_audience(mut self, audience: &str) -> Self {
        self.validation.set_audience(&[audience]);
        self.validation.validate_aud = true;
        self.validation
            .required_spec_claims
            .insert("aud".to_owned());
        self
    }

    /// Longest time from issue to expiry; an hour unless set.
    pub fn with_max_lifetime(mut self, max_lifetime: Duration) -> Self {
        self.max_lifetime = max_lifetime;
        self
    }

    /// The subject of the token in an `Authorization` header.
    ///
    /// # Errors
    /// What is wrong, without the token.
    pub(crate) fn subject(&self, header: Option<&[u8]>, now: u64) -> Result<String, &'static str> {
        let header = header.ok_or("no Authorization header; expected a bearer token")?;
        let header =
            std::str::from_utf8(header).map_err(|_| "the Authorization header is no text")?;
        let token = match header.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
            _ => return Err("expected Authorization: Bearer TOKEN"),
        };
        if token.len() > MAX_TOKEN_BYTES {
            return Err("the token is too long");
        }
        use jsonwebtoken::errors::ErrorKind;
        let claims = decode::<Claims>(token, &self.key, &self.validation)
            .map_err(|error| match error.kind() {
                ErrorKind::ExpiredSignature => "the token has expired; ask for a new one",
                ErrorKind::ImmatureSignature => "the token is not valid yet",
                ErrorKind::InvalidAudience => "the token is for another audience",
                ErrorKind::MissingRequiredClaim(_) => "the token misses a claim (exp, aud)",
                _ => "the token does not hold",
            })?
            .claims;
        let issued = claims.iat.unwrap_or(now);
        if claims.exp.saturating_sub(issued) > (self.max_lifetime + LEEWAY).as_secs() {
            return Err("the token is valid for too long; ask for a short-lived one");
        }
        Ok(claims.sub.unwrap_or_default())
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth")
            .field("algorithms", &self.validation.algorithms)
            .field("max_lifetime", &self.max_lifetime)
            .finish_non_exhaustive()
    }
}

fn read(path: &Path) -> Result<Vec<u8>, AuthError> {
    std::fs::read(path).map_err(|source| AuthError::Io {
        path: path.display().to_string(),
        source,
    })
}
