//! `serve`: devices ask the contract, browsers the page, and both follow an index that is updated.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use pocketlens::index::filter::{Condition, Filter};
use pocketlens::lens::{Lens, Query, Source};
use pocketlens::remote::{
    Client, HttpRequest, HttpResponse, HttpTransport, Method, Mode, Policy, ServerSearch,
    Situation, UreqTransport,
};
use serde_json::Value;

use super::{command, picture, refusal, shop};

/// The program while it serves.
struct Serving {
    child: Child,
    url: String,
}

impl Serving {
    fn start(index: &Path, more: &[&str]) -> Self {
        let mut command = command(["serve", "--bind", "127.0.0.1:0", "--json"]);
        command
            .arg(index)
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        let url = ready["url"]
            .as_str()
            .unwrap()
            .trim_end_matches('/')
            .to_owned();
        Self { child, url }
    }

    fn send(&self, method: Method, path: &str, body: Vec<u8>) -> HttpResponse {
        let request = HttpRequest {
            method,
            url: format!("{}{path}", self.url),
            headers: vec![],
            body,
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(60),
            max_reply_bytes: 10 << 20,
        };
        UreqTransport::default().send(&request).unwrap()
    }

    fn get(&self, path: &str) -> HttpResponse {
        self.send(Method::Get, path, vec![])
    }

    fn try_photo(&self, path: &str, photo: &Path) -> Value {
        let reply = self.send(Method::Post, path, std::fs::read(photo).unwrap());
        assert_eq!(reply.status, 200, "{}", super::text(&reply.body));
        serde_json::from_slice(&reply.body).unwrap()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_device_asks_the_server_and_gets_what_the_index_says() {
    let folder = tempfile::tempdir().unwrap();
    let index = shop(folder.path(), 6);
    let serving = Serving::start(&index, &["--no-page"]);
    assert_eq!(serving.get("/").status, 404);
    let client = Client::new(&serving.url, Arc::new(UreqTransport::default())).unwrap();
    let policy = Policy {
        mode: Mode::PreferServer,
        ..Policy::default()
    };
    let server = ServerSearch::new(Arc::new(client), policy);
    let situation = Situation {
        consent: true,
        ..Situation::default()
    };
    let lens = Lens::open(&index).unwrap();
    let filters = [
        None,
        Some(Filter::new().must(Condition::HasId(vec!["04.png".into()]))),
    ];
    for filter in filters {
        let query = Query {
            k: 3,
            filter,
            ..Query::default()
        };
        let photo = folder.path().join("catalogue/02.png");
        let local = lens.search_file(&photo, &query).unwrap();
        let upgrade = server.upgrade(&local, &query, &situation);
        assert_eq!(upgrade.failure, None);
        assert_eq!(upgrade.answer.hits.len(), local.hits.len());
        for (hit, local) in upgrade.answer.hits.iter().zip(&local.hits) {
            assert_eq!((&hit.key, hit.source), (&local.key, Source::Server));
            assert!((hit.score - local.score).abs() < 0.005, "{hit:?} {local:?}");
        }
    }
}

#[test]
fn the_page_takes_photos_and_shows_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let index = shop(folder.path(), 5);
    let serving = Serving::start(&index, &[]);
    let page = serving.get("/");
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.contains("default-src 'none'") && !policy.contains("unsafe"),
        "{policy}"
    );
    let text = String::from_utf8(page.body).unwrap();
    assert!(
        !text.contains("{{")
            && !text.contains("https://")
            && text.contains("capture=\"environment\"")
    );

    let about: Value = serde_json::from_slice(&serving.get("/try/about").body).unwrap();
    assert_eq!(about["items"], 5);
    let photo = folder.path().join("catalogue/03.png");
    let answer = serving.try_photo("/try/search?k=2", &photo);
    let hits = answer["hits"].as_array().unwrap();
    assert_eq!((hits.len(), &hits[0]["key"]), (2, &"03.png".into()));
    let heat = &hits[0]["heat"];
    let cells = heat["height"].as_u64().unwrap() * heat["width"].as_u64().unwrap();
    let warmth = heat["warmth"].as_array().unwrap();
    assert_eq!(
        (
            warmth.len() as u64,
            warmth.iter().max_by_key(|w| w.as_u64())
        ),
        (cells, Some(&255.into()))
    );
    let filtered = serving.try_photo(
        "/try/search?filter=%7B%22must_not%22%3A%5B%7B%22has_id%22%3A%5B%2203.png%22%5D%7D%5D%7D",
        &photo,
    );
    assert_eq!(filtered["hits"].as_array().unwrap().len(), 4);

    let small = serving.get("/try/picture?key=03.png");
    assert_eq!(small.header("content-type"), Some("image/jpeg"));
    assert!(image::load_from_memory(&small.body).is_ok());
    for path in [
        "/try/picture?key=..%2Fshop.plx%2Fmanifest.json",
        "/try/picture?key=none",
    ] {
        assert_eq!(serving.get(path).status, 404, "{path}");
    }
    let refused = [
        serving.send(Method::Post, "/try/search", b"no photo".to_vec()),
        serving.send(Method::Post, "/try/search?filter=%7B", vec![]),
        serving.send(Method::Post, "/try/search?k=many", vec![]),
        serving.get("/try/picture"),
    ];
    for reply in refused {
        assert_eq!(reply.status, 400, "{}", super::text(&reply.body));
        assert_eq!(
            reply.header("content-type"),
            Some("application/problem+json")
        );
    }
}

#[test]
fn an_update_is_followed_by_the_page_and_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let index = shop(folder.path(), 3);
    let serving = Serving::start(&index, &[]);
    let more = folder.path().join("more");
    std::fs::create_dir(&more).unwrap();
    picture(160, 128, 40).save(more.join("new.png")).unwrap();
    let added = command(["index", "add"]).arg(&index).arg(&more).status();
    assert!(added.unwrap().success());
    // The server looks once a second by itself: asked until it has looked.
    let start = Instant::now();
    loop {
        let answer = serving.try_photo("/try/search?k=1", &more.join("new.png"));
        let meta: Value = serde_json::from_slice(&serving.get("/v1/meta").body).unwrap();
        if answer["hits"][0]["key"] == "new.png" && meta["items"] == 4 {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "{answer}");
    }
}

#[cfg(unix)]
#[test]
fn it_ends_when_it_is_asked_to() {
    let folder = tempfile::tempdir().unwrap();
    let mut serving = Serving::start(&shop(folder.path(), 2), &[]);
    let id = serving.child.id().to_string();
    let asked = std::process::Command::new("kill")
        .args(["-TERM", &id])
        .status();
    assert!(asked.unwrap().success());
    assert_eq!(serving.child.wait().unwrap().code(), Some(0));
}

#[test]
fn what_cannot_be_served_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let index = shop(folder.path(), 2).display().to_string();
    let reason = refusal(["serve", "nowhere.plx"]);
    assert!(reason.contains("nowhere.plx"), "{reason}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let reason = refusal(["serve", &index, "--bind", &address]);
    assert!(
        reason.contains(&address) && reason.contains("--bind"),
        "{reason}"
    );
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "short").unwrap();
    let reason = refusal([
        "serve",
        &index,
        "--token-secret",
        &secret.display().to_string(),
    ]);
    assert!(reason.contains("at least 32 bytes"), "{reason}");
}
