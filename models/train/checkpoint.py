"""Checkpoints of a run: written whole or not at all, read onto the processor."""

from pathlib import Path

import torch


def write(state: dict, path: Path) -> None:
    """Whoever reads meanwhile, or after an interruption, finds the old state or the new one, never half of one."""
    partial = path.with_name(path.name + ".partial")
    torch.save(state, partial)
    partial.replace(path)


def read(path: Path) -> dict | None:
    """None where there is no checkpoint yet. Whatever is loaded from it moves to its module's device then."""
    return torch.load(path, weights_only=True, map_location="cpu") if path.exists() else None


def step(path: Path) -> int:
    """The step that a checkpoint stands at; 0 without one."""
    return (read(path) or {"step": 0})["step"]
