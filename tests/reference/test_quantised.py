"""The int8 plan of every backbone that people use, against onnxruntime: float networks that we quantise, and networks
that onnxruntime quantised."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from PIL import Image

from networks import NETWORKS
from pictures import pattern
from program import lines, pooled, run, unit

SIDE = 96
PICTURES = 10


# Mean and deviation of what networks read, by the name of the program's option.
PREPROCESSING = {
    "mobilenet": (127.5, 127.5),
    "imagenet": (255 * np.array([0.485, 0.456, 0.406]), 255 * np.array([0.229, 0.224, 0.225])),
    "lite": (127.0, 128.0),
}


def network_input(pixels: np.ndarray, preprocessing: str = "mobilenet") -> np.ndarray:
    mean, deviation = PREPROCESSING[preprocessing]
    return ((pixels - mean) / deviation).astype(np.float32).transpose(2, 0, 1)[None]


class Pictures(CalibrationDataReader):
    def __init__(self):
        self.inputs = iter([{"image": network_input(picture(seed))} for seed in range(PICTURES)])

    def get_next(self):
        return next(self.inputs, None)


def picture(seed: int) -> np.ndarray:
    """At a size that the program does not change: the longest side of 320."""
    return pattern(320, SIDE, seed)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    at = tmp_path_factory.mktemp("photos")
    for seed in range(PICTURES):
        Image.fromarray(picture(seed)).save(at / f"{seed}.png")
    return at


def reference(path, preprocessing: str = "mobilenet") -> np.ndarray:
    """N×C: the pooled tap of each picture in onnxruntime."""
    session = onnxruntime.InferenceSession(path)
    inputs = [network_input(picture(seed), preprocessing) for seed in range(PICTURES)]
    maps = [session.run(["features"], {"image": image})[0] for image in inputs]
    return unit(np.array([tap[0].mean((1, 2)) for tap in maps], np.float64))


def convert(network, at, photos, *arguments):
    recipe, bundle = at / "recipe.json", at / "int8.lens"
    part = {"tap": "features", "pool": "average", "dim": 4, "whitening": "pca"}
    recipe.write_text(json.dumps({"name": "features", "parts": [part]}))
    run("bundle", "convert", "--backbone", network, "--recipe", recipe, "--photos", photos, "--out", bundle, *arguments)
    assert lines("bundle", "info", bundle)[0]["network"] == "plan, int8"
    return bundle


def cosines(bundle, photos, expected) -> np.ndarray:
    (found,) = pooled(sorted(photos.iterdir()), "--bundle", bundle)
    return (found * expected).sum(1)


@pytest.mark.parametrize("name", NETWORKS)
def test_float_networks_quantised_here(name, tmp_path, photos):
    path = tmp_path / "float.onnx"
    onnx.save(NETWORKS[name](), path)
    bundle = convert(path, tmp_path, photos, "--calibrate", photos)
    found = cosines(bundle, photos, reference(path))
    assert found.min() > 0.98, found


@pytest.mark.parametrize("preprocessing", ["imagenet", "lite"])
def test_pixels_are_read_as_the_network_was_trained(preprocessing, tmp_path, photos):
    path = tmp_path / "float.onnx"
    onnx.save(NETWORKS["resnet18"](), path)
    bundle = convert(path, tmp_path, photos, "--calibrate", photos, "--preprocessing", preprocessing)
    assert cosines(bundle, photos, reference(path, preprocessing)).min() > 0.98
    if preprocessing == "imagenet":  # the other is hardly different from what is read without a word
        assert cosines(bundle, photos, reference(path)).min() < 0.98


@pytest.mark.parametrize("activations", [QuantType.QUInt8, QuantType.QInt8])
@pytest.mark.parametrize("name", ["mobilenet_v2_035", "mobilenet_v3_small", "resnet18"])
def test_networks_that_onnxruntime_quantised(name, activations, tmp_path, photos):
    path, quantised = tmp_path / "float.onnx", tmp_path / "qdq.onnx"
    onnx.save(NETWORKS[name](), path)
    quantize_static(
        path,
        quantised,
        Pictures(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=activations,
        weight_type=QuantType.QInt8,
    )
    # onnxruntime leaves some values in float, the last HardSwish among them: photos give their ranges.
    bundle = convert(quantised, tmp_path, photos, "--calibrate", photos)
    # The same integers; what differs is where onnxruntime rounds once more.
    found = cosines(bundle, photos, reference(quantised))
    assert found.min() > 0.99, found


def test_every_instruction_set_is_benched(photos, tmp_path):
    rows = lines("bench", "--network", "--size", "64x64", "--runs", 1)
    assert rows[0]["stage"] == "backbone" and rows[0]["n"] == 1 and rows[0]["macs"] > 0
    generic = lines("bench", "--layers", "--size", "64x64", "--runs", 1, "--cpu", "generic")
    assert len(generic) > 40 and {row["cpu"] for row in generic} == {"generic"}
    run("bench", "--network", "--cpu", "abacus", code=1)
