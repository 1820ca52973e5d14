"""Exports a student as ONNX: batch norm folded, convolution weights stored in half precision.

    python export.py --checkpoint target/train/run/checkpoint.pt --out target/student.onnx
    python export.py --bundle ../default.lens --out target/student.onnx    # of an int8 bundle, with its rounded weights

Outputs c20 (stride 16), c39 (stride 16), c42 (the expansion of block 14, stride 32) and c51 (stride 32), with as many
channels as the student's shape has: 64, 576, 480 and 1280 by default. The file stays below 2.9 MB. Heads that are linear
in a map (`attribute_heads.py`) leave with it, as outputs of their own.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from folded import C42_BOUNDARY
from onnx_graph import OnnxGraph
from plan_weights import network
from shape import DEFAULT, SHAPES, Shape
from student import ConvolutionNorm, Student
from teacher import C20_BOUNDARY, C39_INPUT_BOUNDARY, C51_BOUNDARY

_BOUNDARY_NAMES = {C20_BOUNDARY: "c20", C51_BOUNDARY: "c51"}


@dataclass(frozen=True)
class LogitMap:
    """A further output: a 1×1 convolution of a tap, with a channel for each label."""

    name: str
    tap: str
    weight: np.ndarray  # labels×C
    bias: np.ndarray  # labels


def outputs(shape: Shape) -> dict[str, tuple[int, int]]:
    """Channels and stride of each output."""
    c20, c42 = shape.outputs[C20_BOUNDARY - 1], shape.hidden[C42_BOUNDARY - 1]
    return {"c20": (c20, 16), "c39": (shape.c39, 16), "c42": (c42, 32), "c51": (shape.c51, 32)}


def export(student: Student, out: Path, heads: tuple[LogitMap, ...] = ()) -> None:
    """Writes `student` to `out`, and its heads. The student itself is left as it is."""
    graph = OnnxGraph("pocketlens_student", np.float16)

    def convolve(source: str, layer: ConvolutionNorm, target: str) -> str:
        weight, bias = (tensor.float().cpu().contiguous().numpy() for tensor in layer.folded())
        convolution = layer.convolution
        return graph.convolution(source, target, weight, bias, convolution.stride[0], convolution.groups, layer.relu6)

    x = "image"
    for number, stage in enumerate(student.stages):
        name = _BOUNDARY_NAMES.get(number, f"boundary{number:02d}")
        if isinstance(stage, ConvolutionNorm):
            x = convolve(x, stage, name)
        elif stage.layers:
            shortcut = x
            *first, last = stage.layers
            for index, layer in enumerate(first):
                is_c42 = number == C42_BOUNDARY and index == 0
                x = convolve(x, layer, "c42" if is_c42 else f"{name}_hidden{index}")
            x = convolve(x, last, f"{name}_projected" if stage.residual else name)
            if stage.residual:
                x = graph.add(shortcut, x, name)
        if number == C39_INPUT_BOUNDARY:
            convolve(x, student.c39, "c39")
    written = outputs(student.shape)
    for head in heads:
        graph.convolution(head.tap, head.name, head.weight[:, :, None, None], head.bias, 1, 1, relu6=False)
        written[head.name] = (len(head.bias), written[head.tap][1])
    graph.write(out, written)


def read_student(checkpoint: Path) -> Student:
    """The student of a checkpoint that `distill.py` wrote."""
    state = torch.load(checkpoint, weights_only=True)
    student = Student(SHAPES[state.get("shape", DEFAULT.name)])
    student.load_state_dict(state["student"])
    return student.eval()


def read_bundle(bundle: Path, shape: Shape = DEFAULT) -> Student:
    """The student inside of an int8 bundle."""
    student = Student(shape)
    network(bundle).into_student(student)
    return student.eval()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--checkpoint", type=Path)
    source.add_argument("--bundle", type=Path, help="of the default's shape")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    student = read_student(arguments.checkpoint) if arguments.checkpoint else read_bundle(arguments.bundle)
    export(student, arguments.out)
    print(f"{arguments.out}: {arguments.out.stat().st_size} bytes")
