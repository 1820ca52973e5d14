"""The student: the teacher's 19 boundaries with fewer channels between them, and an own head for c39.

How many is a matter of its `Shape`. With the default one, expansion 3 instead of 6 halves the multiply-adds and leaves
1.32 M parameters. Each stage ends at the same map as the teacher's (same stride and activation, the same channels or a
projection of them), so a stage can be trained alone on the teacher's input of it: from random weights that converges
far faster than the whole chain does.
"""

import torch
from torch import nn

from shape import DEFAULT, Shape
from teacher import BLOCKS, BOUNDARIES, C39_INPUT_BOUNDARY, Scale, pad

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
    """An inverted residual block: that of number `number` in a shape. Without hidden channels it gives its input."""

    def __init__(self, shape: Shape, number: int):
        super().__init__()
        self.residual = BLOCKS[number].residual
        inputs, hidden, outputs = shape.inputs(number), shape.hidden[number], shape.outputs[number]
        layers = [] if hidden == inputs and BLOCKS[number].expansion == 1 else [ConvolutionNorm(inputs, hidden, 1)]
        layers.append(ConvolutionNorm(hidden, hidden, 3, BLOCKS[number].stride, groups=hidden))
        layers.append(ConvolutionNorm(hidden, outputs, 1, relu6=False))
        self.layers = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.layers(x)
        return x + y if self.residual else y


class LeftOut(nn.Module):
    """In place of a residual block that a shape leaves out."""

    residual, layers = False, ()  # read as a block's are

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


class Student(nn.Module):
    """Input as the teacher's: N×3×H×W, (pixel - 127.5) / 127.5, sides multiples of 32."""

    def __init__(self, shape: Shape = DEFAULT):
        super().__init__()
        self.shape = shape
        stages: list[nn.Module] = [ConvolutionNorm(3, shape.stem, 3, 2)]
        for number, hidden in enumerate(shape.hidden):
            stages.append(StudentBlock(shape, number) if hidden else LeftOut())
        stages += [ConvolutionNorm(shape.outputs[-1], shape.c51, 1)]
        assert len(stages) == len(BOUNDARIES)
        self.stages = nn.ModuleList(stages)
        self.c39 = ConvolutionNorm(shape.outputs[C39_INPUT_BOUNDARY - 1], shape.c39, 1)

    def match_scales(self, scales: dict[str, Scale]) -> None:
        """Starts each boundary at the teacher's mean and half its deviation by channel; convolutions stay random.

        The teacher's channels differ in scale by orders of magnitude, and some of its stem's are always silent. At
        3e-3 a step, AdamW needs a thousand steps only to move scale and offset there from one and zero. Half: the
        random part agrees with nothing yet, and at full size it would double the error.
        """
        # A block's last convolution is number 2, 5, 8, …: its linear projection, before the residual sum.
        names = ["c00", *(f"c{3 * k + 2:02d}" for k in range(len(BLOCKS))), "c51"]
        for stage, name in [*zip(self.stages, names, strict=True), (self.c39, "c39")]:
            if name not in scales or isinstance(stage, LeftOut):
                continue
            layer = stage if isinstance(stage, ConvolutionNorm) else stage.layers[-1]
            layer.norm.weight.data.copy_(0.5 * scales[name].deviation)
            layer.norm.bias.data.copy_(scales[name].mean)

    def forward(self, image: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
        """The whole chain. Returns the 19 boundary maps and c39 (N×576×H/16×W/16)."""
        x, boundaries = image, []
        for stage in self.stages:
            x = stage(x)
            boundaries.append(x)
        return boundaries, self.c39(boundaries[C39_INPUT_BOUNDARY])

    def local(
        self, image: torch.Tensor, teacher: list[torch.Tensor | None]
    ) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Every stage alone, each on the teacher's map before it (or the student's own where the teacher has none)."""
        boundaries: list[torch.Tensor] = []
        for number, stage in enumerate(self.stages):
            before = image if number == 0 else teacher[number - 1]
            boundaries.append(stage(boundaries[-1] if before is None else before))
        return boundaries, self.c39(teacher[C39_INPUT_BOUNDARY])
