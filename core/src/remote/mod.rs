//! Server search: when the device does not know, a server with a larger or newer index may. The device sends a
//! descriptor (512 bytes at 256 numbers), never the photo.
//!
//! [`policy`] says when to ask, as a pure function; [`ServerSearch`] takes a local answer and gives back the better of
//! both; [`Client`] speaks the [`contract`] over an [`HttpTransport`] that the host implements (or `UreqTransport`,
//! feature `http`), within a deadline, with retry, breaker and cache. An app with a backend of its own implements
//! [`RemoteSearch`] instead. The local answer is never waited for: it is there before this module is called.

mod breaker;
mod cache;
mod client;
mod clock;
pub mod contract;
mod deadline;
mod error;
#[cfg(feature = "http")]
mod http;
mod merge;
pub mod policy;
mod problem;
mod retry;
mod server_search;
mod transport;
mod vector;

pub use client::{BadUrl, Client, ClientOptions};
pub use clock::{Clock, SystemClock};
pub use error::RemoteError;
#[cfg(feature = "http")]
pub use http::UreqTransport;
pub use merge::{SourcedHit, merge};
pub use policy::{Blocked, Context, Decision, Finding, IndexState, Mode, Network, Reason, decide};
pub use problem::{PROBLEM_JSON, Problem, ProblemKind};
pub use server_search::{
    AssistedAnswer, Policy, RemoteAnswer, RemoteQuery, RemoteSearch, ServerSearch, Situation,
    Upgrade,
};
pub use transport::{
    HttpRequest, HttpResponse, HttpTransport, Method, Token, TokenProvider, TransportError,
};
pub use vector::{EncodedVector, VectorError};
