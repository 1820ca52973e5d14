"""Averages the weights of students that were tuned from one and the same start with different seeds.

    python average.py --students target/train/tuned-1/tuned.pt target/train/tuned-2/tuned.pt \\
      --out target/train/tuned.pt --export target/student.onnx

Wortsman et al., "Model soups: averaging weights of multiple fine-tuned models improves accuracy without increasing
inference time", 2022. Tuning leaves the norms' scale and statistics alone, and at those a folded convolution is linear
in what it changes, so the mean of the states is the mean of the folded networks.
"""

import argparse
from pathlib import Path

import torch

from export import export, read_student

FROZEN = ("norm.weight", "running_mean", "running_var")


def average(checkpoints: list[Path]) -> dict[str, torch.Tensor]:
    """The mean state; refuses students whose norms differ, which do not come from one start."""
    states = [read_student(path).state_dict() for path in checkpoints]
    mean = {}
    for name, first in states[0].items():
        if name.endswith(FROZEN) and not all(torch.equal(first, state[name]) for state in states):
            raise SystemExit(f"{name} differs: the students were not tuned from one start")
        mean[name] = torch.stack([s[name] for s in states]).mean(dim=0) if first.is_floating_point() else first
    return mean


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--students", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--export", type=Path, help="ONNX file to write it to as well")
    arguments = parser.parse_args()
    shape = read_student(arguments.students[0]).shape
    torch.save({"shape": shape.name, "student": average(arguments.students)}, arguments.out)
    if arguments.export:
        export(read_student(arguments.out), arguments.export)
