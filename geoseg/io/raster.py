"""Rasters of our own: working files written by windows, Cloud Optimized GeoTIFF made of them, and label rasters."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self
from xml.etree import ElementTree as ET

import numpy as np
import rasterio
import rasterio.shutil
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, Resampling

from geoseg.core.bands import Band, BandSet
from geoseg.core.grid import Grid, Window
from geoseg.core.legend import UNLABELLED
from geoseg.errors import InputError, OutputError
from geoseg.io.dataset import (
    GDAL_ERRORS,
    ONCE_BYTES,
    Dataset,
    first_line,
    gdal_env,
    grid_of,
    open_raster,
    reading,
    to_gdal,
)
from geoseg.io.output import folder_beside
from geoseg.io.reader import BandSource, ReadPlan, open_reader
from geoseg.io.style import attribute_table

BLOCK = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class RasterSpec:
    """What a raster file says about itself besides its pixels.

    value = stored * `scale` + `offset`. `palette` and `class_names` (by code) are for single-band class maps;
    `overviews` names how smaller copies are made: "mode" for classes, "average" for quantities.
    """

    grid: Grid
    dtype: str
    band_names: tuple[str, ...]
    nodata: float | None = None
    scale: float | None = None
    offset: float = 0.0
    palette: Mapping[int, tuple[int, int, int, int]] | None = None
    class_names: Mapping[int, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    overviews: Literal["mode", "average", "nearest"] = "nearest"


class RasterWriter:
    """Writes a tiled working GeoTIFF by windows in any order; blocks never written read as nodata. A context manager.

    Raises:
        OutputError: if the file cannot be created or written.
    """

    def __init__(self, path: str | Path, spec: RasterSpec) -> None:
        self._path = Path(path)
        self._spec = spec
        self._dataset: Dataset = None

    def __enter__(self) -> Self:
        with _writing(self._path):
            self._dataset = rasterio.open(self._path, "w", **_profile(self._spec))
            _describe(self._dataset, self._spec)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with _writing(self._path):
            self._dataset.close()

    def write(self, window: Window, data: NDArray[Any]) -> None:
        """Write (band, row, col), or (row, col) of a single band, to a window inside of the grid.

        Raises:
            OutputError: if the disk refuses.
            ValueError: if the data do not fit the window, the bands or the dtype.
        """
        bands = require_fitting(self._path, self._spec, window, data)
        with _writing(self._path):
            self._dataset.write(bands, window=to_gdal(window))


def require_fitting(path: Path, spec: RasterSpec, window: Window, data: NDArray[Any]) -> NDArray[Any]:
    """The data as (band, row, col), where they can be written to a window of such a raster.

    Raises:
        ValueError: if the data do not fit the window, the bands or the dtype.
    """
    bands = data[None] if data.ndim == 2 else data
    wanted = (len(spec.band_names), *window.shape)
    if bands.shape != wanted or bands.dtype != spec.dtype:
        msg = f"{path}: got {bands.dtype} data {bands.shape}, needed {spec.dtype} {wanted}"
        raise ValueError(msg)
    if window.intersect(spec.grid.window) != window:
        msg = f"{path}: {window} is not inside the grid of {spec.grid.shape}"
        raise ValueError(msg)
    return bands


def write_cog(working: str | Path, out: str | Path, spec: RasterSpec) -> None:
    """Copy a working raster to a Cloud Optimized GeoTIFF with everything in `spec`; it appears by atomic rename.

    Class names are written as band tags CLASS_<code>, and as GDAL's category names and raster attribute table (with
    the colours), which live in a file `<out>.aux.xml` beside the raster. Memory is bounded by GDAL's block cache.

    Raises:
        InputError: if the working raster cannot be read.
        OutputError: if the output cannot be written.
    """
    out = Path(out)
    with open_raster(working) as dataset:
        source = Path(dataset.name).absolute()
    layer = source.with_name(f"{source.stem}-layer.vrt")  # there: a VRT names raw files beside it only
    with folder_beside(out) as folder, _writing(out), _removing(layer):
        copy = folder / out.name
        rasterio.shutil.copy(source, layer, driver="VRT")
        with rasterio.open(layer, "r+") as dataset:
            _describe(dataset, spec)
        _name_classes(layer, spec)
        rasterio.shutil.copy(layer, copy, driver="COG", **_cog_options(spec))
        _verify(copy, source, out)
        _publish(copy, out)


def read_grid(path: str | Path) -> Grid:
    """The grid of a raster file.

    Raises:
        MissingFileError: if it is not there.
        InputError: if it is no raster, or has no CRS or geotransform.
    """
    with open_raster(path) as dataset:
        return grid_of(dataset)


def read_strips(path: str | Path, rows: int = BLOCK, band: int = 1) -> Iterator[tuple[Window, NDArray[Any]]]:
    """Full-width strips of one band from top to bottom: the window and its stored numbers, shape (row, col)."""
    with open_raster(path) as dataset:
        for row in range(0, dataset.height, rows):
            window = Window(row=row, col=0, height=min(rows, dataset.height - row), width=dataset.width)
            with reading(str(path), window, cache_bytes=ONCE_BYTES):
                strip = dataset.read(band, window=to_gdal(window))
            yield window, strip


def plan_raster(path: str | Path, grid: Grid, *, resampling: Resampling | None = None) -> ReadPlan:
    """Plan to read all bands of a raster file on another grid, for `geoseg.io.reader.open_reader`.

    The bands have the file's descriptions ("band 1" where there is none), scale, offset and nodata.

    Args:
        path: a raster in any CRS.
        grid: where the numbers are wanted.
        resampling: None = average where pixels become 1.5 times larger or more, else bilinear.

    Raises:
        MissingFileError: if the file is not there.
        InputError: if it is no raster, or has no CRS or geotransform.
    """
    with open_raster(path) as dataset:
        own = grid_of(dataset)
        bands = tuple(_band_of(dataset, i) for i in dataset.indexes)
        sources = tuple(BandSource(path=str(path), index=i, grid=own) for i in dataset.indexes)
        dtype = np.result_type(*dataset.dtypes)
    return ReadPlan(bands=BandSet(bands), sources=sources, grid=grid, dtype=dtype, resampling=resampling)


def plan_labels(path: str | Path, grid: Grid) -> ReadPlan:
    """Plan to read the codes of a label raster on another grid, by nearest pixel.

    Raises:
        MissingFileError: if the file is not there.
        InputError: if it is no raster of one band, or has no CRS or geotransform.
    """
    plan = plan_raster(path, grid, resampling=Resampling.nearest)
    if len(plan.bands) != 1:
        raise InputError(f"{path}: found {len(plan.bands)} bands, needed one band of class codes")
    return plan


def read_labels_on(path: str | Path, grid: Grid, window: Window | None = None) -> NDArray[np.uint8]:
    """Class codes of a label raster at the pixel centres of another grid, by nearest pixel, shape (row, col).

    Args:
        path: a raster with one band of codes 0 to 254, in any CRS.
        grid: where the codes are wanted.
        window: a part of that grid; all of it if None.

    Returns:
        Codes; 255 where the labels are nodata, 255, or do not reach.

    Raises:
        MissingFileError: if the file is not there.
        InputError: if it is no raster of one band of such codes.
    """
    with open_reader(plan_labels(path, grid)) as reader:
        labels = reader.read(window or grid.window)
    found = np.unique(labels.data[0, labels.valid])
    wrong = found[(found < 0) | (found > UNLABELLED) | (found % 1 != 0)]
    if wrong.size:
        raise InputError(f"{path}: found the number {wrong[0]:g}, needed class codes of 0 to 254; recode the labels")
    return np.where(labels.valid, labels.data[0], UNLABELLED).astype(np.uint8)


def _band_of(dataset: Dataset, index: int) -> Band:
    nodata, scale, offset = (values[index - 1] for values in (dataset.nodatavals, dataset.scales, dataset.offsets))
    return Band(
        name=dataset.descriptions[index - 1] or f"band {index}",
        nodata=None if nodata is None or math.isnan(nodata) else nodata,  # NaN is invalid anyway
        scale=scale,
        offset=offset,
    )


def _profile(spec: RasterSpec) -> dict[str, Any]:
    return {
        "driver": "GTiff",
        "dtype": spec.dtype,
        "count": len(spec.band_names),
        "height": spec.grid.height,
        "width": spec.grid.width,
        "crs": spec.grid.crs.to_wkt(),
        "transform": spec.grid.transform,
        "nodata": spec.nodata,
        "tiled": True,
        "blockxsize": BLOCK,
        "blockysize": BLOCK,
        "interleave": "band",
        "compress": "zstd",
        "zstd_level": 1,
        "sparse_ok": True,
        "bigtiff": "IF_SAFER",
        "photometric": "MINISBLACK",  # else GDAL takes three or four bands of bytes for RGB and alpha
    }


def _describe(dataset: Dataset, spec: RasterSpec) -> None:
    count = len(spec.band_names)
    dataset.descriptions = spec.band_names
    dataset.nodata = spec.nodata
    dataset.update_tags(**spec.tags)
    if spec.scale is not None:
        dataset.scales, dataset.offsets = (spec.scale,) * count, (spec.offset,) * count
    if spec.palette is not None:
        dataset.write_colormap(1, dict(spec.palette))
    else:
        dataset.colorinterp = (ColorInterp.gray,) + (ColorInterp.undefined,) * (count - 1)
    if spec.class_names:
        dataset.update_tags(1, **{f"CLASS_{code}": name for code, name in sorted(spec.class_names.items())})


def _name_classes(layer: Path, spec: RasterSpec) -> None:
    """Add what rasterio has no function for to the first band of a VRT file: category names and attribute table."""
    class_names = spec.class_names
    if not class_names:
        return
    tree = ET.parse(layer)  # noqa: S314  (GDAL wrote this file a moment ago)
    band = tree.find("VRTRasterBand")
    assert band is not None  # noqa: S101  (every VRT of ours has a band)
    categories = ET.SubElement(band, "CategoryNames")
    for code in range(max(class_names) + 1):
        ET.SubElement(categories, "Category").text = class_names.get(code, "")
    band.append(attribute_table(class_names, spec.palette or {}))
    tree.write(layer, encoding="utf-8")


def _cog_options(spec: RasterSpec) -> dict[str, Any]:
    return {
        "blocksize": BLOCK,
        "compress": "DEFLATE",
        "predictor": "NO" if spec.palette is not None else "YES",  # codes have no gradients to predict
        "overviews": "IGNORE_EXISTING",
        "overview_resampling": spec.overviews.upper(),
        "bigtiff": "IF_SAFER",
        "num_threads": "ALL_CPUS",
    }


@contextmanager
def _removing(path: Path) -> Iterator[None]:
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _verify(copy: Path, source: Path, out: Path) -> None:
    """Read every pixel back: on a full disk GDAL's COG driver can leave a damaged file and report success."""
    with rasterio.open(copy) as written, rasterio.open(source) as wanted:
        same = all(written.checksum(band) == wanted.checksum(band) for band in wanted.indexes)
    if not same:
        raise OutputError(f"{out}: what was written is damaged; check the free space")


def _publish(copy: Path, out: Path) -> None:
    """Rename into place; GDAL's side-car file goes first, and an old one, which describes other pixels, goes away."""
    side_car, published = copy.with_name(copy.name + ".aux.xml"), out.with_name(out.name + ".aux.xml")
    if side_car.exists():
        side_car.replace(published)
    else:
        published.unlink(missing_ok=True)
    copy.replace(out)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        with gdal_env():
            yield
    except GDAL_ERRORS as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(f"{path}: cannot be written ({first_line(error)}); check folder, rights and space") from error
