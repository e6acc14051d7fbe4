"""Polygons in the pixel coordinates of a grid, ready to be painted onto any window of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import rasterize
from shapely.geometry.base import BaseGeometry

from geoseg.core.grid import Window
from geoseg.core.legend import UNLABELLED
from geoseg.core.placing import cut_to

SNAP = 2.0**-20
"""Of a pixel: coordinates are multiples of it, so that moving them by whole pixels is exact in floating point."""

_MAX_VERTICES = 256  # of a piece: a window meets few pieces, and painting takes microseconds a vertex
_MIN_SIDE = 32  # pixels: smaller pieces are not cut, however many vertices they have
POLYGON = 3
"""Type number of shapely."""
_FIRST_MULTI = 4  # type numbers from here on are of collections


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shapes:
    """Pieces of polygons in painting order, the value of each, and an index of them; made by `prepare`.

    Neither pieces nor coordinates depend on a window, and cuts run between pixel centres, so a window gets what the
    whole grid gets there.
    """

    pieces: NDArray[np.object_]
    values: NDArray[np.uint8]
    index: shapely.STRtree

    def paint(self, window: Window) -> NDArray[np.uint8]:
        """The value of the last polygon that each pixel's centre lies in, shape (row, col); 255 outside of all.

        One thread of a process may paint at a time: rasterio changes Python's warning filters meanwhile.
        """
        hits = self.index.query(shapely.box(window.col, window.row, window.col_end, window.row_end))
        if len(hits) == 0:
            return np.full(window.shape, UNLABELLED, dtype=np.uint8)
        hits.sort()  # the index gives them in an order of its own
        shapes = zip(self.pieces[hits], self.values[hits].tolist(), strict=True)
        transform = Affine.translation(window.col, window.row)
        painted: NDArray[np.uint8] = rasterize(
            shapes, out_shape=window.shape, transform=transform, fill=UNLABELLED, dtype=np.uint8
        )
        return painted


def prepare(polygons: NDArray[np.object_], values: NDArray[np.uint8]) -> Shapes:
    """Snap, cut and index polygons.

    Args:
        polygons: valid (multi)polygons in pixel coordinates (x = column, y = row), in painting order, shape (polygon,).
        values: what each is painted with, shape (polygon,).
    """
    parts, owners = polygons_in(shapely.set_precision(polygons, SNAP))
    pieces, numbers = _cut(parts, owners)
    return Shapes(pieces=pieces, values=values[numbers], index=shapely.STRtree(pieces))


def simple_parts(geometries: NDArray[np.object_]) -> tuple[NDArray[np.object_], NDArray[np.int64]]:
    """Points, lines and polygons in collections of any depth, without empty ones, and the position of their owner."""
    parts, owners = geometries, np.arange(len(geometries))
    while (shapely.get_type_id(parts) >= _FIRST_MULTI).any():
        parts, positions = shapely.get_parts(parts, return_index=True)
        owners = owners[positions]
    there = ~shapely.is_empty(parts)
    return parts[there], owners[there]


def polygons_in(geometries: NDArray[np.object_]) -> tuple[NDArray[np.object_], NDArray[np.int64]]:
    """Polygons in collections of any depth, and the position of their owner."""
    parts, owners = simple_parts(geometries)
    chosen = shapely.get_type_id(parts) == POLYGON
    return parts[chosen], owners[chosen]


def polygons_near(
    polygons: NDArray[np.object_], area: BaseGeometry | None
) -> tuple[NDArray[np.object_], NDArray[np.int64]]:
    """The parts of polygons that lie in an area, mended where they cross themselves, and the position of their owner.

    Args:
        polygons: (multi)polygons, shape (polygon,).
        area: in the same CRS, None = everywhere.
    """
    parts, owners = polygons_in(_mended(polygons))
    if area is None:
        return parts, owners
    cut, positions = polygons_in(cut_to(parts, area))
    return cut, owners[positions]


def _mended(polygons: NDArray[np.object_]) -> NDArray[np.object_]:
    """Polygons that cross themselves, made valid: what any of their loops goes around is inside, holes are not."""
    valid = polygons.copy()
    broken = ~shapely.is_valid(polygons)
    valid[broken] = shapely.make_valid(polygons[broken], method="structure", keep_collapsed=False)
    return valid


def _cut(polygons: NDArray[np.object_], owners: NDArray[np.int64]) -> tuple[NDArray[np.object_], NDArray[np.int64]]:
    """Polygons in pieces of few vertices, and the owner of each; in the order of owners."""
    pieces: list[BaseGeometry] = []
    numbers: list[int] = []
    for polygon, owner in zip(polygons, owners.tolist(), strict=True):
        cut = _pieces(polygon)
        pieces += cut
        numbers += [owner] * len(cut)
    return np.array(pieces, dtype=object), np.array(numbers, dtype=np.int64)


def _pieces(polygon: BaseGeometry) -> list[BaseGeometry]:
    """Halve a polygon's box along whole pixels until its pieces are small."""
    done, left = [], [polygon]
    while left:
        piece = left.pop()
        west, south, east, north = piece.bounds
        if shapely.get_num_coordinates(piece) <= _MAX_VERTICES or max(east - west, north - south) <= _MIN_SIDE:
            done.append(piece)
            continue
        for half in _halves(west, south, east, north):
            part = shapely.intersection(piece, half, grid_size=SNAP)
            left.extend(polygons_in(np.array([part], dtype=object))[0])
    return done


def _halves(west: float, south: float, east: float, north: float) -> tuple[BaseGeometry, BaseGeometry]:
    if east - west > north - south:
        middle = round((west + east) / 2)
        return shapely.box(west, south, middle, north), shapely.box(middle, south, east, north)
    middle = round((south + north) / 2)
    return shapely.box(west, south, east, middle), shapely.box(west, middle, east, north)
