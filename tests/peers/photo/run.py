"""A 12-megapixel JPEG to its hits, beside the usual parts put together: libjpeg-turbo's full decode (through Pillow), a
resize of 12 megapixels, and LiteRT's int8 MobileNetV2. In turns, in one run.

    cargo build --release
    ../inference/.venv/bin/python run.py --photo PHOTO.jpg --index shop.plx --tflite MODEL.tflite

`--photo` is enlarged to 4000×3000 and stored with quality 90, 4:2:0, as a phone would. The peer shrinks with Pillow's box
filter, which reads the picture once.
"""

import argparse
import io
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

PROGRAM = Path(__file__).resolve().parents[3] / "target" / "release" / "pocketlens"
ROUNDS = 15


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("photo", "index", "tflite"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    arguments = parser.parse_args()
    noise = np.random.default_rng(1).normal(0, 4, (3000, 4000, 1))
    photo = Image.open(arguments.photo).convert("RGB").resize((4000, 3000), Image.Resampling.BICUBIC)
    photo = Image.fromarray(np.clip(np.asarray(photo) + noise, 0, 255).astype(np.uint8))
    encoded = io.BytesIO()
    photo.save(encoded, "JPEG", quality=90, subsampling="4:2:0")
    print(f"{len(encoded.getvalue()) / 1e6:.1f} MB")
    interpreter = Interpreter(model_path=str(arguments.tflite), num_threads=1)
    interpreter.allocate_tensors()
    details = interpreter.get_input_details()[0]

    def peer() -> list[float]:
        times = [time.perf_counter()]
        picture = Image.open(io.BytesIO(encoded.getvalue()))
        picture.load()
        times.append(time.perf_counter())
        small = picture.resize((224, 224), Image.Resampling.BOX, reducing_gap=1.0)
        times.append(time.perf_counter())
        interpreter.set_tensor(details["index"], np.asarray(small, details["dtype"])[None])
        interpreter.invoke()
        times.append(time.perf_counter())
        return [1e3 * (after - before) for before, after in zip(times, times[1:])]

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "photo.jpg"
        path.write_bytes(encoded.getvalue())
        # The first answer opens the index and lays out memory; the last one counts.
        command = [PROGRAM, "search", arguments.index, path, path, path, "--json"]
        ours, peers = [], []
        for _ in range(ROUNDS):
            answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
            ours.append(json.loads(answer)["ms"])
            peers.append(peer())
    total = statistics.median(ms["total"] for ms in ours)
    parts = {name: statistics.median(ms[name] for ms in ours) for name in ours[0]}
    print("pocketlens", {name: round(ms, 2) for name, ms in parts.items()})
    decode, resize, network = (statistics.median(part) for part in zip(*peers))
    print(f"peer       decode {decode:.2f} resize {resize:.2f} network {network:.2f}")
    print(f"ratio {total / (decode + resize + network):.2f}")


if __name__ == "__main__":
    main()
