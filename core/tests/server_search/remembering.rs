//! What is not asked twice, and what is not asked too often.

use pocketlens::lens::{Query, Source};
use pocketlens::remote::{Blocked, Decision, Situation};
use serde_json::json;

use super::loopback::{Loopback, MODEL, found, ok};
use super::{CONSENT, PHOTO, assert_upgraded, client, server_search, unsure, upgrade};

#[test]
fn an_answer_is_good_for_its_time() {
    let server = Loopback::answering(|_, _| found("cup", 60));
    let (client, clock) = client(&server.url);
    let search = server_search(client);
    assert_upgraded(&upgrade(&search));
    clock.advance(59_999);
    assert_upgraded(&upgrade(&search));
    assert_eq!(server.searches(), 1);
    clock.advance(1);
    assert_upgraded(&upgrade(&search));
    assert_eq!(server.searches(), 2);
}

#[test]
fn another_question_is_asked() {
    let server = Loopback::answering(|_, _| found("cup", 60));
    let (client, _) = client(&server.url);
    let search = server_search(client);
    let few = Query {
        k: 1,
        ..Query::default()
    };
    search.upgrade(&unsure(PHOTO), &few, &CONSENT);
    search.upgrade(&unsure(PHOTO), &Query::default(), &CONSENT);
    search.upgrade(&unsure([0.0, 1.0, 0.0]), &few, &CONSENT);
    assert_eq!(server.searches(), 3);
    search.upgrade(&unsure(PHOTO), &few, &CONSENT);
    assert_eq!(server.searches(), 3);
}

#[test]
fn a_new_index_on_the_server_forgets_old_answers_and_asks_for_its_calibration() {
    let reply = |version: &str| ok(&json!({"hits": [], "index_version": version, "ttl_s": 60}));
    let server = Loopback::start(move |count, request| match request.line.as_str() {
        "GET /v1/meta" => {
            let version = if count == 0 { "1" } else { "2" };
            ok(&json!({"model_id": MODEL, "dim": 3, "index_version": version}))
        }
        _ => reply(if count < 2 { "1" } else { "2" }),
    });
    let (client, _) = client(&server.url);
    let search = server_search(client);
    let ask = |values| search.upgrade(&unsure(values), &Query::default(), &CONSENT);
    ask([1.0, 0.0, 0.0]);
    // The second says that the index is new: what the first said is forgotten.
    ask([0.0, 1.0, 0.0]);
    ask([1.0, 0.0, 0.0]);
    let lines: Vec<String> = server
        .received()
        .into_iter()
        .map(|request| request.line)
        .collect();
    let (meta, post) = ("GET /v1/meta", "POST /v1/search");
    assert_eq!(lines, [meta, post, post, meta, post]);
}

#[test]
fn a_live_session_asks_once_a_second() {
    let server = Loopback::answering(|_, _| found("cup", 0));
    let (client, clock) = client(&server.url);
    let search = server_search(client);
    let live = Situation {
        live: true,
        ..CONSENT
    };
    let mut upgraded = 0;
    // 30 frames a second, for four seconds.
    for frame in 0..120 {
        let upgrade = search.upgrade(&unsure(PHOTO), &Query::default(), &live);
        match upgrade.answer.source {
            Source::Server => upgraded += 1,
            Source::Local => {
                assert_eq!(
                    upgrade.decision,
                    Decision::LocalOnly(Blocked::Paced),
                    "{frame}"
                );
            }
        }
        clock.advance(1000 / 30);
    }
    assert_eq!((upgraded, server.searches()), (4, 4));
    // A photo that somebody took is asked about at once.
    assert_upgraded(&upgrade(&search));
}

#[test]
fn meta_can_be_fetched_before_the_first_question() {
    let server = Loopback::answering(|_, _| found("cup", 0));
    let (client, _) = client(&server.url);
    assert_eq!(
        client
            .meta(MODEL.parse().unwrap())
            .unwrap()
            .model_id
            .to_string(),
        MODEL
    );
    assert_upgraded(&upgrade(&server_search(client)));
    assert_eq!(server.received().len(), 2);
}
