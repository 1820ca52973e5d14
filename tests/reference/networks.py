"""A small random network with two taps, for tests of everything around a network."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def tiny_network(path: Path, seed: int = 7) -> None:
    """Three convolutions: `fine` (12 channels, stride 16) and `deep` (20 channels, stride 32), both behind a ReLU."""
    rng = np.random.default_rng(seed)
    nodes, constants = [], []

    def convolve(source: str, target: str, inputs: int, outputs: int, kernel: int, stride: int) -> None:
        weight = rng.normal(0, (2 / (inputs * kernel**2)) ** 0.5, (outputs, inputs, kernel, kernel))
        bias = rng.normal(0, 0.2, outputs)
        for name, value in ((f"{target}_w", weight), (f"{target}_b", bias)):
            constants.append(numpy_helper.from_array(value.astype(np.float32), name))
        pad = (kernel - stride + 1) // 2 if kernel > stride else 0
        nodes.append(
            helper.make_node(
                "Conv",
                [source, f"{target}_w", f"{target}_b"],
                [f"{target}_linear"],
                kernel_shape=[kernel] * 2,
                strides=[stride] * 2,
                pads=[pad] * 4,
            )
        )
        nodes.append(helper.make_node("Relu", [f"{target}_linear"], [target]))

    convolve("image", "stem", 3, 8, 4, 4)
    convolve("stem", "fine", 8, 12, 4, 4)
    convolve("fine", "deep", 12, 20, 2, 2)
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, f"h{name}", f"w{name}"])
        for name, channels in (("fine", 12), ("deep", 20))
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, "h", "w"])
    graph = helper.make_graph(nodes, "tiny", [image], outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, path)
