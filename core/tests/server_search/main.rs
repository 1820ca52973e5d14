//! Server search as an app uses it, against servers that fail in every way: the local answer is always there, in time,
//! and nothing leaves that must not.

mod faults;
mod loopback;
mod policy;
mod privacy;
mod remembering;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pocketlens::descriptor::Descriptor;
use pocketlens::index::Hit;
use pocketlens::lens::{Answer, Query, Source};
use pocketlens::remote::{
    Client, ClientOptions, Clock, HttpTransport, Policy, ServerSearch, Situation, Upgrade,
    UreqTransport,
};
use pocketlens::verdict::Verdict;

/// A clock that moves only when it is told to, or when somebody sleeps by it.
#[derive(Default)]
struct Hand(AtomicU64);

impl Hand {
    fn set(&self, ms: u64) {
        self.0.store(ms, Ordering::SeqCst);
    }

    fn advance(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for Hand {
    fn now(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst))
    }

    fn sleep(&self, time: Duration) {
        self.advance(time.as_millis() as u64);
    }
}

const CONSENT: Situation = Situation {
    consent: true,
    network: pocketlens::remote::Network::Unmetered,
    index: pocketlens::remote::IndexState::Ready,
    category_covered: true,
    live: false,
};

/// What a device found that is not sure.
fn unsure(values: [f32; 3]) -> Answer {
    let hit = |key: &str, score| Hit {
        key: key.to_owned(),
        group: key.to_owned(),
        score,
        payload: serde_json::Value::Null,
        row: 0,
        votes: None,
    };
    let fingerprint = loopback::MODEL.parse().unwrap();
    let values = values.to_vec();
    Answer {
        hits: vec![hit("mug", 0.71), hit("old", 0.7)],
        verdict: Verdict::Unsure,
        confidence: 0.55,
        ..Answer::without_index(Descriptor {
            fingerprint,
            values,
        })
    }
}

const PHOTO: [f32; 3] = [0.6, 0.0, 0.8];

/// A client of the server at `url` on `clock`.
fn client_over(url: &str, transport: Arc<dyn HttpTransport>, clock: &Arc<Hand>) -> Client {
    let options = ClientOptions {
        // Long enough for loopback, short enough for a test that waits for it.
        deadline: Duration::from_millis(400),
        connect: Duration::from_millis(200),
        ..ClientOptions::default()
    };
    let clock: Arc<dyn Clock> = Arc::clone(clock) as Arc<dyn Clock>;
    Client::new(url, transport)
        .unwrap()
        .with_options(options)
        .with_clock(clock)
}

fn client(url: &str) -> (Client, Arc<Hand>) {
    let clock = Arc::new(Hand::default());
    clock.set(1_000_000);
    let client = client_over(url, Arc::new(UreqTransport::default()), &clock);
    (client, clock)
}

fn server_search(client: Client) -> ServerSearch {
    ServerSearch::new(Arc::new(client), Policy::default())
}

fn upgrade(server: &ServerSearch) -> Upgrade {
    server.upgrade(&unsure(PHOTO), &Query::default(), &CONSENT)
}

/// The local answer, untouched.
fn assert_local(upgrade: &Upgrade) {
    let keys: Vec<&str> = upgrade
        .answer
        .hits
        .iter()
        .map(|hit| hit.key.as_str())
        .collect();
    assert_eq!(keys, ["mug", "old"]);
    assert_eq!(upgrade.answer.verdict, Verdict::Unsure);
    assert_eq!(upgrade.answer.source, Source::Local);
    let sources = upgrade.answer.hits.iter().map(|hit| hit.source);
    assert!(sources.into_iter().all(|source| source == Source::Local));
}

/// The server's hit, and of the local ones those that are not gone.
fn assert_upgraded(upgrade: &Upgrade) {
    assert_eq!(upgrade.failure, None);
    let hits = upgrade.answer.hits.iter();
    let hits: Vec<(&str, Source)> = hits.map(|hit| (hit.key.as_str(), hit.source)).collect();
    assert_eq!(hits, [("cup", Source::Server), ("mug", Source::Local)]);
    assert_eq!(upgrade.answer.source, Source::Server);
    assert_eq!(upgrade.answer.verdict, Verdict::Match);
}
