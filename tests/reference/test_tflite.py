"""TFLite networks, written with the official schema's own code, against a plain computation in numpy."""

import json

import flatbuffers
import numpy as np
import pytest
import tflite
from PIL import Image

from pictures import pattern
from program import PROGRAM, lines, pooled, run, unit

WIDTH, HEIGHT, PICTURES = 320, 96, 6
GRID = 0.03  # scale of all maps


def vector(builder, start, values, prepend):
    start(builder, len(values))
    for value in reversed(values):
        prepend(value)
    return builder.EndVector()


class Writer:
    """A model of one graph: constants, layers, and a computation of the same in float."""

    def __init__(self, quantised: bool):
        self.quantised = quantised
        self.tensors, self.buffers, self.operators, self.codes = [], [b""], [], []
        self.rng = np.random.default_rng(5)
        self.input = self.tensor("serving_default_image", (1, HEIGHT, WIDTH, 3), 1 / 127.5, -1)

    def tensor(self, name, shape, scale=None, zero=0, data=None, kind=None):
        kind = kind if kind is not None else (tflite.TensorType.INT8 if self.quantised else tflite.TensorType.FLOAT32)
        if data is not None:
            self.buffers.append(data.tobytes())
        buffer = len(self.buffers) - 1 if data is not None else 0
        self.tensors.append((name, shape, kind, buffer, scale, zero))
        return len(self.tensors) - 1

    def layer(self, code, inputs, output, options):
        if code not in self.codes:
            self.codes.append(code)
        self.operators.append((self.codes.index(code), inputs, output, options))
        return output

    def convolution(self, name, source, shape, stride, relu6, depthwise=False):
        """Weights of TFLite's `shape`; returns the output and the weights in float, as O×H×W×I or 1×H×W×O, and the bias."""
        outputs = shape[3] if depthwise else shape[0]
        weights = self.rng.integers(-127, 128, shape, np.int8)
        bias = self.rng.integers(-2000, 2000, outputs, np.int32)
        scales = self.rng.uniform(0.5, 1.5, outputs).astype(np.float32) / (40 * np.sqrt(np.prod(shape) / outputs))
        along = scales.reshape((1, 1, 1, -1) if depthwise else (-1, 1, 1, 1))
        floats, real = weights * along, bias * scales * np.float32(GRID)
        if self.quantised:
            w = self.tensor(f"{name}/w", shape, scales, np.zeros(outputs, int), weights)
            b = self.tensor(f"{name}/b", (outputs,), scales * GRID, 0, bias, tflite.TensorType.INT32)
        else:
            w = self.tensor(f"{name}/w", shape, data=floats.astype(np.float32))
            b = self.tensor(f"{name}/b", (outputs,), data=real.astype(np.float32))
        out = self.tensor(f"{name};model/{name}", (1, 0, 0, outputs), GRID, -128 if relu6 else 3)
        kind = tflite.BuiltinOperator.DEPTHWISE_CONV_2D if depthwise else tflite.BuiltinOperator.CONV_2D
        self.layer(kind, [source, w, b], out, ("depthwise" if depthwise else "convolution", stride, relu6))
        return out, floats.astype(np.float64), real.astype(np.float64)

    def write(self) -> bytes:
        b = flatbuffers.Builder(1024)
        buffers = []
        for data in self.buffers:
            held = b.CreateByteVector(data)
            tflite.BufferStart(b)
            tflite.BufferAddData(b, held)
            buffers.append(tflite.BufferEnd(b))
        tensors = []
        for name, shape, kind, buffer, scale, zero in self.tensors:
            text = b.CreateString(name)
            dims = b.CreateNumpyVector(np.array(shape, np.int32))
            grid = None
            if scale is not None and (self.quantised or kind == tflite.TensorType.INT32):
                scales = b.CreateNumpyVector(np.atleast_1d(np.array(scale, np.float32)))
                zeros = b.CreateNumpyVector(np.atleast_1d(np.array(zero, np.int64)))
                tflite.QuantizationParametersStart(b)
                tflite.QuantizationParametersAddScale(b, scales)
                tflite.QuantizationParametersAddZeroPoint(b, zeros)
                grid = tflite.QuantizationParametersEnd(b)
            tflite.TensorStart(b)
            tflite.TensorAddShape(b, dims)
            tflite.TensorAddType(b, kind)
            tflite.TensorAddBuffer(b, buffer)
            tflite.TensorAddName(b, text)
            if grid is not None:
                tflite.TensorAddQuantization(b, grid)
            tensors.append(tflite.TensorEnd(b))
        operators = []
        for code, inputs, output, options in self.operators:
            union, table = self.options(b, options)
            ins = b.CreateNumpyVector(np.array(inputs, np.int32))
            outs = b.CreateNumpyVector(np.array([output], np.int32))
            tflite.OperatorStart(b)
            tflite.OperatorAddOpcodeIndex(b, code)
            tflite.OperatorAddInputs(b, ins)
            tflite.OperatorAddOutputs(b, outs)
            if table is not None:
                tflite.OperatorAddBuiltinOptionsType(b, union)
                tflite.OperatorAddBuiltinOptions(b, table)
            operators.append(tflite.OperatorEnd(b))
        codes = []
        for code in self.codes:
            tflite.OperatorCodeStart(b)
            tflite.OperatorCodeAddDeprecatedBuiltinCode(b, code)
            tflite.OperatorCodeAddBuiltinCode(b, code)
            codes.append(tflite.OperatorCodeEnd(b))
        relative = b.PrependUOffsetTRelative
        tensors = vector(b, tflite.SubGraphStartTensorsVector, tensors, relative)
        operators = vector(b, tflite.SubGraphStartOperatorsVector, operators, relative)
        inputs = b.CreateNumpyVector(np.array([self.input], np.int32))
        tflite.SubGraphStart(b)
        tflite.SubGraphAddTensors(b, tensors)
        tflite.SubGraphAddInputs(b, inputs)
        tflite.SubGraphAddOperators(b, operators)
        graph = tflite.SubGraphEnd(b)
        graphs = vector(b, tflite.ModelStartSubgraphsVector, [graph], relative)
        codes = vector(b, tflite.ModelStartOperatorCodesVector, codes, relative)
        buffers = vector(b, tflite.ModelStartBuffersVector, buffers, relative)
        tflite.ModelStart(b)
        tflite.ModelAddVersion(b, 3)
        tflite.ModelAddOperatorCodes(b, codes)
        tflite.ModelAddSubgraphs(b, graphs)
        tflite.ModelAddBuffers(b, buffers)
        b.Finish(tflite.ModelEnd(b), file_identifier=b"TFL3")
        return bytes(b.Output())

    @staticmethod
    def options(b, options):
        kind, *rest = options
        if kind == "convolution":
            stride, relu6 = rest
            tflite.Conv2DOptionsStart(b)
            tflite.Conv2DOptionsAddStrideW(b, stride)
            tflite.Conv2DOptionsAddStrideH(b, stride)
            tflite.Conv2DOptionsAddFusedActivationFunction(b, 3 if relu6 else 0)
            return tflite.BuiltinOptions.Conv2DOptions, tflite.Conv2DOptionsEnd(b)
        if kind == "depthwise":
            stride, relu6 = rest
            tflite.DepthwiseConv2DOptionsStart(b)
            tflite.DepthwiseConv2DOptionsAddStrideW(b, stride)
            tflite.DepthwiseConv2DOptionsAddStrideH(b, stride)
            tflite.DepthwiseConv2DOptionsAddDepthMultiplier(b, 1)
            tflite.DepthwiseConv2DOptionsAddFusedActivationFunction(b, 3 if relu6 else 0)
            return tflite.BuiltinOptions.DepthwiseConv2DOptions, tflite.DepthwiseConv2DOptionsEnd(b)
        return 0, None


def correlate(x, weights, bias, stride, relu6, depthwise=False):
    """H×W×C, padded as TensorFlow's SAME: the odd one behind."""
    size = weights.shape[1]
    rows, columns = (-(-side // stride) for side in x.shape[:2])
    pads = [max((n - 1) * stride + size - side, 0) for n, side in zip((rows, columns), x.shape[:2])]
    x = np.pad(x, [*((p // 2, p - p // 2) for p in pads), (0, 0)])
    out = np.tile(bias, (rows, columns, 1))
    for ky in range(size):
        for kx in range(size):
            part = x[ky : ky + (rows - 1) * stride + 1 : stride, kx : kx + (columns - 1) * stride + 1 : stride]
            out += part * weights[0, ky, kx] if depthwise else part @ weights[:, ky, kx].T
    return np.clip(out, 0, 6) if relu6 else out


def network(quantised: bool):
    """A stem, an inverted residual block and a last layer; the file, and a function from pixels to the last map."""
    writer = Writer(quantised)
    stem, ws, bs = writer.convolution("stem", writer.input, (16, 3, 3, 3), 2, True)
    expand, we, be = writer.convolution("expand", stem, (48, 1, 1, 16), 1, True)
    deep, wd, bd = writer.convolution("deep", expand, (1, 3, 3, 48), 1, True, depthwise=True)
    project, wp, bp = writer.convolution("project", deep, (16, 1, 1, 48), 1, False)
    added = writer.tensor("added", (1, 0, 0, 16), 2 * GRID, 5)
    writer.layer(tflite.BuiltinOperator.ADD, [stem, project], added, ("none",))
    last, wl, bl = writer.convolution("last", added, (32, 3, 3, 16), 2, True)
    # What no tap needs may be anything.
    writer.layer(tflite.BuiltinOperator.SOFTMAX, [last], writer.tensor("classes", (1, 0, 0, 32), 1 / 256, -128), ("none",))

    def reference(pixels):
        x = (pixels - 127.5) / 127.5
        x = correlate(x, ws, bs, 2, True)
        y = correlate(correlate(x, we, be, 1, True), wd, bd, 1, True, depthwise=True)
        x = x + correlate(y, wp, bp, 1, False)
        return correlate(x, wl, bl, 2, True)

    return writer.write(), reference


def picture(seed: int) -> np.ndarray:
    return pattern(WIDTH, HEIGHT, seed)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    at = tmp_path_factory.mktemp("photos")
    for seed in range(PICTURES):
        Image.fromarray(picture(seed)).save(at / f"{seed}.png")
    return at


def recipe(at, tap: str):
    path = at / "recipe.json"
    path.write_text(json.dumps({"name": "x", "parts": [{"tap": tap, "pool": "average", "dim": 4, "whitening": "pca"}]}))
    return path


@pytest.mark.parametrize("quantised", [True, False])
def test_the_plan_gives_the_networks_maps(quantised, tmp_path, photos):
    model, reference = network(quantised)
    (tmp_path / "model.tflite").write_bytes(model)
    bundle = tmp_path / "model.lens"
    run("bundle", "convert", "--backbone", tmp_path / "model.tflite", "--recipe", recipe(tmp_path, "last"),
        "--calibrate", photos, "--photos", photos, "--out", bundle)  # fmt: skip
    assert lines("bundle", "info", bundle)[0]["network"] == "plan, int8"
    (found,) = pooled(sorted(photos.iterdir()), "--bundle", bundle)
    expected = unit(np.array([reference(picture(seed)).mean((0, 1)) for seed in range(PICTURES)]))
    cosines = (found * expected).sum(1)
    assert cosines.min() > 0.99, cosines


def refusal(model: bytes, tap: str, tmp_path, photos) -> str:
    import subprocess

    (tmp_path / "bad.tflite").write_bytes(model)
    command = [PROGRAM, "bundle", "convert", "--backbone", tmp_path / "bad.tflite", "--recipe", recipe(tmp_path, tap)]
    command += ["--calibrate", photos, "--photos", photos, "--out", tmp_path / "bad.lens"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode in (0, 1) and "panicked" not in done.stderr, done.stderr
    return done.stderr


def test_refusals_name_the_layer_and_what_there_is(tmp_path, photos):
    model, _ = network(True)
    assert "classes" in refusal(model, "classes", tmp_path, photos)
    assert "is not read" in refusal(model, "classes", tmp_path, photos)
    assert "expand" in refusal(model, "missing", tmp_path, photos)


def test_damaged_files_never_panic(tmp_path, photos):
    model, _ = network(True)
    rng = np.random.default_rng(4)
    for attempt in range(60):
        damaged = bytearray(model)
        if attempt % 4 == 0:
            damaged = damaged[: rng.integers(8, len(model))]
        else:
            # Tables stand behind the constants, the root before them.
            places = rng.integers(0, 200, 2) if attempt % 2 else rng.integers(len(model) // 2, len(model), 4)
            for place in places:
                damaged[place % len(damaged)] = rng.integers(0, 256)
        refusal(bytes(damaged), "last", tmp_path, photos)
