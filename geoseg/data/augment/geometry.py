"""Flips and quarter turns: ground has no preferred direction when seen from above."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def flip_and_turn(
    channels: NDArray[Any], labels: NDArray[Any], rng: np.random.Generator
) -> tuple[NDArray[Any], NDArray[Any]]:
    """One of the eight symmetries of the square, drawn uniformly, for channels (channel, row, col) and labels alike."""
    turns, mirrored = int(rng.integers(4)), bool(rng.integers(2))
    channels, labels = np.rot90(channels, turns, axes=(1, 2)), np.rot90(labels, turns)
    if mirrored:
        channels, labels = channels[:, :, ::-1], labels[:, ::-1]
    return channels, labels
