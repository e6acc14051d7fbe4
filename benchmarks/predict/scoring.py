"""What a map is worth: agreement with a reference, mIoU against the truth, and whether its tiles show."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window
from setting import Ground

from geoseg.core.legend import UNLABELLED
from geoseg.evaluation.confusion import Confusion
from geoseg.io.synth import SYNTH_LEGEND

STRIP = 256  # rows at a time: this process must stay smaller than those whose memory it watches
Codes = NDArray[np.uint8]
Lines = tuple[list[int], list[int]]
"""Rows and columns: line n lies between the pixels n - 1 and n."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Share of the ground's pixels that are as in the reference, mIoU, and the seam figure of the map and the truth.

    The seam figure is the rate of class changes across the lines at which tiles meet, over the rate elsewhere; None
    where there are no such lines. The truth has no seams: how far its figure is from 1 is chance.
    """

    agreement: float
    miou: float
    seam: float | None
    seam_of_truth: float | None


def score(mapped: Path, reference: Path, ground: Ground, lines: Lines) -> Score:
    """Compare a map of class codes with a reference and with the truth, where there is ground."""
    alike, confusion = 0, Confusion.empty(SYNTH_LEGEND)
    changes = {name: Changes.none(ground.size) for name in ("map", "truth")}
    for row, truth, found, wanted in _strips(ground.truth, mapped, reference):
        fresh = slice(1 if row else 0, None)  # the row before was counted with the strip before
        known = truth[fresh] != UNLABELLED
        alike += int((found[fresh] == wanted[fresh])[known].sum())
        indices = SYNTH_LEGEND.to_indices(truth[fresh]), SYNTH_LEGEND.to_indices(found[fresh])
        confusion += Confusion.count(*indices, SYNTH_LEGEND)
        changes["map"].count(row, np.where(truth == UNLABELLED, UNLABELLED, found))
        changes["truth"].count(row, truth)
    return Score(
        agreement=alike / ground.valid,
        miou=confusion.mean_iou,
        seam=changes["map"].seam(lines),
        seam_of_truth=changes["truth"].seam(lines),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Changes:
    """Of each line, across rows and across columns: pairs of neighbours, and those of two classes; shape (2, line)."""

    rows: NDArray[np.int64]
    cols: NDArray[np.int64]

    @classmethod
    def none(cls, size: int) -> Self:
        """No pairs yet, of a square map."""
        return cls(rows=np.zeros((2, size), dtype=np.int64), cols=np.zeros((2, size), dtype=np.int64))

    def count(self, row: int, codes: Codes) -> None:
        """Add a strip that starts at `row`; but for the first it begins with the last row of the strip before."""
        before = 1 if row else 0
        self.rows[:, row + 1 - before : row - before + len(codes)] += _pairs(codes[:-1], codes[1:], axis=1)
        self.cols[:, 1:] += _pairs(codes[before:, :-1], codes[before:, 1:], axis=0)

    def seam(self, lines: Lines) -> float | None:
        """Rate of changes across these lines over the rate across all others; None without either."""
        at, elsewhere = np.zeros(2, dtype=np.int64), np.zeros(2, dtype=np.int64)
        for counts, where in zip((self.rows, self.cols), lines, strict=True):
            chosen = np.zeros(counts.shape[1], dtype=bool)
            chosen[where] = True
            at += counts[:, chosen].sum(axis=1)
            elsewhere += counts[:, ~chosen].sum(axis=1)
        return float(at[1] / at[0] / (elsewhere[1] / elsewhere[0])) if at[0] and elsewhere.all() else None


def _pairs(one: Codes, other: Codes, axis: int) -> NDArray[np.int64]:
    """Pairs with ground on both sides, and those that differ, summed along an axis."""
    known = (one != UNLABELLED) & (other != UNLABELLED)
    return np.stack([known.sum(axis=axis), (known & (one != other)).sum(axis=axis)])


def _strips(*paths: Path) -> Iterator[tuple[int, Codes, Codes, Codes]]:
    """First row and the codes of three rasters; but for the first strip, one row before it comes along."""
    with rasterio.open(paths[0]) as a, rasterio.open(paths[1]) as b, rasterio.open(paths[2]) as c:
        for row in range(0, a.height, STRIP):
            first = max(row - 1, 0)
            window = Window(0, first, a.width, min(row + STRIP, a.height) - first)
            yield row, a.read(1, window=window), b.read(1, window=window), c.read(1, window=window)
