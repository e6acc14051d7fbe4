"""Areas of interest: the polygons of a vector file in any CRS, on a grid."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray

from geoseg.core.grid import Grid, Window
from geoseg.core.placing import move, surroundings, to_pixels
from geoseg.errors import InputError
from geoseg.io.shapes import POLYGON, Shapes, polygons_near, prepare, simple_parts
from geoseg.io.vector import find_features, holds_features, read_features

_INSIDE = 0  # what polygons are painted with
_ARC_SEGMENTS = 2  # of a quarter circle: as wide as wanted, or up to 8 % less


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Area:
    """The polygons of an area of interest that touch a grid, ready to be painted; made by `open_area`."""

    shapes: Shapes

    def inside(self, window: Window) -> NDArray[np.bool_]:
        """True where a pixel's centre lies in one of the polygons, shape (row, col)."""
        inside: NDArray[np.bool_] = self.shapes.paint(window) == _INSIDE
        return inside


def inside_of(area: Area | None, window: Window) -> NDArray[np.bool_]:
    """True inside of an area, shape (row, col); everywhere where there is none."""
    return np.ones(window.shape, dtype=np.bool_) if area is None else area.inside(window)


def open_area(path: Path, grid: Grid, *, margin_px: float = 0.0) -> Area:
    """Read the polygons of a file that touch a grid.

    Args:
        path: any vector file that GDAL reads, or GeoParquet.
        grid: where they are wanted.
        margin_px: they are widened by so many pixels, to some sides by up to 8 % less.

    Raises:
        MissingFileError: if the file is not there.
        InputError: if it cannot be read, has no CRS, or no polygons on the grid.
    """
    layer = find_features(path)
    around = surroundings(grid, (0, 0), layer.crs)
    frame = read_features(layer, around)
    if frame.empty and not holds_features(layer):
        raise InputError(f"{path}: holds no polygons; give the area of interest at least one")
    if frame.empty:
        raise InputError(f"{path}: the area of interest does not touch the scene; they must cover common ground")
    parts, _ = simple_parts(shapely.force_2d(frame.geometry.to_numpy()))
    if (shapely.get_type_id(parts) != POLYGON).any():
        raise InputError(f"{path}: holds geometries that are no polygons; an area of interest needs polygons")
    polygons, _ = polygons_near(parts, around)
    polygons = to_pixels(move(polygons, layer.crs, grid), grid)
    if margin_px > 0:
        polygons = shapely.buffer(polygons, margin_px, quad_segs=_ARC_SEGMENTS)
    return Area(shapes=prepare(polygons, np.full(len(polygons), _INSIDE, dtype=np.uint8)))
