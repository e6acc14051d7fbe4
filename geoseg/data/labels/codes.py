"""Labels from rasters of codes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoseg.core.grid import Grid, Window
from geoseg.core.legend import UNLABELLED, Legend
from geoseg.core.placing import outgrown
from geoseg.data.ground import LabelReader, LabelWindow
from geoseg.data.labels.options import LabelSource
from geoseg.data.labels.placing import require_common_ground, shifted
from geoseg.data.labels.recoding import Recoding, recoding
from geoseg.io.raster import plan_labels
from geoseg.io.reader import ReadPlan, SceneReader, open_reader


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CodeLabels:
    """A raster of codes, read by nearest pixel on a grid that reaches `halo` rows and columns over the scene's."""

    plan: ReadPlan
    halo: tuple[int, int]
    codes: Recoding

    @contextmanager
    def reader(self) -> Iterator[LabelReader]:
        """Open the file for many reads by one thread."""
        numbers, indices = self.codes.numbers()
        with open_reader(self.plan) as reader:
            yield _CodeReader(reader=reader, halo=self.halo, codes=self.codes, numbers=numbers, indices=indices)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _CodeReader:
    """An open raster of codes, and the class index of each known code, in rising order of codes."""

    reader: SceneReader
    halo: tuple[int, int]
    codes: Recoding
    numbers: NDArray[np.float64]
    indices: NDArray[np.uint8]

    def read(self, window: Window) -> LabelWindow:
        """The labels of a window.

        Raises:
            InputError: if the file is damaged there, or holds codes that nothing is said about.
        """
        raster = self.reader.read(shifted(window, self.halo))
        found = raster.data[0]
        positions = np.searchsorted(self.numbers, found).clip(max=len(self.numbers) - 1)
        known = raster.valid & (self.numbers[positions] == found)
        unknown = raster.valid & ~known & (found != UNLABELLED)
        if not self.codes.rest and unknown.any():
            raise self.codes.unknown_codes(np.unique(found[unknown]).tolist())
        classes = np.where(known, self.indices[positions], UNLABELLED).astype(np.uint8)
        return LabelWindow(classes=classes, ignored=known & (classes == UNLABELLED))


def open_codes(source: LabelSource, grid: Grid, legend: Legend, halo: tuple[int, int]) -> CodeLabels:
    """Check a raster of codes and plan to read it on a grid and so many rows and columns around it.

    Raises:
        MissingFileError: if the file is not there.
        InputError: if it is no raster of one band, has no CRS or geotransform, or lies elsewhere; or if the options
            name values that are no numbers.
    """
    plan = plan_labels(source.path, outgrown(grid, halo))
    require_common_ground(source.path, plan.sources[0].grid, grid)
    codes = recoding(source, legend, names=False)
    codes.numbers()
    return CodeLabels(plan=plan, halo=halo, codes=codes)
