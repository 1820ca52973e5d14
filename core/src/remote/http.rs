//! HTTP where the host has no stack of its own: ureq with rustls, for edge devices that run Linux.

use std::io;
use std::time::Duration;

use ureq::{Agent, Error, Timeout};

use super::{HttpRequest, HttpResponse, HttpTransport, Method, TransportError};

/// Keeps connections open between questions.
#[derive(Clone, Debug)]
pub struct UreqTransport(Agent);

impl Default for UreqTransport {
    fn default() -> Self {
        let config = Agent::config_builder()
            // A status such as 409 is an answer.
            .http_status_as_error(false)
            // A token must not travel on to another server.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_age(Duration::from_secs(30))
            .user_agent(concat!("pocketlens/", env!("CARGO_PKG_VERSION")))
            .build();
        Self(config.into())
    }
}

impl HttpTransport for UreqTransport {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        let mut builder = ureq::http::Request::builder().uri(&request.url);
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        let sent = match request.method {
            Method::Get => {
                let message = builder.method("GET").body(()).map_err(|error| bad_request(&error))?;
                self.0.run(limited(&self.0, message, request))
            }
            Method::Post => {
                let body = request.body.clone();
                let message = builder.method("POST").body(body).map_err(|error| bad_request(&error))?;
                self.0.run(limited(&self.0, message, request))
            }
        };
        let limit = request.max_reply_bytes;
        let (parts, mut body) = sent.map_err(|error| fault(error, limit))?.into_parts();
        let body = body
            .with_config()
            .limit(limit as u64)
            .read_to_vec()
            .map_err(|error| fault(error, limit))?;
        let headers = parts.headers.iter().map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.to_string(), value)
        });
        Ok(HttpResponse {
            status: parts.status.as_u16(),
            headers: headers.collect(),
            body,
        })
    }
}

/// With the time limits of this one request.
fn limited<B: ureq::AsSendBody>(
    agent: &Agent,
    request: ureq::http::Request<B>,
    limits: &HttpRequest,
) -> ureq::http::Request<B> {
    agent
        .configure_request(request)
        .timeout_resolve(Some(limits.connect_timeout))
        .timeout_connect(Some(limits.connect_timeout))
        .timeout_global(Some(limits.timeout))
        .build()
}

fn bad_request(error: &ureq::http::Error) -> TransportError {
    TransportError::Refused(error.to_string())
}

fn fault(error: Error, limit: usize) -> TransportError {
    match error {
        Error::BodyExceedsLimit(_) => TransportError::TooLarge { limit },
        Error::Timeout(Timeout::Resolve | Timeout::Connect) => {
            TransportError::Refused("no connection in time".to_owned())
        }
        Error::Timeout(_) => TransportError::TimedOut,
        Error::Io(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::AddrNotAvailable => TransportError::Refused(error.to_string()),
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => TransportError::TimedOut,
            _ => TransportError::Broken(error.to_string()),
        },
        Error::HostNotFound | Error::ConnectionFailed | Error::BadUri(_) | Error::Tls(_) => {
            TransportError::Refused(error.to_string())
        }
        Error::Rustls(_) => TransportError::Refused(error.to_string()),
        _ => TransportError::Broken(error.to_string()),
    }
}
