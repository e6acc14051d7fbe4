"""What a training draws: how often it shows each class, and what follows from that for the classes' weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

ClassWeights: TypeAlias = Literal["none", "inverse_frequency", "effective_number"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """`shares` of the classes among the labelled pixels of the drawn chips, `pixels` in all, in one epoch."""

    shares: tuple[float, ...]
    pixels: float = 1.0


def inverse_frequency(drawn: Drawn, power: float) -> NDArray[np.float64]:
    """(share of a class)^-power, scaled to a mean of one over the drawn pixels; 0 for what is never drawn."""
    shares = np.asarray(drawn.shares)
    return _scaled(np.where(shares > 0, np.maximum(shares, 1e-6) ** -power, 0), shares)


def effective_number(drawn: Drawn, beta: float) -> NDArray[np.float64]:
    """(1 - beta) / (1 - beta^n) for n drawn pixels of a class, scaled likewise: Cui et al. 2019, arXiv:1901.05555.

    Pixels resemble each other, so that the n-th of a class brings less than the first: at most 1 / (1 - beta) count.
    """
    shares = np.asarray(drawn.shares)
    counted = -np.expm1(shares * drawn.pixels * np.log(beta))
    return _scaled(np.where(shares > 0, (1 - beta) / np.maximum(counted, 1e-12), 0), shares)


def _scaled(weights: NDArray[np.float64], shares: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(weights / max((weights * shares).sum(), 1e-12))
