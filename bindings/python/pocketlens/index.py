"""A catalogue on disk: what it holds, whether it is sound, how it is kept up to date."""

from __future__ import annotations

import os
from collections.abc import Iterator

from . import pocketlens_ffi as ffi
from .waiting import wait

_PAGE = 1000


class Index:
    """Opens an index without its model, as it is now."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._index = wait(ffi.Index.open(os.fspath(path)))

    @property
    def info(self) -> ffi.IndexInfo:
        """Items, photos, bytes, fingerprint."""
        return self._index.info()

    def __len__(self) -> int:
        return self.info.items

    def __iter__(self) -> Iterator[ffi.Item]:
        """The items in the order of their keys, read in pages."""
        after = None
        while page := wait(self._index.items(after, _PAGE)):
            yield from page
            after = page[-1].key

    def verify(self) -> None:
        """Reads every byte and checks it."""
        wait(self._index.verify())


def apply_pack(index: str | os.PathLike[str], pack: str | os.PathLike[str], key: str | None = None) -> None:
    """Turns an index into the one that a pack leads to. With a key only a pack signed with its other half."""
    wait(ffi.apply_pack(os.fspath(index), os.fspath(pack), key))


def roll_back(index: str | os.PathLike[str]) -> None:
    """The index from before the last pack, again."""
    wait(ffi.roll_back(os.fspath(index)))


def compact(index: str | os.PathLike[str], megabytes: int = 256) -> None:
    """Takes small parts of an index together and drops what was removed."""
    wait(ffi.compact(os.fspath(index), megabytes))
