//! When to try again, and how long to wait before: full jitter (Brooker, "Exponential backoff and jitter", 2015), a
//! budget so that retries cannot multiply the load on a failing server, and what `Retry-After` says.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use super::HttpResponse;
use crate::index::filter::Timestamp;

/// Longest wait before a retry.
const BACKOFF: Duration = Duration::from_millis(200);
/// Retries that can be made without a success in between.
const FULL: u32 = 10 * SUCCESSES_A_RETRY;
/// Successes that pay for one retry.
const SUCCESSES_A_RETRY: u32 = 10;
/// Longest pause that a server can ask for.
const MAX_PAUSE: Duration = Duration::from_secs(3600);
/// Pause after a 429 that does not say how long.
const PAUSE: Duration = Duration::from_secs(5);

/// Pays for retries: each costs what ten successes bring.
#[derive(Debug)]
pub(super) struct RetryBudget(u32);

impl Default for RetryBudget {
    fn default() -> Self {
        Self(FULL)
    }
}

impl RetryBudget {
    pub(super) fn succeeded(&mut self) {
        self.0 = (self.0 + 1).min(FULL);
    }

    /// Whether a retry may be made; takes its price.
    pub(super) fn take(&mut self) -> bool {
        match self.0.checked_sub(SUCCESSES_A_RETRY) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }
}

/// A wait of 0 to 200 ms; `random` is any number.
pub(super) fn jitter(random: u64) -> Duration {
    // The upper half of a product: a share of the whole.
    let nanos = (u128::from(random) * BACKOFF.as_nanos()) >> 64;
    Duration::from_nanos(nanos as u64)
}

/// A number that another device does not have: hash maps are seeded with such.
pub(super) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// How long a server asks to be left alone (RFC 9110, section 10.2.3); at most an hour.
///
/// A date is compared with the server's own `Date`: the clock of a phone can be wrong by years.
pub(super) fn retry_after(response: &HttpResponse) -> Duration {
    let asked = response.header("retry-after").and_then(|text| {
        let text = text.trim();
        if let Ok(seconds) = text.parse::<u64>() {
            return Some(Duration::from_secs(seconds));
        }
        let (until, now) = (http_date(text)?, http_date(response.header("date")?)?);
        let micros = until.micros().saturating_sub(now.micros());
        Some(Duration::from_micros(u64::try_from(micros).unwrap_or(0)))
    });
    asked.unwrap_or(PAUSE).min(MAX_PAUSE)
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`
fn http_date(text: &str) -> Option<Timestamp> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let parts: Vec<&str> = text.trim().split_ascii_whitespace().collect();
    let &[_, day, month, year, time, "GMT"] = &parts[..] else {
        return None;
    };
    let month = 1 + MONTHS.iter().position(|name| *name == month)?;
    format!("{year}-{month:02}-{day}T{time}Z").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(headers: &[(&str, &str)]) -> Duration {
        let headers = headers
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()));
        retry_after(&HttpResponse {
            status: 429,
            headers: headers.collect(),
            body: Vec::new(),
        })
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_by_the_clock_of_the_server() {
        let s = Duration::from_secs;
        assert_eq!(asks(&[("Retry-After", " 7 ")]), s(7));
        assert_eq!(asks(&[("retry-after", "99999999999999")]), MAX_PAUSE);
        assert_eq!(asks(&[("retry-after", "soon")]), PAUSE);
        assert_eq!(asks(&[]), PAUSE);
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        let until = ("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT");
        assert_eq!(asks(&[until, date]), s(30));
        assert_eq!(asks(&[(until.0, date.1), (date.0, until.1)]), s(0));
        assert_eq!(asks(&[until]), PAUSE);
    }

    #[test]
    fn the_budget_ends_and_successes_fill_it() {
        let mut budget = RetryBudget::default();
        assert_eq!((0..100).filter(|_| budget.take()).count(), 10);
        (0..SUCCESSES_A_RETRY - 1).for_each(|_| budget.succeeded());
        assert!(!budget.take());
        budget.succeeded();
        assert!(budget.take() && !budget.take());
    }

    #[test]
    fn jitter_spans_its_range() {
        assert_eq!(jitter(0), Duration::ZERO);
        assert!(jitter(u64::MAX) <= BACKOFF && jitter(u64::MAX) > BACKOFF * 99 / 100);
        assert_eq!(jitter(1 << 63), BACKOFF / 2);
    }
}
