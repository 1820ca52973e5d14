"""An index of a whole catalogue."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from . import pocketlens_ffi as ffi
from .bundle import Bundle
from .payload import values_of
from .waiting import wait


@dataclass
class Entry:
    """A photo of a catalogue. Entries with one key are photos of one item."""

    #: The photo's file: JPEG, PNG or WebP.
    image: str | os.PathLike[str]
    #: Names the item.
    key: str
    #: Items that answer as one; the key when absent.
    group: str | None = None
    #: What filters ask, and what comes back with a hit.
    payload: dict[str, Any] = field(default_factory=dict)


def build_index(
    out: str | os.PathLike[str],
    entries: Iterable[Entry],
    bundle: Bundle | None = None,
    *,
    local_features: bool = False,
    calibration_queries: int = 480,
    augment: int | None = None,
    is_shard: bool = False,
    progress: Callable[[int], None] | None = None,
) -> ffi.BuildReport:
    """Builds the index directory `out` on every core; one that stands there is replaced when the new one is whole.

    Photos that cannot be read are in the report, and the others are indexed. The same entries give the same bytes as
    `pocketlens index build`. With `augment` each photo's vector is moved towards so many nearest of the catalogue, 1 to
    1,000, of which 10 are usual: it gains where things have as many photos and more, and loses where they have one.

    Raises `PocketlensError.BadInput` when no photo can be read, an item breaks a rule, or a shard is to be augmented.
    """
    listed = [
        ffi.CatalogueEntry(
            image=os.fspath(entry.image), key=entry.key, group=entry.group, payload=values_of(entry.payload)
        )
        for entry in entries
    ]
    options = ffi.BuildOptions(
        local_features=local_features,
        calibration_queries=calibration_queries,
        augment=augment,
        is_shard=is_shard,
    )
    listener = None if progress is None else _Listener(progress)
    return wait(ffi.build_index(os.fspath(out), (bundle or Bundle())._bundle, listed, options, listener))


class _Listener(ffi.BuildListener):
    def __init__(self, progress: Callable[[int], None]) -> None:
        self._progress = progress

    def described(self, photos: int) -> None:
        self._progress(photos)
