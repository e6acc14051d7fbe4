"""Counts of truth against map, and the scores that follow from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoseg.core.legend import UNLABELLED, Legend


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Confusion:
    """Pixel counts, shape (class, class), int64: rows are truth, columns the map, in the legend's order.

    `a + b` adds counts and is associative, so that any worker may count any part in any order.
    """

    counts: NDArray[np.int64]
    legend: Legend

    @classmethod
    def count(cls, truth: NDArray[np.uint8], predicted: NDArray[np.uint8], legend: Legend) -> Confusion:
        """Count class indices of equal shape; pixels that are 255 in either are left out."""
        k = len(legend)
        known = (truth != UNLABELLED) & (predicted != UNLABELLED)
        pairs = truth[known].astype(np.int64) * k + predicted[known]
        return cls(counts=np.bincount(pairs, minlength=k * k).reshape(k, k), legend=legend)

    @classmethod
    def empty(cls, legend: Legend) -> Confusion:
        """No pixels: the neutral element of `+`."""
        return cls(counts=np.zeros((len(legend), len(legend)), dtype=np.int64), legend=legend)

    def __add__(self, other: Confusion) -> Confusion:
        if self.legend != other.legend:
            msg = "confusions of two legends cannot be added"
            raise ValueError(msg)
        return Confusion(counts=self.counts + other.counts, legend=self.legend)

    @property
    def iou(self) -> NDArray[np.float64]:
        """Intersection over union of each class, shape (class,); NaN for a class in neither truth nor map."""
        hits = np.diag(self.counts).astype(np.float64)
        union = self.counts.sum(axis=0) + self.counts.sum(axis=1) - hits
        iou: NDArray[np.float64] = np.divide(hits, union, out=np.full_like(hits, np.nan), where=union > 0)
        return iou

    @property
    def mean_iou(self) -> float:
        """Mean IoU of the classes that occur in truth or map; NaN without any."""
        iou = self.iou
        return float(np.nanmean(iou)) if np.isfinite(iou).any() else float("nan")

    @property
    def accuracy(self) -> float:
        """Share of pixels whose class is right; NaN without any."""
        total = int(self.counts.sum())
        return float(np.trace(self.counts) / total) if total else float("nan")
