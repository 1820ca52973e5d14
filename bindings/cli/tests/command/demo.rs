//! The rendered store, from pictures to verdicts, and the files that it leaves behind.

use std::path::Path;
use std::sync::LazyLock;

use serde_json::Value;
use tempfile::TempDir;

use super::{lines, refusal, text};

struct Demo {
    folder: TempDir,
    told: Value,
}

/// Run once: rendering and describing the store takes the longest of all tests.
static DEMO: LazyLock<Demo> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let told = lines(["demo", "--json", "--out", &path(folder.path())]).remove(0);
    Demo { folder, told }
});

fn path(path: &Path) -> String {
    path.display().to_string()
}

fn count(name: &str) -> u64 {
    DEMO.told[name].as_u64().unwrap()
}

#[test]
fn most_queries_find_their_product_and_few_strangers_are_taken_for_one() {
    assert!(count("products") >= 60 && count("known") >= 60 && count("strangers") >= 20);
    assert!(
        10 * count("first_right") >= 8 * count("known"),
        "{}",
        DEMO.told
    );
    assert!(
        10 * count("matched_right") >= 9 * count("matched"),
        "{}",
        DEMO.told
    );
    assert!(count("matched") > 0, "{}", DEMO.told);
    assert!(
        10 * count("strangers_matched") <= count("strangers"),
        "{}",
        DEMO.told
    );
    assert!(
        10 * count("strangers_no_match") >= 8 * count("strangers"),
        "{}",
        DEMO.told
    );
}

#[test]
fn report_is_one_file_with_every_query_in_it() {
    let report = std::fs::read_to_string(DEMO.told["report"].as_str().unwrap()).unwrap();
    let queries = (count("known") + count("strangers")) as usize;
    assert_eq!(report.matches("<article>").count(), queries);
    assert!(report.contains("data:image/jpeg;base64,"));
    for elsewhere in ["src=\"http", "href=\"http", "<script", "src=\"/", "@import"] {
        assert!(!report.contains(elsewhere), "{elsewhere}");
    }
}

#[test]
fn its_index_answers_in_the_fields_of_the_contract() {
    let index = path(&DEMO.folder.path().join("store.plx"));
    let query = path(&DEMO.folder.path().join("queries").join("query-000.jpg"));
    let answer = &lines(["search", &index, &query, "-k", "3", "--json"])[0];
    assert_eq!(answer["query"], *query);
    assert!(["match", "unsure", "no_match"].contains(&answer["verdict"].as_str().unwrap()));
    assert!((0.0..=1.0).contains(&answer["confidence"].as_f64().unwrap()));
    assert_eq!(answer["source"], "local");
    let hits = answer["hits"].as_array().unwrap();
    assert_eq!(hits.len(), 3);
    for hit in hits {
        assert!(hit["key"].is_string() && hit["group"].is_string());
        assert!(
            hit["score"].is_f64() && hit["payload"]["price"].is_number(),
            "{hit}"
        );
    }
    for stage in [
        "decode", "resize", "backbone", "describe", "search", "total",
    ] {
        assert!(answer["ms"][stage].is_f64(), "{stage}");
    }
    let info = &lines(["index", "info", &index, "--json"])[0];
    for field in [
        "items",
        "dim",
        "bytes",
        "bytes_per_item",
        "plan",
        "segments",
        "fingerprint",
        "format",
    ] {
        assert!(!info[field].is_null(), "{field}");
    }
    assert_eq!(info["items"], DEMO.told["products"]);
    assert_eq!(
        lines(["index", "verify", &index, "--json"])[0]["sound"],
        true
    );
}

#[test]
fn region_and_rotation_find_a_product_that_lies_turned_in_a_corner() {
    let product = DEMO.folder.path().join("catalogue");
    let listed = std::fs::read_to_string(product.join("catalogue.csv")).unwrap();
    let mut rows = csv::Reader::from_reader(listed.as_bytes());
    let headers = rows.headers().unwrap().clone();
    let row = rows.records().nth(5).unwrap().unwrap();
    let field = |name: &str| &row[headers.iter().position(|header| header == name).unwrap()];
    let photo = image::open(product.join(field("image"))).unwrap().to_rgb8();
    let photo = image::imageops::rotate90(&photo);
    let (width, height) = photo.dimensions();
    let mut scene = image::RgbImage::from_pixel(3 * width, 2 * height, image::Rgb([90, 120, 60]));
    image::imageops::replace(&mut scene, &photo, i64::from(2 * width), i64::from(height));
    let at = DEMO.folder.path().join("corner.png");
    scene.save(&at).unwrap();
    let index = path(&DEMO.folder.path().join("store.plx"));
    let roi = format!("{},{height},{width},{height}", 2 * width);
    let asked = [
        "search",
        &index,
        &path(&at),
        "--roi",
        &roi,
        "--rotations",
        "--json",
    ];
    let answer = &lines(asked)[0];
    assert_eq!(answer["hits"][0]["key"], field("key"));
    assert!(
        answer["hits"][0]["score"].as_f64().unwrap() > 0.98,
        "{answer}"
    );
    let outside = ["search", &index, &path(&at), "--roi", "100000,0,5,5"];
    assert!(refusal(outside).contains("region"));
}

#[test]
fn search_writes_a_contact_sheet() {
    let index = path(&DEMO.folder.path().join("store.plx"));
    let query = path(&DEMO.folder.path().join("queries").join("query-001.jpg"));
    let sheet = DEMO.folder.path().join("sheet.html");
    let output = super::command(["search", &index, &query, "--html", &path(&sheet)])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let html = std::fs::read_to_string(sheet).unwrap();
    // The query and ten hits, each with its picture and where the query is like it.
    assert_eq!(html.matches("data:image/jpeg;base64,").count(), 21);
    assert!(html.contains("viewport"));
}
