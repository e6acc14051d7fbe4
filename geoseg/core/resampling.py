"""Arrays of another resolution: a triangle filter along rows and columns, in numpy alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Taps:
    """Which old samples along an axis make each new one, and their weights, both of shape (new sample, tap).

    Weights are not negative, and those of a new sample add up to one: probabilities stay probabilities.
    """

    positions: NDArray[np.intp]
    weights: NDArray[np.float32]

    @classmethod
    def triangle(cls, length: int, new_length: int, scale: float) -> Self:
        """Linear interpolation where samples become more, a weighted mean where they become fewer.

        New sample i is centred at (i + 0.5) / scale on an axis where old sample j covers [j, j + 1]. The filter is a
        triangle whose half base is the longer of the two distances between samples; at the ends of the axis its weights
        are shared out among the samples that are there. This is what Pillow calls BILINEAR, and torch interpolation
        with antialias.
        """
        centres = (np.arange(new_length) + 0.5) / scale
        half = max(1.0, 1 / scale)
        first = np.floor(centres - half + 0.5).astype(np.intp)
        positions = first[:, None] + np.arange(math.ceil(2 * half))
        weights = np.maximum(0, 1 - np.abs(positions + 0.5 - centres[:, None]) / half)
        weights[(positions < 0) | (positions >= length)] = 0
        weights /= weights.sum(axis=1, keepdims=True)
        return cls(positions=positions.clip(0, length - 1), weights=weights.astype(np.float32))

    def along(self, values: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
        """New samples along an axis of an array."""
        total: NDArray[np.float32] | None = None
        for positions, weights in zip(self.positions.T, self.weights.T, strict=True):
            part = values.take(positions, axis=axis)
            part *= np.expand_dims(weights, tuple(range(1, -axis)))
            total = part if total is None else np.add(total, part, out=total)
        assert total is not None  # noqa: S101  (there are two taps at least)
        return total


def resize(values: NDArray[np.float32], shape: tuple[int, int], scale: float) -> NDArray[np.float32]:
    """Rows and columns `scale` times as fine, starting at the same corner; see `Taps.triangle`.

    Args:
        values: shape (..., row, col).
        shape: how many rows and columns are wanted.
        scale: new pixels on the length of an old one.
    """
    for axis, new_length in zip((-2, -1), shape, strict=True):
        values = Taps.triangle(values.shape[axis], new_length, scale).along(values, axis)
    return values
