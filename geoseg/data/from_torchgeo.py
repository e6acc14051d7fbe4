"""torchgeo datasets as labelled scenes: any `GeoDataset` whose samples hold "image" and "mask" can be trained on.

>>> dataset = NAIP("images") & ChesapeakeDE("masks")
>>> for pixels, labels in scenes_of(dataset, GeoDatasetOptions(scale=1 / 255), legend):
...     ...

Of each time and place that the dataset's index has, one scene is made: `Pixels` and `Labels` on a grid of the
dataset's pixels, which read `dataset[x, y, t]` window by window.

Where the files of a dataset have other pixels than its `res` or another CRS, torchgeo resamples each window on its
own: values near a window's edge then depend on the window. Masks take their nearest pixel, so they hardly do.
"""

from __future__ import annotations

import copy
import difflib
import hashlib
import inspect
import io
import json
import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import numpy as np
import pandas as pd
import shapely
from affine import Affine
from numpy.typing import NDArray
from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass as options_dataclass
from pyproj import CRS
from rasterio.features import geometry_mask

from geoseg.core.bands import Band, BandSet, common_name_of
from geoseg.core.grid import Grid, Window
from geoseg.core.legend import UNLABELLED, Legend
from geoseg.core.raster import Raster
from geoseg.core.sensors import SENSORS, describe_band
from geoseg.data.ground import LabelReader, LabelWindow, PixelReader
from geoseg.data.options import STRICT, LocalPath
from geoseg.errors import InputError, MissingFileError
from geoseg.inference.contract import GSD_TOLERANCE
from geoseg.io.dataset import GDAL_ERRORS, first_line, gdal_env, open_raster
from geoseg.io.fingerprint import fingerprint

if TYPE_CHECKING:
    import geopandas
    from torchgeo.datasets import GeoDataset

_VERSION = 1
"""Of this code, in fingerprints: another number where the same dataset gives other labels."""
_MODULE = "torchgeo.datasets"
_SAME_PIXEL = 0.01  # edges that lie this many pixels off a pixel's edge lie on it, as in geoseg.io.reader
_COMPOSED = ("GeoDataset", "IntersectionDataset", "UnionDataset")
_PLACES = {"paths", "root", "files"}  # attributes that differ in a copied folder
_LISTED = 12
_CACHE = re.compile(r"classes-[0-9a-f]{16}\.tif")  # as geoseg.data.store names the labels that it keeps

Span: TypeAlias = tuple[pd.Timestamp, pd.Timestamp]


# Options.


@options_dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class GeoSource:
    """A torchgeo dataset: its class, its files, and what else it is made with."""

    dataset: str
    """A class of `torchgeo.datasets` that is a `GeoDataset`, such as NAIP, NLCD or RasterDataset."""
    paths: LocalPath | tuple[LocalPath, ...] | None = None
    """A folder, a file, or a list of them; null = the class's own default, counted from the current folder."""
    arguments: dict[str, Any] = Field(default_factory=dict)
    """Further arguments of the class: crs, res, bands, years, ..."""
    filename_glob: str | None = None
    """Which files of a folder belong to the dataset, such as "*.tif"; null = as the class says."""
    filename_regex: str | None = None
    """Which of these, with a group `date`, or groups `start` and `stop`, for the time; null = as the class says."""
    date_format: str | None = None
    """Of those groups, such as "%Y%m%d"; null = as the class says."""
    is_image: bool | None = None
    """Whether files are images or masks; null = as the class says, and for a plain RasterDataset as it is used here."""


@options_dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class GeoDatasetOptions:
    """What a torchgeo dataset does not tell of its images and masks."""

    bands: tuple[str, ...] = ()
    """Common names of the image's channels in their order; empty = the names that the dataset itself gives them."""
    scale: float | None = None
    """reflectance = value * scale + offset; 1 where the dataset's values are reflectance already."""
    offset: float = 0.0
    nodata: float | None = None
    """The value of invalid pixels; null = what the image's first file declares. Where files leave gaps, torchgeo fills
    with that number too, or with 0 where none is declared."""
    ignore: tuple[int, ...] = (UNLABELLED,)
    """Codes of the mask that are unlabelled ground; 255 always is."""
    region: str = ""
    """A name for where the scenes lie: for `split.attribute: region` and `sampling.balance: regions`."""


@options_dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class GeoDatasetConfig:
    """Images and masks from torchgeo: either `image` and `mask`, which are intersected, or one `dataset` of both."""

    image: GeoSource | None = None
    mask: GeoSource | None = None
    dataset: str | None = None
    """A class of `torchgeo.datasets` that gives images and masks, such as L7Irish."""
    paths: LocalPath | tuple[LocalPath, ...] | None = None
    """Of `dataset`: a folder, a file, or a list of them."""
    arguments: dict[str, Any] = Field(default_factory=dict)
    """Further arguments of `dataset`."""
    spatial_only: bool = False
    """Whether image and mask belong together whatever their dates. Images of all dates are then merged into one."""
    allow_download: bool = False
    """`download: true` among the arguments is refused without it."""
    options: GeoDatasetOptions = GeoDatasetOptions()

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        pair = (self.image is not None, self.mask is not None)
        if self.dataset is None and not all(pair):
            msg = "needs `image` and `mask`, or `dataset` for a class that gives both"
            raise ValueError(msg)
        if self.dataset is not None and any(pair):
            msg = "found `dataset` beside `image` or `mask`; give `image` and `mask`, or `dataset` alone"
            raise ValueError(msg)
        if self.dataset is None and (self.paths is not None or self.arguments):
            msg = "`paths` and `arguments` belong to `dataset`; those of `image` and `mask` stand inside of these"
            raise ValueError(msg)
        return self


# Opening.


def open_geodataset(config: GeoDatasetConfig) -> GeoDataset:
    """Make the torchgeo dataset that a config describes.

    Classes are looked up by name in `torchgeo.datasets`; nothing else is imported, and nothing is downloaded unless
    `allow_download` and the argument `download` say so.

    Raises:
        MissingFileError: a path is not there.
        InputError: an unknown class or argument, no file of that dataset, or images and masks without common ground.
    """
    from torchgeo.datasets import IntersectionDataset  # noqa: PLC0415  (takes seconds)

    with redirect_stdout(io.StringIO()):  # torchgeo prints what it converts
        if config.image is None or config.mask is None:
            source = GeoSource(dataset=config.dataset or "", paths=config.paths, arguments=config.arguments)
            return _open_source(source, allow_download=config.allow_download)
        image = _open_source(config.image, allow_download=config.allow_download, is_image=True)
        mask = _open_source(config.mask, allow_download=config.allow_download, is_image=False)
        try:
            return IntersectionDataset(image, mask, spatial_only=config.spatial_only)
        except RuntimeError as error:
            raise InputError(
                f"{config.image.dataset} and {config.mask.dataset}: {_text(error)}; give images and masks of the same "
                "ground and time, or `spatial_only: true`"
            ) from error


def _open_source(source: GeoSource, *, allow_download: bool, is_image: bool | None = None) -> GeoDataset:
    kind = _class(source.dataset)
    arguments = _arguments(source, kind, allow_download=allow_download)
    dataset: GeoDataset = kind.__new__(kind)
    told = {name: getattr(source, name) for name in ("filename_glob", "filename_regex", "date_format", "is_image")}
    if kind.__name__ == "RasterDataset" and told["is_image"] is None:
        told["is_image"] = is_image
    for name, value in told.items():
        if value is not None:  # torchgeo reads these of the class; a class of our own could not travel to workers
            setattr(dataset, name, value)
    try:
        kind.__init__(dataset, **arguments)
    except Exception as error:  # each of torchgeo's classes fails in its own way
        raise InputError(f"{source.dataset}: torchgeo cannot open this dataset: {_text(error)}") from error
    _leave_out_caches(dataset)
    return dataset


def _class(text: str) -> Any:  # noqa: ANN401
    import torchgeo.datasets as known  # noqa: PLC0415  (takes seconds)

    kinds = {name: getattr(known, name) for name in known.__all__ if name not in _COMPOSED}
    usable = {
        name: kind
        for name, kind in kinds.items()
        if inspect.isclass(kind) and issubclass(kind, known.GeoDataset) and not inspect.isabstract(kind)
    }
    name = text.removeprefix(f"{_MODULE}.")
    if name in usable:
        return usable[name]
    lower = {known_name.lower(): known_name for known_name in usable}
    near = [lower[match] for match in difflib.get_close_matches(name.lower(), lower, n=4)] or sorted(usable)
    reason = "is no dataset of places that can be opened by name" if name in known.__all__ else f"is not in {_MODULE}"
    raise InputError(f"{text}: {reason}; near it are {', '.join(near)}")


def _arguments(source: GeoSource, kind: Any, *, allow_download: bool) -> dict[str, Any]:  # noqa: ANN401
    parameters = list(inspect.signature(kind.__init__).parameters)[1:]
    place = "paths" if "paths" in parameters else "root"
    unfit = [name for name in source.arguments if name not in parameters or name in {place, "transforms"}]
    if unfit:
        fit = ", ".join(name for name in parameters if name not in {place, "transforms"})
        raise InputError(f"{source.dataset}: found the arguments {', '.join(unfit)}, needed some of {fit}")
    download = bool(source.arguments.get("download"))
    if download and not allow_download:
        raise InputError(f"{source.dataset}: nothing is downloaded unless asked for; set `allow_download: true`")
    arguments = dict(source.arguments)
    if arguments.get("crs") is not None:
        arguments["crs"] = CRS.from_user_input(arguments["crs"])
    if isinstance(arguments.get("res"), list):
        arguments["res"] = tuple(arguments["res"])
    if source.paths is not None:
        arguments[place] = _paths(source.paths, source.dataset, must_exist=not download)
    return arguments


def _paths(paths: Path | tuple[Path, ...], name: str, *, must_exist: bool) -> str | list[str]:
    listed = [paths] if isinstance(paths, Path) else list(paths)
    missing = [str(path) for path in listed if must_exist and not path.exists() and not str(path).startswith("/vsi")]
    if missing:
        raise MissingFileError(f"{name}: {', '.join(missing)}: no such file or folder; check the paths")
    return str(paths) if isinstance(paths, Path) else [str(path) for path in paths]


# What is read.


class _Shared:
    """A dataset of which every process reads its own copy.

    torchgeo keeps files open, and a forked process must not read from its parent's.
    """

    def __init__(self, dataset: GeoDataset) -> None:
        self._dataset: Any = dataset
        self._owner = os.getpid()

    def get(self) -> Any:  # noqa: ANN401  (a GeoDataset)
        if self._owner != os.getpid():
            self._dataset, self._owner = copy.deepcopy(self._dataset), os.getpid()
        return self._dataset


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Place:
    """A row of a dataset's index.

    That is: a grid of the dataset's pixels; a time, None for all times; the outline of what is there, None for the
    whole grid.
    """

    name: str
    dataset: _Shared
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
            raise InputError(f"{self.name}: torchgeo cannot read this: {_text(error)}") from error
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
    place: _Place = field(repr=False)

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
    place: _Place = field(repr=False)
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


# From an index to scenes.


def scenes_of(
    dataset: GeoDataset, options: GeoDatasetOptions, legend: Legend
) -> tuple[tuple[GeoPixels, GeoLabels], ...]:
    """The scenes of a torchgeo dataset: one for each row of its index, on the pixels of its images.

    torchgeo reads a place and time from all files that are there, so a row within another one of the same time shows
    the same pixels and is left out. Other rows may overlap, those of several dates, too: the ground that they share
    is seen more often, but a split of the ground puts it into one fold.

    Args:
        dataset: samples hold "image", (channel, row, col) or (1, channel, row, col), and "mask", (row, col) or
            (1, row, col), with codes of the legend (some datasets of torchgeo number their classes anew).
        options: what the dataset does not tell.
        legend: gives the classes and their order.

    Raises:
        InputError: a dataset without rows, CRS or pixel size; samples without image or mask; channels without names.
    """
    _require_places(dataset)
    _leave_out_caches(dataset)
    shared = _Shared(dataset)
    leaves = _leaves(dataset)
    images = [leaf for leaf in leaves if getattr(leaf, "is_image", True)]
    masks = [leaf for leaf in leaves if not getattr(leaf, "is_image", False)]
    told = all("filepath" in leaf.index for leaf in masks)
    places = [(outline, place) for outline in _outlines(dataset) if (place := _place(shared, images, *outline))]
    if not places:
        raise InputError(f"{_name(dataset)}: every row of its index is smaller than a pixel; set another `res`")
    bands = _bands(places[0][1], images, options)
    settings = [[_name(leaf), _settings(leaf)] for leaf in leaves]
    image_files = [_files(images, *outline) for outline, _ in places]
    label_files = [_files(masks, *outline) if told else () for outline, _ in places]
    named = [replace(place, name=name) for (_, place), name in zip(places, _names(dataset, image_files), strict=True)]
    return tuple(
        (
            _pixels(place, files, bands, options),
            _labels(place, mask_files, settings, options, legend),
        )
        for place, files, mask_files in zip(named, image_files, label_files, strict=True)
    )


def _pixels(place: _Place, files: tuple[Path, ...], bands: BandSet, options: GeoDatasetOptions) -> GeoPixels:
    known = _with_nodata(bands, files) if options.nodata is None else bands
    channels = tuple(range(len(bands)))
    return GeoPixels(name=place.name, bands=known, grid=place.grid, paths=files, channels=channels, place=place)


def _labels(
    place: _Place, files: tuple[Path, ...], settings: list[Any], options: GeoDatasetOptions, legend: Legend
) -> GeoLabels:
    return GeoLabels(
        grid=place.grid,
        legend=legend,
        ignore=tuple(options.ignore),
        paths=files,
        fingerprint=_fingerprint(place, files, settings, options, legend),
        place=place,
    )


def fit_pixels(pixels: GeoPixels, wanted: BandSet, gsd_m: float) -> GeoPixels:
    """The bands that a model wants, in its order.

    Raises:
        InputError: a band is missing, no scale is known, or pixels differ from `gsd_m` (m) by more than 10 %.
    """
    positions = [pixels.bands.find(band) for band in wanted]
    found = tuple(position for position in positions if position is not None)
    if len(set(found)) < len(wanted):
        missing = [band.name for band, position in zip(wanted, positions, strict=True) if position is None]
        raise InputError(
            f"{pixels.name}: found the bands {', '.join(pixels.bands.names)}, the model needs "
            f"{', '.join(missing or wanted.names)}; name the image's channels under `bands`"
        )
    if any(pixels.bands[position].scale is None for position in found):
        raise InputError(f"{pixels.name}: no scale is known; set `scale` (1 where values are reflectance already)")
    own = math.sqrt(math.prod(pixels.grid.gsd_m))
    if abs(own / gsd_m - 1) > GSD_TOLERANCE:
        raise InputError(
            f"{pixels.name}: found pixels of {own:.3g} m, the model has {gsd_m:g} m; set `res` among the arguments, in "
            "units of the CRS"
        )
    return pixels.select(found)


def _require_places(dataset: GeoDataset) -> None:
    name = _name(dataset)
    index = getattr(dataset, "index", None)
    if not isinstance(index, pd.DataFrame) or not hasattr(index, "geometry"):
        raise InputError(f"{name}: found no index of footprints, needed one; use torchgeo 0.8 or newer")
    if len(index) == 0:
        raise InputError(f"{name}: found no row in its index, needed at least one; check the paths")
    if isinstance(index.index, pd.IntervalIndex) and index.index.isna().any():
        raise InputError(f"{name}: found rows without a time, needed one in each; check filename_regex and date_format")
    if dataset.crs is None:
        raise InputError(f"{name}: found no CRS, needed one; set `crs`")
    if not all(math.isfinite(res) and res > 0 for res in dataset.res):
        raise InputError(f"{name}: found pixels of {dataset.res}, needed sizes above 0; set `res`")


def _leaves(dataset: GeoDataset) -> list[GeoDataset]:
    """The datasets that intersections and unions consist of, in order."""
    parts = getattr(dataset, "datasets", None)
    return [leaf for part in parts for leaf in _leaves(part)] if parts else [dataset]


def _leave_out_caches(dataset: GeoDataset) -> None:
    """Take out what `geoseg.data.store` keeps beside labels: torchgeo finds it in the folders that it searches."""
    for leaf in _leaves(dataset):
        kept = [_CACHE.fullmatch(Path(path).name) is not None for path in leaf.index.get("filepath", ())]
        if any(kept):
            leaf.index = leaf.index[~np.array(kept)]


_Outline: TypeAlias = tuple[shapely.Polygon, Span | None]


def _outlines(dataset: GeoDataset) -> list[_Outline]:
    """Footprint and time of every row, but not of rows that lie within another one of the same time."""
    index = dataset.index
    polygons = index.geometry.to_numpy()
    timed = isinstance(index.index, pd.IntervalIndex)
    spans = [(span.left, span.right) for span in index.index] if timed else [None] * len(index)
    inner, outer = shapely.STRtree(polygons).query(polygons, predicate="covered_by")
    pairs = set(zip(inner.tolist(), outer.tolist(), strict=True))  # equal footprints are a pair in both directions
    twice = {i for i, j in pairs if i != j and spans[i] == spans[j] and ((j, i) not in pairs or j < i)}
    return [(polygon, span) for i, (polygon, span) in enumerate(zip(polygons, spans, strict=True)) if i not in twice]


def _place(shared: _Shared, images: list[GeoDataset], polygon: shapely.Polygon, span: Span | None) -> _Place | None:
    """A grid in a footprint, on the pixels of the image that has most of it; None where no whole pixel fits."""
    dataset = shared.get()
    x_size, y_size = map(float, dataset.res)
    left, bottom, right, top = polygon.bounds
    origin_x, origin_y = _origin(images, polygon, span)
    x, width = _whole_pixels(left, right, origin_x, x_size)
    y, height = _whole_pixels(-top, -bottom, -origin_y, y_size)
    if width < 1 or height < 1:
        return None
    transform = Affine(x_size, 0.0, x, 0.0, -y_size, -y)
    grid = Grid(crs=CRS.from_user_input(dataset.crs), transform=transform, height=height, width=width)
    is_box = polygon.equals(shapely.box(*polygon.bounds))
    return _Place(name=_name(dataset), dataset=shared, grid=grid, span=span, outline=None if is_box else polygon)


def _whole_pixels(first: float, last: float, origin: float, size: float) -> tuple[float, int]:
    """Start and number of the whole pixels between two coordinates, where a pixel starts at the origin."""
    steps = (first - origin) / size
    start = first if abs(steps - round(steps)) <= _SAME_PIXEL else origin + math.ceil(steps) * size
    return start, math.floor((last - start) / size + _SAME_PIXEL)


def _origin(images: list[GeoDataset], polygon: shapely.Polygon, span: Span | None) -> tuple[float, float]:
    """Left and top of the image's footprint that has most of a polygon."""
    for leaf in images:
        rows = _rows(leaf, polygon, span)
        if len(rows):
            shared = shapely.area(shapely.intersection(rows.geometry.to_numpy(), polygon))
            left, _, _, top = rows.geometry.iloc[int(shared.argmax())].bounds
            return left, top
    return polygon.bounds[0], polygon.bounds[3]


def _rows(leaf: GeoDataset, polygon: shapely.Polygon, span: Span | None) -> geopandas.GeoDataFrame:
    """The rows of a dataset's index that share ground and time with a footprint."""
    rows = leaf.index.iloc[np.sort(leaf.index.sindex.query(polygon, predicate="intersects"))]
    rows = rows[~shapely.touches(rows.geometry.to_numpy(), polygon)]
    if span is not None and isinstance(rows.index, pd.IntervalIndex):
        rows = rows[(rows.index.left <= span[1]) & (rows.index.right >= span[0])]
    return rows


def _files(leaves: list[GeoDataset], polygon: shapely.Polygon, span: Span | None) -> tuple[Path, ...]:
    """Files of a footprint where the index names them, else all files of a dataset."""
    found: list[Path] = []
    for leaf in leaves:
        if "filepath" in leaf.index:
            found += [file for path in _rows(leaf, polygon, span)["filepath"] for file in _band_files(leaf, Path(path))]
        else:
            found += map(Path, getattr(leaf, "files", []))
    return tuple(dict.fromkeys(found))


def _band_files(leaf: GeoDataset, path: Path) -> list[Path]:
    """The file of each band where there is one for each, of which the index names one."""
    renamed = getattr(leaf, "_update_filepath", None)  # torchgeo 0.8; products differ in how they name bands
    if not getattr(leaf, "separate_files", False) or renamed is None:
        return [path]
    return [Path(renamed(band, str(path))) for band in getattr(leaf, "bands", ())]


def _names(dataset: GeoDataset, files: list[tuple[Path, ...]]) -> list[str]:
    """A name for each scene: its file's, and a number where several would have the same."""
    names = [paths[0].stem if len(paths) == 1 else _name(dataset) for paths in files]
    counts = Counter(names)
    return [name if counts[name] == 1 else f"{name}[{number}]" for number, name in enumerate(names)]


def _bands(place: _Place, images: list[GeoDataset], options: GeoDatasetOptions) -> BandSet:
    corner = Window(row=0, col=0, height=1, width=1)
    place.read(corner, "mask", 2)  # fails now rather than in the middle of a training
    image = place.read(corner, "image", 3)
    count = len(options.bands) if image is None else len(image)
    names = options.bands or _band_names(images, count)
    if len(names) != count or not names:
        given = f"names for {len(names)}" if names else "no names for them"
        raise InputError(
            f"{place.name}: images have {count} channels, found {given}; name each under `bands`, in their order"
        )
    sensors = [sensor for leaf in images for sensor in _sensors(_name(leaf))]
    return BandSet(
        tuple(
            Band(
                name=name,
                common_name=common_name_of(name) or _common_name(name, sensors),
                scale=options.scale,
                offset=options.offset,
                nodata=options.nodata,
            )
            for name in names
        )
    )


def _band_names(images: list[GeoDataset], count: int) -> tuple[str, ...]:
    """The datasets' own names of as many channels: of all together (intersections), or of the first (unions)."""
    own = [tuple(getattr(leaf, "bands", ()) or getattr(leaf, "all_bands", ())) for leaf in images]
    for names in (tuple(name for part in own for name in part), *own[:1]):
        if len(set(names)) == count == len(names) and all(isinstance(name, str) for name in names):
            return names
    return ()


def _sensors(class_name: str) -> list[str]:
    """The products of our table that a dataset's class is named after: Landsat8 -> landsat-8-l1, landsat-8-l2."""
    words = re.match(r"([a-z]+)(\d*)", class_name.lower())
    prefix = "-".join(filter(None, words.groups())) if words else ""
    return [name for name in SENSORS if prefix and (name == prefix or name.startswith(f"{prefix}-"))]


def _common_name(name: str, sensors: list[str]) -> str | None:
    found = (describe_band(SENSORS[sensor], name) for sensor in sensors)
    return next((band.common_name for band in found if band is not None), None)


def _with_nodata(bands: BandSet, paths: tuple[Path, ...]) -> BandSet:
    """Bands with the nodata value that the first file declares."""
    if not paths or not paths[0].is_file():
        return bands
    try:
        with open_raster(paths[0]) as file:
            nodata = file.nodata
    except InputError:  # no raster: nothing is declared
        return bands
    return BandSet(tuple(replace(band, nodata=nodata) for band in bands))


def _fingerprint(
    place: _Place, files: tuple[Path, ...], settings: list[Any], options: GeoDatasetOptions, legend: Legend
) -> str:
    """All that labels follow from; files by their content, so that a copied folder keeps its fingerprint."""
    grid = place.grid
    facts = {
        "version": _VERSION,
        "datasets": settings,
        "files": [fingerprint(file) if file.is_file() else str(file) for file in files],
        "ignore": sorted(options.ignore),
        "span": str(place.span),
        "outline": None if place.outline is None else place.outline.wkt,
        "grid": [grid.crs.to_wkt(), list(grid.transform)[:6], *grid.shape],
        "legend": [[c.code, c.name] for c in legend],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _settings(leaf: GeoDataset) -> dict[str, Any]:
    """What a dataset was made with, as far as its attributes tell; functions by their names."""
    told = {}
    for name, value in vars(leaf).items():
        if name in _PLACES:
            continue
        try:
            told[name] = json.loads(json.dumps(value))
        except (TypeError, ValueError):
            told[name] = getattr(value, "__qualname__", type(value).__qualname__)
    return told


def _name(dataset: object) -> str:
    return type(dataset).__name__


def _text(error: BaseException) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
