"""Open raster files: rasterio with plain errors, and with our own grids and windows."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import rasterio
from affine import Affine
from pyproj import CRS
from rasterio._err import CPLE_BaseError  # rasterio raises it, but exports no public name for it
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window as GdalWindow

from geoseg.core.grid import Grid, Window
from geoseg.errors import InputError, MissingFileError

Dataset: TypeAlias = Any
"""An open `rasterio.DatasetReader`; rasterio carries no types."""

GDAL_ERRORS = (RasterioError, CPLE_BaseError, OSError)
"""All that rasterio raises where GDAL fails."""

_CACHE_BYTES = 128 * 2**20  # GDAL would take 5 % of the machine's memory
ONCE_BYTES = 16 * 2**20
"""A cache for files that are read from top to bottom, each block once."""

_NO_LOCAL_FILE = re.compile(r"^(/vsi|[A-Za-z][A-Za-z0-9+.-]+:)")  # /vsizip/..., s3://..., NETCDF:"...":band


def gdal_env(cache_bytes: int = _CACHE_BYTES) -> rasterio.Env:
    """A context in which GDAL reports errors to rasterio instead of stderr, and caches at most so much of blocks.

    It also makes GDAL resample in its own fixed blocks, so that rounding does not depend on the window that is read.
    Contexts of one thread must end in the reverse order, so one may never span a `yield` of a generator.
    """
    return rasterio.Env(GDAL_CACHEMAX=cache_bytes, GDAL_VRT_WARP_USE_DATASET_RASTERIO="NO")


@contextmanager
def open_raster(path: str | Path, *, georeferenced: bool = False) -> Iterator[Dataset]:
    """Open a raster file for reading as a `rasterio.DatasetReader`, closed at the end of the block.

    Args:
        path: a file, or one of GDAL's own names such as /vsizip/... .
        georeferenced: known to be; then no Python warning is filtered, which threads must not do at the same time.

    Raises:
        MissingFileError: if no such file is there.
        InputError: if GDAL cannot read it as a raster, or it holds no band.
    """
    text = str(path)
    if not _NO_LOCAL_FILE.match(text):
        _check_file(Path(path))
    try:
        if georeferenced:
            dataset = _connect(text)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NotGeoreferencedWarning)  # `grid_of` says so as an error
                dataset = _connect(text)
    except GDAL_ERRORS as error:
        msg = f"{text}: GDAL cannot read this as a raster ({first_line(error)}); give a GeoTIFF or another raster"
        raise InputError(msg) from error
    with closing(dataset):  # its own context would leave an Env open in this thread, and end it in another one
        if dataset.count == 0:
            hint = f"; give one of its parts: {', '.join(dataset.subdatasets)}" if dataset.subdatasets else ""
            raise InputError(f"{text}: found no raster band, needed at least one{hint}")
        yield dataset


def _connect(path: str) -> Dataset:
    with gdal_env():
        return rasterio.open(path, sharing=False)


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise InputError(f"{path}: found a folder, needed a raster file")
    if not path.exists():
        raise MissingFileError(f"{path}: no such file; check the path")


def first_line(error: BaseException) -> str:
    """The first line of an error's message without GDAL's decoration, for use inside of one of ours."""
    cause = error.__cause__ if error.__cause__ is not None else error
    lines = str(cause).strip().splitlines()
    return lines[0].rstrip(". ") if lines else type(cause).__name__


def grid_of(dataset: Dataset) -> Grid:
    """The grid of an open rasterio dataset.

    Raises:
        InputError: if it has no CRS on the Earth, or no geotransform.
    """
    if dataset.crs is None or not dataset.crs.to_wkt():
        raise InputError(f"{dataset.name}: found no CRS, needed one; set it with rio edit-info --crs EPSG:... FILE")
    crs = CRS.from_wkt(dataset.crs.to_wkt())
    if not (crs.is_projected or crs.is_geographic):
        raise InputError(f"{dataset.name}: found the CRS {crs.name!r}, needed a projected or geographic one")
    if dataset.transform == Affine.identity():
        msg = f"{dataset.name}: found no geotransform, needed one; warp the file by its control points, or set it"
        raise InputError(msg)
    return Grid(crs=crs, transform=dataset.transform, height=dataset.height, width=dataset.width)


def to_gdal(window: Window) -> GdalWindow:
    """Our (row, col) window as rasterio's."""
    return GdalWindow(window.col, window.row, window.width, window.height)


@contextmanager
def reading(path: str, window: Window, *, cache_bytes: int = _CACHE_BYTES) -> Iterator[None]:
    """Turn GDAL's errors on reading this window into one InputError."""
    try:
        with gdal_env(cache_bytes):
            yield
    except GDAL_ERRORS as error:
        rows, cols = f"{window.row} to {window.row_end - 1}", f"{window.col} to {window.col_end - 1}"
        msg = (
            f"{path}: cannot read rows {rows}, columns {cols} ({first_line(error)}); the file is damaged, copy it again"
        )
        raise InputError(msg) from error
