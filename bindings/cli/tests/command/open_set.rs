//! `eval --open-set` on a set so small that its figures are known.

use std::path::Path;

use serde_json::Value;

use super::{command, lines, picture, refusal};

/// Eight things with one photo each, asked for with the same pixels under another name.
fn truth(folder: &Path) {
    let mut rows = String::new();
    for seed in 0..8 {
        for role in ["database", "query"] {
            let name = format!("{role}{seed}.png");
            picture(160, 128, seed).save(folder.join(&name)).unwrap();
            rows.push_str(&format!("{name}\tthing {seed}\t{role}\n"));
        }
    }
    std::fs::write(folder.join("gt.tsv"), rows).unwrap();
}

fn judged(folder: &Path, precision: &str) -> Value {
    let folder = folder.to_str().unwrap();
    let arguments = [
        "eval",
        folder,
        "--open-set",
        "--precision",
        precision,
        "--json",
    ];
    lines(arguments).remove(0)
}

#[test]
fn known_things_are_told_from_unknown_ones() {
    let dir = tempfile::tempdir().unwrap();
    truth(dir.path());
    let figures = judged(dir.path(), "0.5");
    for (field, expected) in [
        ("queries", 8.0),
        ("known", 4.0),
        ("unknown", 4.0),
        ("database", 4.0),
        ("groups_left_out", 4.0),
        ("precision", 0.5),
        // The same pixels have a score of 1, other pixels less.
        ("auroc_score", 1.0),
        ("recall@1", 1.0),
    ] {
        assert_eq!(
            figures[field].as_f64(),
            Some(expected),
            "{field}: {figures}"
        );
    }
    let of = |figures: &Value, field: &str| figures[field].as_u64().unwrap();
    let verdicts = ["match", "unsure", "no_match"].map(|field| of(&figures, field));
    assert_eq!(verdicts.iter().sum::<u64>(), 8, "{figures}");
    assert!(of(&figures, "match") >= 4, "{figures}");
    assert_eq!(figures["match_coverage_right"].as_f64(), Some(1.0));
    let strict = judged(dir.path(), "0.999");
    assert!(of(&strict, "match") <= of(&figures, "match"), "{strict}");
    assert_eq!(strict["auroc"], figures["auroc"]);
}

#[test]
fn precisions_that_cannot_be_kept_are_refused() {
    let arguments = ["eval", ".", "--open-set", "--precision", "95"];
    let output = command(arguments).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("0.5 to 0.999"), "{stderr}");
    let nothing = refusal(["eval", "no such folder", "--open-set"]);
    assert!(nothing.contains("gt.tsv"), "{nothing}");
}
