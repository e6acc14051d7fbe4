"""Simplify and smooth traced polygons: every border once, for both neighbours, polygon by polygon.

How the result stays a coverage is written in `geoseg.vectorize.arcs`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from geoseg.core.compiled import compiled
from geoseg.errors import InputError
from geoseg.vectorize.arcs import GONE, ROUND, Limits, thin_rings
from geoseg.vectorize.regularise import regularise
from geoseg.vectorize.trace import Polygons

METHODS = ("visvalingam", "douglas-peucker")
_MOST_SMOOTH = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class SimplifyOptions:
    """How to simplify borders.

    `tolerance` is in `unit`, metres on the ground or pixels; 0 = every vertex stays. "visvalingam" takes out vertices
    whose triangle with their neighbours is smaller than the square of `tolerance`, the smallest first (Visvalingam and
    Whyatt 1993): it goes by what can be seen, and suits land cover. "douglas-peucker" keeps what is farther than
    `tolerance` from the line without it (Douglas and Peucker 1973): borders move by no more, except beside a vertex
    that has to stay. `smooth` is how many times corners are then cut (Chaikin 1974); each time doubles the vertices.
    `regularise` are the names or codes of classes whose outlines get right angles where that is possible, as
    `geoseg.vectorize.regularise` says.

    Raises:
        InputError: for an unknown method or unit, a tolerance that is no length, or too much smoothing.
    """

    method: Literal["visvalingam", "douglas-peucker"] = "visvalingam"
    tolerance: float = 0.0
    unit: Literal["m", "px"] = "m"
    smooth: int = 0
    regularise: tuple[str | int, ...] = ()

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise InputError(f"the method to simplify is {self.method!r}; known are {', '.join(METHODS)}")
        if self.unit not in ("m", "px"):
            raise InputError(f"the tolerance for simplifying is in {self.unit!r}; needed is 'm' or 'px'")
        if not (math.isfinite(self.tolerance) and self.tolerance >= 0):
            msg = f"the tolerance for simplifying is {self.tolerance} {self.unit}; needed is a length of at least 0"
            raise InputError(msg)
        if not 0 <= self.smooth <= _MOST_SMOOTH:
            raise InputError(f"corners are to be cut {self.smooth} times; needed is 0 to {_MOST_SMOOTH}")


def simplify(polygons: Polygons, *, options: SimplifyOptions, gsd_m: tuple[float, float]) -> Polygons:
    """Simplify and smooth the borders of some traced polygons.

    A border comes out the same from both its neighbours, in whatever batches they are: together the polygons stay a
    coverage, without gaps or overlaps, and every polygon stays valid. What borders on nodata or on the scene's edge,
    and the junctions where three areas meet, stay in place. `area_m2` changes in proportion to the planar area.

    Args:
        polygons: traced with `keep_junctions` and `keep_borders`; what is to be regularised is what was `chosen` then.
        options: how to simplify.
        gsd_m: size of a pixel on the ground in m, (along rows' axis, along columns' axis), as `Grid.gsd_m`.

    Raises:
        InputError: for polygons that were traced without what is needed.
    """
    if not len(polygons.borders):
        raise InputError("polygons were traced without their borders; trace with keep_junctions and keep_borders")
    old, corner_points = polygons.ring_offsets, 1 << options.smooth
    fates = np.empty(len(polygons.coords), dtype=np.uint8)
    corners = polygons.coords.astype(np.int32, copy=False)
    thin_rings(corners, old, polygons.kinds, polygons.borders, _limits(options, gsd_m), fates)
    offsets = _count_points(old, fates, corner_points)
    coords = np.empty((offsets[-1], 2), dtype=np.float64)
    areas = _draw_rings(corners, old, fates, corner_points, coords)
    if options.regularise:
        coords, offsets = _put_in(*regularise(polygons, gsd_m), coords, offsets, areas)
    planar = np.add.reduceat(areas, polygons.polygon_offsets[:-1])
    return replace(
        polygons,
        coords=coords,
        kinds=polygons.kinds[:0],
        borders=polygons.borders[:0],
        ring_offsets=offsets,
        area_m2=polygons.area_m2 * planar / polygons.pixels,
    )


def _put_in(
    rings: NDArray[np.int64],
    points: list[NDArray[np.float64]],
    coords: NDArray[np.float64],
    offsets: NDArray[np.int64],
    areas: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Put the points of some rings in place of those they had, in the same direction, and change their areas."""
    sizes, pieces, done = np.diff(offsets), [], 0
    for ring, new in zip(rings.tolist(), points, strict=True):
        x, y = (new - new[0]).T
        area = float(np.sum(x[:-1] * y[1:] - y[:-1] * x[1:])) / 2
        same_way = area * areas[ring] > 0
        pieces += [coords[done : offsets[ring]], new if same_way else new[::-1]]
        done, sizes[ring], areas[ring] = int(offsets[ring + 1]), len(new), area if same_way else -area
    return np.concatenate([*pieces, coords[done:]]), np.concatenate([[0], np.cumsum(sizes)])


def _limits(options: SimplifyOptions, gsd_m: tuple[float, float]) -> Limits:
    height, width = gsd_m if options.unit == "m" else (1.0, 1.0)
    rounds = options.smooth > 0
    if options.method == "visvalingam":
        double_area = 2 * options.tolerance**2 / (height * width)
        return Limits(double_area=double_area, distance=-1.0, width=width, height=height, rounds=rounds)
    return Limits(double_area=math.inf, distance=options.tolerance, width=width, height=height, rounds=rounds)


@compiled
def _count_points(ring_offsets: NDArray[np.int64], fates: NDArray[np.uint8], corner_points: int) -> NDArray[np.int64]:
    """The offsets of rings after their vertices met their fates, with a closing point each."""
    offsets = np.zeros_like(ring_offsets)
    for ring in range(len(ring_offsets) - 1):
        n = 1
        for fate in fates[ring_offsets[ring] : ring_offsets[ring + 1] - 1]:
            if fate == ROUND:
                n += corner_points
            elif fate != GONE:
                n += 1
        offsets[ring + 1] = offsets[ring] + n
    return offsets


@compiled
def _draw_rings(
    coords: NDArray[np.int32],
    ring_offsets: NDArray[np.int64],
    fates: NDArray[np.uint8],
    corner_points: int,
    drawn: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Write the points of rings whose vertices met their fates; returns the rings' areas in px, those of holes < 0."""
    areas = np.zeros(len(ring_offsets) - 1)
    n = 0
    for ring in range(len(ring_offsets) - 1):
        begin, end = ring_offsets[ring], ring_offsets[ring + 1] - 1
        first, b = n, begin
        while fates[b] == GONE:
            b += 1
        a, start = end - 1, b
        while fates[a] == GONE:
            a -= 1
        while b < end:
            c = b + 1
            while c < end and fates[c] == GONE:
                c += 1
            points = corner_points if fates[b] == ROUND else 1
            _draw_corner(coords[a], coords[b], coords[c if c < end else start], drawn[n : n + points])
            n += points
            a, b = b, c
        drawn[n] = drawn[first]
        n += 1
        for i in range(first, n - 1):
            x, y = drawn[i] - drawn[first]
            areas[ring] += (x * (drawn[i + 1, 1] - drawn[first, 1]) - y * (drawn[i + 1, 0] - drawn[first, 0])) / 2
    return areas


@compiled
def _draw_corner(a: NDArray[np.int32], b: NDArray[np.int32], c: NDArray[np.int32], drawn: NDArray[np.float64]) -> None:
    """Write the 1, 2, 4, ... points that repeated cutting of the corner abc leaves of b.

    They are the middle control points of equal parts of the quadratic Bezier curve between the midpoints of ab and bc.
    All numbers are multiples of a power of 2, so that both directions give the same points to the last bit.
    """
    n = len(drawn)
    for i in range(n):
        from_a, from_c = (n - i) * (n - i - 1), i * (i + 1)
        from_b = 2 * n * n - from_a - from_c
        for axis in range(2):
            drawn[i, axis] = (from_a * a[axis] + from_b * b[axis] + from_c * c[axis]) / (2 * n * n)
