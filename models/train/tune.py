"""Fine-tunes the teacher or a student by instance discrimination on simulated captures. See README.md.

    python tune.py --shared DIR --run target/train/teacher-1 --seed 1                       # the teacher
    python tune.py --shared DIR --run target/train/tuned --student CHECKPOINT --export target/student.onnx

Only the tail of the network (`folded.py`) and the heads learn. Next to InfoNCE, the maps are held near those of the
network as it started, or of `--target`, place by place. What leaves is a running average of the weights: `tuned.npz`
(teacher) or `tuned.pt` (student) in the run folder.

Several processes (`processes.py`) share the captures of a batch; pooled maps are gathered before the heads. So means,
negatives and memory are those of the whole batch in each of them, and a step is that of one process.
"""

import argparse
import copy
import math
import time
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader
from tqdm import tqdm

import checkpoint
import options
from captures import Pairs
from contrastive import Memory, info_nce, map_distance
from distill import WEIGHTS, Log
from export import export, read_student
from folded import TRUNK_STAGES, FoldedNetwork
from heads import Heads
from loss import HeldOut, normalise
from photos import Photo, load, split
from processes import Processes
from recall import Recall
from recipe import RECIPES, THREE_TAPS, Recipe, pooled

LOG_STEPS = 20
WARM_UP_STEPS = 20  # Adam's first steps are all of full size, and moved the maps far without any use
AVERAGE_STEPS = 60  # how far back the running average of the weights looks


def rate(step: int, steps: int) -> float:
    """Share of the peak learning rate: linear warm-up, then a cosine to zero."""
    return min(1.0, (step + 1) / WARM_UP_STEPS) * 0.5 * (1 + math.cos(math.pi * step / steps))


class Discriminating(nn.Module):
    """The loss of a step as a module, for `Processes.wrap`."""

    def __init__(self, network: FoldedNetwork, heads: Heads, own_trunk: bool, processes: Processes):
        """`own_trunk`: what is held to has the trunk of `network`, so it need not be worked out again."""
        super().__init__()
        self.network, self.heads, self.own_trunk, self.processes = network, heads, own_trunk, processes

    def forward(
        self, stacks: tuple[torch.Tensor, torch.Tensor], photos: torch.Tensor, target: FoldedNetwork, memory: Memory
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, tuple[torch.Tensor, ...]]:
        """Of two stacks of this process's captures (N×H×W×3 uint8 each) and the indices of the whole batch's photos.

        InfoNCE of the joint descriptor, the mean of that of its parts, how far this process's maps moved; and the
        whole batch's descriptors of each stack.
        """
        vectors, moved = [], 0.0
        for crops in stacks:
            image = normalise(crops)
            middle = self.network.trunk(image)
            with torch.no_grad():
                wanted = target.tail(middle if self.own_trunk else target.trunk(image))
            maps = self.network.tail(middle)
            moved = moved + map_distance(maps, wanted) / 2
            own = pooled(maps, self.heads.recipe)
            vectors.append({tap: self.processes.gathered(rows) for tap, rows in own.items()})
        parts = self.heads({tap: torch.cat([rows[tap] for rows in vectors]) for tap in self.heads.taps}).chunk(2)
        joint, *single = info_nce(*parts, photos, memory, self.heads.shares)
        return joint, torch.stack(single).mean(), moved, parts


class Tuning:
    """Network, heads, memory and optimiser of a run; saved and restored as a whole."""

    def __init__(
        self,
        network: FoldedNetwork,
        heads: Heads,
        target: FoldedNetwork,
        arguments: argparse.Namespace,
        processes: Processes = Processes(),
    ):
        self.network, self.heads, self.target = (module.to(processes.device) for module in (network, heads, target))
        self.arguments, self.processes = arguments, processes
        self.average, self.step = copy.deepcopy(network), 0
        self.memory = Memory(arguments.memory, len(heads.taps), heads.dimensions, processes.device)
        self.loss = processes.wrap(Discriminating(network, heads, _same(_trunk(network), _trunk(target)), processes))
        tail = [parameter for parameter in network.parameters() if parameter.requires_grad]
        groups = [{"params": tail, "peak": arguments.rate}, {"params": heads.parameters(), "peak": arguments.head_rate}]
        self.optimiser = torch.optim.AdamW(groups, weight_decay=0.0)

    def save(self, path: Path) -> None:
        if not self.processes.leads:
            return
        state = {
            "step": self.step,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "heads": self.heads.state_dict(),
            "memory": self.memory.state(),
            "optimiser": self.optimiser.state_dict(),
        }
        checkpoint.write(state, path)

    def resume(self, path: Path) -> None:
        state = checkpoint.read(path)
        if state is None:
            return
        self.step = state["step"]
        for name in ("network", "average", "heads", "optimiser"):
            getattr(self, name).load_state_dict(state[name])
        self.memory.restore(state["memory"])

    def train_step(self, stacks: tuple[torch.Tensor, torch.Tensor], photos: torch.Tensor) -> dict[str, float]:
        """One step on two stacks of captures (N×H×W×3 uint8 each) of N photos, this process's part of the batch.

        Returns the loss by term.
        """
        device = self.processes.device
        stacks, photos = tuple(crops.to(device) for crops in stacks), self.processes.gathered(photos.to(device))
        for group in self.optimiser.param_groups:
            group["lr"] = group["peak"] * rate(self.step, self.arguments.steps)
        self.optimiser.zero_grad(set_to_none=True)
        joint, of_parts, moved, parts = self.loss(stacks, photos, self.target, self.memory)
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
        device = next(network.parameters()).device
        images = (normalise(crops.to(device)) for crops in self.photos.batches)
        moved = [float(map_distance(network(image), target(image))) for image in images]
        row = {"step": step, **self.recall.measure(network), "moved": sum(moved) / len(moved)}
        self.log.write(row)
        print({name: round(value, 4) for name, value in row.items()}, flush=True)
        return row


def train(tuning: Tuning, photos: list[Photo], judge: Judge) -> None:
    arguments = tuning.arguments
    folder, processes = arguments.run, tuning.processes
    columns = ["step", "seconds", "joint", "parts", "moved"]
    log = Log(folder / "train.csv" if processes.leads else None, columns, tuning.step)
    loader = DataLoader(
        Pairs(photos, arguments.batch, arguments.seed, processes),
        batch_size=None,
        sampler=range(tuning.step, arguments.steps),
        num_workers=arguments.workers,
        prefetch_factor=4 if arguments.workers else None,
    )
    if processes.leads and tuning.step == 0:
        judge.measure(tuning.network, tuning.target, 0)
    if processes.leads and tuning.step == arguments.steps:
        write(tuning.average, arguments)  # it may have been interrupted behind its last checkpoint
    window, started, saved = [], time.monotonic(), time.monotonic()
    bar = {"initial": tuning.step, "total": arguments.steps, "mininterval": arguments.progress}
    for one, two, chosen in tqdm(loader, disable=not processes.leads, **bar):
        window.append(tuning.train_step((one, two), chosen))
        if tuning.step % LOG_STEPS == 0:
            means = {name: sum(terms[name] for terms in window) / len(window) for name in window[0]}
            log.write({"step": tuning.step, "seconds": (time.monotonic() - started) / len(window), **means})
            window, started = [], time.monotonic()
        ends = tuning.step == arguments.steps
        if ends or time.monotonic() - saved > arguments.save_seconds:
            tuning.save(folder / "checkpoint.pt")
            saved = time.monotonic()
        if processes.leads and (ends or tuning.step % arguments.measure_steps == 0):
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
    checkpoint.write({"shape": student.shape.name, "student": student.state_dict()}, arguments.run / "tuned.pt")
    if arguments.export:
        export(student, arguments.export)


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_run(parser, measure_steps=150)
    options.add_sources(parser)
    parser.add_argument("--student", type=Path, help="checkpoint of the student to tune; without it the teacher is")
    parser.add_argument("--recipe", choices=RECIPES, default="three-taps", help="descriptor to tune under")
    parser.add_argument("--target", type=Path, help="weight file of a teacher to stay near, instead of the start")
    parser.add_argument("--export", type=Path, help="ONNX file to write a student to")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch", type=int, default=48, help="photos a step, two captures of each")
    parser.add_argument("--rate", type=float, default=4e-5)
    parser.add_argument("--head-rate", type=float, default=3e-3)
    parser.add_argument("--distillation", type=float, default=10.0, help="weight of the maps' distance")
    parser.add_argument("--memory", type=int, default=2048, help="past captures kept as negatives")
    return parser.parse_args()


def main() -> None:
    arguments = read_options()
    processes = options.begin(arguments)
    if arguments.student:
        network = FoldedNetwork.from_student(read_student(arguments.student))
    else:
        network = FoldedNetwork.from_teacher(arguments.shared / WEIGHTS)
    network.to(processes.device)
    target = FoldedNetwork.from_teacher(arguments.target) if arguments.target else copy.deepcopy(network)
    target.requires_grad_(False)
    training, held_out = split(load(arguments.shared, tuple(arguments.sources), arguments.any_licence))
    path = arguments.run / "checkpoint.pt"
    table = arguments.run / "held_out.csv" if processes.leads else None
    log = Log(table, held_out_columns(arguments.sources), checkpoint.step(path))
    recipe = RECIPES[arguments.recipe]
    judge = Judge(training, held_out, log, recipe)
    heads = Heads.learned(judge.recall.fitting_taps(network), recipe)
    tuning = Tuning(network, heads, target, arguments, processes)
    tuning.resume(path)
    train(tuning, training, judge)


if __name__ == "__main__":
    main()
