//! A cluster's hosts: one that does not answer is passed over for the next one. Searches and batches go by gRPC; the schema,
//! and what concerns single objects, by REST.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use prost::Message;
use reqwest::{Client, Method, StatusCode};
use serde_json::Value;

use super::super::EngineError;
use super::super::cause::with_cause;
use super::EngineAddress;
use super::grpc::{self, GrpcHost};
use super::protocol::{BatchObjectsReply, BatchObjectsRequest, SearchReply, SearchRequest};

/// For a connection: a dead machine costs a query this much at most, and then only one.
pub(super) const CONNECT: Duration = Duration::from_millis(300);
/// For a reply to a search.
const QUERY: Duration = Duration::from_millis(1500);
/// For everything else.
const OTHER: Duration = Duration::from_secs(60);

pub(super) struct Connection {
    client: Client,
    hosts: Vec<Host>,
    key: Option<String>,
    /// The host that answered last.
    preferred: AtomicUsize,
}

struct Host {
    rest: String,
    grpc: GrpcHost,
}

impl Connection {
    pub(super) fn new(address: &EngineAddress, key: Option<String>) -> Result<Self, EngineError> {
        #[cfg(feature = "tls")]
        {
            // One provider a process; another part of it may have chosen before.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let client = Client::builder()
            .connect_timeout(CONNECT)
            .pool_max_idle_per_host(64)
            .no_proxy()
            .build()
            .map_err(|error| EngineError::Failed(error.to_string()))?;
        let hosts = address.hosts.iter().map(|host| {
            Ok(Host {
                rest: host.rest.clone(),
                grpc: GrpcHost::new(&host.grpc, key.as_deref())?,
            })
        });
        Ok(Self {
            client,
            hosts: hosts.collect::<Result<_, EngineError>>()?,
            key,
            preferred: AtomicUsize::new(0),
        })
    }

    /// `None` where there is nothing (404).
    pub(super) async fn get(&self, path: &str) -> Result<Option<Value>, EngineError> {
        match self.send(Method::GET, path, None, OTHER).await? {
            (StatusCode::NOT_FOUND, _) => Ok(None),
            (status, body) => checked(status, body).map(Some),
        }
    }

    /// The same of the schema as the node that is asked knows it: an answer also while the cluster has no leader.
    pub(super) async fn get_local(&self, path: &str) -> Result<Option<Value>, EngineError> {
        // Nodes ask their leader unless told not to.
        match self.send_with(Method::GET, path, None, QUERY, true).await? {
            (StatusCode::NOT_FOUND, _) => Ok(None),
            (status, body) => checked(status, body).map(Some),
        }
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value, EngineError> {
        let (status, body) = self.send(Method::POST, path, Some(body), OTHER).await?;
        checked(status, body)
    }

    pub(super) async fn put(&self, path: &str, body: &Value) -> Result<Value, EngineError> {
        let (status, body) = self.send(Method::PUT, path, Some(body), OTHER).await?;
        checked(status, body)
    }

    /// Deletes; what is not there is no error.
    pub(super) async fn delete(&self, path: &str, body: Option<&Value>) -> Result<(), EngineError> {
        match self.send(Method::DELETE, path, body, OTHER).await? {
            (StatusCode::NOT_FOUND, _) => Ok(()),
            (status, body) => checked(status, body).map(|_| ()),
        }
    }

    /// A search that is waited for no longer than `within`.
    pub(super) async fn search(
        &self,
        request: &SearchRequest,
        within: Duration,
    ) -> Result<SearchReply, EngineError> {
        let within = within.min(QUERY);
        self.call(grpc::Method::Search, request, within).await
    }

    /// Objects that are read without a hurry.
    pub(super) async fn list(&self, request: &SearchRequest) -> Result<SearchReply, EngineError> {
        self.call(grpc::Method::Search, request, OTHER).await
    }

    /// Stores objects.
    pub(super) async fn batch(
        &self,
        request: &BatchObjectsRequest,
    ) -> Result<BatchObjectsReply, EngineError> {
        self.call(grpc::Method::BatchObjects, request, OTHER).await
    }

    async fn call<Q, R>(
        &self,
        method: grpc::Method,
        message: &Q,
        within: Duration,
    ) -> Result<R, EngineError>
    where
        Q: Message + Clone + 'static,
        R: Message + Default + 'static,
    {
        let mut failure = None;
        for host in self.hosts_in_order() {
            let grpc = &self.hosts[host].grpc;
            match grpc.call(method, message.clone(), within).await {
                Ok(reply) => {
                    self.preferred.store(host, Ordering::Relaxed);
                    return Ok(reply);
                }
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.expect("there is a host"))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        timeout: Duration,
    ) -> Result<(StatusCode, Value), EngineError> {
        self.send_with(method, path, body, timeout, false).await
    }

    async fn send_with(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        timeout: Duration,
        local: bool,
    ) -> Result<(StatusCode, Value), EngineError> {
        let mut failure = None;
        for host in self.hosts_in_order() {
            match self
                .send_to(host, method.clone(), path, body, timeout, local)
                .await
            {
                // A node without a quorum around it.
                Ok((status, reply)) if status.is_server_error() => {
                    failure = checked(status, reply).err();
                }
                Ok(reply) => {
                    self.preferred.store(host, Ordering::Relaxed);
                    return Ok(reply);
                }
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.expect("there is a host"))
    }

    fn hosts_in_order(&self) -> impl Iterator<Item = usize> {
        let (first, count) = (self.preferred.load(Ordering::Relaxed), self.hosts.len());
        (0..count).map(move |at| (first + at) % count)
    }

    async fn send_to(
        &self,
        host: usize,
        method: Method,
        path: &str,
        body: Option<&Value>,
        timeout: Duration,
        local: bool,
    ) -> Result<(StatusCode, Value), EngineError> {
        let failed = |error: reqwest::Error| {
            // Without the URL, which could be long; the host says enough.
            let reason = with_cause(&error.without_url());
            let reason = format!("{}: {reason}", self.hosts[host].rest);
            EngineError::Failed(reason)
        };
        let mut request = self
            .client
            .request(method, format!("{}{path}", self.hosts[host].rest))
            .timeout(timeout);
        if local {
            request = request.header("consistency", "false");
        }
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let reply = request.send().await.map_err(failed)?;
        let status = reply.status();
        let bytes = reply.bytes().await.map_err(failed)?;
        // Some replies have no body.
        Ok((
            status,
            serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        ))
    }
}

fn checked(status: StatusCode, body: Value) -> Result<Value, EngineError> {
    if status.is_success() {
        return Ok(body);
    }
    let reason = body["error"][0]["message"].as_str();
    let reason = reason.or(body["message"].as_str());
    let reason: String = match reason {
        Some(reason) => reason.chars().take(500).collect(),
        None => "without a reason".to_owned(),
    };
    let reason = format!("Weaviate answers {status}: {reason}");
    Err(match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => EngineError::KeyRefused(reason),
        _ => EngineError::Failed(reason),
    })
}
