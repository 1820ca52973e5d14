//! How often a client may ask: a token bucket each, for as many clients as are kept in mind.

use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use lru::LruCache;

/// Clients that are kept in mind; the least recently seen are forgotten, and start with a full bucket.
const CLIENTS: NonZeroUsize = NonZeroUsize::new(100_000).expect("not zero");

/// Requests a second, and how many at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// In the long run; above 0.
    pub per_second: f64,
    /// At once, after a pause; at least 1.
    pub burst: f64,
}

struct Bucket {
    tokens: f64,
    seen: Instant,
}

/// Buckets by the name of a client: its subject, or its address.
pub(crate) struct RateLimiter {
    rate: Rate,
    buckets: Mutex<LruCache<String, Bucket>>,
}

impl RateLimiter {
    pub(crate) fn new(rate: Rate) -> Self {
        let rate = Rate {
            per_second: rate.per_second.max(1e-3),
            burst: rate.burst.max(1.0),
        };
        Self {
            rate,
            buckets: Mutex::new(LruCache::new(CLIENTS)),
        }
    }

    /// Takes a token.
    ///
    /// # Errors
    /// How long until there is one.
    pub(crate) fn admit(&self, client: &str, now: Instant) -> Result<(), Duration> {
        let Rate { per_second, burst } = self.rate;
        let mut buckets = self
            .buckets
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if !buckets.contains(client) {
            let full = Bucket {
                tokens: burst,
                seen: now,
            };
            buckets.put(client.to_owned(), full);
        }
        let bucket = buckets.get_mut(client).expect("put above");
        let passed = now.saturating_duration_since(bucket.seen).as_secs_f64();
        bucket.tokens = (bucket.tokens + passed * per_second).min(burst);
        bucket.seen = now;
        if bucket.tokens >= 1.0 {
            bucket.tokens -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - bucket.tokens) / per_second))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_the_rate_each_client_for_itself() {
        let limiter = RateLimiter::new(Rate {
            per_second: 2.0,
            burst: 3.0,
        });
        let start = Instant::now();
        let mut admitted = 0;
        for step in 0..100 {
            let now = start + Duration::from_millis(50) * step;
            admitted += u32::from(limiter.admit("a", now).is_ok());
        }
        // Three at once, then two a second for 4.95 s.
        assert_eq!(admitted, 3 + 9);
        let now = start + Duration::from_secs(5);
        assert!(limiter.admit("b", now).is_ok());
        for _ in 0..4 {
            let _ = limiter.admit("b", now);
        }
        let wait = limiter.admit("b", now).unwrap_err();
        assert!(limiter.admit("b", now + wait).is_ok());
    }
}
