"""Tests of the training folder; they need neither the photos nor the teacher's weights (both are made at random)."""

import argparse
import copy
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import captures
import distill
import recall
import tune
from augmentation import Batches
from average import average
from captures import Pairs, placement, warp
from contrastive import Memory, info_nce, similarities
from export import export
from folded import C42_BOUNDARY, TRUNK_STAGES, FoldedNetwork
from heads import Heads
from loss import HeldOut, NAMES, unexplained
from onnx_graph import OnnxGraph
from photos import Photo, permitted, split
from recipe import pooled
from schedule import Schedule
from student import Student
from teacher import BLOCKS, C20_BOUNDARY, C50_BOUNDARY, C51_BOUNDARY, Teacher, pads
from teacher_onnx import convert
from whitening import CENTRED, THREE_TAPS, describe_with, learned_whitening, pool, unit


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
    assert names == ["c20", "c39", "c42", "c51"]
    image = random_image(*side)
    found = dict(zip(names, session.run(names, {"image": image}), strict=True))
    with torch.no_grad():
        boundaries, c39 = student(torch.from_numpy(image))
        c42 = student.stages[C42_BOUNDARY].layers[0](boundaries[C42_BOUNDARY - 1])
    expected = {"c20": boundaries[C20_BOUNDARY], "c39": c39, "c42": c42, "c51": boundaries[C51_BOUNDARY]}
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
    defaults |= {"stop": None, "start": None}
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


def test_folded_networks_equal_their_sources(weights):
    image = torch.from_numpy(random_image(64, 96))
    student = trained_norms(Student())
    pairs = [
        (FoldedNetwork.from_student(student), student),
        (FoldedNetwork.from_teacher(weights), Teacher(weights)),
    ]
    for network, source in pairs:
        with torch.no_grad():
            maps, (boundaries, c39) = network(image), source(image)
        expected = {"c20": boundaries[C20_BOUNDARY], "c39": c39, "c51": boundaries[C51_BOUNDARY]}
        for name, target in expected.items():
            error = (maps[name] - target).square().mean().sqrt() / target.std()
            assert error < 1e-3, name


def test_tuned_weights_come_back(tmp_path, weights):
    """Changed weights leave through the student's norms, or through a weight file, and are those that were learned."""
    image = torch.from_numpy(random_image(64, 64))
    student = trained_norms(Student())
    student.stages[0].norm.weight.data[3] = 0.0  # a silent channel: nothing to divide by
    for network in (FoldedNetwork.from_student(student), FoldedNetwork.from_teacher(weights)):
        torch.manual_seed(1)
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.data += 0.1 * parameter.std() * torch.randn_like(parameter)
        if network.c39 is None:
            network.into_teacher(tmp_path / "tuned.npz")
            back = FoldedNetwork.from_teacher(tmp_path / "tuned.npz")
        else:
            network.into_student(student)
            back = FoldedNetwork.from_student(student)
        with torch.no_grad():
            own, found = network(image), back(image)
        for name in own:
            torch.testing.assert_close(found[name], own[name], rtol=1e-3, atol=1e-3)


def test_heads_equal_the_recipe():
    rng = np.random.default_rng(2)
    views = {tap: unit(np.abs(rng.normal(size=(60, 3, size + 40)))) for tap, size in THREE_TAPS.items()}
    whitenings = {tap: learned_whitening(views[tap], size) for tap, size in THREE_TAPS.items()}
    # Heads are about the mean of their batch: as a batch, all views have the mean that the whitening has.
    rows = {tap: vectors.reshape(-1, vectors.shape[2]) for tap, vectors in views.items()}
    expected = describe_with(whitenings, rows)
    with torch.no_grad():
        parts = Heads.learned(views)({tap: torch.from_numpy(r).float() for tap, r in rows.items()})
    np.testing.assert_allclose(similarities(parts, parts)[0].numpy(), expected @ expected.T, atol=1e-4)

    maps = {tap: torch.rand(2, 8, 6, 10) for tap in THREE_TAPS}
    for tap, vectors in pooled(maps).items():  # as `whitening.py` pools without gradients
        alone = np.stack([pool(m.numpy(), tap in CENTRED) for m in maps[tap]])
        np.testing.assert_allclose(vectors.numpy(), alone, atol=1e-5)


def test_info_nce_against_a_loop():
    torch.manual_seed(3)
    first, second = (torch.nn.functional.normalize(torch.randn(4, 3, 8), dim=2) for _ in range(2))
    photos, memory = torch.tensor([5, 6, 7, 8]), Memory(3, 3, 8)
    past = torch.nn.functional.normalize(torch.randn(2, 3, 8), dim=2)
    memory.push(past, torch.tensor([6, 9]))  # one place of the memory stays empty
    losses = info_nce(first, second, photos, memory)

    def joint(parts):
        return torch.nn.functional.normalize(parts.flatten(1), dim=1)

    total = 0.0
    for one, two in ((first, second), (second, first)):
        for n, photo in enumerate(photos.tolist()):
            negatives = [joint(past)[k] for k, known in enumerate((6, 9)) if known != photo]
            logits = torch.stack([joint(one)[n] @ other for other in [*joint(two), *negatives]]) / 0.1
            total += torch.logsumexp(logits, 0) - logits[n]
    torch.testing.assert_close(losses[0], total / 8)
    assert losses.shape == (4,)


def test_memory_is_a_ring():
    memory = Memory(5, 1, 2)
    for start in range(0, 9, 3):
        memory.push(torch.full((3, 1, 2), float(start)), torch.arange(start, start + 3))
    assert sorted(memory.photos.tolist()) == [4, 5, 6, 7, 8] and memory.next == 4
    assert memory.parts[memory.photos == 8].flatten().tolist() == [6.0, 6.0]


def test_captures_are_pure_and_of_one_subject():
    photos = random_photos(12)
    one, two = (Pairs(photos, 4, seed=1) for _ in range(2))
    two[0]
    for left, right in zip(one[3], two[3], strict=True):
        assert torch.equal(left, right)
    first, second, chosen = one[3]
    assert first.dtype == torch.uint8 and first.shape[0] == second.shape[0] == len(set(chosen.tolist())) == 4
    # A placement without clutter covers the middle of the view, wherever the camera stands.
    rng = np.random.default_rng(0)
    white = np.full((120, 160, 3), 255, np.uint8)
    for _ in range(50):
        view = warp(white, placement((120, 160), (96, 96), False, rng), np.zeros((96, 96, 3), np.uint8))
        assert view[40:56, 40:56].min() == 255
        assert view.mean() > 180


def test_tuning_learns_and_resumes(tmp_path, weights, monkeypatch):
    photos = random_photos(40)
    training, held_out = split(photos)
    held_out = held_out or photos[:2]
    monkeypatch.setattr(recall, "FITTED", 6)
    monkeypatch.setattr(recall, "SHAPES", ((64, 64), (64, 96)))
    monkeypatch.setattr(HeldOut, "SHAPES", ((64, 96),))
    monkeypatch.setattr(captures, "SIZES", ((64, 64), (64, 96)))
    start = FoldedNetwork.from_teacher(weights)
    columns = tune.held_out_columns(["products"])
    judge = tune.Judge(training[:20], held_out, tune.Log(tmp_path / "held_out.csv", columns, 0))
    heads = Heads.learned(judge.recall.fitting_taps(start))

    def tuned(folder: Path, stop: int) -> tune.Tuning:
        folder.mkdir(exist_ok=True)
        values = {"run": folder, "steps": 4, "batch": 4, "rate": 1e-3, "head_rate": 1e-3, "distillation": 1.0}
        values |= {"memory": 16, "seed": 1, "workers": 0, "measure_steps": 10, "save_seconds": 0, "progress": 60}
        arguments = argparse.Namespace(**values, student=None, export=None)
        target = copy.deepcopy(start).requires_grad_(False)
        tuning = tune.Tuning(copy.deepcopy(start), copy.deepcopy(heads), target, arguments)
        tuning.resume(folder / "checkpoint.pt")
        step = tuning.train_step

        def cut(*batch):
            if tuning.step == stop:
                raise KeyboardInterrupt
            return step(*batch)

        tuning.train_step = cut
        if stop < 4:
            with pytest.raises(KeyboardInterrupt):
                tune.train(tuning, training, judge)
        else:
            tune.train(tuning, training, judge)
        return tuning

    whole = tuned(tmp_path / "whole", 4)
    assert len((tmp_path / "held_out.csv").read_text().splitlines()) == 3, "a header, the start and the end"
    monkeypatch.setattr(tune.Judge, "measure", lambda *_: None)  # the rest is about the weights
    tuned(tmp_path / "cut", 2)
    resumed = tuned(tmp_path / "cut", 4)
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, resumed.network.state_dict()[name]), name
        trunk = name.startswith("stages.") and int(name.split(".")[1]) < TRUNK_STAGES
        assert torch.equal(value, start.state_dict()[name]) == trunk, name
    written = FoldedNetwork.from_teacher(tmp_path / "whole" / "tuned.npz")
    for name, value in whole.average.state_dict().items():
        torch.testing.assert_close(written.state_dict()[name], value)


def test_average_is_that_of_the_folded_networks(tmp_path):
    student, paths, weights = trained_norms(Student()), [], []
    for seed in (1, 2):
        torch.manual_seed(seed)
        network, own = FoldedNetwork.from_student(student), copy.deepcopy(student)
        for parameter in network.stages[TRUNK_STAGES:].parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
        network.into_student(own)
        paths.append(tmp_path / f"{seed}.pt")
        torch.save({"student": own.state_dict()}, paths[-1])
        weights.append(network.state_dict())
    mean = Student()
    mean.load_state_dict(average(paths))
    for name, value in FoldedNetwork.from_student(mean.eval()).state_dict().items():
        torch.testing.assert_close(value, (weights[0][name] + weights[1][name]) / 2, rtol=1e-4, atol=1e-5)

    student.stages[0].norm.weight.data += 1
    torch.save({"student": student.state_dict()}, paths[1])
    with pytest.raises(SystemExit):
        average(paths)
