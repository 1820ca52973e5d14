//! An index that changes under the gateway: no query is dropped, and each is answered by one whole index.

use std::sync::atomic::{AtomicBool, Ordering};

use pocketlens::index::ItemPhoto;
use pocketlens_gateway::{GatewayOptions, Reloads};
use serde_json::json;

use super::{Running, body, change, keys, payload, request, vector};

#[test]
fn updates_are_followed_and_removed_items_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("shop.plx");
    let (server, engine) = Running::over(folder.path(), 20, GatewayOptions::default());
    let version = body(&server.get("/v1/meta"))["index_version"].clone();
    assert_eq!(engine.reload().unwrap(), Reloads::Unchanged);

    change(&dir, |update| {
        update.remove("item-3").unwrap();
        let item = ItemPhoto {
            key: "new",
            group: None,
            payload: &payload(77),
            vector: &vector(77),
        };
        update.put(&item).unwrap();
    });
    assert_eq!(engine.reload().unwrap(), Reloads::Reloaded);
    assert_ne!(body(&server.get("/v1/meta"))["index_version"], version);
    assert_eq!(keys(&body(&server.search(&request(77, 1)))), ["new"]);
    let reply = body(&server.search(&request(3, 5)));
    assert!(!keys(&reply).contains(&"item-3"));
    assert_eq!(reply["gone"], json!(["item-3"]));
    // Far from this question, nobody has to know.
    let far: Vec<f32> = vector(3).iter().map(|value| -value).collect();
    let mut asked = request(3, 1);
    asked["vector"] =
        serde_json::to_value(pocketlens::remote::EncodedVector::of(&far).unwrap()).unwrap();
    assert_eq!(body(&server.search(&asked))["gone"], json!([]));

    // Back again.
    change(&dir, |update| {
        let item = ItemPhoto {
            key: "item-3",
            group: None,
            payload: &payload(3),
            vector: &vector(3),
        };
        update.put(&item).unwrap();
    });
    engine.reload().unwrap();
    let reply = body(&server.search(&request(3, 5)));
    assert_eq!((keys(&reply)[0], &reply["gone"]), ("item-3", &json!([])));
}

#[test]
fn queries_go_on_while_the_index_is_replaced_again_and_again() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("shop.plx");
    let (server, engine) = Running::over(folder.path(), 40, GatewayOptions::default());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let askers: Vec<_> = (0..3)
            .map(|asker| {
                let (server, done) = (&server, &done);
                scope.spawn(move || {
                    let mut asked = 0;
                    while !done.load(Ordering::SeqCst) {
                        let number = (asked + asker) % 40;
                        let reply = server.search(&request(number, 3));
                        assert_eq!(reply.status, 200);
                        assert_eq!(keys(&body(&reply))[0], format!("item-{number}"));
                        asked += 1;
                    }
                    asked
                })
            })
            .collect();
        for round in 0..30 {
            change(&dir, |update| {
                let key = format!("extra-{round}");
                let item = ItemPhoto {
                    key: &key,
                    group: None,
                    payload: &payload(round),
                    vector: &vector(1000 + round),
                };
                update.put(&item).unwrap();
            });
            assert_eq!(engine.reload().unwrap(), Reloads::Reloaded);
        }
        done.store(true, Ordering::SeqCst);
        for asker in askers {
            assert!(asker.join().unwrap() > 0);
        }
    });
    assert_eq!(body(&server.get("/v1/meta"))["items"], 70);
}

#[test]
fn an_index_that_cannot_be_opened_leaves_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let (server, engine) = Running::over(folder.path(), 5, GatewayOptions::default());
    let manifest = folder.path().join("shop.plx/manifest.json");
    std::fs::write(&manifest, b"{ not a manifest").unwrap();
    assert!(engine.reload().is_err());
    assert_eq!(keys(&body(&server.search(&request(2, 1)))), ["item-2"]);
}
