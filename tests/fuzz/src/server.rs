//! What a server says to a device, and a device to a server: replies, refusals, the meta, a question.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pocketlens::descriptor::Descriptor;
use pocketlens::index::{GroupBy, Hit};
use pocketlens::lens::{Answer, Query};
use pocketlens::remote::contract::{Meta, SearchReply, SearchRequest};
use pocketlens::remote::{
    Client, Clock, HttpRequest, HttpResponse, HttpTransport, IndexState, Method, Mode, Network,
    Policy, Problem, ServerSearch, Situation, TransportError,
};

use super::{parts, sample};

const META: &str = r#"{"model_id": "MODEL", "dim": 4, "index_version": "1"}"#;

/// Says its parts: `stat` (the status of the reply to a search), `head` (its headers, a line each), `body`, `meta` (the
/// reply to the question for the meta; a sound one when absent).
pub fn feed(bytes: &[u8]) -> bool {
    let parts = parts::split(bytes);
    let part = |name| parts::first(&parts, name);
    let body = part(b"body");
    understand(body);
    understand(part(b"meta"));
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let headers = text(part(b"head"));
    let headers = headers.lines().filter_map(|line| {
        let (name, value) = line.split_once(": ")?;
        Some((name.to_owned(), value.to_owned()))
    });
    let meta = match part(b"meta") {
        [] => META
            .replace("MODEL", &sample::model().to_string())
            .into_bytes(),
        meta => meta.to_vec(),
    };
    let said = Said {
        meta,
        reply: HttpResponse {
            status: text(part(b"stat")).trim().parse().unwrap_or(200),
            headers: headers.collect(),
            body: body.to_vec(),
        },
    };
    let client = Client::new("https://server.example", Arc::new(said)).expect("https");
    let mut understood = false;
    let client = Arc::new(client.with_clock(Arc::new(Hand::default())));
    for mode in [Mode::PreferServer, Mode::OnlyServer] {
        let policy = Policy {
            mode,
            allow_metered: true,
        };
        let server = ServerSearch::new(client.clone(), policy);
        for group_by in [None, Some(GroupBy::Group)] {
            understood |= ask(&server, group_by);
        }
    }
    understood
}

/// Each kind of text for itself; what is understood can be said again.
fn understand(body: &[u8]) {
    let _ = serde_json::from_slice::<SearchReply>(body);
    let _ = serde_json::from_slice::<Problem>(body).map(|problem| problem.kind());
    let _ = serde_json::from_slice::<Meta>(body);
    if let Ok(request) = serde_json::from_slice::<SearchRequest>(body) {
        if let Ok(values) = request.vector.decode(request.dim) {
            assert!(values.iter().all(|value| value.is_finite()));
        }
        let again = serde_json::to_vec(&request).expect("plain data");
        let again: SearchRequest = serde_json::from_slice(&again).expect("what was read before");
        assert_eq!(again, request);
    }
}

/// Whether the server was believed.
fn ask(server: &ServerSearch, group_by: Option<GroupBy>) -> bool {
    let hit = Hit {
        key: "mug".to_owned(),
        group: "cups".to_owned(),
        score: 0.7,
        payload: serde_json::Value::Null,
        row: 0,
        votes: None,
    };
    let descriptor = Descriptor {
        fingerprint: sample::model(),
        values: sample::query(),
    };
    let local = Answer {
        hits: vec![hit],
        ..Answer::without_index(descriptor)
    };
    let query = Query {
        k: 3,
        group_by,
        ..Query::default()
    };
    let situation = Situation {
        consent: true,
        network: Network::Unmetered,
        index: IndexState::Ready,
        category_covered: true,
        live: false,
    };
    let upgrade = server.upgrade(&local, &query, &situation);
    let answer = &upgrade.answer;
    assert!(answer.hits.len() <= query.k);
    assert!((0.0..=1.0).contains(&answer.confidence), "{answer:?}");
    assert!(answer.hits.iter().all(|hit| hit.score.is_finite()));
    upgrade.failure.is_none()
}

/// A server that says the same to all.
struct Said {
    meta: Vec<u8>,
    reply: HttpResponse,
}

impl HttpTransport for Said {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        Ok(match request.method {
            Method::Get => HttpResponse {
                status: 200,
                headers: Vec::new(),
                body: self.meta.clone(),
            },
            Method::Post => self.reply.clone(),
        })
    }
}

/// A clock that moves when somebody sleeps by it.
#[derive(Default)]
struct Hand(AtomicU64);

impl Clock for Hand {
    fn now(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }

    fn sleep(&self, time: Duration) {
        let millis = time.as_millis() as u64;
        self.0.fetch_add(millis, Ordering::Relaxed);
    }
}
