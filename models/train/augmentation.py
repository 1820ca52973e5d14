"""Training crops: a part of a photo, flipped, recoloured, sometimes mixed with another.

A batch is a pure function of (seed, step), so a resumed run sees the very crops that an uninterrupted one would have
seen, whatever process makes them. The targets come from the teacher on the crop itself: an augmentation needs only to
cover what a camera sees, it cannot make a label wrong.
"""

import math

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset

from photos import SOURCE_WEIGHT, Photo

MIX_CHANCE = 0.2
COLOUR_CHANCE = 0.5
BLUR_CHANCE = 0.1


def crop(pixels: np.ndarray, height: int, width: int, smallest: float, rng: np.random.Generator) -> np.ndarray:
    """A random part of `pixels` (H×W×3 uint8) covering `smallest`..1 of its area, as height×width×3."""
    full_height, full_width = pixels.shape[:2]
    area = full_height * full_width * rng.uniform(smallest, 1.0)
    # The aspect is that of the target, stretched by up to a third either way.
    aspect = width / height * math.exp(rng.uniform(-math.log(4 / 3), math.log(4 / 3)))
    part_height = min(full_height, max(16, round(math.sqrt(area / aspect))))
    part_width = min(full_width, max(16, round(math.sqrt(area * aspect))))
    top = int(rng.integers(full_height - part_height + 1))
    left = int(rng.integers(full_width - part_width + 1))
    part = pixels[top : top + part_height, left : left + part_width]
    shrinks = part_height > height and part_width > width
    part = cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return np.ascontiguousarray(part[:, ::-1]) if rng.random() < 0.5 else part


def recolour(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Brightness, contrast, saturation and white balance, as one 3×3 matrix and an offset per channel."""
    contrast, saturation = rng.uniform(0.6, 1.4), rng.uniform(0.4, 1.5)
    balance = rng.uniform(0.85, 1.15, 3)
    brightness = rng.uniform(-35.0, 35.0)
    grey = np.array([0.299, 0.587, 0.114])
    matrix = saturation * np.eye(3) + (1 - saturation) * grey[None, :]
    matrix = contrast * balance[:, None] * matrix
    offset = np.full((3, 1), 127.5 * (1 - contrast) + brightness)
    return cv2.transform(pixels, np.hstack([matrix, offset]).astype(np.float32))


def mix(pixels: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Blends two crops, or pastes a rectangle of the one into the other."""
    if rng.random() < 0.5:
        share = rng.uniform(0.3, 0.7)
        return cv2.addWeighted(pixels, share, other, 1 - share, 0)
    height, width = pixels.shape[:2]
    part_height, part_width = int(height * rng.uniform(0.3, 0.7)), int(width * rng.uniform(0.3, 0.7))
    top, left = int(rng.integers(height - part_height + 1)), int(rng.integers(width - part_width + 1))
    mixed = pixels.copy()
    mixed[top : top + part_height, left : left + part_width] = other[: part_height, : part_width]
    return mixed


class Batches(Dataset):
    """Batch `step` of a run, as N×H×W×3 uint8. `sizes` and `smallest` may differ from one stage to the next."""

    def __init__(self, photos: list[Photo], schedule, batch: int, seed: int | list[int]):
        """`schedule(step)` gives the stage at `step`, of which `sizes` ((height, width), …) and `smallest` are read."""
        self.photos, self.schedule, self.batch = photos, schedule, batch
        self.seed = seed if isinstance(seed, list) else [seed]
        weights = np.array([SOURCE_WEIGHT.get(photo.source, 1.0) for photo in photos])
        self.cumulative = np.cumsum(weights / weights.sum())

    def __getitem__(self, step: int) -> torch.Tensor:
        cv2.setNumThreads(0)  # the cores belong to the training process
        rng = np.random.default_rng([*self.seed, step])
        stage = self.schedule(step)
        height, width = stage.sizes[int(rng.integers(len(stage.sizes)))]
        views = np.stack([self._view(height, width, stage.smallest, rng) for _ in range(self.batch)])
        return torch.from_numpy(views)

    def _view(self, height: int, width: int, smallest: float, rng: np.random.Generator) -> np.ndarray:
        view = crop(self._draw(rng), height, width, smallest, rng)
        if rng.random() < MIX_CHANCE:
            view = mix(view, crop(self._draw(rng), height, width, smallest, rng), rng)
        if rng.random() < COLOUR_CHANCE:
            view = recolour(view, rng)
        if rng.random() < BLUR_CHANCE:
            view = cv2.GaussianBlur(view, (0, 0), rng.uniform(0.4, 1.2))
        return view

    def _draw(self, rng: np.random.Generator) -> np.ndarray:
        index = int(np.searchsorted(self.cumulative, rng.random(), side="right"))
        return self.photos[min(index, len(self.photos) - 1)].pixels
