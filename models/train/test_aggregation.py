"""Learned aggregations equal the library's definitions for equal parameters, and their parameters learn."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from aggregation import Fusion, Gem, NetVlad, SecondOrder
from metric import coupled_clusters

# What an independent program says of the library's aggregations; it has a module of the same name as ours.
REFERENCE = Path(__file__).parents[2] / "tests" / "reference" / "aggregation.py"


@pytest.fixture(scope="module")
def numpy_says():
    import importlib.util

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


def codebook(channels: int, local: int, centres: int):
    rng = np.random.default_rng(4)
    mean, projection = rng.normal(size=channels), rng.normal(size=(local, channels))
    return mean, projection, rng.normal(size=(centres, local)) / local**0.5


def maps() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(5).uniform(0, 6, (2, 12, 5, 7)))


def test_net_vlad_is_the_library_s(numpy_says):
    mean, projection, centres = codebook(12, 6, 4)
    layer = NetVlad(torch.from_numpy(projection), torch.from_numpy(mean), torch.from_numpy(centres), alpha=10.0)
    found = layer(maps()).detach().numpy()
    book = numpy_says.Codebook(mean, projection, centres)
    for own, planes in zip(found, maps().numpy(), strict=True):
        expected = numpy_says.net_vlad(book.locals(planes), book, 10.0)
        np.testing.assert_allclose(own, expected / np.linalg.norm(expected), atol=1e-9)


def test_second_order_is_the_library_s(numpy_says):
    mean, projection, _ = codebook(12, 6, 4)
    found = SecondOrder(torch.from_numpy(projection), torch.from_numpy(mean))(maps()).detach().numpy()
    book = numpy_says.Codebook(mean, projection, None)
    for own, planes in zip(found, maps().numpy(), strict=True):
        expected = numpy_says.second_order(book.locals(planes), "signed", False)
        # Within what the line near zero differs from the root.
        np.testing.assert_allclose(own, expected, atol=2e-3)


def test_gem_by_hand():
    values = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    for power, expected in ((1.0, 2.5), (2.0, (30 / 4) ** 0.5), (3.0, 25 ** (1 / 3)), (60.0, 4 * 0.25 ** (1 / 60))):
        assert Gem(power)(values).item() == pytest.approx(expected, rel=1e-4)


def test_fusion_by_hand():
    fusion = Fusion(2)
    left, right = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 0.0, 3.0]])
    torch.testing.assert_close(fusion([left, right]), torch.tensor([[0.5**0.5, 0, 0, 0, 0.5**0.5]]))
    fusion.logits.data = torch.tensor([0.0, 3.0]).log().clamp_min(-30)
    assert fusion.shares[1] > 0.999
    assert torch.linalg.vector_norm(fusion([left, right])).item() == pytest.approx(1.0)


def things(count: int, per_thing: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Maps in which a thing shows as a few bright places of its own channels, among noise that is wide but dim."""
    torch.manual_seed(2)
    labels = torch.arange(count).repeat_interleave(per_thing)
    values = torch.rand(len(labels), 12, 6, 6)
    own = torch.rand(count, 12) * 3
    for row, label in zip(values, labels, strict=True):
        for place in torch.randperm(36)[:2]:
            row[:, place // 6, place % 6] += own[label]
    return values, labels


def test_gem_learns_that_the_bright_places_matter():
    values, labels = things(8, 6)
    layer = Gem(1.0)
    optimiser = torch.optim.Adam(layer.parameters(), 0.05)
    losses = []
    for _ in range(40):
        optimiser.zero_grad()
        vectors = layer(values)
        loss = coupled_clusters(torch.nn.functional.normalize(vectors - vectors.mean(0), dim=1), labels, 1.0)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert layer.power.item() > 1.5 and losses[-1] < losses[0]


def test_fusion_learns_which_tap_to_trust():
    torch.manual_seed(3)
    labels = torch.arange(8).repeat_interleave(4)
    good = torch.randn(8, 16)[labels] + 0.3 * torch.randn(32, 16)
    useless = torch.randn(32, 16)
    layer = Fusion(2)
    optimiser = torch.optim.Adam(layer.parameters(), 0.1)
    for _ in range(30):
        optimiser.zero_grad()
        coupled_clusters(layer([good, useless]), labels, 1.0).backward()
        optimiser.step()
    assert layer.shares[0] > 0.8


@pytest.mark.parametrize("kind", [NetVlad, SecondOrder])
def test_encodings_learn(kind):
    values, labels = things(6, 5)
    torch.manual_seed(4)
    arguments = [torch.randn(6, 12), values.mean(dim=(0, 2, 3))]
    layer = kind(*arguments, torch.randn(4, 6) / 6**0.5) if kind is NetVlad else kind(*arguments)
    optimiser = torch.optim.Adam(layer.parameters(), 0.03)
    losses = []
    for _ in range(80):
        optimiser.zero_grad()
        vectors = torch.nn.functional.normalize(layer(values), dim=1)
        losses.append(coupled_clusters(vectors, labels, 1.0))
        losses[-1].backward()
        optimiser.step()
    assert losses[-1] < 0.92 * losses[0]
    assert all(torch.isfinite(parameter.grad).all() for parameter in layer.parameters())
