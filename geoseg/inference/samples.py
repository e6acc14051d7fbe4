"""Small tiles that stand for a whole scene."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoseg.core.grid import Grid, Window
from geoseg.core.tiling import round_up
from geoseg.inference.contract import Fit
from geoseg.models.spec import ModelSpec

SIDE = 256
_ROWS = 6  # rows and columns of places to look at, where there is room for them
_STEP = 13  # from place to place; no number of places is a multiple of it, so that each comes once
_VALID_SHARE = 0.5  # less is a piece of border


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """A tile as the model takes it: channels (channel, row, col), float32, and where it is valid (row, col)."""

    channels: NDArray[np.float32]
    valid: NDArray[np.bool_]


def read_samples(fit: Fit, spec: ModelSpec, count: int) -> Iterator[Sample]:
    """At most `count` tiles that are mostly valid, spread over the scene; the same ones every time.

    They are squares of `SIDE` pixels, or a little more, as the model's stride wants it, and do not overlap.

    Raises:
        InputError: if a part of the scene cannot be read.
    """
    found = 0
    with fit.scene.reader() as reader:
        for window in _places(fit.scene.grid, round_up(SIDE, spec.stride)):
            raster = reader.read(window)
            if raster.valid.mean() < _VALID_SHARE:
                continue
            yield Sample(channels=fit.stack.normalise(raster.data, raster.valid, spec.indices), valid=raster.valid)
            found += 1
            if found == count:
                return


def _places(grid: Grid, side: int) -> list[Window]:
    """Evenly spread squares side by side, in an order in which any few that follow each other lie far apart."""
    rows, cols = (_starts(length, side) for length in grid.shape)
    places = [Window(row=row, col=col, height=side, width=side) for row in rows for col in cols]
    return [places[i * _STEP % len(places)] for i in range(len(places))]


def _starts(length: int, side: int) -> list[int]:
    count = min(max(length // side, 1), _ROWS)
    starts: list[int] = np.linspace(0, max(length - side, 0), count, dtype=int).tolist()
    return starts
