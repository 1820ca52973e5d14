"""The field's ways to make one vector of a map, written down from their papers in numpy.

A map is C×H×W, as onnxruntime gives it. Papers and equations: the docstrings of core/src/descriptor.
"""

import math

import numpy as np

from program import unit


def centre(planes: np.ndarray, sigma: float) -> np.ndarray:
    """H×W: the Gaussian prior of SPoC."""
    height, width = planes.shape[1:]
    sigma = sigma * min(height, width) / 2
    y, x = np.mgrid[:height, :width] + 0.5
    return np.exp(-((y - height / 2) ** 2 + (x - width / 2) ** 2) / (2 * sigma**2))


def location_weights(planes: np.ndarray, kind: str) -> np.ndarray:
    """H×W."""
    if kind == "energy":
        return np.sqrt((planes**2).sum(0))
    if kind == "rarity":
        features = planes.reshape(len(planes), -1).T
        lengths = np.linalg.norm(features, axis=1)
        cosines = features @ features.T / np.maximum(np.outer(lengths, lengths), 1e-30)
        alike = (np.maximum(cosines, 0) ** 3).sum(1)
        return np.where(lengths > 0, 1 / np.sqrt(np.maximum(alike, 1e-30)), 0).reshape(planes.shape[1:])
    border = np.ones(planes.shape[1:], bool)
    border[1:-1, 1:-1] = False
    distance = np.linalg.norm(planes - planes[:, border].mean(1)[:, None, None], axis=0)
    return distance**2 if kind == "square_border_distance" else distance


def gem(planes: np.ndarray, p: float, weights: np.ndarray | float = 1.0) -> np.ndarray:
    weights = np.broadcast_to(weights, planes.shape[1:])
    powers = (np.maximum(planes, 0) ** p * weights).sum((1, 2)) / weights.sum()
    return powers ** (1 / p)


def regions(height: int, width: int, levels: int) -> list[tuple[slice, slice]]:
    """The squares of R-MAC."""
    short, long = min(height, width), max(height, width)
    more = min(range(1, 7), key=lambda n: abs((short - (long - short) / n) / short - 0.4))
    found = []
    for level in range(1, levels + 1):
        side = max(1, math.floor(2 * short / (level + 1)))

        def places(length: int, count: int, side: int = side) -> list[int]:
            step = (length - side) / (count - 1) if count > 1 else 0
            return [math.floor(i * step + 1e-9) for i in range(count)]

        rows = places(height, level + (more if height > width else 0))
        columns = places(width, level + (more if width > height else 0))
        found += [(slice(y, y + side), slice(x, x + side)) for y in rows for x in columns]
    return found


def rmac(planes: np.ndarray, levels: int, pool=np.max) -> np.ndarray:
    squares = regions(*planes.shape[1:], levels)
    return sum(unit(pool(planes[:, rows, columns], axis=(1, 2))) for rows, columns in squares)


def crow(planes: np.ndarray) -> np.ndarray:
    spatial = planes.sum(0)
    spatial = np.sqrt(spatial / np.sqrt((spatial**2).sum()))
    share = (planes > 0).mean((1, 2))
    channel = np.log((len(share) * 1e-6 + share.sum()) / (1e-6 + share))
    return (planes * spatial).sum((1, 2)) * channel


def joined(maps: list[np.ndarray], pool) -> np.ndarray:
    """Maps on the coarsest grid, each over the mean length of its features."""
    height, width = (min(planes.shape[axis] for planes in maps) for axis in (1, 2))
    grids = []
    for planes in maps:
        rows, columns = (planes.shape[axis] / side for axis, side in ((1, height), (2, width)))
        grid = [
            [
                pool(
                    planes[
                        :,
                        math.floor(y * rows) : math.ceil((y + 1) * rows),
                        math.floor(x * columns) : math.ceil((x + 1) * columns),
                    ],
                    axis=(1, 2),
                )
                for x in range(width)
            ]
            for y in range(height)
        ]
        grids.append(np.transpose(grid, (2, 0, 1)) / np.linalg.norm(planes, axis=0).mean())
    return np.concatenate(grids)


def landmarks(planes: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Pooled under each heat map, which has whole multiples of the map's sides."""
    steps = [heat.shape[axis] // planes.shape[axis] for axis in (1, 2)]
    heat = np.maximum(heat[:, steps[0] // 2 :: steps[0], steps[1] // 2 :: steps[1]], 0)
    peaks = heat.max((1, 2)) / heat.max()
    totals = heat.sum((1, 2))
    pooled = np.einsum("khw,chw->kc", heat, planes) * (peaks / np.where(totals > 0, totals, 1))[:, None]
    return pooled.ravel()


class Codebook:
    """Projection and centres, as the bundle holds them."""

    def __init__(self, mean, projection, centres, weights=None, deviations=None):
        self.mean, self.projection, self.centres = mean, projection, centres
        self.weights, self.deviations = weights, deviations

    def local(self, features: np.ndarray) -> np.ndarray:
        """N×C to N×d."""
        return unit((features - self.mean) @ self.projection.T)

    def locals(self, planes: np.ndarray) -> np.ndarray:
        return self.local(planes.reshape(len(planes), -1).T)

    def distances(self, x: np.ndarray) -> np.ndarray:
        """Squares, N×K."""
        return ((x[:, None] - self.centres[None]) ** 2).sum(2)


def intra_normalised(blocks: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(blocks, axis=1, keepdims=True)
    return (blocks / np.where(lengths > 0, lengths, 1)).ravel()


def vlad(x: np.ndarray, codebook: Codebook) -> np.ndarray:
    nearest = codebook.distances(x).argmin(1)
    return intra_normalised(np.array([(x[nearest == k] - c).sum(0) for k, c in enumerate(codebook.centres)]))


def net_vlad(x: np.ndarray, codebook: Codebook, alpha: float) -> np.ndarray:
    soft = np.exp(-alpha * codebook.distances(x))
    soft /= soft.sum(1, keepdims=True)
    return intra_normalised(soft.T @ x - soft.sum(0)[:, None] * codebook.centres)


def mop(planes: np.ndarray, codebooks: list[Codebook]) -> np.ndarray:
    found = [codebooks[0].local(planes.mean((1, 2))[None])[0]]
    for level, codebook in enumerate(codebooks):
        sides = [math.ceil(length / (2 << level)) for length in planes.shape[1:]]
        starts = []
        for length, side in zip(planes.shape[1:], sides, strict=True):
            count = math.ceil((length - side) / max(1, side // 2))
            starts.append([(length - side) * i // max(1, count) for i in range(count + 1)])
        windows = [planes[:, y : y + sides[0], x : x + sides[1]].mean((1, 2)) for y in starts[0] for x in starts[1]]
        found.append(unit(vlad(codebook.local(np.array(windows)), codebook)))
    return np.concatenate(found)


def fisher(x: np.ndarray, codebook: Codebook) -> np.ndarray:
    offsets = (x[:, None] - codebook.centres) / codebook.deviations
    density = codebook.weights * np.exp(-0.5 * (offsets**2).sum(2)) / codebook.deviations.prod(1)
    posterior = density / density.sum(1, keepdims=True)
    means = np.einsum("nk,nkd->kd", posterior, offsets) / (len(x) * np.sqrt(codebook.weights)[:, None])
    deviations = np.einsum("nk,nkd->kd", posterior, offsets**2 - 1)
    deviations = deviations / (len(x) * np.sqrt(2 * codebook.weights)[:, None])
    gradient = np.concatenate([means.ravel(), deviations.ravel()])
    return np.sign(gradient) * np.sqrt(np.abs(gradient))


def triangulation(x: np.ndarray, codebook: Codebook) -> np.ndarray:
    return unit(x[:, None] - codebook.centres).mean(0).ravel()


def second_order(x: np.ndarray, root: str, mean: bool) -> np.ndarray:
    covariance = np.cov(x.T, bias=True)
    if root == "matrix":
        # The ridge of the iteration: a thousandth of the trace over all directions.
        d = len(covariance)
        values, axes = np.linalg.eigh(covariance + np.eye(d) * np.trace(covariance) * 1e-3 / d)
        rooted = axes @ np.diag(np.sqrt(np.maximum(values, 0))) @ axes.T
    else:
        rooted = np.sign(covariance) * np.sqrt(np.abs(covariance))
    rows, columns = np.triu_indices(len(rooted))
    triangle = rooted[rows, columns] * np.where(rows == columns, 1, math.sqrt(2))
    return np.concatenate([unit(triangle), unit(x.mean(0))]) if mean else triangle
