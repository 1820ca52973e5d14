"""Heads that a bundle can say: exact as 1×1 convolutions, learned on rendered garments, the same in torch, ONNX and plan."""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest
import torch

import fit_attributes
import garments
from attribute_heads import WholeHeads
from attributes import CUT_OFF, OCCLUDED, VISIBLE, Truth
from export import read_bundle
from fit_attributes import Naming
from garments import GarmentBatches
from loss import normalise
from shape import NANO
from test_attributes import garments as rendered
from test_quantised import ROOT, program

SIZE = (96, 320)  # photos that the program does not resize
CATEGORIES, ATTRIBUTES, POINTS = ("shirt", "trousers"), ("dark", "striped"), ("collar", "hem")
BUNDLE = ROOT / "models" / "nano.lens"


def test_a_linear_head_on_the_mean_is_the_mean_of_its_logit_map():
    torch.manual_seed(1)
    heads, maps = WholeHeads(12, 3, 4), 5 + 2 * torch.randn(20, 12, 5, 7)
    heads(maps)  # gathers the statistics
    for layer in (heads.category, heads.attributes):
        layer.weight.data.normal_()
        layer.bias.data.normal_()
    said = heads.eval()(maps)
    for logits, output in zip(said, heads.logit_maps("c39"), strict=True):
        weight, bias = torch.from_numpy(output.weight), torch.from_numpy(output.bias)
        places = torch.nn.functional.conv2d(maps, weight[:, :, None, None], bias)
        torch.testing.assert_close(places.mean(dim=(2, 3)), logits, rtol=1e-4, atol=1e-4)


def test_a_table_of_garments(tmp_path):
    table = tmp_path / "garments.tsv"
    heading = "image\tgroup\tcategory\tattributes\tcollar\them\n"
    table.write_text(f"{heading}b.png\t7\tskirt\t\t\t0.9 0.5 occluded\na.png\t3\tshirt\tlong,dark\t0.1 0.5\n")
    found = garments.read(table)
    assert found.paths == [tmp_path / "b.png", tmp_path / "a.png"]
    assert found.vocabulary == garments.Vocabulary(("shirt", "skirt"), ("dark", "long"), POINTS)
    assert found.truth.visibility.tolist() == [[CUT_OFF, OCCLUDED], [VISIBLE, CUT_OFF]]
    assert found.truth.category.tolist() == [1, 0] and found.truth.group.tolist() == [1, 0]
    assert found.truth.attributes.tolist() == [[0, 0], [1, 1]] and found.positive.tolist() == [0.5, 0.5]
    torch.testing.assert_close(found.truth.points[1, 0], torch.tensor([0.1, 0.5]))
    # Of another table the same words have the same numbers, though some are missing there.
    table.write_text(f"{heading}c.png\t1\tskirt\tlong\t\t\n")
    other = garments.read(table, found.vocabulary)
    assert other.truth.category.tolist() == [1] and other.truth.attributes.tolist() == [[0, 1]]
    table.write_text(f"{heading}c.png\t1\tcoat\tlong\t\t\n")
    with pytest.raises(SystemExit, match="cannot be measured: coat"):
        garments.read(table, found.vocabulary)
    for wrong, told in (
        (f"{heading}a.png\t3\tshirt\tlong\t0.1\n", "line 2: a key point is"),
        ("image\tcategory\na.png\tshirt\n", "the heading must be"),
        (f"{heading}a.png\t3\tshirt\tlong\t0.1 0.2\n", "two categories"),
    ):
        table.write_text(wrong)
        with pytest.raises(SystemExit, match=told):
            garments.read(table)


def write_table(folder: Path, count: int, shots: int, seed: int) -> Path:
    """Rendered garments as photos with a table."""
    images, truth = rendered(count, shots, seed)
    folder.mkdir()
    lines = ["\t".join([*garments.COLUMNS, *POINTS])]
    for number, image in enumerate(images):
        pixels = ((image.permute(1, 2, 0).numpy() + 1) * 127.5).round().clip(0, 255).astype(np.uint8)
        name = f"{number:03d}.png"
        cv2.imwrite(str(folder / name), cv2.resize(pixels, SIZE[::-1], interpolation=cv2.INTER_NEAREST)[:, :, ::-1])
        striped, dark = truth.attributes[number].tolist()
        words = ",".join(word for word, there in (("striped", striped), ("dark", dark)) if there)
        cells = [
            f"{place[0]:.4f} {place[1]:.4f}" if seen == VISIBLE else ""
            for place, seen in zip(truth.points[number].tolist(), truth.visibility[number].tolist(), strict=True)
        ]
        category = CATEGORIES[int(truth.category[number])]
        lines.append("\t".join([name, str(int(truth.group[number])), category, words, *cells]))
    table = folder / "garments.tsv"
    table.write_text("\n".join(lines) + "\n")
    return table


@pytest.fixture(scope="module")
def fitted(tmp_path_factory) -> tuple[Path, Naming, dict[str, float]]:
    """The command, run on rendered garments; a folder, what it trained, and what that says of garments it never saw."""
    torch.set_num_threads(1)
    at, kept = tmp_path_factory.mktemp("attributes"), []
    tables = [write_table(at / name, count, 4, seed) for name, count, seed in (("train", 40, 1), ("asked", 20, 2))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(garments, "SIZES", (SIZE,))
        patch.setattr(fit_attributes, "MEASURED", SIZE)
        patch.setattr(fit_attributes, "train", lambda naming, train=fit_attributes.train: (kept.append(naming), train(naming)))
        command = ["fit_attributes.py", "--table", tables[0], "--bundle", BUNDLE, "--shape", "nano", "--run", at / "run"]
        command += ["--steps", 80, "--last-steps", 160, "--groups-per-batch", 5, "--per-group", 4, "--workers", 0]
        command += ["--export", at / "named.onnx", "--heads", at / "heads.json"]
        patch.setattr(sys, "argv", [str(word) for word in command])
        fit_attributes.main()
        return at, kept[0], fit_attributes.measure(kept[0], garments.read(tables[1]))


def test_heads_are_learned_and_the_mean_alone_costs_little(fitted):
    _, _, right = fitted
    print(right)
    assert right["head_category"] > 85 and right["head_attributes"] > 80
    assert right["whole_category"] > 90 and right["whole_attributes"] > 90


@torch.no_grad()
def logits(naming: Naming, photo: Path) -> list[np.ndarray]:
    naming.whole.eval()
    maps = naming.maps(torch.from_numpy(garments.decode(photo, SIZE))[None])
    return [said[0].numpy() for said in naming.whole(maps)]


def test_the_file_says_what_torch_does(fitted):
    at, naming, _ = fitted
    session = onnxruntime.InferenceSession(at / "named.onnx")
    heads = json.loads((at / "heads.json").read_text())["attributes"]
    assert [(head["name"], tuple(head["labels"]), head["labelling"]) for head in heads] == [
        ("category", CATEGORIES, "one_of"), ("attributes", ATTRIBUTES, "any_of"),
    ]  # fmt: skip
    assert {output.name for output in session.get_outputs()} == {"c20", "c39", "c42", "c51", "category", "attributes"}
    found, expected, of_file = [], [], []
    for photo in sorted((at / "asked").glob("*.png"))[:20]:
        image = normalise(torch.from_numpy(garments.decode(photo, SIZE))[None]).contiguous().numpy()
        c39, *maps = session.run(["c39", *(head["tap"] for head in heads)], {"image": image})
        found.append(np.concatenate([said[0].mean(axis=(1, 2)) for said in maps]))
        of_file.append(torch.cat(naming.whole.eval()(torch.from_numpy(c39)), dim=1)[0].detach().numpy())
        expected.append(np.concatenate(logits(naming, photo)))
    # The file has half-precision weights: of the heads alone, and of the network before them.
    for own, share in ((of_file, 0.005), (expected, 0.05)):
        error = np.sqrt(np.mean((np.array(found) - own) ** 2)) / np.std(own)
        print(f"error {error:.5f} of the deviation")
        assert error < share


@pytest.mark.skipif(program() is None, reason="the command has not been built (or name it by POCKETLENS)")
def test_a_bundle_says_them(fitted, tmp_path):
    at, naming, _ = fitted
    parts = [{"tap": "c51", "pool": "average", "dim": 8, "whitening": "pca"}]
    (tmp_path / "recipe.json").write_text(json.dumps({"name": "heads", "parts": parts}))

    def run(*arguments) -> str:
        done = subprocess.run([program(), *map(str, arguments)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    bundle, index, photos = tmp_path / "named.lens", tmp_path / "shop", sorted((at / "asked").glob("*.png"))
    taught = ("--recipe", tmp_path / "recipe.json", "--heads", at / "heads.json")
    photos_of = ("--calibrate", at / "train", "--photos", at / "train")
    run("bundle", "convert", "--backbone", at / "named.onnx", *taught, *photos_of, "--out", bundle)
    assert "attributes      category, attributes" in run("bundle", "info", bundle)
    run("index", "build", at / "train", "--bundle", bundle, "--out", index, "--no-calibration", "--attributes")
    lines = run("search", index, *photos, "--json").splitlines()
    truth = garments.read(at / "asked" / "garments.tsv").truth
    right, same = [], []
    for number, line in enumerate(lines):
        told = {kind: set() for kind in ("category", "attributes")}
        for one in json.loads(line)["attributes"]:
            told[one["name"]].add(one["label"])
        known = {word for word, there in zip(ATTRIBUTES, truth.attributes[number].tolist(), strict=True) if there}
        right.append(told["category"] == {CATEGORIES[int(truth.category[number])]})
        right += [(word in told["attributes"]) == (word in known) for word in ATTRIBUTES]
        category, attributes = logits(naming, photos[number])
        own = {word for word, logit in zip(ATTRIBUTES, attributes, strict=True) if logit > 0}
        same.append(told == {"category": {CATEGORIES[int(category.argmax())]}, "attributes": own})
    print(f"right {100 * np.mean(right):.1f} %, as torch {100 * np.mean(same):.1f} %")
    assert len(lines) == len(photos) and np.mean(right) > 0.9 and np.mean(same) > 0.9
    item = json.loads(lines[0])["hits"][0]
    assert item["payload"]["category"] in CATEGORIES and set(item["payload"]["attributes"]) <= set(ATTRIBUTES)


def test_a_run_resumes_as_if_it_had_not_stopped(tmp_path, monkeypatch):
    torch.set_num_threads(1)
    monkeypatch.setattr(garments, "SIZES", ((64, 96),))
    table = garments.read(write_table(tmp_path / "photos", 4, 2, 1))
    student = read_bundle(BUNDLE, NANO)

    def run(folder: str, stop: int | None = None) -> Naming:
        torch.manual_seed(1)
        values = {"run": tmp_path / folder, "tap": "c51", "steps": 4, "last_steps": 3, "groups_per_batch": 2, "per_group": 2}
        values |= {"rate": 1e-2, "seed": 1, "workers": 0, "progress": 60, "save_seconds": 0}
        values["run"].mkdir(exist_ok=True)
        naming = Naming(student, table, argparse.Namespace(**values))
        step = naming.train_step

        def train_step(crops: torch.Tensor, truth: Truth) -> float:
            if naming.step == stop:
                raise KeyboardInterrupt
            return step(crops, truth)

        naming.train_step = train_step
        fit_attributes.train(naming)
        return naming

    whole = run("whole")
    for stop in (2, 5):  # in the first stages, and in the last
        with pytest.raises(KeyboardInterrupt):
            run(f"cut{stop}", stop)
        resumed = run(f"cut{stop}")
        for part in ("head", "whole"):
            for name, value in getattr(whole, part).state_dict().items():
                assert torch.equal(value, getattr(resumed, part).state_dict()[name]), (stop, part, name)
    one, other = (GarmentBatches(table, 2, 2, 4, seed=1)[3] for _ in range(2))
    assert torch.equal(one[0], other[0]) and torch.equal(one[1], other[1]) and len(one[1]) == 4
