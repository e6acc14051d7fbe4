"""Cutting a map along the lines of a square grid, for those who want polygons by tile."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from geoseg.core.grid import Grid
from geoseg.errors import InputError
from geoseg.vectorize.trace import LabelStrip, nodata_of


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitOptions:
    """The side of the tiles, in pixels, or in metres on the ground, rounded to whole pixels.

    Raises:
        InputError: for a side that is no positive length, or no whole number of pixels.
    """

    side: float
    unit: Literal["px", "m"] = "px"

    def __post_init__(self) -> None:
        whole = self.unit == "m" or float(self.side).is_integer()
        if not (math.isfinite(self.side) and self.side > 0 and whole):
            raise InputError(f"the side of tiles is {self.side} {self.unit}; needed are pixels or a positive length")

    def shape_on(self, grid: Grid) -> tuple[int, int]:
        """Rows and columns of a tile, from the upper left corner of the grid on."""
        if self.unit == "px":
            return int(self.side), int(self.side)
        down, along = grid.gsd_m
        return max(1, round(self.side / down)), max(1, round(self.side / along))


def split_labels(strips: Iterable[LabelStrip], shape: tuple[int, int], labels: int) -> Iterator[LabelStrip]:
    """Give every other tile labels of its own, as on a chess board: areas then end where tiles do.

    Args:
        strips: labels of a whole raster, from top to bottom.
        shape: rows and columns of a tile.
        labels: how many labels there are; label i also becomes `labels + i`.

    Raises:
        InputError: for more labels than can be doubled.
    """
    if 2 * labels > np.iinfo(np.uint16).max:
        raise InputError(f"{labels} classes are too many to be cut into tiles; needed are {2**15 - 1} or fewer")
    dtype = np.uint8 if 2 * labels <= np.iinfo(np.uint8).max else np.uint16
    first = 0
    for strip in strips:
        height, width = strip.codes.shape
        rows, cols = np.arange(first, first + height) // shape[0], np.arange(width) // shape[1]
        first += height
        odd = (rows[:, None] + cols) % 2 == 1
        codes = strip.codes.astype(dtype) + odd * dtype(labels)
        codes[strip.codes == nodata_of(strip.codes.dtype)] = np.iinfo(dtype).max
        yield replace(strip, codes=codes)
