"""Reading windows of several raster files onto one grid, with the validity of every pixel."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.vrt import WarpedVRT

from geoseg.core.bands import BandSet
from geoseg.core.grid import Grid, Window
from geoseg.core.raster import Raster
from geoseg.errors import InputError
from geoseg.io.dataset import Dataset, gdal_env, open_raster, reading, to_gdal

_SAME_PIXEL = 0.01  # grids that agree within this many pixels are one grid
_AVERAGE_FROM = 1.5  # target pixels this many times larger than the source's are averages
_EXACT = 1e-9  # pixels: GDAL's approximation of coordinates differs from chunk to chunk, so none is allowed


@dataclass(frozen=True, slots=True, kw_only=True)
class BandSource:
    """Where a band is stored: file, 1-based band index, and the file's own grid."""

    path: str
    index: int
    grid: Grid


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadPlan:
    """What a reader needs to know: bands, their sources, the grid to read on, the dtype of the result.

    `resampling` None means: average where target pixels are 1.5 times larger or more, else bilinear. With `decimate`,
    a file on the same ground is read through its overviews, and only the whole grid can be read.
    """

    bands: BandSet
    sources: tuple[BandSource, ...]
    grid: Grid
    dtype: np.dtype[Any]
    resampling: Resampling | None = None
    black_is_nodata: bool = False
    decimate: bool = False


class SceneReader:
    """Open files of a scene. It belongs to one thread, as GDAL's datasets do."""

    def __init__(self, plan: ReadPlan, files: tuple[_File, ...]) -> None:
        self._plan = plan
        self._files = files

    def read(self, window: Window) -> Raster:
        """The pixels of a window; it may reach beyond the grid, where data are 0 and invalid.

        Raises:
            InputError: if a file is damaged there.
        """
        plan = self._plan
        data = np.zeros((len(plan.bands), *window.shape), dtype=plan.dtype)
        valid = np.zeros(window.shape, dtype=np.bool_)
        part = window.intersect(plan.grid.window)
        if part is not None:
            rows, cols = part.within(window).slices
            valid[rows, cols] = True
            for file in self._files:
                file.read_into(part, data[:, rows, cols], valid[rows, cols])
            if plan.black_is_nodata:
                valid &= data.any(axis=0)
        return Raster(data=data, valid=valid, grid=plan.grid[window], bands=plan.bands)


@contextmanager
def open_reader(plan: ReadPlan) -> Iterator[SceneReader]:
    """Open every file of a plan once; closed at the end of the block."""

    def key(i: int) -> tuple[str, float | None]:
        return plan.sources[i].path, plan.bands[i].nodata

    with ExitStack() as stack:
        order = sorted(range(len(plan.sources)), key=lambda i: (key(i)[0], str(key(i)[1]), i))
        groups = [tuple(positions) for _, positions in itertools.groupby(order, key=key)]
        with gdal_env():
            files = tuple(_open_file(plan, positions, stack) for positions in groups)
        yield SceneReader(plan, files)


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """An open dataset, whose bands `indexes` go to `positions` of the result."""

    path: str
    dataset: Dataset
    indexes: tuple[int, ...]
    positions: tuple[int, ...]
    nodata: float | None
    alphas: tuple[int, ...] = ()
    masks: tuple[int, ...] = ()  # bands whose mask band holds something that neither nodata nor alpha tells
    mask_dataset: Dataset = None  # a mask that was resampled apart, valid where it is 255
    extent: Window  # the file's own extent on the target grid
    shape: tuple[int, int] | None = None  # decimated to this shape

    def read_into(self, window: Window, data: NDArray[Any], valid: NDArray[np.bool_]) -> None:
        """Fill this file's bands of `data` and clear `valid` where any of them is invalid."""
        part = window.intersect(self.extent)
        if part is None:
            valid[...] = False
            return
        with reading(self.path, part):
            raw = self._read(part)
            ok = self._validity(part, raw)
        rows, cols = part.within(window).slices
        inside = np.zeros_like(valid)
        inside[rows, cols] = ok
        valid &= inside
        for position, band in zip(self.positions, raw, strict=False):  # alpha bands come last and are no data
            data[position, rows, cols] = band

    def _where(self, part: Window) -> dict[str, Any]:
        if self.shape is not None:
            return {"out_shape": self.shape, "resampling": Resampling.nearest}
        return {"window": to_gdal(part.within(self.extent))}

    def _read(self, part: Window) -> NDArray[Any]:
        raw: NDArray[Any] = self.dataset.read([*self.indexes, *self.alphas], **self._where(part))
        return raw

    def _validity(self, part: Window, raw: NDArray[Any]) -> NDArray[np.bool_]:
        count = len(self.indexes)
        ok = np.ones(raw.shape[1:], dtype=np.bool_)
        for band in raw[:count]:
            if self.nodata is not None:
                ok &= band != band.dtype.type(self.nodata)
            if band.dtype.kind == "f":
                ok &= np.isfinite(band)
        for alpha in raw[count:]:
            ok &= alpha > 0
        for index in self.masks:
            ok &= self.dataset.read_masks(index, **self._where(part)) > 0
        if self.mask_dataset is not None:
            ok &= self.mask_dataset.read(1, **self._where(part)) == np.iinfo(np.uint8).max
        return ok


def _open_file(plan: ReadPlan, positions: tuple[int, ...], stack: ExitStack) -> _File:
    source = plan.sources[positions[0]]
    dataset = stack.enter_context(open_raster(source.path, georeferenced=True))
    indexes = tuple(plan.sources[i].index for i in positions)
    file = _File(
        path=source.path,
        dataset=dataset,
        indexes=indexes,
        positions=positions,
        nodata=plan.bands[positions[0]].nodata,
        alphas=_alphas(dataset, indexes),
        masks=_masks(dataset, indexes),
        extent=plan.grid.window,
    )
    offset = pixel_offset(source.grid, plan.grid)
    if offset is not None:
        return replace(file, extent=Window(row=offset[0], col=offset[1], height=dataset.height, width=dataset.width))
    if plan.decimate and same_ground(source.grid, plan.grid):
        return replace(file, shape=plan.grid.shape)
    return _warp(file, source.grid, plan, stack)


def _alphas(dataset: Dataset, indexes: tuple[int, ...]) -> tuple[int, ...]:
    """Alpha bands, unless one of them was asked for as data (four-band Byte GeoTIFFs often declare nir as alpha)."""
    alphas = tuple(i for i, colour in enumerate(dataset.colorinterp, start=1) if colour == ColorInterp.alpha)
    return () if set(alphas) & set(indexes) else alphas


def _masks(dataset: Dataset, indexes: tuple[int, ...]) -> tuple[int, ...]:
    flags = {i: dataset.mask_flag_enums[i - 1] for i in indexes}
    shared = [i for i, flag in flags.items() if MaskFlags.per_dataset in flag and MaskFlags.alpha not in flag]
    own = [i for i, flag in flags.items() if not flag]
    return tuple(shared[:1] + own)


def _warp(file: _File, source: Grid, plan: ReadPlan, stack: ExitStack) -> _File:
    """Put resampled views in place of the file; GDAL keeps nodata, masked and outer pixels out of every mean."""
    dataset, nodata = file.dataset, file.nodata
    _refuse_alpha_as_data(file)
    if nodata is None and np.dtype(plan.dtype).kind == "f" and not file.masks and not file.alphas:
        nodata = math.nan  # so that NaN takes no part in a mean
    options = _warp_options(source, plan)
    if nodata is not None:
        view = WarpedVRT(dataset, src_nodata=nodata, nodata=nodata, **options)
        mask = stack.enter_context(_mask_view(file.path, options)) if file.masks else None
        return replace(file, dataset=stack.enter_context(view), alphas=(), masks=(), mask_dataset=mask)
    if file.alphas:
        return replace(file, dataset=stack.enter_context(WarpedVRT(dataset, **options)))
    if plan.black_is_nodata:  # only where all bands are 0
        options |= {"src_nodata": 0, "UNIFIED_SRC_NODATA": "YES"}
    view = WarpedVRT(dataset, add_alpha=True, **options)  # the new alpha band is 0 outside and where masked
    return replace(file, dataset=stack.enter_context(view), alphas=(dataset.count + 1,), masks=())


def _refuse_alpha_as_data(file: _File) -> None:
    colours = file.dataset.colorinterp
    for index in file.indexes:
        if colours[index - 1] == ColorInterp.alpha:
            msg = (
                f"{file.path}: band {index} is declared as alpha and cannot be resampled as data; "
                f"declare it with rio edit-info --colorinterp {index}=undefined FILE"
            )
            raise InputError(msg)


@contextmanager
def _mask_view(path: str, options: dict[str, Any]) -> Iterator[Dataset]:
    """The mask band of a file on another grid: GDAL forgets it where a nodata value is there too."""
    with open_raster(f"vrt://{path}?bands=mask", georeferenced=True) as mask, WarpedVRT(mask, **options) as view:
        yield view


def _warp_options(source: Grid, plan: ReadPlan) -> dict[str, Any]:
    """Options under which a pixel's value does not depend on the window that is read.

    GDAL derives the kernel's scale from every chunk anew unless XSCALE and YSCALE say it (gdalwarp, warp options).
    """
    target = plan.grid
    ratios = size_ratios(source, target)
    resampling = plan.resampling
    if resampling is None:
        resampling = Resampling.average if max(ratios) >= _AVERAGE_FROM else Resampling.bilinear
    scales = [min(1.0, 1 / ratio) if resampling == Resampling.average else 1.0 for ratio in ratios]
    return {
        "crs": target.crs.to_wkt(),
        "transform": target.transform,
        "height": target.height,
        "width": target.width,
        "resampling": resampling,
        "tolerance": _EXACT,
        "UNIFIED_SRC_NODATA": "NO",  # rasterio's YES takes nodata of one band for data unless all bands are nodata
        "YSCALE": scales[0],
        "XSCALE": scales[1],
    }


def size_ratios(source: Grid, target: Grid) -> tuple[float, float]:
    """Pixel size of the target divided by the source's, (down a column, along a row)."""
    sizes = [_pixel_size(grid) if source.crs == target.crs else grid.gsd_m for grid in (source, target)]
    return sizes[1][0] / sizes[0][0], sizes[1][1] / sizes[0][1]


def _pixel_size(grid: Grid) -> tuple[float, float]:
    t = grid.transform
    return math.hypot(t.b, t.e), math.hypot(t.a, t.d)


def pixel_offset(source: Grid, target: Grid) -> tuple[int, int] | None:
    """Row and column of the source's origin on the target where both share all pixel borders, else None."""
    if source.crs != target.crs:
        return None
    to_target = ~target.transform @ source.transform
    col, row = to_target.c, to_target.f
    if max(abs(col - round(col)), abs(row - round(row))) > _SAME_PIXEL:
        return None
    linear = (to_target.a - 1, to_target.b, to_target.d, to_target.e - 1)
    if max(map(abs, linear)) * max(source.shape) > _SAME_PIXEL:
        return None
    return round(row), round(col)


def same_ground(source: Grid, target: Grid) -> bool:
    """True where both grids have the same four corners, whatever their numbers of pixels."""
    if source.crs != target.crs:
        return False
    to_source = ~source.transform @ target.transform
    height, width = target.shape
    for (col, row), (x, y) in zip(
        ((0, 0), (width, 0), (0, height)), ((0, 0), (source.width, 0), (0, source.height)), strict=True
    ):
        found_x, found_y = to_source @ (col, row)
        if max(abs(found_x - x), abs(found_y - y)) > _SAME_PIXEL:
            return False
    return True
