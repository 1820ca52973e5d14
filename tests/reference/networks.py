"""Networks with random weights, made here: a small one with two taps, and the backbones that people use."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


# Name: channels, and how much coarser than the level before.
LEVELS = {
    "level1": (6, 4),
    "level2": (7, 2),
    "level3": (9, 2),
    "level4": (8, 1),
    "level5": (14, 1),
    "level6": (16, 2),
    "level7": (10, 1),
    "level8": (18, 1),
}


def tiny_network(path: Path, seed: int = 7) -> None:
    """Three convolutions: `fine` (12 channels, stride 16) and `deep` (20 channels, stride 32), both behind a ReLU."""
    levels = {"stem": (8, 4), "fine": (12, 4), "deep": (20, 2)}
    chain(path, levels, ["fine", "deep"], seed)


def chain(path: Path, levels: dict[str, tuple[int, int]], taps: list[str], seed: int = 7) -> None:
    """A convolution a level, each behind a ReLU."""
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

    source, inputs = "image", 3
    for name, (channels, stride) in levels.items():
        convolve(source, name, inputs, channels, stride, stride)
        source, inputs = name, channels
    outputs = [
        helper.make_tensor_value_info(tap, TensorProto.FLOAT, [1, levels[tap][0], f"h{tap}", f"w{tap}"])
        for tap in taps
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, "h", "w"])
    graph = helper.make_graph(nodes, "tiny", [image], outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, path)


class Builder:
    """A convolutional network in ONNX with random weights (He et al. 2015), batch norms folded as exporters do."""

    def __init__(self, seed: int = 1):
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.channels = {"image": 3}

    def node(self, operator: str, inputs: list[str], channels: int, **attributes: object) -> str:
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], name=f"{operator}{len(self.nodes)}", **attributes))
        self.channels[name] = channels
        return name

    def constant(self, value: np.ndarray) -> str:
        name = f"k{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(value.astype(np.float32), name))
        return name

    def conv(self, source: str, outputs: int, size: int, stride: int = 1, groups: int = 1, act: str = "", dilation: int = 1) -> str:
        inputs = self.channels[source] // groups
        # The variance stays: after a rectifier half of it is left.
        gain = 2.0 if act else 1.0
        weight = self.rng.normal(0, (gain / (inputs * size**2)) ** 0.5, (outputs, inputs, size, size))
        pad = dilation * (size // 2)
        value = self.node(
            "Conv",
            [source, self.constant(weight), self.constant(self.rng.normal(0, 0.1, outputs))],
            outputs,
            kernel_shape=[size] * 2,
            strides=[stride] * 2,
            pads=[pad] * 4,
            group=groups,
            dilations=[dilation] * 2,
        )
        return self.act(value, act)

    def act(self, value: str, kind: str) -> str:
        channels = self.channels[value]
        match kind:
            case "":
                return value
            case "relu":
                return self.node("Relu", [value], channels)
            case "relu6":
                return self.node("Clip", [value, self.constant(np.array(0.0)), self.constant(np.array(6.0))], channels)
            case "hswish":
                return self.node("HardSwish", [value], channels)
            case "hsigmoid":
                return self.node("HardSigmoid", [value], channels, alpha=1 / 6, beta=0.5)
            case "silu":
                gate = self.node("Sigmoid", [value], channels)
                return self.node("Mul", [value, gate], channels)
        raise ValueError(kind)

    def add(self, a: str, b: str) -> str:
        return self.node("Add", [a, b], self.channels[a])

    def squeeze_excite(self, value: str, hidden: int, act: str = "relu", gate: str = "hsigmoid") -> str:
        channels = self.channels[value]
        pooled = self.node("GlobalAveragePool", [value], channels)
        if gate == "sigmoid":
            opened = self.conv(self.conv(pooled, hidden, 1, act=act), channels, 1)
            opened = self.node("Sigmoid", [opened], channels)
        else:
            opened = self.conv(self.conv(pooled, hidden, 1, act=act), channels, 1, act=gate)
        return self.node("Mul", [value, opened], channels)

    def model(self, taps: dict[str, str]) -> onnx.ModelProto:
        """The graph with the values of `taps` as outputs under the names that are its keys."""
        nodes = list(self.nodes)
        outputs = []
        for name, value in taps.items():
            nodes.append(helper.make_node("Identity", [value], [name], name=f"tap_{name}"))
            shape = [1, self.channels[value], f"h_{name}", f"w_{name}"]
            outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, "h", "w"])
        graph = helper.make_graph(nodes, "network", [image], outputs, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        model.ir_version = 8
        return model


def rounded(channels: float) -> int:
    """To a multiple of 8, never by more than a tenth down (the rule of all MobileNets)."""
    whole = max(8, int(channels + 4) // 8 * 8)
    return whole + 8 if whole < 0.9 * channels else whole


def mobilenet_v1(seed: int = 1) -> onnx.ModelProto:
    """Howard et al. 2017, width 1.0."""
    net = Builder(seed)
    value = net.conv("image", 32, 3, 2, act="relu6")
    for outputs, stride in [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)] + [(512, 1)] * 5 + [(1024, 2), (1024, 1)]:
        channels = net.channels[value]
        value = net.conv(value, channels, 3, stride, groups=channels, act="relu6")
        value = net.conv(value, outputs, 1, act="relu6")
    return net.model({"features": value})


def mobilenet_v2(width: float = 1.0, seed: int = 1) -> onnx.ModelProto:
    """Sandler et al. 2018."""
    net = Builder(seed)
    value = net.conv("image", rounded(32 * width), 3, 2, act="relu6")
    for expand, outputs, count, stride in [
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ]:
        for at in range(count):
            source, hidden = value, net.channels[value] * expand
            if expand > 1:
                value = net.conv(value, hidden, 1, act="relu6")
            value = net.conv(value, hidden, 3, stride if at == 0 else 1, groups=hidden, act="relu6")
            value = net.conv(value, rounded(outputs * width), 1)
            if at > 0:
                value = net.add(source, value)
    value = net.conv(value, rounded(1280 * max(width, 1.0)), 1, act="relu6")
    return net.model({"features": value})


# kernel, hidden, outputs, squeeze and excite, activation, stride
LARGE = [
    (3, 16, 16, False, "relu", 1),
    (3, 64, 24, False, "relu", 2),
    (3, 72, 24, False, "relu", 1),
    (5, 72, 40, True, "relu", 2),
    (5, 120, 40, True, "relu", 1),
    (5, 120, 40, True, "relu", 1),
    (3, 240, 80, False, "hswish", 2),
    (3, 200, 80, False, "hswish", 1),
    (3, 184, 80, False, "hswish", 1),
    (3, 184, 80, False, "hswish", 1),
    (3, 480, 112, True, "hswish", 1),
    (3, 672, 112, True, "hswish", 1),
    (5, 672, 160, True, "hswish", 2),
    (5, 960, 160, True, "hswish", 1),
    (5, 960, 160, True, "hswish", 1),
]
SMALL = [
    (3, 16, 16, True, "relu", 2),
    (3, 72, 24, False, "relu", 2),
    (3, 88, 24, False, "relu", 1),
    (5, 96, 40, True, "hswish", 2),
    (5, 240, 40, True, "hswish", 1),
    (5, 240, 40, True, "hswish", 1),
    (5, 120, 48, True, "hswish", 1),
    (5, 144, 48, True, "hswish", 1),
    (5, 288, 96, True, "hswish", 2),
    (5, 576, 96, True, "hswish", 1),
    (5, 576, 96, True, "hswish", 1),
]


def mobilenet_v3(blocks: list[tuple[int, int, int, bool, str, int]], last: int, seed: int = 1) -> onnx.ModelProto:
    """Howard et al. 2019, tables 1 and 2, up to the last 1×1 before pooling."""
    net = Builder(seed)
    value = net.conv("image", 16, 3, 2, act="hswish")
    for size, hidden, outputs, excite, act, stride in blocks:
        source = value
        if hidden != net.channels[value]:
            value = net.conv(value, hidden, 1, act=act)
        value = net.conv(value, hidden, size, stride, groups=hidden, act=act)
        if excite:
            value = net.squeeze_excite(value, rounded(hidden / 4))
        value = net.conv(value, outputs, 1)
        if stride == 1 and net.channels[source] == outputs:
            value = net.add(source, value)
    value = net.conv(value, last, 1, act="hswish")
    return net.model({"features": value})


def efficientnet(lite: bool = True, seed: int = 1) -> onnx.ModelProto:
    """Tan & Le 2019, B0; `lite` without squeeze and excite and with ReLU6, else with SiLU."""
    net = Builder(seed)
    act = "relu6" if lite else "silu"
    value = net.conv("image", 32, 3, 2, act=act)
    for expand, size, outputs, count, stride in [
        (1, 3, 16, 1, 1),
        (6, 3, 24, 2, 2),
        (6, 5, 40, 2, 2),
        (6, 3, 80, 3, 2),
        (6, 5, 112, 3, 1),
        (6, 5, 192, 4, 2),
        (6, 3, 320, 1, 1),
    ]:
        for at in range(count):
            source, inputs = value, net.channels[value]
            hidden = inputs * expand
            if expand > 1:
                value = net.conv(value, hidden, 1, act=act)
            value = net.conv(value, hidden, size, stride if at == 0 else 1, groups=hidden, act=act)
            if not lite:
                value = net.squeeze_excite(value, max(1, inputs // 4), act="silu", gate="sigmoid")
            value = net.conv(value, outputs, 1)
            if at > 0:
                value = net.add(source, value)
    return net.model({"features": net.conv(value, 1280, 1, act=act)})


def resnet(deep: bool, seed: int = 1) -> onnx.ModelProto:
    """He et al. 2016: ResNet-50 when `deep`, else ResNet-18."""
    net = Builder(seed)
    value = net.conv("image", 64, 7, 2, act="relu")
    value = net.node("MaxPool", [value], 64, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    for stage, count in enumerate([3, 4, 6, 3] if deep else [2, 2, 2, 2]):
        width = 64 << stage
        outputs = 4 * width if deep else width
        for at in range(count):
            stride = 2 if at == 0 and stage > 0 else 1
            source = value
            if deep:
                value = net.conv(value, width, 1, act="relu")
                value = net.conv(value, width, 3, stride, act="relu")
            else:
                value = net.conv(value, width, 3, stride, act="relu")
            value = net.conv(value, outputs, 1 if deep else 3)
            if net.channels[source] != outputs or stride > 1:
                source = net.conv(source, outputs, 1, stride)
            value = net.act(net.add(value, source), "relu")
    return net.model({"features": value})


NETWORKS = {
    "mobilenet_v1": mobilenet_v1,
    "mobilenet_v2": mobilenet_v2,
    "mobilenet_v2_035": lambda: mobilenet_v2(0.35),
    "mobilenet_v3_large": lambda: mobilenet_v3(LARGE, 960),
    "mobilenet_v3_small": lambda: mobilenet_v3(SMALL, 576),
    "efficientnet_lite0": efficientnet,
    "efficientnet_b0": lambda: efficientnet(lite=False),
    "resnet18": lambda: resnet(deep=False),
    "resnet50": lambda: resnet(deep=True),
}
