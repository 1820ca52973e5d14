"""NNAPI's double runs every backbone that it can be told: the descriptors are the plan's but for a second rounding."""

import json
from pathlib import Path

import pytest
from PIL import Image

from networks import NETWORKS
from pictures import pattern
from program import PROGRAM, lines, run

DOUBLE = PROGRAM.parent / "deps" / "libpocketlens_nnapi_double.so"
SIDE = 96


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    at = tmp_path_factory.mktemp("photos")
    for seed in range(10):
        Image.fromarray(pattern(320, SIDE, seed)).save(at / f"{seed}.png")
    return at


def judged(network, at: Path, photos: Path) -> dict:
    """What the selection says of the double for a network of random weights."""
    recipe, onnx, bundle = at / "recipe.json", at / "float.onnx", at / "int8.lens"
    onnx.write_bytes(network.SerializeToString())
    part = {"tap": "features", "pool": "average", "dim": 4, "whitening": "pca"}
    recipe.write_text(json.dumps({"name": "features", "parts": [part]}))
    run("bundle", "convert", "--backbone", onnx, "--recipe", recipe, "--photos", photos, "--calibrate", photos, "--out", bundle)
    (report,) = lines("selftest", "--bundle", bundle, "--nnapi", DOUBLE, "--api-level", 30, "--any-speed", "--size", "96x64")
    (delegate,) = report["delegates"]
    return delegate["verdict"]


@pytest.mark.parametrize("name", ["mobilenet_v2", "efficientnet_lite0", "resnet18"])
def test_descriptors_are_near_the_plans(name, tmp_path, photos):
    verdict = judged(NETWORKS[name](), tmp_path, photos)
    assert verdict["verdict"] in ("accepted", "inaccurate"), verdict
    assert verdict["least_cosine"] > 0.9, verdict


def test_hard_swish_and_squeeze_excite_run_and_are_judged(tmp_path, photos):
    # What stands before a HardSwish has no grid in the plan, and gets a coarse one: with random weights, whose sums are
    # small, that is too coarse, and the judge says so.
    verdict = judged(NETWORKS["mobilenet_v3_small"](), tmp_path, photos)
    assert verdict["verdict"] in ("accepted", "inaccurate"), verdict


def test_a_network_that_nnapi_cannot_be_told_names_the_layer(tmp_path, photos):
    verdict = judged(NETWORKS["efficientnet_b0"](), tmp_path, photos)
    assert verdict["verdict"] == "refused" and "table" in verdict["reason"], verdict
