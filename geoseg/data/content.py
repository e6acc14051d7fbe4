"""Class content: how many labelled pixels of each class and fold lie in every cell of a scene."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geoseg.core.grid import Window
from geoseg.core.legend import UNLABELLED
from geoseg.data.ground import ClassMap
from geoseg.data.splits.split import FOLDS, NO_FOLD, FoldMap
from geoseg.io.output import replacing

CELL = 64
"""Side of a cell in pixels."""

_STRIP_CELLS = 128  # of a row of cells, read together


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClassContent:
    """The cells of a scene that hold labelled pixels of any fold.

    `corners` are the first (row, col) of each, int32, shape (cell, 2); `pixels` the counts, int32, shape
    (cell, fold, class).
    """

    corners: NDArray[np.int32]
    pixels: NDArray[np.int32]

    def has(self, fold: int, window: Window) -> bool:
        """False where certainly no labelled pixel of a fold is in a window."""
        rows, cols = self.corners[:, 0], self.corners[:, 1]
        there = (rows < window.row_end) & (rows + CELL > window.row)
        there &= (cols < window.col_end) & (cols + CELL > window.col)
        return bool(self.pixels[there, fold].any())


def count_content(labels: ClassMap, folds: FoldMap, classes: int) -> ClassContent:
    """Count the labelled pixels of every cell, a strip at a time.

    Args:
        labels: class indices.
        folds: the fold of every place.
        classes: how many there are.
    """
    corners, pixels = [], []
    with labels.reader() as reader:
        for window in labels.grid.windows(CELL, CELL * _STRIP_CELLS):
            found = reader.read(window)
            if (found == UNLABELLED).all():
                continue
            counts = _count(found, folds.folds_on(labels.grid[window]), classes)
            (there,) = np.nonzero(counts.any(axis=(1, 2)))
            corners.append(np.column_stack([np.full(len(there), window.row), window.col + there * CELL]))
            pixels.append(counts[there])
    return ClassContent(
        corners=np.concatenate([np.empty((0, 2), dtype=np.int32), *corners]).astype(np.int32),
        pixels=np.concatenate([np.empty((0, len(FOLDS), classes), dtype=np.int32), *pixels]).astype(np.int32),
    )


def cached_content(labels: ClassMap, folds: FoldMap, classes: int, path: Path) -> ClassContent:
    """`count_content`, read from a file if it is there, else written to it.

    Args:
        labels: class indices.
        folds: the fold of every place.
        classes: how many there are.
        path: a .npz whose name changes with labels, split and legend.
    """
    if path.is_file():
        with np.load(path, allow_pickle=False) as stored:
            return ClassContent(corners=stored["corners"], pixels=stored["pixels"])
    content = count_content(labels, folds, classes)
    with replacing(path) as unfinished, unfinished.open("wb") as stream:
        np.savez_compressed(stream, corners=content.corners, pixels=content.pixels)
    return content


def _count(labels: NDArray[np.uint8], folds: NDArray[np.uint8], classes: int) -> NDArray[np.int64]:
    """Counts of one row of cells, shape (cell, fold, class)."""
    cells = -(-labels.shape[1] // CELL)
    known = (labels != UNLABELLED) & (folds != NO_FOLD)
    col = np.broadcast_to(np.arange(labels.shape[1]) // CELL, labels.shape)[known]
    keys = (col * len(FOLDS) + folds[known]) * classes + labels[known]
    return np.bincount(keys, minlength=cells * len(FOLDS) * classes).reshape(cells, len(FOLDS), classes)
