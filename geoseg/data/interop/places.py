"""Places of a torchgeo dataset: images and masks of one time on one grid, read window by window."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from rasterio.features import geometry_mask

from geoseg.core.bands import BandSet
from geoseg.core.grid import Grid, Window
from geoseg.core.legend import UNLABELLED, Legend
from geoseg.core.raster import Raster
from geoseg.data.ground import LabelReader, LabelWindow, PixelReader
from geoseg.data.interop.naming import one_line
from geoseg.errors import InputError
from geoseg.io.dataset import GDAL_ERRORS, first_line, gdal_env

if TYPE_CHECKING:
    from torchgeo.datasets import GeoDataset

_LISTED = 12

Span: TypeAlias = tuple[pd.Timestamp, pd.Timestamp]


class SharedDataset:
    """A dataset of which every process reads its own copy.

    torchgeo keeps files open, and a forked process must not read from its parent's.
    """

    def __init__(self, dataset: GeoDataset) -> None:
        self._dataset: Any = dataset
        self._owner = os.getpid()

    def get(self) -> Any:  # noqa: ANN401  (a GeoDataset)
        """This process's copy."""
        if self._owner != os.getpid():
            self._dataset, self._owner = copy.deepcopy(self._dataset), os.getpid()
        return self._dataset


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Place:
    """A row of a dataset's index.

    That is: a grid of the dataset's pixels; a time, None for all times; the outline of what is there, None for the
    whole grid.
    """

    name: str
    dataset: SharedDataset
    grid: Grid
    span: Span | None
    outline: shapely.Polygon | None

    def read(self, window: Window, key: str, dims: int) -> NDArray[Any] | None:
        """What samples hold under a key, its last axes (row, col); None where nothing is.

        Raises:
            InputError: if a file cannot be read there, or samples do not hold it or hold it otherwise.
        """
        try:
            with gdal_env():
                sample = self.dataset.get()[self._query(window)]
        except IndexError as error:
            if "not found in index" in str(error):
                return None
            raise InputError(f"{self.name}: torchgeo cannot read this: {one_line(error)}") from error
        except GDAL_ERRORS as error:
            raise InputError(f"{self.name}: cannot read {self._query(window)[:2]}: {first_line(error)}") from error
        return self._value(sample, window, key, dims)

    def inside(self, window: Window) -> NDArray[np.bool_]:
        """True where a pixel's centre lies in the outline."""
        if self.outline is None:
            return np.ones(window.shape, dtype=np.bool_)
        grid = self.grid[window]
        covered: NDArray[np.bool_] = geometry_mask([self.outline], grid.shape, grid.transform, invert=True)
        return covered

    def _query(self, window: Window) -> tuple[slice, ...]:
        left, bottom, right, top = self.grid[window].bounds
        t = self.grid.transform
        where = slice(left, right, t.a), slice(bottom, top, -t.e)
        if self.span is None:
            return where
        start, stop = self.span
        if start == stop:  # torchgeo takes times without their start: an instant would not be found
            start -= pd.Timedelta(1, "us")
        return *where, slice(start, stop, 1)

    def _value(self, sample: Mapping[str, Any], window: Window, key: str, dims: int) -> NDArray[Any]:
        if key not in sample:
            found = ", ".join(map(str, sample))
            raise InputError(
                f'{self.name}: samples hold {found}, needed "image" and "mask"; intersect a dataset of images with one '
                "of masks"
            )
        value: NDArray[Any] = np.asarray(sample[key])
        while value.ndim > dims and len(value) == 1:
            value = value[0]
        if value.ndim != dims or value.shape[-2:] != window.shape:
            wanted = ("channel, " if dims == 3 else "") + f"{window.height}, {window.width}"
            raise InputError(f'{self.name}: found "{key}" of shape {value.shape}, needed ({wanted})')
        return value


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GeoPixels:
    """The images of a torchgeo dataset at one time and place; they fulfil `geoseg.data.ground.Pixels`.

    `channels` are the image's channels that the bands are. `paths` are the image's files at that time and place.
    """

    name: str
    bands: BandSet
    grid: Grid
    paths: tuple[Path, ...]
    channels: tuple[int, ...]
    place: Place = field(repr=False)

    @contextmanager
    def reader(self) -> Iterator[PixelReader]:
        """Read many windows in one thread; torchgeo opens files when it first needs them."""
        yield self

    def read(self, window: Window) -> Raster:
        """The pixels of a window, float32, which may reach beyond the grid: there data are 0 and invalid.

        Raises:
            InputError: if a file cannot be read there.
        """
        data = np.zeros((len(self.bands), *window.shape), dtype=np.float32)
        valid = np.zeros(window.shape, dtype=np.bool_)
        part = window.intersect(self.grid.window)
        image = None if part is None else self.place.read(part, "image", 3)
        if part is not None and image is not None:
            rows, cols = part.within(window).slices
            with np.errstate(over="ignore"):  # float64 that float32 cannot hold is infinite, and so invalid
                data[:, rows, cols] = image[list(self.channels)]
            valid[rows, cols] = self._valid(data[:, rows, cols]) & self.place.inside(part)
        return Raster(data=data, valid=valid, grid=self.grid[window], bands=self.bands)

    def select(self, positions: Iterable[int]) -> GeoPixels:
        """Only the bands at these positions, in that order."""
        chosen = tuple(positions)
        return replace(self, bands=self.bands.select(chosen), channels=tuple(self.channels[i] for i in chosen))

    def _valid(self, data: NDArray[np.float32]) -> NDArray[np.bool_]:
        valid = np.isfinite(data)
        nodata = self.bands[0].nodata
        if nodata is not None and abs(nodata) <= np.finfo(np.float32).max:
            valid &= data != np.float32(nodata)
        return np.asarray(valid.all(axis=0))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GeoLabels:
    """The masks of a torchgeo dataset at one time and place; they fulfil `geoseg.data.ground.Labels`.

    `ignore` are the codes that are unlabelled. `paths` are the files of the masks, empty where the dataset's index does
    not name them: then nothing tells whether they changed, and labels should not be kept.
    """

    grid: Grid
    legend: Legend
    ignore: tuple[int, ...]
    paths: tuple[Path, ...]
    fingerprint: str
    place: Place = field(repr=False)
    soft: bool = False

    @contextmanager
    def reader(self) -> Iterator[LabelReader]:
        """Read many windows in one thread; torchgeo opens files when it first needs them."""
        yield self

    def read(self, window: Window) -> LabelWindow:
        """The labels of a window, which may reach beyond the grid: there pixels are unlabelled.

        Raises:
            InputError: if a file cannot be read there, or holds codes that are not in the legend.
        """
        classes = np.full(window.shape, UNLABELLED, dtype=np.uint8)
        part = window.intersect(self.grid.window)
        mask = None if part is None else self.place.read(part, "mask", 2)
        if part is not None and mask is not None:
            known = self.place.inside(part) & ~np.isin(mask, self.ignore)
            codes = np.where(known, mask, UNLABELLED)
            self._require_known(codes)
            classes[part.within(window).slices] = self.legend.to_indices(codes)
        return LabelWindow(classes=classes)

    def _require_known(self, codes: NDArray[Any]) -> None:
        unknown = self.legend.unknown_codes(codes)
        if unknown:
            found = ", ".join(f"{code:g}" for code in unknown[:_LISTED])
            known = ", ".join(map(str, self.legend.codes))
            raise InputError(
                f"{self.place.name}: masks hold the codes {found}, the legend has {known}; add the missing classes, or "
                "list the codes under `ignore`"
            )
