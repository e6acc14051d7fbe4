"""Statistics of other rasters over the areas of a map, such as of a terrain model or an index."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geoseg.core.grid import Grid, Window
from geoseg.errors import InputError
from geoseg.io.raster import plan_raster
from geoseg.io.reader import ReadPlan, SceneReader, open_reader
from geoseg.vectorize.attributes import Measure
from geoseg.vectorize.trace import LabelStrip

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class ZonalRaster:
    """A raster of one band in any CRS, and the name that its columns begin with.

    Raises:
        InputError: for a name that is more than letters, digits and underscores.
    """

    name: str
    path: Path

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InputError(f"{self.name!r} cannot begin the name of a column; needed are letters, digits and _")

    @property
    def measure(self) -> Measure:
        """The columns that it gives."""
        return Measure(
            columns={
                f"{self.name}_mean": "mean",
                f"{self.name}_min": "min",
                f"{self.name}_max": "max",
                f"{self.name}_std": "std",
            }
        )


def plan_zonal(rasters: Iterable[ZonalRaster], grid: Grid) -> tuple[ReadPlan, ...]:
    """Plan to read rasters on the grid of a map: averaged where its pixels are 1.5 times larger or more, else bilinear.

    Raises:
        MissingFileError: a file is not there.
        InputError: it is no raster of one band, or has no CRS or geotransform.
    """
    plans = []
    for raster in rasters:
        plan = plan_raster(raster.path, grid)
        if len(plan.bands) != 1:
            raise InputError(f"{raster.path}: found {len(plan.bands)} bands, needed one for the statistics of areas")
        plans.append(replace(plan, dtype=np.dtype(np.float32)))
    return tuple(plans)


def add_zonal(strips: Iterable[LabelStrip], plans: tuple[ReadPlan, ...]) -> Iterator[LabelStrip]:
    """Strips of a whole map with one layer more a raster: scale * number + offset, NaN where there is none."""
    row = 0
    with ExitStack() as stack:
        readers = [(plan, stack.enter_context(open_reader(plan))) for plan in plans]
        for strip in strips:
            height, width = strip.codes.shape
            window = Window(row=row, col=0, height=height, width=width)
            row += height
            numbers = [_numbers(plan, reader, window) for plan, reader in readers]
            layers = np.stack(numbers) if strip.layers is None else np.concatenate([strip.layers, numbers])
            yield replace(strip, layers=layers)


def _numbers(plan: ReadPlan, reader: SceneReader, window: Window) -> NDArray[np.float32]:
    part, band = reader.read(window), plan.bands[0]
    numbers = part.data[0] * np.float32(band.scale or 1) + np.float32(band.offset)
    return np.where(part.valid, numbers, np.float32(np.nan))
