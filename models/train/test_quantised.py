"""Roundings by hand, and parity: the student as trained with roundings, its QDQ file, and the plan made of that."""

import json
import os
import subprocess
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest
import torch

from distill import Log
from export import outputs
from folded import FoldedConvolution, FoldedNetwork
from loss import normalise
from processes import Processes
from quantised import FakeQuantise, QuantisedConvolution, QuantisedNetwork, Run, export_quantised, train
from shape import NANO
from student import Student
from teacher import Convolution
from test_processes import together
from test_train import trained_norms

ROOT = Path(__file__).parents[2]
SIDES = (96, 320)  # a photo that the program does not resize


def test_rounding_by_hand():
    layer = FakeQuantise()
    layer.low, layer.high = torch.tensor(-1.0), torch.tensor(4.1)  # scale 0.02, zero 50
    layer.eval()
    assert layer.grid() == (pytest.approx(0.02), 50)
    x = torch.tensor([0.0, 0.031, -3.0, 9.0], requires_grad=True)
    y = layer(x)
    torch.testing.assert_close(y, torch.tensor([0.0, 0.04, -1.0, 4.1]))
    y.sum().backward()
    # The rounding is passed as if it were not there; beyond the range nothing comes through.
    assert x.grad.tolist() == [1, 1, 0, 0]


def test_ranges_follow_the_batches_and_hold_zero():
    layer = FakeQuantise()
    layer(torch.tensor([2.0, 4.0]))
    assert (layer.low.item(), layer.high.item()) == (0, 4)
    layer(torch.tensor([-2.0, 4.0]))
    assert layer.low.item() == pytest.approx(-0.1)
    layer.eval()
    layer(torch.tensor([50.0]))
    assert layer.high.item() == 4


def test_weights_are_bytes():
    weight = np.array([[[[0.5]], [[-1.27]]], [[[0.0]], [[0.02]]]], np.float32)
    layer = QuantisedConvolution(FoldedConvolution(Convolution("", weight, np.zeros(2, np.float32), 1, 1, False)))
    found, scales = layer.bytes()
    assert found[:, :, 0, 0].tolist() == [[50, -127], [0, 127]]
    np.testing.assert_allclose(scales, [0.01, 0.02 / 127])


def picture(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (6, 20, 3), np.uint8)
    return cv2.resize(small, SIDES[::-1], interpolation=cv2.INTER_CUBIC)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[QuantisedNetwork, Path, list[float]]:
    """A student of random weights, its roundings trained for a few steps; the loss before and after."""
    torch.set_num_threads(1)
    at = tmp_path_factory.mktemp("quantised")
    student = trained_norms(Student(NANO))
    network, target = QuantisedNetwork(student), FoldedNetwork.from_student(student).requires_grad_(False)
    batch = torch.from_numpy(np.stack([picture(seed)[:, :160] for seed in range(4)]))
    log = Log(at / "train.csv", ["step", "seconds", "moved"], 0)
    train(Run(network, target, 40, 1e-4), [batch] * 40, log)
    export_quantised(network, at / "qdq.onnx")
    rows = (at / "train.csv").read_text().splitlines()[1:]
    return network, at / "qdq.onnx", [float(row.split(",")[2]) for row in rows]


def rounded(processes: Processes, folder: Path, until: int) -> dict[str, torch.Tensor]:
    """Four steps, of which the process lives to take so many."""
    torch.manual_seed(3)
    student = trained_norms(Student(NANO))
    run = Run(QuantisedNetwork(student), FoldedNetwork.from_student(student), 4, 1e-4, processes)
    run.resume(folder / "checkpoint.pt")
    batch = torch.from_numpy(np.stack([picture(seed)[:64, :64] for seed in range(4)]))[processes.rows(4)]
    log = Log(folder / "train.csv" if processes.leads else None, ["step", "seconds", "moved"], run.step)
    processes.wait()
    train(run, [batch] * (until - run.step), log)
    if processes.leads:
        run.save(folder / "checkpoint.pt")
    return run.network.state_dict()


def test_two_processes_hold_one_network_also_after_an_interruption(tmp_path):
    first, second = together(2, rounded, tmp_path / "whole", 4)
    together(2, rounded, tmp_path / "cut", 2)
    resumed, _ = together(2, rounded, tmp_path / "cut", 4)
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), f"{name} differs between the processes"
        assert torch.equal(tensor, resumed[name]), f"{name} differs after an interruption"


def test_training_makes_up_for_roundings(trained):
    _, _, (first, second) = trained
    assert second < first


def test_the_file_equals_the_network(trained):
    network, path, _ = trained
    session = onnxruntime.InferenceSession(path)
    names = list(outputs(NANO))
    for seed in range(3):
        image = normalise(torch.from_numpy(picture(seed))[None])
        with torch.no_grad():
            maps = network(image)
        found = session.run(names, {"image": image.contiguous().numpy()})
        for name, own in zip(names, found, strict=True):
            expected = maps[name].numpy()
            assert own.shape == expected.shape
            # A value on the edge between two levels may fall either way, and carries on into the next layers.
            assert np.sqrt(np.mean((own - expected) ** 2)) < 0.02 * expected.std(), name


def program() -> Path | None:
    """The command, where it has been built."""
    named = os.environ.get("POCKETLENS")
    places = [Path(named)] if named else [ROOT / "target" / kind / "pocketlens" for kind in ("release", "debug")]
    return next((place for place in places if place.is_file()), None)


@pytest.mark.skipif(program() is None, reason="the command has not been built (or name it by POCKETLENS)")
def test_the_plan_equals_the_file(trained, tmp_path):
    _, path, _ = trained
    photos = tmp_path / "photos"
    photos.mkdir()
    for seed in range(8):
        cv2.imwrite(str(photos / f"{seed}.png"), picture(seed)[:, :, ::-1])
    taps = ("c39", "c42", "c51")
    parts = [{"tap": tap, "pool": "average", "dim": 4, "whitening": "pca"} for tap in taps]
    (tmp_path / "recipe.json").write_text(json.dumps({"name": "parity", "parts": parts}))

    def run(*arguments) -> str:
        done = subprocess.run([program(), *map(str, arguments)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    bundle = tmp_path / "int8.lens"
    run(
        "bundle", "convert", "--backbone", path, "--recipe", tmp_path / "recipe.json", "--calibrate", photos,
        "--photos", photos, "--out", bundle,
    )  # fmt: skip
    assert json.loads(run("bundle", "info", bundle, "--json"))["network"] == "plan, int8"
    lines = run("embed", *sorted(photos.iterdir()), "--pooled", "--bundle", bundle, "--json").splitlines()
    session = onnxruntime.InferenceSession(path)
    for seed, line in enumerate(lines):
        image = normalise(torch.from_numpy(picture(seed))[None]).contiguous().numpy()
        for tap, maps, found in zip(taps, session.run(taps, {"image": image}), json.loads(line)["pooled"], strict=True):
            expected, found = maps[0].mean((1, 2)), np.array(found)
            cosine = found @ expected / np.linalg.norm(found) / np.linalg.norm(expected)
            assert cosine > 0.999, (tap, cosine)
