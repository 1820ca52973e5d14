"""Pocketlens: visual search. A photo in, the matching products or places out.

    import pocketlens

    lens = pocketlens.Lens("shop.plx")
    answer = lens.search("photo.jpg", k=3)
    print(answer.verdict, [hit.key for hit in answer.hits])

Photos are paths, encoded bytes (JPEG, PNG, WebP) or numpy arrays of H×W×3 bytes, red first. Descriptors are numpy
arrays of float32, the same bits on every platform. Calls work on threads of the library and leave the interpreter to
others.
"""

from .bundle import Bundle
from .catalogue import Entry, build_index
from .index import Index, apply_pack, compact, roll_back
from .lens import Lens
from .payload import payload
from .pocketlens_ffi import (
    Answer,
    Attribute,
    Evidence,
    Explanation,
    Focus,
    GeoPoint,
    Hit,
    Limits,
    Place,
    PocketlensError,
    Source,
    Times,
    Verdict,
    version,
)

__version__ = version()
__all__ = [
    "Answer",
    "Attribute",
    "Bundle",
    "Entry",
    "Evidence",
    "Explanation",
    "Focus",
    "GeoPoint",
    "Hit",
    "Index",
    "Lens",
    "Limits",
    "Place",
    "PocketlensError",
    "Source",
    "Times",
    "Verdict",
    "apply_pack",
    "build_index",
    "compact",
    "payload",
    "roll_back",
]
