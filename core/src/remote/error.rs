//! What can go wrong with a server's answer, and whose fault it is.

use std::time::Duration;

use super::{Blocked, Problem, TransportError, VectorError};
use crate::fingerprint::Fingerprint;

/// Why there is no answer from the server. The local answer stands all the same.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// Nothing was sent.
    #[error("not sent: {0}")]
    Blocked(Blocked),
    /// The query cannot be asked: `k` of 0, or a vector that cannot be sent.
    #[error("the query cannot be sent: {0}")]
    BadQuery(String),
    /// The network, or the server's machine.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The time for the answer was over.
    #[error("no answer within {0:?}")]
    DeadlineExceeded(Duration),
    /// The server wants a token and takes none of ours: log in again.
    #[error("the server refuses the token; provide a valid one")]
    Unauthorized,
    /// The server's index is of another model: no descriptor of this one will be sent there again.
    #[error(
        "the server's index is of another model than {model}; update the bundle of this device or the server's index"
    )]
    WrongModel {
        /// The model of this device.
        model: Fingerprint,
    },
    /// The server asks to be left alone.
    #[error("the server asks for a pause of {0:?}")]
    RateLimited(Duration),
    /// The server refuses or fails, and says why.
    #[error("the server answered {status}: {}", of(problem.as_ref()))]
    Server {
        /// The HTTP status.
        status: u16,
        /// Its reason, where it gave one.
        problem: Option<Problem>,
    },
    /// Something answers that does not keep to the contract.
    #[error("the reply does not keep to the contract: {0}")]
    BadReply(String),
}

fn of(problem: Option<&Problem>) -> &str {
    match problem {
        Some(problem) if !problem.detail.is_empty() => &problem.detail,
        Some(problem) if !problem.title.is_empty() => &problem.title,
        _ => "without a reason",
    }
}

impl From<VectorError> for RemoteError {
    fn from(error: VectorError) -> Self {
        Self::BadQuery(error.to_string())
    }
}
