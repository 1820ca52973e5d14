//! An index that changes: on the device, by packs, and in shards.

use std::collections::BTreeMap;
use std::path::Path;

use super::{command, lines, picture, pictures, refusal, shop};

fn run(arguments: &[&str]) {
    let output = command(arguments).output().unwrap();
    assert!(output.status.success(), "{}", super::text(&output.stderr));
}

fn keys(index: &str) -> Vec<String> {
    let items = lines(["index", "export", index]);
    items
        .iter()
        .map(|item| item["key"].as_str().unwrap().to_owned())
        .collect()
}

fn files(index: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(index).unwrap().map(Result::unwrap);
    let files = entries.filter(|entry| entry.file_name() != "pictures.path");
    files
        .map(|entry| {
            (
                entry.file_name().into_string().unwrap(),
                std::fs::read(entry.path()).unwrap(),
            )
        })
        .collect()
}

#[test]
fn items_come_and_go_and_packs_carry_that_over() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let index = shop(folder.path(), 5).display().to_string();
    run(&["index", "diff", "none", &index, "--out", &at("full.pack")]);
    run(&["index", "apply", &at("device.plx"), &at("full.pack")]);

    let more = folder.path().join("more");
    std::fs::create_dir(&more).unwrap();
    picture(160, 128, 40).save(more.join("new.png")).unwrap();
    picture(160, 128, 41).save(more.join("03.png")).unwrap();
    run(&["index", "add", &index, &at("more")]);
    run(&["index", "remove", &index, "00.png"]);
    assert_eq!(
        keys(&index),
        ["01.png", "02.png", "03.png", "04.png", "new.png"]
    );
    let hit = &lines([
        "search",
        &index,
        &more.join("03.png").display().to_string(),
        "--json",
    ])[0]["hits"][0];
    assert_eq!(hit["key"], "03.png");
    assert!(hit["score"].as_f64().unwrap() > 0.999);

    std::fs::write(at("key"), "11".repeat(32)).unwrap();
    std::fs::write(at("other"), "22".repeat(32)).unwrap();
    run(&[
        "index",
        "diff",
        &at("device.plx"),
        &index,
        "--out",
        &at("delta.pack"),
        "--sign",
        &at("key"),
    ]);
    let reason = refusal([
        "index",
        "apply",
        &at("device.plx"),
        &at("full.pack"),
        "--key",
        &at("other"),
    ]);
    assert!(
        reason.contains("sign") || reason.contains("key"),
        "{reason}"
    );
    run(&["index", "apply", &at("device.plx"), &at("delta.pack")]);
    assert_eq!(keys(&at("device.plx")), keys(&index));
    run(&["index", "verify", &at("device.plx")]);
    run(&["index", "rollback", &at("device.plx")]);
    assert_eq!(
        keys(&at("device.plx")),
        ["00.png", "01.png", "02.png", "03.png", "04.png"]
    );

    run(&["index", "compact", &index, "--all"]);
    assert_eq!(keys(&index).len(), 5);
    let reason = refusal(["index", "remove", &index, "01.png", "nobody"]);
    assert!(
        reason.contains("nobody") && keys(&index).len() == 5,
        "{reason}"
    );
}

#[test]
fn shards_merge_to_the_bytes_of_one_build() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    pictures(&folder.path().join("photos"), 9);
    run(&[
        "index",
        "build",
        &at("photos"),
        "--out",
        &at("whole.plx"),
        "--no-calibration",
    ]);
    for shard in ["1/2", "2/2"] {
        let out = at(&shard.replace('/', "of"));
        run(&[
            "index",
            "build",
            &at("photos"),
            "--out",
            &out,
            "--shard",
            shard,
        ]);
    }
    run(&[
        "index",
        "merge",
        &at("2of2"),
        &at("1of2"),
        "--out",
        &at("merged.plx"),
    ]);
    assert_eq!(
        files(Path::new(&at("merged.plx"))),
        files(Path::new(&at("whole.plx")))
    );
    let reason = refusal([
        "index",
        "merge",
        &at("1of2"),
        &at("1of2"),
        "--out",
        &at("twice.plx"),
    ]);
    assert!(reason.contains(".png"), "{reason}");
}
