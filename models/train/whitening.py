"""Descriptor parts from pooled maps: pooling, PCA whitening and whitening learned from views, all without gradients.

Learned whitening: Mikolajczyk and Matas, "Improving descriptors for fast tree matching by optimal linear projection",
2007. `heads.py` has the same parts as a module that can be trained.
"""

import numpy as np

CENTRE_SIGMA = 0.5  # of the Gaussian prior, in units of half a side
SHRINKAGE = 0.05  # of the within-class covariance towards the identity
# Components of each part of the 256-d descriptor `three taps`; c51 is averaged, the others are weighted to the centre.
THREE_TAPS = {"c20": 64, "c39": 96, "c51": 96}
CENTRED = ("c20", "c39")

Whitening = tuple[np.ndarray, np.ndarray]  # mean (C) and projection (dimensions×C)


def centre_weights(height: int, width: int) -> np.ndarray:
    """A Gaussian about the middle of an H×W map, with a sum of one."""
    rows, columns = (((np.arange(n) + 0.5) / n * 2 - 1) / CENTRE_SIGMA for n in (height, width))
    weights = np.exp(-0.5 * (rows[:, None] ** 2 + columns[None, :] ** 2))
    return weights / weights.sum()


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def pool(maps: np.ndarray, centre: bool) -> np.ndarray:
    """C×H×W → C, L2-normalised: the mean, or the mean under a Gaussian about the centre."""
    _, height, width = maps.shape
    weights = centre_weights(height, width) if centre else np.full((height, width), 1 / (height * width))
    return unit(np.einsum("chw,hw->c", maps, weights))


def pca_whitening(vectors: np.ndarray, dimensions: int) -> Whitening:
    """From photos×C."""
    mean = vectors.mean(0)
    values, axes = np.linalg.eigh(np.cov((vectors - mean).T))
    return mean, (axes[:, ::-1][:, :dimensions] / np.sqrt(values[::-1][:dimensions] + 1e-9)).T


def learned_whitening(views: np.ndarray, dimensions: int, shrinkage: float = SHRINKAGE) -> Whitening:
    """From photos×views×C: whitens what differs between views, keeps what differs between photos."""
    mean = views.mean((0, 1))
    inside = (views - views.mean(1, keepdims=True)).reshape(-1, views.shape[2])
    total = np.cov((views - mean).reshape(-1, views.shape[2]).T)
    return mean, _projection(inside.T @ inside / len(inside), total, dimensions, shrinkage)


def supervised_whitening(
    views: np.ndarray,
    rows: np.ndarray,
    labels: np.ndarray,
    dimensions: int,
    share: float,
    shrinkage: float = SHRINKAGE,
) -> Whitening:
    """As `learned_whitening`, with a share of a catalogue's own photos (N×C) that have labels in both covariances."""
    inside = (views - views.mean(1, keepdims=True)).reshape(-1, views.shape[2])
    centres = np.stack([rows[labels == label].mean(0) for label in labels])
    own = rows - centres
    within = (1 - share) * inside.T @ inside / len(inside) + share * own.T @ own / len(own)
    flat = views.reshape(-1, views.shape[2])
    total = (1 - share) * np.cov(flat.T) + share * np.cov(rows.T)
    mean = (1 - share) * flat.mean(0) + share * rows.mean(0)
    return mean, _projection(within, total, dimensions, shrinkage)


def _projection(within: np.ndarray, total: np.ndarray, dimensions: int, shrinkage: float) -> np.ndarray:
    """dimensions×C: `within` becomes the identity, of what is left the directions in which `total` is widest."""
    within = (1 - shrinkage) * within + shrinkage * np.trace(within) / len(within) * np.eye(len(within))
    values, axes = np.linalg.eigh(within)
    flatten = axes @ np.diag(values**-0.5) @ axes.T
    _, directions = np.linalg.eigh(flatten @ total @ flatten)
    return directions[:, ::-1][:, :dimensions].T @ flatten


def describe_with(whitenings: dict[str, Whitening], taps: dict[str, np.ndarray]) -> np.ndarray:
    """Descriptors (photos×d) of pooled taps (photos×C each): every part a unit vector, and so the whole."""
    parts = [unit((taps[tap] - mean) @ projection.T) for tap, (mean, projection) in whitenings.items()]
    return unit(np.concatenate(parts, axis=1))
