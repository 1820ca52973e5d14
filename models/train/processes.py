"""One process, or several that train together: on one processor, one accelerator, or many.

    python tune.py …                                  # one process
    torchrun --nproc-per-node 4 -- tune.py …          # four, each with its part of every batch

All hold the same weights: `DistributedDataParallel` hands out those of the first one and takes the mean of the
gradients. The first one measures and writes logs, checkpoints and exports; loss terms in a log that are not of the
whole batch are those of its part. Norms take the statistics of the first one's part.

A loss that is a mean over samples needs no more than that: the mean over equal parts is the mean over the batch. Losses
that compare samples (InfoNCE, triplets, proxies) need the others' samples as well: `Processes.gathered`.
"""

import os
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

# The first one measures while the others wait at the next step; the longest measure takes some minutes.
PATIENCE = timedelta(hours=2)


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
            backend = "nccl" if device.type == "cuda" else "gloo"
            distributed.init_process_group(backend, rank=rank, world_size=size, timeout=PATIENCE)
        return Processes(rank, size, device)

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def part(self, batch: int) -> int:
        """How many of a batch are this process's."""
        if batch % self.size:
            raise SystemExit(f"a batch of {batch} cannot be shared by {self.size} processes: give a multiple of {self.size}")
        return batch // self.size

    def rows(self, batch: int) -> slice:
        """Which of a batch are this process's; the parts in the order of the processes are the batch."""
        part = self.part(batch)
        return slice(self.rank * part, (self.rank + 1) * part)

    def seed(self, seed: int) -> list[int]:
        """A seed of its own for each process; of a single process the plain one."""
        return [seed] if self.size == 1 else [seed, 1 + self.rank]

    def stream(self, common: np.random.Generator, seed: int, *place: int) -> np.random.Generator:
        """What this process draws its part from, after all have drawn from `common` what they share.

        A single process goes on with `common` itself; `place` is the step, and whatever else tells streams apart.
        """
        return common if self.size == 1 else np.random.default_rng([*self.seed(seed), *place])

    def wrap(self, module: nn.Module, buffers: bool = True) -> nn.Module:
        """The module with the first one's weights, and gradients that are means over all processes.

        `buffers`: hand those of the first one out before each step (statistics of norms; constants need it not).
        """
        if self.size == 1:
            return module
        return DistributedDataParallel(module) if buffers else DistributedDataParallel(module, broadcast_buffers=False)

    def alike(self, module: nn.Module) -> None:
        """Gives the module the first one's weights and buffers in every process."""
        if self.size > 1:
            for tensor in module.state_dict().values():
                distributed.broadcast(tensor, 0)

    def gathered(self, rows: torch.Tensor) -> torch.Tensor:
        """N×… of this process → (size·N)×…, the rows of all in the order of the processes.

        Every process works out the same loss L of all rows, and its gradient passes to its own rows alone, `size`
        times as large. `wrap` then takes the mean over the processes: a weight in front of the gather gets
        1/size · Σ size · ∂L/∂(rows of r) · ∂(rows of r)/∂weight, the gradient of one process that holds the whole
        batch; a weight behind it (heads, proxies) sees all rows everywhere and gets the mean of equal gradients. The
        backward pass needs no exchange of its own.
        """
        return rows if self.size == 1 else _Gathered.apply(rows, self.rank, self.size)

    def wait(self) -> None:
        if self.size > 1:
            distributed.barrier()


class _Gathered(torch.autograd.Function):
    """The gather of `Processes.gathered`, with its gradient."""

    @staticmethod
    def forward(ctx, rows: torch.Tensor, rank: int, size: int) -> torch.Tensor:
        ctx.own, ctx.size = slice(rank * len(rows), (rank + 1) * len(rows)), size
        parts = [torch.empty_like(rows, memory_format=torch.contiguous_format) for _ in range(size)]
        distributed.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx, gradient: torch.Tensor):
        return gradient[ctx.own] * ctx.size, None, None
