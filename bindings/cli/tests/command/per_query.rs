//! `eval --per-query` and `--worst`: what came of each query, as lines and as a page.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::{command, lines, picture, text};

/// Six things; the queries of the last two show each other's pixels, so that they are answered wrong.
fn truth(folder: &Path) {
    let mut rows = String::from("image_path\tgroup_id\trole\n");
    for seed in 0..6 {
        let shown = [0, 1, 2, 3, 5, 4][seed as usize];
        for (role, pixels) in [("database", seed), ("query", shown)] {
            let name = format!("{role}{seed}.png");
            picture(160, 128, pixels).save(folder.join(&name)).unwrap();
            rows.push_str(&format!("{name}\tthing {seed}\t{role}\n"));
        }
    }
    picture(160, 128, 9).save(folder.join("other.png")).unwrap();
    rows.push_str("other.png\tstranger\tquery\n");
    fs::write(folder.join("gt.tsv"), rows).unwrap();
}

/// Figures, lines and page of an evaluation with these arguments more.
fn evaluated(folder: &Path, more: &[&str]) -> (Value, Vec<Value>, String) {
    truth(folder);
    let (figures, page) = (folder.join("queries.jsonl"), folder.join("worst.html"));
    let (set, figures_at) = (folder.display().to_string(), figures.display().to_string());
    let page_at = page.display().to_string();
    let own = [
        "eval",
        &set,
        "--json",
        "--per-query",
        &figures_at,
        "--worst",
        &page_at,
    ];
    let mut told = lines(own.iter().chain(more));
    assert_eq!(told.len(), 1);
    let written = fs::read_to_string(figures).unwrap();
    let parse = |line: &str| serde_json::from_str(line).unwrap();
    let page = fs::read_to_string(page).unwrap();
    (told.remove(0), written.lines().map(parse).collect(), page)
}

#[test]
fn every_query_has_its_figures() {
    let dir = tempfile::tempdir().unwrap();
    let (mean, queries, _) = evaluated(dir.path(), &[]);
    assert_eq!(queries.len(), 7);
    let first = &queries[0];
    assert_eq!(
        (&first["query"], &first["group"]),
        (&"query0.png".into(), &"thing 0".into())
    );
    assert_eq!(
        (first["ap"].as_f64(), first["first_right_rank"].as_u64()),
        (Some(1.0), Some(1))
    );
    assert_eq!(
        (first["relevant"].as_u64(), &first["best_right"]["key"]),
        (Some(1), &"database0.png".into())
    );
    assert!(first["best_right"]["score"].as_f64() > first["best_wrong"]["score"].as_f64());
    assert!(first["ms"].as_f64() > Some(0.0));
    let wrong = &queries[4];
    assert_eq!(
        (
            &wrong["best_wrong"]["key"],
            wrong["best_wrong"]["rank"].as_u64()
        ),
        (&"database5.png".into(), Some(1))
    );
    let rank = wrong["first_right_rank"].as_u64().unwrap();
    assert!(rank > 1 && wrong["best_right"]["rank"] == rank);
    assert_eq!(wrong["ap"].as_f64(), Some(1.0 / rank as f64));
    let stranger = &queries[6];
    assert!(
        stranger["ap"].is_null() && stranger["best_right"].is_null() && stranger["relevant"] == 0
    );
    let precisions: Vec<f64> = queries
        .iter()
        .filter_map(|query| query["ap"].as_f64())
        .collect();
    let average = precisions.iter().sum::<f64>() / precisions.len() as f64;
    assert!((average - mean["map"].as_f64().unwrap()).abs() < 1e-12 && precisions.len() == 6);
}

#[test]
fn the_page_holds_the_worst_first_and_needs_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let (_, queries, page) = evaluated(dir.path(), &["--worst-count", "3"]);
    assert_eq!(page.matches("<article>").count(), 3);
    let place = |name: &str| page.find(&format!("<h2>{name}</h2>"));
    let (fifth, sixth) = (place("query4.png").unwrap(), place("query5.png").unwrap());
    let precision = |at: usize| queries[at]["ap"].as_f64().unwrap();
    assert_eq!(fifth < sixth, precision(4) <= precision(5));
    assert!(place("query0.png").unwrap() > fifth.max(sixth) && place("query1.png").is_none());
    assert!(
        page.contains("before the first right photo")
            || page.contains("Before the first right photo")
    );
    // Each hit has its photo and the query warm where it is like it; nothing is fetched.
    let hits = page.matches("<li").count();
    assert_eq!(page.matches("class=\"heat\"").count(), hits);
    assert_eq!(
        page.matches("src=\"data:image/jpeg;base64,").count(),
        2 * hits + 3
    );
    assert!(!page.contains("://"));
}

#[test]
fn a_second_look_and_quarter_turns_are_shown_too() {
    let dir = tempfile::tempdir().unwrap();
    let (_, queries, page) = evaluated(dir.path(), &["--rerank", "--rotations"]);
    assert!(queries[0]["ap"].as_f64() == Some(1.0));
    assert!(page.contains("a second look, four quarter turns") && page.contains("likeness"));
}

#[test]
fn what_has_no_ranking_of_its_own_is_refused() {
    for more in [["--open-set", "--per-query"], ["--open-set", "--worst"]] {
        let told = command(["eval", "."].into_iter().chain(more).chain(["out"]))
            .output()
            .unwrap();
        assert_eq!(told.status.code(), Some(2), "{}", text(&told.stderr));
    }
    let told = command(["eval", ".", "--worst-count", "5"])
        .output()
        .unwrap();
    assert!(
        text(&told.stderr).contains("--worst"),
        "{}",
        text(&told.stderr)
    );
}
