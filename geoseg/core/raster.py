"""Pixels in memory: data, validity and grid that belong together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoseg.core.bands import BandSet
from geoseg.core.grid import Grid


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Raster:
    """A part of a scene in memory; the axes are (band, row, col) and never re-ordered.

    `data` holds raw numbers (DN) as the file stores them, shape (band, row, col). `valid` is True where every band
    is valid, shape (row, col).
    """

    data: NDArray[Any]
    valid: NDArray[np.bool_]
    grid: Grid
    bands: BandSet

    def __post_init__(self) -> None:
        if self.data.shape != (len(self.bands), *self.grid.shape) or self.valid.shape != self.grid.shape:
            msg = (
                f"data {self.data.shape} and valid {self.valid.shape} do not fit "
                f"{len(self.bands)} bands on a grid of {self.grid.shape}"
            )
            raise ValueError(msg)
