"""Two processes (gloo on the CPU) tune, fit a catalogue, remind and learn to name: a step on two halves is one on the whole batch, both
hold the same weights, and the same again after an interruption."""

import argparse
import copy
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

import captures
import fit_attributes
import fit_catalogue
import garments
import lessons
import recall
import remind
import tune
from captures import Pairs
from catalogue import GroupsAndPhotos
from fit_catalogue import LOSSES, Captures, Fitting, Objective, fit
from fit_attributes import Naming
from folded import FoldedNetwork
from garments import GarmentBatches
from heads import Heads
from processes import Processes
from recall import Recall
from recipe import RECIPES
from shape import NANO
from student import Student
from test_attribute_heads import write_table
from test_fit_catalogue import arguments as catalogue_arguments
from test_fit_catalogue import catalogue
from test_processes import together
from test_train import random_photos, weights

__all__ = ["weights"]  # the fixture

BATCH = 4
Tensors = dict[str, torch.Tensor]


def small() -> None:
    """Pictures and descriptors of test size, in a process that ends with its test."""
    captures.SIZES = fit_catalogue.SIZES = recall.SHAPES = ((64, 64), (64, 96))
    recall.FITTED = 6
    lessons.COMPONENTS, lessons.BLENDED, remind.FEWEST_PAST = 8, 1 / 16, 2


def gradients(**modules: nn.Module) -> Tensors:
    return {
        f"{part}.{name}": parameter.grad
        for part, module in modules.items()
        for name, parameter in module.named_parameters()
        if parameter.requires_grad
    }


def assert_close(found: Tensors, expected: Tensors) -> None:
    """But for the order of sums: within 1e-4 of a tensor's largest value."""
    assert found.keys() == expected.keys() and found
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=1e-4 * float(value.abs().max()) + 1e-9, msg=name)


def assert_equal(found: Tensors, expected: Tensors, why: str) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), f"{name} differs {why}"


def interrupted(run, kind: type, step: int, train: Callable) -> None:
    """Trains until `step` steps are done, as if the process had been stopped there."""
    whole = kind.train_step

    def train_step(self, *batch):
        if self.step == step:
            raise KeyboardInterrupt
        return whole(self, *batch)

    kind.train_step = train_step
    try:
        train()
    except KeyboardInterrupt:
        pass
    else:
        raise AssertionError("not interrupted")
    finally:
        kind.train_step = whole


class Silent:
    """In place of a judge: the rest is about the weights."""

    def measure(self, *_) -> None:
        pass


def tuned(processes: Processes, folder: Path, teacher: Path) -> dict[str, Tensors]:
    small()
    photos, start, recipe = random_photos(24), FoldedNetwork.from_teacher(teacher), RECIPES["focused"]
    heads = Heads.learned(Recall(photos, photos[:2], recipe=recipe).fitting_taps(start), recipe)

    def begun(name: str) -> tune.Tuning:
        path = folder / name
        path.mkdir(exist_ok=True)
        values = {"run": path, "steps": 4, "batch": BATCH, "rate": 1e-3, "head_rate": 1e-3, "distillation": 1.0}
        values |= {"memory": 16, "seed": 1, "workers": 0, "measure_steps": 10, "save_seconds": 0, "progress": 60}
        values |= {"student": None, "export": None}
        network, target = copy.deepcopy(start), copy.deepcopy(start).requires_grad_(False)
        tuning = tune.Tuning(network, copy.deepcopy(heads), target, argparse.Namespace(**values), processes)
        tuning.resume(path / "checkpoint.pt")
        return tuning

    step = begun("step")
    *stacks, chosen = Pairs(photos, BATCH, seed=1)[0]
    torch.manual_seed(5)
    past = nn.functional.normalize(torch.randn(6, len(step.heads.taps), step.heads.dimensions), dim=2)
    step.memory.push(past, torch.tensor([int(chosen[0]), *range(100, 105)]))
    rows = processes.rows(BATCH)
    step.train_step(tuple(stack[rows] for stack in stacks), chosen[rows])
    result = {"gradients": gradients(network=step.network, heads=step.heads), "memory": {"parts": step.memory.parts}}

    whole = begun("whole")
    tune.train(whole, photos, Silent())
    cut = begun("cut")
    interrupted(cut, tune.Tuning, 2, lambda: tune.train(cut, photos, Silent()))
    processes.wait()  # the checkpoint is written
    resumed = begun("cut")
    assert resumed.step == 2
    tune.train(resumed, photos, Silent())
    for name, run in (("whole", whole), ("resumed", resumed)):
        states = {**run.network.state_dict(), "memory": run.memory.parts, "photos": run.memory.photos}
        states |= {f"heads.{key}": value for key, value in run.heads.state_dict().items()}
        result[name] = states | {f"average.{key}": value for key, value in run.average.state_dict().items()}
    return result


def reminded(processes: Processes, folder: Path, teacher: Path) -> dict[str, Tensors]:
    small()
    torch.manual_seed(0)
    photos, start = random_photos(12), Student().eval()
    teachers = remind.Teachers(FoldedNetwork.from_student(start), FoldedNetwork.from_teacher(teacher))
    taught = teachers.fit(Pairs(photos, BATCH, seed=1), 4)

    def begun(name: str) -> remind.Reminding:
        path = folder / name
        path.mkdir(exist_ok=True)
        values = {"run": path, "rate": 2e-5, "lesson_rate": 3e-3, "blended": 0.7, "steps": 6, "average_steps": 10}
        values |= {"save_seconds": 0, "measure_steps": 10, "progress": 60, "export": None}
        student = FoldedNetwork.from_student(start)
        reminding = remind.Reminding(student, copy.deepcopy(taught), argparse.Namespace(**values), processes)
        reminding.resume(path / "checkpoint.pt")
        return reminding

    step = begun("step")
    middle, wanted = teachers.view(Pairs(photos, BATCH, seed=1)[0][0])
    rows = processes.rows(BATCH)
    step.train_step((middle[rows], [told[rows] for told in wanted]))
    result = {"gradients": gradients(network=step.network, lessons=step.lessons)}

    def train(run: remind.Reminding) -> None:
        pairs = Pairs(photos, BATCH, 1, processes)
        loader = (pairs[4 + run.step + step] for step in range(6))
        remind.train(run, remind.Replay(teachers, loader, every=4, seed=1), None)

    cut = begun("cut")
    interrupted(cut, remind.Reminding, 3, lambda: train(cut))
    processes.wait()
    resumed = begun("cut")
    assert resumed.step == 3
    train(resumed)
    states = {f"average.{key}": value for key, value in resumed.average.state_dict().items()}
    states |= {f"lessons.{key}": value for key, value in resumed.lessons.state_dict().items()}
    return result | {"resumed": {**resumed.network.state_dict(), **states}}


def fitted(processes: Processes, folder: Path, teacher: Path) -> dict[str, Tensors]:
    small()
    items, others, recipe = catalogue(), random_photos(20), RECIPES["focused"]
    start = FoldedNetwork.from_teacher(teacher)
    views = recall.views_of(others[:8], others, recall.VIEWS, 1)
    taps = recall.describe(start, views, recipe)
    learned = Heads.learned({tap: rows.reshape(-1, recall.VIEWS, rows.shape[1]) for tap, rows in taps.items()}, recipe)
    batches = GroupsAndPhotos([item.group for item in items], 2, 3, steps=4, seed=1)
    crops, labels = Captures(items, others, batches, pairs=2)[0]
    rows, result = processes.rows(len(labels)), {}
    for loss in LOSSES:
        torch.manual_seed(1)
        network, heads = FoldedNetwork.from_teacher(teacher), copy.deepcopy(learned)
        objective = Objective(loss, 30, len(heads.taps) * heads.dimensions)
        step = Fitting(network, heads, objective, catalogue_arguments(folder / "step"), processes)
        step.train_step(crops[rows], labels[rows])
        result[loss] = gradients(network=network, heads=heads, objective=objective)

    def run(name: str) -> Fitting:
        torch.manual_seed(1)
        given = catalogue_arguments(folder / name, loss="arcface")
        return fit(FoldedNetwork.from_teacher(teacher), items, others, given, processes)

    whole = run("whole")
    interrupted(None, Fitting, 2, lambda: run("cut"))
    processes.wait()
    for name, fitting in (("whole", whole), ("resumed", run("cut"))):
        result[name] = {
            f"{part}.{key}": value
            for part in ("network", "heads", "objective")
            for key, value in getattr(fitting, part).state_dict().items()
        }
    return result


def named(processes: Processes, folder: Path, table: Path) -> dict[str, Tensors]:
    garments.SIZES = ((64, 96),)
    photos = garments.read(table)
    torch.manual_seed(1)
    student = Student(NANO).eval()

    def begun(name: str) -> Naming:
        torch.manual_seed(1)
        path = folder / name
        path.mkdir(exist_ok=True)
        values = {"run": path, "tap": "c51", "steps": 5, "last_steps": 3, "groups_per_batch": 2, "per_group": 2}
        values |= {"rate": 1e-2, "seed": 1, "workers": 0, "progress": 60, "save_seconds": 0}
        return Naming(student, photos, argparse.Namespace(**values), processes)

    crops, chosen = GarmentBatches(photos, 2, 2, steps=1, seed=1)[0]
    rows, result = processes.rows(len(crops)), {}
    for number, stage in ((0, "key points"), (2, "words"), (5, "words of the mean alone")):
        step = begun("step")
        step.step = number
        step.train_step(crops[rows], photos.truth.of(chosen))
        result[stage] = gradients(**({"whole": step.whole} if number == 5 else {"head": step.head}))

    whole, cut = begun("whole"), begun("cut")
    fit_attributes.train(whole)
    interrupted(cut, Naming, 6, lambda: fit_attributes.train(cut))
    processes.wait()
    resumed = begun("cut")
    fit_attributes.train(resumed)
    for name, run in (("whole", whole), ("resumed", resumed)):
        parts = (("head", run.head), ("whole", run.whole))
        result[name] = {f"{part}.{key}": value for part, module in parts for key, value in module.state_dict().items()}
    return result


def check(work: Callable, folder: Path, given: Path) -> dict[str, Tensors]:
    """One process against two, all `given` the same weights or photos; returns what the first of the two has."""
    (one,) = together(1, work, folder / "one", given)
    first, second = together(2, work, folder / "two", given)
    for name, tensors in first.items():
        assert_equal(second[name], tensors, f"between the processes ({name})")
        if name not in ("whole", "resumed"):
            assert_close(tensors, one[name])
    if "whole" in first:
        assert_equal(first["resumed"], first["whole"], "after an interruption")
        # Each process makes its captures from a seed of its own, so a run of two is not the run of one.
        assert not all(torch.equal(tensor, one["whole"][name]) for name, tensor in first["whole"].items())
    return first


def test_two_processes_tune_as_one(tmp_path, weights):
    found = check(tuned, tmp_path, weights)
    assert found["memory"]["parts"].abs().sum(dim=(1, 2)).count_nonzero() == 6 + 2 * BATCH
    assert len((tmp_path / "two" / "whole" / "train.csv").read_text().splitlines()) >= 1
    assert (tmp_path / "two" / "whole" / "tuned.npz").exists()


def test_two_processes_remind_as_one(tmp_path, weights):
    check(reminded, tmp_path, weights)


def test_two_processes_fit_a_catalogue_as_one(tmp_path, weights):
    check(fitted, tmp_path, weights)


def test_two_processes_learn_to_name_as_one(tmp_path):
    check(named, tmp_path, write_table(tmp_path / "photos", 4, 2, 1))


def test_parts_of_a_batch_are_the_same_photos():
    photos = random_photos(20)
    whole = Pairs(photos, 8, seed=3)[2]
    parts = [Pairs(photos, 8, 3, Processes(rank, 2))[2] for rank in range(2)]
    assert torch.equal(torch.cat([part[2] for part in parts]), whole[2])
    assert all(part[0].shape[1:] == parts[0][0].shape[1:] and len(part[0]) == 4 for part in parts)
