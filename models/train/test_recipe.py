"""The recipes of training pool as the library does, and join parts by their weights."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from contrastive import similarities
from heads import Heads
from recipe import FOCUSED, RECIPES, Part, border_distance, described, pooled, shares, whitenings

REFERENCE = Path(__file__).parents[2] / "tests" / "reference" / "aggregation.py"


@pytest.fixture(scope="module")
def numpy_says():
    """What an independent program says of the library's poolings."""
    specification = importlib.util.spec_from_file_location("reference_aggregation", REFERENCE)
    module = importlib.util.module_from_spec(specification)
    sys.path.insert(0, str(REFERENCE.parent))
    try:
        specification.loader.exec_module(module)
    except ModuleNotFoundError as missing:
        pytest.skip(str(missing))
    finally:
        sys.path.remove(str(REFERENCE.parent))
    return module


def maps(channels: int = 10) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(8).uniform(0, 6, (2, channels, 6, 9)))


@pytest.mark.parametrize("part", FOCUSED, ids=lambda part: part.tap)
def test_focused_pools_as_the_library(part, numpy_says):
    found = part.pool(maps()).numpy()
    kind = {1: "border_distance", 2: "square_border_distance"}[part.border]
    for own, planes in zip(found, maps().numpy(), strict=True):
        weights = numpy_says.centre(planes, part.sigma) * numpy_says.location_weights(planes, kind)
        mean = (planes * weights).sum((1, 2)) / weights.sum()
        expected = np.sign(mean) * np.abs(mean) ** part.power
        np.testing.assert_allclose(own, expected / np.linalg.norm(expected), atol=1e-3)


def test_border_distance_by_hand():
    planes = torch.zeros(1, 2, 3, 3)
    planes[0, 0] = 1.0
    planes[0, :, 1, 1] = torch.tensor([4.0, 4.0])
    assert border_distance(planes)[0].tolist() == [[0, 0, 0], [0, 5, 0], [0, 0, 0]]


def test_a_flat_map_pools_to_something_finite():
    part = Part("c39", 4, sigma=0.4, border=1, power=0.5)
    flat = torch.ones(1, 3, 4, 4, requires_grad=True)
    part.pool(flat).sum().backward()
    assert torch.isfinite(flat.grad).all()


def test_weights_of_parts():
    torch.testing.assert_close(shares(FOCUSED), torch.tensor([1.0, 0.25, 0.36]) / 1.61)


@pytest.mark.parametrize("name", RECIPES)
def test_heads_describe_as_a_fit_does(name):
    recipe, rng = RECIPES[name], np.random.default_rng(6)
    views = {part.tap: np.abs(rng.normal(size=(60, 3, part.size + 20))) for part in recipe}
    learned = whitenings(views, recipe)
    rows = {tap: vectors.reshape(-1, vectors.shape[2]) for tap, vectors in views.items()}
    expected = described(learned, rows, recipe)
    heads = Heads.learned(views, recipe)
    vectors = {tap: torch.from_numpy(values).float() for tap, values in rows.items()}
    with torch.no_grad():
        joint, parts = heads.joint(vectors), heads(vectors)
    np.testing.assert_allclose((joint @ joint.T).numpy(), expected @ expected.T, atol=1e-4)
    np.testing.assert_allclose(similarities(parts, parts, heads.shares)[0].numpy(), expected @ expected.T, atol=1e-4)


def test_pooled_takes_the_taps_of_the_recipe():
    taps = {"c20": maps(), "c39": maps(), "c42": maps(), "c51": maps()}
    assert list(pooled(taps, FOCUSED)) == ["c39", "c42", "c51"]
