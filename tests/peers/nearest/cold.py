"""The first answer after a start: files are dropped from memory, opened, and asked once, ours and faiss' in turns.

    cargo build --release --workspace --examples
    taskset -c 1 .venv/bin/python cold.py [--case clustered-1m] [--rounds 8] [--probes 128]

Each round takes another query, and a process of its own for each side; of faiss' IVF-SQ8 the time to read its file and to answer
with so many probes counts, not the start of Python. Prints a JSON line: milliseconds of each round, and `ratio`, our median by
the peer's. The files stand in the temporary folder, which must be on the storage to measure and not in memory.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import vectors
from contestants import PROGRAM, K

READ_AND_ASK = """
import sys, time, numpy, faiss
faiss.omp_set_num_threads(1)
query = numpy.fromfile(sys.argv[2], "<f4")[None]
start = time.perf_counter()
index = faiss.read_index(sys.argv[1])
index.search(query, int(sys.argv[3]), params=faiss.SearchParametersIVF(nprobe=int(sys.argv[4])))
print(1e3 * (time.perf_counter() - start))
"""


def drop(path: Path) -> None:
    """Has the system forget the pages of a file, or of the files of a folder."""
    for file in path.iterdir() if path.is_dir() else [path]:
        number = os.open(file, os.O_RDONLY)
        os.fsync(number)
        os.posix_fadvise(number, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(number)


def build_peer(database: np.ndarray, path: Path) -> None:
    import faiss

    lists = int(4 * len(database) ** 0.5)
    index = faiss.index_factory(database.shape[1], f"IVF{lists},SQ8", faiss.METRIC_INNER_PRODUCT)
    index.train(database[:: max(1, len(database) // (lists * 64))])
    index.add(database)
    faiss.write_index(index, str(path))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", default="clustered-1m")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--probes", type=int, default=128)
    arguments = parser.parse_args()
    database, queries = vectors.clustered(arguments.case)
    with tempfile.TemporaryDirectory() as folder:
        ours, peer, query = (Path(folder) / name for name in ("index.plx", "ivf.faiss", "query.f32"))
        database.tofile(Path(folder) / "database.f32")
        subprocess.check_output([PROGRAM, "build", ours, Path(folder) / "database.f32", str(database.shape[1])])
        (Path(folder) / "database.f32").unlink()
        build_peer(database, peer)
        times: dict[str, list[float]] = {"ours_ms": [], "faiss_ms": []}
        for row in queries[:: len(queries) // arguments.rounds][: arguments.rounds]:
            row.tofile(query)
            drop(ours)
            answer = json.loads(subprocess.check_output([PROGRAM, "search", ours, query, str(K)]))
            times["ours_ms"].append(round(answer["first_ms"], 1))
            drop(peer)
            command = [sys.executable, "-c", READ_AND_ASK, peer, query, str(K), str(arguments.probes)]
            times["faiss_ms"].append(round(float(subprocess.check_output(command)), 1))
    ratio = np.median(times["ours_ms"]) / np.median(times["faiss_ms"])
    print(json.dumps({"case": arguments.case, **times, "anonymous_kb": answer["anonymous_kb"], "ratio": round(float(ratio), 2)}))


if __name__ == "__main__":
    main()
