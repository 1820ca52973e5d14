"""Photo to descriptor against an independent pipeline: Pillow decodes and resizes, onnxruntime runs the bundle's network,
numpy pools, whitens and joins what its recipe says."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from networks import tiny_network
from photo import photo_input
from pictures import folder, pattern
from program import descriptors, run, sections, unit, whitenings

RECIPE = {
    "name": "test",
    "parts": [
        {"tap": "fine", "pool": {"centre": {"sigma": 0.5}}, "dim": 5, "whitening": "pca", "weight": 0.5},
        {"tap": "deep", "pool": "average", "dim": 7, "whitening": "pca"},
    ],
}


def weights(pool, height: int, width: int) -> np.ndarray:
    if pool == "average":
        return np.ones((height, width))
    sigma = pool["centre"]["sigma"] * min(height, width) / 2
    y, x = np.mgrid[:height, :width] + 0.5
    return np.exp(-((y - height / 2) ** 2 + (x - width / 2) ** 2) / (2 * sigma**2))


def pooled(network: onnxruntime.InferenceSession, recipe: list[dict], pixels: np.ndarray) -> list[np.ndarray]:
    """One unit vector a part of the recipe."""
    image = ((pixels.astype(np.float32) - 127.5) / 127.5).transpose(2, 0, 1)[None]
    maps = network.run([part["tap"] for part in recipe], {network.get_inputs()[0].name: image})
    parts = []
    for part, (planes,) in zip(recipe, maps, strict=True):
        weight = weights(part["pool"], *planes.shape[1:])
        parts.append(unit((planes.astype(np.float64) * weight).sum((1, 2))))
    return parts


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A small random network, and a bundle of it whose recipe was fitted on forty pictures."""
    at = tmp_path_factory.mktemp("fitted")
    network, recipe, bundle = at / "tiny.onnx", at / "recipe.json", at / "tiny.lens"
    tiny_network(network)
    recipe.write_text(json.dumps(RECIPE))
    photos = folder(at / "photos", 40)
    run("fit", "--photos", at / "photos", "--backbone", network, "--recipe", recipe, "--out", bundle)
    return onnxruntime.InferenceSession(network), bundle, photos


def describe(network, bundle: Path, pixels: np.ndarray) -> np.ndarray:
    parts = []
    blocks = whitenings(sections(bundle)["whit"], len(RECIPE["parts"]))
    for part, vector, (mean, projection) in zip(
        RECIPE["parts"], pooled(network, RECIPE["parts"], pixels), blocks, strict=True
    ):
        parts.append(unit(projection @ (vector - mean)) * part.get("weight", 1.0))
    return unit(np.concatenate(parts))


@pytest.mark.parametrize("size", [(320, 256), (500, 333), (90, 240), (1200, 901)])
def test_descriptor_of_photos_of_any_size(fitted, tmp_path, size):
    network, bundle, _ = fitted
    photo = tmp_path / "photo.png"
    Image.fromarray(pattern(*size, seed=size[0])).save(photo)
    (found,) = descriptors([photo], "--bundle", bundle)
    assert np.dot(found, describe(network, bundle, photo_input(photo))) > 0.9999


@pytest.mark.parametrize("orientation", range(1, 9))
def test_descriptor_of_turned_camera_photos(fitted, tmp_path, orientation):
    network, bundle, _ = fitted
    photo = tmp_path / "photo.jpg"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pattern(640, 480, seed=3)).save(photo, exif=exif, quality=92)
    (found,) = descriptors([photo], "--bundle", bundle)
    # JPEG decoders differ by a grey level here and there.
    assert np.dot(found, describe(network, bundle, photo_input(photo))) > 0.999


def test_principal_components_are_those_of_numpy(fitted):
    network, bundle, photos = fitted
    vectors = [pooled(network, RECIPE["parts"], photo_input(path)) for path in photos]
    found = whitenings(sections(bundle)["whit"], len(RECIPE["parts"]))
    for at, (part, (mean, projection)) in enumerate(zip(RECIPE["parts"], found, strict=True)):
        rows = np.array([vector[at] for vector in vectors])
        np.testing.assert_allclose(mean, rows.mean(0), atol=1e-4)
        values, axes = np.linalg.eigh(np.cov(rows.T, bias=True))
        expected = (axes[:, ::-1][:, : part["dim"]] / np.sqrt(values[::-1][: part["dim"]])).T
        # An axis has no sign, and the leading ones of so few pictures are apart enough to compare one by one.
        cosines = np.abs((unit(expected) * unit(projection)).sum(1))
        assert cosines.min() > 0.99, cosines
        np.testing.assert_allclose(np.linalg.norm(projection, axis=1), np.linalg.norm(expected, axis=1), rtol=0.05)
