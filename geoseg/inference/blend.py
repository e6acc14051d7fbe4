"""Overlapping tiles to one seamless result, in the memory of one row of overlaps.

Tiles arrive in row-major order. Of each, the part that no later tile touches is finished and handed out at once; the
parts that fade into the right and the lower neighbours are carried over. Sums are made in one fixed order, so that
the result is bit-identical however the tiles were computed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geoseg.core.grid import Window
from geoseg.core.tiling import Cut, TilePlan


class Blender:
    """Weighted sum of tile probabilities; feed every tile of a plan in row-major order."""

    def __init__(self, plan: TilePlan, classes: int) -> None:
        self._plan = plan
        self._above = np.zeros((classes, plan.rows.blend, plan.cols.length), dtype=np.float32)
        self._below = np.zeros_like(self._above)
        self._left: NDArray[np.float32] | None = None

    @property
    def carried(self) -> NDArray[np.float32]:
        """After the last tile of a row: what it adds where it fades into the next row, shape (class, row, col)."""
        return self._above

    def add(self, i: int, j: int, probabilities: NDArray[np.float32]) -> tuple[Window, NDArray[np.float32]]:
        """Take the tile in row i and column j, probabilities (class, row, col) over its read window.

        They are changed in place.

        Returns:
            The window that is final now and its blended probabilities (class, row, col).
        """
        rows, cols = self._plan.rows, self._plan.cols
        top, bottom = rows.use(i)
        left, right = cols.use(j)
        done_row, done_col = rows.done(i), cols.done(j)
        part = probabilities[
            :, top - rows.starts[i] : bottom - rows.starts[i], left - cols.starts[j] : right - cols.starts[j]
        ]
        _fade(part, rows, i)
        _fade(part.swapaxes(1, 2), cols, j)
        self._below[:, : bottom - done_row, left:right] += part[:, done_row - top :]
        final = part[:, : done_row - top, : done_col - left]
        if j > 0 and self._left is not None:
            final[:, :, : self._left.shape[2]] += self._left
        if i > 0:
            final[:, : rows.blend] += self._above[:, :, left:done_col]
        self._left = part[:, : done_row - top, done_col - left :]
        if j + 1 == len(cols):
            self._above, self._below = self._below, self._above
            self._below[:] = 0
        return Window(row=top, col=left, height=done_row - top, width=done_col - left), final


def _fade(part: NDArray[np.float32], cut: Cut, i: int) -> None:
    """Weigh the rows that tile i of a cut shares with its neighbours; the others count in full."""
    weights = cut.weights(i)
    if cut.blend and i > 0:
        part[:, : cut.blend] *= weights[: cut.blend, None]
    if cut.blend and i + 1 < len(cut):
        part[:, -cut.blend :] *= weights[-cut.blend :, None]
