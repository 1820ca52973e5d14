//! A refusal as a reply: problem+json, with the headers that belong to its kind.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use pocketlens::remote::{PROBLEM_JSON, Problem, ProblemKind};

use crate::EngineError;

/// Why a request gets no answer.
#[derive(Debug)]
pub(crate) struct Refusal {
    kind: ProblemKind,
    detail: String,
    retry_after: Option<Duration>,
}

impl Refusal {
    pub(crate) fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            retry_after: None,
        }
    }

    /// Come back later.
    pub(crate) fn after(mut self, time: Duration) -> Self {
        self.retry_after = Some(time);
        self
    }
}

impl From<EngineError> for Refusal {
    fn from(error: EngineError) -> Self {
        let kind = match &error {
            EngineError::WrongModel { .. } => ProblemKind::WrongModel,
            EngineError::BadQuery(_) => ProblemKind::BadRequest,
            EngineError::TimedOut => ProblemKind::EngineTimeout,
            EngineError::NotReady(_) => ProblemKind::Unavailable,
            EngineError::Failed(_) | EngineError::KeyRefused(_) => {
                // The reason may name files, hosts and users: it is for the operator.
                tracing::error!(%error, "no answer of the engine");
                return Self::new(ProblemKind::EngineFailed, "try again later");
            }
        };
        Self::new(kind, error.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let problem = Problem::new(self.kind, self.detail);
        let status = StatusCode::from_u16(problem.status).expect("kinds have statuses");
        let body = serde_json::to_vec(&problem).expect("a problem is JSON");
        let mut response = (status, [(header::CONTENT_TYPE, PROBLEM_JSON)], body).into_response();
        let headers = response.headers_mut();
        if let Some(after) = self.retry_after {
            let seconds = after.as_secs_f64().ceil().clamp(1.0, 3600.0);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds as u64));
        }
        if self.kind == ProblemKind::Unauthorized {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
