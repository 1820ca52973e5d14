"""Writes the held-out photos as a retrieval set, so that whole bundles can be compared without the retrieval sets.

    python held_out_set.py --shared DIR --out HELD_OUT && pocketlens eval HELD_OUT --bundle BUNDLE

Queries are three simulated captures of each held-out photo; the database is these photos and others as distractors. It
asks for the invariances that were simulated and no others (`recall.py`), but of the int8 plan and the whitening that ship.
The whitening of the shipped bundles is fitted on photos among which these are, for all bundles alike.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from captures import CLUTTER_CHANCE, capture
from photos import Photo, load, split

SIZES = ((240, 320), (320, 320), (320, 240))
CAPTURES = 3
DISTRACTORS = 2000


def write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), pixels[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])


def size(photo: Photo) -> tuple[int, int]:
    """Height and width of the captures: the nearest in aspect."""
    aspect = np.log(photo.pixels.shape[1] / photo.pixels.shape[0])
    return min(SIZES, key=lambda shape: abs(np.log(shape[1] / shape[0]) - aspect))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True, help="folder that holds data/")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=5)
    arguments = parser.parse_args()
    training, held_out = split(load(arguments.shared))
    rng = np.random.default_rng(arguments.seed)
    others = [training[i] for i in rng.permutation(len(training))[:DISTRACTORS]]
    rows = ["image_path\tgroup_id\trole"]
    for photo in [*held_out, *others]:
        name = photo.name.replace("/", "-").rsplit(".", 1)[0]
        write(arguments.out / "db" / f"{name}.jpg", photo.pixels)
        rows.append(f"db/{name}.jpg\t{name}\tdatabase")
        for number in range(CAPTURES if photo.held_out else 0):
            other = others[int(rng.integers(len(others)))].pixels
            view = capture(photo.pixels, CLUTTER_CHANCE.get(photo.source, 0.5), other, size(photo), rng)
            write(arguments.out / "q" / f"{name}-{number}.jpg", view)
            rows.append(f"q/{name}-{number}.jpg\t{name}\tquery")
    (arguments.out / "gt.tsv").write_text("\n".join(rows) + "\n")
    print(f"{arguments.out}: {CAPTURES * len(held_out)} queries, {len(held_out) + len(others)} photos")


if __name__ == "__main__":
    main()
