"""The student: the teacher's 19 boundaries with half the hidden channels between them, and an own head for c39.

Expansion 3 instead of 6 halves the multiply-adds and leaves 1.32 M parameters. Each stage ends at the same map as the
teacher's (same channels, stride and activation), so a stage can be trained alone on the teacher's input of it: from
random weights that converges far faster than the whole chain does.
"""

import torch
from torch import nn

from teacher import (
    BLOCKS,
    BOUNDARIES,
    C39_CHANNELS,
    C39_INPUT_BOUNDARY,
    LAST_CHANNELS,
    STEM_CHANNELS,
    Block,
    Scale,
    pad,
)

EXPANSION = 3
# The running mean of batch norm looks back over 1 / momentum batches of 16; torch's 0.1 is too noisy to be folded.
NORM_MOMENTUM = 0.03


class ConvolutionNorm(nn.Module):
    """Convolution, batch norm and ReLU6 (or none), with TensorFlow's SAME padding (see `teacher.pads`)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, relu6: bool = True):
        super().__init__()
        same = 1 if kernel == 3 and stride == 1 else 0
        self.convolution = nn.Conv2d(inputs, outputs, kernel, stride, same, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outputs, momentum=NORM_MOMENTUM)
        self.relu6 = relu6
        nn.init.kaiming_normal_(self.convolution.weight, mode="fan_out", nonlinearity="relu" if relu6 else "linear")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.convolution(pad(x, self.convolution.stride[0])))
        return nn.functional.relu6(x, inplace=True) if self.relu6 else x

    def folded(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Weight (O×I×K×K) and bias (O) of the one convolution that this is at inference."""
        scale = self.norm.weight / torch.sqrt(self.norm.running_var + self.norm.eps)
        bias = self.norm.bias - self.norm.running_mean * scale
        return (self.convolution.weight * scale.reshape(-1, 1, 1, 1)).detach(), bias.detach()

    @torch.no_grad()
    def unfold(self, weight: torch.Tensor, bias: torch.Tensor) -> None:
        """The inverse of `folded`, under the norm's present scale and statistics.

        Channels whose scale is all but zero (silent ones of the stem) keep their weights: nothing can be divided
        by it, and nothing comes through them.
        """
        scale = self.norm.weight / torch.sqrt(self.norm.running_var + self.norm.eps)
        active = scale.abs() > 1e-6
        divisor = torch.where(active, scale, 1.0).reshape(-1, 1, 1, 1)
        self.convolution.weight.copy_(
            torch.where(active.reshape(-1, 1, 1, 1), weight / divisor, self.convolution.weight)
        )
        self.norm.bias.copy_(bias + self.norm.running_mean * scale)


class StudentBlock(nn.Module):
    """An inverted residual block of the teacher's outer shape with `EXPANSION` times as many hidden channels."""

    def __init__(self, shape: Block):
        super().__init__()
        self.residual = shape.residual
        hidden = shape.inputs * min(shape.expansion, EXPANSION)
        layers = [] if hidden == shape.inputs else [ConvolutionNorm(shape.inputs, hidden, 1)]
        layers.append(ConvolutionNorm(hidden, hidden, 3, shape.stride, groups=hidden))
        layers.append(ConvolutionNorm(hidden, shape.outputs, 1, relu6=False))
        self.layers = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.layers(x)
        return x + y if self.residual else y


class Student(nn.Module):
    """Input as the teacher's: N×3×H×W, (pixel - 127.5) / 127.5, sides multiples of 32."""

    def __init__(self):
        super().__init__()
        stages = [ConvolutionNorm(3, STEM_CHANNELS, 3, 2)]
        stages += [StudentBlock(shape) for shape in BLOCKS]
        stages += [ConvolutionNorm(BLOCKS[-1].outputs, LAST_CHANNELS, 1)]
        assert len(stages) == len(BOUNDARIES)
        self.stages = nn.ModuleList(stages)
        self.c39 = ConvolutionNorm(BLOCKS[12].outputs, C39_CHANNELS, 1)

    def match_scales(self, scales: dict[str, Scale]) -> None:
        """Starts each boundary at the teacher's mean and half its deviation by channel; convolutions stay random.

        The teacher's channels differ in scale by orders of magnitude, and some of its stem's are always silent. At
        3e-3 a step, AdamW needs a thousand steps only to move scale and offset there from one and zero. Half: the
        random part agrees with nothing yet, and at full size it would double the error.
        """
        # A block's last convolution is number 2, 5, 8, …: its linear projection, before the residual sum.
        names = ["c00", *(f"c{3 * k + 2:02d}" for k in range(len(BLOCKS))), "c51"]
        ends = [stage if isinstance(stage, ConvolutionNorm) else stage.layers[-1] for stage in self.stages]
        for layer, name in [*zip(ends, names, strict=True), (self.c39, "c39")]:
            layer.norm.weight.data.copy_(0.5 * scales[name].deviation)
            layer.norm.bias.data.copy_(scales[name].mean)

    def forward(self, image: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
        """The whole chain. Returns the 19 boundary maps and c39 (N×576×H/16×W/16)."""
        x, boundaries = image, []
        for stage in self.stages:
            x = stage(x)
            boundaries.append(x)
        return boundaries, self.c39(boundaries[C39_INPUT_BOUNDARY])

    def local(self, image: torch.Tensor, teacher: list[torch.Tensor]) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Every stage alone, each on the teacher's map before it; the same return value as `forward`."""
        inputs = [image, *teacher[:-1]]
        boundaries = [stage(x) for stage, x in zip(self.stages, inputs, strict=True)]
        return boundaries, self.c39(teacher[C39_INPUT_BOUNDARY])
