"""What of the teacher's maps a narrower student is to give: projections of the bottlenecks, a choice of the taps.

A bottleneck is linear, so any basis of it serves the next block: the student's channels are the teacher's leading
principal components, turned at random so that all are alike in scale and weight. Blocks that add their input share one
basis. c39 and c51 end in ReLU6 and cannot be turned; of them those channels are kept from which the others follow best
(pivoted Cholesky decomposition of their covariance). The stem has no target where it is narrower: it learns through
the block behind it. Where a map is as wide as the teacher's, it is the teacher's.
"""

import numpy as np
import torch
from torch import nn

from shape import Shape
from teacher import BLOCKS, BOUNDARIES, C39_INPUT_BOUNDARY, Scale, Teacher

DAMPING = 0.05  # share of the mean variance added to each channel's, as in `loss.py`
BATCH = 64


class NarrowTeacher(nn.Module):
    """A teacher whose maps have a shape's widths; `None` stands where the student has nothing to compare with."""

    def __init__(self, teacher: Teacher, shape: Shape):
        super().__init__()
        self.teacher, self.shape = teacher, shape
        self.first = _firsts()
        for number in sorted(set(self.first)):
            self.register_buffer(f"basis{number}", torch.zeros(shape.outputs[number], BLOCKS[number].outputs))
            self.register_buffer(f"mean{number}", torch.zeros(BLOCKS[number].outputs))
        self.register_buffer("c39_channels", torch.zeros(shape.c39, dtype=torch.long))
        self.register_buffer("c51_channels", torch.zeros(shape.c51, dtype=torch.long))

    def fit(self, image: torch.Tensor, seed: int = 1) -> "NarrowTeacher":
        """Chooses bases and channels by the maps of `image` (N×3×H×W, a few hundred crops)."""
        rng = np.random.default_rng(seed)
        names = [f"block{number}" for number in range(len(BLOCKS))] + ["c39", "c51"]
        moments = {name: Moments() for name in names}
        for part in image.split(BATCH):
            boundaries, c39 = self.teacher(part)
            for name, maps in zip(names, [*boundaries[1:-1], c39, boundaries[-1]], strict=True):
                moments[name].add(maps)
        for first in sorted(set(self.first)):
            group = Moments()
            for number, own in enumerate(self.first):
                if own == first:
                    group.join(moments[f"block{number}"])
            mean, covariance = group.mean_and_covariance()
            if self.whole(first):
                continue
            basis = leading_basis(covariance, self.shape.outputs[first], rng)
            getattr(self, f"basis{first}").copy_(torch.from_numpy(basis))
            getattr(self, f"mean{first}").copy_(torch.from_numpy(mean))
        for tap, size in (("c39", self.shape.c39), ("c51", self.shape.c51)):
            channels = spanning_channels(moments[tap].mean_and_covariance()[1], size)
            getattr(self, f"{tap}_channels").copy_(torch.from_numpy(channels))
        return self

    def whole(self, block: int) -> bool:
        """Whether the student gives all channels of the block, which then needs no basis."""
        return self.shape.outputs[block] == BLOCKS[block].outputs

    def scales(self, image: torch.Tensor) -> dict[str, Scale]:
        """As `Teacher.scales`, of the convolutions that end a stage of the narrow student."""
        whole = self.teacher.scales(image)
        scales = {tap: _chosen(whole[tap], getattr(self, f"{tap}_channels")) for tap in ("c39", "c51")}
        boundaries, _ = self(image)
        for number, block in enumerate(BLOCKS):
            added = boundaries[number + 1] - boundaries[number] if block.residual else boundaries[number + 1]
            scales[f"c{3 * number + 2:02d}"] = Scale(added.mean(dim=(0, 2, 3)), added.std(dim=(0, 2, 3)))
        return scales

    @torch.no_grad()
    def forward(self, image: torch.Tensor) -> tuple[list[torch.Tensor | None], torch.Tensor]:
        boundaries, c39 = self.teacher(image)
        maps: list[torch.Tensor | None] = [None if self.shape.stem < boundaries[0].shape[1] else boundaries[0]]
        for number, first in enumerate(self.first):
            if self.whole(first):
                maps.append(boundaries[number + 1])
                continue
            rows = boundaries[number + 1].permute(0, 2, 3, 1) - getattr(self, f"mean{first}")
            maps.append((rows @ getattr(self, f"basis{first}").T).permute(0, 3, 1, 2))
        maps.append(boundaries[-1].index_select(1, self.c51_channels))
        assert len(maps) == len(BOUNDARIES)
        return maps, c39.index_select(1, self.c39_channels)

    def projections(self) -> dict[str, torch.Tensor]:
        """Bases, means and channels, without the teacher's weights."""
        return {name: tensor for name, tensor in self.state_dict().items() if not name.startswith("teacher.")}


class Moments:
    """Count, sum and products of the channels of maps over all places."""

    def __init__(self):
        self.count, self.sum, self.products = 0, 0.0, 0.0

    def add(self, maps: torch.Tensor) -> None:
        rows = maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1]).float()
        self.count += len(rows)
        self.sum = self.sum + rows.sum(0).double().cpu().numpy()
        self.products = self.products + (rows.T @ rows).double().cpu().numpy()

    def join(self, other: "Moments") -> None:
        self.count += other.count
        self.sum, self.products = self.sum + other.sum, self.products + other.products

    def mean_and_covariance(self) -> tuple[np.ndarray, np.ndarray]:
        mean = self.sum / self.count
        return mean, self.products / self.count - np.outer(mean, mean)


def leading_basis(covariance: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """size×C: the leading principal components of channels in units of their deviation, turned at random."""
    variance = np.diag(covariance)
    deviation = np.sqrt(variance + DAMPING * variance.mean())
    _, axes = np.linalg.eigh(covariance / np.outer(deviation, deviation))
    turn, _ = np.linalg.qr(rng.standard_normal((size, size)))
    return turn @ axes[:, ::-1][:, :size].T / deviation


def spanning_channels(covariance: np.ndarray, size: int) -> np.ndarray:
    """Indices of `size` channels, in rising order: each the one least explained by those before it."""
    variance = np.diag(covariance)
    rest = covariance / np.sqrt(np.outer(variance, variance) + (DAMPING * variance.mean()) ** 2)
    chosen = []
    for _ in range(size):
        left = np.diag(rest).copy()
        left[chosen] = -np.inf
        pivot = int(np.argmax(left))
        chosen.append(pivot)
        if rest[pivot, pivot] < 1e-9:
            continue  # those before explain it, and the division would only raise rounding errors
        column = rest[:, pivot] / np.sqrt(rest[pivot, pivot])
        rest = rest - np.outer(column, column)
    return np.sort(np.array(chosen))


def _chosen(scale: Scale, channels: torch.Tensor) -> Scale:
    return Scale(scale.mean[channels], scale.deviation[channels])


def _firsts() -> list[int]:
    """For each block the first one of the run of residual blocks that it belongs to."""
    firsts: list[int] = []
    for number, block in enumerate(BLOCKS):
        firsts.append(firsts[-1] if block.residual else number)
    return firsts

