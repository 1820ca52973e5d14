//! The client of the contract: asks over a transport, within one deadline, and knows when to leave a server alone.
//!
//! Before the first vector leaves, the server must have said that its index is of the same model. A server that says
//! otherwise, then or later (409), is never sent a vector of that model again.

mod exchange;
mod state;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::cache::Key;
use super::contract::{Dtype, META_PATH, Meta, SEARCH_PATH, SearchReply, SearchRequest};
use super::deadline::Deadline;
use super::{
    Blocked, Clock, EncodedVector, HttpTransport, Method, RemoteAnswer, RemoteError, RemoteQuery,
    RemoteSearch, SourcedHit, SystemClock, TokenProvider,
};
use crate::fingerprint::Fingerprint;
use crate::lens::Source;
use state::State;

/// Most hits that are asked for.
const MAX_K: usize = 1000;
/// Most models whose meta is remembered.
const MAX_MODELS: usize = 8;
/// Longest index version that is remembered.
const MAX_VERSION_BYTES: usize = 256;

/// Limits on one question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientOptions {
    /// From the question to the answer, retries included; 1.5 s.
    pub deadline: Duration,
    /// For a connection; 600 ms.
    pub connect: Duration,
    /// Longest reply; 1 MiB.
    pub max_reply_bytes: usize,
    /// Least time between two calls of a live session; 1 s.
    pub live_interval: Duration,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            deadline: Duration::from_millis(1500),
            connect: Duration::from_millis(600),
            max_reply_bytes: 1 << 20,
            live_interval: Duration::from_secs(1),
        }
    }
}

/// Asks one server. Can be used from any number of threads; they share cache, breaker and pace.
pub struct Client {
    base_url: String,
    transport: Arc<dyn HttpTransport>,
    tokens: Option<Arc<dyn TokenProvider>>,
    clock: Arc<dyn Clock>,
    options: ClientOptions,
    state: Mutex<State>,
}

/// The base URL of a server is not usable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{url:?} is no address of a server: expected https://HOST, or http:// for this machine (localhost, 127.0.0.1, [::1])"
)]
pub struct BadUrl {
    /// What was given.
    pub url: String,
}

impl Client {
    /// A client of the server at `base_url`, such as `https://search.example.org`: the paths of the contract are put
    /// behind it. Sends nothing yet.
    ///
    /// # Errors
    /// [`BadUrl`] unless it is https, or http to this machine: descriptors and tokens do not travel in the clear.
    pub fn new(base_url: &str, transport: Arc<dyn HttpTransport>) -> Result<Self, BadUrl> {
        let base_url = base_url.trim_end_matches('/');
        if !is_private(base_url) {
            let url = base_url.to_owned();
            return Err(BadUrl { url });
        }
        Ok(Self {
            base_url: base_url.to_owned(),
            transport,
            tokens: None,
            clock: Arc::new(SystemClock::default()),
            options: ClientOptions::default(),
            state: Mutex::default(),
        })
    }

    /// Sends bearer tokens of this provider.
    pub fn with_tokens(mut self, tokens: Arc<dyn TokenProvider>) -> Self {
        self.tokens = Some(tokens);
        self
    }

    /// Other limits than the default ones.
    pub fn with_options(mut self, options: ClientOptions) -> Self {
        self.options = options;
        self
    }

    /// Another clock than the system's, for tests.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Asks what the server has for descriptors of this model, so that the first question need not; blocks up to the
    /// deadline. A server without that model tells which one it has.
    ///
    /// # Errors
    /// As [`RemoteSearch::search`].
    pub fn meta(&self, model: Fingerprint) -> Result<Meta, RemoteError> {
        let mut deadline = Deadline::new(self.clock.now(), self.options.deadline);
        self.admit(model, false)?;
        self.fetch_meta(model, &mut deadline)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // What it guards is sound at every step: a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes leave to send.
    fn admit(&self, model: Fingerprint, live: bool) -> Result<(), RemoteError> {
        let now = self.clock.now();
        let mut state = self.state();
        if let Some(blocked) = state.blocked(model, live, now, self.options.live_interval) {
            return Err(RemoteError::Blocked(blocked));
        }
        if !state.breaker.admit(now) {
            return Err(RemoteError::Blocked(Blocked::BreakerOpen));
        }
        if live {
            state.last_live = Some(now);
        }
        Ok(())
    }

    fn fetch_meta(&self, model: Fingerprint, deadline: &mut Deadline) -> Result<Meta, RemoteError> {
        let path = format!("{META_PATH}?model_id={model}");
        let reply = self.exchange(Method::Get, &path, &[], deadline)?;
        let meta: Meta = self.understood(&reply)?;
        if meta.index_version.len() > MAX_VERSION_BYTES {
            return Err(self.bad_reply("an index_version of at most 256 bytes was expected"));
        }
        let mut state = self.state();
        if meta.model_id == model {
            state.cache.at_version(model, &meta.index_version);
            // A device has one model, and for a while the one before it.
            if state.metas.len() >= MAX_MODELS {
                state.metas.clear();
            }
            state.metas.insert(model, meta.clone());
        }
        Ok(meta)
    }

    /// The server's meta, known to be of this model.
    fn checked_meta(
        &self,
        query: &RemoteQuery<'_>,
        deadline: &mut Deadline,
    ) -> Result<Meta, RemoteError> {
        let descriptor = query.descriptor;
        let known = self.state().metas.get(&descriptor.fingerprint).cloned();
        let meta = match known {
            Some(meta) => meta,
            None => self.fetch_meta(descriptor.fingerprint, deadline)?,
        };
        if (meta.model_id, meta.dim) != (descriptor.fingerprint, descriptor.values.len()) {
            return Err(self.refuse_model(descriptor.fingerprint));
        }
        Ok(meta)
    }

    fn refuse_model(&self, model: Fingerprint) -> RemoteError {
        self.state().refused.insert(model);
        RemoteError::WrongModel { model }
    }

    fn ask(&self, query: &RemoteQuery<'_>, key: Key) -> Result<RemoteAnswer, RemoteError> {
        let mut deadline = Deadline::new(self.clock.now(), self.options.deadline);
        let descriptor = query.descriptor;
        let mut request = SearchRequest {
            model_id: descriptor.fingerprint,
            dim: descriptor.values.len(),
            dtype: Dtype::F16,
            vector: EncodedVector::of(&descriptor.values)?,
            k: query.k,
            filter: query.filter.cloned(),
            group_by: query.group_by.map(ToString::to_string),
            deadline_ms: None,
        };
        self.admit(descriptor.fingerprint, query.live)?;
        let meta = self.checked_meta(query, &mut deadline)?;
        let left = deadline.left(self.clock.now()).as_millis();
        request.deadline_ms = Some(u32::try_from(left).unwrap_or(u32::MAX));
        let body = serde_json::to_vec(&request)
            .map_err(|error| RemoteError::BadQuery(error.to_string()))?;
        let reply = self
            .exchange(Method::Post, SEARCH_PATH, &body, &mut deadline)
            .map_err(|error| match error {
                RemoteError::Server { status: 409, .. } => {
                    self.refuse_model(descriptor.fingerprint)
                }
                other => other,
            })?;
        let reply: SearchReply = self.understood(&reply)?;
        self.answer(query, key, reply, meta)
    }

    fn answer(
        &self,
        query: &RemoteQuery<'_>,
        key: Key,
        reply: SearchReply,
        meta: Meta,
    ) -> Result<RemoteAnswer, RemoteError> {
        let finite = |score: f32| (-1.01..=1.01).contains(&score);
        let scores = reply.hits.iter().map(|hit| hit.score);
        if !scores.chain(reply.rival).all(finite) {
            return Err(self.bad_reply("scores of -1 to 1 were expected"));
        }
        if reply.index_version.len() > MAX_VERSION_BYTES {
            return Err(self.bad_reply("an index_version of at most 256 bytes was expected"));
        }
        let hits = reply.hits.into_iter().take(query.k).map(|hit| SourcedHit {
            group: hit.group.unwrap_or_else(|| hit.key.clone()),
            key: hit.key,
            score: hit.score,
            payload: hit.payload,
            votes: hit.votes,
            source: Source::Server,
        });
        let answer = RemoteAnswer {
            hits: hits.collect(),
            gone: reply.gone,
            rival: reply.rival,
            calibration: meta.calibration,
        };
        let mut state = self.state();
        let model = query.descriptor.fingerprint;
        if state.cache.at_version(model, &reply.index_version) {
            // The calibration of the new index is asked for with the next question.
            state.metas.remove(&model);
        }
        let ttl = Duration::from_secs(reply.ttl_s.into());
        state.cache.put(key, &answer, self.clock.now(), ttl);
        Ok(answer)
    }

    fn understood<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, RemoteError> {
        // The position says enough; what was found there may be anybody's.
        serde_json::from_slice(body).map_err(|error| {
            self.bad_reply(format!("line {} column {}", error.line(), error.column()))
        })
    }

    fn bad_reply(&self, what: impl Into<String>) -> RemoteError {
        self.state().breaker.failed(self.clock.now());
        RemoteError::BadReply(what.into())
    }
}

impl RemoteSearch for Client {
    fn search(&self, query: &RemoteQuery<'_>) -> Result<RemoteAnswer, RemoteError> {
        if !(1..=MAX_K).contains(&query.k) {
            let reason = format!("expected a k of 1 to {MAX_K}, found {}", query.k);
            return Err(RemoteError::BadQuery(reason));
        }
        let model = query.descriptor.fingerprint;
        let key = Key::of(query);
        {
            let mut state = self.state();
            if state.refused.contains(&model) {
                return Err(RemoteError::Blocked(Blocked::ModelRefused));
            }
            if let Some(answer) = state.cache.get(&key, self.clock.now()) {
                return Ok(answer);
            }
        }
        self.ask(query, key)
    }

    fn blocked(&self, model: Fingerprint, live: bool) -> Option<Blocked> {
        let (now, interval) = (self.clock.now(), self.options.live_interval);
        self.state().blocked(model, live, now, interval)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("base_url", &self.base_url)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// Whether what is sent there cannot be read on the way.
fn is_private(url: &str) -> bool {
    let host = |rest: &str| -> Option<String> {
        let authority = rest.split(['/', '?', '#']).next()?;
        // `user@` would put a secret into the URL, or hide which host it is.
        (!authority.is_empty() && !authority.contains('@')).then(|| authority.to_owned())
    };
    if url.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return false;
    }
    if let Some(rest) = url.strip_prefix("https://") {
        return host(rest).is_some();
    }
    let Some(authority) = url.strip_prefix("http://").and_then(host) else {
        return false;
    };
    let name = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next(),
        None => authority.split(':').next(),
    };
    matches!(name, Some("localhost" | "127.0.0.1" | "::1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_travels_in_the_clear_but_on_this_machine() {
        for url in [
            "https://search.example.org",
            "https://search.example.org/shop",
            "http://localhost:8080",
            "http://127.0.0.1:1",
            "http://[::1]:8080",
        ] {
            assert!(is_private(url), "{url}");
        }
        for url in [
            "http://search.example.org",
            "http://localhost.example.org",
            "http://127.0.0.1@example.org",
            "https://",
            "https://a b",
            "ftp://localhost",
            "localhost",
            "",
        ] {
            assert!(!is_private(url), "{url}");
        }
    }
}
