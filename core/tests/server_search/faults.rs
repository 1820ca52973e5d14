//! Servers and networks that fail.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pocketlens::remote::{
    Blocked, Decision, RemoteError, Token, TokenProvider, TransportError, Upgrade,
};

use super::loopback::{Behaviour, Loopback, MODEL, found, meta, ok, status};
use super::{assert_local, assert_upgraded, client, server_search, upgrade};

/// Upgrades against a server whose searches go like this: what came of it, and how often it was asked to search.
fn against(search: impl Fn() -> Behaviour + Send + Sync + 'static) -> (Upgrade, usize) {
    let server = Loopback::answering(move |_, _| search());
    let (client, _) = client(&server.url);
    let start = Instant::now();
    let upgrade = upgrade(&server_search(client));
    // Deadline 400 ms; the rest is for a busy machine.
    assert!(start.elapsed() < Duration::from_secs(3), "{upgrade:?}");
    (upgrade, server.searches())
}

#[test]
fn a_good_server_makes_the_answer_better() {
    let (upgrade, searches) = against(|| found("cup", 0));
    assert_upgraded(&upgrade);
    assert_eq!(searches, 1);
}

#[test]
fn nobody_listens() {
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let (client, _) = client(&format!("http://{port}"));
    let upgrade = upgrade(&server_search(client));
    assert_local(&upgrade);
    let failure = upgrade.failure;
    assert!(
        matches!(
            &failure,
            Some(RemoteError::Transport(TransportError::Refused(_)))
        ),
        "{failure:?}"
    );
}

#[test]
fn a_silent_server_costs_no_more_than_the_deadline() {
    let before = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"hits\": [";
    for bytes in [b"".as_slice(), b"HTTP/1.1 2", before] {
        let (upgrade, searches) = against(move || Behaviour::Hang(bytes.to_vec()));
        assert_local(&upgrade);
        let deadline = Duration::from_millis(400);
        assert_eq!(
            upgrade.failure,
            Some(RemoteError::DeadlineExceeded(deadline))
        );
        assert_eq!(searches, 1);
    }
}

#[test]
fn a_half_sent_reply_is_asked_for_once_more() {
    let half = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"hits\": [";
    for bytes in [b"".as_slice(), b"HTTP/1.1 2", half] {
        let (upgrade, searches) = against(move || Behaviour::Bytes(bytes.to_vec()));
        assert_local(&upgrade);
        let failure = upgrade.failure;
        assert!(
            matches!(
                &failure,
                Some(RemoteError::Transport(TransportError::Broken(_)))
            ),
            "{failure:?}"
        );
        assert_eq!(searches, 2);
    }
}

#[test]
fn garbage_is_no_answer() {
    let no_contract: [&[u8]; 5] = [
        b"<html>Welcome to the hotel's network</html>",
        b"{}",
        b"{\"hits\": [{\"key\": \"a\", \"score\": \"high\"}], \"index_version\": \"1\"}",
        b"{\"hits\": [{\"key\": \"a\", \"score\": 1e30}], \"index_version\": \"1\"}",
        b"\xff\xfe",
    ];
    for body in no_contract {
        let (upgrade, searches) = against(move || Behaviour::Reply(200, vec![], body.to_vec()));
        assert_local(&upgrade);
        assert!(
            matches!(&upgrade.failure, Some(RemoteError::BadReply(_))),
            "{upgrade:?}"
        );
        assert_eq!(searches, 1);
    }
    let (upgrade, _) = against(|| Behaviour::Bytes(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()));
    assert_local(&upgrade);
    assert!(
        matches!(&upgrade.failure, Some(RemoteError::Transport(_))),
        "{upgrade:?}"
    );
}

#[test]
fn an_endless_reply_is_not_read_to_its_end() {
    let (upgrade, _) = against(|| Behaviour::Reply(200, vec![], vec![b' '; 3 << 20]));
    assert_local(&upgrade);
    let limit = 1 << 20;
    let expected = RemoteError::Transport(TransportError::TooLarge { limit });
    assert_eq!(upgrade.failure, Some(expected));
}

#[test]
fn redirects_are_not_followed() {
    let elsewhere = Loopback::answering(|_, _| found("cup", 0));
    let location = format!("{}/v1/search", elsewhere.url);
    let (upgrade, _) =
        against(move || Behaviour::Reply(307, vec![("Location", location.clone())], vec![]));
    assert_local(&upgrade);
    assert!(elsewhere.received().is_empty());
}

#[test]
fn a_passing_fault_is_tried_again_once() {
    let server = Loopback::answering(|count, _| match count {
        1 => status(500),
        _ => found("cup", 0),
    });
    let (client, _) = client(&server.url);
    assert_upgraded(&upgrade(&server_search(client)));
    assert_eq!(server.searches(), 2);
}

#[test]
fn a_failing_server_is_left_alone_and_tried_again_later() {
    let server = Loopback::answering(|count, _| match count {
        0..10 => status(500),
        _ => found("cup", 0),
    });
    let (client, clock) = client(&server.url);
    let search = server_search(client);
    for _ in 0..3 {
        let upgrade = upgrade(&search);
        assert_local(&upgrade);
        assert!(matches!(
            upgrade.failure,
            Some(RemoteError::Server { status: 500, .. }) | None
        ));
    }
    let sent = server.received().len();
    let blocked = upgrade(&search);
    assert_local(&blocked);
    assert_eq!(blocked.decision, Decision::LocalOnly(Blocked::BreakerOpen));
    assert_eq!(server.received().len(), sent);
    // One trial a cool-down, until the server is well.
    let mut trials = 0;
    loop {
        clock.advance(600_000);
        trials += 1;
        assert!(trials < 10);
        let upgrade = upgrade(&search);
        match upgrade.failure {
            None => break assert_upgraded(&upgrade),
            Some(_) => assert_local(&upgrade),
        }
    }
}

#[test]
fn a_server_that_asks_for_a_pause_gets_it() {
    let server = Loopback::answering(|count, _| match count {
        1 => Behaviour::Reply(429, vec![("Retry-After", "30".to_owned())], b"{}".to_vec()),
        _ => found("cup", 0),
    });
    let (client, clock) = client(&server.url);
    let search = server_search(client);
    let first = upgrade(&search);
    assert_local(&first);
    let pause = Duration::from_secs(30);
    assert_eq!(first.failure, Some(RemoteError::RateLimited(pause)));
    clock.advance(29_999);
    let early = upgrade(&search);
    assert_local(&early);
    assert_eq!(early.decision, Decision::LocalOnly(Blocked::Paused));
    assert_eq!(server.received().len(), 2);
    clock.advance(1);
    assert_upgraded(&upgrade(&search));
}

/// Gives `old`, and `new` in its place.
struct Tokens;

impl TokenProvider for Tokens {
    fn token(&self) -> Option<Token> {
        Token::new("old")
    }

    fn refresh(&self, refused: &Token, _: Duration) -> Option<Token> {
        assert_eq!(refused.reveal(), "old");
        Token::new("new")
    }
}

#[test]
fn an_expired_token_is_renewed_once() {
    let only_new = |request: &super::loopback::Received, well: Behaviour| match request
        .header("authorization")
    {
        Some("Bearer new") => well,
        _ => status(401),
    };
    let server = Loopback::start(move |_, request| match request.line.as_str() {
        "GET /v1/meta" => only_new(request, meta()),
        _ => only_new(request, found("cup", 0)),
    });
    let (client, _) = client(&server.url);
    let search = server_search(client.with_tokens(Arc::new(Tokens)));
    assert_upgraded(&upgrade(&search));
    assert_eq!(server.received().len(), 4);
}

#[test]
fn a_token_that_stays_refused_is_not_asked_with_for_ever() {
    let server = Loopback::start(|_, _| status(401));
    let (client, _) = client(&server.url);
    let search = server_search(client.with_tokens(Arc::new(Tokens)));
    let upgrade = upgrade(&search);
    assert_local(&upgrade);
    assert_eq!(upgrade.failure, Some(RemoteError::Unauthorized));
    assert_eq!(server.received().len(), 2);
}

#[test]
fn a_vector_never_reaches_an_index_of_another_model() {
    let other = "99999999999999999999999999999999";
    let metas = [
        serde_json::json!({"model_id": other, "dim": 3, "index_version": "1"}),
        serde_json::json!({"model_id": MODEL, "dim": 4, "index_version": "1"}),
    ];
    for meta in metas {
        let server = Loopback::start(move |_, _| ok(&meta));
        let (client, clock) = client(&server.url);
        let search = server_search(client);
        let first = upgrade(&search);
        assert_local(&first);
        assert!(
            matches!(first.failure, Some(RemoteError::WrongModel { .. })),
            "{first:?}"
        );
        clock.advance(1_000_000_000);
        let later = upgrade(&search);
        assert_local(&later);
        assert_eq!(later.decision, Decision::LocalOnly(Blocked::ModelRefused));
        assert_eq!((server.received().len(), server.searches()), (1, 0));
    }
}

#[test]
fn a_conflict_ends_the_route_for_good() {
    let server = Loopback::answering(|_, _| status(409));
    let (client, clock) = client(&server.url);
    let search = server_search(client);
    let first = upgrade(&search);
    assert_local(&first);
    assert!(
        matches!(first.failure, Some(RemoteError::WrongModel { .. })),
        "{first:?}"
    );
    for _ in 0..3 {
        clock.advance(1_000_000_000);
        assert_local(&upgrade(&search));
    }
    assert_eq!(server.searches(), 1);
}

#[test]
fn a_clock_that_jumps_does_no_harm() {
    let server = Loopback::answering(|count, _| match count {
        1 => Behaviour::Reply(429, vec![("Retry-After", "30".to_owned())], b"{}".to_vec()),
        _ => found("cup", 3600),
    });
    let (client, clock) = client(&server.url);
    let search = server_search(client);
    assert_local(&upgrade(&search));
    // Back by a day: the pause counts as over, instead of lasting a day.
    clock.set(0);
    assert_upgraded(&upgrade(&search));
    // Ahead by years, and back again: cached answers are old, the server is asked.
    for ms in [1 << 50, 5] {
        clock.set(ms);
        assert_upgraded(&upgrade(&search));
    }
    assert_eq!(server.searches(), 4);
}
