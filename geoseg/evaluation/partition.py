"""Ground in named parts: blocks, or the polygons of a region layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from geoseg.core.grid import Grid
from geoseg.core.placing import cut_to, surroundings
from geoseg.data.labels.options import value_text
from geoseg.data.splits.blocks import Block, polygons_of
from geoseg.data.splits.plane import SEGMENT_M, Plane
from geoseg.data.splits.regions import Regions, prepare
from geoseg.errors import InputError
from geoseg.io.shapes import polygons_in
from geoseg.io.vector import FeatureSource, find_features, read_features

OUTSIDE = "outside"
"""The group of ground that lies in no part."""
_DEGREE_M = 111_320.0  # of a meridian, about


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Partition:
    """Parts of the ground by name, `by` something; ground in none of them is called "outside"."""

    by: str
    names: tuple[str, ...]
    regions: Regions = field(repr=False)

    def paint(self, grid: Grid) -> NDArray[np.int32]:
        """The number of the part that each pixel's centre lies in, shape (row, col); len(names) outside of all."""
        numbers: NDArray[np.int32] = self.regions.paint(grid, fill=len(self.names), dtype=np.int32)
        return numbers

    def name(self, number: int) -> str:
        """Of a part; of `len(names)`, that of the ground outside."""
        return self.names[number] if number < len(self.names) else OUTSIDE


def of_blocks(plane: Plane, blocks: Sequence[Block]) -> Partition:
    """Blocks as parts."""
    regions = prepare(plane, polygons_of(blocks), np.arange(len(blocks)))
    return Partition(by="block", names=tuple(block.name for block in blocks), regions=regions)


def of_layer(path: Path, column: str, plane: Plane, grids: Sequence[Grid]) -> Partition:
    """The polygons of a layer in any CRS, by the values of a column; those of one value are one part.

    Where polygons overlap, later ones lie over earlier ones. Polygons without a value are outside.

    Args:
        path: any vector file that GDAL reads, or GeoParquet.
        column: the attribute that names the parts.
        plane: where they are wanted.
        grids: the ground of interest; what lies elsewhere is not read.

    Raises:
        MissingFileError: no such file.
        InputError: no vector file, no such column, no CRS, other geometries than polygons, or none of them near.
    """
    layer = find_features(path, column=column)
    area = _area(grids, layer)
    frame = read_features(layer, area)
    frame = frame[frame[column].notna() & (frame[column].astype(str).str.strip() != "")]
    if frame.empty:
        raise InputError(f"{path}: no region lies on the evaluated ground; regions and labels must cover common ground")
    others = sorted(set(frame.geometry.geom_type) - {"Polygon", "MultiPolygon"})
    if others:
        raise InputError(f"{path}: holds geometries of type {', '.join(others)}; regions must be polygons")
    values = [value_text(value) for value in frame[column]]
    names = tuple(sorted(set(values)))
    numbers = np.array([names.index(value) for value in values], dtype=np.int64)
    polygons, owners = _in_plane(frame, area, plane, path)
    return Partition(by=column, names=names, regions=prepare(plane, polygons, numbers[owners]))


def _area(grids: Sequence[Grid], layer: FeatureSource) -> BaseGeometry | None:
    boxes = [surroundings(grid, (0, 0), layer.crs) for grid in grids]
    known = [box for box in boxes if box is not None]
    return shapely.union_all(known) if len(known) == len(boxes) else None


def _in_plane(
    frame: geopandas.GeoDataFrame, area: BaseGeometry | None, plane: Plane, path: Path
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Valid polygons near the ground in the plane, and the row that each comes from."""
    valid = shapely.make_valid(shapely.force_2d(frame.geometry.to_numpy()))
    polygons, owners = polygons_in(valid if area is None else cut_to(valid, area))
    longest = SEGMENT_M / (_DEGREE_M if frame.crs.is_geographic else 1)  # edges are straight in the file's own CRS
    moved = geopandas.GeoSeries(shapely.segmentize(polygons, longest), crs=frame.crs).to_crs(plane.crs)
    if len(moved) and not all(map(math.isfinite, moved.total_bounds)):
        raise InputError(f"{path}: some regions do not exist around the evaluated ground; check the file's CRS")
    return moved.to_numpy(), owners
