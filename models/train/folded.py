"""Teacher or student as convolutions with batch norm folded in, of which the later ones are trained further.

Fine-tuning wants no batch statistics: a batch of simulated captures has others than photos do. Both networks have the
same 19 boundaries, so one class holds either; it is cut into a *trunk*, which stays as it is, and a *tail*.
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from student import ConvolutionNorm, Student
from teacher import BLOCKS, C20_BOUNDARY, C39_INPUT_BOUNDARY, Convolution, pad, read_convolutions

# The stem and blocks 0-5: the 18 first convolutions of the teacher. They take more than half of the time of a pass
# and see edges and texture, which instance discrimination on few photos has nothing to teach.
TRUNK_STAGES = 7
C42_BOUNDARY = 1 + 14  # the block whose expansion is c42


class FoldedConvolution(nn.Module):
    """A convolution with its bias and ReLU6 (or none), padded as TensorFlow does."""

    def __init__(self, source: Convolution):
        super().__init__()
        weight = torch.from_numpy(np.array(source.weight, np.float32))
        self.weight = nn.Parameter(weight.contiguous(memory_format=torch.channels_last))
        self.bias = nn.Parameter(torch.from_numpy(np.array(source.bias, np.float32)))
        self.stride, self.groups, self.relu6 = source.stride, source.groups, source.relu6
        self.padding = 1 if weight.shape[2] == 3 and source.stride == 1 else 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.conv2d(pad(x, self.stride), self.weight, self.bias, self.stride, self.padding, 1, self.groups)
        return F.relu6(x, inplace=True) if self.relu6 else x


class FoldedNetwork(nn.Module):
    """Input N×3×H×W, (pixel - 127.5) / 127.5, sides multiples of 32; gives the maps c20, c39, c42 and c51."""

    def __init__(self, stages: list[list[Convolution]], c39: Convolution | None):
        """`c39` is the student's own head; without one (teacher), c39 is the first convolution of block 13."""
        super().__init__()
        self.stages = nn.ModuleList(nn.ModuleList(map(FoldedConvolution, stage)) for stage in stages)
        residual = [False, *(block.residual for block in BLOCKS), False]
        # A stage without convolutions is a block that a narrow student leaves out.
        self.residual = [adds and bool(stage) for adds, stage in zip(residual, stages, strict=True)]
        self.c39 = FoldedConvolution(c39) if c39 else None
        for stage in self.stages[:TRUNK_STAGES]:
            stage.requires_grad_(False)

    @staticmethod
    def from_teacher(path: Path) -> "FoldedNetwork":
        convolutions = iter(read_convolutions(path))
        lengths = [1, *(2 if block.expansion == 1 else 3 for block in BLOCKS), 1]
        return FoldedNetwork([[next(convolutions) for _ in range(length)] for length in lengths], None)

    @staticmethod
    def from_student(student: Student) -> "FoldedNetwork":
        return FoldedNetwork([[_fold(layer) for layer in layers] for layers in _layers(student)], _fold(student.c39))

    def into_student(self, student: Student) -> None:
        """Writes the weights back, so that `student` in evaluation mode is this network."""
        for stage, layers in zip(self.stages, _layers(student), strict=True):
            for convolution, layer in zip(stage, layers, strict=True):
                layer.unfold(convolution.weight.detach().cpu(), convolution.bias.detach().cpu())
        student.c39.unfold(self.c39.weight.detach().cpu(), self.c39.bias.detach().cpu())

    def into_teacher(self, path: Path) -> None:
        """Writes a weight file that `read_convolutions` reads, in float32 (cNN_w instead of cNN_wq and cNN_scale)."""
        arrays = {}
        for index, convolution in enumerate(layer for stage in self.stages for layer in stage):
            arrays[f"c{index:02d}_w"] = convolution.weight.detach().cpu().contiguous().numpy()
            arrays[f"c{index:02d}_b"] = convolution.bias.detach().cpu().numpy()
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, **arrays)

    @torch.no_grad()
    def trunk(self, image: torch.Tensor) -> torch.Tensor:
        """The map between trunk and tail (N×32×H/8×W/8, of a narrow student with fewer channels)."""
        for number in range(TRUNK_STAGES):
            image, _ = self._stage(number, image)
        return image

    def tail(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """c20, c39 (N×C×H/16×W/16), c42 and c51 (N×C×H/32×W/32) from the trunk's map."""
        maps = {}
        for number in range(TRUNK_STAGES, len(self.stages)):
            x, first = self._stage(number, x)
            if number == C20_BOUNDARY:
                maps["c20"] = x
            if number == C39_INPUT_BOUNDARY and self.c39 is not None:
                maps["c39"] = self.c39(x)
            if number == C39_INPUT_BOUNDARY + 1 and self.c39 is None:
                maps["c39"] = first
            if number == C42_BOUNDARY:
                maps["c42"] = first
        maps["c51"] = x
        return maps

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        return self.tail(self.trunk(image))

    def _stage(self, number: int, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """A stage's output, and that of its first convolution."""
        if not self.stages[number]:
            return x, x
        first = y = self.stages[number][0](x)
        for convolution in self.stages[number][1:]:
            y = convolution(y)
        return (x + y if self.residual[number] else y), first


def _layers(student: Student) -> list[list[ConvolutionNorm]]:
    return [[stage] if isinstance(stage, ConvolutionNorm) else list(stage.layers) for stage in student.stages]


def _fold(layer: ConvolutionNorm) -> Convolution:
    weight, bias = layer.folded()
    convolution = layer.convolution
    return Convolution("", weight.cpu().numpy(), bias.cpu().numpy(), convolution.stride[0], convolution.groups, layer.relu6)
