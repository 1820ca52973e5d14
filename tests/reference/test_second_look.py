"""The second look at the best hits, against numpy: local features of maps, likeness, the geometric check, and the heat
map's sum."""

import json

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from networks import tiny_network
from photo import photo_input
from pictures import folder, pattern
from program import lines, run, sections, unit, whitenings

RECIPE = {
    "name": "test",
    "parts": [
        {"tap": "fine", "pool": {"centre": {"sigma": 0.5}}, "dim": 9, "whitening": "pca"},
        {"tap": "deep", "pool": "average", "dim": 11, "whitening": "pca"},
    ],
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A network, its bundle, and an index of pictures with their local features."""
    at = tmp_path_factory.mktemp("shop")
    tiny_network(at / "tiny.onnx")
    (at / "recipe.json").write_text(json.dumps(RECIPE))
    photos = folder(at / "photos", 40, 160, 128)
    fit = ["--photos", at / "photos", "--backbone", at / "tiny.onnx", "--recipe", at / "recipe.json"]
    run("fit", *fit, "--out", at / "tiny.lens")
    build = ["index", "build", at / "photos", "--bundle", at / "tiny.lens", "--no-calibration"]
    run(*build, "--local-features", "--out", at / "shop.plx")
    return at, photos


def local(photos, bundle) -> list[np.ndarray]:
    """H×W×D integers of each photo."""
    found = [line["local"] for line in lines("embed", *photos, "--local", "--bundle", bundle)]
    return [np.array(one["cells"]).reshape(one["height"], one["width"], -1) for one in found]


def test_local_features_are_whitened_cells(shop):
    at, photos = shop
    network = onnxruntime.InferenceSession(at / "tiny.onnx")
    mean, projection = whitenings(sections(at / "tiny.lens")["whit"], 2)[0]
    for photo, found in zip(photos[:5], local(photos[:5], at / "tiny.lens"), strict=True):
        image = ((photo_input(photo).astype(np.float32) - 127.5) / 127.5).transpose(2, 0, 1)[None]
        (planes,) = network.run(["fine"], {"image": image})[0]
        channels, height, width = planes.shape
        cells = planes.reshape(channels, height // 2, 2, width // 2, 2).sum((2, 4)).transpose(1, 2, 0)
        expected = 127 * unit((unit(cells) - mean) @ projection.T)
        assert found.shape == expected.shape
        # Pixels are resized by other code here: a step, seldom two.
        assert np.abs(found - expected).max() < 8 and np.abs(found - expected).mean() < 1


def best_transform(a: np.ndarray, b: np.ndarray, similar: np.ndarray, slack: float) -> float:
    """Strength of the best similarity transform, tried in the plainest way, with all bounds wider by `slack`."""
    choose, chosen = similar.argmax(1), similar.argmax(0)
    first = np.array([i for i in range(len(a)) if chosen[choose[i]] == i and similar[i, choose[i]] > 0])
    second, weights = choose[first], similar[first, choose[first]] ** 3
    strongest = np.argsort(-weights, kind="stable")[:12]
    best = 0.0
    for p in strongest:
        for q in strongest:
            start, end = a[first[q]] - a[first[p]], b[second[q]] - b[second[p]]
            if p == q or min(abs(start), abs(end)) < 0.2 - slack or not 0.4 - slack <= abs(end / start) <= 2.5 + slack:
                continue
            turned = b[second[p]] + end / start * (a[first] - a[first[p]])
            agree = np.abs(b[second] - turned) < 0.1 + slack
            if agree.sum() > 2:
                best = max(best, float(weights[agree].sum()))
    return best


def centres(grid: np.ndarray) -> np.ndarray:
    height, width = grid.shape[:2]
    y, x = np.mgrid[:height, :width]
    return ((x + 0.5) + 1j * (y + 0.5)).ravel() / max(height, width)


def test_evidence_and_order(shop, tmp_path):
    at, photos = shop
    # A part of an indexed picture, larger and a little darker.
    query = tmp_path / "query.png"
    picture = Image.fromarray((pattern(160, 128, 7) * 0.9).astype(np.uint8))
    picture.crop((20, 10, 150, 114)).save(query)
    settings = '{"likeness": 1.5, "geometry": 0.02, "neighbourhood": "alone"}'
    (answer,) = lines("search", at / "shop.plx", query, "-k", 40, f"--rerank={settings}")
    (asked,) = local([query], at / "tiny.lens")
    stored = dict(zip([photo.name for photo in photos], local(photos, at / "tiny.lens"), strict=True))
    scores = []
    for hit in answer["hits"]:
        grid, evidence = stored[hit["key"]], hit["evidence"]
        first, second = (one.reshape(-1, one.shape[-1]) for one in (asked, grid))
        similar = first @ second.T / 127**2
        likeness = (similar.max(1).mean() + similar.max(0).mean()) / 2
        assert evidence["likeness"] == pytest.approx(likeness, abs=1e-9)
        # Cells lie on a grid, so some are off by just what is allowed: rounding decides whether they agree.
        least, most = (best_transform(centres(asked), centres(grid), similar, slack) for slack in (-1e-9, 1e-9))
        assert least - 1e-9 <= evidence["strength"] <= most + 1e-9
        scores.append(hit["score"] + 1.5 * likeness + 0.02 * evidence["strength"])
    assert scores == sorted(scores, reverse=True) and len(scores) == 40
    (itself,) = lines("search", at / "shop.plx", photos[7], "-k", 40, f"--rerank={settings}")
    assert itself["hits"][0]["key"] == "007.png" and itself["hits"][0]["evidence"]["likeness"] > 0.99


def test_heat_maps_are_written_and_refusals_name_the_next_step(shop, tmp_path):
    at, photos = shop
    namesake = tmp_path / "003.png"
    namesake.write_bytes(photos[4].read_bytes())
    run("search", at / "shop.plx", photos[3], namesake, "-k", 2, "--heat-maps", tmp_path / "heat")
    names = sorted(path.name for path in (tmp_path / "heat").iterdir())
    assert names == ["003-2.1.png", "003-2.2.png", "003.1.png", "003.2.png"]
    painted = np.asarray(Image.open(tmp_path / "heat" / "003.1.png")).astype(int)
    assert painted.shape == (128, 160, 3) and painted.std() > 10
    build = ["index", "build", at / "photos", "--bundle", at / "tiny.lens", "--no-calibration"]
    run(*build, "--out", tmp_path / "plain.plx")
    run("search", tmp_path / "plain.plx", photos[3], "--rerank", code=1)
    run("search", at / "shop.plx", photos[3], '--rerank={"likenes": 1}', code=1)
