"""Draws what longer training is worth on the retrieval sets: mean average precision against samples seen.

    python learning_curve.py --points log/learning-curve.csv --out log/learning-curve.png

A row of the table: bundle, samples (crops since random weights), grocery, dvd, landmark (mAP in percent), what it was.
"""

import argparse
import csv
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

SETS = ("grocery", "dvd", "landmark")
TICKS = (50_000, 100_000, 200_000, 400_000)


def draw(points: Path, out: Path) -> None:
    """A panel for each bundle, with a logarithmic scale of samples."""
    with points.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    bundles = list(dict.fromkeys(row["bundle"] for row in rows))
    size = 5.5 * len(bundles), 4
    figure, panels = plt.subplots(1, len(bundles), figsize=size, sharex=True, sharey=True, squeeze=False)
    for bundle, axes in zip(bundles, panels[0], strict=True):
        own = [row for row in rows if row["bundle"] == bundle]
        samples = [int(row["samples"]) for row in own]
        for name in SETS:
            axes.plot(samples, [float(row[name]) for row in own], ".:", label=name)
        axes.plot(samples, [mean(row) for row in own], "ko-", label="mean")
        axes.set_xscale("log")
        axes.set_xticks(TICKS, [f"{tick:,}" for tick in TICKS])
        axes.minorticks_off()
        axes.set_xlabel("samples")
        axes.set_title(bundle)
    panels[0][0].set_ylabel("mean average precision, %")
    panels[0][0].legend()
    figure.tight_layout()
    figure.savefig(out, dpi=90)


def mean(row: dict[str, str]) -> float:
    return sum(float(row[name]) for name in SETS) / len(SETS)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    draw(arguments.points, arguments.out)
