"""Trains a tuned student further: its descriptors are to say what they say and what those of its teacher do.

    python remind.py --shared DIR --bundle BEFORE --run RUNS/reminded --export ../../target/student.onnx

Tuning (`tune.py`) raises products and leaves the teacher, whose landmarks are better. Here pooled and whitened maps of both
are lessons (`lessons.py`). The weights are read from the int8 bundle; the stem and blocks 0-5 stay as they are, so
their map of a stack of captures and all that is wanted of it are made once and kept in memory (some gigabytes), and most
steps repeat an earlier stack. A run resumes from `checkpoint.pt` when its command is given again, with new stacks.

Several processes (`processes.py`) each make, keep and repeat their part of the same stacks. A lesson's loss is a mean over
captures, so the mean of the gradients is all that they exchange, and a step is that of one process on whole stacks.
"""

import argparse
import copy
import math
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader
from tqdm import tqdm

import captures
import checkpoint
import options
from captures import Pairs
from distill import WEIGHTS, Log
from export import export
from folded import FoldedNetwork
from lessons import LESSONS, NAMES, Lessons, Maps, Targets, components
from loss import HeldOut, normalise
from photos import SOURCES, Photo, load, split
from plan_weights import network
from processes import Processes
from recall import Recall
from recipe import FOCUSED
from student import Student

FITTING_STEPS = 96  # batches that the whitenings of both teachers and the start of the linear maps come from
WARM_UP_STEPS = 100
LOG_STEPS = 100
FEWEST_PAST = 200  # stacks before any is repeated
SIZES = (*captures.SIZES, (224, 288), (288, 224))
View = tuple[torch.Tensor, list[torch.Tensor]]  # a stack's maps between trunk and tail, and what each lesson wants


class Teachers:
    """The student as it was and the ImageNet network, both in bfloat16; targets of a stack of captures."""

    def __init__(self, student: FoldedNetwork, teacher: FoldedNetwork, device: torch.device = torch.device("cpu")):
        self.device = device
        self.student, self.teacher = (
            copy.deepcopy(net).requires_grad_(False).to(device, torch.bfloat16, memory_format=torch.channels_last)
            for net in (student, teacher)
        )
        self.targets: Targets | None = None

    @torch.no_grad()
    def maps(self, crops: torch.Tensor) -> tuple[torch.Tensor, Maps, Maps]:
        """Of N×H×W×3 uint8: the trunk's map, the student's taps, the teacher's."""
        image = normalise(crops.to(self.device)).to(torch.bfloat16)
        middle = self.student.trunk(image)
        own, its = self.student.tail(middle), self.teacher(image)
        return middle, *({tap: rows.float() for tap, rows in taps.items()} for taps in (own, its))

    def fit(self, pairs: Pairs, steps: int) -> Lessons:
        """Fits the targets on `steps` pairs of stacks; returns lessons whose linear maps start at regression on them."""
        rows = [([], []) for _ in LESSONS]
        for step in range(steps):
            for crops in pairs[step][:2]:
                _, *both = self.maps(crops)
                for lesson, kept in zip(LESSONS, rows, strict=True):
                    for taps, side in zip(both, kept, strict=True):
                        side.append(lesson.pool(taps[lesson.part.tap]).cpu().numpy())
        own, its = ([_paired(kept[side], steps) for kept in rows] for side in (0, 1))
        self.targets = Targets(own, its).to(self.device)
        wanted = []
        for lesson, mine, teachers in zip(LESSONS, own, its, strict=True):
            wanted.append(None if lesson.blended else components(lesson.whitening(teachers), _rows(teachers)))
        return Lessons(self.targets, [_rows(mine) for mine in own], wanted).to(self.device)

    def view(self, crops: torch.Tensor) -> View:
        """Kept in the processor's memory, which is larger than an accelerator's."""
        middle, own, its = self.maps(crops)
        return middle.cpu(), [wanted.to("cpu", torch.bfloat16) for wanted in self.targets(own, its)]


def _paired(stacks: list[np.ndarray], steps: int) -> np.ndarray:
    """Stacks (N×g×C) of first and second captures in turn → photos×2g×C."""
    whole = np.stack(stacks).astype(np.float64).reshape(steps, 2, -1, *stacks[0].shape[1:])
    return whole.swapaxes(1, 2).reshape(-1, 2 * stacks[0].shape[1], stacks[0].shape[2])


def _rows(paired: np.ndarray) -> np.ndarray:
    return paired.reshape(-1, paired.shape[2])


class Replay:
    """Stacks of captures: one in `every` is new, the others are drawn from those that were."""

    def __init__(self, teachers: Teachers, loader: Iterator, every: int, seed: int):
        self.teachers, self.loader, self.every, self.seed = teachers, loader, every, seed
        self.past: list[View] = []
        self.waiting: list[torch.Tensor] = []

    def __getitem__(self, step: int) -> View:
        if step % self.every and len(self.past) >= FEWEST_PAST:
            return self.past[int(np.random.default_rng([self.seed, step]).integers(len(self.past)))]
        if not self.waiting:
            self.waiting = list(next(self.loader)[:2])
        self.past.append(self.teachers.view(self.waiting.pop()))
        return self.past[-1]


class Taught(nn.Module):
    """The losses of a step as a module, for `Processes.wrap`."""

    def __init__(self, network: FoldedNetwork, lessons: Lessons):
        super().__init__()
        self.network, self.lessons = network, lessons

    def forward(self, middle: torch.Tensor, wanted: list[torch.Tensor]) -> torch.Tensor:
        return self.lessons(self.network.tail(middle.float()), wanted)


class Reminding:
    """Network, its running average, lessons and optimiser; saved and restored as a whole."""

    def __init__(
        self,
        student: FoldedNetwork,
        lessons: Lessons,
        arguments: argparse.Namespace,
        processes: Processes = Processes(),
    ):
        self.network, self.lessons = student.to(processes.device), lessons.to(processes.device)
        self.average, self.arguments, self.processes, self.step = copy.deepcopy(student), arguments, processes, 0
        processes.alike(lessons)  # each process has fitted them by itself
        self.taught = processes.wrap(Taught(student, lessons), buffers=False)
        tail = [parameter for parameter in student.parameters() if parameter.requires_grad]
        groups = [{"params": tail, "peak": arguments.rate}, {"params": lessons.parameters(), "peak": arguments.lesson_rate}]
        self.optimiser = torch.optim.AdamW(groups, weight_decay=0.0)
        blended = torch.tensor([lesson.blended for lesson in LESSONS])
        share = arguments.blended
        weights = torch.where(blended, share / blended.sum(), (1 - share) / (~blended).sum())
        self.weights = weights.to(processes.device)

    def parts(self) -> dict:
        return {name: getattr(self, name) for name in ("network", "average", "lessons", "optimiser")}

    def save(self, path: Path) -> None:
        if self.processes.leads:
            state = {name: part.state_dict() for name, part in self.parts().items()}
            checkpoint.write({"step": self.step, **state}, path)

    def resume(self, path: Path) -> None:
        state = checkpoint.read(path)
        if state is not None:
            self.step = state["step"]
            for name, part in self.parts().items():
                part.load_state_dict(state[name])

    def train_step(self, view: View) -> torch.Tensor:
        """One step on a stack, of several processes each on its part; returns the loss of each lesson there."""
        rise, fall = (self.step + 1) / WARM_UP_STEPS, 0.5 * (1 + math.cos(math.pi * self.step / self.arguments.steps))
        for group in self.optimiser.param_groups:
            group["lr"] = group["peak"] * min(1.0, rise) * fall
        self.optimiser.zero_grad(set_to_none=True)
        middle, wanted = view
        device = self.processes.device
        terms = self.taught(middle.to(device), [told.to(device) for told in wanted])
        (terms @ self.weights).backward()
        self.optimiser.step()
        self.step += 1
        share = 1 / min(self.step, self.arguments.average_steps)
        with torch.no_grad():
            for mean, value in zip(self.average.parameters(), self.network.parameters(), strict=True):
                mean.lerp_(value, share)
        return terms.detach()


class Judge:
    """Held-out measures: recall of simulated captures, and the lessons on whole photos."""

    def __init__(self, training: list[Photo], held_out: list[Photo], teachers: Teachers, log: Log):
        self.recall, self.log = Recall(training, held_out, recipe=FOCUSED), log
        self.views = [(crops, teachers.view(crops)[1]) for crops in HeldOut(held_out).batches]

    @torch.no_grad()
    def measure(self, reminding: Reminding) -> None:
        network, lessons, device = reminding.average, reminding.lessons, reminding.processes.device
        terms = []
        for crops, wanted in self.views:
            terms.append(lessons(network(normalise(crops.to(device))), [told.to(device) for told in wanted]))
        terms = torch.stack(terms).mean(0)
        row = {"step": reminding.step, **self.recall.measure(network), **dict(zip(NAMES, terms.tolist(), strict=True))}
        self.log.write(row)
        print({name: round(value, 4) for name, value in row.items()}, flush=True)


def train(reminding: Reminding, views: Replay, judge: Judge | None) -> None:
    """Runs to the last step; of several processes the first one alone has a judge."""
    arguments, leads = reminding.arguments, reminding.processes.leads
    log = Log(arguments.run / "train.csv" if leads else None, ["step", "seconds", *NAMES], reminding.step)
    if judge and reminding.step == 0:
        judge.measure(reminding)
    if leads and reminding.step == arguments.steps:
        write(reminding.average, arguments)  # it may have been interrupted behind its last checkpoint
    window, started, saved = [], time.monotonic(), time.monotonic()
    steps = range(reminding.step, arguments.steps)
    for step in tqdm(steps, disable=not leads, mininterval=arguments.progress):
        window.append(reminding.train_step(views[step]).cpu())
        if reminding.step % LOG_STEPS == 0:
            seconds = (time.monotonic() - started) / len(window)
            terms = dict(zip(NAMES, torch.stack(window).mean(0).tolist(), strict=True))
            log.write({"step": reminding.step, "seconds": seconds, **terms})
            window, started = [], time.monotonic()
        ends = reminding.step == arguments.steps
        if ends or time.monotonic() - saved > arguments.save_seconds:
            reminding.save(arguments.run / "checkpoint.pt")
            saved = time.monotonic()
        if judge and (ends or reminding.step % arguments.measure_steps == 0):
            write(reminding.average, arguments)
            judge.measure(reminding)


def write(average: FoldedNetwork, arguments: argparse.Namespace) -> None:
    """Writes the averaged weights as a student's checkpoint and its export."""
    student = Student().eval()
    average.into_student(student)
    checkpoint.write({"shape": student.shape.name, "student": student.state_dict()}, arguments.run / "reminded.pt")
    if arguments.export:
        export(student, arguments.export)


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_run(parser, progress=60, measure_steps=2000)
    parser.add_argument("--bundle", type=Path, required=True, help="int8 bundle of the student to train further")
    parser.add_argument("--export", type=Path, help="ONNX file to write the student to")
    parser.add_argument("--steps", type=int, default=8500)
    parser.add_argument("--every", type=int, default=4, help="one stack in so many is new")
    parser.add_argument("--batch", type=int, default=24, help="captures of a stack")
    parser.add_argument("--rate", type=float, default=2e-4)
    parser.add_argument("--lesson-rate", type=float, default=3e-4)
    parser.add_argument("--blended", type=float, default=0.7, help="weight of the blended lessons, of 1")
    parser.add_argument("--shares", nargs=3, type=float, default=[4.0, 1.0, 2.0], help="how often each of SOURCES is drawn")
    parser.add_argument("--average-steps", type=int, default=300, help="how far back the running average looks")
    return parser.parse_args()


def main() -> None:
    arguments = read_options()
    processes = options.begin(arguments)
    captures.SOURCE_WEIGHT, captures.SIZES = dict(zip(SOURCES, arguments.shares, strict=True)), SIZES
    student = network(arguments.bundle).to(memory_format=torch.channels_last)
    teachers = Teachers(student, FoldedNetwork.from_teacher(arguments.shared / WEIGHTS), processes.device)
    training, held_out = split(load(arguments.shared))
    lessons = teachers.fit(Pairs(training, arguments.batch, arguments.seed), FITTING_STEPS)  # whole stacks in all
    reminding = Reminding(student, lessons, arguments, processes)
    reminding.resume(arguments.run / "checkpoint.pt")
    # From where a run of this many steps would have come, so that resumed ones see other captures.
    first = FITTING_STEPS + reminding.step
    pairs = Pairs(training, arguments.batch, arguments.seed, processes)
    loader = DataLoader(pairs, batch_size=None, sampler=range(first, first + arguments.steps), num_workers=arguments.workers)
    views = Replay(teachers, iter(loader), arguments.every, arguments.seed)
    columns = ["step", "recall_at_1", "reciprocal_rank", *(f"rank_{source}" for source in sorted(SOURCES)), *NAMES]
    judge = None
    if processes.leads:
        log = Log(arguments.run / "held_out.csv", columns, reminding.step)
        judge = Judge(training, held_out, teachers, log)
    train(reminding, views, judge)


if __name__ == "__main__":
    main()
