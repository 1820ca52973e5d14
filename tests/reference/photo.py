"""Photo to network input by Pillow."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps


def fit_size(width: int, height: int) -> tuple[int, int]:
    """Longest side 320, the other the nearest multiple of 32."""
    longest = max(width, height)
    width, height = (max(32, int(side * 10 / longest + 0.5) * 32) for side in (width, height))
    return width, height


def photo_input(path: Path) -> np.ndarray:
    """H×W×3 bytes, upright, as the network reads it. Pillow's bilinear filter widens with the scale, as ours does."""
    photo = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    return np.asarray(photo.resize(fit_size(*photo.size), Image.Resampling.BILINEAR))
