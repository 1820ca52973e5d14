//! gRPC to one host: one connection, for any number of calls at a time.

use std::error::Error;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::uri::PathAndQuery;
use prost::Message;
use tonic::client::Grpc;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use super::super::EngineError;
use super::super::cause::with_cause;
use super::connection::CONNECT;

/// Longest reply that is read.
const MAX_REPLY_BYTES: usize = 64 * 1024 * 1024;

/// A method of the service.
#[derive(Clone, Copy)]
pub(super) enum Method {
    Search,
    BatchObjects,
}

impl Method {
    fn path(self) -> PathAndQuery {
        PathAndQuery::from_static(match self {
            Self::Search => "/weaviate.v1.Weaviate/Search",
            Self::BatchObjects => "/weaviate.v1.Weaviate/BatchObjects",
        })
    }
}

pub(super) struct GrpcHost {
    endpoint: Endpoint,
    /// Made by a call, since it needs the runtime that is there then.
    channel: Mutex<Option<Channel>>,
    authorization: Option<MetadataValue<Ascii>>,
}

impl GrpcHost {
    /// # Errors
    /// [`EngineError::Failed`] for an address, or a key, that cannot be sent.
    pub(super) fn new(url: &str, key: Option<&str>) -> Result<Self, EngineError> {
        let failed =
            |error: tonic::transport::Error| EngineError::Failed(format!("{url}: {error}"));
        let endpoint = Endpoint::from_shared(url.to_owned())
            .map_err(failed)?
            .connect_timeout(CONNECT);
        #[cfg(feature = "tls")]
        let endpoint = match url.starts_with("https://") {
            true => {
                let tls = tonic::transport::ClientTlsConfig::new().with_native_roots();
                endpoint.tls_config(tls).map_err(failed)?
            }
            false => endpoint,
        };
        let authorization = key.map(|key| {
            let value = MetadataValue::try_from(format!("Bearer {key}"));
            // Not the key, which no log may show.
            value.map_err(|_| EngineError::Failed("the key holds what no header can".to_owned()))
        });
        Ok(Self {
            endpoint,
            channel: Mutex::default(),
            authorization: authorization.transpose()?,
        })
    }

    /// One call. Within a tokio runtime.
    pub(super) async fn call<Q, R>(
        &self,
        method: Method,
        message: Q,
        within: Duration,
    ) -> Result<R, EngineError>
    where
        Q: Message + 'static,
        R: Message + Default + 'static,
    {
        let mut client = Grpc::new(self.channel()).max_decoding_message_size(MAX_REPLY_BYTES);
        let mut request = Request::new(message);
        // So that the server gives up as well.
        request.set_timeout(within);
        if let Some(authorization) = &self.authorization {
            let metadata = request.metadata_mut();
            metadata.insert("authorization", authorization.clone());
        }
        let called = async {
            let ready = client.ready().await;
            ready.map_err(|error| Status::from_error(error.into()))?;
            let codec = ProstCodec::default();
            client.unary(request, method.path(), codec).await
        };
        let start = Instant::now();
        match tokio::time::timeout(within, called).await {
            Ok(Ok(reply)) => return Ok(reply.into_inner()),
            // The channel looks at the clock too, and calls it a cancellation.
            Ok(Err(status)) if start.elapsed() < within => return Err(self.error_of(&status)),
            Ok(Err(_)) | Err(_) => {}
        }
        // A machine that has vanished leaves a connection that looks sound for minutes: the next call makes its own.
        // (Signs of life are no way out: servers close connections that ask for them more than once in five minutes.)
        *self.lock() = None;
        Err(EngineError::TimedOut)
    }

    fn channel(&self) -> Channel {
        let mut channel = self.lock();
        let channel = channel.get_or_insert_with(|| self.endpoint.connect_lazy());
        channel.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Channel>> {
        self.channel.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn error_of(&self, status: &Status) -> EngineError {
        let reason: String = status.message().chars().take(500).collect();
        let host = self.endpoint.uri();
        match (status.code(), status.source()) {
            (Code::DeadlineExceeded, _) => EngineError::TimedOut,
            (Code::Unauthenticated | Code::PermissionDenied, _) => EngineError::KeyRefused(reason),
            // A connection that failed.
            (_, Some(error)) => EngineError::Failed(format!("{host}: {}", with_cause(error))),
            (code, None) => {
                EngineError::Failed(format!("{host}: Weaviate answers {code:?}: {reason}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::{Body, Bytes};
    use axum::http::{HeaderMap, Response};
    use http_body_util::{BodyExt, Full};

    use super::super::protocol::{SearchReply, SearchRequest, SearchResult};
    use super::*;

    /// A server that answers every call with these bytes and this status.
    async fn host(body: Vec<u8>, status: &'static str) -> GrpcHost {
        let answer = move || {
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", status.parse().unwrap());
            trailers.insert("grpc-message", "because".parse().unwrap());
            let body = Full::new(Bytes::from(body.clone()));
            let body = body.with_trailers(async { Some(Ok(trailers)) });
            let mut response = Response::new(Body::new(body));
            let headers = response.headers_mut();
            headers.insert("content-type", "application/grpc".parse().unwrap());
            async { response }
        };
        serve(Router::new().fallback(answer)).await
    }

    async fn serve(router: Router) -> GrpcHost {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async { axum::serve(listener, router).await });
        GrpcHost::new(&url, Some("a key")).unwrap()
    }

    async fn asked(host: &GrpcHost, within: Duration) -> Result<SearchReply, EngineError> {
        let request = SearchRequest::default();
        host.call(Method::Search, request, within).await
    }

    fn framed(length: usize, message: &[u8]) -> Vec<u8> {
        let head = [&[0][..], &(length as u32).to_be_bytes()];
        [&head.concat(), message].concat()
    }

    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_reply_arrives() {
        let reply = SearchReply {
            results: vec![SearchResult::default()],
        };
        let message = reply.encode_to_vec();
        let host = host(framed(message.len(), &message), "0").await;
        assert_eq!(asked(&host, LONG).await.unwrap(), reply);
    }

    #[tokio::test]
    async fn what_is_no_reply_is_an_error() {
        let cases = [
            ("nothing", Vec::new()),
            ("no frame", b"<html>".to_vec()),
            ("half a frame", framed(100, &[18, 0])),
            ("a frame without end", framed(u32::MAX as usize, &[18, 0])),
            ("no message", framed(4, &[0xff; 4])),
            ("another message", framed(2, &[16, 1])),
            ("a field that ends early", framed(2, &[18, 90])),
            ("compressed, unasked", [&[1][..], &[0; 4]].concat()),
        ];
        for (what, body) in cases {
            let answer = asked(&host(body, "0").await, LONG).await;
            assert!(
                matches!(answer, Err(EngineError::Failed(_))),
                "{what}: {answer:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_status_says_whose_fault_it_is() {
        let answer = |status| async move { asked(&host(Vec::new(), status).await, LONG).await };
        for status in ["7", "16"] {
            let Err(EngineError::KeyRefused(reason)) = answer(status).await else {
                panic!("{status}: the key is refused");
            };
            assert_eq!(reason, "because");
        }
        assert!(matches!(answer("4").await, Err(EngineError::TimedOut)));
        assert!(matches!(answer("14").await, Err(EngineError::Failed(_))));
        assert!(matches!(answer("what").await, Err(EngineError::Failed(_))));
    }

    #[tokio::test]
    async fn silence_and_a_closed_port_end_in_time() {
        let silent = Router::new().fallback(std::future::pending::<()>);
        let silent = serve(silent).await;
        let answer = asked(&silent, Duration::from_millis(50)).await;
        assert!(matches!(answer, Err(EngineError::TimedOut)));
        assert!(silent.lock().is_none());
        let closed = GrpcHost::new("http://127.0.0.1:1", None).unwrap();
        let answer = asked(&closed, LONG).await;
        assert!(matches!(answer, Err(EngineError::Failed(_))));
    }

    #[test]
    fn a_key_that_no_header_can_hold_is_not_shown() {
        let Err(error) = GrpcHost::new("http://a:1", Some("line\nbreak")) else {
            panic!("no such header");
        };
        assert!(!error.to_string().contains("break"));
    }
}
