//! Looking again where the thing is, and what a bundle's heads say.

#![cfg(feature = "codecs")]

use std::path::{Path, PathBuf};

use pocketlens::backbone::FeatureMap;
use pocketlens::build::{BuildOptions, Entry, build_index};
use pocketlens::bundle::{self, AttributeHead, Bundle, Heads, Labelling, Spec};
use pocketlens::embedder::Embedder;
use pocketlens::image::{Frame, Pixels};
use pocketlens::index::filter::Filter;
use pocketlens::lens::{Answer, Lens, NewPhoto, Query};
use pocketlens::localise::Focus;
use serde_json::json;
use tempfile::TempDir;

const SIDE: u32 = 192;
/// Left, top and side of the thing in its photo.
const THING: [u32; 3] = [96, 64, 64];

fn tiny() -> Bundle {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    Bundle::open(root.join("../tests/compat/v1/tiny.lens")).unwrap()
}

/// The tiny bundle, with heads.
fn talkative(dir: &Path, heads: Heads) -> Bundle {
    let (path, tiny): (PathBuf, _) = (dir.join("talkative.lens"), tiny());
    let spec = Spec {
        heads,
        ..tiny.spec().clone()
    };
    let fingerprint =
        bundle::write(&path, &spec, tiny.card(), tiny.network(), tiny.learned()).unwrap();
    assert_eq!(fingerprint, tiny.fingerprint(), "descriptors stay the same");
    Bundle::open(path).unwrap()
}

/// The texture of a thing, and of another one.
fn texture(seed: u32, x: u32, y: u32) -> [u8; 3] {
    let at = (x / 4 + 31 * (y / 4) + 1013 * seed).wrapping_mul(2_654_435_761);
    [(at >> 9) as u8, (at >> 15) as u8, (at >> 21) as u8]
}

fn picture(side: u32, colour: impl Fn(u32, u32) -> [u8; 3]) -> Pixels {
    let bytes = (0..side * side).flat_map(|at| colour(at % side, at / side));
    Pixels::from_rgb(side, side, bytes.collect()).unwrap()
}

/// The thing, small, on an even table.
fn on_a_table() -> Pixels {
    let [left, top, side] = THING;
    picture(SIDE, |x, y| {
        let (x, y) = (x.wrapping_sub(left), y.wrapping_sub(top));
        match x < side && y < side {
            true => texture(1, x, y),
            false => [120, 120, 120],
        }
    })
}

/// An index of two things, each filling its photo.
fn shop(bundle: &Bundle) -> (TempDir, Lens) {
    let dir = tempfile::tempdir().unwrap();
    let lens = Lens::create(dir.path().join("shop.plx"), bundle).unwrap();
    let mut update = lens.update().unwrap();
    for (key, seed) in [("thing", 1), ("other", 2)] {
        let item = NewPhoto {
            key,
            group: None,
            payload: &json!({}),
        };
        let photo = picture(THING[2], |x, y| texture(seed, x, y));
        update.put(&item, &photo).unwrap();
    }
    let lens = update.commit().unwrap();
    (dir, lens)
}

fn score(answer: &Answer, key: &str) -> f32 {
    let hit = answer.hits.iter().find(|hit| hit.key == key).unwrap();
    hit.score
}

fn focused(focus: Focus) -> Query {
    Query {
        focus: Some(focus),
        ..Query::default()
    }
}

#[test]
fn a_small_thing_is_found_where_it_lies() {
    let (_dir, lens) = shop(&tiny());
    let photo = on_a_table();
    let whole = lens.search(&photo, &Query::default()).unwrap();
    let answer = lens.search(&photo, &focused(Focus::Saliency)).unwrap();
    assert_eq!(
        (&whole.place, answer.hits[0].key.as_str()),
        (&None, "thing")
    );
    assert!(score(&answer, "thing") > score(&whole, "thing") + 0.02);
    // Each item has its better score of both looks.
    assert!(score(&answer, "other") >= score(&whole, "other"));

    let place = answer.place.expect("the place has the best hit");
    let [left, top, side] = THING.map(|at| f64::from(at) / f64::from(SIDE));
    let middle = [place.x + place.width / 2.0, place.y + place.height / 2.0];
    assert!((left..left + side).contains(&middle[0]) && (top..top + side).contains(&middle[1]));
    assert!(place.area() < 0.5);

    // The same place given by hand is the same question.
    let by_hand = Query {
        region: Some(place.region()),
        ..Query::default()
    };
    let by_hand = lens.search(&photo, &by_hand).unwrap();
    assert_eq!(by_hand.descriptor, answer.descriptor);
}

#[test]
fn a_place_is_of_the_region_that_is_asked_for() {
    let (_dir, lens) = shop(&tiny());
    // The table's right half, a margin around the thing.
    let right = Query {
        region: Some("64,32,128,128".parse().unwrap()),
        ..focused(Focus::Saliency)
    };
    let answer = lens.search(&on_a_table(), &right).unwrap();
    let place = answer.place.unwrap();
    let middle = 64.0 + 128.0 * (place.x + place.width / 2.0);
    assert!((96.0..160.0).contains(&middle), "{place:?}");
}

#[test]
fn frames_are_looked_at_again_too() {
    let (_dir, lens) = shop(&tiny());
    let photo = on_a_table();
    let rgba: Vec<u8> = photo
        .data()
        .chunks_exact(3)
        .flat_map(|p| [p[0], p[1], p[2], 255])
        .collect();
    let frame = Frame::rgba(&rgba, SIDE, SIDE, SIDE as usize * 4).unwrap();
    let query = focused(Focus::Saliency);
    let of_frame = lens.search_frame(&frame, &query).unwrap();
    let of_photo = lens.search(&photo, &query).unwrap();
    assert_eq!(of_frame.descriptor, of_photo.descriptor);
    let input = frame.fit(None, lens.embedder().sizing()).unwrap();
    let of_input = lens.search_input(&input, &query).unwrap();
    assert_eq!(of_input.hits[0].key, "thing");
}

#[test]
fn an_even_photo_and_a_bundle_without_a_detector_are_asked_once() {
    let (_dir, lens) = shop(&tiny());
    let even = picture(SIDE, |_, _| [90, 90, 90]);
    for (photo, focus) in [(even, Focus::Saliency), (on_a_table(), Focus::Detector)] {
        let whole = lens.search(&photo, &Query::default()).unwrap();
        let answer = lens.search(&photo, &focused(focus)).unwrap();
        assert_eq!((answer.hits, answer.place), (whole.hits, None));
    }
}

/// The map that heads read, of a photo.
fn map(photo: &Pixels) -> FeatureMap {
    let (_dir, lens) = shop(&tiny());
    let input = lens.embedder().input(photo, None).unwrap();
    let (_, mut maps) = lens.embedder().look(&input, &Default::default()).unwrap();
    maps.swap_remove(0)
}

fn means(map: &FeatureMap) -> Vec<f64> {
    let mut means = vec![0.0; map.channels()];
    for location in map.locations() {
        for (mean, &value) in means.iter_mut().zip(location) {
            *mean += f64::from(value);
        }
    }
    means
}

/// A head that names the strongest channel, or all above zero.
fn channel_head(labels: usize, labelling: Labelling) -> Heads {
    Heads {
        attributes: vec![AttributeHead {
            name: "channel".to_owned(),
            tap: tiny().spec().recipe.taps()[0].clone(),
            labels: (0..labels).map(|at| at.to_string()).collect(),
            labelling,
        }],
        ..Heads::default()
    }
}

#[test]
fn heads_say_what_they_see() {
    let dir = tempfile::tempdir().unwrap();
    let means = means(&map(&on_a_table()));
    let strongest = (0..means.len())
        .max_by(|&a, &b| means[a].total_cmp(&means[b]))
        .unwrap();
    let head = |labels| channel_head(labels, Labelling::OneOf);
    let (_shop, lens) = shop(&talkative(dir.path(), head(means.len())));
    let answer = lens.search(&on_a_table(), &Query::default()).unwrap();
    let [said] = &answer.attributes[..] else {
        panic!("{:?}", answer.attributes);
    };
    assert_eq!(
        (said.name.as_str(), &said.label),
        ("channel", &strongest.to_string())
    );
    assert!(said.probability > 0.0 && said.probability <= 1.0);

    // One label too many: whose fault it is, and what was expected.
    let (_shop, lens) = shop(&tiny());
    let wrong = talkative(dir.path(), head(means.len() + 1));
    let lens = Lens::with_bundle(lens.index().dir(), wrong).unwrap();
    let refused = lens.search(&on_a_table(), &Query::default()).unwrap_err();
    assert!(refused.to_string().contains("channels"), "{refused}");
}

#[test]
fn an_index_keeps_what_heads_say() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name);
    let thing = picture(THING[2], |_, _| [250, 20, 20]);
    let other = picture(THING[2], |x, y| texture(1, x, y));
    let said = [&thing, &other].map(|photo| {
        let means = means(&map(photo)).into_iter().enumerate();
        let above_zero = means.filter(|&(_, mean)| mean > 0.0);
        above_zero.map(|(at, _)| at.to_string()).collect::<Vec<_>>()
    });
    let only_other = said[1].iter().find(|label| !said[0].contains(label));
    let only_other = only_other.expect("they differ, or the test shows nothing");
    let entry = |key: &str, photo: &Pixels, name: &str| {
        let (width, height) = (photo.width(), photo.height());
        image::save_buffer(
            file(name),
            photo.data(),
            width,
            height,
            image::ColorType::Rgb8,
        )
        .unwrap();
        Entry {
            image: file(name),
            key: key.to_owned(),
            group: None,
            payload: json!({"price": 3}),
        }
    };
    // The second photo of an item shares what is said of the first.
    let entries = [
        entry("thing", &thing, "1.png"),
        entry("thing", &other, "2.png"),
        entry("other", &other, "3.png"),
    ];
    let options = BuildOptions {
        attributes: true,
        calibration_queries: 0,
        ..BuildOptions::default()
    };
    let build = |bundle: Bundle| {
        let embedder = Embedder::new(bundle).unwrap();
        build_index(&file("shop.plx"), &embedder, &entries, &options, &|_| {})
    };
    let refused = build(tiny()).unwrap_err().to_string();
    assert!(refused.contains("--heads"), "{refused}");
    build(talkative(
        dir.path(),
        channel_head(map(&thing).channels(), Labelling::AnyOf),
    ))
    .unwrap();

    let lens = Lens::open(file("shop.plx")).unwrap();
    assert!(lens.index().info().attributes);
    let payload = |lens: &Lens, key: &str| lens.index().item(key).unwrap().unwrap().payload;
    assert_eq!(
        payload(&lens, "thing"),
        json!({"price": 3, "channel": said[0]})
    );
    assert_eq!(
        payload(&lens, "other"),
        json!({"price": 3, "channel": said[1]})
    );
    let filter = json!({"must": [{"key": "channel", "match": {"value": only_other}}]}).to_string();
    let query = Query {
        filter: Some(Filter::from_json(&filter).unwrap()),
        ..Query::default()
    };
    let answer = lens.search(&thing, &query).unwrap();
    assert_eq!(answer.hits.len(), 1, "{:?}", answer.hits);

    // What is added on the device is told of, too.
    let mut update = lens.update().unwrap();
    let new = NewPhoto {
        key: "new",
        group: None,
        payload: &json!({}),
    };
    update.put(&new, &other).unwrap();
    let lens = update.commit().unwrap();
    assert_eq!(payload(&lens, "new"), json!({"channel": said[1]}));
}
