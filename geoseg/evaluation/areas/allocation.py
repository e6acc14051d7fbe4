"""How many points to draw, and how many of them in which stratum."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from geoseg.errors import InputError
from geoseg.evaluation.scores import Floats


def sample_size(shares: Floats, accuracy: Floats, standard_error: float) -> int:
    """Points needed for a standard error of the overall accuracy: Olofsson et al. 2014, equation 13.

    From Cochran 1977 (Sampling Techniques, equation 5.25), for points that are dealt optimally; the population is taken
    as infinite.

    Args:
        shares: of the strata in the area, shape (stratum,).
        accuracy: user's accuracy that is expected in each stratum, shape (stratum,).
        standard_error: wanted, such as 0.01.
    """
    spread = float(np.sum(shares * deviations(accuracy)))
    return max(1, math.ceil((spread / standard_error) ** 2 - 1e-9))


def deviations(accuracy: Floats) -> Floats:
    """Standard deviation of right and wrong in strata of this accuracy, shape (stratum,)."""
    found: Floats = np.sqrt(accuracy * (1 - accuracy))
    return found


def allocate(count: int, weights: Floats, minimum: int, pixels: NDArray[np.int64], names: Sequence[str]) -> list[int]:
    """Points for each stratum: the minimum where its weight would give less, else by weight; they sum to `count`.

    Strata without pixels get none, and none gets more points than it has pixels.

    Args:
        count: points to deal.
        weights: areas for a proportional allocation; areas times standard deviations for the optimal one (Neyman).
        minimum: that every stratum with pixels gets.
        pixels: of each stratum.
        names: of the strata, for an error.

    Raises:
        InputError: points are too few for the minimum everywhere, or more than there are pixels.
    """
    lowest = np.minimum(minimum, pixels)
    there = [name for name, number in zip(names, pixels, strict=True) if number]
    if count < lowest.sum():
        raise InputError(
            f"{count} points are too few for {minimum} in each of the {len(there)} strata ({', '.join(there)}); "
            f"draw at least {lowest.sum()}, or lower the minimum"
        )
    if count > pixels.sum():
        raise InputError(f"found {pixels.sum()} pixels with a class, fewer than the {count} points to draw; draw fewer")
    return _rounded(_bounded(count, np.where(pixels > 0, weights, 0.0), lowest, pixels), count, pixels)


def _bounded(count: int, weights: Floats, lowest: NDArray[np.int64], highest: NDArray[np.int64]) -> Floats:
    """Shares of `count` by weight within bounds: weights times the factor at which they sum to it, by bisection."""
    safe = np.maximum(weights, weights.sum() * 1e-12 + 1e-300)
    low, high = 0.0, float((highest / safe).max()) + 1.0
    for _ in range(200):
        factor = (low + high) / 2
        if np.clip(factor * safe, lowest, highest).sum() < count:
            low = factor
        else:
            high = factor
    found: Floats = np.clip(high * safe, lowest, highest)
    return found


def _rounded(shares: Floats, count: int, highest: NDArray[np.int64]) -> list[int]:
    """Whole numbers that sum to `count`: those with the largest remainders are rounded up."""
    numbers = np.floor(shares + 1e-9).astype(np.int64)
    order = np.argsort(-(shares - numbers), kind="stable")
    order = order[numbers[order] < highest[order]]
    numbers[order[: count - int(numbers.sum())]] += 1
    found: list[int] = numbers.tolist()
    return found
