"""ONNX files that nobody should send: each is refused with a reason, soon, and without a panic."""

import subprocess
import time

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from networks import Builder
from pictures import folder
from program import PROGRAM

SECONDS = 20


def small() -> onnx.ModelProto:
    net = Builder()
    value = net.conv("image", 8, 3, 2, act="relu6")
    value = net.squeeze_excite(net.conv(value, 8, 3, groups=8, act="hswish"), 4)
    return net.model({"features": net.add(net.conv(value, 8, 1), value)})


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    at = tmp_path_factory.mktemp("hostile") / "photos"
    folder(at, 3, 64, 64)
    return at


def convert(path, photos) -> subprocess.CompletedProcess:
    recipe = path.with_suffix(".json")
    recipe.write_text('{"name": "x", "parts": [{"tap": "features", "pool": "average", "dim": 2, "whitening": "pca"}]}')
    command = [PROGRAM, "bundle", "convert", "--backbone", path, "--recipe", recipe, "--calibrate", photos]
    command += ["--photos", photos, "--out", path.with_suffix(".lens")]
    start = time.monotonic()
    # 2 GiB of address space: what asks for more is refused before it is given.
    limited = ["bash", "-c", 'ulimit -v 2097152; exec "$@"', "bash", *command]
    done = subprocess.run(limited, capture_output=True, text=True, timeout=10 * SECONDS)
    assert time.monotonic() - start < SECONDS
    assert done.returncode in (0, 1), done.stderr
    assert "panicked" not in done.stderr, done.stderr
    return done


def node(model: onnx.ModelProto, operator: str) -> onnx.NodeProto:
    return next(node for node in model.graph.node if node.op_type == operator)


def cycle(model):
    node(model, "Conv").input[0] = node(model, "Add").output[0]


def unknown_operator(model):
    node(model, "HardSwish").op_type = "Mystery"


def huge_shape(model):
    model.graph.initializer[0].dims[:] = [1 << 40, 3, 3, 3]


def negative_shape(model):
    model.graph.initializer[0].dims[:] = [-8, 3, 3, 3]


def truncated_tensor(model):
    tensor = model.graph.initializer[0]
    tensor.raw_data = tensor.raw_data[:-4]


def missing_weights(model):
    del model.graph.initializer[0]


def not_a_number(model):
    values = np.full((8, 3, 3, 3), np.nan, np.float32)
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(values, model.graph.initializer[0].name))


def huge_stride(model):
    for attribute in node(model, "Conv").attribute:
        if attribute.name == "strides":
            attribute.ints[:] = [1 << 40] * 2


def huge_padding(model):
    for attribute in node(model, "Conv").attribute:
        if attribute.name == "pads":
            attribute.ints[:] = [1 << 40] * 4


def no_groups(model):
    for attribute in node(model, "Conv").attribute:
        if attribute.name == "group":
            attribute.i = 0


def external_data(model):
    tensor = model.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def missing_tap(model):
    model.graph.output[0].name = node(model, "Identity").output[0] = "elsewhere"


@pytest.mark.parametrize(
    "damage",
    [
        cycle,
        unknown_operator,
        huge_shape,
        negative_shape,
        truncated_tensor,
        missing_weights,
        not_a_number,
        huge_stride,
        huge_padding,
        no_groups,
        external_data,
        missing_tap,
    ],
)
def test_damaged_networks_are_refused(damage, tmp_path, photos):
    model = small()
    damage(model)
    path = tmp_path / "bad.onnx"
    path.write_bytes(model.SerializeToString())
    done = convert(path, photos)
    assert done.returncode == 1 and len(done.stderr) > 40, done.stderr


def test_flipped_and_truncated_files_never_panic(tmp_path, photos):
    whole = small().SerializeToString()
    rng = np.random.default_rng(3)
    path = tmp_path / "bad.onnx"
    for attempt in range(40):
        damaged = bytearray(whole)
        if attempt % 4 == 0:
            damaged = damaged[: rng.integers(0, len(whole))]
        else:
            # Structure stands around the weights: half of the changes hit the first and last part.
            at = rng.integers(0, len(whole), 3) if attempt % 2 else rng.integers(0, 900, 3)
            for place in at:
                damaged[place] = rng.integers(0, 256)
        path.write_bytes(damaged)
        convert(path, photos)
