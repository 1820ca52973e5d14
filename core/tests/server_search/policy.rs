//! What is blocked sends nothing, whatever else is true.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use pocketlens::index::filter::{Condition, Filter};
use pocketlens::lens::{Query, Source};
use pocketlens::remote::{
    Blocked, Client, Decision, HttpRequest, HttpResponse, HttpTransport, IndexState, Mode, Network,
    Policy, ServerSearch, Situation, TransportError,
};
use pocketlens::verdict::Verdict;
use proptest::prelude::*;

use super::{Hand, PHOTO, client_over, unsure};

/// Counts what is sent, and answers with these statuses in turn; then as a good server would.
#[derive(Default)]
struct Counting {
    sent: AtomicUsize,
    statuses: Mutex<Vec<u16>>,
}

impl HttpTransport for Counting {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        self.sent.fetch_add(1, Ordering::SeqCst);
        let status = self.statuses.lock().unwrap().pop().unwrap_or(200);
        let model = super::loopback::MODEL;
        let body = match request.url.contains("/v1/meta") {
            true => format!(r#"{{"model_id": "{model}", "dim": 3, "index_version": "1"}}"#),
            false => r#"{"hits": [], "index_version": "1"}"#.to_owned(),
        };
        Ok(HttpResponse {
            status,
            headers: vec![],
            body: body.into_bytes(),
        })
    }
}

fn modes() -> impl Strategy<Value = Mode> {
    prop::sample::select(vec![
        Mode::PreferLocal,
        Mode::OnlyLocal,
        Mode::PreferServer,
        Mode::OnlyServer,
    ])
}

fn situations() -> impl Strategy<Value = Situation> {
    let network = [Network::Offline, Network::Metered, Network::Unmetered];
    let index = [IndexState::Ready, IndexState::Stale, IndexState::Missing];
    let parts = (
        prop::bool::weighted(0.8),
        prop::sample::select(network.to_vec()),
        prop::sample::select(index.to_vec()),
        any::<bool>(),
        any::<bool>(),
    );
    parts.prop_map(
        |(consent, network, index, category_covered, live)| Situation {
            consent,
            network,
            index,
            category_covered,
            live,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_blocked_question_sends_no_byte(
        mode in modes(),
        allow_metered: bool,
        filtered: bool,
        steps in prop::collection::vec((situations(), 0usize..3, 0u64..20_000, 0usize..9), 1..20),
    ) {
        let transport = Arc::new(Counting::default());
        let clock = Arc::new(Hand::default());
        let client: Client = client_over("https://example.org", transport.clone(), &clock);
        let search = ServerSearch::new(Arc::new(client), Policy { mode, allow_metered });
        let query = Query {
            filter: filtered.then(|| Filter::new().must(Condition::value("brand", "x"))),
            ..Query::default()
        };
        let mut refused = false;
        for (situation, verdict, passes, status) in steps {
            let status = [200, 200, 200, 200, 401, 429, 500, 503, 409][status];
            *transport.statuses.lock().unwrap() = vec![status; 2];
            let mut answer = unsure(PHOTO);
            answer.verdict = [Verdict::Match, Verdict::Unsure, Verdict::NoMatch][verdict];
            let before = transport.sent.load(Ordering::SeqCst);
            let decision = search.decide(&answer, &query, &situation);
            prop_assert_eq!(transport.sent.load(Ordering::SeqCst), before);
            let upgrade = search.upgrade(&answer, &query, &situation);
            let sent = transport.sent.load(Ordering::SeqCst) - before;
            prop_assert_eq!(upgrade.decision, decision);
            match decision {
                Decision::Server(_) => prop_assert!((1..=4).contains(&sent)),
                _ => prop_assert_eq!(sent, 0),
            }
            // What the app can see by itself.
            let free = match situation.network {
                Network::Offline => false,
                Network::Metered => allow_metered,
                Network::Unmetered => true,
            };
            if !situation.consent || !free || mode == Mode::OnlyLocal || refused {
                prop_assert_eq!(sent, 0);
            }
            if sent == 0 {
                prop_assert_eq!(upgrade.answer.source, Source::Local);
                prop_assert_eq!(upgrade.answer.hits.len(), answer.hits.len());
            }
            refused |= search.decide(&answer, &query, &Situation { consent: true, network: Network::Unmetered, ..situation })
                == Decision::LocalOnly(Blocked::ModelRefused);
            clock.advance(passes);
        }
    }
}

#[test]
fn only_the_hits_of_the_server_are_shown_where_only_they_are_wanted() {
    let transport = Arc::new(Counting::default());
    let clock = Arc::new(Hand::default());
    let client = client_over("https://example.org", transport, &clock);
    let policy = Policy {
        mode: Mode::OnlyServer,
        allow_metered: false,
    };
    let search = ServerSearch::new(Arc::new(client), policy);
    let upgrade = search.upgrade(&unsure(PHOTO), &Query::default(), &super::CONSENT);
    assert_eq!(upgrade.answer.source, Source::Server);
    assert!(upgrade.answer.hits.is_empty());
    assert_eq!(upgrade.answer.verdict, Verdict::NoMatch);
}
