"""Writes MobileNetV2-shaped networks as ONNX with nothing but Conv, Clip, Add (and Cast for half-size weights, and the
pair QuantizeLinear, DequantizeLinear in quantised networks).

Both networks of this folder leave through here, so that they have the same operators, names and padding: explicit
`pads` on every convolution, Clip(0, 6) for ReLU6, input `image` (float32, 1×3×H×W, already normalised).
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from teacher import pads

OPSET = 17


class OnnxGraph:
    """Collects nodes and weights; values are referred to by name.

    `weights` is the type in which convolution weights are stored: np.float16 halves the file and is followed by a
    Cast to float32. Biases stay float32: they are few, and they carry the folded batch norm's offsets.
    """

    def __init__(self, name: str, weights: type = np.float32):
        self.name, self.weights = name, weights
        self.nodes: list[onnx.NodeProto] = []
        self.initialisers = [
            numpy_helper.from_array(np.array(0, np.float32), "zero"),
            numpy_helper.from_array(np.array(6, np.float32), "six"),
        ]

    def convolution(
        self, source: str, target: str, weight: np.ndarray, bias: np.ndarray, stride: int, groups: int, relu6: bool
    ) -> str:
        """Adds a convolution (weight O×I×K×K, K = 1 or 3) and its ReLU6; returns `target`, the name of its output."""
        stored = f"{target}_weight"
        self.initialisers.append(numpy_helper.from_array(np.ascontiguousarray(weight, self.weights), stored))
        self.initialisers.append(numpy_helper.from_array(np.ascontiguousarray(bias, np.float32), f"{target}_bias"))
        if self.weights is np.float16:
            self._node("Cast", [stored], f"{target}_weight32", to=TensorProto.FLOAT)
            stored = f"{target}_weight32"
        return self._convolve(source, target, stored, list(weight.shape[2:]), stride, groups, relu6)

    def quantised_convolution(
        self,
        source: str,
        target: str,
        weight: np.ndarray,
        scales: np.ndarray,
        bias: np.ndarray,
        stride: int,
        groups: int,
        relu6: bool,
    ) -> str:
        """As `convolution`, of int8 weights (O×I×K×K) with a scale an output (O)."""
        names = [f"{target}_weight", f"{target}_scale", f"{target}_zero"]
        arrays = [np.ascontiguousarray(weight), scales.astype(np.float32), np.zeros(len(scales), np.int8)]
        arrays.append(np.ascontiguousarray(bias, np.float32))
        for name, array in zip([*names, f"{target}_bias"], arrays, strict=True):
            self.initialisers.append(numpy_helper.from_array(array, name))
        stored = self._node("DequantizeLinear", names, f"{target}_weight32", axis=0)
        return self._convolve(source, target, stored, list(weight.shape[2:]), stride, groups, relu6)

    def rounded(self, source: str, target: str, scale: float, zero: int) -> str:
        """Rounds a map to bytes and back; returns `target`."""
        grid = [f"{target}_scale", f"{target}_zero"]
        self.initialisers.append(numpy_helper.from_array(np.array(scale, np.float32), grid[0]))
        self.initialisers.append(numpy_helper.from_array(np.array(zero, np.uint8), grid[1]))
        self._node("QuantizeLinear", [source, *grid], f"{target}_bytes")
        return self._node("DequantizeLinear", [f"{target}_bytes", *grid], target)

    def _convolve(
        self, source: str, target: str, stored: str, kernel: list[int], stride: int, groups: int, relu6: bool
    ) -> str:
        same = [0, 0, 0, 0] if kernel[0] == 1 else list(pads(stride))
        result = f"{target}_linear" if relu6 else target
        self._node(
            "Conv",
            [source, stored, f"{target}_bias"],
            result,
            kernel_shape=kernel,
            strides=[stride, stride],
            pads=same,
            dilations=[1, 1],
            group=groups,
        )
        if relu6:
            self._node("Clip", [result, "zero", "six"], target)
        return target

    def add(self, left: str, right: str, target: str) -> str:
        """Adds the two maps of a residual block; returns `target`."""
        return self._node("Add", [left, right], target)

    def write(self, path: Path, outputs: dict[str, tuple[int, int]]) -> None:
        """Writes the model. `outputs` gives each output's channels and stride, by the name of its value."""
        image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, "H", "W"])
        results = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, f"H{stride}", f"W{stride}"])
            for name, (channels, stride) in outputs.items()
        ]
        graph = helper.make_graph(self.nodes, self.name, [image], results, self.initialisers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="pocketlens")
        model.ir_version = 8  # the IR that came with opset 17: readable by every runtime of the last years
        onnx.checker.check_model(model, full_check=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + ".partial")
        partial.write_bytes(model.SerializeToString())
        partial.replace(path)  # whoever reads meanwhile sees the old model or the new one, never half of one

    def _node(self, operator: str, inputs: list[str], target: str, **attributes) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [target], name=target, **attributes))
        return target
