"""Options that the commands of a run share, and how a run begins."""

import argparse
import json
from pathlib import Path

import torch

from photos import SOURCES
from processes import Processes


def add_run(
    parser: argparse.ArgumentParser,
    *,
    threads: int = 1,
    save_seconds: float = 120,
    progress: float = 30,
    measure_steps: int | None = None,
    shared: bool = True,
) -> None:
    """Folders, seed, processes and how often things are written.

    `measure_steps` where a run measures held-out photos; `shared` where it reads photos or weights of that folder.
    """
    if shared:
        parser.add_argument("--shared", type=Path, required=True, help="folder that holds data/ and weights/")
    parser.add_argument("--run", type=Path, required=True, help="folder of checkpoints and logs")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=threads)
    parser.add_argument("--workers", type=int, default=1, help="processes that make crops or captures, of each that trains")
    if measure_steps is not None:
        parser.add_argument("--measure-steps", type=int, default=measure_steps)
    parser.add_argument("--save-seconds", type=float, default=save_seconds)
    parser.add_argument("--progress", type=float, default=progress, help="seconds between updates of the progress bar")


def add_sources(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sources", nargs="+", choices=SOURCES, default=list(SOURCES))
    parser.add_argument("--any-licence", action="store_true", help="also photos whose terms do not permit shipping")


def begin(arguments: argparse.Namespace) -> Processes:
    """Threads, random numbers and the run's folder; joins the other processes where there are any."""
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    processes = Processes.joined()
    arguments.run.mkdir(parents=True, exist_ok=True)
    if processes.leads:
        arguments.run.joinpath("options.json").write_text(json.dumps(vars(arguments), default=str, indent=1))
    return processes
