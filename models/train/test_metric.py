"""Losses, mining and sampling on labelled descriptors, each against a case worked out by hand; and that they teach."""

import math

import numpy as np
import pytest
import torch
from torch import nn

import metric
import mining
from captures import capture
from catalogue import GroupsAndPhotos, joined, read_groups, read_pairs
from fit_catalogue import LOSSES, Objective


def rows(*values) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32)


def line(*values) -> torch.Tensor:
    """Descriptors of one component."""
    return rows(*values)[:, None]


def test_distances_and_their_gradient_at_zero():
    left = rows([0, 0], [3, 4]).requires_grad_()
    found = metric.distances(left, rows([0, 0], [0, 8]))
    torch.testing.assert_close(found, rows([0, 8], [5, 5]))
    found.sum().backward()
    assert torch.isfinite(left.grad).all()


@pytest.mark.parametrize(
    ("margin", "squared", "expected"),
    # d(a, p) = 1, d(a, n) = 2.
    [(0.2, True, 0.0), (4.0, True, 1 - 4 + 4), (1.5, False, 1 - 2 + 1.5)],
)
def test_triplet(margin, squared, expected):
    descriptors = rows([0, 0], [1, 0], [0, 2])
    triplets = torch.tensor([[0, 1, 2]])
    assert metric.triplet(descriptors, triplets, margin, squared).item() == pytest.approx(expected)
    none = torch.empty(0, 3, dtype=torch.long)
    assert metric.triplet(descriptors, none, margin, squared).item() == 0


def test_cosine_triplet_is_blind_to_length():
    # 60 degrees to the positive (0.5), 90 to the negative (0).
    descriptors = rows([2, 0], [0.5, 3**0.5 / 2], [0, 7])
    triplets = torch.tensor([[0, 1, 2]])
    assert metric.cosine_triplet(descriptors, triplets, 0.6).item() == pytest.approx(0.1)
    assert metric.cosine_triplet(descriptors * rows(3), triplets, 0.6).item() == pytest.approx(0.1)
    assert metric.cosine_triplet(descriptors, triplets, 0.4).item() == 0


def test_contrastive():
    left, right = rows([0, 0], [0, 0], [0, 0]), rows([3, 4], [0.6, 0.8], [3, 4])
    same = torch.tensor([True, False, False])
    # 25 / 2 for the pair, (1.5 - 1)² / 2 for the near stranger, nothing for the far one.
    expected = (25 / 2 + 0.25 / 2 + 0) / 3
    assert metric.contrastive(left, right, same, 1.5).item() == pytest.approx(expected)


def test_coupled_clusters():
    descriptors, labels = rows([0, 0], [2, 0], [1, 2], [1, 4]), torch.tensor([0, 0, 1, 1])
    # Centre (1, 0): both members at 1, the nearest stranger (1, 2) at 4: (1 + 4 - 4) / 2 each.
    # Centre (1, 3): both members at 1, the nearest strangers at 10: nothing.
    assert metric.coupled_clusters(descriptors, labels, 4.0).item() == pytest.approx(0.25)
    # A label of one photo has no positive; alone in the batch, a label has no negative.
    assert metric.coupled_clusters(descriptors[:3], torch.tensor([0, 0, 1]), 4.0).item() == pytest.approx(0.5)
    assert metric.coupled_clusters(descriptors, torch.zeros(4, dtype=torch.long)).item() == 0


def test_weakly_ranked_trusts_the_best_match_alone():
    query, potential, negatives = rows(0, 0), rows([30, 0], [1, 0]), rows([0, 1], [2, 0])
    potential = potential.requires_grad_()
    # The best match at 1; a negative at 1 violates by the margin, one at 4 does not.
    loss = metric.weakly_ranked(query, potential, negatives, 0.1)
    assert loss.item() == pytest.approx(0.1)
    loss.backward()
    assert potential.grad[0].abs().sum() == 0 and potential.grad[1].abs().sum() > 0


def test_arcface():
    loss = metric.ArcFace(2, 2, margin=math.pi / 6, scale=1.0)
    loss.proxies.data = rows([5, 0], [0, 1])
    # 30 degrees from its own proxy, widened to 60: as far as from the other one. So both are as likely.
    descriptor = rows([2 * math.cos(math.pi / 6), 2 * math.sin(math.pi / 6)])
    assert loss(descriptor, torch.tensor([0])).item() == pytest.approx(math.log(2), abs=1e-4)
    # Without margin: cosines 0.866 and 0.5.
    loss.margin = 0.0
    expected = math.log(1 + math.exp(0.5 - 3**0.5 / 2))
    assert loss(descriptor, torch.tensor([0])).item() == pytest.approx(expected, abs=1e-4)


def test_all_triplets():
    assert mining.all_triplets(torch.tensor([0, 0, 1])).tolist() == [[0, 1, 2], [1, 0, 2]]


def test_batch_hard():
    descriptors, labels = line(0, 1, 3, 2.5, 10), torch.tensor([0, 0, 0, 1, 1])
    expected = [[0, 2, 3], [1, 2, 3], [2, 0, 3], [3, 4, 2], [4, 3, 2]]
    assert mining.batch_hard(descriptors, labels).tolist() == expected
    # A label of one photo is no anchor.
    assert mining.batch_hard(line(0, 1, 5), torch.tensor([0, 0, 1])).tolist() == [[0, 1, 2], [1, 0, 2]]


def test_semi_hard():
    descriptors, labels = line(0, 1, 0.5, 1.2, 9), torch.tensor([0, 0, 1, 1, 1])
    # Anchor 0, positive at 1²: of the negatives at 0.5², 1.2² and 9² the second is the nearest beyond the positive.
    # Every other pair has none that is both beyond the positive and within the margin.
    assert mining.semi_hard(descriptors, labels, 0.5).tolist() == [[0, 1, 3]]
    assert mining.semi_hard(descriptors, labels, 0.2).tolist() == []


def test_hardest_negatives():
    assert mining.hardest_negatives(rows(0), line(5, -1, 3, 2), 2).tolist() == [1, 3]


def test_groups_and_photos():
    groups = [0] * 5 + [1] * 2 + [2] * 7 + [3]
    batches = GroupsAndPhotos(groups, per_batch=3, per_group=4, steps=30, seed=3)
    seen = set()
    for batch in batches:
        labels = [groups[index] for index in batch]
        assert len(batch) == 12 and all(labels.count(label) == 4 for label in set(labels)) and len(set(labels)) == 3
        for label in set(labels):
            chosen = [index for index in batch if groups[index] == label]
            # No photo comes twice while another of its group has not come.
            assert len(set(chosen)) == min(4, groups.count(label))
        seen |= set(batch)
    assert seen == set(range(len(groups)))
    again = GroupsAndPhotos(groups, 3, 4, 30, seed=3, start=20)
    assert list(again) == list(batches)[20:] and len(again) == 10


def test_pairs_of_a_mining(tmp_path):
    table = tmp_path / "pairs.tsv"
    heading = "first\tsecond\tscore\tinliers\tscale\trotation\tduplicate\n"
    lines = ["b.jpg\tc.jpg", "a.jpg\tb.jpg", "x.jpg\ty.jpg"]
    table.write_text(heading + "".join(f"{line}\t0.9\t20\t1.0\t0\t0\n" for line in lines))
    assert joined(read_pairs(table)) == {
        "a.jpg": "a.jpg", "b.jpg": "a.jpg", "c.jpg": "a.jpg", "x.jpg": "x.jpg", "y.jpg": "x.jpg",
    }  # fmt: skip
    groups = tmp_path / "groups.tsv"
    groups.write_text("image\tgroup\na.jpg\t1\nb.jpg\t1\n")
    assert read_groups(groups) == {"a.jpg": "1", "b.jpg": "1"}


def product(seed: int) -> np.ndarray:
    """A rendered package: coloured patches on a ground, all alike in kind."""
    rng = np.random.default_rng([9, seed])
    pixels = np.full((48, 48, 3), rng.integers(60, 200, 3), np.uint8)
    for _ in range(6):
        top, left, height, width = rng.integers([0, 0, 8, 8], [36, 36, 24, 24])
        pixels[top : top + height, left : left + width] = rng.integers(0, 256, 3)
    return pixels


def shots(products: range, per_product: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Simulated captures on clutter (N×3×32×32 in -1..1), and which product each shows."""
    rng, views, labels = np.random.default_rng([seed]), [], []
    for number in products:
        for _ in range(per_product):
            views.append(capture(product(number), 0.7, product(1000 + int(rng.integers(50))), (32, 32), rng))
            labels.append(number)
    images = torch.from_numpy(np.stack(views)).permute(0, 3, 1, 2).float() / 127.5 - 1
    return images, torch.tensor(labels)


class Tiny(nn.Module):
    """A network of three convolutions; unit vectors of 32 components."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU(),
            nn.Conv2d(32, 32, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(32 * 16, 32),
        )  # fmt: skip

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return nn.functional.normalize(self.layers(images), dim=1)


@torch.no_grad()
def recall_at_1(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """Share of captures whose nearest other capture shows the same product."""
    apart = metric.distances(network(images), network(images)).fill_diagonal_(torch.inf)
    return float((labels[apart.argmin(1)] == labels).float().mean())


@pytest.fixture(scope="module")
def sets() -> tuple[tuple[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]:
    return shots(range(60), 8, seed=1), shots(range(100, 130), 6, seed=2)


@pytest.mark.parametrize("name", LOSSES)
def test_training_raises_recall_of_products_that_it_never_saw(name, sets):
    (images, labels), held_out = sets
    torch.manual_seed(1)
    torch.set_num_threads(1)
    network, objective = Tiny(), Objective(name, 60, 32)
    before = recall_at_1(network, *held_out)
    optimiser = torch.optim.Adam([*network.parameters(), *objective.parameters()], 2e-3)
    for batch in GroupsAndPhotos(labels.tolist(), per_batch=12, per_group=4, steps=120, seed=1):
        optimiser.zero_grad()
        objective(network(images[batch]), labels[batch]).backward()
        optimiser.step()
    after = recall_at_1(network, *held_out)
    print(f"{name}: recall at 1 {before:.3f} -> {after:.3f}")
    assert after > before + 0.05
