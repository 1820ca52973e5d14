"""Makes a student to train further from an int8 bundle of the default's shape: the shape `wide-end`, its end new.

    python warm_start.py --shared DIR --bundle BUNDLE --teacher RUNS/teacher/tuned.npz --run RUNS/wide

Writes `start.pt` for `distill.py --start`, and `targets.pt` beside it. Stem channels that never say anything are left
out. The last block and the last 1×1 start from random weights and are trained by themselves, on the teacher's maps,
which takes a fiftieth of the time of a step of the whole chain.
"""

import argparse
import math
from pathlib import Path

import torch

from augmentation import Batches
from distill import BASIS_CROPS, WEIGHTS
from folded import FoldedConvolution, FoldedNetwork
from loss import HeldOut, normalise, unexplained
from photos import Photo, load, split
from plan_weights import network
from schedule import Schedule, Stage
from shape import WIDE_END
from student import ConvolutionNorm, Student
from targets import NarrowTeacher
from teacher import Teacher

LAST_CONVOLUTION = 51
LAST_BLOCK = 17  # its stage: the stem is stage 0
END = Stage("end", ((192, 256),), 0.35)  # one size: maps of all crops stand in one tensor
END_BATCH = 16


@torch.no_grad()
def adopt(student: Student, source: FoldedNetwork, crops: torch.Tensor) -> None:
    """Writes all stages of `source` but the last two into `student`; `crops` (N×3×H×W) show means and deviations."""
    stem = source.stages[0][0](crops)
    kept = stem.std(dim=(0, 2, 3)).argsort(descending=True)[: student.shape.stem].sort().values
    x = crops
    for number, stage in enumerate(student.stages[:LAST_BLOCK]):
        layers, own = source.stages[number], [stage] if number == 0 else list(stage.layers)
        y = x
        for place, (layer, target) in enumerate(zip(layers, own, strict=True)):
            weight, bias = layer.weight, layer.bias
            if number == 0 or (number == 1 and place == 0):
                weight, bias = weight[kept], bias[kept]
            elif number == 1:  # what the silent channels gave goes into the bias
                rest = torch.ones(weight.shape[1], dtype=torch.bool)
                rest[kept] = False
                silent = source.stages[1][0](stem).mean(dim=(0, 2, 3))[rest]
                weight, bias = weight[:, kept], bias + weight[:, rest, 0, 0] @ silent
            _unfold(target, weight, bias, y)
            y = target(y)
        x = x + y if number and stage.residual else y
        if number == 13:
            _unfold(student.c39, source.c39.weight, source.c39.bias, x)


def _unfold(layer: ConvolutionNorm, weight: torch.Tensor, bias: torch.Tensor, x: torch.Tensor) -> None:
    """As `ConvolutionNorm.unfold`, with statistics of the norm that hold for `x`, and rows as long as random ones.

    Behind a norm the length of a row does not matter, but for how far a step of the optimiser turns it.
    """
    length = layer.convolution.weight.flatten(1).norm(dim=1).mean()
    own = weight.flatten(1).norm(dim=1).clamp_min(1e-6)
    layer.convolution.weight.copy_(weight * (length / own).reshape(-1, 1, 1, 1))
    layer.norm.train().momentum, momentum = None, layer.norm.momentum
    layer.norm.reset_running_stats()
    relu6, layer.relu6 = layer.relu6, False
    layer(x)
    layer.relu6, layer.norm.momentum = relu6, momentum
    deviation = torch.sqrt(layer.norm.running_var + layer.norm.eps)
    layer.norm.weight.copy_(deviation * own / length)
    layer.norm.bias.copy_(bias + layer.norm.running_mean * own / length)
    layer.eval()


def train_end(student: Student, teacher: NarrowTeacher, photos: list[Photo], arguments: argparse.Namespace) -> None:
    """Trains the last block and the last 1×1, each on the teacher's map before it."""
    batches = Batches(photos, lambda _: END, 32, seed=9)
    inputs, outputs = [], []
    for step in range(arguments.crops // 32):
        boundaries, _ = teacher.teacher(normalise(batches[step]))
        inputs.append(boundaries[LAST_BLOCK - 1].half())
        outputs.append(boundaries[LAST_BLOCK].half())
    before, after = torch.cat(inputs), torch.cat(outputs)
    block, last = student.stages[LAST_BLOCK].train(), student.stages[LAST_BLOCK + 1].train()
    optimiser = torch.optim.AdamW([*block.parameters(), *last.parameters()])
    generator, total = torch.Generator().manual_seed(3), 0.0
    for step in range(arguments.steps):
        for group in optimiser.param_groups:
            group["lr"] = arguments.rate * min(1, (step + 1) / 30) * 0.5 * (1 + math.cos(math.pi * step / arguments.steps))
        chosen = torch.randint(len(before), (END_BATCH,), generator=generator)
        x, y = before[chosen].float(), after[chosen].float()
        with torch.no_grad():
            c51 = teacher.teacher._convolve(LAST_CONVOLUTION, y.to(teacher.teacher.precision)).float()
        losses = torch.stack(
            [unexplained(block(x), y), unexplained(last(y), c51.index_select(1, teacher.c51_channels))]
        )
        optimiser.zero_grad(set_to_none=True)
        losses.sum().backward()
        optimiser.step()
        total = total + losses.detach()
        if (step + 1) % 500 == 0:
            print(f"step {step + 1}: left {total[0] / 500:.4f} of the last block, {total[1] / 500:.4f} of c51", flush=True)
            total = 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True, help="folder that holds data/ and weights/")
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--teacher", type=Path, help="weight file that tune.py wrote, instead of the original")
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--crops", type=int, default=9600)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(1)
    arguments.run.mkdir(parents=True, exist_ok=True)
    training, rest = split(load(arguments.shared))
    held_out = HeldOut(rest)
    student = Student(WIDE_END).to(memory_format=torch.channels_last)
    teacher = NarrowTeacher(Teacher(arguments.teacher or arguments.shared / WEIGHTS, torch.bfloat16), WIDE_END)
    small = Schedule(local=1, chain=0, large=0)
    teacher.fit(normalise(Batches(training, small, BASIS_CROPS, seed=1)[0]))
    torch.save(teacher.projections(), arguments.run / "targets.pt")
    large = Batches(training, lambda _: END, 64, seed=2)
    adopt(student, network(arguments.bundle), normalise(large[0]))
    train_end(student, teacher, training, arguments)
    shares = held_out.measure(student, teacher)
    print({name: round(share, 4) for name, share in shares.items()}, flush=True)
    print({name: round(share, 4) for name, share in held_out.measure(student, teacher, local=True).items()})
    torch.save({"shape": student.shape.name, "student": student.state_dict()}, arguments.run / "start.pt")


if __name__ == "__main__":
    main()
