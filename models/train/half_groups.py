"""What fine-tuning on one half of a catalogue's things is worth on the other half, which it never saw. See README.md.

    python half_groups.py --shared DIR --run target/train/half-groups
    python half_groups.py --shared DIR --run target/train/half-groups --write      # the halves as folders, no training

Groups of `data/grocery` in the order of their names: every other one trains (its query and database photos), the rest
is measured: their queries, in the whole database. This is the one use of retrieval photos for training, and its
weights stay in the run folder. Before: the network as it is, with a whitening learned from simulated captures. After:
the tuned network, and a whitening learned from those captures and from the photos of the training half. Of several
processes (`processes.py`) all train and the first one measures.
"""

import argparse
import json
import time
from pathlib import Path

import cv2
import numpy as np
import torch

import options
from catalogue import Labelled, load
from evaluate_recipe import mean_average_precision, shape
from fit_catalogue import add_options, fit, start
from folded import FoldedNetwork
from loss import normalise
from photos import Photo
from recall import VIEWS, describe, views_of
from recipe import RECIPES, Recipe, described, informed_whitenings, pooled, whitenings

SET = "grocery"
OWN_VIEWS = 4  # captures of each photo of the training half, beside the photo itself, for the whitening


def read_set(folder: Path) -> list[tuple[str, str, str]]:
    """Rows (path, group, role) of gt.tsv."""
    return [tuple(line.split("\t")[:3]) for line in (folder / "gt.tsv").read_text().splitlines()[1:]]


def halves(rows: list[tuple[str, str, str]]) -> tuple[set[str], set[str]]:
    """Groups that train and groups that are measured: every other one by name, of those that are asked for."""
    asked = sorted({group for _, group, role in rows if role == "query"})
    return set(asked[0::2]), set(asked[1::2])


@torch.no_grad()
def taps_of(network: FoldedNetwork, photos: list[np.ndarray], recipe: Recipe) -> dict[str, np.ndarray]:
    """Pooled taps of whole photos, the longest side 320."""
    found: dict[str, list[np.ndarray]] = {part.tap: [] for part in recipe}
    device = next(network.parameters()).device
    for pixels in photos:
        height, width = shape(*pixels.shape[:2])
        shrinks = pixels.shape[0] > height
        view = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        maps = network(normalise(torch.from_numpy(view)[None].to(device)))
        for tap, vectors in pooled(maps, recipe).items():
            found[tap].append(vectors[0].cpu().numpy().astype(np.float64))
    return {tap: np.array(vectors) for tap, vectors in found.items()}


class Measured:
    """The other half's queries in the whole database."""

    def __init__(self, folder: Path, groups: set[str], recipe: Recipe):
        self.recipe = recipe
        rows = read_set(folder)
        self.rows = [row for row in rows if row[2] == "database" or (row[2] == "query" and row[1] in groups)]
        paths = [folder / path for path, _, _ in self.rows]
        self.photos = [np.ascontiguousarray(cv2.imread(str(path))[:, :, ::-1]) for path in paths]

    def taps(self, network: FoldedNetwork) -> dict[str, np.ndarray]:
        return taps_of(network, self.photos, self.recipe)

    def __call__(self, taps: dict[str, np.ndarray], learned: dict) -> float:
        return 100 * mean_average_precision(self.rows, described(learned, taps, self.recipe))


def simulated(network: FoldedNetwork, others: list[Photo], seed: int, recipe: Recipe) -> dict[str, np.ndarray]:
    """Pooled taps of captures of photos beside the catalogue: photos×views×C."""
    taps = describe(network, views_of(others, others, VIEWS, seed), recipe)
    return {tap: rows.reshape(-1, VIEWS, rows.shape[1]) for tap, rows in taps.items()}


def own(
    network: FoldedNetwork, items: list[Labelled], others: list[Photo], seed: int, recipe: Recipe
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Pooled taps of the training half's photos and of captures of them, and their groups."""
    photos = [item.photo for item in items]
    plain = taps_of(network, [photo.pixels for photo in photos], recipe)
    captured = describe(network, views_of(photos, others, OWN_VIEWS, seed), recipe)
    labels = np.array([item.group for item in items])
    taps = {tap: np.concatenate([plain[tap], captured[tap]]) for tap in plain}
    return taps, np.concatenate([labels, np.repeat(labels, OWN_VIEWS)])


def write(folder: Path, out: Path) -> None:
    """`train`: the training half with its groups (labels.tsv); `measured`: the other half's queries, all the database."""
    rows = read_set(folder)
    trained, kept = halves(rows)
    tables = {
        "train/labels.tsv": [("image", "group"), *(row[:2] for row in rows if row[1] in trained)],
        "measured/gt.tsv": [
            ("image_path", "group_id", "role"),
            *(row for row in rows if row[2] == "database" or (row[2] == "query" and row[1] in kept)),
        ],
    }
    for name, lines in tables.items():
        table = out / name
        for path, *_ in lines[1:]:
            copy = table.parent / path
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes((folder / path).read_bytes())
        table.write_text("".join("\t".join(line) + "\n" for line in lines))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--share", type=float, default=0.5, help="of the catalogue's photos in the whitening after")
    parser.add_argument("--write", action="store_true", help="write the halves into the run folder, and end")
    arguments = parser.parse_args()
    if arguments.write:
        write(arguments.shared / "data" / SET, arguments.run)
        return
    started, busy = time.monotonic(), time.process_time()
    processes = options.begin(arguments)
    network, others = start(arguments)
    folder = arguments.shared / "data" / SET
    rows = read_set(folder)
    trained, kept = halves(rows)
    items = load(folder, {path: group for path, group, _ in rows if group in trained})
    if not processes.leads:
        fit(network, items, others, arguments, processes)
        return
    recipe = RECIPES[arguments.recipe]
    network.to(processes.device)
    measured = Measured(folder, kept, recipe)

    def measure() -> tuple[float, float]:
        """With a whitening that knows nothing of the catalogue, and with one that knows the training half."""
        views = simulated(network, others, arguments.seed, recipe)
        taps, labels = own(network, items, others, arguments.seed, recipe)
        informed = informed_whitenings(views, taps, labels, arguments.share, recipe)
        of_set = measured.taps(network)
        return measured(of_set, whitenings(views, recipe)), measured(of_set, informed)

    result = {"network": str(arguments.student or "teacher"), "recipe": arguments.recipe}
    result |= {"loss": arguments.loss, "steps": arguments.steps}
    result["before"], result["whitening_alone"] = measure()
    print(result, flush=True)
    fit(network, items, others, arguments, processes)
    result["network_alone"], result["after"] = measure()
    result["gain"] = result["after"] - result["before"]
    result |= {"minutes": (time.monotonic() - started) / 60, "processor_minutes": (time.process_time() - busy) / 60}
    arguments.run.joinpath("result.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
