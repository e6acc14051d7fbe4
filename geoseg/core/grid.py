"""Where pixels are: windows in pixel space and grids on the ground."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS, Geod, Transformer

from geoseg.errors import InputError

_PLANAR_AREA_TOLERANCE = 0.01  # areal scale of UTM and national grids stays well within; Web Mercator does not


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A non-empty rectangle of pixels in numpy order; `row` and `col` may be negative (outside of a grid)."""

    row: int
    col: int
    height: int
    width: int

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            msg = f"a window needs at least one row and one column, got {self.height} x {self.width}"
            raise ValueError(msg)

    @property
    def row_end(self) -> int:
        """First row below the window."""
        return self.row + self.height

    @property
    def col_end(self) -> int:
        """First column right of the window."""
        return self.col + self.width

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        return self.height, self.width

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of the window in a (row, col) array; only for windows without negative origin."""
        return slice(self.row, self.row_end), slice(self.col, self.col_end)

    def intersect(self, other: Window) -> Window | None:
        """The common part of two windows, or None where they do not touch."""
        row, col = max(self.row, other.row), max(self.col, other.col)
        height = min(self.row_end, other.row_end) - row
        width = min(self.col_end, other.col_end) - col
        if height < 1 or width < 1:
            return None
        return Window(row=row, col=col, height=height, width=width)

    def within(self, outer: Window) -> Window:
        """The same ground counted from the origin of `outer`."""
        return Window(row=self.row - outer.row, col=self.col - outer.col, height=self.height, width=self.width)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A raster's place on the ground: CRS, affine transform (pixel corners to CRS units) and shape."""

    crs: CRS
    transform: Affine
    height: int
    width: int

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            msg = f"a grid needs at least one row and one column, got {self.height} x {self.width}"
            raise InputError(msg)
        if not abs(self.transform.determinant) > 0:  # also refuses NaN
            msg = f"a grid needs an invertible transform, got {tuple(self.transform)[:6]}"
            raise InputError(msg)

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        return self.height, self.width

    @property
    def window(self) -> Window:
        """The window that covers the whole grid."""
        return Window(row=0, col=0, height=self.height, width=self.width)

    def windows(self, height: int, width: int | None = None) -> Iterator[Window]:
        """Windows of at most this size that partition the grid, row by row; strips of full width without `width`."""
        width = self.width if width is None else width
        for row in range(0, self.height, height):
            for col in range(0, self.width, width):
                yield Window(
                    row=row, col=col, height=min(height, self.height - row), width=min(width, self.width - col)
                )

    def __getitem__(self, window: Window) -> Grid:
        """The grid of a window: the same CRS and pixel size, moved origin."""
        transform = self.transform @ Affine.translation(window.col, window.row)
        return Grid(crs=self.crs, transform=transform, height=window.height, width=window.width)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(left, bottom, right, top) in CRS units, of all four corners (so also right when rotated)."""
        corners = [self.transform @ xy for xy in ((0, 0), (self.width, 0), (0, self.height), (self.width, self.height))]
        xs, ys = zip(*corners, strict=True)
        return min(xs), min(ys), max(xs), max(ys)

    @property
    def gsd_m(self) -> tuple[float, float]:
        """Ground sampling distance in m, (down a column, along a row), measured on the ellipsoid at the centre.

        Raises:
            InputError: where the centre of the grid is no place in its CRS.
        """
        (lon, lat), down, along = (self._lonlat(d_row, d_col) for d_row, d_col in ((0, 0), (1, 0), (0, 1)))
        geod = _geod(self.crs)
        return float(geod.inv(lon, lat, *down)[2]), float(geod.inv(lon, lat, *along)[2])

    def rescaled(self, row_factor: float, col_factor: float) -> Grid:
        """The same ground in pixels `row_factor` times as tall and `col_factor` times as wide (rounded outwards)."""
        height = max(1, math.ceil(self.height / row_factor - 1e-6))
        width = max(1, math.ceil(self.width / col_factor - 1e-6))
        transform = self.transform @ Affine.scale(col_factor, row_factor)
        return Grid(crs=self.crs, transform=transform, height=height, width=width)

    def pixel_area_m2(self, row: int) -> float:
        """Area of a pixel of this row in m²; see `pixel_areas_m2`."""
        return float(self.pixel_areas_m2()[row])

    def pixel_areas_m2(self) -> NDArray[np.float64]:
        """Area of a pixel in m² for every row, shape (height,), taken at the middle column.

        In a projected CRS whose areal scale is within 1 % of true (UTM, national and equal-area grids) this is
        the planar area in that CRS, so that areas agree with pixel counts. Elsewhere (degrees, Web Mercator) it
        is the area on the ellipsoid, by an equal-area projection of the pixel's corners (Snyder 1987, USGS
        Professional Paper 1395): for degrees the cylindrical one, which maps parallels and meridians to straight
        lines (p. 76-85), else Lambert's azimuthal one about the middle of the grid (p. 182-190), which also holds
        at the poles and across the 180th meridian.

        Raises:
            InputError: where the centre of the grid is no place in its CRS.
        """
        true_area = self._ellipsoidal_areas_m2()
        planar = self._planar_area_m2(true_area)
        return true_area if planar is None else np.full(self.height, planar)

    def pixel_steps_m(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """How far it is from pixel to pixel on the ground, as vectors in m, taken at the middle column.

        Planar where `pixel_areas_m2` is planar; elsewhere (east, north), by geodesics on the ellipsoid.

        Returns:
            A step along a row, at the upper border of every row and the lower one of the last, shape (height + 1, 2);
            a step down a column across every row, shape (height, 2).

        Raises:
            InputError: where the centre of the grid is no place in its CRS.
        """
        if self._planar_area_m2(self._ellipsoidal_areas_m2()) is not None:
            unit = self.crs.axis_info[0].unit_conversion_factor
            t = self.transform
            along, down = (np.array([[t.a, t.d]]) * unit, np.array([[t.b, t.e]]) * unit)
            return along.repeat(self.height + 1, axis=0), down.repeat(self.height, axis=0)
        rows, col = np.arange(self.height + 1, dtype=np.float64), self.width // 2
        corners, beside = self._lonlats(rows, col), self._lonlats(rows, col + 1)
        upper, lower = corners[:, :-1], corners[:, 1:]
        return self._geodesics_m(corners, beside), self._geodesics_m(upper, lower)

    def _planar_area_m2(self, true_area: NDArray[np.float64]) -> float | None:
        """Area of a pixel in the CRS, None where that is not the area on the ground."""
        if not self.crs.is_projected:
            return None
        planar: float = abs(self.transform.determinant) * self.crs.axis_info[0].unit_conversion_factor ** 2
        return planar if abs(planar / true_area[self.height // 2] - 1) <= _PLANAR_AREA_TOLERANCE else None

    def _lonlats(self, rows: NDArray[np.float64], col: float) -> NDArray[np.float64]:
        degrees = _crs_on_ellipsoid(self.crs, proj="longlat")
        to_degrees = Transformer.from_crs(self.crs, degrees, always_xy=True)
        return np.array(to_degrees.transform(*self._places(rows, col)))

    def _geodesics_m(self, start: NDArray[np.float64], end: NDArray[np.float64]) -> NDArray[np.float64]:
        azimuth, _, length = _geod(self.crs).inv(*start, *end)
        return np.column_stack([length * np.sin(np.radians(azimuth)), length * np.cos(np.radians(azimuth))])

    def _ellipsoidal_areas_m2(self) -> NDArray[np.float64]:
        rows = np.arange(self.height, dtype=np.float64)
        col = self.width // 2
        to_equal_area = Transformer.from_crs(self.crs, self._equal_area_crs(), always_xy=True)
        corners = []
        for d_col, d_row in ((0, 0), (1, 0), (1, 1), (0, 1)):
            x, y = self._places(rows + d_row, col + d_col)
            corners.append(to_equal_area.transform(x, y))
        (x0, y0), (x1, y1), (x2, y2), (x3, y3) = corners
        diagonals = (x2 - x0) * (y3 - y1) - (x3 - x1) * (y2 - y0)  # shoelace by diagonals: no cancellation
        area: NDArray[np.float64] = np.abs(diagonals) / 2
        return area

    def _places(self, rows: NDArray[np.float64], col: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Places in CRS units; a global grid's rows may reach beyond the poles by half a pixel, but no ground does."""
        a, b, c, d, e, f = self.transform[:6]
        x, y = a * col + b * rows + c, d * col + e * rows + f
        if self.crs.is_geographic:
            pole = math.pi / 2 / self.crs.axis_info[0].unit_conversion_factor
            y = np.clip(y, -pole, pole)
        return x, y

    def _lonlat(self, d_row: float = 0, d_col: float = 0) -> tuple[float, float]:
        """Longitude from Greenwich and latitude in degrees of the grid's centre, moved by so many pixels."""
        x, y = self.transform @ (self.width / 2 + d_col, self.height / 2 + d_row)
        degrees = _crs_on_ellipsoid(self.crs, proj="longlat")  # a geodetic CRS may count in grads, from Paris
        lon, lat = Transformer.from_crs(self.crs, degrees, always_xy=True).transform(x, y)
        if not (math.isfinite(lon) and math.isfinite(lat)):
            msg = f"the grid's centre ({x:g}, {y:g}) is no place in {self.crs.name}: give the scene its true CRS"
            raise InputError(msg)
        return lon, lat

    def _equal_area_crs(self) -> CRS:
        lon, lat = self._lonlat()
        if self.crs.is_geographic:
            return _crs_on_ellipsoid(self.crs, proj="cea", lon_0=lon)
        return _crs_on_ellipsoid(self.crs, proj="laea", lon_0=lon, lat_0=lat)


def _geod(crs: CRS) -> Geod:
    return crs.get_geod() or Geod(ellps="WGS84")


def _crs_on_ellipsoid(crs: CRS, *, proj: str, lon_0: float = 0, lat_0: float = 0) -> CRS:
    """Another projection of the same ellipsoid, from Greenwich, in m or degrees."""
    geod = _geod(crs)
    return CRS.from_dict({"proj": proj, "a": geod.a, "b": geod.b, "lon_0": lon_0, "lat_0": lat_0, "no_defs": True})
