"""Descriptors of photos that are decoded scaled, against the full photo decoded by libjpeg (through Pillow)."""

import numpy as np
import pytest
from PIL import Image

from pictures import pattern
from program import descriptors, unit


def textured(width: int, height: int, seed: int) -> Image.Image:
    """A photo's spectrum: patterns of every size from the whole picture down to a few pixels."""
    total = np.zeros((height, width, 3))
    for octave in range(5):
        side = 2**octave
        part = Image.fromarray(pattern(max(width // side, 64), max(height // side, 64), 10 * seed + octave))
        total += np.asarray(part.resize((width, height), Image.Resampling.BICUBIC), float) / 5
    return Image.fromarray(np.clip(2 * total - 127, 0, 255).astype(np.uint8))


def cosines(pictures: list[Image.Image], folder, **options) -> np.ndarray:
    """Of each picture as JPEG with those options, and of what Pillow decodes from it, as PNG."""
    jpegs, pngs = [], []
    for number, picture in enumerate(pictures):
        jpegs.append(folder / f"{number}.jpg")
        pngs.append(folder / f"{number}.png")
        picture.save(jpegs[-1], **options)
        Image.open(jpegs[-1]).convert("RGB").save(pngs[-1], compress_level=1)
    scaled, full = unit(descriptors(jpegs)), unit(descriptors(pngs))
    return (scaled * full).sum(1)


def test_twelve_megapixels(tmp_path):
    pictures = [textured(4000, 3000, seed) for seed in range(3)]
    found = cosines(pictures, tmp_path, quality=90, subsampling="4:2:0")
    print(found)
    assert found.min() > 0.99, found


@pytest.mark.parametrize("size", [(2560, 2560), (2559, 1919), (1280, 960), (701, 1033), (640, 480), (300, 200)])
def test_every_scale(tmp_path, size):
    found = cosines([textured(*size, seed) for seed in range(2)], tmp_path, quality=90, subsampling="4:2:0")
    print(found)
    assert found.min() > 0.99, found


@pytest.mark.parametrize(
    "options",
    [
        {"subsampling": "4:4:4"},
        {"subsampling": "4:2:2"},
        {"subsampling": "4:2:0", "restart_marker_blocks": 7},
        {"subsampling": "4:2:0", "restart_marker_rows": 1},
        {"subsampling": "4:4:4", "keep_rgb": True},
        {"subsampling": "4:2:0", "progressive": True},
        {"subsampling": "4:2:0", "optimize": True},
    ],
)
def test_every_variant(tmp_path, options):
    found = cosines([textured(1301, 977, 5)], tmp_path, quality=80, **options)
    print(found)
    assert found.min() > 0.99, found
