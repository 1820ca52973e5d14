"""One process, or several that train together: on one processor, one accelerator, or many.

    python distill.py …                                  # one process
    torchrun --nproc-per-node 4 distill.py …             # four, each with its part of every batch

Each process makes its own crops; `DistributedDataParallel` averages the gradients, so all hold the same weights. The
first one writes logs, checkpoints and exports. Norms take the statistics of the first one's part.
"""

import os
from dataclasses import dataclass

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class Processes:
    """Which of how many processes this is, and where it computes."""

    rank: int = 0
    size: int = 1
    device: torch.device = torch.device("cpu")

    @staticmethod
    def joined() -> "Processes":
        """Joins the others where `torchrun` started this process; one accelerator a process where there are any."""
        rank, size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        device = torch.device("cpu")
        if torch.cuda.is_available():
            device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
            torch.cuda.set_device(device)
        if size > 1 and not distributed.is_initialized():
            distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", rank=rank, world_size=size)
        return Processes(rank, size, device)

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def part(self, batch: int) -> int:
        """How many of a batch are this process's."""
        if batch % self.size:
            raise SystemExit(f"a batch of {batch} cannot be shared by {self.size} processes")
        return batch // self.size

    def seed(self, seed: int) -> list[int]:
        """A seed of its own for each process; of a single process the plain one."""
        return [seed] if self.size == 1 else [seed, 1 + self.rank]

    def wrap(self, module: nn.Module) -> nn.Module:
        """The module with gradients averaged over all processes."""
        return DistributedDataParallel(module) if self.size > 1 else module

    def wait(self) -> None:
        if self.size > 1:
            distributed.barrier()
