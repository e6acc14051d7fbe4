"""Calibration: whether a map's probabilities come true."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoseg.evaluation.scores import Floats, ratio

BINS = 15
"""Of equal width over 0 to 1, as Guo et al. 2017 take them (https://proceedings.mlr.press/v70/guo17a.html)."""
STEPS = 2**20
"""A probability is summed as a whole number of these steps: whole sums are the same in any order."""

_PIXELS, _RIGHT, _STEPS = range(3)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reliability:
    """Pixels, right pixels and the sum of their probabilities (in `STEPS`) in each bin, int64, shape (bin, 3).

    The probability of a pixel is the one that was given to the class it is mapped as. `a + b` is associative.
    """

    counts: NDArray[np.int64]

    @classmethod
    def count(cls, probability: NDArray[np.floating], right: NDArray[np.bool_], *, bins: int = BINS) -> Reliability:
        """Count pixels.

        Args:
            probability: of the mapped class, 0 to 1, shape (pixel,); NaN = unknown, not counted.
            right: whether that class is the true one, shape (pixel,).
            bins: how many; a probability on a border belongs to the upper one.
        """
        counts = count_reliability(np.zeros(len(probability), dtype=np.int64), 1, probability, right, bins=bins)
        return cls(counts=counts[0])

    @classmethod
    def empty(cls, *, bins: int = BINS) -> Reliability:
        """No pixels: the neutral element of `+`."""
        return cls(counts=np.zeros((bins, 3), dtype=np.int64))

    def __add__(self, other: Reliability) -> Reliability:
        return Reliability(counts=self.counts + other.counts)

    @property
    def pixels(self) -> NDArray[np.int64]:
        """In each bin, shape (bin,)."""
        return self.counts[:, _PIXELS]

    @property
    def confidence(self) -> Floats:
        """Mean probability in each bin, NaN where it is empty, shape (bin,)."""
        return ratio(self.counts[:, _STEPS] / STEPS, self.pixels)

    @property
    def accuracy(self) -> Floats:
        """Share of right pixels in each bin, NaN where it is empty, shape (bin,)."""
        return ratio(self.counts[:, _RIGHT], self.pixels)

    @property
    def ece(self) -> float:
        """See `calibration_error`."""
        return float(calibration_error(self.counts))

    @property
    def overconfidence(self) -> float:
        """See the function `overconfidence`."""
        return float(overconfidence(self.counts))


def calibration_error(counts: NDArray[np.int64]) -> Floats:
    """Expected calibration error: the mean over pixels of |accuracy - confidence| of their bin, shape (...).

    Naeini, Cooper and Hauskrecht 2015 (doi:10.1609/aaai.v29i1.9602).

    Args:
        counts: of reliabilities, shape (..., bin, 3).
    """
    gaps = np.abs(counts[..., _RIGHT] - counts[..., _STEPS] / STEPS)
    return ratio(gaps.sum(axis=-1), counts[..., _PIXELS].sum(axis=-1))


def overconfidence(counts: NDArray[np.int64]) -> Floats:
    """Mean probability less accuracy, shape (...): above 0 the map promises more than it keeps.

    Args:
        counts: of reliabilities, shape (..., bin, 3).
    """
    surplus = counts[..., _STEPS] / STEPS - counts[..., _RIGHT]
    return ratio(surplus.sum(axis=-1), counts[..., _PIXELS].sum(axis=-1))


def count_reliability(
    groups: NDArray[np.int64],
    count: int,
    probability: NDArray[np.floating],
    right: NDArray[np.bool_],
    *,
    bins: int = BINS,
) -> NDArray[np.int64]:
    """The counts of `Reliability` for each group, shape (group, bin, 3).

    Args:
        groups: of each pixel, 0 to `count` - 1, shape (pixel,).
        count: of groups.
        probability: see `Reliability.count`; so `right` and `bins`.
        right: whether the mapped class is the true one.
        bins: how many.
    """
    known = np.isfinite(probability)
    clipped = np.clip(probability[known].astype(np.float64), 0, 1)
    where = groups[known] * bins + np.minimum((clipped * bins).astype(np.int64), bins - 1)
    counts = np.zeros((count * bins, 3), dtype=np.int64)
    counts[:, _PIXELS] = np.bincount(where, minlength=len(counts))
    counts[:, _RIGHT] = np.bincount(where[right[known]], minlength=len(counts))
    counts[:, _STEPS] = np.bincount(where, weights=np.rint(clipped * STEPS), minlength=len(counts))  # exact to 2**53
    return counts.reshape(count, bins, 3)
