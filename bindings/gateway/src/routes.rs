//! The paths of the gateway, and what every request passes on its way: counting, a time limit, a place among those that
//! are worked on, and on the paths of the contract a token and the rate.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, MatchedPath, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http_body_util::BodyExt;
use pocketlens::fingerprint::Fingerprint;
use pocketlens::index::GroupBy;
use pocketlens::remote::ProblemKind;
use pocketlens::remote::contract::{META_PATH, Meta, SEARCH_PATH, SearchReply, SearchRequest};
use serde::Deserialize;
use tokio::sync::Semaphore;
use tower_http::catch_panic::CatchPanicLayer;

use crate::metrics::Metrics;
use crate::rate::RateLimiter;
use crate::refusal::Refusal;
use crate::{Auth, Engine, EngineQuery, GatewayOptions, OPENAPI, TryOut};

/// An engine, and the rules by which it is asked.
pub struct Gateway {
    engine: Arc<dyn Engine>,
    options: GatewayOptions,
    auth: Option<Auth>,
    limiter: Option<RateLimiter>,
    metrics: Metrics,
    in_flight: Semaphore,
    pub(crate) try_out: Option<TryOut>,
}

impl Gateway {
    /// In front of `engine`; open to everybody until [`Self::with_auth`].
    pub fn new(engine: Arc<dyn Engine>, options: GatewayOptions) -> Self {
        Self {
            engine,
            options,
            auth: None,
            limiter: options.rate.map(RateLimiter::new),
            metrics: Metrics::default(),
            in_flight: Semaphore::new(options.max_in_flight),
            try_out: None,
        }
    }

    /// Asks for bearer tokens on the paths of the contract. The try-out page is not served then: it has none.
    pub fn with_auth(mut self, auth: Auth) -> Self {
        self.auth = Some(auth);
        self
    }

    /// Serves the page to try an index from a browser.
    pub fn with_try_out(mut self, try_out: TryOut) -> Self {
        self.try_out = Some(try_out);
        self
    }

    /// Its limits.
    pub fn options(&self) -> &GatewayOptions {
        &self.options
    }

    /// All paths as a service.
    pub fn router(self) -> Router {
        let open_page = self.try_out.is_some() && self.auth.is_none();
        let gateway = Arc::new(self);
        let contract = Router::new()
            .route(META_PATH, get(meta))
            .route(SEARCH_PATH, post(search))
            .layer(from_fn_with_state(Arc::clone(&gateway), admitted));
        let mut router = Router::new()
            .merge(contract)
            .route("/v1/openapi.json", get(openapi))
            .route("/readyz", get(ready));
        if open_page {
            router = router.merge(crate::try_out::routes());
        }
        router
            .method_not_allowed_fallback(method_not_allowed)
            .fallback(not_found)
            .layer(CatchPanicLayer::custom(|_| {
                Refusal::new(ProblemKind::Internal, "the request could not be worked on")
                    .into_response()
            }))
            .layer(from_fn_with_state(Arc::clone(&gateway), worked_on))
            // Health and figures are there however busy the rest is.
            .route("/healthz", get(async || "ok\n"))
            .route("/metrics", get(metrics))
            .layer(from_fn_with_state(Arc::clone(&gateway), counted))
            .with_state(gateway)
    }
}

type Shared = State<Arc<Gateway>>;

/// Counts and traces: method, path as routes name it, status, time. Never vectors, tokens or photos.
async fn counted(State(gateway): Shared, request: Request, next: Next) -> Response {
    let start = Instant::now();
    let method = request.method().clone();
    let path = request.extensions().get::<MatchedPath>();
    let path = path.map_or("other", MatchedPath::as_str).to_owned();
    let response = next.run(request).await;
    let status = response.status().as_u16();
    gateway.metrics.answered(&path, status);
    let ms = start.elapsed().as_secs_f64() * 1e3;
    tracing::info!(%method, path, status, ms, "answered");
    response
}

/// Takes a place, and gives up after the time limit.
async fn worked_on(State(gateway): Shared, request: Request, next: Next) -> Response {
    let options = &gateway.options;
    let Ok(_place) = gateway.in_flight.try_acquire() else {
        return Refusal::new(
            ProblemKind::Unavailable,
            "too many requests at once; try again",
        )
        .after(std::time::Duration::from_secs(1))
        .into_response();
    };
    let free = gateway.in_flight.available_permits();
    gateway
        .metrics
        .in_flight(options.max_in_flight.saturating_sub(free));
    match tokio::time::timeout(options.request_timeout, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Refusal::new(
            ProblemKind::RequestTimeout,
            "the request took too long to arrive or to answer",
        )
        .into_response(),
    }
}

/// Checks token and rate.
async fn admitted(State(gateway): Shared, request: Request, next: Next) -> Response {
    match gateway.admit(&request) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

impl Gateway {
    fn admit(&self, request: &Request) -> Result<(), Refusal> {
        let mut client = None;
        if let Some(auth) = &self.auth {
            let header = request.headers().get(header::AUTHORIZATION);
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            let now = now.map_or(0, |since| since.as_secs());
            let subject = auth
                .subject(header.map(axum::http::HeaderValue::as_bytes), now)
                .map_err(|reason| Refusal::new(ProblemKind::Unauthorized, reason))?;
            client = Some(subject).filter(|subject| !subject.is_empty());
        }
        let Some(limiter) = &self.limiter else {
            return Ok(());
        };
        let client = client.unwrap_or_else(|| match peer(request) {
            Some(address) => network_of(address).to_string(),
            None => String::new(),
        });
        limiter.admit(&client, Instant::now()).map_err(|wait| {
            Refusal::new(
                ProblemKind::RateLimited,
                "asked too often; wait as Retry-After says",
            )
            .after(wait)
        })
    }
}

fn peer(request: &Request) -> Option<IpAddr> {
    let info = request.extensions().get::<ConnectInfo<SocketAddr>>()?;
    Some(info.0.ip())
}

/// Who has one IPv6 address has 2⁶⁴ of them.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & (u128::MAX << 64)).into()),
        v4 => v4,
    }
}

#[derive(Deserialize)]
struct MetaQuery {
    model_id: Option<Fingerprint>,
}

async fn meta(
    State(gateway): Shared,
    query: Result<Query<MetaQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Meta>, Refusal> {
    let Query(query) =
        query.map_err(|error| Refusal::new(ProblemKind::BadRequest, error.body_text()))?;
    Ok(Json(gateway.engine.meta(query.model_id).await?))
}

async fn search(
    State(gateway): Shared,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<SearchReply>, Refusal> {
    let body = gateway.body(&headers, body).await?;
    let start = Instant::now();
    let request: SearchRequest = serde_json::from_slice(&body)
        .map_err(|error| Refusal::new(ProblemKind::BadRequest, error.to_string()))?;
    let query = gateway.query(request).await?;
    let asked = Instant::now();
    let answer = gateway.engine.search(query).await?;
    let engine = asked.elapsed();
    let ttl_s = gateway.options.ttl.as_secs();
    let reply = SearchReply {
        hits: answer.hits,
        gone: answer.gone,
        index_version: answer.index_version,
        ttl_s: u32::try_from(ttl_s).unwrap_or(u32::MAX),
        rival: answer.rival,
    };
    gateway.metrics.searched(start.elapsed(), engine);
    Ok(Json(reply))
}

impl Gateway {
    async fn body(&self, headers: &HeaderMap, body: Body) -> Result<Bytes, Refusal> {
        let kind = headers.get(header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            let detail = "expected Content-Type: application/json";
            return Err(Refusal::new(ProblemKind::UnsupportedMediaType, detail));
        }
        limited(headers, body, self.options.max_body_bytes).await
    }

    /// What is asked of the engine: within limits, and of its model.
    async fn query(&self, request: SearchRequest) -> Result<EngineQuery, Refusal> {
        let bad = |detail: String| Refusal::new(ProblemKind::BadRequest, detail);
        if request.k == 0 {
            return Err(bad("k: expected at least 1".to_owned()));
        }
        // Before the vector is looked at: another model's may have another length.
        let meta = self.engine.meta(Some(request.model_id)).await?;
        if meta.model_id != request.model_id {
            return Err(crate::EngineError::WrongModel {
                has: meta.model_id,
                asked: request.model_id,
            }
            .into());
        }
        if meta.dim != request.dim {
            let (expected, found) = (meta.dim, request.dim);
            return Err(bad(format!("dim: expected {expected}, found {found}")));
        }
        let vector = request
            .vector
            .decode(meta.dim)
            .map_err(|error| bad(format!("vector: {error}")))?;
        let wanted = request.deadline_ms.map(u64::from);
        let wanted = wanted.map(std::time::Duration::from_millis);
        let longest = self.options.request_timeout;
        Ok(EngineQuery {
            model: request.model_id,
            vector,
            k: request.k.min(self.options.max_k),
            filter: request.filter,
            group_by: request
                .group_by
                .map(|name| name.parse::<GroupBy>().unwrap_or(GroupBy::Group)),
            within: wanted.unwrap_or(longest).min(longest),
        })
    }
}

/// The whole body, unless it is longer than that.
pub(crate) async fn limited(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
) -> Result<Bytes, Refusal> {
    let too_large = || {
        Refusal::new(
            ProblemKind::TooLarge,
            format!("expected at most {limit} bytes"),
        )
    };
    let length = headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if let Some(length) = length
        && length > limit as u64
    {
        // A client that still writes when the connection ends never reads why: what is a little too long is let run out.
        if length <= 4 * limit as u64 {
            discard(body).await;
        }
        return Err(too_large());
    }
    to_bytes(body, limit).await.map_err(|error| {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
        while let Some(error) = cause {
            if error.is::<http_body_util::LengthLimitError>() {
                return too_large();
            }
            cause = error.source();
        }
        Refusal::new(ProblemKind::BadRequest, "the body ended early")
    })
}

/// Reads to the end of a body whose length was declared, and keeps nothing of it.
async fn discard(mut body: Body) {
    while let Some(Ok(_)) = body.frame().await {}
}

async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI)
}

async fn ready(State(gateway): Shared) -> Result<&'static str, Refusal> {
    gateway.engine.ready().await?;
    Ok("ready\n")
}

async fn metrics(State(gateway): Shared) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], gateway.metrics.text())
}

async fn not_found() -> Refusal {
    Refusal::new(ProblemKind::NotFound, "the paths are in /v1/openapi.json")
}

async fn method_not_allowed() -> (StatusCode, Response) {
    let refusal = Refusal::new(ProblemKind::MethodNotAllowed, "see /v1/openapi.json");
    (StatusCode::METHOD_NOT_ALLOWED, refusal.into_response())
}
