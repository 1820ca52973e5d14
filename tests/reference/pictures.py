"""Pictures that the tests make for themselves."""

from pathlib import Path

import numpy as np
from PIL import Image


def pattern(width: int, height: int, seed: int) -> np.ndarray:
    """H×W×3 bytes: waves, a grid and some rectangles, so that every layer of a network has something to see."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    picture = np.zeros((height, width, 3))
    for channel in range(3):
        a, b, phase = rng.uniform(4, 40), rng.uniform(4, 40), rng.uniform(0, 6)
        picture[..., channel] = 127 + 80 * np.sin(x / a + phase) * np.cos(y / b)
    for _ in range(6):
        left, top = rng.integers(0, width - 8), rng.integers(0, height - 8)
        right, bottom = rng.integers(left + 4, width), rng.integers(top + 4, height)
        picture[top:bottom, left:right] = 0.4 * picture[top:bottom, left:right] + 0.6 * rng.uniform(0, 255, 3)
    return np.clip(picture, 0, 255).astype(np.uint8)


def folder(at: Path, count: int, width: int = 96, height: int = 64) -> list[Path]:
    """`count` PNG pictures, all different, in the order of their names."""
    at.mkdir()
    paths = [at / f"{number:03}.png" for number in range(count)]
    for number, path in enumerate(paths):
        Image.fromarray(pattern(width, height, number)).save(path)
    return paths
