//! The gateway on a socket: limits on slow clients, TLS where it is wanted, and an end that lets requests finish.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum_server::Handle;
// A reply goes out when it is there, not when the one before it is acknowledged.
use axum_server::accept::NoDelayAcceptor;
#[cfg(feature = "tls")]
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use hyper_util::rt::TokioTimer;

use crate::Gateway;

/// Longest wait for the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// Certificate chain and private key in PEM.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The chain, the server's own certificate first.
    pub certificates: PathBuf,
    /// The key.
    pub key: PathBuf,
}

/// Why nothing can be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is taken, or not of this machine.
    #[error("{address}: {source}; choose another address with --bind")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Certificate or key cannot be used.
    #[error("{}, {}: {source}", files.certificates.display(), files.key.display())]
    Tls {
        /// The files.
        files: TlsFiles,
        /// What is wrong.
        source: io::Error,
    },
    /// The library was built without TLS.
    #[error("this build has no TLS (feature `tls`); put a proxy in front")]
    NoTls,
    /// The socket failed while serving.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A gateway that is bound to an address and not yet running.
pub struct Serving {
    listener: TcpListener,
    address: SocketAddr,
    router: Router,
    handle: Handle<SocketAddr>,
    grace: Duration,
}

impl Serving {
    /// Binds to `address`; port 0 takes a free one.
    ///
    /// # Errors
    /// [`ServeError::Bind`].
    pub fn bind(gateway: Gateway, address: SocketAddr) -> Result<Self, ServeError> {
        let bound = TcpListener::bind(address).and_then(|listener| {
            listener.set_nonblocking(true)?;
            Ok((listener.local_addr()?, listener))
        });
        let (bound, listener) = bound.map_err(|source| ServeError::Bind { address, source })?;
        Ok(Self {
            listener,
            address: bound,
            grace: gateway.options().shutdown_grace,
            router: gateway.router(),
            handle: Handle::new(),
        })
    }

    /// Where it is bound to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops the serving when called: no new connections, and what runs may end within the grace.
    pub fn stopper(&self) -> Arc<dyn Fn() + Send + Sync> {
        let (handle, grace) = (self.handle.clone(), self.grace);
        Arc::new(move || handle.graceful_shutdown(Some(grace)))
    }

    /// Serves until it is stopped.
    ///
    /// # Errors
    /// [`ServeError`] for a socket that fails, or certificates that cannot be used.
    pub async fn run(self, tls: Option<&TlsFiles>) -> Result<(), ServeError> {
        let service = self
            .router
            .into_make_service_with_connect_info::<SocketAddr>();
        match tls {
            None => {
                let server = axum_server::from_tcp(self.listener)?.acceptor(NoDelayAcceptor);
                let mut server = server.handle(self.handle);
                limit_heads(&mut server);
                Ok(server.serve(service).await?)
            }
            #[cfg(feature = "tls")]
            Some(files) => {
                // One provider a process; another part of it may have chosen before.
                let _ = rustls::crypto::ring::default_provider().install_default();
                let config = RustlsConfig::from_pem_file(&files.certificates, &files.key)
                    .await
                    .map_err(|source| ServeError::Tls {
                        files: files.clone(),
                        source,
                    })?;
                let acceptor = RustlsAcceptor::new(config).acceptor(NoDelayAcceptor);
                let server = axum_server::from_tcp(self.listener)?.acceptor(acceptor);
                let mut server = server.handle(self.handle);
                limit_heads(&mut server);
                Ok(server.serve(service).await?)
            }
            #[cfg(not(feature = "tls"))]
            Some(_) => Err(ServeError::NoTls),
        }
    }
}

/// A client that sends its head byte by byte does not keep a connection for ever.
fn limit_heads<A>(server: &mut axum_server::Server<SocketAddr, A>) {
    let builder = server.http_builder();
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(64 * 1024);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(Duration::from_secs(20)))
        .max_concurrent_streams(128);
}
