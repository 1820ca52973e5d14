"""One inference of each backbone: Pocketlens' int8 plan beside the runtimes that apps use, in turns, in one run.

    cargo build --release
    python -m venv .venv && .venv/bin/pip install -r requirements.txt
    taskset -c 1 .venv/bin/python run.py [--threads 2] [--network mobilenet_v2 …] [--tflite MODEL.tflite]
                                         [--backbone MODEL.onnx] [--page RESULTS.html]

Networks have random weights (`tests/reference/networks.py`): time does not depend on them. Int8 peers get ONNX Runtime's
static quantisation (QDQ, u8 activations, weights per channel), ncnn is float. `--tflite` adds LiteRT with a MobileNetV2
file; `--backbone` adds a network of one's own, `--size` its input. Peers run as they come, with whatever instructions they
choose. Prints a JSON object a network: medians over all rounds, the ratio of ours to the fastest peer, and the cosine of
each contestant's pooled features with those of ONNX Runtime in float.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path

import ncnn
import numpy as np
import onnx
import onnxruntime
import openvino
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from PIL import Image

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


@dataclass
class Contestant:
    """A runtime with the network loaded."""

    name: str
    # Runs `RUNS` times and gives the median in milliseconds.
    time: Callable[[], float]
    # With the features of ONNX Runtime in float; None where the network is another.
    cosine: float | None = None


def pooled(features: np.ndarray) -> np.ndarray:
    """1×C×H×W to C."""
    return np.asarray(features, np.float64).reshape(features.shape[-3], -1).mean(1)


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def timed(call: Callable[[], object]) -> Callable[[], float]:
    def run() -> float:
        call()
        times = []
        for _ in range(RUNS):
            start = time.perf_counter()
            call()
            times.append((time.perf_counter() - start) * 1e3)
        return statistics.median(times)

    return run


def ours(lens: Path, dynamic: Path, size: tuple[int, int], threads: int, folder: Path) -> Contestant:
    width, height = size
    command = [PROGRAM, "bench", "--bundle", lens, "--json", "--network", "--size", f"{width}x{height}"]
    command += ["--threads", str(threads), "--runs", str(RUNS)]

    def run() -> float:
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
        return json.loads(lines[0])["median_us"] / 1e3

    # A photo of the size that the bundle reads, so that both see the same pixels.
    photo = pictures.pattern(320, 240, 99)
    Image.fromarray(photo).save(folder / "photo.png")
    embed = [PROGRAM, "embed", folder / "photo.png", "--bundle", lens, "--pooled", "--json"]
    line = subprocess.run(embed, check=True, capture_output=True, text=True).stdout
    session = onnxruntime.InferenceSession(dynamic, providers=["CPUExecutionProvider"])
    image = (photo.astype(np.float32).transpose(2, 0, 1)[None] - 127.5) / 127.5
    expected = pooled(session.run(None, {"image": image})[-1])
    return Contestant("pocketlens int8", run, cosine(np.array(json.loads(line)["pooled"][0]), expected))


def onnx_runtime(name: str, path: Path, image: np.ndarray, threads: int, expected: np.ndarray | None) -> Contestant:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def run() -> np.ndarray:
        return session.run(None, {"image": image})[-1]

    return Contestant(name, timed(run), None if expected is None else cosine(pooled(run()), expected))


def open_vino(name: str, path: Path, image: np.ndarray, threads: int, expected: np.ndarray) -> Contestant:
    core = openvino.Core()
    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1}
    model = core.compile_model(core.read_model(path), "CPU", settings)
    request = model.create_infer_request()
    output = model.outputs[-1]
    return Contestant(
        name, timed(lambda: request.infer({0: image})), cosine(pooled(request.infer({0: image})[output]), expected)
    )


def ncnn_float(path: Path, image: np.ndarray, threads: int, expected: np.ndarray) -> Contestant:
    shape = ",".join(map(str, image.shape))
    command = [Path(sys.executable).parent / "pnnx", path.name, f"inputshape=[{shape}]"]
    subprocess.run(command, cwd=path.parent, check=True, capture_output=True)
    net = ncnn.Net()
    net.opt.num_threads = threads
    net.load_param(str(path.with_name(f"{path.stem}.ncnn.param")))
    net.load_model(str(path.with_name(f"{path.stem}.ncnn.bin")))
    last = net.output_names()[-1]
    value = ncnn.Mat(image[0])

    def run() -> np.ndarray:
        extractor = net.create_extractor()
        extractor.input(net.input_names()[0], value)
        return np.array(extractor.extract(last)[1])

    return Contestant("ncnn float", timed(run), cosine(pooled(run()), expected))


def lite_rt(path: Path, threads: int) -> Contestant:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=threads)
    interpreter.allocate_tensors()
    details = interpreter.get_input_details()[0]
    interpreter.set_tensor(details["index"], np.full(details["shape"], 127, details["dtype"]))
    return Contestant("LiteRT int8", timed(interpreter.invoke))


def compare(name: str, model: onnx.ModelProto, size: tuple[int, int], arguments: argparse.Namespace, folder: Path) -> dict:
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
    # What the networks were quantised on, and not noise.
    image = next(Photos(width, height).inputs)
    threads = arguments.threads
    session = onnxruntime.InferenceSession(plain, providers=["CPUExecutionProvider"])
    expected = pooled(session.run(None, {"image": image})[-1])
    contestants = [
        ours(lens, dynamic, size, threads, folder),
        onnx_runtime("ONNX Runtime int8", quantised, image, threads, expected),
        onnx_runtime("ONNX Runtime float", plain, image, threads, None),
        open_vino("OpenVINO int8", quantised, image, threads, expected),
        open_vino("OpenVINO float", plain, image, threads, expected),
        ncnn_float(plain, image, threads, expected),
    ]
    if arguments.tflite and name == "mobilenet_v2" and size == (224, 224):
        contestants.append(lite_rt(arguments.tflite, threads))
    times: dict[str, list[float]] = {contestant.name: [] for contestant in contestants}
    for _ in range(ROUNDS):
        for contestant in contestants:
            times[contestant.name].append(contestant.time())
    medians = {name: round(statistics.median(found), 3) for name, found in times.items()}
    ours_ms = medians.pop("pocketlens int8")
    return {
        "network": name,
        "input": f"{width}x{height}",
        "threads": threads,
        "ours_ms": ours_ms,
        "peers": medians,
        "fastest": min(medians, key=medians.get),
        "ratio": round(ours_ms / min(medians.values()), 3),
        "cosine": {each.name: round(each.cosine, 4) for each in contestants if each.cosine is not None},
    }


def page(results: list[dict], processor: str) -> str:
    """The results as a page, on which the bars are times."""
    most = max(ms for result in results for ms in [result["ours_ms"], *result["peers"].values()])
    sections = []
    for result in results:
        rows = []
        for name, ms in sorted({"pocketlens int8": result["ours_ms"], **result["peers"]}.items(), key=lambda at: at[1]):
            is_ours = ' class="ours"' if name == "pocketlens int8" else ""
            bar = f'<span style="width:{100 * ms / most:.1f}%"></span>'
            likeness = result["cosine"].get(name, "")
            rows.append(f"<tr{is_ours}><th>{escape(name)}<td>{ms:.2f}<td>{likeness}<td class=bar>{bar}")
        sections.append(
            f"<h2>{escape(result['network'])}, {result['input']}, {result['threads']} thread(s): "
            f"{result['ratio']:.2f} of {escape(result['fastest'])}</h2>"
            f"<table><tr><th>runtime<th>ms<th>cosine<th>{''.join(rows)}</table>"
        )
    style = (
        "body{font:16px system-ui;margin:2em auto;max-width:60em}td,th{text-align:left;padding:.2em .8em}"
        ".bar{width:30em}.bar span{display:block;height:1em;background:#8aa}.ours .bar span{background:#167}"
        ".ours{font-weight:bold}"
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Inference beside other runtimes</title>'
        f"<style>{style}</style><h1>Inference beside other runtimes</h1><p>{escape(processor)}. Medians in milliseconds; "
        f"cosine of pooled features with ONNX Runtime in float.</p>{''.join(sections)}</html>\n"
    )


def processor_name() -> str:
    """The processor, with family and model, since hosts hide names."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    fields = {name.strip(): value.strip() for name, value in fields.items()}
    return f"{fields.get('model name')}, family {fields.get('cpu family')}, model {fields.get('model')}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--network", nargs="*", default=["mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small"])
    parser.add_argument("--tflite", type=Path)
    parser.add_argument("--backbone", type=Path)
    parser.add_argument("--size", default="224x224")
    parser.add_argument("--page", type=Path)
    arguments = parser.parse_args()
    size = tuple(map(int, arguments.size.split("x")))
    models = {arguments.backbone.stem: lambda: onnx.load(arguments.backbone)} if arguments.backbone else {}
    models = models or {name: networks.NETWORKS[name] for name in arguments.network}
    processor = processor_name()
    print(json.dumps({"processor": processor}))
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for name, model in models.items():
            results.append(compare(name, model(), size, arguments, Path(folder)))
            print(json.dumps(results[-1]), flush=True)
    if arguments.page:
        arguments.page.write_text(page(results, processor))


if __name__ == "__main__":
    main()
