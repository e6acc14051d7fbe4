"""Small tiles that stand for a whole scene."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoseg.core.grid import Grid, Window
from geoseg.inference.contract import Fit
from geoseg.models.spec import ModelSpec

SIDE = 256
_ROWS = 6  # rows and columns of places to look at
_STEP = 13  # from place to place; without a common divisor with their number, so that each comes once
_VALID_SHARE = 0.5  # less is a piece of border


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """A tile as the model takes it: channels (channel, row, col), float32, and where it is valid (row, col)."""

    channels: NDArray[np.float32]
    valid: NDArray[np.bool_]


def read_samples(fit: Fit, spec: ModelSpec, count: int) -> Iterator[Sample]:
    """At most `count` tiles that are mostly valid, spread over the scene; the same ones every time.

    They are squares of `SIDE` pixels, or a little more, as the model's stride wants it.

    Raises:
        InputError: if a part of the scene cannot be read.
    """
    found = 0
    with fit.scene.reader() as reader:
        for window in _places(fit.scene.grid, -(-SIDE // spec.stride) * spec.stride):
            raster = reader.read(window)
            if raster.valid.mean() < _VALID_SHARE:
                continue
            yield Sample(channels=fit.bands.normalise(raster.data, raster.valid, spec.indices), valid=raster.valid)
            found += 1
            if found == count:
                return


def _places(grid: Grid, side: int) -> list[Window]:
    """Evenly spread squares, in an order in which any few that follow each other lie far apart."""
    rows, cols = (np.linspace(0, max(length - side, 0), _ROWS, dtype=int).tolist() for length in grid.shape)
    places = [Window(row=row, col=col, height=side, width=side) for row in rows for col in cols]
    return list(dict.fromkeys(places[i * _STEP % len(places)] for i in range(len(places))))
