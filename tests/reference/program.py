"""The program under test, and its files read by other code than its own."""

import json
import struct
import subprocess
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
BUNDLE = ROOT / "models" / "default.lens"
PROGRAM = ROOT / "target" / "debug" / "pocketlens"


def run(*arguments, code: int = 0) -> str:
    """Standard output of `pocketlens ARGUMENTS`, which must end with `code`."""
    done = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    return done.stdout


def lines(*arguments) -> list[dict]:
    """The JSON objects that `pocketlens ARGUMENTS --json` prints."""
    return [json.loads(line) for line in run(*arguments, "--json").splitlines()]


def descriptors(photos, *arguments) -> np.ndarray:
    """N×D: the descriptor of each photo."""
    return np.array([line["descriptor"] for line in lines("embed", *photos, *arguments)])


def pooled(photos, *arguments) -> list[np.ndarray]:
    """N×C for each part of the recipe: the pooled map of each photo."""
    found = [line["pooled"] for line in lines("embed", *photos, "--pooled", *arguments)]
    return [np.array(part) for part in zip(*found, strict=True)]


def sections(path: Path) -> dict[str, bytes]:
    """A container's sections by their tags, as core/src/container/FORMAT.md draws it."""
    data = path.read_bytes()
    count = struct.unpack_from("<I", data, 12)[0]
    found = {}
    for at in range(count):
        tag, _, offset, length = struct.unpack_from("<4sIQQ", data, 48 + 24 * at)
        found[tag.decode()] = data[offset : offset + length]
    return found


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors along the last axis, brought to length 1."""
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def whitening(block: bytes) -> tuple[np.ndarray, np.ndarray, bytes]:
    """Mean (C), projection (D×C) and the rest of the bytes, as core/src/bundle/learned.rs writes them."""
    channels, dim = struct.unpack_from("<II", block)
    values = np.frombuffer(block, "<f4", channels * (dim + 1), 8).astype(np.float64)
    return values[:channels], values[channels:].reshape(dim, channels), block[8 + values.size * 4 :]


def whitenings(block: bytes, parts: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Mean (C) and projection (D×C) of each part."""
    found = []
    for _ in range(parts):
        mean, projection, block = whitening(block)
        found.append((mean, projection))
    assert not block
    return found
