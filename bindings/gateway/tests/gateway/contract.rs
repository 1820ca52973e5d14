//! The contract: answers equal those of the index itself, refusals say why, and the document says what is true.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use pocketlens::descriptor::Descriptor;
use pocketlens::index::{Index, IndexQuery};
use pocketlens::remote::contract::{Meta, RemoteHit, SearchReply, SearchRequest};
use pocketlens::remote::{
    Client, Problem, ProblemKind, RemoteError, RemoteQuery, RemoteSearch, UreqTransport,
};
use pocketlens::verdict::Calibration;
use pocketlens_gateway::{Engine, EngineError, EngineQuery, GatewayOptions, OPENAPI};
use serde_json::{Value, json};

use super::{DIM, Running, body, keys, model, payload, problem, request, vector};

#[test]
fn meta_and_answers_are_those_of_the_index() {
    let folder = tempfile::tempdir().unwrap();
    let (server, _) = Running::over(folder.path(), 60, GatewayOptions::default());
    let index = Index::open(&folder.path().join("shop.plx")).unwrap();
    let meta = body(&server.get("/v1/meta"));
    let version = index.version();
    assert_eq!(
        meta,
        json!({"model_id": model().to_string(), "dim": DIM, "index_version": version, "items": 60})
    );
    for number in [0, 7, 59] {
        let reply = body(&server.search(&request(number, 5)));
        let local = index
            .search(&IndexQuery::new(model(), &vector(number), 5))
            .unwrap();
        let local_keys: Vec<&str> = local.hits.iter().map(|hit| hit.key.as_str()).collect();
        assert_eq!(keys(&reply), local_keys);
        assert_eq!(reply["hits"][0]["key"], format!("item-{number}"));
        assert_eq!(reply["hits"][0]["payload"], payload(number));
        for (hit, local) in reply["hits"].as_array().unwrap().iter().zip(&local.hits) {
            assert!((hit["score"].as_f64().unwrap() - f64::from(local.score)).abs() < 0.01);
        }
        assert_eq!(reply["index_version"], version.as_str());
        assert_eq!((&reply["ttl_s"], &reply["gone"]), (&json!(60), &json!([])));
    }
}

#[test]
fn filters_groups_and_clamps() {
    let folder = tempfile::tempdir().unwrap();
    let options = GatewayOptions {
        max_k: 7,
        ..GatewayOptions::default()
    };
    let (server, _) = Running::over(folder.path(), 60, options);
    let mut asked = request(9, 1000);
    assert_eq!(keys(&body(&server.search(&asked))).len(), 7);
    asked["filter"] = json!({"must": [{"key": "even", "match": {"value": true}}, {"key": "price", "range": {"lt": 5}}]});
    let found: BTreeSet<String> = keys(&body(&server.search(&asked)))
        .into_iter()
        .map(str::to_owned)
        .collect();
    assert_eq!(
        found,
        ["item-0", "item-2", "item-4"].map(str::to_owned).into()
    );
    asked["group_by"] = json!("group");
    let reply = body(&server.search(&asked));
    assert_eq!(keys(&reply).len(), 3);
    assert_eq!(reply["hits"][0]["votes"], 1);
}

#[test]
fn refusals_say_why() {
    let folder = tempfile::tempdir().unwrap();
    let (server, _) = Running::over(folder.path(), 3, GatewayOptions::default());
    let good = request(1, 1);
    let with = |name: &str, value: Value| {
        let mut changed = good.clone();
        changed[name] = value;
        server.search(&changed)
    };
    let other = "00000000000000000000000000000000";
    let cases = [
        (
            with("model_id", json!(other)),
            "wrong-model",
            model().to_string(),
        ),
        (with("k", json!(0)), "bad-request", "k: expected".into()),
        (
            with("dim", json!(9)),
            "bad-request",
            "dim: expected 8, found 9".into(),
        ),
        (
            with("vector", json!("AAAA")),
            "bad-request",
            "vector: expected 24".into(),
        ),
        (
            with("vector", json!("A".repeat(24))),
            "bad-request",
            "vector".into(),
        ),
        (with("dtype", json!("f64")), "bad-request", "f16".into()),
        (with("fliter", json!({})), "bad-request", "fliter".into()),
        (
            with("filter", json!({"must": [{"key": "price"}]})),
            "bad-request",
            "$.must[0]".into(),
        ),
        (
            with(
                "filter",
                json!({"must": [{"key": "price", "match": {"value": "x"}}]}),
            ),
            "bad-request",
            "price".into(),
        ),
        (
            server.post("/v1/search", b"{"),
            "bad-request",
            "line 1".into(),
        ),
        (
            server.post("/v1/search", &vec![b' '; 300_000]),
            "too-large",
            "262144".into(),
        ),
        (
            server.send(pocketlens::remote::Method::Post, "/v1/search", &[], b"{}"),
            "unsupported-media-type",
            "json".into(),
        ),
        (
            server.get("/v1/search"),
            "method-not-allowed",
            String::new(),
        ),
        (server.get("/v1/nothing"), "not-found", String::new()),
        (server.get("/"), "not-found", String::new()),
        (
            server.get("/v1/meta?model_id=x"),
            "bad-request",
            "model_id".into(),
        ),
    ];
    for (reply, kind, detail) in cases {
        let text = String::from_utf8_lossy(&reply.body).into_owned();
        assert_eq!(problem(&reply).1, kind, "{text}");
        assert!(text.contains(&detail), "{detail} in {text}");
    }
}

/// Work on the thread of the request cannot be left behind: it ends by itself.
#[test]
fn a_search_whose_time_is_up_ends() {
    let folder = tempfile::tempdir().unwrap();
    let (_running, engine) = Running::over(folder.path(), 20, GatewayOptions::default());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let asked = |within| EngineQuery {
        model: model(),
        vector: vector(3),
        k: 5,
        filter: None,
        group_by: None,
        within,
    };
    let late = runtime.block_on(engine.search(asked(Duration::ZERO)));
    assert!(matches!(late, Err(EngineError::TimedOut)), "{late:?}");
    let answer = runtime.block_on(engine.search(asked(Duration::MAX)));
    assert_eq!(answer.unwrap().hits[0].key, "item-3");
}

#[test]
fn the_client_of_devices_understands_it() {
    let folder = tempfile::tempdir().unwrap();
    let (server, _) = Running::over(folder.path(), 20, GatewayOptions::default());
    let client = Client::new(&server.url, Arc::new(UreqTransport::default())).unwrap();
    let mut descriptor = Descriptor {
        fingerprint: model(),
        values: vector(4),
    };
    let answer = client.search(&RemoteQuery::new(&descriptor, 3)).unwrap();
    assert_eq!(answer.hits[0].key, "item-4");
    descriptor.fingerprint.0[0] ^= 1;
    let refused = client.search(&RemoteQuery::new(&descriptor, 3));
    assert!(
        matches!(refused, Err(RemoteError::WrongModel { .. })),
        "{refused:?}"
    );
}

#[test]
fn health_readiness_and_figures() {
    let folder = tempfile::tempdir().unwrap();
    let (server, _) = Running::over(folder.path(), 3, GatewayOptions::default());
    for path in ["/healthz", "/readyz"] {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
    server.search(&request(1, 1));
    server.get("/v1/secret-path");
    let figures = String::from_utf8(server.get("/metrics").body).unwrap();
    assert!(
        figures.contains(r#"pocketlens_requests_total{path="/v1/search",status="200"} 1"#),
        "{figures}"
    );
    assert!(
        figures.contains(r#"pocketlens_requests_total{path="other",status="404"} 1"#),
        "{figures}"
    );
    assert!(
        figures.contains("pocketlens_engine_seconds_count 1"),
        "{figures}"
    );
    assert!(!figures.contains("secret-path"));
}

/// Names of the fields of a value as it is sent.
fn fields(value: &impl serde::Serialize) -> BTreeSet<String> {
    let value = serde_json::to_value(value).unwrap();
    value.as_object().unwrap().keys().cloned().collect()
}

#[test]
fn the_document_says_what_is_true() {
    let document: Value = serde_json::from_str(OPENAPI).unwrap();
    let schemas = &document["components"]["schemas"];
    let properties = |name: &str| -> BTreeSet<String> {
        schemas[name]["properties"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect()
    };
    let meta = Meta {
        model_id: model(),
        dim: 1,
        index_version: String::new(),
        items: Some(1),
        calibration: Some(Calibration::default()),
    };
    let mut asked = request(1, 1);
    asked["filter"] = json!({"must": []});
    asked["group_by"] = json!("group");
    asked["deadline_ms"] = json!(1);
    let asked: SearchRequest = serde_json::from_value(asked).unwrap();
    let hit = RemoteHit {
        key: String::new(),
        group: None,
        score: 0.0,
        payload: Value::Null,
        votes: Some(1),
    };
    let reply = SearchReply {
        hits: vec![],
        gone: vec![],
        index_version: String::new(),
        ttl_s: 1,
        rival: Some(0.0),
    };
    assert_eq!(properties("Meta"), fields(&meta));
    assert_eq!(properties("SearchRequest"), fields(&asked));
    assert_eq!(properties("Hit"), fields(&hit));
    assert_eq!(properties("SearchReply"), fields(&reply));
    assert_eq!(
        properties("Problem"),
        fields(&Problem::new(ProblemKind::Internal, ""))
    );

    // Every field that is required is needed, every other is not.
    let required: BTreeSet<&str> = schemas["SearchRequest"]["required"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap())
        .collect();
    for name in properties("SearchRequest") {
        let mut without = serde_json::to_value(&asked).unwrap();
        without.as_object_mut().unwrap().remove(&name);
        let understood = serde_json::from_value::<SearchRequest>(without).is_ok();
        assert_eq!(understood, !required.contains(name.as_str()), "{name}");
    }

    // Every path is served, with just these methods, and every kind of refusal is written down.
    let folder = tempfile::tempdir().unwrap();
    let (server, _) = Running::over(folder.path(), 3, GatewayOptions::default());
    let mut statuses = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in ["get", "post"] {
            let reply = match method {
                "get" => server.get(path),
                _ => server.search_at(path),
            };
            let is_there = methods.get(method).is_some();
            assert_eq!(reply.status != 405, is_there, "{method} {path}");
            if is_there {
                let listed = methods[method]["responses"].as_object().unwrap();
                assert!(
                    listed.contains_key(&reply.status.to_string()),
                    "{path} {}",
                    reply.status
                );
                statuses.extend(listed.keys().cloned());
            }
        }
    }
    for kind in ProblemKind::ALL {
        let elsewhere = [ProblemKind::NotFound, ProblemKind::MethodNotAllowed];
        let is_listed = statuses.contains(&kind.status().to_string());
        assert!(is_listed || elsewhere.contains(&kind), "{kind:?}");
    }
    assert_eq!(server.get("/v1/openapi.json").body, OPENAPI.as_bytes());
}

impl Running {
    fn search_at(&self, path: &str) -> pocketlens::remote::HttpResponse {
        self.post(path, request(1, 1).to_string().as_bytes())
    }
}
