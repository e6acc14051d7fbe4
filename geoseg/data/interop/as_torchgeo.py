"""Our labelled scenes as a torchgeo dataset, for torchgeo's samplers, splitters, trainers and other datasets.

>>> dataset = SceneGeoDataset(scenes, SampleOptions(fold=0))
>>> sampler = torchgeo.samplers.RandomGeoSampler(dataset, size=256, length=1000)
>>> loader = DataLoader(dataset, sampler=sampler, batch_size=8, collate_fn=torchgeo.datasets.stack_samples)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

import geopandas
import numpy as np
import pandas as pd
import shapely
import torch
import torchgeo
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS
from rasterio.enums import Resampling
from rasterio.io import MemoryFile
from rasterio.warp import transform_bounds
from shapely import Polygon
from torch import Tensor
from torchgeo.datasets import GeoDataset

from geoseg.core.bands import Band, BandSet
from geoseg.core.grid import Grid, Window
from geoseg.core.indices import INDICES
from geoseg.core.legend import UNLABELLED
from geoseg.core.raster import Raster
from geoseg.data.ground import ClassMap, Pixels
from geoseg.data.splits.split import FoldMap
from geoseg.errors import InputError
from geoseg.io.dataset import gdal_env
from geoseg.io.reader import BandSource, ReadPlan, open_reader, pixel_offset, size_ratios

Sample = dict[str, Any]
GeoSlice = slice | tuple[slice, ...]
"""[xmin:xmax:xres, ymin:ymax:yres, tmin:tmax:tres], where trailing slices and single numbers may be left out."""

_MARGIN = 3  # pixels around what a warp reads, for its kernel
_EDGE_POINTS = 16  # on each side of a footprint that is warped to another CRS
_STRIP_ROWS = 512


class Labelled(Protocol):
    """A scene with labels and folds: what `geoseg.data.readers.LabelledScene` has too."""

    @property
    def name(self) -> str:
        """For messages."""

    @property
    def pixels(self) -> Pixels:
        """What to read raw numbers from."""

    @property
    def bands(self) -> BandSet:
        """Calibration of the pixels, with mean and std of the training data."""

    @property
    def labels(self) -> ClassMap:
        """Class indices."""

    @property
    def folds(self) -> FoldMap:
        """The fold of every place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleOptions:
    """What samples hold.

    With a `fold`, an index of `geoseg.data.splits.split.FOLDS`, labels of other folds are unlabelled, and samplers draw
    only from boxes around the fold's labelled ground: boxes of whole cells of `cell` pixels, so chips should not be
    larger than a cell (torchgeo's samplers pass over boxes that are smaller than a chip). `indices` are spectral
    indices as further channels. Images are model input (see `BandSet.normalise`), or physical values unless
    `normalised`; invalid pixels are 0 in both, and unlabelled.
    """

    fold: int | None = None
    indices: tuple[str, ...] = ()
    normalised: bool = True
    cell: int = 256

    def __post_init__(self) -> None:
        if self.cell < 1:
            raise InputError(f"cell must be at least 1 pixel, got {self.cell}")


class SceneGeoDataset(GeoDataset):
    """A torchgeo dataset of labelled scenes.

    Samples hold "image", float32, shape (channel, row, col), and "mask", int64, shape (row, col), class indices with
    255 = unlabelled (torchgeo's trainers: `ignore_index=255`), and of the place what `RasterDataset` gives: "crs" and
    "bounds" in torchgeo 0.8, "bounds" and "transform" as tensors from 0.9 on.

    Windows on the pixels of a scene are read as they are. Where pixels differ (another CRS or `res`, a second scene
    on another grid), images are interpolated bilinearly, or averaged where pixels become 1.5 times larger or more,
    and labels are those of the nearest pixel. Where scenes overlap, the first in order that is valid gives the pixel.
    Files are opened for each sample, so that workers share nothing.

    Args:
        scenes: with the same bands in the same order.
        options: what samples hold.
        crs: of the dataset; that of the first scene if None.
        res: pixel size in units of the CRS, (x, y) or one number; that of the first scene if None.
        times: start and end by the name of a scene; scenes that are not named here hold for all times.
        transforms: changes a sample, as in other torchgeo datasets.

    Raises:
        InputError: no scene, scenes with different bands, an unknown index, or a fold without labelled pixels.
    """

    def __init__(
        self,
        scenes: Sequence[Labelled],
        options: SampleOptions = SampleOptions(),
        *,
        crs: CRS | str | None = None,
        res: float | tuple[float, float] | None = None,
        times: Mapping[str, tuple[datetime, datetime]] | None = None,
        transforms: Callable[[Sample], Sample] | None = None,
    ) -> None:
        _require_same_bands(scenes)
        _require_indices(scenes[0].bands, options.indices)
        self.scenes = tuple(scenes)
        self.options = options
        self.transforms = transforms
        self.all_bands = (*scenes[0].bands.names, *options.indices)
        self.paths = [str(path) for scene in scenes for path in scene.pixels.paths]
        target = CRS.from_user_input(scenes[0].pixels.grid.crs if crs is None else crs)
        self._pixel = _pair(_pixel_size(scenes[0], target) if res is None else res)
        self.index = _index(self.scenes, options, target, times or {})

    @property
    def res(self) -> tuple[float, float]:
        """Pixel size (x, y) in units of the CRS; other datasets may set it, as torchgeo's `&` and `|` do."""
        return self._pixel

    @res.setter
    def res(self, new_res: float | tuple[float, float]) -> None:
        self._pixel = _pair(new_res)

    def __getitem__(self, query: GeoSlice) -> Sample:
        """The sample of a place and time.

        Raises:
            IndexError: where no scene of the index is.
        """
        x, y, t = _complete(query, self.bounds)
        rows = self.index.iloc[self.index.index.overlaps(pd.Interval(t.start, t.stop, closed="both"))]
        rows = rows.iloc[:: t.step].cx[x.start : x.stop, y.start : y.stop]
        if rows.empty:
            raise IndexError(f"query: {query} not found in index with bounds: {self.bounds}")
        grid = _grid(self.crs, x, y)
        image, mask = self._read(dict.fromkeys(rows["scene"].tolist()), grid)
        sample = _place(self.crs, query, (x, y, t), grid) | {"image": image, "mask": mask}
        return sample if self.transforms is None else self.transforms(sample)

    def _read(self, numbers: Iterable[int], grid: Grid) -> tuple[Tensor, Tensor]:
        channels = len(self.scenes[0].bands) + len(self.options.indices)
        image = np.zeros((channels, *grid.shape), dtype=np.float32)
        mask = np.full(grid.shape, UNLABELLED, dtype=np.uint8)
        free = np.ones(grid.shape, dtype=np.bool_)
        for number in numbers:
            part = _read_scene(self.scenes[number], grid, self.options)
            new = free & part.valid
            image[:, new], mask[new] = part.channels[:, new], part.labels[new]
            free &= ~new
            if not free.any():
                break
        return torch.from_numpy(image), torch.from_numpy(mask.astype(np.int64))


def first_known(samples: Iterable[Mapping[str, Any]]) -> Sample:
    """Merge samples of one place, for `UnionDataset(a, b, collate_fn=first_known)`.

    A pixel's image is the first that is not 0 in every channel, its mask the first that is not 255. torchgeo's own
    merge takes the larger number, so that unlabelled (255) would hide every class and 0 every negative value.
    """
    merged: Sample = {}
    for sample in samples:
        for key, value in sample.items():
            if key == "image" and key in merged:
                merged[key] = torch.where((merged[key] != 0).any(dim=0), merged[key], value)
            elif key == "mask" and key in merged:
                merged[key] = torch.where(merged[key] != UNLABELLED, merged[key], value)
            else:
                merged.setdefault(key, value)
    return merged


def _require_same_bands(scenes: Sequence[Labelled]) -> None:
    if not scenes:
        raise InputError("found no scene, needed at least one")
    wanted = scenes[0].bands.names
    for scene in scenes:
        if scene.bands.names != wanted:
            raise InputError(
                f"{scene.name}: found the bands {', '.join(scene.bands.names)}, needed those of {scenes[0].name}, "
                f"{', '.join(wanted)}, in this order; select them first"
            )


def _require_indices(bands: BandSet, indices: tuple[str, ...]) -> None:
    unknown = [name for name in indices if name not in INDICES]
    if unknown:
        raise InputError(f"found the indices {', '.join(unknown)}, needed some of {', '.join(INDICES)}")
    bands.normalise(np.zeros((len(bands), 1, 1)), np.zeros((1, 1), dtype=np.bool_), indices)  # fails on a missing band


def _pair(res: float | tuple[float, float]) -> tuple[float, float]:
    return (float(res), float(res)) if isinstance(res, (int, float)) else (float(res[0]), float(res[1]))


def _pixel_size(scene: Labelled, crs: CRS) -> tuple[float, float]:
    """(x, y) in units of a CRS: of the scene's own pixels, or in another CRS of pixels as long on the ground."""
    grid = scene.pixels.grid
    t = grid.transform
    if grid.crs == crs:
        return math.hypot(t.a, t.d), math.hypot(t.b, t.e)
    left, bottom, right, top = transform_bounds(grid.crs, crs, *grid.bounds)
    size = Affine.translation(left, top) @ Affine.scale((right - left) / 100, (bottom - top) / 100)
    down, along = Grid(crs=crs, transform=size, height=100, width=100).gsd_m
    gsd = math.sqrt(math.prod(grid.gsd_m))
    return gsd / along * size.a, gsd / down * -size.e


# The index: where and when there is something to draw.


def _index(
    scenes: Sequence[Labelled],
    options: SampleOptions,
    crs: CRS,
    times: Mapping[str, tuple[datetime, datetime]],
) -> geopandas.GeoDataFrame:
    numbers: list[int] = []
    polygons: list[Polygon] = []
    for number, scene in enumerate(scenes):
        places = _places(scene, options)
        numbers += [number] * len(places)
        polygons += [_footprint(place, crs) for place in places]
    if not polygons:
        raise InputError(f"fold {options.fold} holds no labelled pixel; use smaller blocks or another seed")
    always = (pd.Timestamp.min, pd.Timestamp.max)
    names = [scenes[number].name for number in numbers]
    starts, ends = zip(*(times.get(name, always) for name in names), strict=True)
    spans = pd.IntervalIndex.from_arrays(
        pd.DatetimeIndex(starts), pd.DatetimeIndex(ends), closed="both", name="datetime"
    )
    return geopandas.GeoDataFrame({"scene": numbers, "name": names}, index=spans, geometry=polygons, crs=crs)


def _places(scene: Labelled, options: SampleOptions) -> list[Grid]:
    if options.fold is None:
        return [scene.pixels.grid]
    return [scene.labels.grid[window] for window in _fold_windows(scene, options.fold, options.cell)]


def _footprint(grid: Grid, crs: CRS) -> Polygon:
    """The ground of a grid in a CRS; its sides bend where that CRS is another one."""
    height, width = grid.shape
    corners = [grid.transform @ corner for corner in ((0, height), (width, height), (width, 0), (0, 0))]
    polygon = Polygon(corners)
    if grid.crs == crs:
        return polygon
    side = max(polygon.bounds[2] - polygon.bounds[0], polygon.bounds[3] - polygon.bounds[1])
    dense = shapely.segmentize(polygon, side / _EDGE_POINTS)
    warped: Polygon = geopandas.GeoSeries([dense], crs=grid.crs).to_crs(crs).iloc[0]
    return warped


def _fold_windows(scene: Labelled, fold: int, cell: int) -> Iterator[Window]:
    """Windows of at least one cell in either direction that cover every labelled pixel of a fold."""
    grid = scene.labels.grid
    for rows, cols in _rectangles(_cells_of_fold(scene, fold, cell)):
        row, row_end = _widened(rows, cell, grid.height)
        col, col_end = _widened(cols, cell, grid.width)
        yield Window(row=row, col=col, height=row_end - row, width=col_end - col)


def _cells_of_fold(scene: Labelled, fold: int, cell: int) -> NDArray[np.bool_]:
    """True where a cell holds a labelled pixel of the fold, shape (cell row, cell col)."""
    grid = scene.labels.grid
    found = np.zeros((-(-grid.height // cell), -(-grid.width // cell)), dtype=np.bool_)
    with scene.labels.reader() as reader:
        for window in grid.windows(min(cell, _STRIP_ROWS)):
            wanted = (scene.folds.folds_on(grid[window]) == fold) & (reader.read(window) != UNLABELLED)
            rows, cols = np.nonzero(wanted)
            found[(rows + window.row) // cell, cols // cell] = True
    return found


Span = tuple[int, int]
"""First position and the one after the last."""


def _rectangles(cells: NDArray[np.bool_]) -> list[tuple[Span, Span]]:
    """Rectangles (rows, cols) that partition the cells that are True: runs of a row, joined with equal runs below."""
    open_runs: dict[Span, int] = {}
    closed = []
    for row, line in enumerate(np.pad(cells, ((0, 1), (0, 0)))):
        runs = _runs(line)
        ended = [run for run in open_runs if run not in runs]
        closed += [((open_runs.pop(run), row), run) for run in ended]
        open_runs |= {run: row for run in runs if run not in open_runs}
    return sorted(closed)


def _runs(line: NDArray[np.bool_]) -> set[Span]:
    edges = np.flatnonzero(np.diff(np.pad(line, 1).astype(np.int8)))
    return set(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _widened(span: Span, cell: int, length: int) -> Span:
    """Cells as pixels; cells that the scene's border cuts reach back, so that they are whole."""
    end = min(span[1] * cell, length)
    return max(0, min(span[0] * cell, end - cell)), end


# Reading.


def _complete(query: GeoSlice, bounds: tuple[slice, slice, slice]) -> tuple[slice, slice, slice]:
    given = (query,) if isinstance(query, slice) else tuple(query)
    full = [*given, *(slice(None) for _ in range(3 - len(given)))]
    x, y, t = (
        slice(*(b if q is None else q for q, b in zip(_parts(own), _parts(bound), strict=True)))
        for own, bound in zip(full, bounds, strict=True)
    )
    return x, y, t


def _parts(piece: slice) -> tuple[Any, Any, Any]:
    return piece.start, piece.stop, piece.step


def _grid(crs: CRS, x: slice, y: slice) -> Grid:
    transform = Affine.translation(x.start, y.stop) @ Affine.scale(x.step, -y.step)
    height, width = (max(1, round((s.stop - s.start) / s.step)) for s in (y, x))
    return Grid(crs=crs, transform=transform, height=height, width=width)


def _place(crs: CRS, query: GeoSlice, resolved: tuple[slice, slice, slice], grid: Grid) -> Sample:
    """Where a sample is, in the manner of the installed torchgeo."""
    major, minor = torchgeo.__version__.split(".")[:2]
    if (int(major), int(minor)) < (0, 9):
        return {"crs": crs, "bounds": query}
    x, y, t = resolved
    numbers = [*_parts(x), *_parts(y), t.start.timestamp(), t.stop.timestamp(), t.step]
    return {"bounds": torch.tensor(numbers), "transform": torch.tensor(tuple(grid.transform))}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Part:
    """What one scene gives: channels (channel, row, col), validity and class indices (row, col)."""

    channels: NDArray[np.float32]
    valid: NDArray[np.bool_]
    labels: NDArray[np.uint8]


def _read_scene(scene: Labelled, grid: Grid, options: SampleOptions) -> _Part:
    raw, valid = _read_pixels(scene.pixels, grid)
    labels = _read_labels(scene.labels, grid)
    if options.fold is not None:
        labels[scene.folds.folds_on(grid) != options.fold] = UNLABELLED
    labels[~valid] = UNLABELLED
    bands = scene.bands if options.normalised else _unstandardised(scene.bands)
    return _Part(channels=bands.normalise(raw, valid, options.indices), valid=valid, labels=labels)


def _unstandardised(bands: BandSet) -> BandSet:
    """Bands whose standardised values are the physical ones."""
    return BandSet(tuple(replace(band, mean=0.0, std=1.0) for band in bands))


def _read_pixels(pixels: Pixels, grid: Grid) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Raw numbers (band, row, col) and validity (row, col) of a scene on any grid."""
    part = _source_window(pixels.grid, grid)
    if part is None:
        return np.zeros((len(pixels.bands), *grid.shape), dtype=np.float32), np.zeros(grid.shape, dtype=np.bool_)
    with pixels.reader() as reader:
        raster = reader.read(part)
    if pixel_offset(grid, pixels.grid) is not None:
        return raster.data, raster.valid
    stored = np.where(raster.valid, raster.data, np.float32(np.nan)).astype(np.float32)
    warped = _warp(stored, raster.grid, grid, nodata=np.nan)
    return warped.data, warped.valid


def _read_labels(labels: ClassMap, grid: Grid) -> NDArray[np.uint8]:
    """Class indices on any grid, those of the nearest pixel, shape (row, col)."""
    part = _source_window(labels.grid, grid)
    if part is None:
        return np.full(grid.shape, UNLABELLED, dtype=np.uint8)
    with labels.reader() as reader:
        stored = reader.read(part)
    if pixel_offset(grid, labels.grid) is not None:
        return stored.copy()
    warped = _warp(stored[None], labels.grid[part], grid, nodata=UNLABELLED, resampling=Resampling.nearest)
    return np.where(warped.valid, warped.data[0], UNLABELLED).astype(np.uint8)


def _source_window(stored: Grid, grid: Grid) -> Window | None:
    """What is needed of a stored grid: `grid` itself where both share their pixels, else what a warp reads, if any."""
    offset = pixel_offset(grid, stored)
    if offset is not None:
        return Window(row=offset[0], col=offset[1], height=grid.height, width=grid.width)
    left, bottom, right, top = transform_bounds(grid.crs, stored.crs, *grid.bounds)
    if not all(map(math.isfinite, (left, bottom, right, top))):
        return None
    corners = [~stored.transform @ xy for xy in ((left, top), (right, top), (left, bottom), (right, bottom))]
    cols, rows = zip(*corners, strict=True)
    margin = _MARGIN * max(1.0, *size_ratios(stored, grid))
    row, col = math.floor(min(rows) - margin), math.floor(min(cols) - margin)
    height, width = math.ceil(max(rows) + margin) - row, math.ceil(max(cols) + margin) - col
    return Window(row=row, col=col, height=height, width=width).intersect(stored.window)


def _warp(
    stored: NDArray[Any], source: Grid, target: Grid, *, nodata: float, resampling: Resampling | None = None
) -> Raster:
    """Bands on another grid, in the way that scenes are resampled; a pixel does not depend on the window it is in."""
    profile = {"driver": "GTiff", "count": len(stored), "height": source.height, "width": source.width}
    place = {"crs": source.crs.to_wkt(), "transform": source.transform}
    with gdal_env(), MemoryFile() as file:
        with file.open(**profile, **place, dtype=stored.dtype) as out:
            out.write(stored)
        plan = ReadPlan(
            bands=BandSet(tuple(Band(name=str(i), nodata=nodata) for i in range(len(stored)))),
            sources=tuple(BandSource(path=file.name, index=i, grid=source) for i in range(1, len(stored) + 1)),
            grid=target,
            dtype=stored.dtype,
            resampling=resampling,
        )
        with open_reader(plan) as reader:
            return reader.read(target.window)
