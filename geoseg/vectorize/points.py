"""A point for each polygon, inside of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import pyarrow as pa
import shapely

from geoseg.vectorize.part import Part


def to_points(parts: Iterable[Part]) -> Iterator[Part]:
    """The same areas, each as a point in its interior, whatever its shape; of several polygons in one of them."""
    for part in parts:
        polygons = shapely.from_wkb(part.geometries.to_numpy(zero_copy_only=False))
        points = shapely.to_wkb(shapely.point_on_surface(polygons))
        yield replace(part, geometries=pa.array(points, type=pa.binary()))
