"""Embeds a catalogue on a Ray cluster and makes one index of it.

    python embed_on_ray.py CATALOGUE --out shop.plx [--shards 64] [--address auto] [--work FOLDER]

Each shard is one task, then the shards are merged. The index has the bytes of one built in one go, however many nodes
there were and whichever of them died: a shard's content depends on its keys alone, a shard is published by renaming it
when it is whole, and Ray runs the task of a lost node again elsewhere.

Where the wheel `pocketlens` is installed, here and on all nodes, a task builds its shard in its own process; otherwise,
and for a CSV or with further arguments of `index build`, it runs the command line. Merging is the command line's.

CATALOGUE and the work folder lie on storage that all nodes see.
"""

import argparse
import functools
import hashlib
import importlib.util
import json
import os
import pathlib
import shutil
import subprocess
import sys
import uuid

import ray


PHOTOS = {".jpg", ".jpeg", ".png", ".webp"}


def build_shard(build, work, shard, shards):
    """Builds one shard unless it is there; its folder. Two nodes may do so at once: one of them publishes it."""
    done = pathlib.Path(work) / f"shard-{shard}-of-{shards}.plx"
    if done.exists():
        return str(done)
    own = done.with_name(f"{done.name}.{uuid.uuid4().hex}")
    try:
        build(own, shard, shards)
    except Exception as error:
        shutil.rmtree(own, ignore_errors=True)
        # As text: what reads it need not have the wheel.
        raise RuntimeError(f"shard {shard}/{shards}: {error}") from None
    try:
        os.rename(own, done)
    except OSError:
        # Another node was faster: it has the same bytes.
        shutil.rmtree(own, ignore_errors=True)
        if not done.exists():
            raise
    return str(done)


def by_program(program, catalogue, more, out, shard, shards):
    """Builds a shard by the command line."""
    command = [program, "index", "build", catalogue, "--out", out, "--shard", f"{shard}/{shards}", *more]
    built = subprocess.run(command, capture_output=True, text=True)
    if built.returncode != 0:
        raise RuntimeError(built.stderr.strip()[-2000:])


def by_wheel(catalogue, out, shard, shards):
    """Builds a shard in this process."""
    own = [entry for entry in entries(pathlib.Path(catalogue)) if shard_of(entry.key, shards) == shard]
    import pocketlens

    pocketlens.build_index(out, own, is_shard=True, calibration_queries=0)


def entries(catalogue):
    """The photos of a folder, or the rows of a table in JSON Lines, as `index build` names them."""
    import pocketlens

    if catalogue.is_dir():
        photos = sorted(path for path in catalogue.rglob("*") if path.suffix.lower() in PHOTOS and path.is_file())
        return [pocketlens.Entry(path, path.relative_to(catalogue).as_posix()) for path in photos]
    rows = [json.loads(line) for line in catalogue.read_text().splitlines() if line.strip()]
    return [pocketlens.Entry(catalogue.parent / row["image"], row.pop("key"), row.pop("group", None), row) for row in rows]


def shard_of(key, shards):
    """From 1, and the same as the command line's."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little") % shards + 1


def builder(program, catalogue, more=(), wheel=importlib.util.find_spec("pocketlens") is not None):
    """What builds a shard on a node, where this one has the wheel or has not."""
    known = pathlib.Path(catalogue).is_dir() or pathlib.Path(catalogue).suffix == ".jsonl"
    if wheel and known and not more:
        return functools.partial(by_wheel, str(catalogue))
    return functools.partial(by_program, program, str(catalogue), list(more))


def embed(program, build, out, shards, work, progress=lambda done, of: None):
    """Builds all shards on the cluster that `ray.init` has joined, and merges them into `out`."""
    pathlib.Path(work).mkdir(parents=True, exist_ok=True)
    # A node that dies is no fault of the catalogue: its shards are built again, any number of times. A shard that
    # cannot be built is one, and ends the run.
    # Where this file is imported, workers on other machines do not have it: the function travels, not its name.
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    task = ray.remote(num_cpus=1, max_retries=-1, retry_exceptions=False)(build_shard)
    waiting = [task.remote(build, str(work), shard, shards) for shard in range(1, shards + 1)]
    folders = {}
    order = {reference: shard for shard, reference in enumerate(waiting, 1)}
    while waiting:
        [ready], waiting = ray.wait(waiting)
        folders[order[ready]] = ray.get(ready)
        progress(len(folders), shards)
    merge = [program, "index", "merge", *(folders[shard] for shard in sorted(folders)), "--out", str(out)]
    subprocess.run(merge, check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("catalogue", help="folder of photos, or a table")
    parser.add_argument("--out", required=True, help="the index to write")
    parser.add_argument("--shards", type=int, default=64, help="some for each processor of the cluster")
    parser.add_argument("--work", help="folder for shards that all nodes see; OUT.shards when absent")
    parser.add_argument("--address", help="of a cluster; one on this machine when absent")
    parser.add_argument("--program", default=shutil.which("pocketlens") or "pocketlens")
    parser.add_argument("more", nargs="*", help="further arguments of `index build`, behind --")
    arguments = parser.parse_args()
    # Each task uses one processor.
    ray.init(address=arguments.address, log_to_driver=False, runtime_env={"env_vars": {"RAYON_NUM_THREADS": "1"}})
    work = arguments.work or f"{arguments.out}.shards"

    def progress(done, of):
        print(json.dumps({"shards": done, "of": of}), file=sys.stderr)

    program = str(pathlib.Path(arguments.program).absolute()) if os.sep in arguments.program else arguments.program
    build = builder(program, pathlib.Path(arguments.catalogue).absolute(), arguments.more)
    embed(program, build, arguments.out, arguments.shards, pathlib.Path(work).absolute(), progress)
    shutil.rmtree(work)


if __name__ == "__main__":
    main()
