"""Cleaning of label rasters before they are traced, while they stream by: never without being asked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoseg.core.grid import Grid
from geoseg.errors import InputError
from geoseg.vectorize.holes import fill_enclosed
from geoseg.vectorize.majority import vote_majority
from geoseg.vectorize.regions import Regions, compact, expose_last_row, make_room, start_regions, take_rows
from geoseg.vectorize.sieve import merge_small
from geoseg.vectorize.sweep import Labels

_ROWS = 64  # taken in at once: what the smallest areas need of memory follows these
_STEPS = 1 << 20  # of the largest pixel: areas in whole numbers add up to the same in any order
_SIDE_STEPS = 1 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanOptions:
    """What to clean away, in this order; None = nothing.

    `majority` is the side of the window of a majority filter in px, odd: see `geoseg.vectorize.majority`.
    `fill_holes_m2` is the area below which holes are filled: see `geoseg.vectorize.holes`. `min_area_m2` is the minimum
    mapping unit: see `geoseg.vectorize.sieve`.

    Raises:
        InputError: for an area that is not positive, or a window that is not odd or smaller than 3.
    """

    majority: int | None = None
    fill_holes_m2: float | None = None
    min_area_m2: float | None = None

    def __post_init__(self) -> None:
        if self.majority is not None and (self.majority < 3 or self.majority % 2 == 0):
            raise InputError(f"the window of the majority filter is {self.majority} px; needed is 3, 5, 7, ...")
        for name, area in (("largest hole", self.fill_holes_m2), ("smallest area", self.min_area_m2)):
            if area is not None and not (math.isfinite(area) and area > 0):
                raise InputError(f"the {name} is {area} m2; needed is a positive area or none")

    def __bool__(self) -> bool:
        return any(value is not None for value in (self.majority, self.fill_holes_m2, self.min_area_m2))


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanSummary:
    """What the steps of `options` changed: pixels; areas filled, merged, and kept with nodata all around.

    Areas are counted as often as they were merged: two that became one, which was merged then, are two merges.
    """

    options: CleanOptions
    majority_pixels: int = 0
    filled_areas: int = 0
    filled_pixels: int = 0
    merged_areas: int = 0
    merged_pixels: int = 0
    kept_areas: int = 0

    def lines(self) -> Iterator[str]:
        """A sentence for each step that was asked for."""
        options = self.options
        if options.majority is not None:
            yield f"majority filter of {options.majority} px: {self.majority_pixels} px changed"
        if options.fill_holes_m2 is not None:
            what = f"areas filled: {self.filled_areas}, {self.filled_pixels} px changed"
            yield f"holes below {options.fill_holes_m2:g} m2; {what}"
        if options.min_area_m2 is not None:
            kept = f"; with nodata all around: {self.kept_areas}, which stay" if self.kept_areas else ""
            what = f"areas merged: {self.merged_areas}, {self.merged_pixels} px changed{kept}"
            yield f"areas below {options.min_area_m2:g} m2; {what}"


class Cleaner:
    """Cleans the labels of one grid, once; `summary` is complete when all strips were taken."""

    def __init__(self, options: CleanOptions, grid: Grid) -> None:
        self.summary = CleanSummary(options=options)
        self._options = options
        self._grid = grid

    def strips(self, strips: Iterable[Labels]) -> Iterator[Labels]:
        """The cleaned labels from top to bottom, in strips of other heights; shape (row, col)."""
        options = self._options
        if options.majority is not None:
            strips = self._voted(strips, options.majority)
        if options.fill_holes_m2 is not None:
            strips = self._filled(strips, options.fill_holes_m2)
        if options.min_area_m2 is not None:
            strips = self._sieved(strips, options.min_area_m2)
        return (strip for strip in strips if len(strip))

    def _voted(self, strips: Iterable[Labels], size: int) -> Iterator[Labels]:
        for rows, changed in vote_majority(strips, size):
            self.summary = replace(self.summary, majority_pixels=self.summary.majority_pixels + changed)
            yield rows

    def _filled(self, strips: Iterable[Labels], limit_m2: float) -> Iterator[Labels]:
        for state, rows in _resolved(strips, _Scale(self._grid, limit_m2), fill_enclosed):
            areas, pixels = int(state["merged"]), int(state["pixels"])
            self.summary = replace(self.summary, filled_areas=areas, filled_pixels=pixels)
            yield rows

    def _sieved(self, strips: Iterable[Labels], limit_m2: float) -> Iterator[Labels]:
        for state, rows in _resolved(strips, _Scale(self._grid, limit_m2), merge_small):
            areas, pixels, kept = int(state["merged"]), int(state["pixels"]), int(state["kept"])
            self.summary = replace(self.summary, merged_areas=areas, merged_pixels=pixels, kept_areas=kept)
            yield rows


class _Scale:
    """A limit in m², the pixels' areas and the lengths of their sides, all in whole numbers.

    Areas are in 2^-20 of the largest pixel's, so that with pixels of one area a limit means what it says; sides are
    equal where they are within 0.1 % of each other.
    """

    def __init__(self, grid: Grid, limit_m2: float) -> None:
        areas = grid.pixel_areas_m2()
        unit = float(areas.max()) / _STEPS
        self.weights = np.maximum(np.rint(areas / unit), 1).astype(np.int64)
        self.limit = max(1, math.ceil(min(limit_m2 / unit, 2.0**62) - 1e-3))
        self.sides = _sides(grid)


def _sides(grid: Grid) -> tuple[int, int]:
    """Lengths of a pixel's sides along a row and down a column, in proportion, the shorter one 1024."""
    t = grid.transform
    along, down = math.hypot(t.a, t.d), math.hypot(t.b, t.e)
    if grid.crs.is_geographic:
        down, along = grid.gsd_m
    shorter = min(along, down)
    if max(along, down) / shorter < 1 + 1 / _SIDE_STEPS:
        return _SIDE_STEPS, _SIDE_STEPS
    return round(along / shorter * _SIDE_STEPS), round(down / shorter * _SIDE_STEPS)


def _resolved(
    strips: Iterable[Labels], scale: _Scale, decide: Callable[[Labels, int, Regions], None]
) -> Iterator[tuple[Any, Labels]]:
    """Take in strips, let `decide` recode small areas in them, and give out the rows in which none is waiting.

    With the rows comes the state of the sweep, whose counts say what was done.
    """
    regions: Regions | None = None
    held = np.empty((0, 0), dtype=np.uint8)
    first = 0  # row of the first one held
    for strip in strips:
        if regions is None:
            nodata = int(np.iinfo(strip.dtype).max)
            regions = start_regions(strip.shape[1], nodata=nodata, limit=scale.limit, sides=scale.sides)
            held = strip[:0]
        for begin in range(0, len(strip), _ROWS):
            rows = np.ascontiguousarray(strip[begin : begin + _ROWS])
            held = np.concatenate([held, rows])
            regions = _take(regions, rows, scale.weights)
            regions, done = _settle(regions, held, first, decide)
            yield regions.state[0], held[:done]
            held, first = held[done:], first + done
    if regions is not None:
        expose_last_row(regions)
        regions, _ = _settle(regions, held, first, decide)
        yield regions.state[0], held


def _take(regions: Regions, rows: Labels, weights: NDArray[np.int64]) -> Regions:
    start = int(regions.state[0]["row"])
    weights = weights[start : start + len(rows)]
    row = take_rows(rows, weights, 0, regions)
    while row < len(rows):
        regions = make_room(regions)
        row = take_rows(rows, weights, row, regions)
    return regions


def _settle(
    regions: Regions, held: Labels, first: int, decide: Callable[[Labels, int, Regions], None]
) -> tuple[Regions, int]:
    """Decide what can be decided; returns the areas left, and how many of the rows held are done."""
    decide(held, first, regions)
    regions = compact(regions, 4 * len(regions.above))
    return regions, min(int(regions.state[0]["oldest"]) - first, len(held))
