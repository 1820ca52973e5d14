"""Tests of the training folder; they need neither the photos nor the teacher's weights (both are made at random)."""

import argparse
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import distill
from augmentation import Batches
from export import export
from loss import HeldOut, NAMES, unexplained
from onnx_graph import OnnxGraph
from photos import Photo, permitted, split
from schedule import Schedule
from student import Student
from teacher import BLOCKS, C20_BOUNDARY, C50_BOUNDARY, C51_BOUNDARY, Teacher, pads
from teacher_onnx import convert


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """A weight file of the teacher's shapes, with random numbers that keep activations of order one."""
    shapes = [(32, 3, 3)]
    for block in BLOCKS:
        hidden = block.inputs * block.expansion
        shapes += [(hidden, block.inputs, 1)] if block.expansion != 1 else []
        shapes += [(hidden, 1, 3), (block.outputs, hidden, 1)]
    shapes.append((1280, 320, 1))
    rng, arrays = np.random.default_rng(0), {}
    for index, (outputs, inputs, kernel) in enumerate(shapes):
        arrays[f"c{index:02d}_wq"] = rng.integers(-127, 128, (outputs, inputs, kernel, kernel), dtype=np.int8)
        arrays[f"c{index:02d}_scale"] = np.full(outputs, 1.8 / 73 / np.sqrt(inputs * kernel * kernel), np.float32)
        arrays[f"c{index:02d}_b"] = rng.normal(0, 0.2, outputs).astype(np.float32)
    path = tmp_path_factory.mktemp("teacher") / "teacher.npz"
    np.savez(path, **arrays)
    return path


def random_photos(count: int) -> list[Photo]:
    rng = np.random.default_rng(5)
    return [Photo(f"products/{n:05d}.webp", rng.integers(0, 256, (90, 120, 3), np.uint8)) for n in range(count)]


def random_image(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(3).uniform(-1, 1, (1, 3, height, width)).astype(np.float32)


def trained_norms(student: Student) -> Student:
    """Gives every batch norm statistics that differ from the initial ones, so that folding them wrongly shows."""
    torch.manual_seed(7)
    for module in student.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2.0)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.2)
    return student.eval()


@pytest.mark.parametrize("side", [(64, 96), (160, 128)])
def test_export_equals_the_student(tmp_path, side):
    student = trained_norms(Student())
    path = tmp_path / "student.onnx"
    export(student, path)
    session = onnxruntime.InferenceSession(path)
    names = [output.name for output in session.get_outputs()]
    assert names == ["c20", "c39", "c51"]
    image = random_image(*side)
    found = dict(zip(names, session.run(names, {"image": image}), strict=True))
    with torch.no_grad():
        boundaries, c39 = student(torch.from_numpy(image))
    expected = {"c20": boundaries[C20_BOUNDARY], "c39": c39, "c51": boundaries[C51_BOUNDARY]}
    for name, maps in expected.items():
        assert found[name].shape == tuple(maps.shape)
        # Half-precision weights: each is off by at most 2^-11 of itself.
        error = np.sqrt(np.mean((found[name] - maps.numpy()) ** 2)) / maps.std().item()
        assert error < 0.01, name


def test_export_is_small_and_explicit(tmp_path):
    path = tmp_path / "student.onnx"
    export(trained_norms(Student()), path)
    assert path.stat().st_size < 2_900_000
    model = onnx.load(path)
    assert model.opset_import[0].version == 17
    assert {node.op_type for node in model.graph.node} == {"Cast", "Conv", "Clip", "Add"}
    for node in model.graph.node:
        if node.op_type == "Conv":
            assert "pads" in {attribute.name for attribute in node.attribute}
    assert [d.dim_param or d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim] == [1, 3, "H", "W"]


def test_student_size():
    parameters = sum(p.numel() for p in Student().parameters())
    head = sum(p.numel() for p in Student().c39.parameters())
    assert 1.31e6 < parameters - head < 1.33e6


def test_teacher_onnx_equals_the_teacher(tmp_path, weights):
    path = tmp_path / "teacher.onnx"
    convert(weights, path)
    image = random_image(96, 64)
    names = ["c20", "c39", "c50", "c51"]
    found = onnxruntime.InferenceSession(path).run(names, {"image": image})
    boundaries, c39 = Teacher(weights)(torch.from_numpy(image))
    expected = [boundaries[C20_BOUNDARY], c39, boundaries[C50_BOUNDARY], boundaries[C51_BOUNDARY]]
    for name, own, maps in zip(names, found, expected, strict=True):
        # A random network amplifies rounding, so single values may differ by more than this.
        error = np.sqrt(np.mean((own - maps.numpy()) ** 2)) / maps.std().item()
        assert error < 1e-3, name


@pytest.mark.parametrize("side", [32, 64, 224, 320])
def test_padding_is_tensorflows_same(side):
    for _ in range(5):  # the network halves its input five times
        for stride in (1, 2):
            outputs = -(-side // stride)
            total = max((outputs - 1) * stride + 3 - side, 0)
            top, left, bottom, right = pads(stride)
            assert (top, bottom) == (left, right) == (total // 2, total - total // 2)
        side //= 2


def test_written_padding_is_same_upper(tmp_path):
    rng = np.random.default_rng(1)
    weight, bias = rng.normal(size=(4, 3, 3, 3)).astype(np.float32), np.zeros(4, np.float32)
    image = random_image(64, 32)
    for stride in (1, 2):
        graph = OnnxGraph("padding")
        graph.convolution("image", "explicit", weight, bias, stride, 1, relu6=False)
        graph.write(tmp_path / "explicit.onnx", {"explicit": (4, stride)})
        model = onnx.load(tmp_path / "explicit.onnx")
        attributes = model.graph.node[0].attribute
        kept = [attribute for attribute in attributes if attribute.name != "pads"]
        del attributes[:]
        attributes.extend([*kept, onnx.helper.make_attribute("auto_pad", "SAME_UPPER")])
        results = [
            onnxruntime.InferenceSession(m.SerializeToString()).run(None, {"image": image})[0]
            for m in (onnx.load(tmp_path / "explicit.onnx"), model)
        ]
        np.testing.assert_allclose(*results, atol=1e-5)


def options(**changes) -> argparse.Namespace:
    defaults = {"batch": 2, "workers": 0, "measure_steps": 100, "save_seconds": 0, "progress": 60, "export": None}
    return argparse.Namespace(**{**defaults, **changes})


def weights_after(folder: Path, teacher: Teacher, photos: list[Photo]) -> dict[str, torch.Tensor]:
    run = distill.Run(folder, Schedule(local=2, chain=2, large=1), seed=4)
    run.resume()
    distill.train(run, photos, teacher, options())
    return run.student.state_dict()


def test_resume_equals_an_uninterrupted_run(tmp_path, weights, monkeypatch):
    teacher, photos = Teacher(weights), random_photos(80)
    assert split(photos)[1], "the held-out part must not be empty"
    whole = weights_after(tmp_path / "whole", teacher, photos)
    again = weights_after(tmp_path / "again", teacher, photos)

    step = distill.Run.train_step

    def fail_at_three(run, *arguments):
        if run.step == 3:
            raise KeyboardInterrupt
        return step(run, *arguments)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(distill.Run, "train_step", fail_at_three)
        weights_after(tmp_path / "cut", teacher, photos)
    resumed = weights_after(tmp_path / "cut", teacher, photos)

    for name, tensor in whole.items():
        assert torch.equal(tensor, again[name]), f"{name} differs between two equal runs"
        assert torch.equal(tensor, resumed[name]), f"{name} differs after a resume"
    assert not torch.equal(whole["c39.convolution.weight"], torch.zeros_like(whole["c39.convolution.weight"]))


def test_batches_depend_on_seed_and_step_alone():
    schedule = Schedule(local=2, chain=2, large=2)
    one, two = (Batches(random_photos(10), schedule, 3, seed=1) for _ in range(2))
    assert torch.equal(one[1], two[1])
    two[0]
    assert torch.equal(one[5], two[5])
    assert not torch.equal(one[0], one[1])
    assert not torch.equal(one[0], Batches(random_photos(10), schedule, 3, seed=2)[0])
    assert one[0].shape == (3, 128, 128, 3) and one[0].dtype == torch.uint8


def test_licence_filter(tmp_path):
    header = "name\trepo\tcommit\tpath\tgroup_or_class"
    products = tmp_path / "products.tsv"
    rows = [f"{n}.webp\tr\tc\tp\tclass:x\t{kind}" for n, kind in enumerate(["permissive", "none", "research", "copyleft"])]
    products.write_text("\n".join([header + "\tlicence_class", *rows]) + "\n")
    assert permitted(products, "products") == ["0.webp"]
    assert len(permitted(products, "products", any_licence=True)) == 4

    places = tmp_path / "places.tsv"
    sources = ["ietower:floor 1", "kodak:kodak", "aid:Beach", "camvid:drive", "newcomer:x", "houses:kitchen"]
    rows = [f"{n}.webp\tr\tc\tp\t{source}" for n, source in enumerate(sources)]
    places.write_text("\n".join([header, *rows]) + "\n")
    # A source that no table names counts as not permitted.
    assert permitted(places, "places") == ["0.webp", "1.webp"]


def test_unexplained_share():
    torch.manual_seed(0)
    teacher = torch.randn(4, 8, 6, 6).contiguous(memory_format=torch.channels_last) * torch.arange(1, 9).reshape(1, 8, 1, 1)
    assert unexplained(teacher.clone(), teacher) == 0
    mean = teacher.mean(dim=(0, 2, 3), keepdim=True).expand_as(teacher).contiguous(memory_format=torch.channels_last)
    variance = teacher.var(dim=(0, 2, 3), correction=0)
    damped = (variance / (variance + 0.05 * variance.mean())).mean()
    torch.testing.assert_close(unexplained(mean, teacher), damped, rtol=1e-4, atol=1e-4)
    # The written-out gradient against autograd's.
    student = torch.randn_like(teacher).requires_grad_()
    unexplained(student, teacher).backward()
    plain = student.detach().clone().requires_grad_()
    weight = 1 / (variance + 0.05 * variance.mean())
    ((plain - teacher).square().mean(dim=(0, 2, 3)) * weight).mean().backward()
    torch.testing.assert_close(student.grad, plain.grad, rtol=1e-4, atol=1e-7)


def test_held_out_is_zero_for_the_teacher_itself(weights):
    teacher = Teacher(weights)

    class Itself(torch.nn.Module):
        def forward(self, image):
            return teacher(image)

    shares = HeldOut(random_photos(3)).measure(Itself(), teacher)
    assert set(shares) == set(NAMES)
    assert max(shares.values()) < 1e-9


def test_learning_rate_has_two_cosines():
    schedule = Schedule(local=500, chain=500, large=1000, rate=3e-3, large_rate=1e-3)
    rates = [schedule.learning_rate(step) for step in range(schedule.steps)]
    assert max(rates[:1000]) > 0.99 * 3e-3 and rates[999] < 1e-5
    assert max(rates[1000:]) > 0.99 * 1e-3 and rates[-1] < 1e-5
    assert [schedule(step).name for step in (0, 499, 500, 999, 1000)] == ["local", "local", "chain", "chain", "large"]
