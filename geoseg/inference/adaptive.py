"""Adaptive inference: a look at the scene in coarser pixels settles the tiles in which nothing is in question."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoseg.core.grid import Grid, Window
from geoseg.inference.contract import Fit
from geoseg.inference.maps import WORKING_STEPS, MapFiles
from geoseg.inference.precision import classes
from geoseg.inference.samples import Sample
from geoseg.io.plane import open_plane
from geoseg.models.runtime.protocol import Runtime
from geoseg.models.spec import ModelSpec

CERTAIN = 0.7  # the probability that the one class of a settled tile has everywhere
TRIED = 8  # settled tiles that are inferred in full as well
AGREEING = 0.995  # share of their pixels that must keep their class
_FACTOR = 3  # sides of the coarser pixels in pixels; in still larger ones the detail that a model knows is gone


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapted:
    """What the coarse look was good for.

    `settled` of the `tiles` that are wanted were not inferred in full; none where `tried` ones of them, inferred in
    full as well, kept the class in too few of their pixels. `agreement` is that share, None where none was tried.
    """

    tiles: int
    settled: int
    tried: int
    agreement: float | None

    def __str__(self) -> str:
        if self.agreement is None:
            return f"all {self.tiles} tiles inferred in full: a coarse look settled none"
        agreed = f"of {self.tried} that it settled, {self.agreement:.2%} of the pixels keep their class in full"
        if not self.settled:
            return f"all {self.tiles} tiles inferred in full: a coarse look is not to be trusted here, {agreed}"
        return (
            f"{self.tiles - self.settled} of {self.tiles} tiles inferred in full, a coarse look for the rest; {agreed}"
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CoarseMap:
    """Class probabilities of a scene in coarser pixels, uint16 of shape (class, row, col), see `MapFiles`.

    The tiles that are `settled` take theirs from it.
    """

    steps: NDArray[np.uint16]
    settled: frozenset[Window] = frozenset()

    def settles(self, window: Window) -> bool:
        """Whether all that is valid in a window has one class, and surely so."""
        part = self.steps[:, *_around(window)]
        known = part[:, part[0] <= WORKING_STEPS]
        if not known.size:
            return False
        best = known.argmax(axis=0)
        return bool((best == best[0]).all() and known[best[0]].min() >= CERTAIN * WORKING_STEPS)

    def known(self, window: Window) -> NDArray[np.float32] | None:
        """Class probabilities (class, row, col) of a tile that is settled; None for others."""
        return self.probabilities(window) if window in self.settled else None

    def probabilities(self, window: Window) -> NDArray[np.float32]:
        """Those of the coarse pixels in which the pixels of a window lie, float32 of shape (class, row, col).

        Where the coarse pixel is invalid, or the window reaches beyond the scene, it is the mean over the window.
        """
        rows, cols = _around(window)
        part = self.steps[:, rows, cols]
        unknown = part[0] > WORKING_STEPS
        coarse = part.astype(np.float32) / np.float32(WORKING_STEPS)
        coarse[:, unknown] = coarse[:, ~unknown].mean(axis=1, keepdims=True)
        down = np.arange(window.row, window.row_end) // _FACTOR - rows.start
        along = np.arange(window.col, window.col_end) // _FACTOR - cols.start
        _, height, width = coarse.shape
        return coarse[:, np.minimum(down, height - 1)[:, None], np.minimum(along, width - 1)]


def coarser(grid: Grid) -> Grid:
    """The grid of the coarse look at a scene."""
    return grid.rescaled(_FACTOR, _FACTOR)


def settle(
    maps: MapFiles, windows: Sequence[Window], fit: Fit, spec: ModelSpec, runtime: Runtime
) -> tuple[CoarseMap, Adapted]:
    """Find the tiles that need no inference in full, and try some of them, spread over the scene.

    Args:
        maps: of the whole scene on the coarser grid, with probabilities.
        windows: all tiles that are wanted.
        fit: the scene.
        spec: what the runtime wants.
        runtime: infers in full.

    Raises:
        InputError: a part of the scene cannot be read.
    """
    if maps.probabilities is None:
        msg = "settling needs the working probabilities"
        raise ValueError(msg)
    coarse = CoarseMap(steps=open_plane(maps.probabilities))
    settled = [window for window in windows if coarse.settles(window)]
    inside = [window for window in settled if window.intersect(fit.scene.grid.window) == window]
    tried = inside[:: -(-len(inside) // TRIED)] if inside else []
    kept = [float((full == class_).mean()) for full, class_ in _compared(coarse, tried, fit, spec, runtime)]
    agreement = sum(kept) / len(kept) if kept else None
    if agreement is None or agreement < AGREEING:
        settled = []
    adapted = Adapted(tiles=len(windows), settled=len(settled), tried=len(kept), agreement=agreement)
    return CoarseMap(steps=coarse.steps, settled=frozenset(settled)), adapted


def _compared(
    coarse: CoarseMap, windows: Sequence[Window], fit: Fit, spec: ModelSpec, runtime: Runtime
) -> Iterator[tuple[NDArray[np.intp], np.intp]]:
    """Of each window that has valid pixels, their classes inferred in full, and the one class of the coarse look."""
    with fit.scene.reader() as reader:
        for window in windows:
            raster = reader.read(window)
            if raster.valid.any():
                channels = fit.stack.normalise(raster.data, raster.valid, spec.indices)
                sample = Sample(channels=channels, valid=raster.valid)
                yield classes(runtime, sample), coarse.probabilities(window)[:, raster.valid].argmax(axis=0)[0]


def _around(window: Window) -> tuple[slice, slice]:
    """The coarse pixels in which those of a window lie; the last ones may lie beyond the scene."""
    return (
        slice(window.row // _FACTOR, -(-window.row_end // _FACTOR)),
        slice(window.col // _FACTOR, -(-window.col_end // _FACTOR)),
    )
