//! HTTP to a cluster: a host that does not answer is passed over for the next one.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

use super::super::EngineError;
use super::EngineAddress;

/// For a connection: a dead machine costs a query this much at most, and then only one.
const CONNECT: Duration = Duration::from_millis(300);
/// For a reply to a search.
const QUERY: Duration = Duration::from_millis(1500);
/// For everything else.
const OTHER: Duration = Duration::from_secs(60);

pub(super) struct Connection {
    client: Client,
    hosts: Vec<String>,
    key: Option<String>,
    /// The host that answered last.
    preferred: AtomicUsize,
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
        Ok(Self {
            client,
            hosts: address.hosts.clone(),
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

    /// A query; an answer with errors beside it is none, and is asked of the other hosts.
    pub(super) async fn graphql(&self, query: &str) -> Result<Value, EngineError> {
        let body = json!({ "query": query });
        let mut failure = None;
        for host in self.hosts_in_order() {
            let sent = self
                .send_to(host, Method::POST, "/v1/graphql", Some(&body), QUERY, false)
                .await;
            match sent.and_then(|(status, reply)| without_errors(checked(status, reply)?)) {
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
            let reason = format!("{}: {}", self.hosts[host], error.without_url());
            EngineError::Failed(reason)
        };
        let mut request = self
            .client
            .request(method, format!("{}{path}", self.hosts[host]))
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
    let reason = match &body["error"][0]["message"] {
        Value::String(reason) => reason.chars().take(500).collect(),
        _ => String::from("without a reason"),
    };
    Err(EngineError::Failed(format!(
        "Weaviate answers {status}: {reason}"
    )))
}

fn without_errors(reply: Value) -> Result<Value, EngineError> {
    match &reply["errors"][0]["message"] {
        Value::String(reason) => {
            let reason: String = reason.chars().take(500).collect();
            Err(EngineError::Failed(format!("Weaviate: {reason}")))
        }
        _ => Ok(reply),
    }
}
