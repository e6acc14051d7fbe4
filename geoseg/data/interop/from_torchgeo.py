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

import hashlib
import json
import math
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd
import shapely
from affine import Affine
from pyproj import CRS

from geoseg.core.bands import Band, BandSet, common_name_of
from geoseg.core.grid import Grid, Window
from geoseg.core.legend import Legend
from geoseg.core.sensors import SENSORS, describe_band
from geoseg.data.interop.naming import class_name
from geoseg.data.interop.places import GeoLabels, GeoPixels, Place, SharedDataset, Span
from geoseg.data.interop.sources import GeoDatasetOptions, leave_out_caches, leaves_of
from geoseg.errors import InputError
from geoseg.inference.contract import GSD_TOLERANCE
from geoseg.io.dataset import open_raster
from geoseg.io.fingerprint import fingerprint

if TYPE_CHECKING:
    import geopandas
    from torchgeo.datasets import GeoDataset

_VERSION = 1
"""Of this code, in fingerprints: another number where the same dataset gives other labels."""
_SAME_PIXEL = 0.01  # edges that lie this many pixels off a pixel's edge lie on it, as in geoseg.io.reader
_PLACES = {"paths", "root", "files"}  # attributes that differ in a copied folder


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
    leave_out_caches(dataset)
    shared = SharedDataset(dataset)
    leaves = leaves_of(dataset)
    images = [leaf for leaf in leaves if getattr(leaf, "is_image", True)]
    masks = [leaf for leaf in leaves if not getattr(leaf, "is_image", False)]
    told = all("filepath" in leaf.index for leaf in masks)
    places = [(outline, place) for outline in _outlines(dataset) if (place := _place(shared, images, *outline))]
    if not places:
        raise InputError(f"{class_name(dataset)}: every row of its index is smaller than a pixel; set another `res`")
    bands = _bands(places[0][1], images, options)
    settings = [[class_name(leaf), _settings(leaf)] for leaf in leaves]
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


def _pixels(place: Place, files: tuple[Path, ...], bands: BandSet, options: GeoDatasetOptions) -> GeoPixels:
    known = _with_nodata(bands, files) if options.nodata is None else bands
    channels = tuple(range(len(bands)))
    return GeoPixels(name=place.name, bands=known, grid=place.grid, paths=files, channels=channels, place=place)


def _labels(
    place: Place, files: tuple[Path, ...], settings: list[Any], options: GeoDatasetOptions, legend: Legend
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
    name = class_name(dataset)
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


def _place(
    shared: SharedDataset, images: list[GeoDataset], polygon: shapely.Polygon, span: Span | None
) -> Place | None:
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
    return Place(name=class_name(dataset), dataset=shared, grid=grid, span=span, outline=None if is_box else polygon)


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
    names = [paths[0].stem if len(paths) == 1 else class_name(dataset) for paths in files]
    counts = Counter(names)
    return [name if counts[name] == 1 else f"{name}[{number}]" for number, name in enumerate(names)]


def _bands(place: Place, images: list[GeoDataset], options: GeoDatasetOptions) -> BandSet:
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
    sensors = [sensor for leaf in images for sensor in _sensors(class_name(leaf))]
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
    place: Place, files: tuple[Path, ...], settings: list[Any], options: GeoDatasetOptions, legend: Legend
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
