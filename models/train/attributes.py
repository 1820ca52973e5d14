"""Key points, attributes and a descriptor at once: what a garment is, where its collar is, and which one it is.

Liu et al., "DeepFashion: powering robust clothes recognition and retrieval with rich annotations", 2016 (FashionNet):
a branch finds key points (landmarks) and whether each is seen; local features are pooled there, and with the features
of the whole they say category and attributes and become the descriptor. Four losses, in two stages: first the key
points lead, then what is pooled at them.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

import metric
import mining

VISIBLE, OCCLUDED, CUT_OFF = range(3)


@dataclass
class Truth:
    """What is known of N photos with K key points and A attributes."""

    points: torch.Tensor  # N×K×2: row and column, 0 to 1 across the photo
    visibility: torch.Tensor  # N×K: VISIBLE, OCCLUDED or CUT_OFF
    category: torch.Tensor  # N
    attributes: torch.Tensor  # N×A of 0 and 1
    group: torch.Tensor  # N: the same garment

    def of(self, rows: torch.Tensor) -> "Truth":
        """The truth of some of the photos."""
        return Truth(**{name: value[rows] for name, value in vars(self).items()})

    def to(self, device: torch.device) -> "Truth":
        return Truth(**{name: value.to(device) for name, value in vars(self).items()})


@dataclass
class Answer:
    """What the network says of them."""

    points: torch.Tensor  # N×K×2
    visibility: torch.Tensor  # N×K×3, logits
    category: torch.Tensor  # N×categories, logits
    attributes: torch.Tensor  # N×A, logits
    descriptor: torch.Tensor  # N×d, unit vectors


@dataclass(frozen=True)
class Stage:
    """Weights of the four losses; key points include their visibility."""

    points: float
    category: float
    attributes: float
    triplet: float


# Section 4.1 of the paper: what does not lead has a small weight and assists.
STAGES = (Stage(points=1.0, category=0.1, attributes=0.1, triplet=0.1), Stage(0.1, 1.0, 1.0, 1.0))


def landmark_pool(maps: torch.Tensor, points: torch.Tensor, seen: torch.Tensor, reach: int = 1) -> torch.Tensor:
    """N×(K·C): the maximum of N×C×H×W within `reach` cells of each key point; zeros where it is not seen (N×K).

    The gradient goes to the maps alone: where a key point lies is learned by its own loss.
    """
    count, channels, height, width = maps.shape
    size = torch.tensor([height, width], device=maps.device)
    cells = (points.detach() * size).long().clamp_min(0).minimum(size - 1)  # N×K×2
    spread = F.max_pool2d(maps, 2 * reach + 1, 1, reach)
    rows = torch.arange(count, device=maps.device)[:, None]
    pooled = spread[rows, :, cells[:, :, 0], cells[:, :, 1]]  # N×K×C
    return (pooled * seen[:, :, None]).reshape(count, -1)


class FashionHead(nn.Module):
    """From maps N×C×H×W to an `Answer`. Until the key points are trusted, `forward` may be given true ones to pool at."""

    def __init__(self, channels: int, points: int, categories: int, attributes: int, dimensions: int, hidden: int = 64):
        super().__init__()
        self.points = points
        self.search = nn.Sequential(nn.Conv2d(channels, hidden, 3, padding=1), nn.ReLU(), nn.Conv2d(hidden, points, 1))
        self.visibility = nn.Linear(channels + points, 3 * points)
        joined = channels * (1 + points)
        self.category, self.attributes = nn.Linear(joined, categories), nn.Linear(joined, attributes)
        self.descriptor = nn.Linear(joined, dimensions)

    def forward(self, maps: torch.Tensor, truth: Truth | None = None) -> Answer:
        heat = self.search(maps)
        points, peaks = expected_places(heat)
        whole = maps.mean(dim=(2, 3))
        visibility = self.visibility(torch.cat([whole, peaks], dim=1)).reshape(-1, self.points, 3)
        if truth is None:
            places, seen = points, visibility.argmax(2) == VISIBLE
        else:
            places, seen = truth.points, truth.visibility == VISIBLE
        joined = torch.cat([whole, landmark_pool(maps, places, seen.to(maps.dtype))], dim=1)
        descriptor = F.normalize(self.descriptor(joined), dim=1)
        return Answer(points, visibility, self.category(joined), self.attributes(joined), descriptor)


def expected_places(heat: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """N×K×2 mean place under the softmax of each of N×K×H×W heat maps, and N×K its peak.

    In place of the paper's fully connected regression, which holds to one size of input.
    """
    count, points, height, width = heat.shape
    share = heat.flatten(2).softmax(dim=2).reshape(count, points, height, width)
    rows = (torch.arange(height, device=heat.device) + 0.5) / height
    columns = (torch.arange(width, device=heat.device) + 0.5) / width
    places = torch.stack([(share.sum(3) * rows).sum(2), (share.sum(2) * columns).sum(2)], dim=2)
    return places, heat.amax(dim=(2, 3))


def point_loss(points: torch.Tensor, truth: Truth) -> torch.Tensor:
    """Mean squared distance of the key points that are seen; others have no place (eq. 1 of the paper)."""
    seen = (truth.visibility == VISIBLE).to(points.dtype)
    return ((points - truth.points).square().sum(2) * seen).sum() / seen.sum().clamp_min(1)


def attribute_loss(logits: torch.Tensor, attributes: torch.Tensor, positive: torch.Tensor) -> torch.Tensor:
    """Weighted cross-entropy (eq. 3): `positive` (A) is the share of photos with each attribute in the training set.

    An attribute that few photos have weighs more where it is there than where it is not, or it would never be said.
    """
    weights = torch.where(attributes > 0, 1 - positive, positive)
    return 2 * F.binary_cross_entropy_with_logits(logits, attributes.to(logits.dtype), weights)


def losses(answer: Answer, truth: Truth, positive: torch.Tensor) -> dict[str, torch.Tensor]:
    """The four losses by the names of `Stage`."""
    seen = F.cross_entropy(answer.visibility.flatten(0, 1), truth.visibility.flatten())
    triplets = mining.batch_hard(answer.descriptor, truth.group)
    return {
        "points": point_loss(answer.points, truth) * 10 + seen,
        "category": F.cross_entropy(answer.category, truth.category),
        "attributes": attribute_loss(answer.attributes, truth.attributes, positive),
        "triplet": metric.triplet(answer.descriptor, triplets, 0.3, squared=False),
    }


def total(terms: dict[str, torch.Tensor], stage: Stage) -> torch.Tensor:
    return sum(getattr(stage, name) * term for name, term in terms.items())


def stage_at(step: int, steps: int, first: float = 0.4) -> tuple[int, Stage]:
    """Number and weights of the stage that `step` of `steps` belongs to; the first takes so large a share of them."""
    number = 0 if step < first * steps else 1
    return number, STAGES[number]
