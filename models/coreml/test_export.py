"""The Core ML program: its structure, as far as any machine can see it, and the numbers that it is made of.

Predictions need a device of Apple's. So the same layers are told to onnxruntime, whose maps are those of the plan.
"""

import json
import os
import subprocess
from pathlib import Path

import coremltools as ct
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from export import export
from plan import Layer, Plan, Refused, read

ROOT = Path(__file__).resolve().parents[2]
BUNDLES = [ROOT / "models/default.lens", ROOT / "models/nano.lens"]
PROGRAM = os.environ.get("POCKETLENS", ROOT / "target/debug/pocketlens")


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.stem)
def test_the_program_has_the_bundles_taps_sizes_and_8_bit_weights(bundle, tmp_path):
    plan = read(bundle)
    export(bundle).save(str(tmp_path / "network.mlpackage"))
    model = ct.models.MLModel(str(tmp_path / "network.mlpackage"), skip_model_load=True)
    specification = model.get_spec()
    (image,) = specification.description.input
    shapes = [list(shape.shape) for shape in image.type.multiArrayType.enumeratedShapes.shapes]
    assert image.name == "image" and [1, 3, 256, 320] in shapes and [1, 3, 320, 256] in shapes
    assert [output.name for output in specification.description.output] == list(plan.taps)
    (function,) = specification.mlProgram.functions.values()
    (block,) = function.block_specializations.values()
    operations = [operation.type for operation in block.operations]
    convolutions = [layer for layer in plan.layers if layer.kind == "convolution"]
    assert operations.count("constexpr_affine_dequantize") == operations.count("conv") == len(convolutions)
    weights = tmp_path / "network.mlpackage/Data/com.apple.CoreML/weights/weight.bin"
    parameters = sum(layer.weights.size for layer in convolutions)
    assert parameters < weights.stat().st_size < 1.25 * parameters


def in_onnx(plan: Plan, taps: list[str]) -> onnx.ModelProto:
    """The layers again, for onnxruntime."""
    nodes, constants = [], []

    def constant(array: np.ndarray) -> str:
        constants.append(numpy_helper.from_array(array, f"constant{len(constants)}"))
        return constants[-1].name

    def node(operator: str, inputs: list[str], **attributes) -> str:
        nodes.append(helper.make_node(operator, inputs, [f"node{len(nodes)}"], **attributes))
        return nodes[-1].output[0]

    def operation(layer: Layer, inputs: list[str]) -> str:
        assert layer.kind == "convolution", "what the shipped bundles have"
        weights = layer.weights.astype(np.float32) * layer.scales[:, None, None, None]
        window = {"pads": layer.padding, "strides": layer.stride, "group": layer.groups}
        x = node("Conv", [inputs[0], constant(weights), constant(layer.bias)], **window)
        return node("Add", [x, inputs[1]]) if layer.residual else x

    values = {0: node("Sub", ["image", constant(np.float32(plan.fill))])}
    for layer in plan.layers:
        x = operation(layer, [values[value] for value in layer.inputs])
        values[layer.output] = node("Clip", [x, *(constant(np.float32(end)) for end in (layer.low, layer.high))])
    nodes.extend(helper.make_node("Identity", [values[plan.taps[tap]]], [tap]) for tap in taps)
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, None, None])
    outputs = [helper.make_tensor_value_info(tap, TensorProto.FLOAT, None) for tap in taps]
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(helper.make_graph(nodes, "plan", [image], outputs, constants), opset_imports=opset, ir_version=8)


def waves(seed: int) -> np.ndarray:
    """A picture of the network's own size, 256×320×3."""
    rows, columns = np.mgrid[:256, :320]
    bands = [127 + 120 * np.sin(rows / (5 + seed) + c) * np.cos(columns / (23 - 3 * c + seed)) for c in range(3)]
    return np.stack(bands, axis=2).astype(np.uint8)


def lines(*arguments) -> list[dict]:
    done = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.stem)
def test_its_layers_give_the_maps_of_the_plan(bundle, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for seed in range(12):
        Image.fromarray(waves(seed)).save(photos / f"{seed}.png")
    plan, taps = read(bundle), ["c39", "c42", "c51"]
    parts = [{"tap": tap, "pool": "average", "dim": 4, "whitening": "pca"} for tap in taps]
    (tmp_path / "recipe.json").write_text(json.dumps({"name": "means", "parts": parts}))
    means = tmp_path / "means.lens"
    lines("fit", "--photos", photos, "--backbone", bundle, "--recipe", tmp_path / "recipe.json", "--out", means)
    (found,) = lines("embed", photos / "3.png", "--bundle", means, "--pooled", "--json")
    session = onnxruntime.InferenceSession(in_onnx(plan, taps).SerializeToString())
    maps = session.run(taps, {"image": waves(3).astype(np.float32).transpose(2, 0, 1)[None]})
    for pooled, tap in zip(found["pooled"], maps, strict=True):
        mean = tap[0].mean(axis=(1, 2))
        cosine = np.dot(pooled, mean) / np.linalg.norm(pooled) / np.linalg.norm(mean)
        assert cosine > 0.99


def test_what_cannot_be_exported_is_refused(tmp_path):
    with pytest.raises(Refused, match="among"):
        export(BUNDLES[0], [(100, 100)])
    (tmp_path / "no.lens").write_bytes(b"no bundle")
    with pytest.raises(Refused, match="no bundle"):
        export(tmp_path / "no.lens")
