"""Reads the convolutions of an int8 bundle (`.lens`) back as float32.

The weights are what the bundle computes, on a grid of 8 bits; where the conversion scaled channels against each other
(cross-layer equalisation) they stay scaled. Layout: FORMAT.md in `core/src/container` and `core/src/backbone/plan`.
"""

import json
import struct
from pathlib import Path

import numpy as np

from folded import C42_BOUNDARY, FoldedNetwork
from teacher import BOUNDARIES, C20_BOUNDARY, C51_BOUNDARY, Convolution

# What `export.py` calls the stages that are taps, and the one whose first layer is c42.
_NAMES = {C20_BOUNDARY: "c20", C51_BOUNDARY: "c51", C42_BOUNDARY: f"boundary{C42_BOUNDARY:02d}"}
PHOTO_MEAN = PHOTO_SCALE = 127.5


def sections(path: Path) -> dict[str, bytes]:
    """The sections of a container by tag."""
    data = path.read_bytes()
    count = struct.unpack_from("<I", data, 12)[0]
    entries = [struct.unpack_from("<4sIQQ", data, 48 + 24 * index) for index in range(count)]
    return {tag.decode().strip(): data[offset : offset + length] for tag, _, offset, length in entries}


def convolutions(path: Path) -> list[Convolution]:
    """All convolutions of the plan in the order in which they run; c39's is the one of that name."""
    plan = sections(path)["plan"]
    length = struct.unpack_from("<I", plan, 4)[0]
    description, blob = json.loads(plan[8 : 8 + length]), plan[-(-(8 + length) // 64) * 64 :]
    layers = description["layers"]
    return [_convolution(layers, number, blob) for number in range(len(layers))]


def _convolution(layers: list[dict], number: int, blob: bytes) -> Convolution:
    """real = scale · multiplier · (Σ w · byte + bias) + …, with the zero points of input and output taken out."""
    layer = layers[number]
    operator = layer["operator"]["convolution"]
    source = layer["inputs"][0]
    inputs = layers[source - 1]["channels"] if source else 3
    outputs, groups, kernel = layer["channels"], operator["groups"], operator["window"]["size"][0]
    weights, length = _unpacked(blob[operator["weights"] :], inputs, outputs, groups, kernel)
    padded = -(-outputs // 16) * 16
    numbers = blob[operator["weights"] + length :]
    bias = np.frombuffer(numbers, "<i4", outputs).astype(np.float64)
    multiplier = np.frombuffer(numbers, "<f4", outputs, 4 * padded).astype(np.float64) * layer["scale"]
    zero, scale = (layers[source - 1]["zero"], layers[source - 1]["scale"]) if source else (PHOTO_MEAN, 1 / PHOTO_SCALE)
    bias = multiplier * (bias + zero * weights.sum(axis=(1, 2, 3), dtype=np.float64))
    bias += layer["scale"] * (operator["range"]["zero"] - layer["zero"])
    if len(layer["inputs"]) == 2:
        bias += layer["scale"] * operator["residual"] * layers[layer["inputs"][1] - 1]["zero"]
    real = weights * (multiplier / scale).reshape(-1, 1, 1, 1)
    stride, relu6 = operator["window"]["stride"][0], layer["name"].endswith("_linear")
    return Convolution(layer["name"], real.astype(np.float32), bias.astype(np.float32), stride, groups, relu6)


def _unpacked(packed: bytes, inputs: int, outputs: int, groups: int, kernel: int) -> tuple[np.ndarray, int]:
    """Weights (O×I×K×K, signed bytes) and how many bytes they take."""
    blocks = -(-outputs // 16)
    if groups > 1:  # [C/16][column][rows/4][16][4]
        shape = (blocks, kernel, -(-kernel // 4), 16, 4)
        values = np.frombuffer(packed, np.int8, int(np.prod(shape))).reshape(shape)
        rows = values.transpose(0, 3, 2, 4, 1).reshape(blocks * 16, -1, kernel)[:outputs, :kernel]
        return rows[:, None], values.size
    depth = kernel * kernel * inputs
    shape = (blocks, -(-depth // 8) * 2, 16, 4)
    values = np.frombuffer(packed, np.int8, int(np.prod(shape))).reshape(shape)
    rows = values.transpose(0, 2, 1, 3).reshape(blocks * 16, -1)[:outputs, :depth]
    return rows.reshape(outputs, kernel, kernel, inputs).transpose(0, 3, 1, 2), values.size


def network(path: Path) -> FoldedNetwork:
    """The student of a bundle. A stage's layers share the name of its boundary, up to the first underscore.

    But for c42, which has a name of its own; blocks that a narrow student leaves out have no layers.
    """
    stages: dict[str, list[Convolution]] = {_NAMES.get(number, f"boundary{number:02d}"): [] for number in range(len(BOUNDARIES))}
    c39 = None
    for convolution in convolutions(path):
        name = convolution.name.split("_")[0]
        if name == "c39":
            c39 = convolution
        else:
            stages[_NAMES[C42_BOUNDARY] if name == "c42" else name].append(convolution)
    return FoldedNetwork(list(stages.values()), c39)
