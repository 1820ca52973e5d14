"""Trains the end of a student alone: the last two blocks and c51, behind a rest that stays as it is.

    python end.py --shared DIR --teacher RUNS/teacher/tuned.npz --start RUNS/wide/start.pt --out RUNS/wide/ended.pt

c39 and c42, which come before, keep what they have learned, and their maps are made once: a step takes a tenth of
the time of one of the whole chain.
"""

import argparse
import math
from pathlib import Path

import torch

from augmentation import Batches
from distill import WEIGHTS
from export import read_student
from loss import HeldOut, normalise, unexplained
from photos import Photo, load, split
from student import Student
from targets import NarrowTeacher
from teacher import Teacher
from warm_start import END, END_BATCH

FIRST = 16  # the stage of block 15; the stem is stage 0
CACHED_BATCH = 32


@torch.no_grad()
def maps(student: Student, teacher: NarrowTeacher, photos: list[Photo], crops: int) -> list[torch.Tensor]:
    """What the student gives before its end, and what the teacher gives at the end's stages: N×C×H×W each, halves."""
    batches, rows = Batches(photos, lambda _: END, CACHED_BATCH, seed=10), []
    student.eval()
    for step in range(crops // CACHED_BATCH):
        image = normalise(batches[step])
        x = image
        for stage in student.stages[:FIRST]:
            x = stage(x)
        rows.append([x.half(), *(wanted.half() for wanted in teacher(image)[0][FIRST:])])
    return [torch.cat(parts) for parts in zip(*rows, strict=True)]


def train(student: Student, cached: list[torch.Tensor], steps: int, peak: float) -> None:
    """Cosine from `peak`; the loss is that of `distill.py`, of these stages."""
    end = student.stages[FIRST:].train()
    optimiser = torch.optim.AdamW(end.parameters())
    generator, total = torch.Generator().manual_seed(4), 0.0
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = peak * min(1, (step + 1) / 30) * 0.5 * (1 + math.cos(math.pi * step / steps))
        chosen = torch.randint(len(cached[0]), (END_BATCH,), generator=generator)
        x, *wanted = (rows[chosen].float() for rows in cached)
        losses = []
        for stage, target in zip(end, wanted, strict=True):
            x = stage(x)
            losses.append(unexplained(x, target))
        losses = torch.stack(losses)
        optimiser.zero_grad(set_to_none=True)
        losses.sum().backward()
        optimiser.step()
        total = total + losses.detach()
        if (step + 1) % 250 == 0:
            print(f"step {step + 1}: left {[round(v, 4) for v in (total / 250).tolist()]}", flush=True)
            total = 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True, help="folder that holds data/ and weights/")
    parser.add_argument("--teacher", type=Path, help="weight file that tune.py wrote, instead of the original")
    parser.add_argument("--start", type=Path, required=True, help="checkpoint, with targets.pt beside it")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--crops", type=int, default=5120)
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    student = read_student(arguments.start).to(memory_format=torch.channels_last)
    training, rest = split(load(arguments.shared))
    teacher = NarrowTeacher(Teacher(arguments.teacher or arguments.shared / WEIGHTS, torch.bfloat16), student.shape)
    teacher.load_state_dict(torch.load(arguments.start.with_name("targets.pt"), weights_only=True), strict=False)
    cached = maps(student, teacher, training, arguments.crops)
    print(f"{len(cached[0])} crops", flush=True)
    train(student, cached, arguments.steps, arguments.rate)
    torch.save({"shape": student.shape.name, "student": student.eval().state_dict()}, arguments.out)
    shares = HeldOut(rest).measure(student, teacher)
    print({name: round(share, 4) for name, share in shares.items()}, flush=True)


if __name__ == "__main__":
    main()
