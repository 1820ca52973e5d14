"""Tests of narrow students: their size, their targets, and that they train, resume and leave as ONNX."""

import numpy as np
import onnxruntime
import pytest
import torch

import distill
from export import export, outputs, read_student
from folded import C42_BOUNDARY, FoldedNetwork
from loss import NAMES, normalise
from norms import settle
from schedule import Schedule
from shape import DEFAULT, NANO, Shape
from student import LeftOut, Student
from targets import NarrowTeacher, leading_basis, spanning_channels
from teacher import BLOCKS, Teacher, pad
from test_train import options, random_image, random_photos, trained_norms, weights

__all__ = ["weights"]  # the fixture


def test_nano_keeps_its_budget():
    assert NANO.multiply_adds(320, 256) <= 100e6
    assert DEFAULT.multiply_adds(320, 256) <= 300e6
    assert sum(p.numel() for p in Student(NANO).parameters()) < 400_000
    assert all(width % 8 == 0 for width in (*NANO.outputs, *NANO.hidden, NANO.stem, NANO.c39, NANO.c51))


def test_multiply_adds_equal_the_layers():
    """Against what each convolution of the module does on an image."""
    for shape in (DEFAULT, NANO):
        total = 0

        def count(layer, _, result):
            nonlocal total
            total += layer.weight[0].numel() * result.numel()

        student = Student(shape).eval()
        for module in student.modules():
            if isinstance(module, torch.nn.Conv2d):
                module.register_forward_hook(count)
        with torch.no_grad():
            student(torch.zeros(1, 3, 64, 96))
        assert shape.multiply_adds(64, 96) == total


def test_a_block_that_changes_the_map_stays():
    hidden = list(NANO.hidden)
    hidden[1] = 0
    with pytest.raises(AssertionError):
        Shape("wrong", NANO.stem, NANO.outputs, tuple(hidden), NANO.c39, NANO.c51)


def test_leading_basis_spans_what_varies():
    """Three channels of which the third is the sum of the others: two components hold everything."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((4000, 2)) * [1.0, 3.0]
    rows = np.column_stack([rows, rows.sum(1)])
    basis = leading_basis(np.cov(rows.T), 2, rng)
    projected = rows @ basis.T
    back = projected @ np.linalg.lstsq(projected, rows, rcond=None)[0]
    assert np.abs(back - rows).max() < 1e-6
    # One component turned by nothing is the principal axis of the standardised channels.
    assert basis.shape == (2, 3)


def test_spanning_channels_by_hand():
    # Channels 0 and 1 are the same, 2 is by itself: the pair {0, 2} explains all.
    covariance = np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    assert spanning_channels(covariance, 2).tolist() == [0, 2]


def test_narrow_targets(weights):
    teacher = Teacher(weights)
    image = torch.from_numpy(np.random.default_rng(1).uniform(-1, 1, (4, 3, 64, 64)).astype(np.float32))
    narrow = NarrowTeacher(teacher, NANO).fit(image)
    boundaries, c39 = narrow(image)
    own, own_c39 = Student(NANO)(image)
    assert boundaries[0] is None
    assert [m.shape for m in boundaries[1:]] == [m.shape for m in own[1:]] and c39.shape == own_c39.shape
    # A residual block's difference is a projection of the teacher's difference: both maps are on one basis.
    whole, _ = teacher(image)
    number = next(n for n, block in enumerate(BLOCKS) if block.residual)
    difference = (whole[number + 1] - whole[number]).permute(0, 2, 3, 1) @ getattr(narrow, f"basis{number - 1}").T
    torch.testing.assert_close(
        boundaries[number + 1] - boundaries[number], difference.permute(0, 3, 1, 2), rtol=1e-3, atol=1e-3
    )
    again = NarrowTeacher(teacher, NANO)
    again.load_state_dict(narrow.projections(), strict=False)
    torch.testing.assert_close(again(image)[1], c39)


def test_bfloat16_teacher_is_near(weights):
    image = torch.from_numpy(random_image(64, 64))
    (whole, _), (half, _) = Teacher(weights)(image), Teacher(weights, torch.bfloat16)(image)
    assert half[3].dtype == torch.float32
    assert (half[3] - whole[3]).square().mean().sqrt() < 0.05 * whole[3].std()


def test_nano_trains_resumes_and_leaves(tmp_path, weights):
    teacher, photos = Teacher(weights), random_photos(80)

    def train(steps: int, folder: str) -> distill.Run:
        run = distill.Run(tmp_path / folder, Schedule(local=1, chain=1, large=steps), seed=4, shape=NANO)
        run.resume()
        distill.train(run, photos, teacher, options())
        return run

    train(0, "cut")
    resumed, whole = train(1, "cut"), train(1, "whole")
    for name, tensor in whole.student.state_dict().items():
        # The rate of the last step follows from the schedule, which both share by then.
        assert torch.equal(tensor, resumed.student.state_dict()[name]), name
    student = read_student(tmp_path / "whole" / "checkpoint.pt")
    assert student.shape is NANO
    with pytest.raises(SystemExit, match="shape"):
        distill.Run(tmp_path / "whole", Schedule(1, 1, 1), seed=4).resume()


def test_nano_export_equals_the_student(tmp_path):
    student = trained_norms(Student(NANO))
    export(student, tmp_path / "nano.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "nano.onnx")
    names = list(outputs(NANO))
    image = random_image(64, 96)
    found = dict(zip(names, session.run(names, {"image": image}), strict=True))
    with torch.no_grad():
        boundaries, c39 = student(torch.from_numpy(image))
        c42 = student.stages[C42_BOUNDARY].layers[0](boundaries[C42_BOUNDARY - 1])
    assert isinstance(student.stages[1 + 5], LeftOut) and len(boundaries) == len(NAMES) - 1
    for name, maps in {"c39": c39, "c42": c42, "c51": boundaries[-1]}.items():
        assert found[name].shape == tuple(maps.shape) == (1, outputs(NANO)[name][0], *found[name].shape[2:])
        assert np.sqrt(np.mean((found[name] - maps.numpy()) ** 2)) < 0.01 * maps.std().item(), name


def test_nano_folds_and_unfolds():
    student = trained_norms(Student(NANO))
    image = torch.from_numpy(random_image(64, 96))
    network = FoldedNetwork.from_student(student)
    with torch.no_grad():
        boundaries, c39 = student(image)
        maps = network(image)
        c42 = student.stages[C42_BOUNDARY].layers[0](boundaries[C42_BOUNDARY - 1])
    torch.testing.assert_close(maps["c42"], c42, rtol=1e-3, atol=1e-3)
    for own, expected in ((maps["c39"], c39), (maps["c51"], boundaries[-1]), (maps["c20"], boundaries[7])):
        torch.testing.assert_close(own, expected, rtol=1e-3, atol=1e-3)
    for parameter in network.parameters():
        parameter.data += 0.05 * parameter.std() * torch.randn_like(parameter)
    network.into_student(student)
    with torch.no_grad():
        torch.testing.assert_close(network(image)["c51"], student(image)[0][-1], rtol=1e-3, atol=1e-3)


def test_settled_norms_have_the_statistics_of_their_crops():
    """The first norm's mean becomes that of the stem's outputs over all crops, whatever it was before."""
    student = trained_norms(Student(NANO))
    crops = [torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (2, 64, 64, 3), np.uint8)) for seed in range(3)]
    expected = torch.stack(
        [student.stages[0].convolution(pad(normalise(batch), 2)).mean(dim=(0, 2, 3)) for batch in crops]
    ).mean(0)
    settle(student, crops)
    torch.testing.assert_close(student.stages[0].norm.running_mean, expected.detach(), rtol=1e-4, atol=1e-4)
    assert student.stages[0].norm.momentum is not None and not student.training
