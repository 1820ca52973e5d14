"""The distillation loss: at every boundary, the mean squared error divided by the teacher's variance of the channel."""

import cv2
import numpy as np
import torch

from photos import Photo
from relations import pooled, relations
from student import LeftOut, Student
from teacher import BOUNDARIES, Teacher

NAMES = (*BOUNDARIES, "c39")
# The taps that leave the network: c20, c39 and c51.
TAPS = ("block6", "c39", "last")
# A share of the mean variance is added to each channel's: behind a ReLU6 some channels are silent in a whole batch,
# and would otherwise outweigh all the others together.
DAMPING = 0.05


def normalise(crops: torch.Tensor) -> torch.Tensor:
    """N×H×W×3 uint8 → N×3×H×W float32 in -1..1, channels last in memory."""
    return crops.permute(0, 3, 1, 2).to(torch.float32).sub_(127.5).div_(127.5)


class _WeightedError(torch.autograd.Function):
    """Mean over N, C, H, W of weight[c] * (student - teacher)², with a gradient to the student alone.

    Written out because autograd's own version costs three more passes over every map in memory.
    """

    @staticmethod
    def forward(ctx, student: torch.Tensor, teacher: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        difference = student - teacher
        weighted = difference * weight.reshape(1, -1, 1, 1)
        ctx.save_for_backward(weighted)
        return torch.dot(_rows(weighted).reshape(-1), _rows(difference).reshape(-1)) / difference.numel()

    @staticmethod
    def backward(ctx, gradient: torch.Tensor):
        (weighted,) = ctx.saved_tensors
        return weighted * (gradient * (2.0 / weighted.numel())), None, None


def _rows(maps: torch.Tensor) -> torch.Tensor:
    """N×C×H×W, channels last in memory, as NHW×C without a copy."""
    return maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1])


def unexplained(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Share of the teacher's variance that the student leaves (a scalar; 0 is perfect, 1 is the channel means)."""
    rows = _rows(teacher)
    mean = rows.mean(dim=0)
    variance = (rows.square().mean(dim=0) - mean.square()).clamp_min_(0)
    return _WeightedError.apply(student, teacher, 1.0 / (variance + DAMPING * variance.mean() + 1e-8))


def distillation(
    student: Student, teacher: Teacher, image: torch.Tensor, local: bool, relation: float = 0.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """The sum over the boundaries and c39, and the terms on their own (in the order of `NAMES`, detached).

    Of a chain the sum has `relation` times what the photos' descriptors (means of c39, and of the last map where it is compared)
    differ in how far from each other they are (`relations.py`).

    A boundary that the teacher has no map for (`targets.py`), or whose block is left out, is NaN among the terms.
    """
    boundaries, c39 = teacher(image)
    maps, own_c39 = student.local(image, boundaries) if local else student(image)
    learned = compared(student, boundaries)
    terms = torch.stack(
        [
            unexplained(own, target) if counts else image.new_full((), torch.nan)
            for own, target, counts in zip([*maps, own_c39], [*boundaries, c39], learned, strict=True)
        ]
    )
    total = terms.nansum()
    if relation and not local:
        described = [(own_c39, c39), *([(maps[-1], boundaries[-1])] if learned[-2] else [])]
        total = total + relation * sum(relations(pooled(own), pooled(target)) for own, target in described)
    return total, terms.detach()


def compared(student: Student, boundaries: list[torch.Tensor | None]) -> list[bool]:
    """By `NAMES`: whether the student has something to learn there, and the teacher a map to learn it from."""
    stages = getattr(student, "stages", [None] * len(boundaries))
    pairs = zip(stages, boundaries, strict=True)
    return [*(target is not None and not isinstance(stage, LeftOut) for stage, target in pairs), True]


class HeldOut:
    """Held-out photos, whole, squeezed to the nearest of a few shapes with a longest side of 256 px."""

    SHAPES = ((192, 256), (224, 256), (256, 256), (256, 224), (256, 192), (160, 256), (256, 160))

    def __init__(self, photos: list[Photo], batch: int = 16):
        groups: dict[tuple[int, int], list[np.ndarray]] = {}
        for photo in photos:
            aspect = photo.pixels.shape[1] / photo.pixels.shape[0]
            height, width = min(self.SHAPES, key=lambda s: abs(np.log(s[1] / s[0] / aspect)))
            view = cv2.resize(photo.pixels, (width, height), interpolation=cv2.INTER_AREA)
            groups.setdefault((height, width), []).append(view)
        self.batches = [
            torch.from_numpy(np.stack(views[start : start + batch]))
            for _, views in sorted(groups.items())
            for start in range(0, len(views), batch)
        ]

    @torch.no_grad()
    def measure(self, student: Student, teacher: Teacher, local: bool = False) -> dict[str, float]:
        """Unexplained share by name: mean squared error over variance, both summed over all held-out photos.

        Without the boundaries that are not compared.
        """
        student.eval()
        sums = [[0.0, 0.0, 0.0, 0] for _ in NAMES]  # of squared errors, of targets, of their squares; count
        device = next((parameter.device for parameter in student.parameters()), torch.device("cpu"))
        for crops in self.batches:
            image = normalise(crops.to(device))
            boundaries, c39 = teacher(image)
            maps, own_c39 = student.local(image, boundaries) if local else student(image)
            learned = compared(student, boundaries)
            for total, own, target, counts in zip(sums, [*maps, own_c39], [*boundaries, c39], learned, strict=True):
                if not counts:
                    continue
                own, target = own.double().cpu(), target.double().cpu()
                total[0] = total[0] + (own - target).square().sum(dim=(0, 2, 3))
                total[1] = total[1] + target.sum(dim=(0, 2, 3))
                total[2] = total[2] + target.square().sum(dim=(0, 2, 3))
                total[3] += target.shape[0] * target.shape[2] * target.shape[3]
        student.train()
        result = {}
        for name, (error, first, second, count) in zip(NAMES, sums, strict=True):
            if count == 0:
                continue
            variance = second / count - (first / count) ** 2
            result[name] = float((error / count / (variance + DAMPING * variance.mean() + 1e-8)).mean())
        return result
