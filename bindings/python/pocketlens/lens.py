"""An index and its model, ready to be asked."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import numpy

from . import pocketlens_ffi as ffi
from .bundle import Bundle
from .payload import filter_of, values_of
from .photo import Photo, Region, frame_of, is_path, region_of
from .waiting import wait


class Lens:
    """Opens an index with the model that it carries. Can be asked from several threads; every question keeps the limits."""

    def __init__(self, index: str | os.PathLike[str], *, limits: ffi.Limits | None = None) -> None:
        self._lens = wait(ffi.Lens.open(os.fspath(index), limits))

    @classmethod
    def create(cls, index: str | os.PathLike[str], bundle: Bundle | None = None) -> Lens:
        """Makes an empty index, with the bundle's limits, to be filled with `put`; `build_index` makes one of a catalogue."""
        self = cls.__new__(cls)
        self._lens = wait(ffi.Lens.create(os.fspath(index), (bundle or Bundle())._bundle))
        return self

    @property
    def info(self) -> ffi.IndexInfo:
        """Items, photos, bytes, fingerprint."""
        return self._lens.info()

    @property
    def limits(self) -> ffi.Limits:
        """What a question may cost."""
        return self._lens.limits()

    @property
    def bundle(self) -> Bundle:
        """The model of this index."""
        return Bundle._of(self._lens.bundle())

    def search(
        self,
        photo: Photo,
        k: int = 10,
        *,
        region: Region | None = None,
        rotations: bool = False,
        focus: ffi.Focus | None = None,
        filter: dict[str, Any] | str | ffi.Filter | None = None,
        group_by: str | None = None,
        precision: float = 0.95,
        second_look: bool = False,
        explain: bool = False,
    ) -> ffi.Answer:
        """The best `k` items, and whether the first is what the photo shows.

        `filter` is JSON in the vocabulary of Qdrant; `group_by` is "group", or a field of the payload. With a `focus` the
        place where the thing is, is looked at again: `place` of the answer, which is a region, too.

        Raises `PocketlensError.BadInput` for a photo that cannot be read, a filter that does not fit the payloads, or what
        is beyond the limits.
        """
        where = region_of(region)
        query = ffi.Query(
            k=k,
            region=where,
            rotations=rotations,
            focus=focus,
            filter=filter_of(filter),
            group_by=_group_by(group_by),
            precision=precision,
            second_look=second_look,
            explain=explain,
        )
        if isinstance(photo, numpy.ndarray):
            frame = frame_of(self._lens.bundle(), photo, where)
            return wait(self._lens.search(frame, query, None))
        if is_path(photo):
            return wait(self._lens.search_file(os.fspath(photo), query, None))
        return wait(self._lens.search_photo(bytes(photo), query, None))

    def self_test(self, device: str = "") -> ffi.SelfTestReport:
        """Whether every instruction set of this processor gives the golden descriptors; `text` is for people. Seconds."""
        return wait(self._lens.self_test(device))

    def put(
        self, key: str, photo: Photo, *, group: str | None = None, payload: dict[str, Any] | None = None
    ) -> ffi.IndexInfo:
        """Adds an item, or replaces the one of that key."""
        if isinstance(photo, numpy.ndarray):
            raise TypeError("a path or encoded bytes expected: an index is made of photos that can be read again")
        if is_path(photo):
            with open(photo, "rb") as file:
                photo = file.read()
        item = ffi.NewItem(key=key, photo=bytes(photo), group=group, payload=values_of(payload))
        return wait(self._lens.update([item], []))

    def remove(self, keys: str | Iterable[str]) -> ffi.IndexInfo:
        """Removes items; keys that are not there are none of its business."""
        return wait(self._lens.update([], [keys] if isinstance(keys, str) else list(keys)))

    def reload(self) -> ffi.IndexInfo:
        """Takes up the index as it is on disk now."""
        return wait(self._lens.reload())


def _group_by(name: str | None) -> ffi.GroupBy | None:
    match name:
        case None:
            return None
        case "group":
            return ffi.GroupBy.GROUP()
        case _:
            return ffi.GroupBy.FIELD(name=name)
