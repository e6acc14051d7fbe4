"""The careless split: cells of a few pixels dealt at random, to see how much a score gains by leaking."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS, Transformer

from geoseg.core.grid import Grid

CELL_PIXELS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomSplit:
    """Square cells of the ground, each in a fold by chance: a cell's fold is a hash of its place and the seed.

    Cells count from `origin` (x, y) in steps of `cell` (x, y), both in units of `crs`.
    """

    crs: CRS
    origin: tuple[float, float]
    cell: tuple[float, float]
    shares: tuple[float, float, float]
    seed: int

    def folds_on(self, grid: Grid) -> NDArray[np.uint8]:
        """Fold of every pixel, shape (row, col), an index of `FOLDS`; every place has one.

        Grids in another CRS than the split's take a microsecond a pixel, as each pixel is projected.
        """
        rows, cols = np.ogrid[: grid.height, : grid.width]
        a, b, c, d, e, f = tuple(grid.transform)[:6]
        x, y = a * (cols + 0.5) + b * (rows + 0.5) + c, d * (cols + 0.5) + e * (rows + 0.5) + f
        if grid.crs != self.crs:
            x, y = Transformer.from_crs(grid.crs, self.crs, always_xy=True).transform(x + 0 * y, y + 0 * x)
        east, north = (
            np.floor((places - start) / step).astype(np.int64).astype(np.uint64)
            for places, start, step in zip((x, y), self.origin, self.cell, strict=True)
        )
        seeded = _mix(np.array([self.seed], dtype=np.int64).astype(np.uint64))
        chance = _mix(_mix(seeded ^ east) ^ north) / 2.0**64
        # no chance is above the last border, whatever the rounding of their sum
        folds = np.searchsorted(np.cumsum(self.shares)[:-1], chance, side="right").astype(np.uint8)
        return np.broadcast_to(folds, grid.shape).copy()


def random_split(
    grids: Sequence[Grid],
    *,
    shares: tuple[float, float, float] = (0.6, 0.2, 0.2),
    cell_pixels: int = CELL_PIXELS,
    seed: int = 0,
) -> RandomSplit:
    """A split by chance with cells of so many pixels of one of the grids, without a buffer; for comparison only.

    The order of the grids makes no difference.
    """
    grid = min(grids, key=lambda g: (g.crs.srs, g.bounds))
    a, b, c, d, e, f = tuple(grid.transform)[:6]
    cell = cell_pixels * float(np.hypot(a, d)), cell_pixels * float(np.hypot(b, e))
    return RandomSplit(crs=grid.crs, origin=(c, f), cell=cell, shares=shares, seed=seed)


def _mix(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scatter numbers over 64 bits (splitmix64: Steele, Lea and Flood 2014, doi:10.1145/2660193.2660195)."""
    z = numbers + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
