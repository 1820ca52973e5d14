//! What an operator sees: counts and times in the text format of Prometheus (OpenMetrics).

use std::sync::atomic::AtomicI64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Upper bounds in seconds, from a quarter of a millisecond.
const BOUNDS: [f64; 13] = [
    0.00025, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.125, 0.25, 0.5, 1.0,
];

/// A path as routes name it, never as it was asked for: labels are few.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    path: String,
    status: u16,
}

pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Labels, Counter>,
    request_seconds: Histogram,
    engine_seconds: Histogram,
    in_flight: Gauge<i64, AtomicI64>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("pocketlens");
        let requests = Family::<Labels, Counter>::default();
        let seconds = || Histogram::new(BOUNDS);
        let (request_seconds, engine_seconds) = (seconds(), seconds());
        let in_flight = Gauge::<i64, AtomicI64>::default();
        registry.register("requests", "Requests by path and status", requests.clone());
        registry.register(
            "search_seconds",
            "Time of a search, from its body to its reply",
            request_seconds.clone(),
        );
        registry.register(
            "engine_seconds",
            "Time of the engine within a search",
            engine_seconds.clone(),
        );
        registry.register(
            "in_flight",
            "Requests that are worked on",
            in_flight.clone(),
        );
        Self {
            registry,
            requests,
            request_seconds,
            engine_seconds,
            in_flight,
        }
    }
}

impl Metrics {
    pub(crate) fn answered(&self, path: &str, status: u16) {
        let path = path.to_owned();
        self.requests.get_or_create(&Labels { path, status }).inc();
    }

    pub(crate) fn searched(&self, total: Duration, engine: Duration) {
        self.request_seconds.observe(total.as_secs_f64());
        self.engine_seconds.observe(engine.as_secs_f64());
    }

    pub(crate) fn in_flight(&self, requests: usize) {
        self.in_flight
            .set(i64::try_from(requests).unwrap_or(i64::MAX));
    }

    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("text can be written to memory");
        text
    }
}
