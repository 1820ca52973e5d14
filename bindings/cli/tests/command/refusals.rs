//! Bad input: photos, catalogues, bundles and indexes that are damaged, foreign or missing. Each is
//! refused by name with exit code 1; what is sound beside them is still used.

use std::fs;
use std::path::Path;

use super::{command, lines, picture, pictures, refusal, shop, text};

fn path(path: &Path) -> String {
    path.display().to_string()
}

/// A PNG's header that promises more pixels than any phone could hold.
fn bomb() -> Vec<u8> {
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    png.extend(60_000u32.to_be_bytes());
    png.extend(60_000u32.to_be_bytes());
    png.extend([8, 2, 0, 0, 0]);
    png.extend(crc32fast::hash(&png[12..]).to_be_bytes());
    png
}

#[test]
fn bad_photos_are_named_and_the_others_answered() {
    let folder = tempfile::tempdir().unwrap();
    let index = path(&shop(folder.path(), 4));
    let good = folder.path().join("catalogue").join("02.png");
    let whole = fs::read(&good).unwrap();
    let cases: [(&str, Vec<u8>, &str); 5] = [
        ("cut.png", whole[..whole.len() / 2].to_vec(), "damaged PNG"),
        ("empty.jpg", Vec::new(), "unsupported image"),
        (
            "text.jpg",
            b"this is not a photo".to_vec(),
            "unsupported image",
        ),
        ("animation.gif", b"GIF89a\x01\0\x01\0".to_vec(), "found GIF"),
        ("bomb.png", bomb(), "too large"),
    ];
    for (name, bytes, reason) in cases {
        let bad = folder.path().join(name);
        fs::write(&bad, bytes).unwrap();
        let output = command(["search", &index, &path(&bad), &path(&good), "--json"])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        let told = text(&output.stderr);
        assert!(told.contains(name) && told.contains(reason), "{told}");
        let answers: Vec<serde_json::Value> = text(&output.stdout)
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert!(
            answers[0]["error"].as_str().unwrap().contains(reason),
            "{}",
            answers[0]
        );
        assert_eq!(answers[1]["hits"][0]["key"], "02.png");
        assert!(refusal(["embed", &path(&bad)]).contains(name));
    }
    let missing = refusal(["search", &index, "nowhere.jpg"]);
    assert!(missing.contains("nowhere.jpg"), "{missing}");
}

#[test]
fn photos_of_unusual_kinds_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let samples = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../core/tests/data/image/cmyk.jpg"
    );
    let wide = folder.path().join("sixteen-bits.png");
    image::DynamicImage::ImageRgb8(picture(90, 70, 3))
        .to_rgb16()
        .save(&wide)
        .unwrap();
    let narrow = folder.path().join("one-pixel.png");
    picture(1, 1, 3).save(&narrow).unwrap();
    assert_eq!(
        lines(["embed", "--json", samples, &path(&wide), &path(&narrow)]).len(),
        3
    );
}

#[test]
fn a_catalogue_with_missing_and_damaged_photos_is_indexed_without_them() {
    let folder = tempfile::tempdir().unwrap();
    pictures(folder.path(), 3);
    fs::write(folder.path().join("broken.jpg"), [0xFF, 0xD8, 0xFF, 0xE0]).unwrap();
    let catalogue = folder.path().join("shop.csv");
    fs::write(
        &catalogue,
        "image,key,colour\n00.png,first,red\ngone.png,lost,blue\nbroken.jpg,bad,grey\n02.png,third,green\n",
    )
    .unwrap();
    let index = path(&folder.path().join("shop.plx"));
    let output = command([
        "index",
        "build",
        &path(&catalogue),
        "--out",
        &index,
        "--json",
    ])
    .output()
    .unwrap();
    let told = text(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert!(
        told.contains("gone.png") && told.contains("broken.jpg"),
        "{told}"
    );
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (
            report["items"].as_u64(),
            report["failed"].as_array().unwrap().len()
        ),
        (Some(2), 2)
    );
    let found = &lines([
        "search",
        &index,
        &path(&folder.path().join("02.png")),
        "--json",
    ])[0];
    assert_eq!(found["hits"][0]["key"], "third");
    assert_eq!(found["hits"][0]["payload"]["colour"], "green");
}

#[test]
fn catalogues_without_anything_to_index_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let out = path(&folder.path().join("shop.plx"));
    let build = |source: &Path| refusal(["index", "build", &path(source), "--out", &out]);
    assert!(build(&folder.path().join("nowhere")).contains("nowhere"));
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    assert!(build(&empty).contains("no photos found"));
    let csv = folder.path().join("no-key.csv");
    fs::write(&csv, "image,name\na.png,b\n").unwrap();
    let told = build(&csv);
    assert!(
        told.contains("no-key.csv") && told.contains("key"),
        "{told}"
    );
    let gone = folder.path().join("gone.csv");
    fs::write(&gone, "image,key\na.png,a\nb.png,b\n").unwrap();
    let told = build(&gone);
    assert!(
        told.contains("none of the 2 photos") && told.contains("a.png"),
        "{told}"
    );
    assert!(!Path::new(&out).join("manifest.json").exists());
}

#[cfg(unix)]
#[test]
fn folders_that_may_not_be_read_are_named_and_the_rest_indexed() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;

    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let allow =
        |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    allow(root, 0o777);
    pictures(&root.join("photos"), 2);
    pictures(&root.join("photos").join("closed"), 1);
    allow(&root.join("photos").join("closed"), 0o000);
    // The administrator may read everything, so then the program runs as somebody else, from a
    // place where that somebody may read it.
    let program = root.join("pocketlens");
    fs::copy(env!("CARGO_BIN_EXE_pocketlens"), &program).unwrap();
    allow(&program, 0o755);
    let mut command = std::process::Command::new(&program);
    let is_administrator = fs::read_dir(root.join("photos").join("closed")).is_ok();
    if is_administrator {
        command.uid(65_534);
    }
    let output = command
        .args(["index", "build", "--no-calibration", "--json", "--out"])
        .args([root.join("shop.plx"), root.join("photos")])
        .output()
        .unwrap();
    allow(&root.join("photos").join("closed"), 0o755);
    let told = text(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert!(
        told.contains("closed") && told.contains("cannot be read"),
        "{told}"
    );
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["items"], 2);
}

#[test]
fn damaged_bundles_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let whole = fs::read(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../models/default.lens"
    ))
    .unwrap();
    let bundle = folder.path().join("bad.lens");
    for (length, reason) in [
        (0, "bad.lens"),
        (100, "bad.lens"),
        (whole.len() - 1, "expected"),
    ] {
        fs::write(&bundle, &whole[..length]).unwrap();
        for arguments in [vec!["bundle", "info"], vec!["bundle", "verify"]] {
            let told = refusal(arguments.into_iter().chain([path(&bundle).as_str()]));
            assert!(
                told.contains("bad.lens") && told.contains(reason),
                "{length}: {told}"
            );
        }
    }
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    fs::write(&bundle, flipped).unwrap();
    assert!(refusal(["bundle", "verify", &path(&bundle)]).contains("crc32"));
}

#[test]
fn damaged_indexes_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let index = shop(folder.path(), 3);
    let photo = path(&folder.path().join("catalogue").join("00.png"));
    for entry in fs::read_dir(&index).unwrap() {
        let file = entry.unwrap().path();
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        if name == "pictures.path" {
            continue;
        }
        let whole = fs::read(&file).unwrap();
        fs::write(&file, &whole[..whole.len() - 7]).unwrap();
        let told = refusal(["search", &path(&index), &photo]);
        assert!(told.contains(&name), "{name}: {told}");
        assert!(refusal(["index", "verify", &path(&index)]).contains(&name));
        fs::write(&file, &whole).unwrap();
    }
    assert_eq!(
        lines(["index", "verify", &path(&index), "--json"])[0]["sound"],
        true
    );
    let told = refusal(["search", &path(folder.path()), &photo]);
    assert!(told.contains("manifest"), "{told}");
}

#[test]
fn a_bundle_that_did_not_make_the_index_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let index = path(&shop(folder.path(), 3));
    let photo = path(&folder.path().join("catalogue").join("00.png"));
    let default = pocketlens::bundle::Bundle::embedded().unwrap();
    let mut spec = default.spec().clone();
    spec.recipe.parts[0].weight *= 2.0;
    let foreign = folder.path().join("foreign.lens");
    pocketlens::bundle::write(
        &foreign,
        &spec,
        default.card(),
        default.onnx(),
        default.learned(),
    )
    .unwrap();
    let told = refusal(["search", &index, &photo, "--bundle", &path(&foreign)]);
    assert!(told.contains("the index was built with model"), "{told}");
}

#[test]
fn wrong_words_are_a_matter_of_usage() {
    for arguments in [vec!["serch"], vec!["search"], vec!["index", "build", "x"]] {
        let output = command(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    }
}
