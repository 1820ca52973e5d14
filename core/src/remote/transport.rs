//! HTTP as the client needs it, implemented by the host's own stack (OkHttp, URLSession) or by `UreqTransport`.

use std::fmt;
use std::time::Duration;

/// The methods that are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET.
    Get,
    /// POST.
    Post,
}

/// A request. `Debug` shows neither the values of headers nor the body.
#[derive(Clone)]
pub struct HttpRequest {
    /// GET or POST.
    pub method: Method,
    /// The whole URL.
    pub url: String,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// Empty for GET.
    pub body: Vec<u8>,
    /// Longest wait for a connection, TLS included.
    pub connect_timeout: Duration,
    /// Longest wait for the whole reply, the connection included.
    pub timeout: Duration,
    /// Longest body of a reply; read no further, fail with [`TransportError::TooLarge`].
    pub max_reply_bytes: usize,
}

/// A reply with any status.
#[derive(Clone)]
pub struct HttpResponse {
    /// The status.
    pub status: u16,
    /// Names (in any case) and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// Why there is no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// Nobody listens, the name is unknown, or the certificate does not hold: nothing was sent.
    #[error("no connection: {0}")]
    Refused(String),
    /// The time was over.
    #[error("no reply in time")]
    TimedOut,
    /// The connection ended within a request or a reply.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// The reply is longer than allowed.
    #[error("the reply is longer than {limit} bytes")]
    TooLarge {
        /// Most bytes.
        limit: usize,
    },
}

/// Sends requests. Calls block, from any number of threads.
///
/// An implementation keeps both timeouts, follows no redirect (a token must not travel on) and logs neither headers nor
/// bodies.
pub trait HttpTransport: Send + Sync {
    /// Sends a request and reads the reply.
    ///
    /// # Errors
    /// [`TransportError`] where there is no whole reply; a status such as 500 is a reply.
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError>;
}

/// A bearer token. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// `None` for a text that is no token (RFC 6750, section 2.1): such could carry further headers.
    pub fn new(text: impl Into<String>) -> Option<Self> {
        let text = text.into();
        let is_of_token = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b);
        (!text.is_empty() && text.bytes().all(is_of_token)).then_some(Self(text))
    }

    /// The text.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// Gives tokens. The app asks its own backend for short-lived ones; it never holds a key of an engine.
pub trait TokenProvider: Send + Sync {
    /// The token at hand; `None` when the server needs none, or none is to be had. Must not wait for long.
    fn token(&self) -> Option<Token>;
    /// A new token in place of one that the server refused; asked for once a question. `None` when there is none.
    /// `within` is what is left of the time for the answer.
    fn refresh(&self, refused: &Token, within: Duration) -> Option<Token>;
}

impl HttpResponse {
    /// The first header of that name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

impl fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&String> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("HttpRequest")
            .field("method", &self.method)
            .field("url", &self.url)
            .field("headers", &names)
            .field("body_bytes", &self.body.len())
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for HttpResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpResponse")
            .field("status", &self.status)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}
