"""Class maps and folds in memory, for tests."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np

from geoseg.core.grid import Grid, Window
from geoseg.core.legend import UNLABELLED


@dataclass(frozen=True)
class MemoryMap:
    """Class indices of a grid."""

    grid: Grid
    classes: np.ndarray

    def reader(self):
        return nullcontext(self)

    def read(self, window: Window) -> np.ndarray:
        return cut(self.classes, window, self.grid, UNLABELLED)


@dataclass(frozen=True)
class MemoryFolds:
    """Folds of the windows of one grid."""

    grid: Grid
    folds: np.ndarray

    def folds_on(self, grid: Grid) -> np.ndarray:
        col, row = (round(v) for v in ~self.grid.transform @ (grid.transform.c, grid.transform.f))
        return cut(self.folds, Window(row=row, col=col, height=grid.height, width=grid.width), self.grid, 255)


def cut(values: np.ndarray, window: Window, grid: Grid, fill: int) -> np.ndarray:
    """A window that may reach beyond the grid."""
    out = np.full(window.shape, fill, dtype=np.uint8)
    part = window.intersect(grid.window)
    if part is not None:
        out[part.within(window).slices] = values[part.slices]
    return out
