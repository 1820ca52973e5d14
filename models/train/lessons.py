"""What a whole descriptor says, as lessons for a student: pooled maps instead of single places.

A student follows its teacher's last map place by place only by a third, but a descriptor uses no single place: it pools
them, whitens the mean and keeps the leading components. A `Lesson` asks for just these: a linear map of what the student
pools is to point where the components of its teacher do. The student's own channels stay free, and whatever a linear map
can read off, a whitening can find. Teachers are two: the ImageNet network, and the student as it was before.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from recipe import FOCUSED, Part
from whitening import Whitening, learned_whitening, pca_whitening

RIDGE = 0.1  # of the linear maps' start, in units of a standardised channel's variance
COMPONENTS = 128


@dataclass(frozen=True)
class Lesson:
    """A way to pool a tap, of the whole map (`grid` 1) or of each of its `grid`² parts; and whose words it repeats."""

    part: Part
    grid: int = 1
    own: bool = False  # the student's own, as it was before

    @property
    def name(self) -> str:
        kind = "own" if self.own else "focused" if self.part.border else "whole" if self.grid == 1 else "parts"
        return f"{self.part.tap}_{kind}"

    def pool(self, maps: torch.Tensor) -> torch.Tensor:
        """N×C×H×W → N×grid²×C, unit vectors."""
        cells = [cell for strip in maps.chunk(self.grid, 2) for cell in strip.chunk(self.grid, 3)]
        return torch.stack([self.part.pool(cell) for cell in cells], dim=1)

    def whitening(self, rows: np.ndarray) -> Whitening:
        """From photos×views×C: of a teacher its principal components, of the student what is used of it."""
        if self.own:
            return learned_whitening(rows, COMPONENTS, self.part.shrinkage)
        return pca_whitening(rows.reshape(-1, rows.shape[2]), COMPONENTS)


LESSONS = (
    *(Lesson(part, own=True) for part in FOCUSED),
    *(Lesson(part) for part in FOCUSED),
    Lesson(Part("c39", 0)),
    Lesson(Part("c42", 0)),
    Lesson(Part("c51", 0)),
    Lesson(Part("c42", 0), grid=2),
    Lesson(Part("c51", 0), grid=2),
)
NAMES = tuple(lesson.name for lesson in LESSONS)
Maps = dict[str, torch.Tensor]


class Targets(nn.Module):
    """The components that each lesson asks for: whitenings of both teachers, fitted once."""

    def __init__(self, whitenings: list[Whitening]):
        super().__init__()
        for number, (mean, projection) in enumerate(whitenings):
            self.register_buffer(f"mean{number}", torch.from_numpy(np.asarray(mean, np.float32)))
            self.register_buffer(f"projection{number}", torch.from_numpy(np.asarray(projection, np.float32)))

    def forward(self, own: Maps, teacher: Maps) -> list[torch.Tensor]:
        """N×grid²×components of each lesson, unit vectors."""
        wanted = []
        for number, lesson in enumerate(LESSONS):
            rows = lesson.pool((own if lesson.own else teacher)[lesson.part.tap])
            rows = (rows - getattr(self, f"mean{number}")) @ getattr(self, f"projection{number}").T
            wanted.append(F.normalize(rows, dim=2))
        return wanted


class Lessons(nn.Module):
    """The linear maps from what a student pools, which learn with it."""

    def __init__(self, own: list[np.ndarray], wanted: list[np.ndarray]):
        """From views×C of the student and views×components, of each lesson; the start is ridge regression."""
        super().__init__()
        self.maps = nn.ModuleList()
        for number, (mine, its) in enumerate(zip(own, wanted, strict=True)):
            middle, deviation = mine.mean(0), mine.std(0) + 1e-5
            self.register_buffer(f"middle{number}", torch.from_numpy(middle.astype(np.float32)))
            self.register_buffer(f"deviation{number}", torch.from_numpy(deviation.astype(np.float32)))
            rows = ((mine - middle) / deviation).astype(np.float64)
            products = rows.T @ rows / len(rows) + RIDGE * np.eye(rows.shape[1])
            weight = np.linalg.solve(products, rows.T @ (its - its.mean(0)) / len(rows)).T
            layer = nn.Linear(rows.shape[1], len(weight))
            layer.weight.data.copy_(torch.from_numpy(weight))
            layer.bias.data.copy_(torch.from_numpy(its.mean(0)))
            self.maps.append(layer)

    def forward(self, own: Maps, wanted: list[torch.Tensor]) -> torch.Tensor:
        """One minus the cosine to what is wanted, the mean over views, of each lesson (a vector)."""
        losses = []
        for number, (lesson, layer) in enumerate(zip(LESSONS, self.maps, strict=True)):
            rows = (lesson.pool(own[lesson.part.tap]) - getattr(self, f"middle{number}")) / getattr(self, f"deviation{number}")
            losses.append(1 - F.cosine_similarity(layer(rows), wanted[number].float(), dim=2).mean())
        return torch.stack(losses)
