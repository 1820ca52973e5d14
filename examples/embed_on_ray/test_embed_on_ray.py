"""Two workers on this machine, of which one is killed midway: the index has the bytes of one built in one go.

    python -m pytest examples/embed_on_ray        # POCKETLENS=target/release/pocketlens unless said otherwise
"""

import importlib.util
import json
import os
import pathlib
import subprocess

import embed_on_ray
import pytest
import ray
from ray.cluster_utils import Cluster

ROOT = pathlib.Path(__file__).parents[2]
PROGRAM = os.environ.get("POCKETLENS", str(ROOT / "target/release/pocketlens"))


def files(index):
    """What belongs to the index itself: not the note where its pictures lie."""
    return {path.name: path.read_bytes() for path in index.iterdir() if path.name != "pictures.path"}


@pytest.fixture(scope="session")
def catalogue(tmp_path_factory):
    """The photos of the rendered store."""
    folder = tmp_path_factory.mktemp("store")
    subprocess.run([PROGRAM, "demo", "--out", folder, "--json"], check=True, stdout=subprocess.DEVNULL)
    return next(path for path in sorted(folder.iterdir()) if path.is_dir() and path.suffix != ".plx" and any(path.rglob("*.jpg")))


@pytest.fixture
def cluster():
    # The head takes no work: what is lost is lost on a worker.
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    yield cluster
    ray.shutdown()
    cluster.shutdown()


needs_wheel = pytest.mark.skipif(importlib.util.find_spec("pocketlens") is None, reason="the wheel is not installed")


@pytest.mark.parametrize("wheel", [False, pytest.param(True, marks=needs_wheel)])
def test_a_killed_worker_changes_nothing(catalogue, cluster, tmp_path, wheel):
    workers = [cluster.add_node(num_cpus=1) for _ in range(2)]
    cluster.wait_for_nodes()
    ray.init(address=cluster.address, log_to_driver=False)
    killed = []

    def progress(done, of):
        if done >= 2 and not killed:
            killed.append(workers[0])
            cluster.remove_node(workers[0], allow_graceful=False)

    out, work = tmp_path / "shop.plx", tmp_path / "shards"
    build = embed_on_ray.builder(PROGRAM, catalogue, wheel=wheel)
    embed_on_ray.embed(PROGRAM, build, out, 8, work, progress)
    assert killed and not killed[0].any_processes_alive()

    whole = tmp_path / "whole.plx"
    subprocess.run([PROGRAM, "index", "build", catalogue, "--out", whole, "--no-calibration"], check=True)
    assert files(out) == files(whole)


@needs_wheel
def test_a_table_gives_the_same_shard_by_wheel_and_by_program(catalogue, tmp_path):
    photos = sorted(catalogue.rglob("*.jpg"))[:12]
    rows = [
        {"image": str(photo), "key": f"k{at}", "group": f"g{at // 4}", "price": at / 2, "tags": ["new"], "stock": at}
        for at, photo in enumerate(photos)
    ]
    table = tmp_path / "catalogue.jsonl"
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for wheel in (False, True):
        embed_on_ray.builder(PROGRAM, table, wheel=wheel)(str(tmp_path / f"{wheel}.plx"), 1, 2)
    assert files(tmp_path / "False.plx") == files(tmp_path / "True.plx")


@pytest.mark.parametrize("wheel", [False, pytest.param(True, marks=needs_wheel)])
def test_a_shard_that_cannot_be_built_ends_the_run(cluster, tmp_path, wheel):
    cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    ray.init(address=cluster.address, log_to_driver=False)
    empty = tmp_path / "empty"
    empty.mkdir()
    build = embed_on_ray.builder(PROGRAM, empty, wheel=wheel)
    with pytest.raises(Exception, match="shard [12]/2: .*photos"):
        embed_on_ray.embed(PROGRAM, build, tmp_path / "shop.plx", 2, tmp_path / "shards")
    assert not (tmp_path / "shop.plx").exists()
