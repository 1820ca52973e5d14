//! Refusals of a server: problem details for HTTP APIs (RFC 9457), with a kind that programs can branch on.

use serde::{Deserialize, Serialize};

/// The media type of a [`Problem`].
pub const PROBLEM_JSON: &str = "application/problem+json";

const PREFIX: &str = "urn:pocketlens:problem:";

/// Why a server does not answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// A URI; [`Self::kind`] reads those of this library.
    #[serde(rename = "type", default = "blank")]
    pub type_uri: String,
    /// The kind in words.
    #[serde(default)]
    pub title: String,
    /// The HTTP status.
    #[serde(default)]
    pub status: u16,
    /// What was wrong with this request, and what to do.
    #[serde(default)]
    pub detail: String,
}

fn blank() -> String {
    "about:blank".to_owned()
}

/// The kinds of refusal, each with its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProblemKind {
    /// The request cannot be understood (400).
    BadRequest,
    /// No token, or one that does not hold (401).
    Unauthorized,
    /// There is nothing at this path (404).
    NotFound,
    /// The path is there, the method is not (405).
    MethodNotAllowed,
    /// The request came too slowly (408).
    RequestTimeout,
    /// The vector is of another model than the index (409).
    WrongModel,
    /// The body is too large (413).
    TooLarge,
    /// The body is not JSON (415).
    UnsupportedMediaType,
    /// Asked too often (429).
    RateLimited,
    /// A fault of the server (500).
    Internal,
    /// The engine behind the server does not answer (502).
    EngineFailed,
    /// Too much at once, or not ready yet (503).
    Unavailable,
    /// The engine did not answer in time (504).
    EngineTimeout,
}

impl ProblemKind {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::BadRequest,
        Self::Unauthorized,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::WrongModel,
        Self::TooLarge,
        Self::UnsupportedMediaType,
        Self::RateLimited,
        Self::Internal,
        Self::EngineFailed,
        Self::Unavailable,
        Self::EngineTimeout,
    ];

    /// HTTP status, last part of the URI, title.
    fn row(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::BadRequest => (400, "bad-request", "the request cannot be understood"),
            Self::Unauthorized => (401, "unauthorized", "a valid bearer token is needed"),
            Self::NotFound => (404, "not-found", "there is nothing at this path"),
            Self::MethodNotAllowed => (
                405,
                "method-not-allowed",
                "the path does not know this method",
            ),
            Self::RequestTimeout => (408, "request-timeout", "the request came too slowly"),
            Self::WrongModel => (409, "wrong-model", "the vector is of another model"),
            Self::TooLarge => (413, "too-large", "the body is too large"),
            Self::UnsupportedMediaType => (
                415,
                "unsupported-media-type",
                "the body is not of this kind",
            ),
            Self::RateLimited => (429, "rate-limited", "asked too often"),
            Self::Internal => (500, "internal", "a fault of the server"),
            Self::EngineFailed => (502, "engine-failed", "the engine does not answer"),
            Self::Unavailable => (503, "unavailable", "too much at once, or not ready yet"),
            Self::EngineTimeout => (504, "engine-timeout", "the engine is too slow"),
        }
    }

    /// The HTTP status.
    pub fn status(self) -> u16 {
        self.row().0
    }

    /// The URI of the kind.
    pub fn uri(self) -> String {
        format!("{PREFIX}{}", self.row().1)
    }
}

impl Problem {
    /// A refusal of this kind.
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        let (status, _, title) = kind.row();
        Self {
            type_uri: kind.uri(),
            title: title.to_owned(),
            status,
            detail: detail.into(),
        }
    }

    /// Its kind, where it is one of this library.
    pub fn kind(&self) -> Option<ProblemKind> {
        let name = self.type_uri.strip_prefix(PREFIX)?;
        ProblemKind::ALL
            .into_iter()
            .find(|kind| kind.row().1 == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_come_back_and_foreign_problems_have_none() {
        for kind in ProblemKind::ALL {
            let json = serde_json::to_string(&Problem::new(kind, "d")).unwrap();
            let problem: Problem = serde_json::from_str(&json).unwrap();
            assert_eq!(
                (problem.kind(), problem.status),
                (Some(kind), kind.status())
            );
        }
        let foreign: Problem = serde_json::from_str(r#"{"title": "no"}"#).unwrap();
        assert_eq!(foreign.kind(), None);
    }
}
