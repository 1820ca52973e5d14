"""Photos of garments with what is known of them: a table, and batches of groups.

    image        group  category  attributes      collar          hem
    shirt/1.jpg  12     shirt     striped,dark    0.21 0.50       0.88 0.49 occluded
    shirt/2.jpg  12     shirt     striped,dark    0.19 0.47

Tab-separated; the columns after the fourth are key points: row and column, 0 to 1 across the photo, and `occluded` where
something lies over it; empty where it is not in the photo. An empty cell of attributes: none of them.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset

from attributes import CUT_OFF, OCCLUDED, VISIBLE, Truth
from captures import sensor
from catalogue import GroupsAndPhotos
from processes import Processes

COLUMNS = ["image", "group", "category", "attributes"]
# (height, width) that the photos of a batch are squeezed to: about what the program makes of theirs (longest side 320).
SIZES = ((320, 320), (320, 256), (256, 320))


@dataclass(frozen=True)
class Vocabulary:
    """Names of the categories (one of them is right), of the attributes (any of them are) and of the key points."""

    categories: tuple[str, ...]
    attributes: tuple[str, ...]
    points: tuple[str, ...]


@dataclass
class Garments:
    """N photos, by path; `truth` has a row for each."""

    paths: list[Path]
    truth: Truth
    vocabulary: Vocabulary

    @property
    def positive(self) -> torch.Tensor:
        """Share of the photos that have each attribute (A)."""
        return self.truth.attributes.float().mean(0)


def read(table: Path, vocabulary: Vocabulary | None = None) -> Garments:
    """Reads a table; images are relative to its folder. Labels are numbered in the order of their names.

    With the vocabulary of another table as there, whose words and key points it must keep to.
    """
    with table.open(encoding="utf-8", newline="") as lines:
        heading, *rows = csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    if heading[:4] != COLUMNS or len(heading) < 5:
        raise SystemExit(f"{table}: the heading must be {', '.join(COLUMNS)} and a column for each key point, found {heading}")
    rows = [row + [""] * (len(heading) - len(row)) for row in rows]
    points = [[_point(cell, f"{table}, line {line}") for cell in row[4:]] for line, row in enumerate(rows, 2)]
    said = [[word for word in row[3].split(",") if word] for row in rows]
    categories, attributes = sorted({row[2] for row in rows}), sorted({word for words in said for word in words})
    if vocabulary is None:
        vocabulary = Vocabulary(tuple(categories), tuple(attributes), tuple(heading[4:]))
        if len(categories) < 2 or not attributes:
            raise SystemExit(f"{table}: two categories and one attribute at least are needed to tell photos apart")
    unknown = {*categories} - {*vocabulary.categories} | {*attributes} - {*vocabulary.attributes}
    if unknown or tuple(heading[4:]) != vocabulary.points:
        raise SystemExit(
            f"{table}: key points must be {', '.join(vocabulary.points)}, and what was not trained cannot be measured: "
            f"{', '.join(sorted(unknown)) or 'no word'}"
        )
    groups = {group: number for number, group in enumerate(sorted({row[1] for row in rows}))}
    truth = Truth(
        torch.tensor([[place for place, _ in row] for row in points], dtype=torch.float32),
        torch.tensor([[seen for _, seen in row] for row in points]),
        torch.tensor([vocabulary.categories.index(row[2]) for row in rows]),
        torch.tensor([[int(word in words) for word in vocabulary.attributes] for words in said]),
        torch.tensor([groups[row[1]] for row in rows]),
    )
    return Garments([table.parent / row[0] for row in rows], truth, vocabulary)


def _point(cell: str, where: str) -> tuple[tuple[float, float], int]:
    match cell.split():
        case []:
            return (0.0, 0.0), CUT_OFF
        case [row, column]:
            return (float(row), float(column)), VISIBLE
        case [row, column, "occluded"]:
            return (float(row), float(column)), OCCLUDED
    raise SystemExit(f"{where}: a key point is `ROW COLUMN`, `ROW COLUMN occluded` or empty, found {cell!r}")


def decode(path: Path, size: tuple[int, int]) -> np.ndarray:
    """The whole photo, squeezed to height×width×3 uint8."""
    pixels = cv2.imread(str(path))
    if pixels is None:
        raise SystemExit(f"{path}: cannot be read")
    shrinks = pixels.shape[0] > size[0]
    pixels = cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return np.ascontiguousarray(pixels[:, :, ::-1])


class GarmentBatches(Dataset):
    """Batch `step`: this process's part of N×H×W×3 uint8 of P groups, K photos each, and which photos all N are.

    Depends on seed, step and process.
    """

    def __init__(
        self, garments: Garments, per_batch: int, per_group: int, steps: int, seed: int, processes: Processes = Processes()
    ):
        self.garments, self.seed, self.processes = garments, seed, processes
        self.batches = GroupsAndPhotos(garments.truth.group.tolist(), per_batch, per_group, steps, seed)

    def __getitem__(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        cv2.setNumThreads(0)
        rng, chosen = np.random.default_rng([self.seed, step, 2]), self.batches[step]
        size = SIZES[int(rng.integers(len(SIZES)))]
        own, rng = chosen[self.processes.rows(len(chosen))], self.processes.stream(rng, self.seed, step)
        # Nothing that moves a photo, for the key points would have to move along.
        views = [sensor(decode(self.garments.paths[index], size), rng) for index in own]
        return torch.from_numpy(np.stack(views)), torch.tensor(chosen)
