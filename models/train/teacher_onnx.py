"""Converts the teacher's weight file to ONNX (float32), with the maps of every stage as outputs.

    python teacher_onnx.py --weights TEACHER.npz --out target/teacher.onnx

The result re-encodes weights that are not ours: write it outside of what is committed.
"""

import argparse
from pathlib import Path

from onnx_graph import OnnxGraph
from teacher import BLOCKS, read_convolutions

# Name: channels and stride. c36, c39, c42, c45 and c48 are expansions, the others ends of stages.
OUTPUTS = {
    "c05": (24, 4),
    "c11": (32, 8),
    "c20": (64, 16),
    "c32": (96, 16),
    "c36": (576, 16),
    "c39": (576, 16),
    "c42": (960, 32),
    "c45": (960, 32),
    "c48": (960, 32),
    "c50": (320, 32),
    "c51": (1280, 32),
}


def convert(weights: Path, out: Path) -> None:
    """Writes the teacher of `weights` (.npz) to `out` (.onnx)."""
    convolutions = iter(read_convolutions(weights))
    graph = OnnxGraph("mobilenetv2_teacher")

    def convolve(source: str) -> str:
        c = next(convolutions)
        return graph.convolution(source, c.name, c.weight, c.bias, c.stride, c.groups, c.relu6)

    x = convolve("image")
    for number, block in enumerate(BLOCKS):
        shortcut = x
        for _ in range(2 if block.expansion == 1 else 3):
            x = convolve(x)
        if block.residual:
            x = graph.add(shortcut, x, f"a{number:02d}")
    convolve(x)
    graph.write(out, OUTPUTS)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    convert(arguments.weights, arguments.out)
