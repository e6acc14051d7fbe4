"""The plane in which blocks lie: equal-area, in m, around the scenes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Transformer

from geoseg.core.grid import Grid
from geoseg.errors import InputError

SEGMENT_M = 500.0
"""Longest straight edge that is carried from one CRS to another by its ends alone.

An edge of length L that becomes a curve of curvature k leaves its chord by L²k/8: by less than a millimetre in UTM
(k below 1e-8 per m) and by less than 7 cm along a parallel at 85 degrees (k = tan(85°)/R), the worst case in degrees.
"""
_EARTH_RADIUS_M = 6371007.2  # of the sphere with the ellipsoid's area: Snyder 1987, USGS Professional Paper 1395, p. 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """Lambert's azimuthal equal-area projection on WGS 84, in m, around a place (longitude and latitude in degrees)."""

    lon: float
    lat: float

    @classmethod
    def around(cls, grids: Sequence[Grid]) -> Plane:
        """The plane around the middle of all grids, whatever their order.

        Raises:
            InputError: the centre of a grid is no place in its CRS.
        """
        angles = np.radians([_lonlat(grid) for grid in grids])
        lon, lat = angles[:, 0], angles[:, 1]
        parts = (np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat))
        x, y, z = (math.fsum(part.tolist()) / len(grids) for part in parts)  # fsum: exact, so in any order the same
        middle = math.degrees(math.atan2(y, x)), math.degrees(math.atan2(z, math.hypot(x, y)))
        return cls(lon=round(middle[0], 6), lat=round(middle[1], 6))

    @property
    def crs(self) -> CRS:
        """The projection itself."""
        return CRS.from_string(self._proj)

    @property
    def _proj(self) -> str:
        return f"+proj=laea +lon_0={self.lon!r} +lat_0={self.lat!r} +datum=WGS84 +units=m +no_defs"

    def project(self, crs: CRS, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Places (point, 2) of another CRS in this plane."""
        return np.column_stack(_transformer(crs.srs, self._proj).transform(xy[:, 0], xy[:, 1]))

    def unproject(self, grid: Grid, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Places (point, 2) of this plane in the CRS of a grid; longitudes are those within half a turn of the grid."""
        x, y = _transformer(self._proj, grid.crs.srs).transform(xy[:, 0], xy[:, 1])
        if grid.crs.is_geographic:
            turn = 2 * math.pi / grid.crs.axis_info[0].unit_conversion_factor
            middle = (grid.transform @ (grid.width / 2, grid.height / 2))[0]
            x = middle + (x - middle + turn / 2) % turn - turn / 2
        return np.column_stack([x, y])

    def footprint(self, grid: Grid) -> shapely.Polygon:
        """The outline of a grid in this plane."""
        down, along = grid.gsd_m
        rows = np.linspace(0, grid.height, 1 + math.ceil(grid.height * down / SEGMENT_M))
        cols = np.linspace(0, grid.width, 1 + math.ceil(grid.width * along / SEGMENT_M))
        return shapely.Polygon(self._outline(grid, rows, cols))

    def bounds(self, grid: Grid) -> tuple[float, float, float, float]:
        """(left, bottom, right, top) in this plane, a little generous, of a grid."""
        rows, cols = np.linspace(0, grid.height, 9), np.linspace(0, grid.width, 9)
        xy = self._outline(grid, rows, cols)
        low, high = xy.min(axis=0), xy.max(axis=0)
        margin = SEGMENT_M + 0.01 * float((high - low).max())  # an edge's bulge between two of its nine points
        return float(low[0] - margin), float(low[1] - margin), float(high[0] + margin), float(high[1] + margin)

    def stretch(self, radius_m: float) -> float:
        """How much longer a distance may be in this plane than on the ground, up to `radius_m` from its centre.

        1 / cos(c/2) at the angular distance c from the centre (Snyder 1987, p. 185); less than 1.0001 within 180 km.
        """
        half = min(radius_m / (2 * _EARTH_RADIUS_M), 0.99)
        return 1 / math.sqrt(1 - half**2)

    def _outline(self, grid: Grid, rows: NDArray[np.float64], cols: NDArray[np.float64]) -> NDArray[np.float64]:
        row = np.concatenate([np.zeros(len(cols)), rows, np.full(len(cols), grid.height), rows[::-1]])
        col = np.concatenate([cols, np.full(len(rows), grid.width), cols[::-1], np.zeros(len(rows))])
        xy = self.project(grid.crs, places(grid, row, col))
        if not np.isfinite(xy).all():
            raise InputError(f"a grid reaches beyond its CRS {grid.crs.name}: give the scene its true CRS, or crop it")
        return xy


def places(grid: Grid, rows: NDArray[Any], cols: NDArray[Any]) -> NDArray[np.float64]:
    """(x, y) in CRS units of places counted in pixels from a grid's corner, shape (place, 2)."""
    a, b, c, d, e, f = tuple(grid.transform)[:6]
    return np.column_stack([a * cols + b * rows + c, d * cols + e * rows + f])


def _lonlat(grid: Grid) -> tuple[float, float]:
    x, y = grid.transform @ (grid.width / 2, grid.height / 2)
    lon, lat = _transformer(grid.crs.srs, "EPSG:4326").transform(x, y)
    if not (math.isfinite(lon) and math.isfinite(lat)):
        raise InputError(
            f"the grid's centre ({x:g}, {y:g}) is no place in {grid.crs.name}: give the scene its true CRS"
        )
    return lon, lat


@lru_cache(maxsize=64)
def _transformer(source: str, target: str) -> Transformer:
    """Made once a process, as making one takes milliseconds; pyproj's transformers may be shared between threads."""
    return Transformer.from_crs(source, target, always_xy=True)
