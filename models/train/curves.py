"""Draws the learning curves of a run as a PNG: training loss, and what is left on held-out photos.

    python curves.py --run target/train/run --out target/train/curves.png
"""

import argparse
import csv
import math
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from loss import NAMES, TAPS


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as lines:
        return list(csv.DictReader(lines))


def series(rows: list[dict[str, str]], column: str) -> tuple[list[int], list[float]]:
    """Steps and values; NaN where a boundary is not compared."""
    return [int(row["step"]) for row in rows], [float(row[column] or "nan") for row in rows]


def draw(run: Path, out: Path) -> None:
    """Left: the mean over the boundaries. Right: the three taps and the last blocks on held-out photos."""
    training, held_out = read(run / "train.csv"), read(run / "held_out.csv")
    if not training or not held_out:
        raise SystemExit(f"{run}: nothing has been measured yet")
    chain = [row for row in held_out if row["mode"] == "chain"]
    local = [row for row in held_out if row["mode"] == "local"]
    figure, (left, right) = plt.subplots(1, 2, figsize=(13, 5))

    steps, losses = series(training, "loss")
    learned = sum(not math.isnan(float(training[0][name] or "nan")) for name in NAMES)
    left.plot(steps, [loss / learned for loss in losses], color="0.6", label="training crops")
    left.plot(*series(chain, "mean"), "o-", label="held out, as a chain")
    left.plot(*series(local, "mean"), "s--", label="held out, every stage alone")
    left.set_title("mean over the boundaries and c39")

    for name in (*TAPS, "block3", "block12", "block15", "block16"):
        right.plot(*series(chain, name), "o-" if name in TAPS else ":", label=f"{name} (tap)" if name in TAPS else name)
    right.set_title("held out, as a chain")

    for axes in (left, right):
        for before, after in zip(training, training[1:]):
            if before["stage"] != after["stage"]:
                axes.axvline(int(before["step"]), color="0.8", zorder=0)
        axes.set_yscale("log")
        axes.set_xlabel("step")
        axes.set_ylabel("unexplained share of the teacher's variance")
        axes.legend()
    figure.tight_layout()
    figure.savefig(out, dpi=110)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    draw(arguments.run, arguments.out)
