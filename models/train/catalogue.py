"""A catalogue with labels: photos that show the same thing share a group. Groups are given, or mined without labels.

Given: a table with the columns image and group (`gt.tsv` of an evaluation folder has them first). Mined: `pairs.tsv` or
`groups.tsv` of `pocketlens mine`. Batches take P groups and K photos of each, so that every photo meets positives.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from torch.utils.data import Sampler

from photos import Photo


@dataclass
class Labelled:
    """A photo and its group; groups are numbered from 0 in the order of their names."""

    photo: Photo
    group: int


def read_groups(table: Path) -> dict[str, str]:
    """Group by image path, from the first two columns of a table with a heading."""
    with table.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]
    return {row[0]: row[1] for row in rows}


def read_pairs(table: Path) -> list[tuple[str, str]]:
    """Pairs of `pairs.tsv`, as they stand there: first and second photo of a line with a heading above."""
    with table.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]
    return [(row[0], row[1]) for row in rows]


def joined(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """Groups of photos that a chain of pairs joins; a group is called by its first photo in the order of names."""
    parents: dict[str, str] = {}

    def root(name: str) -> str:
        while parents.setdefault(name, name) != name:
            parents[name] = parents[parents[name]]
            name = parents[name]
        return name

    for first, second in pairs:
        # The lesser name stays the root.
        one, other = sorted((root(first), root(second)))
        parents[other] = one
    return {name: root(name) for name in sorted(parents)}


def load(folder: Path, groups: dict[str, str]) -> list[Labelled]:
    """Decodes the photos of `groups`, relative to `folder`, in the order of their paths."""
    numbers = {group: number for number, group in enumerate(sorted(set(groups.values())))}
    labelled = []
    for name in sorted(groups):
        pixels = cv2.imread(str(folder / name))
        if pixels is None:
            raise SystemExit(f"{folder / name}: cannot be read")
        labelled.append(Labelled(Photo(name, np.ascontiguousarray(pixels[:, :, ::-1])), numbers[groups[name]]))
    return labelled


class GroupsAndPhotos(Sampler):
    """P groups a batch, K photos of each (PK sampling: Hermans et al., 2017). Batch `step` depends on seed and step.

    A group of fewer than K photos gives some of them twice (they become different captures); groups of one photo are
    as good as any other, since captures of one photo are positives as well.
    """

    def __init__(self, groups: list[int], per_batch: int, per_group: int, steps: int, seed: int, start: int = 0):
        self.members = [np.flatnonzero(np.array(groups) == group) for group in sorted(set(groups))]
        self.per_batch, self.per_group = min(per_batch, len(self.members)), per_group
        self.steps, self.seed, self.start = steps, seed, start

    def __len__(self) -> int:
        return self.steps - self.start

    def __iter__(self):
        for step in range(self.start, self.steps):
            yield self[step]

    def __getitem__(self, step: int) -> list[int]:
        rng = np.random.default_rng([self.seed, step])
        batch: list[int] = []
        for group in rng.choice(len(self.members), self.per_batch, replace=False):
            members = self.members[group]
            whole, rest = divmod(self.per_group, len(members))
            batch += [int(photo) for photo in np.tile(members, whole)]
            batch += [int(photo) for photo in rng.choice(members, rest, replace=False)]
        return batch
