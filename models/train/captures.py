"""Simulated captures: what a phone would make of a photo's subject from elsewhere, in other light, among other things.

Geometry matters most and is widest: scale, turn, perspective and what is cut off. Two captures of a photo are a pair
that a descriptor should match. A batch is a pure function of (seed, step), as in `augmentation.py`.
"""

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset

from augmentation import crop
from photos import SOURCE_WEIGHT, Photo
from processes import Processes

# (height, width) of a batch of captures; the two of a pair may differ.
SIZES = ((160, 160), (192, 192), (160, 224), (224, 160), (192, 256), (256, 192), (224, 224))
# How often a capture shows the photo's subject on another background, by the photo's source: a product is carried
# about, a place is not.
CLUTTER_CHANCE = {"products": 0.6, "places": 0.25, "unlabelled": 0.45}
PLAIN_CHANCE = 0.2  # the photo as a catalogue shows it: whole, straight, in plain light
LIGHT_CHANCE = 0.7
OCCLUSION_CHANCE = 0.25
BLUR_CHANCE = 0.25
NOISE_CHANCE = 0.25
JPEG_CHANCE = 0.4


def placement(photo: tuple[int, int], view: tuple[int, int], clutter: bool, rng: np.random.Generator) -> np.ndarray:
    """Homography (3×3) from photo to view pixels; the arguments are (height, width).

    Scale 1 fits the photo into the view. On clutter the photo shrinks to as little as 0.45; otherwise the camera goes
    near, to twice. Turned by up to 25 degrees, corners moved by up to a tenth of the view.
    """
    (height, width), (rows, columns) = photo, view
    inside, cover = (choose(rows / height, columns / width) for choose in (min, max))
    if clutter:
        scale = np.exp(rng.uniform(np.log(0.45), np.log(1.3))) * inside
    else:
        scale = rng.uniform(1.0, 2**0.5) ** 2 * cover
    turn = np.radians(np.clip(rng.normal(0, 10), -25, 25))
    stretch = np.exp(rng.uniform(-0.15, 0.15))
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * [width * stretch / 2, height / stretch / 2] * scale
    corners = corners @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    corners += rng.uniform(-0.1, 0.1, (4, 2)) * min(scale * height, scale * width, rows, columns)
    # Off the middle by as far as the subject reaches beyond the view, or the view beyond the subject, and a little.
    slack = np.abs(np.array([columns - width * scale, rows - height * scale])) / 2
    corners += rng.uniform(-0.5, 0.5, 2) * slack + rng.uniform(0.45, 0.55, 2) * [columns, rows]
    source = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    return cv2.getPerspectiveTransform(source, corners.astype(np.float32))


def warp(pixels: np.ndarray, homography: np.ndarray, under: np.ndarray) -> np.ndarray:
    """`pixels` through `homography`, over `under` (H×W×3) where they do not reach."""
    height, width = under.shape[:2]
    # Halving first keeps a strong reduction from aliasing; the homography takes the halving along.
    while abs(np.linalg.det(homography[:2, :2])) < 0.3 and min(pixels.shape[:2]) > 64:
        before = pixels.shape[:2]
        pixels = cv2.resize(pixels, (before[1] // 2, before[0] // 2), interpolation=cv2.INTER_AREA)
        homography = homography @ np.diag([before[1] / pixels.shape[1], before[0] / pixels.shape[0], 1.0])
    return cv2.warpPerspective(
        pixels, homography, (width, height), dst=under.copy(), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_TRANSPARENT
    )


def light(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Exposure, contrast, saturation, white balance, and light that falls off across the view."""
    saturation, contrast = rng.uniform(0.6, 1.3), rng.uniform(0.75, 1.25)
    grey = np.array([0.299, 0.587, 0.114])
    matrix = saturation * np.eye(3) + (1 - saturation) * grey[None, :]
    matrix = contrast * rng.uniform(0.9, 1.1, 3)[:, None] * matrix
    offset = np.full((3, 1), 127.5 * (1 - contrast) + rng.uniform(-25, 25))
    view = cv2.transform(pixels, np.hstack([matrix, offset]).astype(np.float32))
    if rng.random() < 0.5:
        height, width = view.shape[:2]
        across, down = rng.uniform(-0.3, 0.3, 2)
        ramp = 1 + across * np.linspace(-1, 1, width)[None, :] + down * np.linspace(-1, 1, height)[:, None]
        view = (view * ramp[:, :, None]).clip(0, 255).astype(np.uint8)
    return view


def occlude(pixels: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Lays a rectangle or ellipse of `other`, of up to a fifth of the area, over the view."""
    height, width = pixels.shape[:2]
    half = np.sqrt(rng.uniform(0.03, 0.2) * np.exp(rng.uniform(-0.7, 0.7) * np.array([1, -1]))) / 2 * [width, height]
    centre = rng.uniform(0, 1, 2) * [width, height]
    mask = np.zeros((height, width), np.uint8)
    if rng.random() < 0.5:
        cv2.ellipse(mask, (*map(int, centre),), (*map(int, half + 1),), rng.uniform(0, 180), 0, 360, 1, -1)
    else:
        cv2.rectangle(mask, (*map(int, centre - half),), (*map(int, centre + half),), 1, -1)
    return np.where(mask[:, :, None] == 1, other, pixels)


def sensor(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Blur of focus or motion, noise, and the artefacts of JPEG."""
    if rng.random() < BLUR_CHANCE:
        if rng.random() < 0.5:
            pixels = cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.5, 1.8))
        else:
            kernel = np.zeros((7, 7), np.float32)
            across, down = (int(v) for v in np.round(rng.uniform(-3, 3, 2)))
            cv2.line(kernel, (3 - across, 3 - down), (3 + across, 3 + down), 1.0)
            pixels = cv2.filter2D(pixels, -1, kernel / kernel.sum())
    if rng.random() < NOISE_CHANCE:
        noise = rng.standard_normal(pixels.shape, np.float32) * rng.uniform(2, 9)
        pixels = (pixels + noise).clip(0, 255).astype(np.uint8)
    if rng.random() < JPEG_CHANCE:
        _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 90))])
        pixels = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return pixels


def capture(
    pixels: np.ndarray, clutter_chance: float, other: np.ndarray, size: tuple[int, int], rng: np.random.Generator
) -> np.ndarray:
    """A capture of a photo (H×W×3 uint8) as height×width×3; `other` is a photo to take clutter from."""
    height, width = size
    if rng.random() < PLAIN_CHANCE:
        return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    clutter = rng.random() < clutter_chance
    under = crop(other, height, width, 0.4, rng)
    view = warp(pixels, placement(pixels.shape[:2], size, clutter, rng), under)
    if rng.random() < OCCLUSION_CHANCE:
        view = occlude(view, crop(other, height, width, 0.2, rng), rng)
    if rng.random() < LIGHT_CHANCE:
        view = light(view, rng)
    return sensor(view, rng)


class Pairs(Dataset):
    """Batch `step`: two stacks of N captures (N×H×W×3 uint8 each, own sizes) and the indices of the N photos.

    Of several processes each gets its part of the N. Which photos and sizes a batch has they draw alike, so no photo
    comes twice in it; the captures are made from a seed of each process's own.
    """

    def __init__(self, photos: list[Photo], batch: int, seed: int, processes: Processes = Processes()):
        self.photos, self.batch, self.seed, self.processes = photos, batch, seed, processes
        weights = np.array([SOURCE_WEIGHT.get(photo.source, 1.0) for photo in photos])
        self.shares = weights / weights.sum()

    def __getitem__(self, step: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        cv2.setNumThreads(0)  # the cores belong to the training process
        rng = np.random.default_rng([self.seed, step])
        chosen = rng.choice(len(self.photos), self.batch, replace=False, p=self.shares)
        mirrored = rng.random(self.batch) < 0.5  # both of a pair, or none: no camera mirrors
        rows, stacks = self.processes.rows(self.batch), []
        own = self.processes.stream(rng, self.seed, step)
        chosen, mirrored = chosen[rows], mirrored[rows]
        for _ in range(2):
            size = SIZES[int(rng.integers(len(SIZES)))]
            views = [self._capture(index, flip, size, own) for index, flip in zip(chosen, mirrored, strict=True)]
            stacks.append(torch.from_numpy(np.stack(views)))
        return *stacks, torch.from_numpy(chosen)

    def _capture(self, index: int, flip: bool, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
        photo = self.photos[index]
        pixels = np.ascontiguousarray(photo.pixels[:, ::-1]) if flip else photo.pixels
        other = self.photos[int(rng.integers(len(self.photos)))].pixels
        return capture(pixels, CLUTTER_CHANCE.get(photo.source, 0.5), other, size, rng)
