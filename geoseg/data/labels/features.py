"""Labels from vector files: polygons, and lines and points that are given a width."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS
from shapely.geometry.base import BaseGeometry

from geoseg.core.grid import Grid, Window
from geoseg.core.legend import UNLABELLED, Legend
from geoseg.core.placing import cut_to, half_diagonal_m, move, surroundings, to_pixels, widen
from geoseg.data.ground import LabelReader, LabelWindow
from geoseg.data.labels.boundary import PixelSizes
from geoseg.data.labels.options import LabelSource, value_text
from geoseg.data.labels.recoding import Recoding, recoding
from geoseg.errors import InputError
from geoseg.io.shapes import POLYGON, Shapes, polygons_near, prepare, simple_parts
from geoseg.io.vector import FeatureSource, find_features, holds_features, read_features

IGNORED = 254
"""What features are painted with whose value is listed under `ignore`; no class has this index."""
_LEFT_OUT = -1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FeatureLabels:
    """Labels painted from shapes in memory; beyond the grid as well, as far as its halo reaches."""

    shapes: Shapes

    @contextmanager
    def reader(self) -> Iterator[LabelReader]:
        """Nothing has to be opened."""
        yield self

    def read(self, window: Window) -> LabelWindow:
        """The labels of a window."""
        painted = self.shapes.paint(window)
        ignored = painted == IGNORED
        return LabelWindow(classes=np.where(ignored, UNLABELLED, painted).astype(np.uint8), ignored=ignored)


def open_features(source: LabelSource, grid: Grid, legend: Legend) -> FeatureLabels:
    """Read the features that touch a grid, and make them ready to be painted.

    Raises:
        MissingFileError: if the file is not there.
        InputError: if it cannot be read, has no such column, layer or CRS, or nothing near the grid; for values that
            the legend does not have, and for lines and points without a width.
    """
    if source.column is None:
        raise InputError(f"{source.path}: label polygons need the column that holds the class; name it as `column`")
    layer = find_features(source.path, column=source.column, layer=source.layer)
    area = surroundings(grid, _halo(source, grid), layer.crs)
    frame = read_features(layer, area)
    if frame.empty:
        raise _nothing_near(layer)
    indices = _class_indices(frame[source.column].tolist(), recoding(source, legend, names=True), source.column)
    order = _painting_order(indices, source, legend)
    indices = indices[order]
    parts, owners = simple_parts(shapely.force_2d(frame.geometry.to_numpy()[order]))
    radii = _radii(parts, indices[owners], source, legend)
    polygons, numbers = _onto_grid(parts, radii, layer.crs, area, grid)
    values = np.where(indices == UNLABELLED, IGNORED, indices).astype(np.uint8)
    return FeatureLabels(shapes=prepare(to_pixels(polygons, grid), values[owners[numbers]]))


def _nothing_near(layer: FeatureSource) -> InputError:
    if not holds_features(layer):
        return InputError(f"{layer.path}: holds no polygons; give a file with at least one")
    return InputError(f"{layer.path}: no labelled pixel lies on its scene; labels and scene must cover common ground")


def _halo(source: LabelSource, grid: Grid) -> tuple[int, int]:
    """Rows and columns around a grid from which features reach it."""
    widest = max(source.buffer_m.values(), default=0.0) if isinstance(source.buffer_m, dict) else source.buffer_m or 0.0
    if widest + source.boundary_m == 0:
        return 0, 0
    return PixelSizes.of(grid).halo(grid, widest + half_diagonal_m(grid) + source.boundary_m)


def _class_indices(values: list[object], codes: Recoding, column: str) -> NDArray[np.int16]:
    """Class index of every feature; 255 = ignored, -1 = left out.

    Raises:
        InputError: for values that nothing is said about.
    """
    texts = [value_text(value) for value in values]
    unknown = sorted(set(texts) - set(codes.indices))
    if unknown and not codes.rest:
        raise codes.unknown_values(column, unknown)
    return np.array([codes.indices.get(text, _LEFT_OUT) for text in texts], dtype=np.int16)


def _painting_order(indices: NDArray[np.int16], source: LabelSource, legend: Legend) -> NDArray[np.int64]:
    """Positions of the features that are painted: classes without priority first, the first of all last."""
    rank = np.zeros(UNLABELLED + 1)
    names = [c.name for c in legend]
    for place, name in enumerate(reversed(source.priority), start=1):
        rank[names.index(name)] = place
    told = np.flatnonzero(indices != _LEFT_OUT)
    order: NDArray[np.int64] = told[np.argsort(rank[indices[told]], kind="stable")]
    return order


def _radii(
    parts: NDArray[np.object_], indices: NDArray[np.int16], source: LabelSource, legend: Legend
) -> NDArray[np.float64]:
    """Width to give to each part in m: 0 for polygons, NaN for what is ignored and has none.

    Raises:
        InputError: for lines and points of a class without a width.
    """
    widths = np.full(UNLABELLED + 1, np.nan)
    if isinstance(source.buffer_m, dict):
        widths[: len(legend)] = [source.buffer_m.get(c.name, np.nan) for c in legend]
    elif source.buffer_m is not None:
        widths[:] = source.buffer_m
    radii = np.where(shapely.get_type_id(parts) == POLYGON, 0.0, widths[indices])
    lacking = np.unique(indices[np.isnan(radii) & (indices != UNLABELLED)])
    if lacking.size:
        names = ", ".join(legend[i].name for i in lacking.tolist())
        raise InputError(
            f"{source.path}: found lines or points of {names}, which cover no ground; give them `buffer_m`"
        )
    return radii


def _onto_grid(
    parts: NDArray[np.object_], radii: NDArray[np.float64], crs: CRS, area: BaseGeometry | None, grid: Grid
) -> tuple[NDArray[np.object_], NDArray[np.int64]]:
    """Valid polygons in a grid's CRS, and the position of the part that each comes from, rising."""
    solid, thin = np.flatnonzero(radii == 0), np.flatnonzero(radii > 0)
    polygons, owners = polygons_near(parts[solid], area)
    bands, bearers = parts[thin], thin
    if area is not None:
        bands, crossed = simple_parts(cut_to(bands, area))
        bearers = thin[crossed]
    least = half_diagonal_m(grid)
    wide = widen(move(bands, crs, grid), np.maximum(radii[bearers], least), grid)
    everything = np.concatenate([move(polygons, crs, grid), wide])
    numbers = np.concatenate([solid[owners], bearers])
    order = np.argsort(numbers, kind="stable")
    return everything[order], numbers[order]
