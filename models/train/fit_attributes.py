"""Trains FashionNet's head (`attributes.py`) on the maps of a student, and writes what of it a bundle can say.

    python fit_attributes.py --table GARMENTS/garments.tsv --bundle ../default.lens --run target/train/attributes \\
      --export target/attributes.onnx --heads target/attributes.json
    pocketlens bundle convert --backbone target/attributes.onnx --heads target/attributes.json --recipe … --out …

The network stays as it is, so its descriptors do. Two stages train the whole head, a last one (`attribute_heads.py`) heads on
the mean of the map, which leave. `garments.py` says what a table holds.

Several processes (`processes.py`) each decode their part of a batch's photos and make its maps, which is nearly all the work,
and gather the maps. So triplets and norms are those of the whole batch in each of them, and a step is that of one process.
"""

import argparse
import time
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader
from tqdm import tqdm

import checkpoint
import options
from attribute_heads import WholeHeads, write_heads
from attributes import FashionHead, Stage, Truth, losses, stage_at, total
from distill import Log
from export import export, outputs, read_bundle, read_student
from folded import FoldedNetwork
from garments import GarmentBatches, Garments, decode, read
from loss import normalise
from processes import Processes
from shape import DEFAULT, SHAPES
from student import Student
from tune import rate

LOG_STEPS = 20
MEASURED = (320, 320)  # height and width of photos that a measure looks at
DIMENSIONS = 64  # of the head's descriptor, which does not leave


class FirstLosses(nn.Module):
    """The loss of the whole head's two stages as a module, for `Processes.wrap`."""

    def __init__(self, head: FashionHead, positive: torch.Tensor):
        super().__init__()
        self.head, self.positive = head, positive

    def forward(self, maps: torch.Tensor, truth: Truth, pool_at_truth: bool, stage: Stage) -> torch.Tensor:
        return total(losses(self.head(maps, truth if pool_at_truth else None), truth, self.positive), stage)


class LastLoss(nn.Module):
    """The loss of the last stage as a module, for `Processes.wrap`."""

    def __init__(self, whole: WholeHeads, positive: torch.Tensor):
        super().__init__()
        self.whole, self.positive = whole, positive

    def forward(self, maps: torch.Tensor, truth: Truth) -> torch.Tensor:
        return self.whole.loss(maps, truth, self.positive)


class Naming:
    """Both heads, optimiser and step count of a run; saved and restored as a whole."""

    def __init__(
        self, student: Student, garments: Garments, arguments: argparse.Namespace, processes: Processes = Processes()
    ):
        self.processes, self.device = processes, processes.device
        self.network, self.tap = FoldedNetwork.from_student(student).requires_grad_(False).to(self.device), arguments.tap
        self.garments, self.arguments, self.step = garments, arguments, 0
        names, channels = garments.vocabulary, outputs(student.shape)[self.tap][0]
        sizes = len(names.points), len(names.categories), len(names.attributes)
        self.head = FashionHead(channels, *sizes, dimensions=DIMENSIONS).to(self.device)
        self.whole = WholeHeads(channels, *sizes[1:]).to(self.device)
        positive = garments.positive.to(self.device)
        self.first, self.last = processes.wrap(FirstLosses(self.head, positive)), processes.wrap(LastLoss(self.whole, positive))
        self.optimisers = {
            "first": torch.optim.Adam(self.head.parameters(), arguments.rate),
            "last": torch.optim.Adam(self.whole.parameters(), arguments.rate),
        }

    @property
    def steps(self) -> int:
        return self.arguments.steps + self.arguments.last_steps

    @torch.no_grad()
    def maps(self, crops: torch.Tensor) -> torch.Tensor:
        """N×H×W×3 uint8 → N×C×H'×W'."""
        return self.network(normalise(crops.to(self.device)))[self.tap]

    def train_step(self, crops: torch.Tensor, truth: Truth) -> float:
        """One step of the stage at hand, on this process's crops and the truth of the whole batch; returns its loss."""
        first = self.arguments.steps
        is_last = self.step >= first
        optimiser = self.optimisers["last" if is_last else "first"]
        share = rate(self.step - first, self.arguments.last_steps) if is_last else rate(self.step, first)
        for group in optimiser.param_groups:
            group["lr"] = self.arguments.rate * share
        maps, truth = self.processes.gathered(self.maps(crops)), truth.to(self.device)
        if is_last:
            loss = self.last(maps, truth)
        else:
            number, stage = stage_at(self.step, first)
            # In the first stage features are pooled at the true places, in the second at those that were found.
            loss = self.first(maps, truth, number == 0, stage)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        self.step += 1
        return loss.item()

    def parts(self) -> dict:
        return {"head": self.head, "whole": self.whole, **self.optimisers}

    def save(self, path: Path) -> None:
        if self.processes.leads:
            checkpoint.write({"step": self.step, **{name: part.state_dict() for name, part in self.parts().items()}}, path)

    def resume(self, path: Path) -> None:
        state = checkpoint.read(path)
        if state is not None:
            self.step = state["step"]
            for name, part in self.parts().items():
                part.load_state_dict(state[name])


@torch.no_grad()
def measure(naming: Naming, garments: Garments) -> dict[str, float]:
    """Share of the photos with the right category, and of the attributes that are right, in percent: of both heads."""
    naming.whole.eval()
    right: dict[str, list[float]] = {}
    for number, path in enumerate(garments.paths):
        maps = naming.maps(torch.from_numpy(decode(path, MEASURED))[None])
        truth = garments.truth.of(torch.tensor([number])).to(naming.device)
        answer = naming.head(maps)
        for name, (category, attributes) in {
            "head": (answer.category, answer.attributes),
            "whole": naming.whole(maps),
        }.items():
            right.setdefault(f"{name}_category", []).append(float(category.argmax(1) == truth.category))
            right.setdefault(f"{name}_attributes", []).append(float(((attributes > 0) == truth.attributes).float().mean()))
    return {name: 100 * sum(values) / len(values) for name, values in right.items()}


def train(naming: Naming) -> None:
    """From the run's step to its end; goes on from the checkpoint where there is one."""
    arguments, leads = naming.arguments, naming.processes.leads
    naming.whole.train()
    path = arguments.run / "checkpoint.pt"
    naming.resume(path)
    log = Log(arguments.run / "train.csv" if leads else None, ["step", "seconds", "loss"], naming.step)
    shape = arguments.groups_per_batch, arguments.per_group
    batches = GarmentBatches(naming.garments, *shape, naming.steps, arguments.seed, naming.processes)
    loader = DataLoader(
        batches, batch_size=None, sampler=range(naming.step, naming.steps), num_workers=arguments.workers
    )
    window, started, saved = [], time.monotonic(), time.monotonic()
    bar = {"initial": naming.step, "total": naming.steps, "mininterval": arguments.progress}
    for crops, chosen in tqdm(loader, disable=not leads, **bar):
        window.append(naming.train_step(crops, naming.garments.truth.of(chosen)))
        if naming.step % LOG_STEPS == 0:
            seconds = (time.monotonic() - started) / len(window)
            log.write({"step": naming.step, "seconds": seconds, "loss": sum(window) / len(window)})
            window, started = [], time.monotonic()
        if naming.step == naming.steps or time.monotonic() - saved > arguments.save_seconds:
            naming.save(path)
            saved = time.monotonic()


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_run(parser, shared=False)
    parser.add_argument("--table", type=Path, required=True, help="photos and what is known of them (`garments.py`)")
    parser.add_argument("--measure", type=Path, help="a table of other photos, which both heads are measured on in the end")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--student", type=Path, help="checkpoint of the network")
    source.add_argument("--bundle", type=Path, help="int8 bundle of the network")
    parser.add_argument("--shape", choices=SHAPES, default=DEFAULT.name, help="of the network in --bundle")
    parser.add_argument("--tap", choices=("c20", "c39", "c42", "c51"), default="c39", help="map that the heads read")
    parser.add_argument("--steps", type=int, default=600, help="of the two stages of the whole head")
    parser.add_argument("--last-steps", type=int, default=300, help="of the last stage")
    parser.add_argument("--groups-per-batch", type=int, default=8)
    parser.add_argument("--per-group", type=int, default=3)
    parser.add_argument("--rate", type=float, default=3e-3, help="peak of each of the two")
    parser.add_argument("--export", type=Path, required=True, help="ONNX file to write the network and its heads to")
    parser.add_argument("--heads", type=Path, required=True, help="JSON file to write for `bundle convert --heads`")
    return parser.parse_args()


def main() -> None:
    arguments = read_options()
    processes = options.begin(arguments)
    student = read_student(arguments.student) if arguments.student else read_bundle(arguments.bundle, SHAPES[arguments.shape])
    garments = read(arguments.table)
    # Before the training, so that a table that is wrong is refused before it.
    measured = read(arguments.measure, garments.vocabulary) if arguments.measure else None
    naming = Naming(student, garments, arguments, processes)
    train(naming)
    if not processes.leads:
        return
    export(student, arguments.export, naming.whole.logit_maps(arguments.tap))
    write_heads(naming.garments.vocabulary, arguments.heads)
    if measured:
        print({name: round(value, 1) for name, value in measure(naming, measured).items()})


if __name__ == "__main__":
    main()
