"""What a whole descriptor says, as lessons for a student: pooled maps instead of single places.

A student follows its teacher's last map place by place only by a third, but a descriptor uses no single place: it pools
them, whitens the mean and keeps the leading components. The lessons ask for just these, in two ways.

*Blended*: the components that the student was used for, each part of its recipe under the whitening that it started
with, are to be those of before and the teacher's together: the teacher's are turned to where the student's lie
(orthogonal Procrustes), so the similarity of two photos becomes a mean of what both networks say.

*Repeated*: a linear map of what the student pools is to point where the teacher's principal components do. The map learns
too, so the student's channels stay free; what a linear map can read off, a whitening can find.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from recipe import FOCUSED, Part
from whitening import Whitening, learned_whitening, pca_whitening, unit

RIDGE = 0.1  # of the linear maps' start, in units of a standardised channel's variance
COMPONENTS = 128  # of the teacher's, of a repeated lesson
BLENDED = 2  # times the components that the recipe keeps: a fit may choose others of them later
TEACHER = 0.7  # length of the teacher's components in a blend, the student's being 1


@dataclass(frozen=True)
class Lesson:
    """A way to pool a tap, of the whole map (`grid` 1) or of each of its `grid`² parts; and which way it is asked for."""

    part: Part
    grid: int = 1
    blended: bool = False

    @property
    def name(self) -> str:
        kind = "blended" if self.blended else "focused" if self.part.border else "whole" if self.grid == 1 else "parts"
        return f"{self.part.tap}_{kind}"

    def pool(self, maps: torch.Tensor) -> torch.Tensor:
        """N×C×H×W → N×grid²×C, unit vectors."""
        cells = [cell for strip in maps.chunk(self.grid, 2) for cell in strip.chunk(self.grid, 3)]
        return torch.stack([self.part.pool(cell) for cell in cells], dim=1)

    def whitening(self, rows: np.ndarray) -> Whitening:
        """From photos×views×C."""
        if self.blended:
            return learned_whitening(rows, round(BLENDED * self.part.size), self.part.shrinkage)
        return pca_whitening(rows.reshape(-1, rows.shape[2]), COMPONENTS)


LESSONS = (
    *(Lesson(part, blended=True) for part in FOCUSED),
    *(Lesson(part) for part in FOCUSED),
    Lesson(Part("c39", 0)),
    Lesson(Part("c42", 0)),
    Lesson(Part("c51", 0)),
    Lesson(Part("c42", 0), grid=2),
    Lesson(Part("c51", 0), grid=2),
)
NAMES = tuple(lesson.name for lesson in LESSONS)
Maps = dict[str, torch.Tensor]


def components(whitening: Whitening, rows: np.ndarray) -> np.ndarray:
    return unit((rows - whitening[0]) @ whitening[1].T)


class Targets(nn.Module):
    """The components that each lesson asks for, fitted once on what both networks pool of the same views."""

    def __init__(self, own: list[np.ndarray], teacher: list[np.ndarray]):
        """Photos×views×C and photos×views×C' of each lesson."""
        super().__init__()
        for number, (lesson, mine, its) in enumerate(zip(LESSONS, own, teacher, strict=True)):
            learned = lesson.whitening(its)
            if lesson.blended:
                before = lesson.whitening(mine)
                left, _, right = np.linalg.svd(_flat(components(learned, its)).T @ _flat(components(before, mine)))
                learned = learned[0], (left @ right).T @ learned[1]
                self._keep(f"own{number}", before)
            self._keep(f"its{number}", learned)

    def _keep(self, name: str, whitening: Whitening) -> None:
        for kind, array in zip(("mean", "projection"), whitening, strict=True):
            self.register_buffer(f"{name}_{kind}", torch.from_numpy(np.ascontiguousarray(array, np.float32)))

    def _components(self, name: str, rows: torch.Tensor) -> torch.Tensor:
        return F.normalize((rows - getattr(self, f"{name}_mean")) @ getattr(self, f"{name}_projection").T, dim=2)

    def forward(self, own: Maps, teacher: Maps) -> list[torch.Tensor]:
        """N×grid²×components of each lesson, unit vectors."""
        wanted = []
        for number, lesson in enumerate(LESSONS):
            told = self._components(f"its{number}", lesson.pool(teacher[lesson.part.tap]))
            if lesson.blended:
                told = F.normalize(self.said(number, own) + TEACHER * told, dim=2)
            wanted.append(told)
        return wanted

    def said(self, number: int, own: Maps) -> torch.Tensor:
        """What the student says in a blended lesson: N×1×components, by the whitening that it started with."""
        return self._components(f"own{number}", LESSONS[number].pool(own[LESSONS[number].part.tap]))


def _flat(rows: np.ndarray) -> np.ndarray:
    return rows.reshape(-1, rows.shape[-1])


class Lessons(nn.Module):
    """What the student says, of maps of its own, beside what is wanted; the linear maps of repeated lessons learn."""

    def __init__(self, targets: Targets, own: list[np.ndarray], wanted: list[np.ndarray]):
        """From views×C of the student and views×components, of each lesson; the maps start at ridge regression."""
        super().__init__()
        self.targets, self.maps = targets, nn.ModuleList()
        for number, (lesson, mine, its) in enumerate(zip(LESSONS, own, wanted, strict=True)):
            if lesson.blended:
                self.maps.append(nn.Identity())
                continue
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
            if lesson.blended:
                said = self.targets.said(number, own)
            else:
                rows = lesson.pool(own[lesson.part.tap]) - getattr(self, f"middle{number}")
                said = layer(rows / getattr(self, f"deviation{number}"))
            losses.append(1 - F.cosine_similarity(said, wanted[number].float(), dim=2).mean())
        return torch.stack(losses)
