//! The guide's Rust, as it stands in the guide: what is between anchors is shown there.

#![cfg(all(feature = "codecs", feature = "embedded", feature = "remote"))]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use pocketlens::bundle::Bundle;
use pocketlens::image::{Frame, Pixels};
use pocketlens::index::GroupBy;
use pocketlens::index::filter::Filter;
use pocketlens::lens::{Lens, LensError, NewPhoto, Query};
use pocketlens::limits::Limits;
use pocketlens::live::{LiveEvent, LiveOptions, LiveSession, Offered};
use pocketlens::localise::Focus;
use pocketlens::remote::{
    HttpRequest, HttpResponse, HttpTransport, Policy, ServerSearch, Situation, TransportError,
};
use pocketlens::verdict::Verdict;
use serde_json::json;

/// A picture of stripes and its PNG.
fn photo(folder: &Path, stripe: u32) -> (PathBuf, Pixels) {
    let (width, height) = (200, 160);
    let value = |x: u32, y: u32| [x / stripe * 60 % 256, y / stripe * 40 % 256, x * y % 256];
    let pixels = (0..height).flat_map(|y| (0..width).flat_map(move |x| value(x, y)));
    let bytes: Vec<u8> = pixels.map(|value| value as u8).collect();
    let path = folder.join(format!("{stripe}.png"));
    image::save_buffer(&path, &bytes, width, height, image::ExtendedColorType::Rgb8).unwrap();
    (path, Pixels::from_rgb(width, height, bytes).unwrap())
}

fn shop(folder: &Path) -> PathBuf {
    let index = folder.join("shop.plx");
    let lens = Lens::create(&index, &Bundle::embedded().unwrap()).unwrap();
    let mut update = lens.update().unwrap();
    for (stripe, price) in [(5, 3), (20, 4), (60, 9)] {
        let payload =
            json!({"title": format!("Stripes {stripe}"), "price": price, "kind": "cereal"});
        let key = format!("stripes-{stripe}");
        let item = NewPhoto {
            key: &key,
            group: None,
            payload: &payload,
        };
        update.put(&item, &photo(folder, stripe).1).unwrap();
    }
    update.commit().unwrap();
    index
}

#[test]
fn one_call() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let index = shop(folder.path());
    let photo = photo(folder.path(), 20).0;
    // ANCHOR: open
    let lens = Lens::open(index)?;
    // ANCHOR_END: open
    // ANCHOR: search
    let query = Query {
        k: 3,
        ..Query::default()
    };
    let answer = lens.search_file(&photo, &query)?;
    for hit in &answer.hits {
        println!("{} {} {}", hit.key, hit.score, hit.payload["title"]);
    }
    // ANCHOR_END: search
    assert_eq!(answer.hits[0].key, "stripes-20");
    // ANCHOR: filter
    let cheap = Filter::from_json(
        r#"{"must": [{"key": "price", "range": {"lt": 5}}, {"key": "kind", "match": {"any": ["cereal", "coffee"]}}]}"#,
    )?;
    let query = Query {
        filter: Some(cheap),
        group_by: Some(GroupBy::Group),
        ..Query::default()
    };
    let some = lens.search_file(&photo, &query)?;
    // ANCHOR_END: filter
    assert_eq!(some.hits.len(), 2);
    // ANCHOR: focus
    let focused = Query {
        focus: Some(Focus::Saliency),
        ..Query::default()
    };
    let near = lens.search_file(&photo, &focused)?;
    if let Some(place) = near.place {
        println!("it is at {}, {}, {} wide", place.x, place.y, place.width);
    }
    for word in &near.attributes {
        println!("{}: {}", word.name, word.label);
    }
    // ANCHOR_END: focus
    // ANCHOR: limits
    let limits = Limits {
        time: Duration::from_secs(2),
        ..Limits::default()
    };
    let hasty = lens.with_limits(limits)?;
    // ANCHOR_END: limits
    assert_eq!(hasty.limits().time, Duration::from_secs(2));
    // ANCHOR: verdict
    match answer.verdict {
        Verdict::Match => println!("this is {}", answer.hits[0].key),
        Verdict::Unsure => println!("is it one of these?"),
        Verdict::NoMatch => println!("we do not have this"),
    }
    // ANCHOR_END: verdict
    // ANCHOR: measure
    let times = &answer.times;
    println!("network {:?}, index {:?}", times.backbone, times.search);
    // ANCHOR_END: measure
    Ok(())
}

#[test]
fn a_live_camera() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let lens = Arc::new(Lens::open(shop(folder.path()))?);
    let bytes = vec![100; 640 * 480 * 3 / 2];
    // ANCHOR: live
    let (answers, answered) = channel();
    let session = LiveSession::start(lens, &LiveOptions::default(), move |event| {
        if let LiveEvent::Answered(at, answer) = event {
            let _ = answers.send((at, answer));
        }
    });
    // In the camera's callback, for each frame:
    let frame = Frame::nv21(&bytes, 640, 480)?;
    session.offer(&frame, Duration::from_millis(0))?;
    // ANCHOR_END: live
    let taken = session.offer(&frame, Duration::from_millis(200))?;
    assert_eq!(taken, Offered::Taken);
    assert_eq!(answered.recv()?.1.hits.len(), 3);
    Ok(())
}

#[test]
fn an_index_is_kept_up_to_date() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let lens = Lens::open(shop(folder.path()))?;
    let path = photo(folder.path(), 11).0;
    let (bytes, payload) = (std::fs::read(&path)?, json!({"price": 12}));
    // ANCHOR: update
    let mut update = lens.update()?;
    let mug = NewPhoto {
        key: "mug",
        group: None,
        payload: &payload,
    };
    update.put_encoded(&mug, &bytes)?;
    update.remove("stripes-5")?;
    let lens = update.commit()?;
    // ANCHOR_END: update
    let hits = lens.search_file(&path, &Query::default())?.hits;
    let keys: Vec<&str> = hits.iter().map(|hit| hit.key.as_str()).collect();
    assert_eq!(keys[0], "mug");
    assert!(!keys.contains(&"stripes-5") && keys.len() == 3);
    Ok(())
}

struct NobodyListens;

impl HttpTransport for NobodyListens {
    fn send(&self, _: &HttpRequest) -> Result<HttpResponse, TransportError> {
        Err(TransportError::Refused("nobody listens".to_owned()))
    }
}

#[test]
fn a_server_is_asked_when_the_device_does_not_know() -> Result<(), Box<dyn std::error::Error>> {
    use pocketlens::remote::Client;

    let folder = tempfile::tempdir()?;
    let lens = Lens::open(shop(folder.path()))?;
    let (query, transport) = (Query::default(), Arc::new(NobodyListens));
    let answer = lens.search_file(&photo(folder.path(), 33).0, &query)?;
    // ANCHOR: server
    // `UreqTransport` (feature `http`), or the app's own stack behind `HttpTransport`.
    let client = Client::new("https://search.example.org", transport)?;
    let server = ServerSearch::new(Arc::new(client), Policy::default());
    let situation = Situation {
        consent: true,
        ..Situation::default()
    };
    println!("{:?}", answer.verdict);
    let upgrade = server.upgrade(&answer, &query, &situation); // 1.5 s at most
    println!("{:?}", upgrade.answer.verdict);
    // ANCHOR_END: server
    assert_eq!(upgrade.answer.hits.len(), answer.hits.len());
    Ok(())
}

#[test]
fn errors_say_what_to_do() {
    // ANCHOR: errors
    match Lens::open("nothing.plx") {
        Ok(lens) => println!("{} items", lens.index().info().items),
        Err(LensError::Index(error)) => println!("{error}"),
        Err(other) => println!("{other}"),
    }
    // ANCHOR_END: errors
    let error = Lens::open("nothing.plx").err().unwrap().to_string();
    assert!(error.contains("nothing.plx"), "{error}");
}
