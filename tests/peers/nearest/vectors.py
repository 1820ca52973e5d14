"""The vectors of the bench."""

from pathlib import Path

import numpy as np

DIM = 128
QUERIES = 500
SIZES = {"clustered-10k": 10_000, "clustered-100k": 100_000, "clustered-1m": 1_000_000}


def clustered(case: str) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors around centres, a hundred a centre, spread along few directions more than along others (as
    descriptors are), and queries of the same kind."""
    size = SIZES[case]
    rng = np.random.default_rng(1)
    centres = rng.standard_normal((size // 100, DIM), dtype=np.float32)
    turn = np.linalg.qr(rng.standard_normal((DIM, DIM)))[0].astype(np.float32)
    deviations = 1 / np.arange(1, DIM + 1, dtype=np.float32)
    deviations *= 0.7 * np.sqrt(DIM / np.sum(deviations**2))

    def draw(count: int) -> np.ndarray:
        noise = rng.standard_normal((count, DIM), dtype=np.float32) * deviations
        return unit(centres[rng.integers(0, len(centres), count)] + noise @ turn)

    return draw(size), draw(QUERIES)


def real(path: Path, dim: int) -> tuple[np.ndarray, np.ndarray]:
    """Vectors from a file, of which some become queries."""
    vectors = unit(np.fromfile(path, np.float32).reshape(-1, dim))
    vectors = vectors[np.random.default_rng(0).permutation(len(vectors))]
    return vectors[QUERIES:], vectors[:QUERIES]


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
