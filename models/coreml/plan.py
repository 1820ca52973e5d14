"""A bundle's quantised plan as layers of real numbers: what `core/src/backbone/plan/FORMAT.md` draws, read again.

    taps, layers = read(Path("models/default.lens"))
"""

import json
import struct
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

OUTPUTS, TAPS = 16, 4  # outputs that stand side by side in packed weights, and weights of each that stand together


class Refused(Exception):
    """The plan has a layer that cannot be told in floats, or the file is no bundle."""


@dataclass
class Value:
    """`real = (byte - zero) · scale`."""

    scale: float
    zero: int

    def real(self, byte: int) -> float:
        return (byte - self.zero) * self.scale


@dataclass
class Layer:
    """What gives value `output` of `inputs`; value 0 is the photo less its `fill`."""

    name: str
    kind: str  # convolution, add, multiply, global_average, maximum, average
    inputs: list[int]
    output: int
    low: float  # what the output is clamped to, real
    high: float
    weights: np.ndarray | None = None  # int8, O×I×H×W
    scales: np.ndarray | None = None  # O, real weight a step
    bias: np.ndarray | None = None  # O, real
    groups: int = 1
    size: list[int] = field(default_factory=lambda: [1, 1])
    stride: list[int] = field(default_factory=lambda: [1, 1])
    dilation: list[int] = field(default_factory=lambda: [1, 1])
    padding: list[int] = field(default_factory=lambda: [0, 0, 0, 0])  # top, left, bottom, right
    hard_swish: bool = False
    residual: bool = False


@dataclass
class Plan:
    fill: int  # the byte around the photo
    layers: list[Layer]
    taps: dict[str, int]  # value by name
    longest_side: int  # of the network's input, px
    multiple: int  # of both sides, px

    def sizes(self) -> list[tuple[int, int]]:
        """All (height, width) that photos of any aspect can have."""
        steps = range(self.multiple, self.longest_side + 1, self.multiple)
        sides = [(self.longest_side, side) for side in steps]
        return sorted({*sides, *((width, height) for height, width in sides)})


def sections(path: Path) -> dict[str, bytes]:
    """A container's sections by their tags, as core/src/container/FORMAT.md draws it."""
    data = path.read_bytes()
    if len(data) < 48:
        raise Refused(f"{path}: no bundle")
    found = {}
    for at in range(struct.unpack_from("<I", data, 12)[0]):
        tag, _, offset, length = struct.unpack_from("<4sIQQ", data, 48 + 24 * at)
        found[tag.decode()] = data[offset : offset + length]
    return found


def read(path: Path) -> Plan:
    found = sections(path)
    if "plan" not in found:
        raise Refused(f"{path}: holds no quantised plan; make one with `pocketlens bundle convert`")
    block = found["plan"]
    length = struct.unpack_from("<I", block, 4)[0]
    description = json.loads(block[8 : 8 + length])
    blob = block[-(-(8 + length) // 64) * 64 :]
    fill = description["fill"]
    if len(set(fill)) != 1:
        raise Refused(f"padding around the photo has no single byte: {fill}")
    values, channels = [Value(1.0, fill[0])], [3]
    layers = []
    for at, layer in enumerate(description["layers"]):
        value = Value(layer["scale"], layer["zero"])
        layers.append(_layer(layer, at + 1, value, values, channels, blob))
        values.append(value)
        channels.append(layer["channels"])
    sizing = json.loads(found["spec"])["preprocessing"]["sizing"]
    taps = {tap["name"]: tap["value"] for tap in description["taps"]}
    return Plan(fill[0], layers, taps, sizing["longest_side"], sizing["multiple"])


def _layer(layer: dict, output: int, value: Value, values: list[Value], channels: list[int], blob: bytes) -> Layer:
    (kind, parameters), *_ = layer["operator"].items()
    bounds = parameters.get("range", {"low": 0, "high": 255})
    made = Layer(layer["name"], kind, layer["inputs"], output, value.real(bounds["low"]), value.real(bounds["high"]))
    if kind == "convolution":
        return _convolution(made, parameters, value, values, channels[layer["inputs"][0]], layer["channels"], blob)
    if kind in ("maximum", "average"):
        _window(made, parameters["window"])
    elif kind not in ("add", "multiply", "global_average"):
        raise Refused(f"layer {made.name}: no operation for {kind}")
    return made


def _window(layer: Layer, window: dict) -> None:
    layer.size, layer.stride, layer.dilation = window["size"], window["stride"], window["dilation"]
    pools = layer.kind != "convolution"
    if window.get("ceil") or window.get("count_padding") or (pools and layer.dilation != [1, 1]):
        raise Refused(f"layer {layer.name}: pooling that counts padding, reaches beyond it or leaves gaps")
    if "explicit" not in window["padding"]:
        raise Refused(f"layer {layer.name}: padding that depends on the size of the input")
    layer.padding = window["padding"]["explicit"]


def _convolution(
    layer: Layer, parameters: dict, value: Value, values: list[Value], inputs: int, outputs: int, blob: bytes
) -> Layer:
    _window(layer, parameters["window"])
    layer.groups, layer.hard_swish = parameters["groups"], "hard_swish" in parameters
    layer.residual = "residual" in parameters
    rows, columns = layer.size
    depth = inputs // layer.groups
    depthwise = (
        layer.groups == inputs == outputs
        and inputs > 3
        and rows == columns
        and rows in (3, 5)
        and layer.stride[0] == layer.stride[1]
        and layer.stride[0] in (1, 2)
        and layer.dilation == [1, 1]
        and not layer.residual
    )
    blocks = 1 if depthwise else layer.groups
    width = outputs // blocks
    padded = -(-width // OUTPUTS) * OUTPUTS
    row = rows * columns * depth
    if depthwise:
        length = padded * columns * -(-rows // TAPS) * TAPS
    else:
        length = padded * (-(-row // 8) * 8)
    weights, bias, multiplier = [], [], []
    for block in range(blocks):
        start = parameters["weights"] + block * (length + 8 * padded)
        packed = np.frombuffer(blob, np.int8, length, start)
        if depthwise:
            # [C/16][column][rows/4][16][4] → C×1×row×column
            packed = packed.reshape(-1, columns, -(-rows // TAPS), OUTPUTS, TAPS).transpose(0, 3, 2, 4, 1)
            packed = packed.reshape(-1, 1, packed.shape[2] * TAPS, columns)[:width, :, :rows]
        else:
            # [N/16][K/4][16][4] → N×row×column×depth → N×depth×row×column
            packed = packed.reshape(padded // OUTPUTS, -1, OUTPUTS, TAPS).transpose(0, 2, 1, 3).reshape(padded, -1)
            packed = packed[:width, :row].reshape(width, rows, columns, depth).transpose(0, 3, 1, 2)
        weights.append(packed)
        bias.append(np.frombuffer(blob, "<i4", width, start + length))
        multiplier.append(np.frombuffer(blob, "<f4", width, start + length + 4 * padded))
    layer.weights = np.ascontiguousarray(np.concatenate(weights))
    bias, multiplier = np.concatenate(bias).astype(np.float64), np.concatenate(multiplier).astype(np.float64)
    source = values[layer.inputs[0]]
    units = 1.0 if layer.hard_swish else value.scale
    layer.scales = (multiplier * units / source.scale).astype(np.float32)
    # The bias holds the input's zero point, and the output's as far as `range.zero` does not.
    bias = (bias + source.zero * layer.weights.sum(axis=(1, 2, 3), dtype=np.int64)) * multiplier * units
    if not layer.hard_swish:
        offset = parameters["range"]["zero"] - value.zero
        if layer.residual:
            offset += parameters["residual"] * values[layer.inputs[1]].zero
        bias += offset * units
    layer.bias = bias.astype(np.float32)
    return layer
