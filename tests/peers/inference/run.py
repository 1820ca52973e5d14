"""One inference of each backbone: Pocketlens' int8 plan beside the runtimes that apps use, in turns, in one run.

    cargo build --release
    python -m venv .venv && .venv/bin/pip install -r requirements.txt
    .venv/bin/python run.py [--threads 2] [--network mobilenet_v2 …] [--tflite MODEL.tflite] [--backbone MODEL.onnx]

Networks have random weights (`tests/reference/networks.py`): time does not depend on them. Int8 peers get ONNX Runtime's
static quantisation (QDQ, u8 activations, weights per channel). `--tflite` adds LiteRT with a MobileNetV2 file;
`--backbone` adds a network of one's own, `--size` its input. Prints medians over all rounds and their ratio to the
fastest peer.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import openvino
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = ROOT / "target" / "release" / "pocketlens"
sys.path.insert(0, str(ROOT / "tests" / "reference"))
import networks  # noqa: E402
import pictures  # noqa: E402

ROUNDS = 9
RUNS = 30


class Photos(CalibrationDataReader):
    """Patterns at the network's input size, as the peers' quantisation wants them."""

    def __init__(self, width: int, height: int):
        inputs = [pictures.pattern(width, height, seed) for seed in range(6)]
        self.inputs = iter([(p.astype(np.float32).transpose(2, 0, 1)[None] - 127.5) / 127.5 for p in inputs])

    def get_next(self) -> dict[str, np.ndarray] | None:
        value = next(self.inputs, None)
        return None if value is None else {"image": value}


def fixed(model: onnx.ModelProto, width: int, height: int, path: Path) -> None:
    """The model for one input size: peers plan better when they know it."""
    for dim, size in zip(model.graph.input[0].type.tensor_type.shape.dim, (1, 3, height, width)):
        dim.dim_value = size
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    onnx.save(onnx.shape_inference.infer_shapes(model), path)


def bundle(network: Path, tap: str, folder: Path) -> Path:
    """Our plan, quantised on patterns, with a descriptor that does not matter here."""
    photos, recipe, out = folder / "photos", folder / "recipe.json", folder / f"{network.stem}.lens"
    if not photos.exists():
        pictures.folder(photos, 24, 320, 240)
    part = {"tap": tap, "pool": "average", "dim": 8, "whitening": "pca"}
    recipe.write_text(json.dumps({"name": "bench", "parts": [part]}))
    command = [PROGRAM, "bundle", "convert", "--backbone", network, "--calibrate", photos, "--photos", photos]
    subprocess.run([*command, "--recipe", recipe, "--out", out], check=True, capture_output=True)
    return out


def ours(lens: Path, width: int, height: int, threads: int) -> Callable[[], list[float]]:
    command = [PROGRAM, "bench", "--bundle", lens, "--json", "--network", "--size", f"{width}x{height}"]
    command += ["--threads", str(threads), "--runs", str(RUNS)]

    def run() -> list[float]:
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
        return [json.loads(lines[0])["median_us"] / 1e3]

    return run


def timed(call: Callable[[], object]) -> Callable[[], list[float]]:
    def run() -> list[float]:
        call()
        times = []
        for _ in range(RUNS):
            start = time.perf_counter()
            call()
            times.append((time.perf_counter() - start) * 1e3)
        return [statistics.median(times)]

    return run


def onnx_runtime(path: Path, image: np.ndarray, threads: int) -> Callable[[], list[float]]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return timed(lambda: session.run(None, {"image": image}))


def open_vino(path: Path, image: np.ndarray, threads: int) -> Callable[[], list[float]]:
    core = openvino.Core()
    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1}
    request = core.compile_model(core.read_model(path), "CPU", settings).create_infer_request()
    return timed(lambda: request.infer({0: image}))


def lite_rt(path: Path, threads: int) -> Callable[[], list[float]]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=threads)
    interpreter.allocate_tensors()
    details = interpreter.get_input_details()[0]
    interpreter.set_tensor(details["index"], np.full(details["shape"], 127, details["dtype"]))
    return timed(interpreter.invoke)


def compare(name: str, model: onnx.ModelProto, size: tuple[int, int], arguments: argparse.Namespace, folder: Path) -> None:
    width, height = size
    dynamic, plain, quantised = (folder / f"{name}{end}.onnx" for end in ("", "_float", "_int8"))
    onnx.save(model, dynamic)
    lens = bundle(dynamic, model.graph.output[-1].name, folder)
    fixed(model, width, height, plain)
    prepared = folder / "prepared.onnx"
    quant_pre_process(plain, prepared, skip_symbolic_shape=True)
    quantize_static(
        prepared,
        quantised,
        Photos(width, height),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    image = np.random.default_rng(1).normal(0, 0.5, (1, 3, height, width)).astype(np.float32)
    threads = arguments.threads
    contestants = {
        "pocketlens int8": ours(lens, width, height, threads),
        "ONNX Runtime int8": onnx_runtime(quantised, image, threads),
        "ONNX Runtime float": onnx_runtime(plain, image, threads),
        "OpenVINO int8": open_vino(quantised, image, threads),
        "OpenVINO float": open_vino(plain, image, threads),
    }
    if arguments.tflite and name == "mobilenet_v2" and size == (224, 224):
        contestants["LiteRT int8"] = lite_rt(arguments.tflite, threads)
    times: dict[str, list[float]] = {contestant: [] for contestant in contestants}
    for _ in range(ROUNDS):
        for contestant, run in contestants.items():
            times[contestant] += run()
    medians = {contestant: statistics.median(found) for contestant, found in times.items()}
    fastest = min((ms, peer) for peer, ms in medians.items() if peer != "pocketlens int8")
    ratio = medians["pocketlens int8"] / fastest[0]
    print(f"{name} {width}x{height}, {threads} thread(s): {ratio:.2f} of {fastest[1]}")
    for contestant, ms in medians.items():
        print(f"  {contestant:<20} {ms:8.2f} ms")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--network", nargs="*", default=["mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small"])
    parser.add_argument("--tflite", type=Path)
    parser.add_argument("--backbone", type=Path)
    parser.add_argument("--size", default="224x224")
    arguments = parser.parse_args()
    width, height = map(int, arguments.size.split("x"))
    print(next(line for line in open("/proc/cpuinfo") if line.startswith("model name")).strip())
    with tempfile.TemporaryDirectory() as folder:
        if arguments.backbone:
            model = onnx.load(arguments.backbone)
            compare(arguments.backbone.stem, model, (width, height), arguments, Path(folder))
            return
        for name in arguments.network:
            compare(name, networks.NETWORKS[name](), (width, height), arguments, Path(folder))


if __name__ == "__main__":
    main()
