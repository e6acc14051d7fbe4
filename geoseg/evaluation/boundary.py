"""Boundary scores: how well a map draws the borders between classes, at a tolerance in metres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoseg.evaluation.scores import Floats, ratio

_TRUE, _FOUND, _DRAWN, _RIGHT, _SHARED, _EITHER = range(6)
COLUMNS = ("true", "found", "drawn", "right", "shared", "either")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Boundaries:
    """Pixels at the borders of each class, int64, shape (class, 6), in the order of `COLUMNS`; `+` is associative.

    Border pixels in truth (`true`), and those of them with a border pixel of the map's class within the tolerance
    (`found`); border pixels in the map (`drawn`), and those with one of truth within the tolerance (`right`); pixels
    in the bands along the borders of both truth and map (`shared`), and of one of them at least (`either`).
    """

    counts: NDArray[np.int64]

    @classmethod
    def empty(cls, classes: int) -> Boundaries:
        """No pixels: the neutral element of `+`."""
        return cls(counts=np.zeros((classes, len(COLUMNS)), dtype=np.int64))

    def __add__(self, other: Boundaries) -> Boundaries:
        return Boundaries(counts=self.counts + other.counts)

    @property
    def f1(self) -> Floats:
        """See `boundary_f1`."""
        return boundary_f1(self.counts)

    @property
    def iou(self) -> Floats:
        """See `boundary_iou`."""
        return boundary_iou(self.counts)


def boundary_f1(counts: NDArray[np.int64]) -> Floats:
    """Harmonic mean of the shares of drawn borders that are right and of true ones that are found, shape (..., class).

    Csurka, Larlus and Perronnin 2013 (doi:10.5244/C.27.32). 0 where borders are on one side only, NaN without any.

    Args:
        counts: of boundaries, shape (..., class, 6).
    """
    true, drawn = counts[..., _TRUE], counts[..., _DRAWN]
    right = np.nan_to_num(ratio(counts[..., _RIGHT], drawn))
    found = np.nan_to_num(ratio(counts[..., _FOUND], true))
    both = right + found
    score = np.divide(2 * right * found, both, out=np.zeros_like(both), where=both > 0)
    return np.where(true + drawn > 0, score, np.nan)


def boundary_iou(counts: NDArray[np.int64]) -> Floats:
    """IoU of the bands along the borders, shape (..., class); NaN without any.

    Cheng et al. 2021 (doi:10.1109/CVPR46437.2021.01508).

    Args:
        counts: of boundaries, shape (..., class, 6).
    """
    return ratio(counts[..., _SHARED], counts[..., _EITHER])
