"""The run on a catalogue: deterministic, resumable, leaves the trunk alone; and the halves of the experiment."""

import argparse
import copy

import numpy as np
import pytest
import torch

import fit_catalogue
import recall
from catalogue import GroupsAndPhotos, Labelled
from fit_catalogue import Captures, Fitting, fit
from folded import TRUNK_STAGES, FoldedNetwork
from half_groups import halves, write
from test_train import random_photos, weights
from whitening import learned_whitening, supervised_whitening

__all__ = ["weights"]  # the fixture


@pytest.fixture(autouse=True)
def small(monkeypatch):
    torch.set_num_threads(1)
    monkeypatch.setattr(recall, "SHAPES", ((64, 64), (64, 96)))
    monkeypatch.setattr(fit_catalogue, "SIZES", ((64, 64), (64, 96)))


def catalogue() -> list[Labelled]:
    return [Labelled(photo, number // 3) for number, photo in enumerate(random_photos(12))]


def arguments(folder, **changes) -> argparse.Namespace:
    folder.mkdir(exist_ok=True)
    values = {
        "run": folder, "recipe": "focused", "loss": "triplet", "fitted": 8, "steps": 4, "seed": 1, "workers": 0,
        "groups_per_batch": 2, "per_group": 3, "pairs": 2, "rate": 1e-3, "head_rate": 1e-3, "distillation": 1.0,
        "save_seconds": 0, "progress": 60,
    }  # fmt: skip
    return argparse.Namespace(**{**values, **changes})


def test_a_run_resumes_as_if_it_had_not_stopped(tmp_path, weights, monkeypatch):
    start, others = FoldedNetwork.from_teacher(weights), random_photos(20)

    def run(folder: str) -> Fitting:
        torch.manual_seed(1)
        return fit(copy.deepcopy(start), catalogue(), others, arguments(tmp_path / folder))

    whole, step = run("whole"), Fitting.train_step

    def fail_at_two(fitting, *batch):
        if fitting.step == 2:
            raise KeyboardInterrupt
        return step(fitting, *batch)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Fitting, "train_step", fail_at_two)
        run("cut")
    resumed = run("cut")
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, resumed.network.state_dict()[name]), name
        trunk = name.startswith("stages.") and int(name.split(".")[1]) < TRUNK_STAGES
        assert torch.equal(value, start.state_dict()[name]) == trunk, name


def test_a_batch_holds_groups_and_pairs():
    items, others = catalogue(), random_photos(20)
    batches = GroupsAndPhotos([item.group for item in items], 2, 3, steps=5, seed=1)
    captures = Captures(items, others, batches, pairs=2)
    views, labels = captures[3]
    again, _ = Captures(items, others, batches, pairs=2)[3]
    assert torch.equal(views, again) and len(views) == len(labels) == 2 * 3 + 2 * 2
    counts = [labels.tolist().count(label) for label in labels.unique()]
    assert sorted(counts) == [2, 2, 3, 3]
    # Photos beside the catalogue are groups of their own.
    assert (labels[6:] >= 4).all() and (labels[:6] < 4).all()


def test_halves_share_nothing():
    rows = [(f"{group}{n}.jpg", group, role) for group in "abcd" for n, role in enumerate(("query", "database"))]
    rows.append(("x.jpg", "distractor", "database"))
    trained, measured = halves(rows)
    assert (trained, measured) == ({"a", "c"}, {"b", "d"})


def test_written_halves_share_no_query(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    rows = [(f"{group}{n}.jpg", group, role) for group in "abcd" for n, role in enumerate(("query", "database"))]
    for path, _, _ in rows:
        (folder / path).write_bytes(path.encode())
    (folder / "gt.tsv").write_text("path\tgroup\trole\n" + "".join("\t".join(row) + "\n" for row in rows))
    write(folder, tmp_path / "out")
    labels = (tmp_path / "out/train/labels.tsv").read_text().splitlines()
    measured = (tmp_path / "out/measured/gt.tsv").read_text().splitlines()
    assert labels[1:] == ["a0.jpg\ta", "a1.jpg\ta", "c0.jpg\tc", "c1.jpg\tc"]
    assert [line for line in measured if line.endswith("query")] == ["b0.jpg\tb\tquery", "d0.jpg\td\tquery"]
    assert (tmp_path / "out/measured/b0.jpg").read_bytes() == b"b0.jpg"


def test_supervised_whitening_presses_down_what_differs_inside_of_groups():
    """Captures differ along the first axis, a catalogue's photos along the second: both are nuisances in the end."""
    rng = np.random.default_rng(0)
    scatter = rng.normal(size=(50, 1, 3)) * [1, 1, 1]
    views = scatter + rng.normal(size=(50, 4, 3)) * [3.0, 0.1, 0.1]
    labels = np.repeat(np.arange(20), 5)
    own = (rng.normal(size=(20, 3)))[labels] + rng.normal(size=(100, 3)) * [0.1, 3.0, 0.1]
    for share, loud in ((0.0, [0]), (1.0, [1]), (0.5, [0, 1])):
        _, projection = supervised_whitening(views, own, labels, 3, share)
        gain = np.linalg.norm(projection, axis=0)
        for axis in range(3):
            assert (gain[axis] < 1.0) == (axis in loud), (share, gain)
    mean, projection = learned_whitening(views, 3)
    same_mean, same = supervised_whitening(views, own, labels, 3, 0.0)
    np.testing.assert_allclose(mean, same_mean)
    np.testing.assert_allclose(np.abs(same), np.abs(projection), atol=1e-9)
