"""Softens the joint projection of a bundle: its variances are drawn towards their mean, as a shrunk whitening's are.

    python soften.py --bundle FITTED --shrinkage 0.75 --out ../default.lens

`pocketlens fit` whitens the joined parts fully, y_k = u_kᵀ(x - m) / √λ_k. That magnifies the last components, in which
captures of one thing differ as much as things do. Here λ_k becomes (1 - s) λ_k + s · tr/C, the rule of `shrunk_pca`. All that
it takes stands in the bundle: the rows are u_k / √λ_k with unit vectors u_k, and joined parts have the length one, so
the trace is 1 - |m|². Layouts: FORMAT.md in `core/src/container`, `core/src/bundle/learned.rs`, `core/src/bundle.rs`.
"""

import argparse
import hashlib
import json
import struct
import zlib
from pathlib import Path

import numpy as np

from plan_weights import sections

ENTRY, FIRST_ENTRY, FINGERPRINT = "<4sIQQ", 48, 32
PIPELINE = b"pocketlens descriptor pipeline 1"
DEFAULT_WHITENING = {"pairs": {"shrinkage": 0.03}}


def softened(code: bytes, parts: int, shrinkage: float) -> bytes:
    """The section `code` of a recipe of `parts` parts without codebooks."""
    start = 4 * parts
    if any(code[:start]):
        raise SystemExit("a recipe with codebooks cannot be softened")
    channels, size = struct.unpack_from("<II", code, start)
    start += 8
    mean = np.frombuffer(code, "<f4", channels, start).astype(np.float64)
    start += 4 * channels
    rows = np.frombuffer(code, "<f4", size * channels, start).reshape(size, channels).astype(np.float64)
    assert len(code) == start + 4 * rows.size
    variances = 1 / np.square(rows).sum(1)
    even = (1 - np.square(mean).sum()) / channels
    rows *= np.sqrt(variances / ((1 - shrinkage) * variances + shrinkage * even))[:, None]
    return code[:start] + rows.astype("<f4").tobytes()


def fingerprint(content: dict[str, bytes]) -> bytes:
    """Of a bundle's sections: what decides a descriptor (`fingerprint_of` in core/src/bundle.rs)."""
    spec = json.loads(content["spec"])
    spec["recipe"]["name"] = ""
    for part in spec["recipe"]["parts"]:
        part["whitening"] = DEFAULT_WHITENING
    parts = [PIPELINE, json.dumps(spec, indent=2, ensure_ascii=False).encode()]
    parts += [b"plan", content["plan"], content["whit"], b"code", content["code"]]
    digest = hashlib.sha256()
    for part in parts:
        digest.update(struct.pack("<Q", len(part)) + part)
    return digest.digest()[:16]


def soften(bundle: Path, shrinkage: float) -> bytes:
    """The bundle's bytes with a softened projection, checksums and fingerprint."""
    data, content = bytearray(bundle.read_bytes()), sections(bundle)
    if bytes(data[FINGERPRINT : FINGERPRINT + 16]) != fingerprint(content):
        raise SystemExit(f"{bundle}: its fingerprint is not understood")
    content["code"] = softened(content["code"], len(json.loads(content["spec"])["recipe"]["parts"]), shrinkage)
    count = struct.unpack_from("<I", data, 12)[0]
    end = FIRST_ENTRY + 24 * count
    for place in range(FIRST_ENTRY, end, 24):
        tag, _, offset, length = struct.unpack_from(ENTRY, data, place)
        if tag == b"code":
            data[offset : offset + length] = content["code"]
            struct.pack_into("<I", data, place + 4, zlib.crc32(content["code"]))
    data[FINGERPRINT : FINGERPRINT + 16] = fingerprint(content)
    struct.pack_into("<I", data, end, zlib.crc32(bytes(data[:end])))
    return bytes(data)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--shrinkage", type=float, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    data = soften(arguments.bundle, arguments.shrinkage)
    arguments.out.write_bytes(data)
    print(f"{arguments.out}: {len(data)} bytes, fingerprint {data[FINGERPRINT:FINGERPRINT + 16].hex()}")
