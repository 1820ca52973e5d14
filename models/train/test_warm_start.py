"""Tests that a bundle's weights are read back, and that a student that starts from them gives the same maps."""

import json
import subprocess

import cv2
import numpy as np
import pytest
import torch

import end
from export import export
from folded import FoldedNetwork
from loss import normalise
from plan_weights import network
from shape import DEFAULT, WIDE_END
from student import Student
from targets import NarrowTeacher
from teacher import Teacher
from test_quantised import picture, program
from test_train import random_photos, trained_norms, weights
from warm_start import LAST_BLOCK, adopt

__all__ = ["weights"]  # the fixture


def off(own: torch.Tensor, expected: torch.Tensor) -> float:
    """Root of the mean squared difference, in deviations of what is expected."""
    return float((own - expected).square().mean().sqrt() / expected.std())


@pytest.mark.skipif(program() is None, reason="the command has not been built (or name it by POCKETLENS)")
def test_a_bundle_gives_its_network_back(tmp_path):
    student = trained_norms(Student(DEFAULT))
    export(student, tmp_path / "student.onnx")
    photos = tmp_path / "photos"
    photos.mkdir()
    for seed in range(8):
        cv2.imwrite(str(photos / f"{seed}.png"), picture(seed)[:, :, ::-1])
    parts = [{"tap": tap, "pool": "average", "dim": 4, "whitening": "pca"} for tap in ("c20", "c39", "c42", "c51")]
    (tmp_path / "recipe.json").write_text(json.dumps({"name": "all", "parts": parts}))
    command = ["bundle", "convert", "--backbone", "student.onnx", "--recipe", "recipe.json"]
    command += ["--calibrate", "photos", "--photos", "photos", "--out", "int8.lens"]
    done = subprocess.run([program(), *command], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    image = normalise(torch.from_numpy(picture(0))[None])
    with torch.no_grad():
        found, expected = network(tmp_path / "int8.lens")(image), FoldedNetwork.from_student(student)(image)
    for tap, maps in expected.items():
        # Weights of 8 bits in 50 layers, and biases that make up for the means of what rounding does.
        assert off(found[tap], maps) < 0.2, tap


def test_a_start_gives_the_maps_of_its_source():
    source = FoldedNetwork.from_student(trained_norms(Student(DEFAULT)))
    silent = torch.arange(8) * 3
    with torch.no_grad():
        source.stages[0][0].weight[silent] = 0
        source.stages[0][0].bias[silent] = torch.linspace(-1, 2, 8)
    crops = torch.from_numpy(np.random.default_rng(2).uniform(-1, 1, (4, 3, 64, 96)).astype(np.float32))
    student = Student(WIDE_END)
    adopt(student, source, crops)
    with torch.no_grad():
        boundaries, c39 = student.eval()(crops)
        expected = source(crops)
    assert boundaries[LAST_BLOCK].shape[1:] == (320, 2, 3)
    # Constant channels give something else at the border, where there is nothing around them.
    inside = slice(None), slice(None), slice(1, -1), slice(1, -1)
    assert off(boundaries[7][inside], expected["c20"][inside]) < 0.05
    assert off(c39[inside], expected["c39"][inside]) < 0.05


def test_the_end_learns_and_the_rest_stays(weights):
    torch.set_num_threads(1)
    student, photos = trained_norms(Student(WIDE_END)), random_photos(8)
    teacher = NarrowTeacher(Teacher(weights), WIDE_END)
    cached = end.maps(student, teacher, photos, crops=end.CACHED_BATCH)
    assert [tuple(rows.shape[1:]) for rows in cached] == [(160, 6, 8), (160, 6, 8), (320, 6, 8), (1024, 6, 8)]
    before = {name: tensor.clone() for name, tensor in student.state_dict().items()}
    end.train(student, cached, steps=3, peak=1e-3)
    moved = {name.split(".")[1] for name, tensor in student.state_dict().items() if not torch.equal(tensor, before[name])}
    assert moved == {str(stage) for stage in range(end.FIRST, LAST_BLOCK + 2)}
