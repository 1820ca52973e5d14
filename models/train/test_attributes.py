"""Key points and attributes: pooling and losses by hand, and that a head learns all four on rendered garments."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from attributes import (
    CUT_OFF, OCCLUDED, STAGES, VISIBLE, FashionHead, Truth, attribute_loss, expected_places, landmark_pool, losses,
    point_loss, stage_at, total,
)  # fmt: skip


def test_landmark_pool_by_hand():
    maps = torch.arange(16.0).reshape(1, 1, 4, 4)
    points = torch.tensor([[[0.1, 0.1], [0.9, 0.9], [0.5, 0.5]]])
    seen = torch.tensor([[1.0, 1.0, 0.0]])
    # Cell (0, 0) and its neighbours reach to 5; cell (3, 3) is 15 itself; the third is not seen.
    assert landmark_pool(maps, points, seen).tolist() == [[5.0, 15.0, 0.0]]
    assert landmark_pool(maps, points, seen, reach=0).tolist() == [[0.0, 15.0, 0.0]]


def test_expected_place_of_one_peak():
    heat = torch.zeros(1, 1, 4, 8)
    heat[0, 0, 1, 6] = 50.0
    places, peaks = expected_places(heat)
    torch.testing.assert_close(places, torch.tensor([[[1.5 / 4, 6.5 / 8]]]))
    assert peaks.item() == 50.0


def truth(**changes) -> Truth:
    given = {
        "points": torch.tensor([[[0.0, 0.0], [1.0, 1.0], [0.5, 0.5]]]),
        "visibility": torch.tensor([[VISIBLE, VISIBLE, OCCLUDED]]),
        "category": torch.tensor([0]), "attributes": torch.tensor([[1, 0]]), "group": torch.tensor([0]),
    }  # fmt: skip
    return Truth(**{**given, **changes})


def test_point_loss_leaves_hidden_points_out():
    found = torch.tensor([[[0.3, 0.4], [1.0, 1.0], [9.0, 9.0]]])
    assert point_loss(found, truth()).item() == pytest.approx((0.25 + 0) / 2)
    hidden = truth(visibility=torch.full((1, 3), CUT_OFF))
    assert point_loss(found, hidden).item() == 0


def test_attribute_loss_by_hand():
    # Odds of 3 to 1 for the first, even odds for the second.
    logits, positive = torch.tensor([[math.log(3), 0.0]]), torch.tensor([0.1, 0.3])
    expected = 2 * (0.9 * -math.log(0.75) + 0.3 * math.log(2)) / 2
    assert attribute_loss(logits, torch.tensor([[1, 0]]), positive).item() == pytest.approx(expected, rel=1e-5)


def test_stages():
    assert [stage_at(step, 10)[0] for step in range(10)] == [0] * 4 + [1] * 6
    terms = {name: torch.tensor(1.0) for name in ("points", "category", "attributes", "triplet")}
    assert total(terms, STAGES[0]).item() == pytest.approx(1.3)
    assert total(terms, STAGES[1]).item() == pytest.approx(3.1)


def garments(count: int, shots: int, seed: int) -> tuple[torch.Tensor, Truth]:
    """Rendered garments (N×3×48×48): shirt or trousers in a colour, with a collar and a hem, striped or not.

    Collar and hem are the two key points; the hem may be cut off by the edge of the photo. The garment moves from shot
    to shot. What tells garments of one colour apart is the colour of the collar alone.
    """
    rng = np.random.default_rng(seed)
    images, points, seen, category, attributes, group = [], [], [], [], [], []
    for number in range(count):
        kind, striped, dark = rng.integers(0, 2, 3)
        base = rng.integers(30, 110, 3) if dark else rng.integers(140, 230, 3)
        collar = rng.integers(0, 256, 3)
        for _ in range(shots):
            pixels = np.full((48, 48, 3), rng.integers(100, 150), np.float32)
            height, width = (22, 18) if kind == 0 else (28, 12)
            top, left = int(rng.integers(4, 28)), int(rng.integers(4, 40 - width + 4))
            pixels[top : top + height, left : left + width] = base
            if striped:
                pixels[top + 6 : top + height : 4, left : left + width] = 255 - base
            pixels[top : top + 4, left + width // 3 : left + 2 * width // 3] = collar
            bottom, middle = top + height, left + width / 2
            pixels[bottom - 2 : bottom, left : left + width] = 10
            images.append(pixels + rng.normal(0, 4, pixels.shape))
            points.append([[(top + 2) / 48, middle / 48], [min(bottom - 1, 47) / 48, middle / 48]])
            seen.append([VISIBLE, VISIBLE if bottom <= 48 else CUT_OFF])
            category.append(kind)
            attributes.append([striped, dark])
            group.append(number)
    images = torch.from_numpy(np.stack(images)).float().permute(0, 3, 1, 2) / 127.5 - 1
    columns = (points, seen, category, attributes, group)
    kinds = (torch.float32, torch.long, torch.long, torch.long, torch.long)
    return images, Truth(*(torch.tensor(np.array(c), dtype=kind) for c, kind in zip(columns, kinds, strict=True)))


def test_a_head_learns_all_four_on_rendered_garments():
    torch.manual_seed(0)
    torch.set_num_threads(1)
    trunk = nn.Sequential(
        nn.Conv2d(3, 24, 3, 2, 1), nn.ReLU(), nn.Conv2d(24, 32, 3, 2, 1), nn.ReLU(), nn.Conv2d(32, 32, 3, 1, 1), nn.ReLU()
    )
    head = FashionHead(32, points=2, categories=2, attributes=2, dimensions=16)
    (images, known), (unseen, asked) = garments(60, 6, seed=1), garments(30, 4, seed=2)
    positive = known.attributes.float().mean(0)

    @torch.no_grad()
    def measure() -> dict[str, float]:
        answer = head(trunk(unseen))
        apart = torch.cdist(answer.descriptor, answer.descriptor).fill_diagonal_(torch.inf)
        return {
            "points": point_loss(answer.points, asked).sqrt().item(),
            "seen": (answer.visibility.argmax(2) == asked.visibility).float().mean().item(),
            "category": (answer.category.argmax(1) == asked.category).float().mean().item(),
            "attributes": ((answer.attributes > 0).long() == asked.attributes).float().mean().item(),
            "recall": (asked.group[apart.argmin(1)] == asked.group).float().mean().item(),
        }

    before, steps = measure(), 160
    optimiser = torch.optim.Adam([*trunk.parameters(), *head.parameters()], 4e-3)
    for step in range(steps):
        number, stage = stage_at(step, steps)
        chosen = torch.randperm(60)[:10]
        rows = (chosen[:, None] * 6 + torch.arange(6)[None, :]).flatten()
        batch = known.of(rows)
        # In the first stage features are pooled at the true places, in the second at those that were found.
        answer = head(trunk(images[rows]), batch if number == 0 else None)
        optimiser.zero_grad()
        total(losses(answer, batch, positive), stage).backward()
        optimiser.step()
    after = measure()
    print({name: (round(before[name], 3), round(after[name], 3)) for name in before})
    assert after["points"] < 0.5 * before["points"]
    assert after["category"] > 0.9 and after["attributes"] > 0.85 and after["seen"] > 0.8
    assert after["recall"] > before["recall"] + 0.1
