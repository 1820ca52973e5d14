"""The measure that fine-tuning is judged by: are simulated captures of held-out photos found among many photos?

Queries are captures of the held-out photos; the database is the held-out photos and other photos as distractors. The
whitening is fitted on views of other photos, as whoever uses the network does. It measures the invariances that were
simulated and no others, so it is read beside how far the maps have moved from where they started.
"""

from functools import cached_property

import cv2
import numpy as np
import torch

from captures import CLUTTER_CHANCE, capture
from loss import normalise
from photos import Photo
from recipe import THREE_TAPS, Recipe, described, pooled, whitenings

SHAPES = ((192, 256), (256, 256), (256, 192))
CAPTURES = 3  # queries a held-out photo
VIEWS = 4  # of each photo that the whitening is fitted on
FITTED = 200
DISTRACTORS = 600
BATCH = 32


def nearest_shape(pixels: np.ndarray) -> tuple[int, int]:
    aspect = np.log(pixels.shape[1] / pixels.shape[0])
    return min(SHAPES, key=lambda shape: abs(np.log(shape[1] / shape[0]) - aspect))


def describe(network, views: list[np.ndarray], recipe: Recipe = THREE_TAPS) -> dict[str, np.ndarray]:
    """Pooled taps (views×C each) of views that have one of `SHAPES`."""
    taps = {part.tap: [None] * len(views) for part in recipe}
    device = next((parameter.device for parameter in network.parameters()), torch.device("cpu"))
    for shape in SHAPES:
        places = [place for place, view in enumerate(views) if view.shape[:2] == shape]
        for start in range(0, len(places), BATCH):
            batch = places[start : start + BATCH]
            with torch.no_grad():
                crops = torch.from_numpy(np.stack([views[place] for place in batch])).to(device)
                vectors = pooled(network(normalise(crops)), recipe)
            for tap, rows in vectors.items():
                for place, row in zip(batch, rows.cpu().numpy(), strict=True):
                    taps[tap][place] = row
    return {tap: np.array(rows, np.float64) for tap, rows in taps.items()}


def views_of(photos: list[Photo], others: list[Photo], count: int, seed: int) -> list[np.ndarray]:
    """`count` captures of each photo, one photo after another, on clutter from `others`."""
    rng = np.random.default_rng([seed, count])
    views = []
    for photo in photos:
        for _ in range(count):
            other = others[int(rng.integers(len(others)))].pixels
            chance = CLUTTER_CHANCE.get(photo.source, 0.5)
            views.append(capture(photo.pixels, chance, other, nearest_shape(photo.pixels), rng))
    return views


class Recall:
    """Everything that does not depend on the network is made once; what only a measurement needs, when it is asked for."""

    def __init__(
        self, training: list[Photo], held_out: list[Photo], seed: int = 1, recipe: Recipe = THREE_TAPS
    ):
        self.recipe = recipe
        order = np.random.default_rng(seed).permutation(len(training))
        fitted = [training[i] for i in order[:FITTED]]
        self.held_out, self.seed = held_out, seed
        self.others = [training[i] for i in order[FITTED : FITTED + DISTRACTORS]] or training
        self.fitting = views_of(fitted, self.others, VIEWS, seed)
        self.sources = np.repeat([photo.source for photo in held_out], CAPTURES)

    @cached_property
    def queries(self) -> list[np.ndarray]:
        return views_of(self.held_out, self.others, CAPTURES, self.seed)

    @cached_property
    def database(self) -> list[np.ndarray]:
        return [_squeezed(photo) for photo in [*self.held_out, *self.others]]

    def fitting_taps(self, network) -> dict[str, np.ndarray]:
        """Pooled taps of the views that the whitening is fitted on: photos×views×C."""
        taps = describe(network, self.fitting, self.recipe)
        return {tap: rows.reshape(-1, VIEWS, rows.shape[1]) for tap, rows in taps.items()}

    def measure(self, network) -> dict[str, float]:
        """Mean reciprocal rank and recall at 1, in percent, of all queries and by source."""
        learned = whitenings(self.fitting_taps(network), self.recipe)
        database, queries = (
            described(learned, describe(network, views, self.recipe), self.recipe)
            for views in (self.database, self.queries)
        )
        scores = queries @ database.T
        own = np.arange(len(queries)) // CAPTURES
        ranks = 1 + (scores > scores[np.arange(len(queries)), own][:, None]).sum(1)
        result = {"recall_at_1": 100 * np.mean(ranks == 1), "reciprocal_rank": 100 * np.mean(1 / ranks)}
        for source in sorted(set(self.sources)):
            result[f"rank_{source}"] = 100 * np.mean(1 / ranks[self.sources == source])
        return {name: float(value) for name, value in result.items()}


def _squeezed(photo: Photo) -> np.ndarray:
    height, width = nearest_shape(photo.pixels)
    return cv2.resize(photo.pixels, (width, height), interpolation=cv2.INTER_AREA)
