//! A server, for what the device does not know: over the host's own HTTP stack, with the host's own tokens.

use std::sync::Arc;
use std::time::Duration;

use pocketlens::descriptor;
use pocketlens::index;
use pocketlens::lens;
use pocketlens::remote::{self, Client, Decision as Decided, HttpTransport, ServerSearch, Token};

use crate::{Answer, Hit, LogLevel, PocketlensError, Query, Times, Verdict, observer, task, value};

/// A server and when it may be asked. A descriptor is sent, never a photo.
#[derive(uniffi::Object)]
pub struct Server {
    search: ServerSearch,
}

/// How a server is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Record)]
pub struct ServerOptions {
    /// Whose answer the app wants.
    #[uniffi(default = None)]
    pub mode: Option<ServerMode>,
    /// Whether a metered network may be used: some 2 KB a question.
    #[uniffi(default = false)]
    pub allow_metered: bool,
}

/// Whose answer the app wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum ServerMode {
    /// The device's; the server's where the device does not know.
    PreferLocal,
    /// The device's, come what may.
    OnlyLocal,
    /// The server's; the device's until it comes, or where it does not come.
    PreferServer,
    /// The server's alone.
    OnlyServer,
}

/// What the app knows at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Situation {
    /// The user agreed that descriptors are sent.
    pub consent: bool,
    /// How bytes would travel.
    pub network: Network,
    /// The index that gave the local answer.
    #[uniffi(default = None)]
    pub index: Option<IndexState>,
    /// Whether that index holds what the app looks for at all.
    #[uniffi(default = true)]
    pub category_covered: bool,
    /// The photo is one of a stream of camera frames: at most one a second is sent.
    #[uniffi(default = false)]
    pub live: bool,
}

/// How bytes would travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum Network {
    /// Not at all.
    Offline,
    /// At a price.
    Metered,
    /// Freely.
    Unmetered,
}

/// The index on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum IndexState {
    /// There, and as new as it should be.
    Ready,
    /// There, but older than the app wants to trust.
    Stale,
    /// Not there.
    Missing,
}

/// What a local answer became.
#[derive(Clone, Debug, PartialEq, uniffi::Record)]
pub struct Upgrade {
    /// The local answer, or the better one; each hit says who found it.
    pub answer: Answer,
    /// Whether the server was to be asked, and why.
    pub decision: Decision,
    /// Why it was asked in vain.
    pub failure: Option<String>,
}

/// Whether a server is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum Decision {
    /// The local answer is good.
    Local,
    /// It is asked.
    Asked {
        /// Why.
        reason: Reason,
    },
    /// It should be asked, but must not be: not a byte was sent.
    LocalOnly {
        /// Why not.
        blocked: Blocked,
    },
}

/// Why a server is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum Reason {
    /// The app wants the server's answer.
    Wanted,
    /// There is no local index.
    IndexMissing,
    /// The local index is old.
    IndexStale,
    /// The local index does not hold such things.
    CategoryNotCovered,
    /// The filter leaves nothing of the local index.
    FilterEmpty,
    /// The local index does not have it.
    NoMatch,
    /// The local answer may be wrong.
    Unsure,
}

/// Why a server is not asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum Blocked {
    /// The user has not agreed.
    NoConsent,
    /// There is no network.
    Offline,
    /// The network has a price, and the app does not pay it.
    Metered,
    /// The server's index is of another model.
    ModelRefused,
    /// The server failed again and again a moment ago.
    BreakerOpen,
    /// The server asked to be left alone.
    Paused,
    /// A live session asks once a second.
    Paced,
}

/// A request for the host's HTTP stack. Follow no redirect, log neither headers nor body.
#[derive(Clone, PartialEq, Eq, uniffi::Record)]
pub struct ServerRequest {
    /// GET or POST.
    pub method: String,
    /// The whole URL.
    pub url: String,
    /// Headers, as they are to be sent.
    pub headers: Vec<HttpHeader>,
    /// Empty for GET.
    pub body: Vec<u8>,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest wait for the whole reply, the connection included.
    pub timeout: Duration,
    /// Longest body of a reply; read no further.
    pub max_reply_bytes: u64,
}

/// A header.
#[derive(Clone, PartialEq, Eq, uniffi::Record)]
pub struct HttpHeader {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// A reply with any status.
#[derive(Clone, PartialEq, Eq, uniffi::Record)]
pub struct ServerReply {
    /// The status.
    pub status: u16,
    /// Headers.
    pub headers: Vec<HttpHeader>,
    /// The body.
    pub body: Vec<u8>,
}

/// Why there is no reply.
#[derive(Debug, thiserror::Error, uniffi::Error)]
pub enum TransportFailure {
    /// Nobody listens, the name is unknown, or the certificate does not hold: nothing was sent.
    #[error("refused: {reason}")]
    Refused {
        /// What the stack said.
        reason: String,
    },
    /// The time was over.
    #[error("timed out: {reason}")]
    TimedOut {
        /// What the stack said.
        reason: String,
    },
    /// The connection ended within a request or a reply.
    #[error("broken: {reason}")]
    Broken {
        /// What the stack said.
        reason: String,
    },
}

impl From<uniffi::UnexpectedUniFFICallbackError> for TransportFailure {
    fn from(error: uniffi::UnexpectedUniFFICallbackError) -> Self {
        Self::Broken {
            reason: error.reason,
        }
    }
}

/// The host's HTTP stack: OkHttp, URLSession. Called on the library's threads, where it may block.
#[uniffi::export(with_foreign)]
pub trait ServerTransport: Send + Sync {
    /// Sends a request and reads the reply; a status such as 500 is a reply.
    ///
    /// # Errors
    /// [`TransportFailure`] where there is no whole reply.
    fn send(&self, request: ServerRequest) -> Result<ServerReply, TransportFailure>;
}

/// Short-lived bearer tokens from the app's own backend. An app holds no key of an engine.
#[uniffi::export(with_foreign)]
pub trait TokenProvider: Send + Sync {
    /// The token at hand; none where the server needs none. Must not wait for long.
    ///
    /// # Errors
    /// [`PocketlensError`] where there is none to be had; the request goes without.
    fn token(&self) -> Result<Option<String>, PocketlensError>;
    /// A new token in place of one that the server refused, within so much time; none where there is none.
    ///
    /// # Errors
    /// As [`TokenProvider::token`].
    fn refresh(&self, refused: String, within: Duration)
    -> Result<Option<String>, PocketlensError>;
}

#[uniffi::export]
impl Server {
    /// A server at an address such as `https://search.example.org`. Sends nothing yet.
    ///
    /// # Errors
    /// [`PocketlensError::BadInput`] unless the address is https, or http to this machine.
    #[uniffi::constructor]
    pub fn new(
        url: &str,
        transport: Arc<dyn ServerTransport>,
        tokens: Option<Arc<dyn TokenProvider>>,
        options: ServerOptions,
    ) -> Result<Arc<Self>, PocketlensError> {
        let client = Client::new(url, Arc::new(Transport(transport)))
            .map_err(|error| PocketlensError::bad_input(error.to_string()))?;
        let client = match tokens {
            Some(tokens) => client.with_tokens(Arc::new(Tokens(tokens))),
            None => client,
        };
        let policy = remote::Policy {
            mode: match options.mode.unwrap_or(ServerMode::PreferLocal) {
                ServerMode::PreferLocal => remote::Mode::PreferLocal,
                ServerMode::OnlyLocal => remote::Mode::OnlyLocal,
                ServerMode::PreferServer => remote::Mode::PreferServer,
                ServerMode::OnlyServer => remote::Mode::OnlyServer,
            },
            allow_metered: options.allow_metered,
        };
        Ok(Arc::new(Self {
            search: ServerSearch::new(Arc::new(client), policy),
        }))
    }

    /// Asks the server where the local answer is not enough and nothing forbids it: within 1.5 s, or the local answer
    /// stays. Show the local answer first.
    ///
    /// # Errors
    /// [`PocketlensError::BadInput`] for an impossible query. That a server fails is no error: see [`Upgrade::failure`].
    pub async fn upgrade(
        &self,
        answer: Answer,
        query: Query,
        situation: Situation,
    ) -> Result<Upgrade, PocketlensError> {
        let search = self.search.clone();
        task::run_whole(move || {
            let (query, situation) = (query.into_core(None)?, situation.into());
            let (local, times) = (core_answer(&answer)?, answer.times);
            let upgrade = search.upgrade(&local, &query, &situation);
            if let Some(failure) = &upgrade.failure {
                observer::log(LogLevel::Warning, || {
                    format!("no answer of the server: {failure}")
                });
            }
            let failure = upgrade.failure.map(|failure| failure.to_string());
            let decision = upgrade.decision.into();
            // Without the server's say the answer keeps what the device knows of it.
            let answer = match upgrade.answer.source {
                lens::Source::Local => answer,
                lens::Source::Server => assisted(upgrade.answer, &answer, times),
            };
            Ok(Upgrade {
                answer,
                decision,
                failure,
            })
        })
        .await
    }
}

fn core_answer(answer: &Answer) -> Result<lens::Answer, PocketlensError> {
    let fingerprint = answer.descriptor.fingerprint.parse();
    let fingerprint = fingerprint.map_err(|_| {
        PocketlensError::bad_input(format!(
            "the fingerprint of a model expected, found {:?}",
            answer.descriptor.fingerprint
        ))
    })?;
    let hits = answer.hits.iter().map(|hit| {
        Ok(index::Hit {
            key: hit.key.clone(),
            group: hit.group.clone(),
            score: hit.score,
            payload: value::payload(hit.payload.clone())?,
            row: 0,
            votes: hit.votes,
        })
    });
    let hits = hits.collect::<Result<_, PocketlensError>>()?;
    let descriptor = descriptor::Descriptor {
        fingerprint,
        values: answer.descriptor.values.clone(),
    };
    Ok(lens::Answer {
        hits,
        verdict: answer.verdict.into(),
        confidence: answer.confidence,
        rival: answer.rival,
        ..lens::Answer::without_index(descriptor)
    })
}

/// The server's hits and the device's; where the device found one, with what it knows of it.
fn assisted(merged: remote::AssistedAnswer, local: &Answer, times: Times) -> Answer {
    let hits = merged.hits.into_iter().map(|hit| {
        let known = local.hits.iter().find(|other| other.key == hit.key);
        Hit {
            key: hit.key,
            group: hit.group,
            score: hit.score,
            payload: value::members(hit.payload),
            votes: hit.votes,
            evidence: known.and_then(|hit| hit.evidence),
            explanation: known.and_then(|hit| hit.explanation.clone()),
            source: hit.source.into(),
        }
    });
    Answer {
        hits: hits.collect(),
        verdict: merged.verdict.into(),
        confidence: merged.confidence,
        rival: None,
        descriptor: local.descriptor.clone(),
        source: merged.source.into(),
        times,
        delegate: local.delegate.clone(),
        place: local.place,
        attributes: local.attributes.clone(),
    }
}

struct Transport(Arc<dyn ServerTransport>);

impl HttpTransport for Transport {
    fn send(
        &self,
        request: &remote::HttpRequest,
    ) -> Result<remote::HttpResponse, remote::TransportError> {
        let headers = request.headers.iter().map(|(name, value)| HttpHeader {
            name: name.clone(),
            value: value.clone(),
        });
        let method = match request.method {
            remote::Method::Get => "GET",
            remote::Method::Post => "POST",
        };
        let reply = self.0.send(ServerRequest {
            method: method.to_owned(),
            url: request.url.clone(),
            headers: headers.collect(),
            body: request.body.clone(),
            connect_timeout: request.connect_timeout,
            timeout: request.timeout,
            max_reply_bytes: request.max_reply_bytes as u64,
        });
        match reply {
            Ok(reply) if reply.body.len() > request.max_reply_bytes => {
                Err(remote::TransportError::TooLarge {
                    limit: request.max_reply_bytes,
                })
            }
            Ok(reply) => Ok(remote::HttpResponse {
                status: reply.status,
                headers: reply
                    .headers
                    .into_iter()
                    .map(|header| (header.name, header.value))
                    .collect(),
                body: reply.body,
            }),
            Err(TransportFailure::Refused { reason }) => {
                Err(remote::TransportError::Refused(reason))
            }
            Err(TransportFailure::TimedOut { .. }) => Err(remote::TransportError::TimedOut),
            Err(TransportFailure::Broken { reason }) => Err(remote::TransportError::Broken(reason)),
        }
    }
}

struct Tokens(Arc<dyn TokenProvider>);

impl remote::TokenProvider for Tokens {
    fn token(&self) -> Option<Token> {
        self.0.token().ok().flatten().and_then(Token::new)
    }

    fn refresh(&self, refused: &Token, within: Duration) -> Option<Token> {
        let token = self.0.refresh(refused.reveal().to_owned(), within);
        token.ok().flatten().and_then(Token::new)
    }
}

impl From<Situation> for remote::Situation {
    fn from(situation: Situation) -> Self {
        Self {
            consent: situation.consent,
            network: match situation.network {
                Network::Offline => remote::Network::Offline,
                Network::Metered => remote::Network::Metered,
                Network::Unmetered => remote::Network::Unmetered,
            },
            index: match situation.index.unwrap_or(IndexState::Ready) {
                IndexState::Ready => remote::IndexState::Ready,
                IndexState::Stale => remote::IndexState::Stale,
                IndexState::Missing => remote::IndexState::Missing,
            },
            category_covered: situation.category_covered,
            live: situation.live,
        }
    }
}

impl From<Decided> for Decision {
    fn from(decision: Decided) -> Self {
        match decision {
            Decided::Local => Self::Local,
            Decided::Server(reason) => Self::Asked {
                reason: match reason {
                    remote::Reason::Wanted => Reason::Wanted,
                    remote::Reason::IndexMissing => Reason::IndexMissing,
                    remote::Reason::IndexStale => Reason::IndexStale,
                    remote::Reason::CategoryNotCovered => Reason::CategoryNotCovered,
                    remote::Reason::FilterEmpty => Reason::FilterEmpty,
                    remote::Reason::NoMatch => Reason::NoMatch,
                    remote::Reason::Unsure => Reason::Unsure,
                },
            },
            Decided::LocalOnly(blocked) => Self::LocalOnly {
                blocked: match blocked {
                    remote::Blocked::NoConsent => Blocked::NoConsent,
                    remote::Blocked::Offline => Blocked::Offline,
                    remote::Blocked::Metered => Blocked::Metered,
                    remote::Blocked::ModelRefused => Blocked::ModelRefused,
                    remote::Blocked::BreakerOpen => Blocked::BreakerOpen,
                    remote::Blocked::Paused => Blocked::Paused,
                    remote::Blocked::Paced => Blocked::Paced,
                },
            },
        }
    }
}

impl From<Verdict> for pocketlens::verdict::Verdict {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Match => Self::Match,
            Verdict::Unsure => Self::Unsure,
            Verdict::NoMatch => Self::NoMatch,
        }
    }
}
