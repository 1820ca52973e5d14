"""Nearest neighbours: Pocketlens' index beside ScaNN, faiss, usearch, hnswlib and sqlite-vec, in turns, on one core.

    cargo build --release --workspace --examples
    python -m venv .venv && .venv/bin/pip install -r requirements.txt
    taskset -c 1 .venv/bin/python run.py [--case clustered-10k …] [--vectors descriptors.f32 --dim 256] [--page PAGE.md]

Cases: clustered vectors (`vectors.py`) at 10k, 100k, 1M, and with `--vectors` real ones, of which 500 become queries.
`--percent P` filters by a column that P % of the vectors pass.

Each peer is built once with several efforts of search; of those that reach recall@10 0.99 (of the exact answer) the
fastest counts. All take turns for some rounds, queries one by one; a query's time is the least of its rounds. Prints a
JSON line a case: `ratio` is the best peer's p50 by ours, above 1 where we are faster.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np

import contestants
import vectors

RECALL = 0.99
ROUNDS = 5
K = 10


def exact(database: np.ndarray, queries: np.ndarray, percent: int | None) -> np.ndarray:
    """The K nearest of each query by cosine, among those that the filter keeps."""
    nearest = []
    dropped = np.zeros(len(database), bool) if percent is None else np.arange(len(database)) % 100 >= percent
    for query in queries:
        scores = database @ query
        scores[dropped] = -np.inf
        best = np.argpartition(-scores, K)[:K]
        nearest.append(best[np.argsort(-scores[best])])
    return np.array(nearest)


def recall(found: list[list[int]], truth: np.ndarray) -> float:
    return float(np.mean([len(set(a) & set(b.tolist())) / K for a, b in zip(found, truth)]))


def measure(case: str, database: np.ndarray, queries: np.ndarray, names: list[str], percent: int | None) -> dict:
    truth = exact(database, queries, percent)
    with tempfile.TemporaryDirectory() as folder:
        running = []
        for name in names:
            for contestant in contestants.of(name, database, Path(folder), percent):
                found, _ = contestant.ask(queries)
                running.append((name, contestant, recall(found, truth), []))
                # More effort than enough only costs time.
                if running[-1][2] >= RECALL:
                    break
        for _ in range(ROUNDS):
            for _, contestant, _, times in running:
                times.append(contestant.ask(queries)[1])
        rows = []
        for name, contestant, reached, times in running:
            us = np.min(np.array(times), axis=0)
            rows.append({
                "name": name,
                "effort": contestant.effort,
                "recall": round(reached, 4),
                "p50": round(float(np.median(us)), 1),
                "p99": round(float(np.percentile(us, 99)), 1),
                "bytes": contestant.bytes_a_vector,
            })
    ours = next(row for row in rows if row["name"] == "pocketlens")
    enough = [row for row in rows if row["name"] != "pocketlens" and row["recall"] >= RECALL]
    fastest = min(enough, key=lambda row: row["p50"], default=None)
    return {
        "case": case if percent is None else f"{case}, {percent} %",
        "n": len(database),
        "dim": database.shape[1],
        "recall": ours["recall"],
        "ours_us": ours["p50"],
        "ours_p99_us": ours["p99"],
        "bytes": ours["bytes"],
        "peers": {row["name"]: row["p50"] for row in enough},
        "peer_p99_us": fastest and fastest["p99"],
        "ratio": fastest and round(fastest["p50"] / ours["p50"], 2),
        "all": rows,
    }


def page(results: list[dict]) -> str:
    processor = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if "model name" in line), "unknown")
    lines = [f"# Nearest neighbours\n\nOne core of {processor}.\n"]
    for result in results:
        lines.append(f"## {result['case']}: {result['n']} vectors of {result['dim']}\n")
        lines.append("| | effort | recall@10 | p50, µs | p99, µs | bytes a vector |\n|---|---|---|---|---|---|")
        for row in sorted(result["all"], key=lambda row: row["p50"]):
            size = "" if row["bytes"] is None else f"{row['bytes']:.0f}"
            lines.append(f"| {row['name']} | {row['effort']} | {row['recall']} | {row['p50']} | {row['p99']} | {size} |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", nargs="*", default=["clustered-10k", "clustered-100k"])
    parser.add_argument("--percent", type=int, help="ask only for this share of the vectors: a filter, prepared once")
    parser.add_argument("--vectors", type=Path, help="a file of little-endian f32, shuffled before it is split")
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--peers", nargs="*", help="default: all that can")
    parser.add_argument("--page", type=Path, help="write all rows as Markdown")
    arguments = parser.parse_args()
    default = contestants.PEERS if arguments.percent is None else contestants.FILTERING
    results = []
    cases = [(case, *vectors.clustered(case)) for case in arguments.case]
    if arguments.vectors:
        cases.append((arguments.vectors.stem, *vectors.real(arguments.vectors, arguments.dim)))
    for case, database, queries in cases:
        names = ["pocketlens", *(arguments.peers or default)]
        results.append(measure(case, database, queries, names, arguments.percent))
        print(json.dumps({key: value for key, value in results[-1].items() if key != "all"}), flush=True)
    if arguments.page:
        arguments.page.write_text(page(results))


if __name__ == "__main__":
    main()
