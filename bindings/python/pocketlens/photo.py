"""What counts as a photo."""

from __future__ import annotations

import os
from typing import TypeAlias

import numpy

from . import pocketlens_ffi as ffi

#: A path, encoded bytes, or an array of H×W×3 bytes, red first.
Photo: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview | numpy.ndarray"

#: `(x, y, width, height)`: of integers in pixels, else in fractions of the photo from 0 to 1; or the place of an answer.
Region: TypeAlias = "tuple[float, float, float, float] | ffi.Place | ffi.Region"


def region_of(region: Region | None) -> ffi.Region | None:
    """The library's region of a tuple or a place."""
    if region is None or isinstance(region, ffi.Region):
        return region
    if isinstance(region, ffi.Place):
        return ffi.Region.RELATIVE(x=region.x, y=region.y, width=region.width, height=region.height)
    x, y, width, height = region
    if all(isinstance(value, int) for value in region):
        return ffi.Region.PIXELS(x=x, y=y, width=width, height=height)
    return ffi.Region.RELATIVE(x=x, y=y, width=width, height=height)


def frame_of(bundle: ffi.Bundle, pixels: numpy.ndarray, region: ffi.Region | None) -> ffi.Frame:
    """An array at the size that the model reads. What is contiguous is not copied on the way."""
    if pixels.dtype != numpy.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise TypeError(f"an array of H×W×3 uint8 expected, found {pixels.dtype} of shape {pixels.shape}")
    height, width, _ = pixels.shape
    layout = ffi.FrameLayout(width=width, height=height, region=region)
    data = numpy.ascontiguousarray(pixels).reshape(-1)
    return ffi.Frame.packed(bundle, data.tobytes(), ffi.PackedLayout(format=ffi.FrameFormat.RGB, layout=layout))


def is_path(photo: Photo) -> bool:
    """Whether a photo is to be read from a file."""
    return isinstance(photo, (str, os.PathLike))
