"""The contestants: each built once, then asked with rising effort. All get unit vectors and find by inner product."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = ROOT / "target" / "release" / "examples" / "nearest"
FILTERING = ["faiss-ivf-sq8", "faiss-hnsw", "hnswlib", "sqlite-vec"]
PEERS = ["scann", "faiss-ivf-sq8", "faiss-hnsw", "usearch", "hnswlib", "sqlite-vec"]
K = 10


class Peer:
    """A peer at one effort; `find` takes a query of shape (dim,) and gives ids."""

    def __init__(self, effort: str, find: Callable[[np.ndarray], np.ndarray], bytes_a_vector: float | None = None):
        self.effort = effort
        self.find = find
        self.bytes_a_vector = bytes_a_vector

    def ask(self, queries: np.ndarray) -> tuple[list[list[int]], list[float]]:
        """Ids, and microseconds a query."""
        found, us = [], []
        for query in queries:
            start = time.perf_counter_ns()
            ids = self.find(query)
            us.append((time.perf_counter_ns() - start) / 1e3)
            found.append([int(i) for i in ids])
        return found, us


class Pocketlens:
    """Our index through its example program, which times each query itself."""

    def __init__(self, database: np.ndarray, folder: Path, percent: int | None):
        self.effort = "as it comes"
        self.filter = [] if percent is None else ["lists", percent]
        self.folder = folder
        self.index = folder / "index.plx"
        path = folder / "database.f32"
        database.tofile(path)
        built = self.run("build", self.index, path, database.shape[1])
        self.bytes_a_vector = built["vector_bytes"] / len(database)
        path.unlink()

    def ask(self, queries: np.ndarray) -> tuple[list[list[int]], list[float]]:
        path = self.folder / "queries.f32"
        queries.tofile(path)
        # The peers stay open between rounds; this process opens its index anew, so its first round is to warm up.
        answer = self.run("search", self.index, path, K, 2, *(self.filter or ["lists"]))
        return answer["items"], answer["us"][len(queries) :]

    def run(self, *arguments: object) -> dict:
        return json.loads(subprocess.check_output([PROGRAM, *map(str, arguments)]))


def of(name: str, database: np.ndarray, folder: Path, percent: int | None) -> Iterator[Peer | Pocketlens]:
    """The contestant at each effort; with `percent` only vectors whose number modulo 100 is below it are asked for."""
    if name == "pocketlens":
        yield Pocketlens(database, folder, percent)
    elif percent is None:
        yield from {
            "scann": scann,
            "faiss-ivf-sq8": faiss_ivf,
            "faiss-hnsw": faiss_hnsw,
            "usearch": usearch,
            "hnswlib": hnswlib,
            "sqlite-vec": sqlite_vec,
        }[name](database, folder)
    else:
        yield from {
            "faiss-ivf-sq8": faiss_ivf,
            "faiss-hnsw": faiss_hnsw,
            "hnswlib": hnswlib,
            "sqlite-vec": sqlite_vec,
        }[name](database, folder, percent)


def scann(database: np.ndarray, _: Path) -> Iterator[Peer]:
    import scann

    leaves = int(2 * len(database) ** 0.5)
    builder = scann.scann_ops_pybind.builder(database, K, "dot_product")
    builder = builder.tree(num_leaves=leaves, num_leaves_to_search=20, training_sample_size=min(len(database), 250_000))
    searcher = builder.score_ah(2, anisotropic_quantization_threshold=0.2).reorder(100).build()
    for nearest, reordered in ((4, 60), (8, 80), (16, 100), (30, 150), (60, 200), (100, 300), (200, 500), (400, 1000), (1000, 2000)):

        def find(query: np.ndarray, nearest: int = nearest, reordered: int = reordered) -> np.ndarray:
            return searcher.search(
                query, final_num_neighbors=K, pre_reorder_num_neighbors=reordered, leaves_to_search=nearest
            )[0]

        yield Peer(f"{nearest} leaves, {reordered} reordered", find)


def selector(size: int, percent: int | None) -> object:
    """faiss' filter: a bit a vector."""
    import faiss

    if percent is None:
        return None
    return faiss.IDSelectorBitmap(np.packbits(np.arange(size) % 100 < percent, bitorder="little"))


def faiss_ivf(database: np.ndarray, folder: Path, percent: int | None = None) -> Iterator[Peer]:
    import faiss

    faiss.omp_set_num_threads(1)
    lists = int(4 * len(database) ** 0.5)
    index = faiss.index_factory(database.shape[1], f"IVF{lists},SQ8", faiss.METRIC_INNER_PRODUCT)
    index.train(database[:: max(1, len(database) // (lists * 64))])
    index.add(database)
    path = folder / "ivf.faiss"
    faiss.write_index(index, str(path))
    size = path.stat().st_size / len(database)
    for probes in (2, 4, 8, 16, 32, 64, 128, 256, 512):

        settings = faiss.SearchParametersIVF(nprobe=probes, sel=selector(len(database), percent))

        def find(query: np.ndarray, settings: object = settings) -> np.ndarray:
            return index.search(query[None], K, params=settings)[1][0]

        yield Peer(f"{probes} probes", find, size)


def faiss_hnsw(database: np.ndarray, _: Path, percent: int | None = None) -> Iterator[Peer]:
    import faiss

    faiss.omp_set_num_threads(1)
    index = faiss.IndexHNSWFlat(database.shape[1], 16, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = 100
    index.add(database)
    for effort in (32, 64, 128, 256, 512, 1024, 2048):

        settings = faiss.SearchParametersHNSW(efSearch=effort, sel=selector(len(database), percent))

        def find(query: np.ndarray, settings: object = settings) -> np.ndarray:
            return index.search(query[None], K, params=settings)[1][0]

        yield Peer(f"ef {effort}", find)


def usearch(database: np.ndarray, folder: Path) -> Iterator[Peer]:
    from usearch.index import Index

    path = folder / "usearch"
    index = Index(ndim=database.shape[1], metric="ip", dtype="f16")
    index.add(np.arange(len(database)), database, threads=1)
    index.save(str(path))
    view = Index.restore(str(path), view=True)
    size = path.stat().st_size / len(database)
    for effort in (32, 64, 128, 256, 512, 1024, 2048):

        def find(query: np.ndarray, effort: int = effort) -> np.ndarray:
            view.expansion_search = effort
            return view.search(query, K).keys

        yield Peer(f"f16, expansion {effort}", find, size)


def hnswlib(database: np.ndarray, folder: Path, percent: int | None = None) -> Iterator[Peer]:
    import hnswlib

    index = hnswlib.Index(space="ip", dim=database.shape[1])
    index.init_index(max_elements=len(database), M=16, ef_construction=100)
    index.add_items(database, num_threads=1)
    path = folder / "hnswlib"
    index.save_index(str(path))
    size = path.stat().st_size / len(database)
    for effort in (32, 64, 128, 256, 512, 1024, 2048):

        def find(query: np.ndarray, effort: int = effort) -> np.ndarray:
            index.set_ef(effort)
            if percent is None:
                return index.knn_query(query, k=K, num_threads=1)[0][0]
            try:
                return index.knn_query(query, k=K, num_threads=1, filter=lambda i: i % 100 < percent)[0][0]
            except RuntimeError:  # fewer than K found
                return np.empty(0, int)

        yield Peer(f"ef {effort}", find, size)


def sqlite_vec(database: np.ndarray, _: Path, percent: int | None = None) -> Iterator[Peer]:
    import pysqlite3  # Python's own may be built without extensions
    import sqlite_vec

    connection = pysqlite3.connect(":memory:")
    connection.enable_load_extension(True)
    sqlite_vec.load(connection)
    columns = f"e float[{database.shape[1]}] distance_metric=cosine, slot integer"
    connection.execute(f"create virtual table v using vec0({columns})")
    rows = ((i, vector.tobytes(), i % 100) for i, vector in enumerate(database))
    connection.executemany("insert into v(rowid, e, slot) values (?, ?, ?)", rows)
    where = "e match ? and k = ?" + ("" if percent is None else f" and slot < {percent}")

    def find(query: np.ndarray) -> list[int]:
        return [row[0] for row in connection.execute(f"select rowid from v where {where}", (query.tobytes(), K))]

    yield Peer("exact", find)
