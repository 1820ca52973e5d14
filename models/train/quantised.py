"""Quantisation-aware training: a student learns with the roundings of the int8 plan, and leaves as QDQ ONNX.

    python quantised.py --shared DIR --run target/train/quantised --student CHECKPOINT --export target/student-qdq.onnx

Weights are rounded to signed bytes with a scale for each output, maps to bytes with one scale and zero point; the
gradient passes the rounding as if it were not there (Jacob et al., "Quantization and training of neural networks for
efficient integer-arithmetic-only inference", 2018). The target is the float student's maps, place by place.
`pocketlens bundle convert` takes the file's own scales.
"""

import argparse
import copy
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader
from tqdm import tqdm

import checkpoint
import options
from augmentation import Batches
from contrastive import map_distance
from distill import Log
from export import outputs, read_student
from folded import C42_BOUNDARY, FoldedConvolution, FoldedNetwork
from loss import normalise
from onnx_graph import OnnxGraph
from photos import load, split
from processes import Processes
from schedule import Schedule
from student import Student
from teacher import C20_BOUNDARY, C39_INPUT_BOUNDARY, C51_BOUNDARY, pad
from tune import rate

MOMENTUM = 0.05  # of the running ranges
LOG_STEPS = 20


class FakeQuantise(nn.Module):
    """Rounds a map to 256 levels of its range, which follows the batches while training and then stands."""

    def __init__(self):
        super().__init__()
        self.register_buffer("low", torch.tensor(0.0))
        self.register_buffer("high", torch.tensor(0.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            with torch.no_grad():
                # Zero must be a level: padding is made of it.
                low, high = x.amin().clamp_max(0), x.amax().clamp_min(0)
                share = 1.0 if self.high == self.low else MOMENTUM
                self.low.lerp_(low, share)
                self.high.lerp_(high, share)
        scale, zero = self.grid()
        held = x.clamp(-zero * scale, (255 - zero) * scale)
        rounded = ((x / scale).round() + zero).clamp(0, 255)
        return held + ((rounded - zero) * scale - held).detach()

    def grid(self) -> tuple[float, int]:
        """real = (byte - zero) · scale."""
        scale = max(float(self.high - self.low) / 255, 1e-8)
        return float(np.float32(scale)), min(255, max(0, round(-float(self.low) / scale)))


class QuantisedConvolution(nn.Module):
    """A folded convolution with rounded weights and a rounded result."""

    def __init__(self, source: FoldedConvolution):
        super().__init__()
        self.source, self.result = source, FakeQuantise()

    def scales(self) -> torch.Tensor:
        """One an output (O): the largest weight is 127."""
        return self.source.weight.detach().abs().amax(dim=(1, 2, 3)).clamp_min(1e-8) / 127

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        source, scales = self.source, self.scales().reshape(-1, 1, 1, 1)
        rounded = (source.weight.detach() / scales).round() * scales
        weight = source.weight + (rounded - source.weight).detach()
        x = F.conv2d(pad(x, source.stride), weight, source.bias, source.stride, source.padding, 1, source.groups)
        return self.result(F.relu6(x) if source.relu6 else x)

    def bytes(self) -> tuple[np.ndarray, np.ndarray]:
        """Weights (O×I×K×K, int8) and their scales (O)."""
        scales = self.scales()
        rounded = (self.source.weight.detach() / scales.reshape(-1, 1, 1, 1)).round()
        return rounded.contiguous().cpu().numpy().astype(np.int8), scales.cpu().numpy()


class QuantisedNetwork(FoldedNetwork):
    """A folded student whose convolutions and sums are rounded; the same maps."""

    def __init__(self, student: Student):
        source = FoldedNetwork.from_student(student)
        nn.Module.__init__(self)
        self.shape, self.residual = student.shape, source.residual
        self.stages = nn.ModuleList(nn.ModuleList(map(QuantisedConvolution, stage)) for stage in source.stages)
        self.c39 = QuantisedConvolution(source.c39)
        self.sums = nn.ModuleDict({str(n): FakeQuantise() for n, adds in enumerate(self.residual) if adds})

    def _stage(self, number: int, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.stages[number]:
            return x, x
        first = y = self.stages[number][0](x)
        for convolution in self.stages[number][1:]:
            y = convolution(y)
        return (self.sums[str(number)](x + y) if self.residual[number] else y), first


def export_quantised(network: QuantisedNetwork, out: Path) -> None:
    """Writes QDQ ONNX: weights as bytes, and a QuantizeLinear with its DequantizeLinear behind every map."""
    graph = OnnxGraph("pocketlens_student_int8")

    def convolve(source: str, layer: QuantisedConvolution, target: str) -> str:
        weight, scales = layer.bytes()
        inner = layer.source
        name = graph.quantised_convolution(
            source, f"{target}_float", weight, scales, inner.bias.detach().cpu().numpy(), inner.stride, inner.groups, inner.relu6
        )
        return graph.rounded(name, target, *layer.result.grid())

    x, names = "image", {C20_BOUNDARY: "c20", C51_BOUNDARY: "c51"}
    for number, stage in enumerate(network.stages):
        if not stage:
            continue
        shortcut, name = x, names.get(number, f"boundary{number:02d}")
        for index, layer in enumerate(stage):
            is_last, is_c42 = index == len(stage) - 1, number == C42_BOUNDARY and index == 0
            inner = f"{name}_projected" if network.residual[number] else name
            x = convolve(x, layer, inner if is_last else "c42" if is_c42 else f"{name}_hidden{index}")
        if network.residual[number]:
            x = graph.rounded(graph.add(shortcut, x, f"{name}_sum"), name, *network.sums[str(number)].grid())
        if number == C39_INPUT_BOUNDARY:
            convolve(x, network.c39, "c39")
    graph.write(out, outputs(network.shape))


class Run:
    """Network, optimiser and step count of a run; saved and restored as a whole."""

    def __init__(
        self,
        network: QuantisedNetwork,
        target: FoldedNetwork,
        steps: int,
        peak: float,
        processes: Processes = Processes(),
    ):
        """`target` is the float network, `peak` the learning rate after the warm-up.

        Of several processes each takes its part of a batch; the ranges of maps are those of the first one's part.
        """
        self.processes, self.steps, self.peak, self.step = processes, steps, peak, 0
        self.network, self.target = network.to(processes.device), target.requires_grad_(False).to(processes.device)
        self.whole = processes.wrap(self.network)
        parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
        self.optimiser = torch.optim.AdamW(parameters, lr=peak, weight_decay=0.0)

    def train_step(self, crops: torch.Tensor) -> float:
        """One step on N×H×W×3 uint8 crops; returns how far the maps are from the target's."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.peak * rate(self.step, self.steps)
        image = normalise(crops.to(self.processes.device))
        with torch.no_grad():
            wanted = self.target(image)
        loss = map_distance(self.whole(image), wanted)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        self.step += 1
        return loss.item()

    def save(self, path: Path) -> None:
        state = {"step": self.step, "network": self.network.state_dict(), "optimiser": self.optimiser.state_dict()}
        checkpoint.write(state, path)

    def resume(self, path: Path) -> None:
        state = checkpoint.read(path)
        if state is not None:
            self.step = state["step"]
            self.network.load_state_dict(state["network"])
            self.optimiser.load_state_dict(state["optimiser"])


def train(run: Run, batches: Iterable[torch.Tensor], log: Log, path: Path | None = None, save_seconds: float = 120) -> None:
    """From the run's step to its end; `batches` gives the crops of these steps. Checkpoints go to `path`."""
    run.whole.train()
    leads = run.processes.leads
    window, started, saved = [], time.monotonic(), time.monotonic()
    for crops in tqdm(batches, disable=not leads, initial=run.step, total=run.steps, mininterval=30):
        window.append(run.train_step(crops))
        if run.step % LOG_STEPS == 0:
            log.write({"step": run.step, "seconds": (time.monotonic() - started) / len(window), "moved": sum(window) / len(window)})
            window, started = [], time.monotonic()
        if path and leads and (run.step == run.steps or time.monotonic() - saved > save_seconds):
            run.save(path)
            saved = time.monotonic()
    run.processes.alike(run.network)  # the first one's ranges
    run.whole.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_run(parser)
    parser.add_argument("--student", type=Path, required=True, help="checkpoint of a trained student")
    parser.add_argument("--export", type=Path, required=True, help="QDQ ONNX file to write")
    options.add_sources(parser)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=1e-5)
    arguments = parser.parse_args()
    processes = options.begin(arguments)
    student = read_student(arguments.student)
    network, target = QuantisedNetwork(copy.deepcopy(student)), FoldedNetwork.from_student(student)
    run = Run(network, target, arguments.steps, arguments.rate, processes)
    path = arguments.run / "checkpoint.pt"
    run.resume(path)
    training, _ = split(load(arguments.shared, tuple(arguments.sources), arguments.any_licence))
    part, seed = processes.part(arguments.batch), processes.seed(arguments.seed)
    batches = Batches(training, Schedule(0, 0, arguments.steps), part, seed)
    loader = DataLoader(batches, batch_size=None, sampler=range(run.step, run.steps), num_workers=arguments.workers)
    log = Log(arguments.run / "train.csv" if processes.leads else None, ["step", "seconds", "moved"], run.step)
    processes.wait()  # the first one has read what is about to be written over
    train(run, loader, log, path, arguments.save_seconds)
    if processes.leads:
        export_quantised(network, arguments.export)


if __name__ == "__main__":
    main()
