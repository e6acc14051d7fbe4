"""Scores from confusion counts: array functions, so that thousands of resampled confusions are scored at once.

`counts` are pixels, shape (..., class, class): rows are truth, columns the map. What is undefined is NaN: a class that
occurs in neither has no score, and takes no part in means.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


def ratio(part: NDArray[np.number], whole: NDArray[np.number]) -> Floats:
    """The quotient, NaN where `whole` is 0."""
    quotient: Floats = np.full(np.broadcast_shapes(part.shape, whole.shape), np.nan)
    np.divide(part, whole, out=quotient, where=whole != 0)
    return quotient


def mean(values: Floats) -> Floats:
    """Mean over the last axis of what is defined, NaN where nothing is."""
    defined = np.isfinite(values)
    return ratio(np.where(defined, values, 0.0).sum(axis=-1), defined.sum(axis=-1))


def hits(counts: Counts) -> Counts:
    """Pixels of each class that are right, shape (..., class)."""
    return np.diagonal(counts, axis1=-2, axis2=-1)


def support(counts: Counts) -> Counts:
    """Pixels of each class in truth, shape (..., class)."""
    found: Counts = counts.sum(axis=-1)
    return found


def mapped(counts: Counts) -> Counts:
    """Pixels of each class in the map, shape (..., class)."""
    found: Counts = counts.sum(axis=-2)
    return found


def precision(counts: Counts) -> Floats:
    """Share of the pixels mapped as a class that are of it (user's accuracy), shape (..., class)."""
    return ratio(hits(counts), mapped(counts))


def recall(counts: Counts) -> Floats:
    """Share of the pixels of a class that are mapped as it (producer's accuracy), shape (..., class)."""
    return ratio(hits(counts), support(counts))


def iou(counts: Counts) -> Floats:
    """Intersection over union of each class (Jaccard), shape (..., class)."""
    return ratio(hits(counts), support(counts) + mapped(counts) - hits(counts))


def f1(counts: Counts) -> Floats:
    """Harmonic mean of precision and recall of each class, which is its Dice coefficient, shape (..., class)."""
    return ratio(2 * hits(counts), support(counts) + mapped(counts))


def accuracy(counts: Counts) -> Floats:
    """Share of all pixels whose class is right, shape (...)."""
    return ratio(hits(counts).sum(axis=-1), counts.sum(axis=(-2, -1)))


def frequency_weighted_iou(counts: Counts) -> Floats:
    """Mean IoU of the classes in truth, each weighted by its pixels there, shape (...).

    Long, Shelhamer and Darrell 2015, section 5 (doi:10.1109/CVPR.2015.7298965).
    """
    found = support(counts)
    weighted = np.where(found > 0, np.nan_to_num(iou(counts)) * found, 0.0)
    return ratio(weighted.sum(axis=-1), found.sum(axis=-1))


def kappa(counts: Counts) -> Floats:
    """Cohen's kappa: agreement beyond what the two marginals would give by chance, shape (...); NaN without chance.

    Cohen 1960 (doi:10.1177/001316446002000104).
    """
    total = counts.sum(axis=(-2, -1)).astype(np.float64)
    by_chance = (support(counts).astype(np.float64) * mapped(counts)).sum(axis=-1)
    right = hits(counts).sum(axis=-1)
    return ratio(right * total - by_chance, total**2 - by_chance)
