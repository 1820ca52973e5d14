"""Fine-tunes the teacher or a student by instance discrimination on simulated captures. See README.md.

    python tune.py --shared DIR --run target/train/teacher-1 --seed 1                       # the teacher
    python tune.py --shared DIR --run target/train/tuned --student CHECKPOINT --export target/student.onnx

Only the tail of the network (`folded.py`) and the heads learn. Next to InfoNCE, the maps are held near those of the
network as it started, or of `--target`, place by place. What leaves is a running average of the weights: `tuned.npz`
(teacher) or `tuned.pt` (student) in the run folder.
"""

import argparse
import copy
import json
import math
import time
from pathlib import Path

import torch
from torch.utils.data import DataLoader
from tqdm import tqdm

from captures import Pairs
from contrastive import Memory, info_nce, map_distance
from distill import WEIGHTS, Log
from export import export, read_student
from folded import TRUNK_STAGES, FoldedNetwork
from heads import Heads
from loss import HeldOut, normalise
from photos import SOURCES, Photo, load, split
from recall import Recall
from recipe import RECIPES, THREE_TAPS, Recipe, pooled

LOG_STEPS = 20
WARM_UP_STEPS = 20  # Adam's first steps are all of full size, and moved the maps far without any use
AVERAGE_STEPS = 60  # how far back the running average of the weights looks


def rate(step: int, steps: int) -> float:
    """Share of the peak learning rate: linear warm-up, then a cosine to zero."""
    return min(1.0, (step + 1) / WARM_UP_STEPS) * 0.5 * (1 + math.cos(math.pi * step / steps))


class Tuning:
    """Network, heads, memory and optimiser of a run; saved and restored as a whole."""

    def __init__(self, network: FoldedNetwork, heads: Heads, target: FoldedNetwork, arguments: argparse.Namespace):
        self.network, self.heads, self.target, self.arguments = network, heads, target, arguments
        self.own_trunk = _same(_trunk(network), _trunk(target))
        self.average, self.step = copy.deepcopy(network), 0
        self.memory = Memory(arguments.memory, len(heads.taps), heads.dimensions)
        tail = [parameter for parameter in network.parameters() if parameter.requires_grad]
        groups = [{"params": tail, "peak": arguments.rate}, {"params": heads.parameters(), "peak": arguments.head_rate}]
        self.optimiser = torch.optim.AdamW(groups, weight_decay=0.0)

    def save(self, path: Path) -> None:
        state = {
            "step": self.step,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "heads": self.heads.state_dict(),
            "memory": self.memory.state(),
            "optimiser": self.optimiser.state_dict(),
        }
        partial = path.with_name(path.name + ".partial")
        torch.save(state, partial)
        partial.replace(path)

    def resume(self, path: Path) -> None:
        if not path.exists():
            return
        state = torch.load(path, weights_only=True)
        self.step = state["step"]
        for name in ("network", "average", "heads", "optimiser"):
            getattr(self, name).load_state_dict(state[name])
        self.memory.restore(state["memory"])

    def train_step(self, stacks: tuple[torch.Tensor, torch.Tensor], photos: torch.Tensor) -> dict[str, float]:
        """One step on two stacks of captures (N×H×W×3 uint8 each); returns the loss by term."""
        for group in self.optimiser.param_groups:
            group["lr"] = group["peak"] * rate(self.step, self.arguments.steps)
        self.optimiser.zero_grad(set_to_none=True)
        vectors, moved = [], 0.0
        for crops in stacks:
            image = normalise(crops)
            middle = self.network.trunk(image)
            with torch.no_grad():
                wanted = self.target.tail(middle if self.own_trunk else self.target.trunk(image))
            maps = self.network.tail(middle)
            moved = moved + map_distance(maps, wanted) / 2
            vectors.append(pooled(maps, self.heads.recipe))
        parts = self.heads({tap: torch.cat([rows[tap] for rows in vectors]) for tap in self.heads.taps}).chunk(2)
        joint, *single = info_nce(*parts, photos, self.memory, self.heads.shares)
        of_parts = torch.stack(single).mean()
        (joint + of_parts + self.arguments.distillation * moved).backward()
        self.optimiser.step()
        self.step += 1
        for part in parts:
            self.memory.push(part, photos)
        share = 1 / min(self.step, AVERAGE_STEPS)
        with torch.no_grad():
            for mean, value in zip(self.average.parameters(), self.network.parameters(), strict=True):
                mean.lerp_(value, share)
        return {"joint": joint.item(), "parts": of_parts.item(), "moved": moved.item()}


def _trunk(network: FoldedNetwork) -> list[torch.Tensor]:
    return list(network.stages[:TRUNK_STAGES].parameters())


def _same(left: list[torch.Tensor], right: list[torch.Tensor]) -> bool:
    pairs = zip(left, right, strict=False)
    return all(one.shape == two.shape and torch.equal(one, two) for one, two in pairs)


class Judge:
    """Held-out measures: recall of simulated captures, and how far whole photos' maps are from the target's."""

    def __init__(self, training: list[Photo], held_out: list[Photo], log: Log, recipe: Recipe = THREE_TAPS):
        self.recall, self.photos, self.log = Recall(training, held_out, recipe=recipe), HeldOut(held_out), log

    @torch.no_grad()
    def measure(self, network: FoldedNetwork, target: FoldedNetwork, step: int) -> dict[str, float]:
        moved = [float(map_distance(network(image), target(image))) for image in map(normalise, self.photos.batches)]
        row = {"step": step, **self.recall.measure(network), "moved": sum(moved) / len(moved)}
        self.log.write(row)
        print({name: round(value, 4) for name, value in row.items()}, flush=True)
        return row


def train(tuning: Tuning, photos: list[Photo], judge: Judge) -> None:
    arguments = tuning.arguments
    folder = arguments.run
    log = Log(folder / "train.csv", ["step", "seconds", "joint", "parts", "moved"], tuning.step)
    loader = DataLoader(
        Pairs(photos, arguments.batch, arguments.seed),
        batch_size=None,
        sampler=range(tuning.step, arguments.steps),
        num_workers=arguments.workers,
        prefetch_factor=4 if arguments.workers else None,
    )
    if tuning.step == 0:
        judge.measure(tuning.network, tuning.target, 0)
    window, started, saved = [], time.monotonic(), time.monotonic()
    for one, two, chosen in tqdm(loader, initial=tuning.step, total=arguments.steps, mininterval=arguments.progress):
        window.append(tuning.train_step((one, two), chosen))
        if tuning.step % LOG_STEPS == 0:
            means = {name: sum(terms[name] for terms in window) / len(window) for name in window[0]}
            log.write({"step": tuning.step, "seconds": (time.monotonic() - started) / len(window), **means})
            window, started = [], time.monotonic()
        ends = tuning.step == arguments.steps
        if ends or time.monotonic() - saved > arguments.save_seconds:
            tuning.save(folder / "checkpoint.pt")
            saved = time.monotonic()
        if ends or tuning.step % arguments.measure_steps == 0:
            write(tuning.average, arguments)
            judge.measure(tuning.average, tuning.target, tuning.step)


def held_out_columns(sources: list[str]) -> list[str]:
    return ["step", "recall_at_1", "reciprocal_rank", *(f"rank_{source}" for source in sorted(sources)), "moved"]


def write(network: FoldedNetwork, arguments: argparse.Namespace) -> None:
    """Writes the averaged weights as a teacher's weight file, or as a student's checkpoint and its export."""
    if arguments.student is None:
        network.into_teacher(arguments.run / "tuned.npz")
        return
    student = read_student(arguments.student)
    network.into_student(student)
    torch.save({"shape": student.shape.name, "student": student.state_dict()}, arguments.run / "tuned.pt")
    if arguments.export:
        export(student, arguments.export)


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True, help="folder that holds data/ and weights/")
    parser.add_argument("--run", type=Path, required=True, help="folder of checkpoints and logs")
    parser.add_argument("--student", type=Path, help="checkpoint of the student to tune; without it the teacher is")
    parser.add_argument("--recipe", choices=RECIPES, default="three-taps", help="descriptor to tune under")
    parser.add_argument("--target", type=Path, help="weight file of a teacher to stay near, instead of the start")
    parser.add_argument("--export", type=Path, help="ONNX file to write a student to")
    parser.add_argument("--sources", nargs="+", choices=SOURCES, default=list(SOURCES))
    parser.add_argument("--any-licence", action="store_true", help="also photos whose terms do not permit shipping")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch", type=int, default=48, help="photos a step, two captures of each")
    parser.add_argument("--rate", type=float, default=4e-5)
    parser.add_argument("--head-rate", type=float, default=3e-3)
    parser.add_argument("--distillation", type=float, default=10.0, help="weight of the maps' distance")
    parser.add_argument("--memory", type=int, default=2048, help="past captures kept as negatives")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1, help="processes that make captures")
    parser.add_argument("--measure-steps", type=int, default=150)
    parser.add_argument("--save-seconds", type=float, default=120)
    parser.add_argument("--progress", type=float, default=30, help="seconds between updates of the progress bar")
    return parser.parse_args()


def main() -> None:
    arguments = options()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    arguments.run.mkdir(parents=True, exist_ok=True)
    arguments.run.joinpath("options.json").write_text(json.dumps(vars(arguments), default=str, indent=1))
    if arguments.student:
        network = FoldedNetwork.from_student(read_student(arguments.student))
    else:
        network = FoldedNetwork.from_teacher(arguments.shared / WEIGHTS)
    target = FoldedNetwork.from_teacher(arguments.target) if arguments.target else copy.deepcopy(network)
    target.requires_grad_(False)
    training, held_out = split(load(arguments.shared, tuple(arguments.sources), arguments.any_licence))
    checkpoint = arguments.run / "checkpoint.pt"
    log = Log(arguments.run / "held_out.csv", held_out_columns(arguments.sources), _step(checkpoint))
    recipe = RECIPES[arguments.recipe]
    judge = Judge(training, held_out, log, recipe)
    heads = Heads.learned(judge.recall.fitting_taps(network), recipe)
    tuning = Tuning(network, heads, target, arguments)
    tuning.resume(checkpoint)
    train(tuning, training, judge)


def _step(checkpoint: Path) -> int:
    return torch.load(checkpoint, weights_only=True)["step"] if checkpoint.exists() else 0


if __name__ == "__main__":
    main()
