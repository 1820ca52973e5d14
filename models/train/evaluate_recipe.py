"""Measures a network once on the retrieval sets: mean average precision of two ways to make a descriptor.

    python evaluate_recipe.py --shared DIR --network target/student.onnx

`late PCA 256+256`: average c51 and centre-weighted c39, each L2, PCA-whitened on clean photos, L2, joined (512-d).
`three taps`: centre c20 64 + centre c39 96 + average c51 96 (256-d), each whitened by a projection learned from
synthetic views (Mikolajczyk and Matas, "Improving descriptors for fast tree matching by optimal linear projection").
Everything is fitted on the unlabelled photos alone; the retrieval sets are only read to be scored, and nothing is
chosen by their scores. Photos are stretched to sides that are multiples of 32, the longest 320 px.
"""

import argparse
import time
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
from tqdm import tqdm

from augmentation import crop, recolour
from photos import load
from whitening import CENTRED, THREE_TAPS, describe_with, learned_whitening, pca_whitening, pool

SETS = ("grocery", "dvd", "landmark")
LONGEST = 320
LATE = {"c39": 256, "c51": 256}


def shape(height: int, width: int) -> tuple[int, int]:
    """Input sides for a photo: longest 320, the other to the nearest multiple of 32."""
    scale = LONGEST / max(height, width)
    return tuple(max(32, round(side * scale / 32) * 32) for side in (height, width))


class Network:
    """Pooled taps of RGB photos (H×W×3 uint8)."""

    def __init__(self, path: Path, threads: int):
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = threads
        settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])

    def describe(self, photos: list[np.ndarray], label: str) -> dict[str, np.ndarray]:
        """One row a photo for each tap."""
        rows = {tap: [] for tap in THREE_TAPS}
        for pixels in tqdm(photos, label, mininterval=20):
            height, width = shape(*pixels.shape[:2])
            shrinks = pixels.shape[0] > height
            resized = cv2.resize(
                pixels, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
            )
            image = ((resized.astype(np.float32) - 127.5) / 127.5).transpose(2, 0, 1)[None]
            for tap, maps in zip(rows, self.session.run(list(rows), {"image": image}), strict=True):
                rows[tap].append(pool(maps[0], centre=tap in CENTRED))
        return {tap: np.array(vectors) for tap, vectors in rows.items()}


def synthetic_view(pixels: np.ndarray, background: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Another capture of a photo: cropped, or laid turned and scaled on another photo; recoloured half the time."""
    height, width = shape(*pixels.shape[:2])
    if rng.random() < 0.4:
        view = crop(pixels, height, width, 0.25, rng)
        # `crop` flips at random, which no camera does.
        view = view if rng.random() < 0.8 else np.ascontiguousarray(view[:, ::-1])
    else:
        scale = rng.uniform(0.45, 1.3) * min(height / pixels.shape[0], width / pixels.shape[1])
        turn = np.radians(rng.uniform(-25, 25))
        linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        linear = linear @ (np.eye(2) + rng.uniform(-0.15, 0.15, (2, 2)))
        middle = np.array([width, height]) * rng.uniform(0.35, 0.65, 2)
        offset = middle - linear @ (np.array([pixels.shape[1], pixels.shape[0]]) / 2)
        under = crop(background, height, width, 0.4, rng)
        view = cv2.warpAffine(
            pixels, np.hstack([linear, offset[:, None]]), (width, height), dst=under, borderMode=cv2.BORDER_TRANSPARENT
        )
    return recolour(view, rng) if rng.random() < 0.5 else view


def mean_average_precision(rows: list[tuple[str, str, str]], descriptors: np.ndarray) -> float:
    """Rows are (path, group, role); precision at each relevant photo's rank, without interpolation."""
    queries = [i for i, row in enumerate(rows) if row[2] == "query"]
    database = np.array([i for i, row in enumerate(rows) if row[2] == "database"])
    groups = np.array([row[1] for row in rows])
    precisions = []
    for query in queries:
        ranked = database[np.argsort(-(descriptors[database] @ descriptors[query]), kind="stable")]
        hits = np.flatnonzero(groups[ranked] == groups[query])
        if len(hits):
            precisions.append(np.mean(np.arange(1, len(hits) + 1) / (hits + 1)))
    return float(np.mean(precisions))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--network", type=Path, required=True)
    parser.add_argument("--views", type=int, default=4, help="synthetic views a photo; 0 leaves `three taps` out")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    started = time.monotonic()
    network = Network(arguments.network, arguments.threads)
    photos = [photo.pixels for photo in load(arguments.shared, ("unlabelled",))]
    clean = network.describe(photos, "clean")
    recipes = {"late PCA 256+256": {tap: pca_whitening(clean[tap], size) for tap, size in LATE.items()}}
    if arguments.views:
        rng = np.random.default_rng(1)
        views = [
            synthetic_view(pixels, photos[int(rng.integers(len(photos)))], rng)
            for pixels in photos
            for _ in range(arguments.views)
        ]
        taps = network.describe(views, "views")
        recipes["three taps, learned whitening"] = {
            tap: learned_whitening(taps[tap].reshape(len(photos), arguments.views, -1), size)
            for tap, size in THREE_TAPS.items()
        }
    scores = {recipe: [] for recipe in recipes}
    for name in SETS:
        folder = arguments.shared / "data" / name
        rows = [tuple(line.split("\t")[:3]) for line in (folder / "gt.tsv").read_text().splitlines()[1:]]
        pixels = [np.ascontiguousarray(cv2.imread(str(folder / path))[:, :, ::-1]) for path, _, _ in rows]
        taps = network.describe(pixels, name)
        for recipe, whitenings in recipes.items():
            scores[recipe].append(100 * mean_average_precision(rows, describe_with(whitenings, taps)))
    for recipe, values in scores.items():
        cells = " / ".join(f"{value:.1f}" for value in values)
        print(f"{arguments.network.name}: {recipe}: {' / '.join(SETS)} = {cells}, mean {np.mean(values):.1f}")
    print(f"{time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
