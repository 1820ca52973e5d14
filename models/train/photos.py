"""The photos of a training run: which files may be used, and decoding them once into memory.

    python photos.py --shared DIR --out PERMITTED       # the permitted ones as files, for `pocketlens fit`

Three sources lie under ``--shared``: ``data/unlabelled/*.jpg``, and the tars ``products`` and ``places`` of
``data/photos`` whose tables give the origin of every photo. The retrieval sets beside them are never read here.
"""

import argparse
import csv
import hashlib
import tarfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

# Licence class of each source of `places`, from the source table of data/photos/README.md. A: an open licence is
# stated. B: free by what the origin says. The others (none stated, or non-commercial) are left out by not being here.
PLACES_CLASS = {
    "ietower": "A", "gcompris": "A", "roads": "A", "jetson": "A", "opencvdoc": "A", "akc": "A", "budgie": "A",
    "lomiri16": "A", "lomiri20": "A", "pop": "A", "mate": "A", "palapeli": "A", "plasma": "A", "adain": "A",
    "elementary": "A", "monstree": "B", "kodak": "B", "stitchtut": "B",
}  # fmt: skip
SOURCES = ("unlabelled", "products", "places")
# How often a photo of each source is drawn. `unlabelled` is by far the most varied (831 classes, one photo each).
SOURCE_WEIGHT = {"unlabelled": 3.0, "products": 1.0, "places": 1.5}
HELD_OUT_PERCENT = 3


@dataclass
class Photo:
    """One decoded photo. `pixels` is H×W×3 uint8, RGB; `name` is stable and unique ("products/00001.webp")."""

    name: str
    pixels: np.ndarray

    @property
    def source(self) -> str:
        return self.name.split("/")[0]

    @property
    def held_out(self) -> bool:
        """Chosen by a hash of the name, so that it never depends on what else is in the run."""
        return int(hashlib.sha256(self.name.encode()).hexdigest()[:8], 16) % 100 < HELD_OUT_PERCENT


def permitted(table: Path, source: str, any_licence: bool = False) -> list[str]:
    """Names in the table of `products` or `places` whose licence class permits shipping weights learned from them."""
    with table.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]
    if any_licence:
        return [row[0] for row in rows]
    if source == "products":
        return [row[0] for row in rows if row[-1] == "permissive"]
    return [row[0] for row in rows if PLACES_CLASS.get(row[-1].split(":")[0]) in ("A", "B")]


def _decode(data: bytes) -> np.ndarray:
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return np.ascontiguousarray(pixels[:, :, ::-1])


def _members(folder: Path, source: str, any_licence: bool) -> dict[str, bytes]:
    """The files of a tar that the table beside it permits, by name."""
    wanted = set(permitted(folder / f"{source}.tsv", source, any_licence))
    with tarfile.open(folder / f"{source}.tar") as archive:
        return {Path(m.name).name: archive.extractfile(m).read() for m in archive if Path(m.name).name in wanted}


def load(shared: Path, sources: tuple[str, ...] = SOURCES, any_licence: bool = False) -> list[Photo]:
    """Decodes all permitted photos, in an order that depends on the files alone. About 150 kB a photo."""
    photos = []
    for source in sources:
        if source == "unlabelled":
            for path in sorted((shared / "data" / "unlabelled").glob("*.jpg")):
                photos.append(Photo(f"{source}/{path.name}", _decode(path.read_bytes())))
            continue
        members = _members(shared / "data" / "photos", source, any_licence)
        photos += [Photo(f"{source}/{name}", _decode(members[name])) for name in sorted(members)]
    return photos


def split(photos: list[Photo]) -> tuple[list[Photo], list[Photo]]:
    """Training photos and held-out photos."""
    return [p for p in photos if not p.held_out], [p for p in photos if p.held_out]


def extract(shared: Path, out: Path) -> int:
    """Writes the permitted photos of `products` and `places` as they are; returns how many."""
    count = 0
    for source in SOURCES[1:]:
        folder = out / source
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in _members(shared / "data" / "photos", source, any_licence=False).items():
            (folder / name).write_bytes(data)
            count += 1
    return count


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True, help="folder that holds data/")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    print(f"{arguments.out}: {extract(arguments.shared, arguments.out)} photos")
