"""The teacher: MobileNetV2-1.0 (ImageNet), read from int8 weights and run in float32.

The file holds, for each of the 52 convolutions in execution order, ``cNN_wq`` (int8, OIHW), ``cNN_scale``
(one per output channel) and ``cNN_b`` (float32 bias, batch norm already folded): weight = wq * scale. A tuned teacher
(`tune.py`) has ``cNN_w`` (float32, OIHW) in place of the first two.
The network is cut into 19 stages (the stem, 17 inverted residual blocks, the last 1x1); a stage's output is a
*boundary*. The student keeps these boundaries and has its own layers between them.

Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", 2018.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Block:
    """One inverted residual block: `inputs` and `outputs` are channels, `stride` that of its depthwise 3x3."""

    inputs: int
    outputs: int
    stride: int
    expansion: int

    @property
    def residual(self) -> bool:
        return self.stride == 1 and self.inputs == self.outputs


def _blocks() -> tuple[Block, ...]:
    # (expansion, output channels, repeats, stride of the first): table 2 of the paper.
    table = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
    blocks, inputs = [], STEM_CHANNELS
    for expansion, outputs, repeats, stride in table:
        for repeat in range(repeats):
            blocks.append(Block(inputs, outputs, stride if repeat == 0 else 1, expansion))
            inputs = outputs
    return tuple(blocks)


STEM_CHANNELS = 32
LAST_CHANNELS = 1280
BLOCKS = _blocks()
# Boundary 0 is the stem, boundary 1 + k the output of block k, the last one the 1x1 that gives c51.
BOUNDARIES = ("stem", *(f"block{k}" for k in range(len(BLOCKS))), "last")
C20_BOUNDARY = 1 + 6  # output of block 6: 64 channels, stride 16
C39_INPUT_BOUNDARY = 1 + 12  # c39 is the 1x1 expansion of block 13, so it reads the output of block 12
C39_CHANNELS = 576
C50_BOUNDARY = 1 + 16  # last linear bottleneck: 320 channels, stride 32
C51_BOUNDARY = len(BOUNDARIES) - 1


def pads(stride: int) -> tuple[int, int, int, int]:
    """TensorFlow's SAME padding of a 3x3 as (top, left, bottom, right), for even input sides.

    SAME pads a stride-2 3x3 on even sides by one in all, and puts it behind: (0, 0, 1, 1). Sides that are
    multiples of 32 stay even down to the last stride, so this holds at every layer.
    """
    return (0, 0, 1, 1) if stride == 2 else (1, 1, 1, 1)


def pad(x: torch.Tensor, stride: int) -> torch.Tensor:
    """Pads N×C×H×W for a stride-2 3x3; a stride-1 3x3 is padded inside the convolution, without a copy."""
    return F.pad(x, (0, 1, 0, 1)) if stride == 2 else x


@dataclass
class Convolution:
    """Weights of one convolution in float32, in the order in which they run."""

    name: str
    weight: np.ndarray  # O×I×K×K
    bias: np.ndarray  # O
    stride: int
    groups: int
    relu6: bool


@dataclass
class Scale:
    """Mean and standard deviation of each channel before the activation, over a batch and all places."""

    mean: torch.Tensor
    deviation: torch.Tensor


def read_convolutions(path: Path) -> list[Convolution]:
    """Reads the 52 convolutions of the weight file, with the strides, groups and activations of MobileNetV2."""
    file = np.load(path)

    shapes = [(2, 1, True)]  # stem: (stride, groups, relu6)
    for block in BLOCKS:
        hidden = block.inputs * block.expansion
        if block.expansion != 1:
            shapes.append((1, 1, True))
        shapes.append((block.stride, hidden, True))
        shapes.append((1, 1, False))
    shapes.append((1, 1, True))

    convolutions = []
    for index, (stride, groups, relu6) in enumerate(shapes):
        name = f"c{index:02d}"
        if f"{name}_w" in file:
            weight = file[f"{name}_w"]
        else:
            scale = file[f"{name}_scale"].astype(np.float32).reshape(-1, 1, 1, 1)
            weight = file[f"{name}_wq"].astype(np.float32) * scale
        convolutions.append(Convolution(name, weight, file[f"{name}_b"].astype(np.float32), stride, groups, relu6))
    return convolutions


class Teacher(nn.Module):
    """The frozen teacher. Input: N×3×H×W, (pixel - 127.5) / 127.5, sides multiples of 32; maps are float32.

    In `precision` bfloat16 the maps are off by some 1 % of their deviation, which a student cannot follow anyway.
    """

    def __init__(self, path: Path, precision: torch.dtype = torch.float32):
        super().__init__()
        self.precision = precision
        self.convolutions = read_convolutions(path)
        for index, convolution in enumerate(self.convolutions):
            weight = torch.from_numpy(convolution.weight).contiguous(memory_format=torch.channels_last)
            self.register_buffer(f"weight{index}", weight.to(precision))
            self.register_buffer(f"bias{index}", torch.from_numpy(convolution.bias).to(precision))
        self._scales: dict[str, Scale] | None = None

    def scales(self, image: torch.Tensor) -> dict[str, Scale]:
        """Mean and deviation of each convolution's output on a batch, by its name ("c00" … "c51")."""
        self._scales = {}
        self(image)
        scales, self._scales = self._scales, None
        return scales

    def _convolve(self, index: int, x: torch.Tensor) -> torch.Tensor:
        convolution = self.convolutions[index]
        weight, bias = getattr(self, f"weight{index}"), getattr(self, f"bias{index}")
        same = 1 if convolution.weight.shape[2] == 3 and convolution.stride == 1 else 0
        y = F.conv2d(pad(x, convolution.stride), weight, bias, convolution.stride, same, 1, convolution.groups)
        if self._scales is not None:
            self._scales[convolution.name] = Scale(y.float().mean(dim=(0, 2, 3)), y.float().std(dim=(0, 2, 3)))
        return F.hardtanh_(y, 0.0, 6.0) if convolution.relu6 else y

    @torch.no_grad()
    def forward(self, x: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Returns the 19 boundary maps and c39 (N×576×H/16×W/16)."""
        x = self._convolve(0, x.to(self.precision))
        boundaries, c39, index = [x], None, 1
        for block in BLOCKS:
            shortcut = x
            for layer in range(2 if block.expansion == 1 else 3):
                x = self._convolve(index, x)
                if self.convolutions[index].name == "c39":
                    c39 = x
                index += 1
            if block.residual:
                x = x + shortcut
            boundaries.append(x)
        boundaries.append(self._convolve(index, x))
        return [maps.float() for maps in boundaries], c39.float()
