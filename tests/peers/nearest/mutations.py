"""What peers do with damaged files: random mutations, each opened and asked in a child process.

    .venv/bin/python mutations.py [--count 10000]

The mutations are those of `core/tests/mutations.rs`, which holds Pocketlens to "refused, or an answer, never a crash":
a flipped bit, a cut end, a block of zeros, a block from elsewhere in the file. Prints a JSON line a peer: how many of the
files crashed the process, hung for five seconds, were refused, gave another answer without a word, or the same answer.
"""

import argparse
import json
import os
import random
import signal
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import hnswlib
import numpy as np
from usearch.index import Index

DIM, VECTORS, K, SECONDS = 8, 4_200, 10, 5
SAME, OTHER, REFUSED = 0, 1, 2


def usearch_file(vectors: np.ndarray, path: Path) -> None:
    index = Index(ndim=DIM, metric="ip", dtype="f32")
    index.add(np.arange(len(vectors)), vectors, threads=1)
    index.save(str(path))


def ask_usearch(path: Path, query: np.ndarray, view: bool) -> np.ndarray:
    return np.asarray(Index.restore(str(path), view=view).search(query, K).keys)


def hnswlib_file(vectors: np.ndarray, path: Path) -> None:
    index = hnswlib.Index(space="ip", dim=DIM)
    index.init_index(max_elements=len(vectors), M=16, ef_construction=100)
    index.add_items(vectors, num_threads=1)
    index.save_index(str(path))


def ask_hnswlib(path: Path, query: np.ndarray) -> np.ndarray:
    index = hnswlib.Index(space="ip", dim=DIM)
    index.load_index(str(path))
    return index.knn_query(query, k=K, num_threads=1)[0][0]


def mutate(original: bytes, rng: random.Random) -> bytes:
    data = bytearray(original)
    at = rng.randrange(len(data))
    length = min(1 << rng.randrange(12), len(data) - at)
    match rng.randrange(4):
        case 0:
            data[at] ^= 1 << rng.randrange(8)
        case 1:
            del data[at:]
        case 2:
            data[at : at + length] = bytes(length)
        case _:
            source = rng.randrange(len(data) - length + 1)
            data[at : at + length] = original[source : source + length]
    return bytes(data)


def outcome(ask: Callable[[], np.ndarray], expected: np.ndarray) -> str:
    """Asks in a child of this process, which may die of it."""
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        signal.alarm(SECONDS)
        try:
            os._exit(SAME if np.array_equal(ask(), expected) else OTHER)
        except BaseException:  # whatever the peer calls a refusal
            os._exit(REFUSED)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        return "hung" if os.WTERMSIG(status) == signal.SIGALRM else "crashed"
    return {SAME: "same answer", OTHER: "another answer", REFUSED: "refused"}.get(os.WEXITSTATUS(status), "crashed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    count = parser.parse_args().count
    vectors = np.random.default_rng(1).standard_normal((VECTORS, DIM), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    peers = {
        "usearch load": (usearch_file, lambda path, query: ask_usearch(path, query, False)),
        "usearch view": (usearch_file, lambda path, query: ask_usearch(path, query, True)),
        "hnswlib": (hnswlib_file, ask_hnswlib),
    }
    for name, (write, ask) in peers.items():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "sound")
            write(vectors, path)
            original, expected = path.read_bytes(), ask(path, vectors[0])
            outcomes = Counter()
            for number in range(count):
                damaged = mutate(original, random.Random(number))
                if damaged != original:
                    path = Path(folder, f"{number}")
                    path.write_bytes(damaged)
                    outcomes[outcome(lambda path=path: ask(path, vectors[0]), expected)] += 1
                    path.unlink()
            print(json.dumps({"peer": name, "mutations": outcomes.total(), **outcomes}), flush=True)


if __name__ == "__main__":
    main()
