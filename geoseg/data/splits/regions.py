"""Regions: polygons on the ground with a number each, ready to be painted onto any grid."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import DTypeLike, NDArray
from rasterio.features import rasterize

from geoseg.core.grid import Grid
from geoseg.data.splits.plane import SEGMENT_M, Plane

_MAX_VERTICES = 128  # of a piece: a window meets few pieces, and each is painted in some ten microseconds
_MIN_SIDE_M = 1000.0  # smaller pieces are not cut, however many vertices they have
_LAP_M = 1.0  # pieces of one polygon overlap by as much, so that no pixel falls between them


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Regions:
    """Pieces of polygons in a plane, the number of each, and an index of them; made by `prepare`.

    The pieces do not depend on what they are painted onto, so a window gets what the whole grid gets there.
    """

    plane: Plane
    pieces: NDArray[np.object_]
    numbers: NDArray[np.int64]
    index: shapely.STRtree

    def paint(self, grid: Grid, *, fill: int, dtype: DTypeLike) -> NDArray[Any]:
        """Number of the polygon that each pixel's centre lies in, shape (row, col); `fill` outside of all."""
        box = shapely.box(*self.plane.bounds(grid))
        hits = self.index.query(box, predicate="intersects")
        if len(hits) == 0:
            return np.full(grid.shape, fill, dtype=dtype)
        if len(hits) == 1 and self.pieces[hits[0]].covers(box):
            return np.full(grid.shape, self.numbers[hits[0]], dtype=dtype)
        hits.sort()  # the index gives them in an order of its own
        local = shapely.transform(self.pieces[hits], lambda xy: self.plane.unproject(grid, xy))
        shapes = zip(local, self.numbers[hits].tolist(), strict=True)
        painted: NDArray[Any] = rasterize(
            shapes, out_shape=grid.shape, transform=grid.transform, fill=fill, dtype=np.dtype(dtype).name
        )
        return painted


def prepare(plane: Plane, polygons: NDArray[np.object_], numbers: NDArray[np.int64]) -> Regions:
    """Index polygons of a plane; large ones are cut into pieces. Empty ones are left out.

    Args:
        plane: where the polygons are.
        polygons: (multi)polygons, shape (polygon,).
        numbers: what each is painted with, shape (polygon,).
    """
    segmented = shapely.segmentize(polygons, SEGMENT_M)
    pieces: list[shapely.Polygon] = []
    owners: list[int] = []
    for polygon, number in zip(segmented, numbers.tolist(), strict=True):
        for piece in _cut(polygon):
            pieces.append(piece)
            owners.append(number)
    array = np.array(pieces, dtype=np.object_)
    return Regions(plane=plane, pieces=array, numbers=np.array(owners, dtype=np.int64), index=shapely.STRtree(array))


def _cut(polygon: shapely.Geometry) -> Iterator[shapely.Polygon]:
    """Polygons of few vertices that cover a (multi)polygon, cut in halves across its longer side."""
    for part in shapely.get_parts(polygon):
        if not isinstance(part, shapely.Polygon) or part.is_empty:  # cutting may leave a touching line
            continue
        left, bottom, right, top = part.bounds
        side = max(right - left, top - bottom)
        if shapely.get_num_coordinates(part) <= _MAX_VERTICES or side <= _MIN_SIDE_M:
            yield part
            continue
        for half in _halves(part.bounds):
            yield from _cut(shapely.segmentize(part.intersection(half), SEGMENT_M))


def _halves(bounds: tuple[float, float, float, float]) -> tuple[shapely.Polygon, shapely.Polygon]:
    left, bottom, right, top = bounds
    if right - left > top - bottom:
        x = (left + right) / 2
        return shapely.box(left, bottom, x + _LAP_M, top), shapely.box(x - _LAP_M, bottom, right, top)
    y = (bottom + top) / 2
    return shapely.box(left, bottom, right, y + _LAP_M), shapely.box(left, y - _LAP_M, right, top)
