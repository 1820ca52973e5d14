//! Pocketlens as apps meet it: the core's objects for Kotlin, Swift and Python, by UniFFI.
//!
//! Nothing is computed here. Types are records and enums; what takes time is `async` and runs on threads of its own, so
//! that it cannot block the thread that asks; what a camera calls for each frame borrows the camera's bytes.
//!
//! [`Lens`] answers [`Frame`]s and photos, [`LiveSession`] a camera; a [`Server`] is asked where they do not know;
//! [`Index`] is kept up to date, [`Bundle`] is the model. Hand-written Kotlin (`android`), Swift (`ios`) and Python (`bindings/python`) stand around this.

mod answer;
mod bundle;
mod cancel;
#[cfg(feature = "catalogue")]
mod catalogue;
mod delegate;
mod direct;
mod error;
mod filter;
mod frame;
mod index;
mod lens;
mod limits;
mod live;
mod observer;
mod query;
mod server;
mod task;
mod value;

pub use answer::{Answer, Attribute, Evidence, Explanation, Hit, Place, Source, Times, Verdict};
pub use bundle::{Bundle, BundleInfo, Descriptor};
pub use cancel::CancelToken;
#[cfg(feature = "catalogue")]
pub use catalogue::{
    BuildListener, BuildOptions, BuildReport, CatalogueEntry, Refused, build_index,
};
pub use delegate::{DelegateChooser, DelegateOptions, DelegateReport, Delegated, SelfTestReport};
pub use direct::{pocketlens_release, pocketlens_search};
pub use error::PocketlensError;
pub use filter::{Condition, Filter, GeoPoint, NumberRange, Scalar, filter_from_json};
pub use frame::{Frame, FrameFormat, FrameLayout, PackedLayout, PlaneStrides, Rotation, YuvColors};
pub use index::{Index, IndexInfo, Item, apply_pack, compact, roll_back};
pub use lens::{FrameBuffers, FrameSearch, Lens, NewItem};
pub use limits::Limits;
pub use live::{LiveListener, LiveOptions, LiveSession, Offered, Thermal};
pub use observer::{LogLevel, Observer, set_observer};
pub use query::{Focus, GroupBy, Query, Region};
pub use server::{
    Blocked, Decision, HttpHeader, IndexState, Network, Reason, Server, ServerMode, ServerOptions,
    ServerReply, ServerRequest, ServerTransport, Situation, TokenProvider, TransportFailure,
    Upgrade,
};
pub use value::Value;

uniffi::setup_scaffolding!();

/// The version of the library.
#[uniffi::export]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}
