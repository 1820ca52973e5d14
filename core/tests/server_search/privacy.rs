//! Nothing but the descriptor leaves, and neither it nor a token is ever written down.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use pocketlens::lens::Query;
use pocketlens::remote::{
    HttpRequest, HttpResponse, HttpTransport, RemoteQuery, Token, TokenProvider, TransportError,
    UreqTransport,
};
use serde_json::{Value, json};

use super::loopback::{Loopback, MODEL, found};
use super::{CONSENT, PHOTO, client, client_over, server_search, unsure, upgrade};

const SECRET: &str = "c2VjcmV0.dG9rZW4";

struct OneToken;

impl TokenProvider for OneToken {
    fn token(&self) -> Option<Token> {
        Token::new(SECRET)
    }

    fn refresh(&self, _: &Token, _: Duration) -> Option<Token> {
        None
    }
}

#[test]
fn the_body_is_the_descriptor_and_what_is_asked_of_it() {
    let server = Loopback::answering(|_, _| found("cup", 0));
    let (client, _) = client(&server.url);
    let search = server_search(client.with_tokens(Arc::new(OneToken)));
    upgrade(&search);
    let received = server.received();
    let [meta, post] = &received[..] else {
        panic!("{received:?}")
    };
    assert!(meta.body.is_empty());
    let mut body: Value = serde_json::from_slice(&post.body).unwrap();
    let deadline = body.as_object_mut().unwrap().remove("deadline_ms");
    assert!(deadline.unwrap().as_u64().unwrap() <= 400);
    // Little-endian halves of 0.6, 0 and 0.8.
    let vector = "zTgAAGY6";
    assert_eq!(
        body,
        json!({"model_id": MODEL, "dim": 3, "dtype": "f16", "vector": vector, "k": 10})
    );
    for request in &received {
        let names = request
            .headers
            .iter()
            .map(|line| line.split(':').next().unwrap());
        let names: BTreeSet<String> = names.map(str::to_lowercase).collect();
        let allowed = [
            "accept",
            "accept-encoding",
            "authorization",
            "content-length",
            "content-type",
            "host",
            "user-agent",
        ];
        let allowed = allowed.map(str::to_owned).into();
        assert!(names.is_subset(&allowed), "{names:?}");
        let agent = format!("pocketlens/{}", env!("CARGO_PKG_VERSION"));
        assert_eq!(request.header("user-agent"), Some(agent.as_str()));
    }
}

/// Writes down how requests and replies would appear in a log.
struct Logging(UreqTransport, Arc<std::sync::Mutex<String>>);

impl HttpTransport for Logging {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        let reply = self.0.send(request);
        *self.1.lock().unwrap() += &format!("{request:?} {reply:?}\n");
        reply
    }
}

#[test]
fn nothing_that_can_be_logged_shows_vector_or_token() {
    let server = Loopback::answering(|_, _| found("cup", 0));
    let (log, clock) = (Arc::default(), Arc::default());
    let logging = Arc::new(Logging(UreqTransport::default(), Arc::clone(&log)));
    let client = client_over(&server.url, logging, &clock).with_tokens(Arc::new(OneToken));
    let answer = unsure(PHOTO);
    let mut text = format!("{client:?} {answer:?} {:?}", Token::new(SECRET));
    text += &format!("{:?}", RemoteQuery::new(&answer.descriptor, 3));
    text += &format!("{:?}", pocketlens::remote::EncodedVector::of(&PHOTO));
    let search = server_search(client);
    let upgrade = search.upgrade(&answer, &Query::default(), &CONSENT);
    text += &format!("{search:?} {upgrade:?}");
    text += &log.lock().unwrap();
    assert_eq!(server.searches(), 1);
    assert!(text.contains("/v1/search") && text.contains("cup"));
    for secret in [SECRET, "zTgAAGY6", "0.6, ", "0.8"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}
