"""What lies where: the ground of every stratum by class, and what map and strata say at points, in one pass."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geoseg.core.grid import Window
from geoseg.core.legend import UNLABELLED
from geoseg.errors import InputError
from geoseg.evaluation.maps import MapFile
from geoseg.evaluation.scores import Floats
from geoseg.inference.engine import Progress
from geoseg.io.legend import read_legend
from geoseg.io.raster import BLOCK, plan_labels
from geoseg.io.reader import SceneReader, open_reader

NOWHERE = -1
"""The class, or stratum, of a point where there is none."""
_CODES = UNLABELLED  # a raster of strata may have so many


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Places:
    """Pixels of interest on a map's grid, shape (point,) each."""

    rows: NDArray[np.int64]
    cols: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    def within(self, window: Window) -> NDArray[np.int64]:
        """Positions of the places in a strip of full width."""
        return np.flatnonzero((self.rows >= window.row) & (self.rows < window.row_end))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Survey:
    """Area in m² of each stratum by class of the map, shape (stratum, class), and what is at places.

    Only ground counts that has both a stratum and a class. `pixels` counts them like `area_m2`. `stratum` and `mapped`
    are indices of shape (point,), or `NOWHERE`.
    """

    names: tuple[str, ...]
    area_m2: Floats
    pixels: NDArray[np.int64]
    stratum: NDArray[np.int64]
    mapped: NDArray[np.int64]


def survey(map_file: MapFile, places: Places, strata: Path | None, progress: Progress) -> Survey:
    """Measure a map in strips, with the true area of every row's pixels.

    Args:
        map_file: the map; without `strata` its classes are the strata.
        places: where strata and classes are wanted.
        strata: a raster of codes in any CRS, read at the map's pixels by the nearest one.
        progress: told stages, done and total.

    Raises:
        MissingFileError: no such strata.
        InputError: strata that are no raster of one band, or have other codes than 0 to 254; damaged files.
    """
    classes = len(map_file.legend)
    row_areas = map_file.grid.pixel_areas_m2()
    areas, pixels = np.zeros(_CODES * classes), np.zeros(_CODES * classes, dtype=np.int64)
    stratum, mapped = (np.full(len(places), NOWHERE, dtype=np.int64) for _ in range(2))
    for window, strip in _strips(map_file, strata, progress):
        pairs, table = _table(strip, classes)
        areas[pairs] += row_areas[window.row : window.row_end] @ table
        pixels[pairs] += table.sum(axis=0)
        here = places.within(window)
        at = strip.at(places.rows[here] - window.row, places.cols[here])
        stratum[here], mapped[here] = at
    codes = np.arange(classes) if strata is None else np.flatnonzero(pixels.reshape(_CODES, classes).any(axis=1))
    numbers = np.full(_CODES + 1, NOWHERE, dtype=np.int64)  # the last one is that of NOWHERE
    numbers[codes] = np.arange(len(codes))
    names = tuple(c.name for c in map_file.legend) if strata is None else _names(strata, codes)
    return Survey(
        names=names,
        area_m2=areas.reshape(_CODES, classes)[codes],
        pixels=pixels.reshape(_CODES, classes)[codes],
        stratum=numbers[stratum],
        mapped=mapped,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Strip:
    """Codes of strata and class indices, shape (row, col), and where both are known."""

    strata: NDArray[np.uint8]
    classes: NDArray[np.uint8]

    @property
    def known(self) -> NDArray[np.bool_]:
        known: NDArray[np.bool_] = (self.strata != UNLABELLED) & (self.classes != UNLABELLED)
        return known

    def at(self, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Codes of strata and classes at places, or NOWHERE."""
        known = self.known[rows, cols]
        strata, classes = (part[rows, cols].astype(np.int64) for part in (self.strata, self.classes))
        return np.where(known, strata, NOWHERE), np.where(known, classes, NOWHERE)


def _strips(map_file: MapFile, strata: Path | None, progress: Progress) -> Iterator[tuple[Window, _Strip]]:
    windows = list(map_file.grid.windows(BLOCK))
    with ExitStack() as stack:
        reader = stack.enter_context(map_file.reader())
        other = None if strata is None else stack.enter_context(open_reader(plan_labels(strata, map_file.grid)))
        for done, window in enumerate(windows, start=1):
            classes = reader.classes(window)
            codes = classes if other is None or strata is None else _codes(other, window, strata)
            yield window, _Strip(strata=codes, classes=classes)
            progress("measure", done, len(windows))


def _codes(reader: SceneReader, window: Window, path: Path) -> NDArray[np.uint8]:
    """Codes of strata in a window, 255 where there are none."""
    raster = reader.read(window)
    codes = np.where(raster.valid, raster.data[0], UNLABELLED)
    wrong = codes[(codes < 0) | (codes > UNLABELLED) | (codes % 1 != 0)]
    if wrong.size:
        raise InputError(f"{path}: found the number {wrong[0]:g}, needed codes of strata of 0 to 254; recode them")
    return codes.astype(np.uint8)


def _table(strip: _Strip, classes: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs (stratum * classes + class) that occur, and how often in each row, shape (row, pair)."""
    known = strip.known
    keys = strip.strata[known].astype(np.int64) * classes + strip.classes[known]
    pairs = np.flatnonzero(np.bincount(keys, minlength=1))
    columns = np.zeros(_CODES * classes, dtype=np.int64)
    columns[pairs] = np.arange(len(pairs))
    cells = np.nonzero(known)[0] * max(len(pairs), 1) + columns[keys]
    rows = strip.classes.shape[0]
    return pairs, np.bincount(cells, minlength=rows * len(pairs)).reshape(rows, len(pairs))


def _names(strata: Path, codes: NDArray[np.int64]) -> tuple[str, ...]:
    """Names of strata, where the raster tells them, else their codes."""
    legend = read_legend(strata)
    told = {} if legend is None else {c.code: c.name for c in legend}
    return tuple(told.get(code, f"stratum {code}") for code in codes.tolist())
