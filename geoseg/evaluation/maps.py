"""Maps to be judged: class indices on the map's own grid, and the probability that each pixel's class was given."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geoseg.core.grid import Grid, Window
from geoseg.core.legend import UNLABELLED, Legend
from geoseg.data.labels.placing import require_common_ground
from geoseg.data.labels.probabilities import class_rows
from geoseg.errors import InputError
from geoseg.io.raster import plan_labels, plan_raster, read_grid
from geoseg.io.reader import ReadPlan, SceneReader, open_reader

_SPARE = 0.01  # by which probabilities may leave 0 to 1: roundings


@dataclass(frozen=True, slots=True, kw_only=True)
class MapFile:
    """A class raster, and where probabilities for it are.

    `confidence` has one band, the probability of the mapped class; or, with `rows`, a band for each class: band i is
    of the class `rows[i]`. None = no probabilities. `runtime` is what drew the map just now, None for a finished one.
    """

    path: Path
    legend: Legend
    codes: ReadPlan
    confidence: ReadPlan | None = None
    rows: tuple[int, ...] = ()
    runtime: str | None = None

    @property
    def grid(self) -> Grid:
        """Where the map is."""
        return self.codes.grid

    @contextmanager
    def reader(self) -> Iterator[MapReader]:
        """Open the files for many reads by one thread."""
        with ExitStack() as stack:
            codes = stack.enter_context(open_reader(self.codes))
            confidence = None if self.confidence is None else stack.enter_context(open_reader(self.confidence))
            yield MapReader(map=self, codes=codes, confidence=confidence)


@dataclass(frozen=True, slots=True, kw_only=True)
class MapReader:
    """An open map."""

    map: MapFile
    codes: SceneReader
    confidence: SceneReader | None

    def classes(self, window: Window) -> NDArray[np.uint8]:
        """Class indices of a window, shape (row, col), 255 where the map has none and beyond its grid.

        Raises:
            InputError: if the file is damaged there, or holds codes that the legend does not have.
        """
        raster = self.codes.read(window)
        codes = np.where(raster.valid, raster.data[0], UNLABELLED)
        unknown = self.map.legend.unknown_codes(codes)
        if unknown:
            known = ", ".join(map(str, self.map.legend.codes))
            found = ", ".join(f"{code:g}" for code in unknown[:12])
            raise InputError(
                f"{self.map.path}: found the codes {found}, the legend has {known}; is this a map of other classes? "
                "give its legend with --legend"
            )
        return self.map.legend.to_indices(codes)

    def probability(self, window: Window, classes: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        """The probability of the mapped class, shape (row, col), NaN where unknown; None without probabilities.

        Args:
            window: a window.
            classes: what `classes` gave there.

        Raises:
            InputError: if the file is damaged there, or holds numbers that are no probabilities.
        """
        if self.confidence is None:
            return None
        raster = self.confidence.read(window)
        values = raster.bands.physical(raster.data)
        known = raster.valid & (classes != UNLABELLED)
        self._require_probabilities(values[:, known])
        chosen = self._band_of_class()[classes]
        known &= chosen >= 0
        picked = np.take_along_axis(values, np.maximum(chosen, 0)[None], axis=0)[0]
        return np.where(known, picked, np.nan).astype(np.float32)

    def _band_of_class(self) -> NDArray[np.int64]:
        """The band for each class index, -1 where there is none, shape (256,)."""
        table = np.full(UNLABELLED + 1, -1, dtype=np.int64)
        if self.map.rows:
            table[list(self.map.rows)] = np.arange(len(self.map.rows))
        else:
            table[: len(self.map.legend)] = 0
        return table

    def _require_probabilities(self, values: NDArray[np.float32]) -> None:
        wrong = values[(values < -_SPARE) | (values > 1 + _SPARE)]
        if wrong.size and self.map.confidence is not None:
            path = self.map.confidence.sources[0].path
            raise InputError(f"{path}: found {wrong[0]:g}, needed probabilities of 0 to 1; set its scale and offset")


def open_map(path: Path, legend: Legend, probabilities: Path | None = None) -> MapFile:
    """Check a class raster, and the class probabilities that belong to it, which are read on the map's grid.

    Raises:
        MissingFileError: a file is not there.
        InputError: no raster of one band of codes; probabilities on other ground, or with bands that are no classes.
    """
    found = MapFile(path=path, legend=legend, codes=plan_labels(path, read_grid(path)))
    if probabilities is None:
        return found
    plan = plan_raster(probabilities, found.grid)
    require_common_ground(probabilities, plan.sources[0].grid, found.grid)
    return replace(found, confidence=plan, rows=class_rows(probabilities, plan.bands, legend))


def open_working_map(codes: Path, confidence: Path, legend: Legend) -> MapFile:
    """A map that was just drawn: its codes, and the probability of the mapped class."""
    grid = read_grid(codes)
    return MapFile(path=codes, legend=legend, codes=plan_labels(codes, grid), confidence=plan_raster(confidence, grid))
