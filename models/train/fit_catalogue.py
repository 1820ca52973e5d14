"""Fine-tunes a network on a catalogue with groups, by metric learning. See README.md.

    python fit_catalogue.py --shared DIR --photos CATALOGUE --groups CATALOGUE/gt.tsv --run target/train/catalogue \\
      --student CHECKPOINT --export target/catalogue.onnx
    python fit_catalogue.py … --groups MINED/pairs.tsv      # what `pocketlens mine` found, no labels needed

A batch holds P groups with K captures each, and captures of `data/unlabelled`, every photo a group of its own: the
catalogue alone is too few things to tell apart. Next to the loss, the maps are held near those of the start.

Several processes (`processes.py`) share the captures of a batch; pooled maps and labels are gathered before the heads. So
means, mining and loss are those of the whole batch in each of them, and a step is that of one process.
"""

import argparse
import copy
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

import checkpoint
import metric
import mining
import options
from captures import SIZES, capture
from catalogue import GroupsAndPhotos, Labelled, joined, load, read_groups, read_pairs
from contrastive import map_distance
from distill import WEIGHTS, Log
from export import export, read_student
from folded import FoldedNetwork
from heads import Heads
from loss import normalise
from photos import Photo
from photos import load as load_photos
from processes import Processes
from recall import VIEWS, describe, views_of
from recipe import RECIPES, pooled
from tune import rate

LOSSES = ("triplet", "semi-hard", "cosine-triplet", "contrastive", "coupled", "ranking", "arcface")
CLUTTER_CHANCE = 0.3
LOG_STEPS = 10
RANKED_NEGATIVES = 10


class Objective(torch.nn.Module):
    """One of `LOSSES` on N×d descriptors and N labels, with the mining that goes with it."""

    def __init__(self, name: str, labels: int, dimensions: int):
        super().__init__()
        self.name = name
        self.arcface = metric.ArcFace(labels, dimensions) if name == "arcface" else None

    def forward(self, descriptors: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        match self.name:
            case "triplet":
                return metric.triplet(descriptors, mining.batch_hard(descriptors, labels), 0.3, squared=False)
            case "semi-hard":
                return metric.triplet(descriptors, mining.semi_hard(descriptors, labels), 0.2)
            case "cosine-triplet":
                # Of unit vectors d² = 2 - 2 cos. With the hardest triplets, training stood still on rendered products.
                return metric.cosine_triplet(descriptors, mining.semi_hard(descriptors, labels, 0.4), 0.2)
            case "contrastive":
                anchor, positive, negative = mining.batch_hard(descriptors, labels).T
                left, right = torch.cat([anchor, anchor]), torch.cat([positive, negative])
                same = torch.arange(len(left), device=left.device) < len(anchor)
                return metric.contrastive(descriptors[left], descriptors[right], same, 1.2)
            case "coupled":
                return metric.coupled_clusters(descriptors, labels, 0.6)
            case "ranking":
                return _ranked(descriptors, labels)
            case "arcface":
                return self.arcface(descriptors, labels)
        raise ValueError(self.name)


def _ranked(descriptors: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Every photo as a query: of its group only the best match is trusted, against its hardest negatives."""
    terms = []
    for query, label in enumerate(labels):
        others = torch.arange(len(labels), device=labels.device) != query
        potential, rest = descriptors[(labels == label) & others], descriptors[labels != label]
        if len(potential) and len(rest):
            chosen = mining.hardest_negatives(descriptors[query], rest, RANKED_NEGATIVES)
            terms.append(metric.weakly_ranked(descriptors[query], potential, rest[chosen]))
    return torch.stack(terms).mean() if terms else descriptors.sum() * 0


class Captures(Dataset):
    """Batch `step`: captures (N×H×W×3 uint8) of P groups, K each, then pairs of captures of other photos; labels.

    Of several processes each gets its part of the N: groups, photos and size they draw alike, captures each by itself.
    """

    def __init__(
        self,
        items: list[Labelled],
        others: list[Photo],
        batches: GroupsAndPhotos,
        pairs: int,
        processes: Processes = Processes(),
    ):
        self.items, self.others, self.batches, self.pairs, self.processes = items, others, batches, pairs, processes
        self.groups = 1 + max(item.group for item in items)

    def __getitem__(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        cv2.setNumThreads(0)
        rng = np.random.default_rng([self.batches.seed, step, 1])
        photos = [(self.items[index].photo, self.items[index].group) for index in self.batches[step]]
        if self.pairs:
            for index in rng.choice(len(self.others), self.pairs, replace=False):
                photos += [(self.others[index], self.groups + int(index))] * 2
        size = SIZES[int(rng.integers(len(SIZES)))]
        photos, own = photos[self.processes.rows(len(photos))], self.processes.stream(rng, self.batches.seed, step, 1)
        clutter = [self.others[int(own.integers(len(self.others)))].pixels for _ in photos]
        views = [
            capture(photo.pixels, CLUTTER_CHANCE, other, size, own)
            for (photo, _), other in zip(photos, clutter, strict=True)
        ]
        return torch.from_numpy(np.stack(views)), torch.tensor([label for _, label in photos])


class Compared(torch.nn.Module):
    """The loss of a step as a module, for `Processes.wrap`."""

    def __init__(self, network: FoldedNetwork, heads: Heads, objective: Objective, processes: Processes):
        super().__init__()
        self.network, self.heads, self.objective, self.processes = network, heads, objective, processes

    def forward(
        self, crops: torch.Tensor, labels: torch.Tensor, start: FoldedNetwork
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Of this process's captures (N×H×W×3 uint8) and labels: the whole batch's loss, and how far its own maps moved."""
        middle = self.network.trunk(normalise(crops))
        with torch.no_grad():
            wanted = start.tail(middle)
        maps = self.network.tail(middle)
        vectors = pooled(maps, self.heads.recipe)
        descriptors = self.heads.joint({tap: self.processes.gathered(rows) for tap, rows in vectors.items()})
        return self.objective(descriptors, self.processes.gathered(labels)), map_distance(maps, wanted)


class Fitting:
    """Network, heads, objective and optimiser; saved and restored as a whole."""

    def __init__(
        self,
        network: FoldedNetwork,
        heads: Heads,
        objective: Objective,
        arguments: argparse.Namespace,
        processes: Processes = Processes(),
    ):
        learning = (module.to(processes.device) for module in (network, heads, objective))
        self.network, self.heads, self.objective = learning
        self.arguments, self.processes = arguments, processes
        self.start, self.step = copy.deepcopy(network).requires_grad_(False), 0
        self.loss = processes.wrap(Compared(network, heads, objective, processes))
        tail = [parameter for parameter in network.parameters() if parameter.requires_grad]
        new = [*heads.parameters(), *objective.parameters()]
        groups = [{"params": tail, "peak": arguments.rate}, {"params": new, "peak": arguments.head_rate}]
        self.optimiser = torch.optim.AdamW(groups, weight_decay=0.0)

    def train_step(self, crops: torch.Tensor, labels: torch.Tensor) -> dict[str, float]:
        """One step on captures (N×H×W×3 uint8), this process's part of the batch; returns the loss by term."""
        for group in self.optimiser.param_groups:
            group["lr"] = group["peak"] * rate(self.step, self.arguments.steps)
        self.optimiser.zero_grad(set_to_none=True)
        device = self.processes.device
        loss, moved = self.loss(crops.to(device), labels.to(device), self.start)
        (loss + self.arguments.distillation * moved).backward()
        self.optimiser.step()
        self.step += 1
        return {"loss": loss.item(), "moved": moved.item()}

    def save(self, path: Path) -> None:
        if self.processes.leads:
            state = {name: getattr(self, name).state_dict() for name in ("network", "heads", "objective", "optimiser")}
            checkpoint.write({"step": self.step, **state}, path)

    def resume(self, path: Path) -> None:
        state = checkpoint.read(path)
        if state is not None:
            self.step = state["step"]
            for name in ("network", "heads", "objective", "optimiser"):
                getattr(self, name).load_state_dict(state[name])


def fit(
    network: FoldedNetwork,
    items: list[Labelled],
    others: list[Photo],
    arguments: argparse.Namespace,
    processes: Processes = Processes(),
) -> Fitting:
    """Trains `network` in place and returns it with its heads; goes on from the run's checkpoint where there is one."""
    recipe = RECIPES[arguments.recipe]
    network.to(processes.device)
    views = views_of(others[: arguments.fitted], others, VIEWS, arguments.seed)
    taps = {tap: rows.reshape(-1, VIEWS, rows.shape[1]) for tap, rows in describe(network, views, recipe).items()}
    heads = Heads.learned(taps, recipe)
    groups = 1 + max(item.group for item in items)
    dimensions = len(heads.taps) * heads.dimensions
    objective = Objective(arguments.loss, groups + len(others), dimensions)
    fitting = Fitting(network, heads, objective, arguments, processes)
    path = arguments.run / "checkpoint.pt"
    fitting.resume(path)
    table = arguments.run / "train.csv" if processes.leads else None
    log = Log(table, ["step", "seconds", "loss", "moved"], fitting.step)
    batches = GroupsAndPhotos(
        [item.group for item in items], arguments.groups_per_batch, arguments.per_group, arguments.steps, arguments.seed
    )
    loader = DataLoader(
        Captures(items, others, batches, arguments.pairs, processes),
        batch_size=None,
        sampler=range(fitting.step, arguments.steps),
        num_workers=arguments.workers,
    )
    window, started, saved = [], time.monotonic(), time.monotonic()
    bar = {"initial": fitting.step, "total": arguments.steps, "mininterval": arguments.progress}
    for crops, labels in tqdm(loader, disable=not processes.leads, **bar):
        window.append(fitting.train_step(crops, labels))
        if fitting.step % LOG_STEPS == 0:
            means = {name: sum(terms[name] for terms in window) / len(window) for name in window[0]}
            log.write({"step": fitting.step, "seconds": (time.monotonic() - started) / len(window), **means})
            window, started = [], time.monotonic()
        if fitting.step == arguments.steps or time.monotonic() - saved > arguments.save_seconds:
            fitting.save(path)
            saved = time.monotonic()
    return fitting


def add_options(parser: argparse.ArgumentParser) -> None:
    """What this run and `half_groups.py` share."""
    options.add_run(parser)
    parser.add_argument("--student", type=Path, help="checkpoint of the student to fit; without it the teacher is")
    parser.add_argument("--loss", choices=LOSSES, default="triplet")
    parser.add_argument("--recipe", choices=RECIPES, default="focused", help="descriptor to fit under")
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--groups-per-batch", type=int, default=8)
    parser.add_argument("--per-group", type=int, default=4)
    parser.add_argument("--pairs", type=int, default=8, help="photos of data/unlabelled in a batch, two captures each")
    parser.add_argument("--fitted", type=int, default=200, help="photos that the heads start from")
    parser.add_argument("--rate", type=float, default=4e-5)
    parser.add_argument("--head-rate", type=float, default=1e-3)
    parser.add_argument("--distillation", type=float, default=5.0, help="weight of the maps' distance")


def start(arguments: argparse.Namespace) -> tuple[FoldedNetwork, list[Photo]]:
    """The network as it begins, and the photos beside the catalogue."""
    others = load_photos(arguments.shared, ("unlabelled",))
    order = np.random.default_rng(arguments.seed).permutation(len(others))
    others = [others[index] for index in order]
    if arguments.student:
        return FoldedNetwork.from_student(read_student(arguments.student)), others
    return FoldedNetwork.from_teacher(arguments.shared / WEIGHTS), others


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--photos", type=Path, required=True, help="folder of the catalogue's photos")
    parser.add_argument("--groups", type=Path, required=True, help="table of image and group, or pairs.tsv of a mining")
    parser.add_argument("--export", type=Path, help="ONNX file to write a student to")
    arguments = parser.parse_args()
    processes = options.begin(arguments)
    network, others = start(arguments)
    is_mined = arguments.groups.name == "pairs.tsv"
    groups = joined(read_pairs(arguments.groups)) if is_mined else read_groups(arguments.groups)
    fit(network, load(arguments.photos, groups), others, arguments, processes)
    if not processes.leads:
        return
    if not arguments.student:
        network.into_teacher(arguments.run / "fitted.npz")
        return
    student = read_student(arguments.student)
    network.into_student(student)
    checkpoint.write({"shape": student.shape.name, "student": student.state_dict()}, arguments.run / "fitted.pt")
    if arguments.export:
        export(student, arguments.export)


if __name__ == "__main__":
    main()
