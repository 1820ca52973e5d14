//! Filters, columns and groups from a table to the printed hits.

use serde_json::{Value, json};

use super::{lines, picture, refusal};

/// Six pictures of two brands; the price is the number. Gives back the index and a photo to ask with.
fn shop(columns: Option<&str>) -> (tempfile::TempDir, String, String) {
    let dir = tempfile::tempdir().unwrap();
    let mut table = "image,key,brand,price\n".to_owned();
    for seed in 0..6 {
        picture(160, 120, seed)
            .save(dir.path().join(format!("{seed}.png")))
            .unwrap();
        let brand = if seed < 3 { "Nike" } else { "Puma" };
        table += &format!("{seed}.png,shoe {seed},{brand},{seed}\n");
    }
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(at("shop.csv"), table).unwrap();
    let (table, index, photo) = (at("shop.csv"), at("shop.plx"), at("0.png"));
    let mut arguments = vec![
        "index",
        "build",
        "--no-calibration",
        &table,
        "--out",
        &index,
    ];
    let file = at("columns.json");
    if let Some(columns) = columns {
        std::fs::write(&file, columns).unwrap();
        arguments.extend(["--columns", &file]);
    }
    lines(arguments);
    (dir, index, photo)
}

fn keys(answer: &Value) -> Vec<&str> {
    let hits = answer["hits"].as_array().unwrap();
    hits.iter()
        .map(|hit| hit["key"].as_str().unwrap())
        .collect()
}

#[test]
fn a_filter_is_applied_before_the_best_are_taken() {
    let (dir, index, photo) = shop(None);
    let filter = r#"{"must": [{"key": "brand", "match": {"value": "Puma"}}, {"key": "price", "range": {"lt": 5}}]}"#;
    let file = dir.path().join("filter.json");
    std::fs::write(&file, filter).unwrap();
    for filter in [filter.to_owned(), format!("@{}", file.display())] {
        let arguments = [
            "search", &index, &photo, "-k", "2", "--json", "--filter", &filter,
        ];
        let answer = &lines(arguments)[0];
        let mut found = keys(answer);
        found.sort_unstable();
        assert_eq!(found, ["shoe 3", "shoe 4"]);
        assert_eq!(answer["hits"][0].get("votes"), None);
    }
}

#[test]
fn groups_answer_once_with_their_votes() {
    let (_dir, index, photo) = shop(None);
    let answer = &lines(["search", &index, &photo, "--json", "--group-by", "brand"])[0];
    let hits = answer["hits"].as_array().unwrap();
    assert_eq!(hits.len(), 2);
    assert_eq!(hits[0]["key"], "shoe 0");
    assert_eq!([&hits[0]["votes"], &hits[1]["votes"]], [3, 3]);
}

#[test]
fn columns_are_listed_and_can_be_demanded() {
    let (_dir, index, _photo) = shop(Some(r#"{"price": "float"}"#));
    let info = &lines(["index", "info", &index, "--json"])[0];
    let expected = json!([
        {"name": "brand", "kind": "keyword"},
        {"name": "image", "kind": "keyword"},
        {"name": "price", "kind": "float"},
    ]);
    assert_eq!(info["columns"], expected);
}

#[test]
fn a_wrong_filter_is_refused_with_its_place() {
    let (_dir, index, photo) = shop(None);
    for (filter, says) in [
        (
            r#"{"must": [{"key": "price", "range": {"lt": "x"}}]}"#,
            "$.must[0].range.lt",
        ),
        (
            r#"{"must": [{"key": "price", "match": {"value": "x"}}]}"#,
            "\"price\"",
        ),
        ("@/no/such/file", "/no/such/file"),
    ] {
        let refused = refusal(["search", &index, &photo, "--filter", filter]);
        assert!(refused.contains(says), "{refused}");
    }
}
