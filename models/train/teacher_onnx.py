"""Converts the teacher's weight file to ONNX (float32), with the outputs c20, c39, c50 and c51.

    python teacher_onnx.py --weights TEACHER.npz --out target/teacher.onnx

The result re-encodes weights that are not ours: write it outside of what is committed.
"""

import argparse
from pathlib import Path

from onnx_graph import OnnxGraph
from teacher import BLOCKS, read_convolutions

OUTPUTS = {"c20": (64, 16), "c39": (576, 16), "c50": (320, 32), "c51": (1280, 32)}


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
