"""The descriptor of the default bundle against an independent pipeline: numpy and onnxruntime read the bundle byte by
byte as FORMAT.md draws it and compute what its recipe says."""

import json
import struct
import subprocess
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
BUNDLE = ROOT / "models" / "default.lens"
PROGRAM = ROOT / "target" / "debug" / "pocketlens"


def sections(bytes_: bytes) -> dict[str, bytes]:
    assert bytes_[:8] == b"PLXLENS\n"
    count = struct.unpack_from("<I", bytes_, 12)[0]
    found = {}
    for at in range(count):
        tag, _, offset, length = struct.unpack_from("<4sIQQ", bytes_, 48 + 24 * at)
        found[tag.decode()] = bytes_[offset : offset + length]
    return found


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def weights(pool, height: int, width: int) -> np.ndarray:
    if pool == "average":
        return np.ones((height, width))
    sigma = pool["centre"]["sigma"] * min(height, width) / 2
    y, x = np.mgrid[:height, :width] + 0.5
    return np.exp(-((y - height / 2) ** 2 + (x - width / 2) ** 2) / (2 * sigma**2))


def reference(pixels: np.ndarray) -> np.ndarray:
    parts = sections(BUNDLE.read_bytes())
    spec = json.loads(parts["spec"])
    mean, scale = (np.array(spec["preprocessing"][name], np.float32) for name in ("mean", "scale"))
    image = ((pixels.astype(np.float32) - mean) * scale).transpose(2, 0, 1)[None]
    recipe = spec["recipe"]["parts"]
    network = onnxruntime.InferenceSession(parts["onnx"])
    maps = network.run([part["tap"] for part in recipe], {network.get_inputs()[0].name: image})
    block, joined = parts["whit"], []
    for part, (planes,) in zip(recipe, maps, strict=True):
        channels, dim = struct.unpack_from("<II", block)
        values = np.frombuffer(block, "<f4", channels * (dim + 1), 8).astype(np.float64)
        block = block[8 + values.size * 4 :]
        weight = weights(part["pool"], *planes.shape[1:])
        pooled = unit((planes * weight).sum((1, 2)) / weight.sum())
        whitened = values[channels:].reshape(dim, channels) @ (pooled - values[:channels])
        joined.append(unit(whitened) * part["weight"])
    return unit(np.concatenate(joined))


def test_descriptor_agrees_with_numpy_and_onnxruntime(tmp_path):
    # A picture of the network's own size: nothing is resized. Smooth shapes, so that every tap is alive.
    y, x = np.mgrid[:256, :320]
    channels = [np.sin(x / 17 + y / 40), np.cos(x / 9) * np.sin(y / 23), ((x // 32 + y // 32) % 2) * 2 - 1]
    pixels = np.stack([(channel + 1) * 127 for channel in channels], -1).astype(np.uint8)
    photo = tmp_path / "pattern.png"
    Image.fromarray(pixels).save(photo)
    printed = subprocess.run([PROGRAM, "embed", photo, "--json"], check=True, capture_output=True).stdout
    found = np.array(json.loads(printed)["descriptor"])
    assert found.shape == (256,)
    assert np.dot(found, reference(pixels)) > 0.99999
