"""Trains the student from random weights by distillation of the teacher. See README.md for the one command.

    python distill.py --shared DIR --run target/train/run --export target/student.onnx

The run folder keeps `checkpoint.pt` (resumed from when the command is given again), one checkpoint at the end of each
stage, `train.csv` (losses of training) and `held_out.csv` (unexplained shares on held-out photos, by boundary).
"""

import argparse
import csv
import math
import os
import time
from dataclasses import asdict
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader
from tqdm import tqdm

import checkpoint
import options
from augmentation import Batches
from export import export
from loss import NAMES, TAPS, HeldOut, distillation, normalise
from photos import Photo, load, split
from processes import Processes
from schedule import Schedule
from shape import DEFAULT, SHAPES, Shape
from student import Student
from targets import NarrowTeacher
from teacher import Teacher

WEIGHTS = Path("weights/mobilenetv2_1.0_teacher_int8pc.npz")
LOG_STEPS = 50
SCALE_CROPS = 64  # crops from which the teacher's scales are taken before the first step
BASIS_CROPS = 512  # crops from which a narrow student's targets are chosen


class Log:
    """A CSV file that survives a resume: rows of steps that will be taken again are dropped."""

    def __init__(self, path: Path | None, columns: list[str], step: int):
        """Without a path nothing is written: of several processes one keeps the log."""
        kept = []
        if path is not None and path.exists():
            with path.open(newline="") as lines:
                kept = [row for row in csv.DictReader(lines) if int(row["step"]) <= step]
        self.file = (path or Path(os.devnull)).open("w", newline="")
        self.writer = csv.DictWriter(self.file, columns)
        self.writer.writeheader()
        self.writer.writerows(kept)
        self.file.flush()  # a run that ends before its next row must not lose those before

    def write(self, row: dict) -> None:
        self.writer.writerow({k: f"{v:.5g}" if isinstance(v, float) else v for k, v in row.items()})
        self.file.flush()


class Distilling(nn.Module):
    """The student's loss as a module, for `DistributedDataParallel` to wrap."""

    def __init__(self, student: Student, relation: float):
        super().__init__()
        self.student, self.relation = student, relation

    def forward(self, teacher: Teacher, image: torch.Tensor, local: bool) -> tuple[torch.Tensor, torch.Tensor]:
        return distillation(self.student, teacher, image, local, self.relation)


class Run:
    """Everything that a step changes: student, optimiser, step count. Saved and restored as a whole."""

    def __init__(
        self,
        folder: Path,
        schedule: Schedule,
        seed: int,
        shape: Shape = DEFAULT,
        processes: Processes = Processes(),
        relation: float = 0.0,
    ):
        torch.manual_seed(seed)
        self.processes = processes
        self.folder, self.schedule, self.seed, self.step = folder, schedule, seed, 0
        self.student = Student(shape).to(processes.device, memory_format=torch.channels_last).train()
        self.distilling = processes.wrap(Distilling(self.student, relation))
        self.optimiser = torch.optim.AdamW(self.student.parameters(), lr=schedule.rate)
        self.exported = float("inf")  # held-out loss of what was exported last
        folder.mkdir(parents=True, exist_ok=True)

    def save(self, name: str = "checkpoint.pt") -> None:
        if not self.processes.leads:
            return
        state = {
            "step": self.step,
            "seed": self.seed,
            "shape": self.student.shape.name,
            "schedule": asdict(self.schedule),
            "student": self.student.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "random": torch.get_rng_state(),
            "exported": self.exported,
        }
        checkpoint.write(state, self.folder / name)

    def resume(self) -> None:
        """Restores `checkpoint.pt` where there is one.

        The schedule is that of this run, not of the one that wrote the checkpoint: a longer last stage than before
        goes on from where its longer cosine stands at this step.
        """
        path = self.folder / "checkpoint.pt"
        state = checkpoint.read(path)
        if state is None:
            return
        if state["seed"] != self.seed:
            raise SystemExit(f"{path}: written with seed {state['seed']}, asked for {self.seed}")
        if state.get("shape", DEFAULT.name) != self.student.shape.name:
            raise SystemExit(f"{path}: of shape {state['shape']}, asked for {self.student.shape.name}")
        self.step, self.exported = state["step"], state["exported"]
        self.student.load_state_dict(state["student"])
        self.optimiser.load_state_dict(state["optimiser"])
        torch.set_rng_state(state["random"])

    def train_step(self, crops: torch.Tensor, teacher: Teacher) -> torch.Tensor:
        """One step of AdamW on N×H×W×3 uint8 crops. Returns the loss by boundary."""
        rate = self.schedule.learning_rate(self.step)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        local = self.schedule(self.step).name == "local"
        self.optimiser.zero_grad(set_to_none=True)
        total, terms = self.distilling(teacher, normalise(crops.to(self.processes.device)), local)
        total.backward()
        self.optimiser.step()
        self.step += 1
        return terms


def measure(run: Run, held_out: HeldOut, teacher: Teacher, log: Log, stage: str) -> float:
    """Measures the chain (and, in the local stage, the stages alone) on held-out photos; returns the chain's mean."""
    modes = [("chain", False), ("local", True)] if stage == "local" else [("chain", False)]
    means = {}
    for mode, local in modes:
        shares = held_out.measure(run.student, teacher, local)
        means[mode] = sum(shares.values()) / len(shares)
        taps = sum(shares[name] for name in TAPS) / len(TAPS)  # no shape goes without these
        log.write({"step": run.step, "stage": stage, "mode": mode, "mean": means[mode], "taps": taps, **shares})
    return means["chain"]


def learned(terms: list[float]) -> float:
    """The sum without the boundaries that are not compared."""
    return sum(term for term in terms if not math.isnan(term))


def narrowed(
    run: Run, training: list[Photo], teacher: Teacher, tuned: Teacher | None
) -> tuple[NarrowTeacher, NarrowTeacher | None]:
    """Both teachers in the student's widths, on the bases of the first; chosen once and kept in the run folder."""
    path = run.folder / "targets.pt"
    narrow = NarrowTeacher(teacher, run.student.shape)
    if run.processes.leads and not path.exists():
        crops = Batches(training, run.schedule, BASIS_CROPS, run.seed)[0]
        narrow.fit(normalise(crops.to(run.processes.device)))
        checkpoint.write(narrow.projections(), path)
    run.processes.wait()
    narrow.load_state_dict(torch.load(path, weights_only=True), strict=False)
    narrow.to(run.processes.device)
    if tuned is None:
        return narrow, None
    other = NarrowTeacher(tuned, run.student.shape)
    other.load_state_dict(narrow.projections(), strict=False)
    return narrow, other.to(run.processes.device)


def train(
    run: Run, photos: list[Photo], teacher: Teacher, arguments: argparse.Namespace, tuned: Teacher | None = None
) -> None:
    """Runs from the run's step to the end of the schedule; `tuned` is the teacher of the stage of that name."""
    schedule = run.schedule
    training, rest = split(photos)
    held_out = HeldOut(rest)
    print(f"{len(training)} photos to train on, {len(rest)} held out; {schedule}; from step {run.step}", flush=True)
    if run.student.shape.narrow:
        teacher, tuned = narrowed(run, training, teacher, tuned)
    if run.step == 0 and not arguments.start:
        first = Batches(training, schedule, SCALE_CROPS, run.seed)[0]
        run.student.match_scales(teacher.scales(normalise(first.to(run.processes.device))))
    leads = run.processes.leads
    log = Log(run.folder / "train.csv" if leads else None, ["step", "stage", "seconds", "rate", "loss", *NAMES], run.step)
    columns = ["step", "stage", "mode", "mean", "taps", *NAMES]
    held_log = Log(run.folder / "held_out.csv" if leads else None, columns, run.step)
    stop = min(arguments.stop or schedule.steps, schedule.steps)
    loader = DataLoader(
        Batches(training, schedule, run.processes.part(arguments.batch), run.processes.seed(run.seed)),
        batch_size=None,
        sampler=range(run.step, stop),
        num_workers=arguments.workers,
        prefetch_factor=8 if arguments.workers else None,
    )
    # tqdm writes to the log where stderr is a file: once a minute is enough there.
    run.processes.wait()  # the first one has read what is about to be written over
    bar = tqdm(loader, disable=not leads, initial=run.step, total=schedule.steps, unit="step", mininterval=arguments.progress)
    window, started, saved = [], time.monotonic(), time.monotonic()
    for crops in bar:
        stage = schedule(run.step).name
        if stage == "tuned" and teacher is not tuned:
            # What was exported before was measured against another teacher: no comparison holds from here on.
            teacher, run.exported = tuned, float("inf")
        window.append(run.train_step(crops, teacher).cpu())
        if run.step % LOG_STEPS == 0:
            terms, seconds = torch.stack(window).mean(0).tolist(), (time.monotonic() - started) / len(window)
            rate = schedule.learning_rate(run.step - 1)
            row = {"step": run.step, "stage": stage, "seconds": seconds, "rate": rate, "loss": learned(terms)}
            log.write({**row, **dict(zip(NAMES, terms, strict=True))})
            bar.set_postfix(stage=stage, loss=f"{learned(terms):.3f}")
            window, started = [], time.monotonic()

        ends = run.step == schedule.steps or schedule(run.step).name != stage
        if leads and (ends or run.step % arguments.measure_steps == 0):
            mean = measure(run, held_out, teacher, held_log, stage)
            if ends and stage != "local" and arguments.export and mean < run.exported:
                export(run.student, arguments.export)
                run.exported = mean
                tqdm.write(f"step {run.step}: exported at a held-out mean of {mean:.4f}")
        if ends:
            run.save(f"after_{stage}.pt")
        if ends or run.step == stop or time.monotonic() - saved > arguments.save_seconds:
            run.save()
            saved = time.monotonic()


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_run(parser, threads=2, save_seconds=180, measure_steps=500)
    options.add_sources(parser)
    parser.add_argument("--export", type=Path, help="ONNX file to write whenever a stage ends better than before")
    parser.add_argument("--shape", choices=SHAPES, default=DEFAULT.name, help="widths and depth of the student")
    parser.add_argument("--start", type=Path, help="checkpoint whose weights to begin with (`warm_start.py`)")
    parser.add_argument("--relations", type=float, default=0.0, help="weight of distances between photos, of a chain")
    parser.add_argument("--half-teacher", action="store_true", help="run the teacher in bfloat16: faster where the processor can")
    parser.add_argument("--local-steps", type=int, default=3000)
    parser.add_argument("--chain-steps", type=int, default=3000)
    parser.add_argument("--large-steps", type=int, default=3000)
    parser.add_argument("--tuned-steps", type=int, default=0)
    parser.add_argument("--tuned-teacher", type=Path, help="weight file that tune.py wrote")
    parser.add_argument("--rate", type=float, default=3e-3, help="peak learning rate of local and chain")
    parser.add_argument("--large-rate", type=float, default=1e-3)
    parser.add_argument("--tuned-rate", type=float, default=1e-3)
    parser.add_argument("--stop", type=int, help="step to end at, before the end of the schedule")
    parser.add_argument("--batch", type=int, default=16)
    return parser.parse_args()


def main() -> None:
    arguments = read_options()
    schedule = Schedule(
        arguments.local_steps,
        arguments.chain_steps,
        arguments.large_steps,
        arguments.rate,
        arguments.large_rate,
        arguments.tuned_steps,
        arguments.tuned_rate,
    )
    if arguments.tuned_steps and not arguments.tuned_teacher:
        raise SystemExit("--tuned-steps needs --tuned-teacher")
    processes = options.begin(arguments)
    run = Run(arguments.run, schedule, arguments.seed, SHAPES[arguments.shape], processes, arguments.relations)
    if arguments.start:
        run.student.load_state_dict(torch.load(arguments.start, weights_only=True)["student"])
    run.resume()
    photos = load(arguments.shared, tuple(arguments.sources), arguments.any_licence)
    precision = torch.bfloat16 if arguments.half_teacher else torch.float32
    teacher = Teacher(arguments.shared / WEIGHTS, precision).to(processes.device)
    tuned = Teacher(arguments.tuned_teacher, precision).to(processes.device) if arguments.tuned_teacher else None
    train(run, photos, teacher, arguments, tuned)


if __name__ == "__main__":
    main()
