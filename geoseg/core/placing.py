"""Bringing features of any CRS onto a grid: cut to its surroundings, moved, and given a width."""

from __future__ import annotations

import math

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Geod, Transformer
from shapely.geometry.base import BaseGeometry

from geoseg.core.grid import Grid, Window
from geoseg.errors import InputError

_SEGMENT_M = 500.0  # an edge of this length that becomes a curve leaves its chord by centimetres, up to 85 degrees
_EARTH_RADIUS_M = 6371007.2  # of the sphere with the ellipsoid's area: Snyder 1987, USGS Professional Paper 1395, p. 16
_CELL_DEGREES = 5.0  # widths are measured about the middle of such cells: they are right within 0.1 %
_ARC_SEGMENTS = 16  # of a quarter circle
_SPARE = 2  # pixels


def surroundings(grid: Grid, halo: tuple[int, int], crs: CRS) -> BaseGeometry | None:
    """A box in another CRS, or two on both sides of its 180th meridian, that holds a grid and its halo.

    Args:
        grid: where features are wanted.
        halo: rows and columns around it.
        crs: where the box is wanted.

    Returns:
        None where the CRS has no such place.
    """
    outer = outgrown(grid, (halo[0] + _SPARE, halo[1] + _SPARE))
    if same_crs(grid.crs, crs):
        return shapely.box(*outer.bounds)
    left, bottom, right, top = bounds_in(outer, crs)
    if not all(map(math.isfinite, (left, bottom, right, top))):
        return None
    if left <= right:
        return shapely.box(left, bottom, right, top)
    turn = math.pi / _radians(crs)
    return shapely.union(shapely.box(left, bottom, turn, top), shapely.box(-turn, bottom, right, top))


def outgrown(grid: Grid, halo: tuple[int, int]) -> Grid:
    """A grid and so many rows and columns around it."""
    rows, cols = halo
    return grid[Window(row=-rows, col=-cols, height=grid.height + 2 * rows, width=grid.width + 2 * cols)]


def bounds_in(grid: Grid, crs: CRS) -> tuple[float, float, float, float]:
    """(left, bottom, right, top) of a grid in another CRS; left > right across its 180th meridian, inf if nowhere."""
    left, bottom, right, top = grid.bounds
    if grid.crs.is_geographic:  # a grid may reach beyond the poles by half a pixel, but no ground does
        pole = math.pi / 2 / _radians(grid.crs)
        bottom, top = max(bottom, -pole), min(top, pole)
    bounds: tuple[float, float, float, float] = Transformer.from_crs(grid.crs, crs, always_xy=True).transform_bounds(
        left, bottom, right, top
    )
    return bounds


def same_crs(one: CRS, other: CRS) -> bool:
    """True where coordinates (x, y) mean the same; the formal order of axes does not matter."""
    return one.equals(other, ignore_axis_order=True)


def cut_to(geometries: NDArray[np.object_], area: BaseGeometry) -> NDArray[np.object_]:
    """The parts of valid geometries that lie in an area; may hold empty ones."""
    shapely.prepare(area)
    outside = ~shapely.covers(area, geometries)
    cut = geometries.copy()
    cut[outside] = shapely.intersection(geometries[outside], area)
    return cut


def move(geometries: NDArray[np.object_], crs: CRS, grid: Grid) -> NDArray[np.object_]:
    """Geometries of one CRS in that of a grid; long edges are bent as the ground demands.

    Raises:
        InputError: some are no place there.
    """
    if same_crs(crs, grid.crs):
        return geometries
    moved = _project(shapely.segmentize(geometries, _segment(crs, grid)), crs, grid.crs)
    if len(moved) and not np.isfinite(shapely.total_bounds(moved)).all():
        raise InputError(f"some features do not exist in the CRS {grid.crs.name!r}; check that they cover the scene")
    return moved


def widen(geometries: NDArray[np.object_], radii_m: NDArray[np.float64], grid: Grid) -> NDArray[np.object_]:
    """Polygons of all places closer to points and lines than a radius in true m; all in a grid's CRS.

    Distances are measured in azimuthal equidistant projections (Snyder 1987, USGS Professional Paper 1395, p. 191-202)
    about the middle of cells of 5 degrees.

    Args:
        geometries: points and lines, shape (geometry,).
        radii_m: one for each, in m.
        grid: gives the CRS.
    """
    segment = _segment(grid.crs, grid)
    fine = shapely.segmentize(geometries, segment)
    degrees = _on_ellipsoid(grid.crs, proj="longlat")
    places = _project(shapely.centroid(fine), grid.crs, degrees)
    cells = np.column_stack(
        [np.round(f(places) / _CELL_DEGREES) * _CELL_DEGREES for f in (shapely.get_x, shapely.get_y)]
    )
    wide = np.empty(len(fine), dtype=object)
    for lon, lat in np.unique(cells, axis=0).tolist():
        here = (cells == (lon, lat)).all(axis=1)
        local = _on_ellipsoid(grid.crs, proj="aeqd", lon_0=lon, lat_0=lat)
        round_ = shapely.buffer(_project(fine[here], grid.crs, local), radii_m[here], quad_segs=_ARC_SEGMENTS)
        wide[here] = _project(shapely.segmentize(round_, _SEGMENT_M), local, grid.crs)
    return wide


def to_pixels(geometries: NDArray[np.object_], grid: Grid) -> NDArray[np.object_]:
    """Geometries of a grid's CRS in its pixel coordinates (x = column, y = row)."""
    a, b, c, d, e, f = tuple(~grid.transform)[:6]
    return _transformed(geometries, lambda x, y: (a * x + b * y + c, d * x + e * y + f))


def half_diagonal_m(grid: Grid) -> float:
    """Half the diagonal of the pixel in a grid's middle, in m."""
    return math.hypot(*grid.gsd_m) / 2


def _segment(crs: CRS, grid: Grid) -> float:
    """The longest edge that is moved by its ends alone, in units of a CRS; pixels need not be divided."""
    metres = max(_SEGMENT_M, *grid.gsd_m)
    if crs.is_geographic:
        return metres / _EARTH_RADIUS_M / _radians(crs)
    return metres / crs.axis_info[0].unit_conversion_factor


def _radians(crs: CRS) -> float:
    """Of a geographic CRS's unit."""
    return float(crs.axis_info[0].unit_conversion_factor)


def _project(geometries: NDArray[np.object_], source: CRS, target: CRS) -> NDArray[np.object_]:
    return _transformed(geometries, Transformer.from_crs(source, target, always_xy=True).transform)


def _transformed(geometries: NDArray[np.object_], function: object) -> NDArray[np.object_]:
    moved: NDArray[np.object_] = shapely.transform(geometries, function, interleaved=False)  # type: ignore[call-overload]
    return moved


def _on_ellipsoid(crs: CRS, *, proj: str, lon_0: float = 0, lat_0: float = 0) -> CRS:
    """A projection of the same ellipsoid; to it and back no datum is shifted."""
    geod = crs.get_geod() or Geod(ellps="WGS84")
    return CRS.from_dict({"proj": proj, "a": geod.a, "b": geod.b, "lon_0": lon_0, "lat_0": lat_0, "no_defs": True})
