"""Takes the statistics of a student's batch norms anew, over large crops, with the weights as they are.

    python norms.py --shared DIR --checkpoint RUN/checkpoint.pt --out RUN/settled.pt

Running means lag behind weights that a high learning rate moves, and small crops have other means than whole photos.
Prints the share of the teacher's variance that is left on held-out photos before and after; nothing else is chosen.
"""

import argparse
from pathlib import Path

import torch

from augmentation import Batches
from distill import WEIGHTS
from export import read_student
from loss import HeldOut, normalise
from photos import load, split
from schedule import Schedule
from student import Student
from targets import NarrowTeacher
from teacher import Teacher


@torch.no_grad()
def settle(student: Student, batches: list[torch.Tensor]) -> None:
    """Mean and variance of every norm become those over all `batches` (N×H×W×3 uint8), each counting the same."""
    norms = [module for module in student.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all that come
    student.train()
    for crops in batches:
        student(normalise(crops))
    student.eval()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True, help="folder that holds data/ and weights/")
    parser.add_argument("--checkpoint", type=Path, required=True, help="targets.pt of a narrow student beside it")
    parser.add_argument("--teacher", type=Path, help="weight file that tune.py wrote, instead of the original")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--batches", type=int, default=40)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    student = read_student(arguments.checkpoint).to(memory_format=torch.channels_last)
    training, rest = split(load(arguments.shared))
    teacher, held_out = Teacher(arguments.teacher or arguments.shared / WEIGHTS), HeldOut(rest)
    if student.shape.narrow:
        projections = torch.load(arguments.checkpoint.with_name("targets.pt"), weights_only=True)
        teacher = NarrowTeacher(teacher, student.shape)
        teacher.load_state_dict(projections, strict=False)
    crops = Batches(training, Schedule(0, 0, arguments.batches), arguments.batch, arguments.seed)
    left = []
    for place in ("before", "after"):
        if place == "after":
            settle(student, [crops[step] for step in range(arguments.batches)])
        shares = held_out.measure(student.eval(), teacher)
        left.append(sum(shares.values()) / len(shares))
        print(f"{place}: {left[-1]:.4f} left, c39 {shares['c39']:.4f}, c51 {shares['last']:.4f}", flush=True)
    torch.save({"shape": student.shape.name, "student": student.eval().state_dict()}, arguments.out)


if __name__ == "__main__":
    main()
