"""Two processes train as one: equal weights in both, the same again after an interruption, all by gloo on the CPU."""

import os
import socket
from pathlib import Path

import torch
from torch import distributed, multiprocessing

import distill
from processes import Processes
from schedule import Schedule
from shape import NANO
from teacher import Teacher
from test_train import options, random_photos, weights

__all__ = ["weights"]  # the fixture


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def work(rank: int, port: int, teacher: Path, folder: Path, large: int) -> None:
    """What each process does; the final weights go to a file of its own."""
    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), RANK=str(rank), WORLD_SIZE="2")
    processes = Processes.joined()
    run = distill.Run(folder, Schedule(local=1, chain=1, large=large), seed=4, shape=NANO, processes=processes)
    run.resume()
    distill.train(run, random_photos(80), Teacher(teacher), options(batch=4))
    torch.save(run.student.state_dict(), folder / f"rank{rank}.pt")
    distributed.destroy_process_group()


def train(teacher: Path, folder: Path, large: int) -> list[dict[str, torch.Tensor]]:
    multiprocessing.spawn(work, (free_port(), teacher, folder, large), nprocs=2)
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in range(2)]


def test_two_processes_hold_one_student(tmp_path, weights):
    first, second = train(weights, tmp_path / "whole", 1)
    train(weights, tmp_path / "cut", 0)
    resumed, _ = train(weights, tmp_path / "cut", 1)
    for name, tensor in first.items():
        # Norms' running statistics are the first one's; they are handed out at the start of a step.
        if "running" not in name:
            assert torch.equal(tensor, second[name]), f"{name} differs between the processes"
        assert torch.equal(tensor, resumed[name]), f"{name} differs after an interruption"
    rows = (tmp_path / "whole" / "held_out.csv").read_text().splitlines()
    assert len(rows) == 1 + 4, "one process keeps the log: local alone and as a chain, chain, large"


def test_each_process_has_its_own_crops():
    one, other = Processes(0, 2), Processes(1, 2)
    assert one.seed(7) != other.seed(7) and Processes().seed(7) == [7]
    assert one.part(16) == 8 and one.leads and not other.leads
