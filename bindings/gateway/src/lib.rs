//! Server search: one HTTP search endpoint in front of an index or of a distributed vector engine.
//!
//! The gateway keeps no state: any number of them stand behind a load balancer. A request is met by `routes`, which lets
//! `auth` and `rate` say whether it may pass, and asks an [`Engine`]. The contract itself is
//! [`pocketlens::remote::contract`], drawn in `openapi.json`. With a lens, [`TryOut`] serves a page to try an index from a
//! phone's browser.

mod auth;
mod engine;
mod follow;
mod metrics;
mod options;
mod rate;
mod refusal;
mod routes;
mod server;
mod try_out;

pub use auth::{Auth, AuthError};
pub use engine::{
    BadAddress, BadDatabase, DatabaseAddress, Embedded, Engine, EngineAddress, EngineAnswer,
    EngineError, EngineQuery, Postgres, PushProgress, Pushed, Reloads, Weaviate,
};
pub use follow::follow;
pub use options::GatewayOptions;
pub use rate::Rate;
pub use routes::Gateway;
pub use server::{ServeError, Serving, TlsFiles};
pub use try_out::TryOut;

/// The contract as OpenAPI 3.1, as it is served at `/v1/openapi.json`.
pub const OPENAPI: &str = include_str!("../openapi.json");
