"""Two processes train as one: equal weights in both, the same again after an interruption, all by gloo on the CPU.

Here `distill.py`, whose norms keep two halves from being one batch, and the exchange itself; `test_shared_batches.py`
has the commands that compare samples.
"""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import distributed, multiprocessing, nn

import distill
from processes import Processes
from schedule import Schedule
from shape import NANO
from teacher import Teacher
from test_train import options, random_photos, weights

__all__ = ["weights"]  # the fixture


def begin(rank: int, size: int, port: int, work: Callable, folder: Path, arguments: tuple) -> None:
    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), RANK=str(rank), WORLD_SIZE=str(size))
    os.environ.update(TORCHELASTIC_USE_AGENT_STORE="True", TORCHELASTIC_RESTART_COUNT="0")  # as torchrun does
    processes = Processes.joined()
    torch.save(work(processes, folder, *arguments), folder / f"rank{rank}.pt")
    store = distributed.TCPStore("127.0.0.1", port, is_master=False)
    store.set(f"done{rank}", "")
    store.wait([f"done{other}" for other in range(size)])
    os._exit(0)  # threads of gloo and DDP abort now and then while a short process is taken apart


def together(size: int, work: Callable, folder: Path, *arguments) -> list[dict]:
    """What `work(processes, folder, *arguments)` gives in each of `size` processes.

    They meet at a store of this process, as those of torchrun do: no port to lose to others, none that ends too early.
    """
    store = distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    folder.mkdir(exist_ok=True)
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # of the processes to come: numpy would take all cores in each
    multiprocessing.spawn(begin, (size, store.port, work, folder, arguments), nprocs=size)
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in range(size)]


def distilled(processes: Processes, folder: Path, teacher: Path, large: int) -> dict[str, torch.Tensor]:
    run = distill.Run(folder, Schedule(local=1, chain=1, large=large), seed=4, shape=NANO, processes=processes)
    run.resume()
    distill.train(run, random_photos(80), Teacher(teacher), options(batch=4))
    return run.student.state_dict()


def test_two_processes_hold_one_student(tmp_path, weights):
    first, second = together(2, distilled, tmp_path / "whole", weights, 1)
    together(2, distilled, tmp_path / "cut", weights, 0)
    resumed, _ = together(2, distilled, tmp_path / "cut", weights, 1)
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
    assert (one.rows(16), other.rows(16)) == (slice(0, 8), slice(8, 16))
    common = np.random.default_rng(3)
    assert Processes().stream(common, 7, 5) is common
    assert one.stream(common, 7, 5).random() != other.stream(common, 7, 5).random()


class Compared(nn.Module):
    """A weight before the gather and one behind it; the loss needs all pairs of rows."""

    def __init__(self, processes: Processes):
        super().__init__()
        self.before, self.behind, self.processes = nn.Linear(5, 4), nn.Linear(4, 3), processes

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        vectors = self.behind(self.processes.gathered(self.before(rows).tanh()))
        return (vectors @ vectors.T).square().mean() + rows.mean() * self.before.bias.sum()


def compared(processes: Processes, folder: Path) -> dict[str, torch.Tensor]:
    torch.manual_seed(2 + processes.rank)  # the first one's weights are handed out
    module = Compared(processes)
    wrapped = processes.wrap(module)
    rows = torch.randn(6, 5, generator=torch.Generator().manual_seed(1))
    wrapped(rows[processes.rows(6)]).backward()
    return {name: parameter.grad for name, parameter in module.named_parameters()}


def test_gradients_are_those_of_the_whole_batch(tmp_path):
    (whole,) = together(1, compared, tmp_path / "one")
    first, second = together(2, compared, tmp_path / "two")
    for name, gradient in whole.items():
        torch.testing.assert_close(first[name], gradient)
        assert torch.equal(first[name], second[name]), name
