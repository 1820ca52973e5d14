//! Limits of a gateway.

use std::time::Duration;

use crate::Rate;

/// What a request may cost. The defaults suit a catalogue that phones ask.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GatewayOptions {
    /// Most hits of an answer; a request for more gets as many.
    pub max_k: usize,
    /// Longest search request: a descriptor of 2,048 numbers and a filter fit many times.
    pub max_body_bytes: usize,
    /// Longest photo of the try-out page.
    pub max_photo_bytes: usize,
    /// From the first byte of a request to the last of its reply.
    pub request_timeout: Duration,
    /// Requests that are worked on at a time; more are refused at once (503) instead of all becoming slow.
    pub max_in_flight: usize,
    /// How often one client may ask; nobody is limited when absent.
    pub rate: Option<Rate>,
    /// How long a device may keep an answer.
    pub ttl: Duration,
    /// How long requests may take to end when the gateway is stopped.
    pub shutdown_grace: Duration,
}

impl Default for GatewayOptions {
    fn default() -> Self {
        Self {
            max_k: 100,
            max_body_bytes: 256 * 1024,
            max_photo_bytes: 24 * 1024 * 1024,
            request_timeout: Duration::from_secs(5),
            max_in_flight: 512,
            rate: None,
            ttl: Duration::from_secs(60),
            shutdown_grace: Duration::from_secs(10),
        }
    }
}
