//! TLS to a database, its certificate checked as the system checks those of web servers; `SSL_CERT_FILE` names other
//! roots on Linux, such as that of a database with a certificate of its own.

use rustls::ClientConfig;
use rustls_platform_verifier::ConfigVerifierExt;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::super::EngineError;

/// # Errors
/// [`EngineError::Failed`] where the system has no roots.
pub(super) fn checked() -> Result<MakeRustlsConnect, EngineError> {
    // One provider a process; another part of it may have chosen before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = ClientConfig::with_platform_verifier();
    let config = config.map_err(|error| EngineError::Failed(format!("no TLS: {error}")))?;
    Ok(MakeRustlsConnect::new(config))
}
