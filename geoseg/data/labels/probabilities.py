"""Labels from rasters of class probabilities."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from geoseg.core.bands import BandSet
from geoseg.core.grid import Grid, Window
from geoseg.core.legend import Legend
from geoseg.core.placing import bounds_in, outgrown, same_crs
from geoseg.data.ground import LabelReader, LabelWindow
from geoseg.data.labels.consensus import likeliest
from geoseg.data.labels.options import LabelSource
from geoseg.data.labels.placing import require_common_ground, shifted
from geoseg.errors import InputError
from geoseg.io.raster import plan_raster
from geoseg.io.reader import ReadPlan, SceneReader, open_reader

_TOLERANCE = 0.02  # of a sum of 1
_PATCH = 512  # pixels a side: what is checked at a time
_MOST = 0.5  # of a resampled pixel's weight must come from labelled pixels


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ProbabilityLabels:
    """Class probabilities on a grid that reaches `halo` rows and columns over the scene's.

    `plan` reads them there, bilinearly or as means; `stored` reads the file as it is, to check its sums; `rows` are the
    class indices of the bands.
    """

    plan: ReadPlan
    stored: ReadPlan
    halo: tuple[int, int]
    rows: tuple[int, ...]
    path: Path
    legend: Legend

    @contextmanager
    def reader(self) -> Iterator[LabelReader]:
        """Open the file for many reads by one thread."""
        with open_reader(self.plan) as reader, open_reader(self.stored) as stored:
            yield _ProbabilityReader(labels=self, reader=reader, stored=stored)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _ProbabilityReader:
    labels: ProbabilityLabels
    reader: SceneReader
    stored: SceneReader

    def read(self, window: Window) -> LabelWindow:
        """The labels of a window.

        Raises:
            InputError: if the file is damaged there, or holds probabilities that cannot be.
        """
        labels, inner = self.labels, shifted(window, self.labels.halo)
        self._check(labels.plan.grid[inner])
        raster = self.reader.read(inner)
        values = labels.plan.bands.physical(raster.data) * raster.valid
        total = values.sum(axis=0)
        labelled = total >= _MOST  # less than 1 only where pixels without labels were resampled, too
        shares = np.zeros((len(labels.legend), *window.shape), dtype=np.float32)
        shares[list(labels.rows)] = np.where(labelled, values / np.where(labelled, total, 1), 0)
        return LabelWindow(classes=likeliest(shares), shares=shares)

    def _check(self, ground: Grid) -> None:
        """Check the file's own pixels on this ground, before resampling mixes them."""
        plan = self.labels.stored
        for patch in _patches(_window_on(plan.grid, ground)):
            raster = self.stored.read(patch)
            values = np.where(raster.valid, plan.bands.physical(raster.data), 0)
            total = values.sum(axis=0)
            wrong = (np.abs(total - 1) > _TOLERANCE) & (total != 0)
            wrong |= ((values < -_TOLERANCE) | (values > 1 + _TOLERANCE)).any(axis=0)
            if wrong.any():
                row, col = np.argwhere(wrong)[0].tolist()
                raise InputError(
                    f"{self.labels.path}: found probabilities {np.round(values[:, row, col], 4).tolist()} at row "
                    f"{patch.row + row}, column {patch.col + col}, needed 0 to 1 with a sum of 1 (or all 0 = "
                    "unlabelled); check scale and bands"
                )


def open_probabilities(source: LabelSource, grid: Grid, legend: Legend, halo: tuple[int, int]) -> ProbabilityLabels:
    """Check a raster of probabilities and plan to read it on a grid and so many rows and columns around it.

    Raises:
        MissingFileError: if the file is not there.
        InputError: if it is no raster, has no CRS or geotransform, lies elsewhere, or has bands that are no classes.
    """
    plan = plan_raster(source.path, outgrown(grid, halo))
    own = plan.sources[0].grid
    require_common_ground(source.path, own, grid)
    rows = class_rows(source.path, plan.bands, legend)
    return ProbabilityLabels(
        plan=plan, stored=replace(plan, grid=own), halo=halo, rows=rows, path=source.path, legend=legend
    )


def class_rows(path: Path, bands: BandSet, legend: Legend) -> tuple[int, ...]:
    """Class index of each band of probabilities: by name, or by order where none is named.

    Raises:
        InputError: some are named after no class, or their number is another one.
    """
    index = {c.name: i for i, c in enumerate(legend)}
    unknown = [name for name in bands.names if name not in index]
    if not unknown:
        return tuple(index[name] for name in bands.names)
    if len(unknown) == len(bands) == len(legend):
        return tuple(range(len(legend)))
    raise InputError(
        f"{path}: found the bands {', '.join(bands.names)}, the legend has {', '.join(index)}; describe each band by "
        "its class, or give one band for each class, in order"
    )


def _window_on(own: Grid, ground: Grid) -> Window | None:
    """The pixels of a file from which those of a grid come."""
    bounds = ground.bounds if same_crs(own.crs, ground.crs) else bounds_in(ground, own.crs)
    left, bottom, right, top = bounds
    if not np.isfinite(bounds).all() or left > right:
        return own.window
    corners = [~own.transform @ xy for xy in ((left, bottom), (left, top), (right, bottom), (right, top))]
    (west, north), (east, south) = np.floor(np.min(corners, axis=0)).astype(int), np.ceil(np.max(corners, axis=0))
    found = Window(row=int(north) - 1, col=int(west) - 1, height=int(south - north) + 2, width=int(east - west) + 2)
    return found.intersect(own.window)


def _patches(window: Window | None) -> Iterator[Window]:
    if window is None:
        return
    for row in range(window.row, window.row_end, _PATCH):
        for col in range(window.col, window.col_end, _PATCH):
            patch = Window(row=row, col=col, height=_PATCH, width=_PATCH).intersect(window)
            assert patch is not None  # noqa: S101  (it begins inside)
            yield patch
