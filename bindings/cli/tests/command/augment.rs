//! `index build --augment` and `eval --augment`: vectors moved towards their neighbours, and said to be so.

use std::fs;
use std::path::Path;

use super::{command, lines, picture, refusal, text};

fn path(path: &Path) -> String {
    path.display().to_string()
}

/// Segments of an index: what holds its vectors.
fn segments(index: &str) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(index).unwrap().map(Result::unwrap);
    let mut files: Vec<_> = entries
        .filter(|entry| entry.path().extension().is_some_and(|e| e == "seg"))
        .map(|entry| entry.path())
        .collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

#[test]
fn an_augmented_index_says_so_and_is_the_same_on_any_number_of_cores() {
    let dir = tempfile::tempdir().unwrap();
    let photos = dir.path().join("photos");
    super::pictures(&photos, 12);
    let photos = path(&photos);
    let built = |name: &str, more: &[&str]| {
        let out = path(&dir.path().join(name));
        lines(
            ["index", "build", &photos, "--out", &out, "--json"]
                .iter()
                .chain(more),
        );
        out
    };
    let plain = built("plain.plx", &[]);
    let one = built("one.plx", &["--jobs", "1", "--augment", "3"]);
    let more = built("more.plx", &["--jobs", "4", "--augment", "3"]);
    let manifest = |index: &str| fs::read(Path::new(index).join("manifest.json")).unwrap();
    assert_eq!(
        (segments(&one), manifest(&one)),
        (segments(&more), manifest(&more))
    );
    assert_ne!(segments(&one), segments(&plain));

    let info = |index: &str| lines(["index", "info", index, "--json"]).remove(0);
    assert!(info(&plain)["augmented"].is_null());
    assert_eq!(
        info(&one)["augmented"],
        serde_json::json!({"neighbours": 3, "alpha": 3})
    );
    let told = command(["index", "info", &one]).output().unwrap();
    assert!(text(&told.stdout).contains("augmented       towards 3 neighbours"));

    // What is added later is not moved: it is found as it is.
    let new = dir.path().join("new");
    fs::create_dir(&new).unwrap();
    picture(160, 128, 40).save(new.join("new.png")).unwrap();
    let best = |index: &str, photo: &Path| {
        lines(["search", index, &path(photo), "--json"]).remove(0)["hits"][0].clone()
    };
    let own = best(&one, &dir.path().join("photos/03.png"));
    assert!(
        own["key"] == "03.png" && own["score"].as_f64() < Some(0.999),
        "{own}"
    );
    assert!(
        command(["index", "add", &one, &path(&new)])
            .output()
            .unwrap()
            .status
            .success()
    );
    let added = best(&one, &new.join("new.png"));
    assert!(
        added["key"] == "new.png" && added["score"].as_f64() > Some(0.999),
        "{added}"
    );
    assert_eq!(info(&one)["augmented"]["neighbours"], 3);

    let out = path(&dir.path().join("part.plx"));
    let told = refusal([
        "index",
        "build",
        &photos,
        "--out",
        &out,
        "--shard",
        "1/2",
        "--augment",
    ]);
    assert!(
        told.contains("nearest neighbours of its photos are in the other parts"),
        "{told}"
    );
    let told = refusal(["index", "merge", &plain, &more, "--out", &out]);
    assert!(
        told.contains("more.plx: cannot be merged") && told.contains("3 nearest"),
        "{told}"
    );
}

#[test]
fn a_set_is_evaluated_on_moved_vectors() {
    let dir = tempfile::tempdir().unwrap();
    let mut rows = String::new();
    for seed in 0..9 {
        let role = ["database", "database", "query"][seed as usize % 3];
        let name = format!("{seed}.png");
        picture(160, 128, 10 * (seed / 3) + seed % 3)
            .save(dir.path().join(&name))
            .unwrap();
        rows.push_str(&format!("{name}\tthing {}\t{role}\n", seed / 3));
    }
    fs::write(dir.path().join("gt.tsv"), &rows).unwrap();
    let set = path(dir.path());
    let told = lines([
        "eval",
        &set,
        "--json",
        "--augment",
        "--rerank",
        "--rotations",
    ])
    .remove(0);
    assert_eq!(told["augmented"]["neighbours"], 10);
    assert_eq!(told["queries"], 3);
    let plain = lines(["eval", &set, "--json"]).remove(0);
    assert!(plain["augmented"].is_null());
    fs::write(
        dir.path().join("gt.tsv"),
        rows + "2.png\tthing 0\tdatabase\n",
    )
    .unwrap();
    let told = refusal(["eval", &set, "--augment"]);
    assert!(
        told.contains("\"2.png\" is a query and in the database"),
        "{told}"
    );
}
