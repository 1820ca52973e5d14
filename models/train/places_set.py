"""Writes photos of places that show one place several times as a retrieval set, to choose by without the retrieval sets.

    python places_set.py --shared DIR --out PLACES
    pocketlens eval PLACES --bundle BUNDLE --per-query FILE && python places_set.py --read FILE

Real other views, where `held_out_set.py` has simulated ones. Every other photo of a group is a query, the rest is the
database, with photos of other places as distractors. It only measures: no weight is trained or fitted on it, so sources
that state no licence or a non-commercial one may be in it. (`ietower` and `gcompris` are also among the training photos,
without their groups; the mean of `ietower` is low for all networks, for its floors look alike.)
"""

import argparse
import csv
import json
import tarfile
from pathlib import Path

import numpy as np

from held_out_set import write
from photos import _decode

GROUPED = ("whitetower", "ietower", "camvid", "stitchkv")  # camvid: frames of one drive
# Of `houses`, whose photos show a thousand different houses, every third.
DISTRACTORS = {"houses": 3, "urban100": 1, "sunhays": 1, "dps": 1, "gcompris": 1, "monstree": 1, "fern": 1, "stitchtut": 1}


def rows(table: list[list[str]]) -> list[tuple[str, str, str]]:
    """Name, group and role of the photos that are used; `table` is places.tsv without its header."""
    seen: dict[str, int] = {}
    chosen = []
    for row in table:
        source, group = row[-1].split(":")[0], row[-1]
        key = group if source in GROUPED else source
        seen[key] = number = seen.get(key, -1) + 1
        if source in GROUPED:
            chosen.append((row[0], group, "query" if number % 2 else "database"))
        elif source in DISTRACTORS and number % DISTRACTORS[source] == 0:
            chosen.append((row[0], f"distractor {row[0]}", "database"))
    alone = {group for _, group, _ in chosen} - {group for _, group, role in chosen if role == "database"}
    return [row for row in chosen if row[1] not in alone]


def means(lines: list[str]) -> dict[str, float]:
    """Mean average precision by source in percent, of what `eval --per-query` wrote, and the mean of the sources."""
    found: dict[str, list[float]] = {}
    for entry in map(json.loads, lines):
        if entry["ap"] is not None:
            found.setdefault(entry["group"].split(":")[0], []).append(100 * entry["ap"])
    result = {source: float(np.mean(values)) for source, values in sorted(found.items())}
    return {**result, "mean": float(np.mean(list(result.values())))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, help="folder that holds data/")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--read", type=Path, help="file that `eval --per-query` wrote")
    arguments = parser.parse_args()
    if arguments.read:
        print({name: round(mean, 1) for name, mean in means(arguments.read.read_text().splitlines()).items()})
        return
    folder = arguments.shared / "data" / "photos"
    with (folder / "places.tsv").open(encoding="utf-8", newline="") as lines:
        table = list(csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]
    chosen = rows(table)
    wanted = {name for name, _, _ in chosen}
    with tarfile.open(folder / "places.tar") as archive:
        for member in archive:
            name = Path(member.name).name
            if name in wanted:
                write(arguments.out / f"{Path(name).stem}.jpg", _decode(archive.extractfile(member).read()))
    table = [f"{Path(name).stem}.jpg\t{group}\t{role}" for name, group, role in chosen]
    (arguments.out / "gt.tsv").write_text("\n".join(["image_path\tgroup_id\trole", *table]) + "\n")
    print(f"{arguments.out}: {sum(role == 'query' for _, _, role in chosen)} queries of {len(chosen)} photos")


if __name__ == "__main__":
    main()
