"""Reads the teacher's weights out of the published TFLite file (int8, per channel).

    pocketlens bundle fetch mobilenet-v2
    python tflite_weights.py --model tf2_mobilenet_v2_1.0_224_ptq.tflite --out target/teacher.npz
    python teacher_onnx.py --weights target/teacher.npz --out target/teacher.onnx

The 52 convolutions (and the classifier, which nobody reads) stand in the file in the order in which they run;
`teacher.py` says what the result holds. The weights are not ours: write them outside of what is committed.
"""

import argparse
from pathlib import Path

import numpy as np
import tflite


def read(path: Path) -> dict[str, np.ndarray]:
    """`cNN_wq` (int8, OIHW), `cNN_scale` (O) and `cNN_b` (float32, O) of each convolution."""
    model = tflite.Model.GetRootAsModel(path.read_bytes(), 0)
    graph = model.Subgraphs(0)
    arrays: dict[str, np.ndarray] = {}
    convolutions = (tflite.BuiltinOperator.CONV_2D, tflite.BuiltinOperator.DEPTHWISE_CONV_2D)
    for number in range(graph.OperatorsLength()):
        operator = graph.Operators(number)
        code = model.OperatorCodes(operator.OpcodeIndex()).BuiltinCode()
        if code not in convolutions:
            continue
        name = f"c{len(arrays) // 3:02d}"
        weight, scale = _tensor(model, graph, operator.Inputs(1), np.int8)
        bias, bias_scale = _tensor(model, graph, operator.Inputs(2), np.int32)
        # Outputs first, then inputs: O×H×W×I, of a depthwise one 1×H×W×O.
        order = (0, 3, 1, 2) if code == tflite.BuiltinOperator.CONV_2D else (3, 0, 1, 2)
        arrays[f"{name}_wq"] = np.ascontiguousarray(weight.transpose(order))
        arrays[f"{name}_scale"] = scale
        arrays[f"{name}_b"] = (bias * bias_scale.astype(np.float64)).astype(np.float32)
    return arrays


def _tensor(model, graph, number: int, kind: type) -> tuple[np.ndarray, np.ndarray]:
    """A constant and its scales."""
    tensor = graph.Tensors(number)
    data = model.Buffers(tensor.Buffer()).DataAsNumpy().tobytes()
    return np.frombuffer(data, kind).reshape(tensor.ShapeAsNumpy()), tensor.Quantization().ScaleAsNumpy()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    weights = read(arguments.model)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    np.savez(arguments.out, **weights)
    print(f"{arguments.out}: {len(weights) // 3} convolutions")
