"""Tests of lessons on pooled maps, of the run that teaches them, and of the set of places that measures it."""

import argparse
import json

import numpy as np
import pytest
import torch

import places_set
import remind
from captures import Pairs
from folded import FoldedNetwork
from lessons import LESSONS, NAMES, Lesson, Lessons, Targets
from recipe import Part
from student import Student
from test_train import random_photos, weights  # noqa: F401 (a fixture)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def test_a_lesson_pools_each_part_of_a_map():
    maps = torch.zeros(1, 4, 7, 6)  # one channel in each quarter
    maps[0, 0, :4, :3] = maps[0, 1, :4, 3:] = maps[0, 2, 4:, :3] = maps[0, 3, 4:, 3:] = 2.0
    assert torch.allclose(Lesson(Part("c51", 0), grid=2).pool(maps)[0], torch.eye(4), atol=1e-6)
    whole = Lesson(Part("c51", 0)).pool(maps)
    assert whole.shape == (1, 1, 4) and torch.allclose(whole.norm(dim=2), torch.ones(1, 1))
    assert len(set(NAMES)) == len(LESSONS)


def random_maps(rng: np.random.Generator, views: int, rank: int = 5) -> dict[str, torch.Tensor]:
    """Maps that vary in few directions, so that few views show them all."""
    maps = {}
    for tap, channels, side in (("c39", 24, 6), ("c42", 20, 3), ("c51", 28, 3)):
        factors, axes = rng.standard_normal((views * side * side, rank)), rng.standard_normal((rank, channels))
        rows = 3 + factors @ axes / rank + 0.01 * rng.standard_normal((len(factors), channels))
        maps[tap] = torch.from_numpy(rows.reshape(views, side, side, channels)).permute(0, 3, 1, 2).float()
    return maps


def test_what_both_networks_say_costs_little_from_the_start(monkeypatch):
    monkeypatch.setattr("lessons.COMPONENTS", 4)
    monkeypatch.setattr("lessons.BLENDED", 1 / 16)
    rng = np.random.default_rng(3)
    own = random_maps(rng, 200)
    # The teacher's channels are mixtures of the student's at every place.
    teacher = {}
    for tap, rows in own.items():
        mixture = torch.eye(rows.shape[1]) + 0.3 * torch.rand(rows.shape[1], rows.shape[1])
        teacher[tap] = torch.einsum("nchw,dc->ndhw", rows, mixture)
    both = [[lesson.pool(taps[lesson.part.tap]).double().numpy() for lesson in LESSONS] for taps in (own, teacher)]
    targets = Targets(*([row.reshape(50, -1, row.shape[2]) for row in rows] for rows in both))
    wanted = targets(own, teacher)
    assert all(torch.allclose(told.norm(dim=2), torch.ones(()), atol=1e-4) for told in wanted)
    answers = [told.flatten(0, 1).double().numpy() for told in wanted]
    lessons = Lessons(targets, [rows.reshape(-1, rows.shape[2]) for rows in both[0]], answers)
    losses = lessons(own, wanted)
    others = lessons(own, [told.roll(1, dims=0) for told in wanted])
    assert losses.shape == (len(LESSONS),) and losses.max() < 0.3 and others.min() > 0.5


def test_reminding_learns_and_resumes(tmp_path, weights, monkeypatch):  # noqa: F811
    torch.manual_seed(0)
    monkeypatch.setattr(remind.captures, "SIZES", ((64, 64), (64, 96)))
    monkeypatch.setattr("lessons.COMPONENTS", 8)
    monkeypatch.setattr("lessons.BLENDED", 1 / 16)
    monkeypatch.setattr(remind, "FEWEST_PAST", 2)
    student = FoldedNetwork.from_student(Student().eval())
    teachers = remind.Teachers(student, FoldedNetwork.from_teacher(weights))
    pairs = Pairs(random_photos(12), 6, seed=1)
    arguments = argparse.Namespace(rate=2e-5, lesson_rate=3e-3, blended=0.7, steps=60, average_steps=10)
    reminding = remind.Reminding(student, teachers.fit(pairs, 4), arguments)
    assert float(reminding.weights.sum()) == pytest.approx(1)
    frozen = student.stages[0][0].weight.clone()
    views = remind.Replay(teachers, (pairs[4 + step] for step in range(20)), every=4, seed=1)
    stacks = [views[step] for step in range(30)]
    assert len(views.past) == 9  # the first two steps, then one in four: 4, 8, … 28
    # Of photos that are noise nothing is learned but the stack at hand.
    losses = [float(reminding.train_step(stacks[1]) @ reminding.weights) for _ in range(30)]
    assert losses[-1] < 0.75 * losses[1], losses  # the maps of random weights hardly vary: the very first step overshoots
    assert torch.equal(student.stages[0][0].weight, frozen)

    reminding.save(tmp_path / "checkpoint.pt")
    again = remind.Reminding(FoldedNetwork.from_student(Student().eval()), teachers.fit(pairs, 4), arguments)
    again.resume(tmp_path / "checkpoint.pt")
    assert again.step == 30
    view = views.past[0]
    assert torch.equal(again.train_step(view), reminding.train_step(view))
    left, right = again.network.state_dict(), reminding.network.state_dict()
    assert all(torch.equal(left[name], right[name]) for name in left)
    remind.write(again.average, argparse.Namespace(run=tmp_path, export=tmp_path / "student.onnx"))
    assert (tmp_path / "reminded.pt").exists() and (tmp_path / "student.onnx").stat().st_size > 1_000_000


def test_places_are_queries_and_database_in_turn():
    sources = "whitetower:W houses:a whitetower:W houses:b houses:a houses:b ietower:lone aid:x".split()
    table = [[f"{number}.webp", "", "", "", source] for number, source in enumerate(sources)]
    rows = places_set.rows(table)
    assert rows[0] == ("0.webp", "whitetower:W", "database") and ("2.webp", "whitetower:W", "query") in rows
    assert sum(group.startswith("distractor") for _, group, _ in rows) == 2  # the first house and the fourth
    assert not any(name == "7.webp" for name, _, _ in rows)
    found = (("whitetower:W", 0.5), ("ietower:1", 1.0), ("ietower:2", 0.5), ("ietower:3", None))
    lines = [json.dumps({"group": group, "ap": ap}) for group, ap in found]
    assert places_set.means(lines) == {"ietower": 75.0, "whitetower": 50.0, "mean": 62.5}
