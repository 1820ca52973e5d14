"""The model: photos to descriptors."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Iterator

import numpy

from . import pocketlens_ffi as ffi
from .photo import Photo, Region, frame_of, is_path, region_of
from .waiting import wait


class Bundle:
    """A model, ready to describe photos: the built-in one, or a `.lens` file. Photos keep the limits."""

    def __init__(self, path: str | os.PathLike[str] | None = None, *, limits: ffi.Limits | None = None) -> None:
        if path is None:
            self._bundle = ffi.Bundle.standard(limits)
        else:
            self._bundle = wait(ffi.Bundle.open(os.fspath(path), limits))

    @classmethod
    def _of(cls, bundle: ffi.Bundle) -> Bundle:
        self = cls.__new__(cls)
        self._bundle = bundle
        return self

    @property
    def info(self) -> ffi.BundleInfo:
        """Name, licence, dimensions, fingerprint."""
        return self._bundle.info()

    def verify(self) -> None:
        """Checks every byte."""
        wait(self._bundle.verify())

    def describe(self, photo: Photo, region: Region | None = None) -> numpy.ndarray:
        """A unit vector of `info.dim` float32: what the photo shows."""
        return wait(self._describe(photo, region))

    def describe_many(self, photos: Iterable[Photo], in_flight: int | None = None) -> numpy.ndarray:
        """One row a photo, N×dim float32, in the order of the photos; on every core, a few photos in memory at a time.

        The first photo that cannot be described ends it with its error.
        """
        rows = list(self.describe_each(photos, in_flight))
        return numpy.stack(rows) if rows else numpy.empty((0, self.info.dim), numpy.float32)

    def describe_each(self, photos: Iterable[Photo], in_flight: int | None = None) -> Iterator[numpy.ndarray]:
        """As `describe_many`, one row at a time."""
        batch = in_flight or 2 * (os.cpu_count() or 1)
        waiting: list[Photo] = []
        for photo in photos:
            waiting.append(photo)
            if len(waiting) == batch:
                yield from wait(self._describe_all(waiting))
                waiting = []
        yield from wait(self._describe_all(waiting))

    async def _describe_all(self, photos: list[Photo]) -> list[numpy.ndarray]:
        return await asyncio.gather(*(self._describe(photo, None) for photo in photos))

    async def _describe(self, photo: Photo, region: Region | None) -> numpy.ndarray:
        where = region_of(region)
        if isinstance(photo, numpy.ndarray):
            descriptor = await self._bundle.describe(frame_of(self._bundle, photo, where), None)
        else:
            if is_path(photo):
                with open(photo, "rb") as file:
                    photo = file.read()
            descriptor = await self._bundle.describe_photo(bytes(photo), where, None)
        return numpy.array(descriptor.values, numpy.float32)
