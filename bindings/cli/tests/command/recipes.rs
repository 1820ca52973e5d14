//! Recipes as data: fitted, compared, adapted to a catalogue, and refused with the reason.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::{command, lines, pictures, refusal, text};

const NETWORK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/default.lens");
/// Of a recipe without a joint projection, whose whitenings can be adapted.
const ADAPTABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/nano.lens");

fn path(path: &Path) -> String {
    path.display().to_string()
}

/// A folder with pictures and a recipe of the given parts.
struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new(photos: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        pictures(&folder.path().join("photos"), photos);
        Self { folder }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.at(name), text).unwrap();
        path(&self.at(name))
    }

    fn fit(&self, parts: &Value, more: &[&str]) -> Vec<String> {
        let recipe = json!({"name": "test", "parts": parts}).to_string();
        let recipe = self.write("recipe.json", &recipe);
        let (photos, out) = (path(&self.at("photos")), path(&self.at("out.lens")));
        let own = [
            "fit",
            "--backbone",
            NETWORK,
            "--recipe",
            &recipe,
            "--photos",
            &photos,
            "--out",
            &out,
        ];
        own.iter().chain(more).map(ToString::to_string).collect()
    }
}

fn part(tap: &str, pool: &Value, dim: usize) -> Value {
    json!({"tap": tap, "pool": pool, "dim": dim, "whitening": "pca"})
}

#[test]
fn a_bundle_with_heads_is_fitted_on_the_maps_of_its_recipe_alone() {
    let bench = Bench::new(6);
    let labels: Vec<String> = (0..1280).map(|label| format!("label {label}")).collect();
    let head = json!({"name": "kind", "tap": "c51", "labels": labels, "labelling": "one_of"});
    let heads = bench.write("heads.json", &json!({"attributes": [head]}).to_string());
    let parts = json!([part("c20", &json!("average"), 2)]);
    let fitted = command(bench.fit(&parts, &["--heads", &heads])).output();
    let fitted = fitted.unwrap();
    assert!(fitted.status.success(), "{}", text(&fitted.stderr));
    let bundle = path(&bench.at("out.lens"));
    let info = command(["bundle", "info", &bundle]).output().unwrap();
    let told = text(&info.stdout);
    let mut lines = told.lines().filter(|line| line.starts_with("attributes"));
    assert!(lines.any(|line| line.contains("kind")), "{told}");
}

#[test]
fn recipes_that_cannot_be_fitted_are_refused_with_the_reason_and_the_least_number() {
    let bench = Bench::new(6);
    let average = json!("average");
    for (parts, reasons) in [
        (
            json!([part("c7", &average, 2)]),
            &["no output named \"c7\"", "c39"][..],
        ),
        (
            json!([part("c20", &average, 6)]),
            &["at least 7 photos", "found 6"],
        ),
        (json!([part("c20", &average, 65)]), &["65 components"]),
        (
            json!([part(
                "c20",
                &json!({"vlad": {"centres": 512, "local": 4}}),
                2
            )]),
            &["at least 128 photos", "found 6"],
        ),
        (
            json!([part(
                "c20",
                &json!({"fisher": {"centres": 512, "local": 16}}),
                2
            )]),
            &["16384 components, more than 8192"],
        ),
        (
            json!([part("c20", &json!({"gem": {"p": 0.2}}), 2)]),
            &["p must be 1 to 32, found 0.2"],
        ),
        (json!([part("c20", &json!("landmarks"), 2)]), &["heat_map"]),
    ] {
        let told = refusal(bench.fit(&parts, &[]));
        for reason in reasons {
            assert!(told.contains(reason), "{told}");
        }
    }
    let told = refusal([
        "fit",
        "--photos",
        "x",
        "--backbone",
        NETWORK,
        "--recipe",
        "spock",
        "--out",
        "y",
    ]);
    assert!(
        told.contains("three-taps") && told.contains("vlad"),
        "{told}"
    );
}

#[test]
fn labels_are_looked_up_beside_their_table_and_must_be_enough() {
    let bench = Bench::new(8);
    let parts = json!([
        part("c20", &json!("average"), 2),
        part("c39", &json!("average"), 2)
    ]);
    let table = bench.write(
        "labels.tsv",
        "image\tgroup\nphotos/00.png\ta\nphotos/01.png\ta\n",
    );
    let labels = ["--labels", &table, "--search-weights"];
    let told = refusal(bench.fit(&parts, &labels));
    assert!(told.contains("2 of 8 photos have a group"), "{told}");
    assert!(told.contains("at least 40 photos"), "{told}");
    for (text, reason) in [
        (
            "image\tgroup\nelsewhere.png\ta\n",
            "lists none of the 8 photos",
        ),
        ("photos/00.png\n", "line 1: image and group"),
    ] {
        let table = bench.write("labels.tsv", text);
        let told = refusal(bench.fit(&parts, &["--labels", &table]));
        assert!(told.contains(reason), "{told}");
    }
}

#[test]
fn weights_are_found_on_labels() {
    let bench = Bench::new(48);
    let parts = json!([
        part("c20", &json!("average"), 4),
        part("c51", &json!("average"), 4)
    ]);
    let rows = (0..48).map(|at| format!("photos/{at:02}.png\tg{}\n", at / 4));
    let table = bench.write("labels.tsv", &rows.collect::<String>());
    let out = path(&bench.at("out.lens"));
    let fit = bench.fit(
        &parts,
        &["--labels", &table, "--search-weights", "--rotate"],
    );
    let done = crate::command(fit).output().unwrap();
    assert!(done.status.success(), "{}", crate::text(&done.stderr));
    let info = &lines(["bundle", "info", &out, "--json"])[0];
    let weights = info["recipe"]["parts"].as_array().unwrap();
    assert!(weights.iter().any(|part| part["weight"] != 1.0), "{info}");
}

#[test]
fn recipes_are_compared_in_one_run() {
    let bench = Bench::new(24);
    let rows = (0..24).map(|at| {
        let role = if at % 2 == 0 { "query" } else { "database" };
        format!("{at:02}.png\tg{}\t{role}\n", at / 2)
    });
    let truth = format!("image_path\tgroup_id\trole\n{}", rows.collect::<String>());
    fs::write(bench.at("photos/gt.tsv"), truth).unwrap();
    let recipes = json!([
        {"name": "one", "parts": [part("c20", &json!("average"), 4)]},
        {"name": "codebook", "parts": [part("c39", &json!({"vlad": {"centres": 2, "local": 4}}), 4)]},
        {"name": "absent", "parts": [part("c7", &json!("average"), 4)]},
    ]);
    let (photos, recipes) = (
        path(&bench.at("photos")),
        bench.write("recipes.json", &recipes.to_string()),
    );
    let arguments = [
        "eval",
        &photos,
        &photos,
        "--recipes",
        &recipes,
        "--photos",
        &photos,
        "--bundle",
        NETWORK,
    ];
    let rows = lines(arguments.iter().chain(&["--json"]));
    let names: Vec<&Value> = rows.iter().map(|row| &row["recipe"]).collect();
    assert_eq!(names, ["one", "codebook"]);
    for row in &rows {
        let sets = row["sets"].as_array().unwrap();
        assert!(sets.len() == 2 && sets[0] == sets[1], "{row}");
        let map = row["mean_map"].as_f64().unwrap();
        assert!(map > 0.0 && map <= 1.0 && row["bytes"] == 4, "{row}");
    }
    let done = crate::command(arguments).output().unwrap();
    let (table, told) = (crate::text(&done.stdout), crate::text(&done.stderr));
    assert!(
        table.contains("| one |") && told.contains("left out absent"),
        "{table}{told}"
    );
}

#[test]
fn an_index_is_adapted_to_its_catalogue() {
    let bench = Bench::new(20);
    let (photos, out) = (path(&bench.at("photos")), path(&bench.at("shop.plx")));
    let build = |more: &[&str]| -> Vec<String> {
        let own = [
            "index",
            "build",
            &photos,
            "--out",
            &out,
            "--no-calibration",
            "--json",
            "--adapt",
        ];
        own.iter().chain(more).map(ToString::to_string).collect()
    };
    let fingerprint = || lines(["index", "info", &out, "--json"])[0]["fingerprint"].clone();
    let told = refusal(build(&[]));
    assert!(told.contains("joint"), "{told}");
    lines(build(&["--bundle", ADAPTABLE]));
    let before = lines(["bundle", "info", ADAPTABLE, "--json"])[0]["fingerprint"].clone();
    assert_ne!(fingerprint(), before);
    // The index answers with the bundle that it carries.
    let photo = path(&bench.at("photos/07.png"));
    let found = lines(["search", &out, &photo, "--json"]);
    assert_eq!(found[0]["hits"][0]["key"], "07.png");

    let moments = path(&bench.at("b.moments"));
    let fit = bench.fit(
        &json!([part("c20", &json!("average"), 4)]),
        &["--moments", &moments],
    );
    assert!(crate::command(fit).output().unwrap().status.success());
    let told = refusal(build(&["--moments", &moments]));
    assert!(told.contains("moments of bundle"), "{told}");
    let bundle = path(&bench.at("out.lens"));
    lines(build(&["--moments", &moments, "--bundle", &bundle]));
    let fitted = lines(["bundle", "info", &bundle, "--json"])[0]["fingerprint"].clone();
    assert!(fingerprint() != fitted && fingerprint() != before);
}

#[test]
fn a_catalogue_too_small_to_adapt_to_is_refused() {
    let bench = Bench::new(5);
    let (photos, out) = (path(&bench.at("photos")), path(&bench.at("shop.plx")));
    let adapt = ["index", "build", &photos, "--out", &out, "--adapt"];
    let told = refusal(adapt.into_iter().chain(["--bundle", ADAPTABLE]));
    assert!(
        told.contains("at least 16 pictures") && told.contains("found 5"),
        "{told}"
    );
}
