"""Tests of the softened joint projection."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from plan_weights import sections
from soften import FINGERPRINT, fingerprint, softened

DEFAULT = Path(__file__).parents[1] / "default.lens"


def code(rows: np.ndarray, mean: np.ndarray) -> bytes:
    """The section of two parts without codebooks."""
    size = struct.pack("<4I", 0, 0, rows.shape[1], rows.shape[0])
    return size + mean.astype("<f4").tobytes() + rows.astype("<f4").tobytes()


def test_variances_are_drawn_towards_their_mean():
    rng = np.random.default_rng(2)
    axes, _ = np.linalg.qr(rng.standard_normal((8, 8)))
    variances, mean = np.array([0.3, 0.2, 0.1, 0.05]), np.full(8, 0.1)
    section = code(axes[:, :4].T / np.sqrt(variances)[:, None], mean)
    even = (1 - 8 * 0.01) / 8
    for shrinkage in (0.0, 0.5, 1.0):
        rows = np.frombuffer(softened(section, 2, shrinkage), "<f4", 32, 16 + 32).reshape(4, 8)
        expected = axes[:, :4].T / np.sqrt((1 - shrinkage) * variances + shrinkage * even)[:, None]
        np.testing.assert_allclose(rows, expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(SystemExit):
        softened(struct.pack("<I", 1) + section[4:], 2, 0.5)


def test_the_fingerprint_is_the_librarys():
    content = sections(DEFAULT)
    assert "joint" in json.loads(content["spec"])["recipe"]
    assert DEFAULT.read_bytes()[FINGERPRINT : FINGERPRINT + 16] == fingerprint(content)
