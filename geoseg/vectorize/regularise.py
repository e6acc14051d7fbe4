"""Right angles for the outlines of chosen classes: rings become rectilinear polygons in their own main direction.

Only rings without a junction are taken, which have one area on either side, and no nodata. Both of these get the same
ring, since all that is decided here depends on the ring and on the borders of the raster as they were.

The new ring stays within the convex hull of the old one, and the closed hull must hold no corner of another border. So
no other outline comes near it, simplified or smoothed: such an edge is outside of the hull at first. If it entered in
place of the edges ab and bc as their ac, the part of the hull beyond ac would lie in the triangle abc, and with it a
corner of the old ring, which `geoseg.vectorize.arcs` does not allow. Hulls of two such rings do not meet either: each
ring would have to pass through the hull of the other one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray

from geoseg.core.compiled import compiled
from geoseg.vectorize.arcs import (
    FROZEN,
    Desk,
    Limits,
    Span,
    anchor,
    freeze_far,
    hide,
    is_clear,
    lay_out,
    look_around,
    new_desk,
)
from geoseg.vectorize.sweep import CHOSEN, JUNCTION, OUTLINE
from geoseg.vectorize.trace import Polygons

LEAST_OVERLAP = 0.8
"""Intersection over union with the pixels, at least."""

MOST_CHANGE = 0.15
"""Of the area, at most."""

_DETAIL = 1.5  # px that a border may be away from a straight side
_SHORTEST = 2.5  # px, of a side, if there are more than four
_MOST_SIDES = 64
_ROUNDS = 300
_NEAR = 1e-9  # px: this far outside of the hull is still inside
_ON_U, _OFFSET, _WEIGHT, _EXTENT = 0, 1, 2, 3


class Frame(NamedTuple):
    """The main direction (cos, sin) of a ring, and the size of a pixel in a unit in which angles are true."""

    cos: float
    sin: float
    width: float
    height: float


def regularise(polygons: Polygons, gsd_m: tuple[float, float]) -> tuple[NDArray[np.int64], list[NDArray[np.float64]]]:
    """The right-angled rings that take the place of some of the rings of traced polygons.

    Args:
        polygons: traced with `keep_junctions`, `keep_borders` and `chosen`.
        gsd_m: as in `simplify`.

    Returns:
        The numbers of these rings, in rising order, and their points (col, row), closed, in no certain direction.
    """
    old, height, width = polygons.ring_offsets, *gsd_m
    corners = polygons.coords.astype(np.int32, copy=False)
    size, drawn = float(np.sqrt(width * height)), np.empty(corners.shape)
    limits = Limits(double_area=0.0, distance=_DETAIL, width=width / size, height=height / size, rounds=False)
    counts = _square_rings(corners, old, polygons.kinds, polygons.borders, limits, drawn)
    rings = np.flatnonzero(counts)
    if not len(rings):
        return rings, []
    points = [drawn[old[ring] : old[ring] + counts[ring]] for ring in rings]
    fine = _are_like([corners[old[ring] : old[ring + 1]] for ring in rings], points)
    return rings[fine], [points[i] for i in np.flatnonzero(fine)]


def _are_like(before: list[NDArray[np.int32]], after: list[NDArray[np.float64]]) -> NDArray[np.bool_]:
    """Whether new rings are simple and cover about what the old ones did."""
    old = shapely.normalize(_to_shapes([ring.astype(np.float64) for ring in before]))
    new = _to_shapes(after)
    fine = np.asarray(shapely.is_valid(new), dtype=np.bool_)
    old, new = old[fine], new[fine]
    old_area, new_area = shapely.area(old), shapely.area(new)
    common = shapely.area(shapely.intersection(old, new))
    like = common >= LEAST_OVERLAP * (old_area + new_area - common)
    fine[fine] = like & (np.abs(new_area - old_area) <= MOST_CHANGE * old_area)
    return fine


def _to_shapes(rings: list[NDArray[np.float64]]) -> NDArray[np.object_]:
    offsets = np.concatenate([[0], np.cumsum([len(ring) for ring in rings])])
    every = (offsets, np.arange(len(rings) + 1))
    return np.asarray(shapely.from_ragged_array(shapely.GeometryType.POLYGON, np.concatenate(rings), every))


@compiled
def _square_rings(
    coords: NDArray[np.int32],
    ring_offsets: NDArray[np.int64],
    kinds: NDArray[np.uint8],
    borders: NDArray[np.uint64],
    limits: Limits,
    drawn: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Draw right-angled rings from their ring's offset on; returns how many points they have, 0 = there is none."""
    desk, counts = new_desk(coords, ring_offsets), np.zeros(len(ring_offsets) - 1, np.int64)
    for ring in range(len(ring_offsets) - 1):
        begin, size = ring_offsets[ring], ring_offsets[ring + 1] - ring_offsets[ring] - 1
        if not kinds[begin] & CHOSEN or np.any(kinds[begin : begin + size] & (JUNCTION | OUTLINE)):
            continue
        start = anchor(coords, kinds, begin, size)
        lay_out(coords, Span(begin, size, start, start + size), desk)
        counts[ring] = _square_ring(size + 1, borders, limits, desk, drawn[begin : begin + size + 1])
    return counts


@compiled
def _square_ring(n: int, borders: NDArray[np.uint64], limits: Limits, desk: Desk, drawn: NDArray[np.float64]) -> int:
    """Draw the right-angled ring for the one of n vertices on the desk; returns its points, 0 = there is none."""
    for i in range(n):
        desk.keys[i] = 0
    freeze_far(n, limits, desk)
    hull = _hull(desk.course[: n - 1])
    look_around(n, borders, desk)
    for i in range(n):
        hide(i, desk)
    if not _is_empty(hull, desk):
        return 0
    frame = _main_direction(hull, limits)
    sides = np.empty((_MOST_SIDES, 4))
    found = _gather_sides(n, frame, desk, sides)
    while found > 4:
        shortest = int(np.argmin(np.abs(sides[:found, _EXTENT])))
        if abs(sides[shortest, _EXTENT]) >= _SHORTEST:
            break
        found = _leave_out(shortest, found, sides)
    if found < 4 or found >= n or not _fit(sides[:found], _turned(hull, frame, desk.course[0])):
        return 0
    _draw(sides[:found], frame, desk.course[0], drawn)
    return found + 1


@compiled
def _hull(points: NDArray[np.int64]) -> NDArray[np.int64]:
    """The convex hull of points (col, row), by Andrew's monotone chain (1979); shape (vertex, 2)."""
    keys = np.sort((points[:, 0] << 32) | points[:, 1])
    hull, n = np.empty((2 * len(keys) + 1, 2), np.int64), 0
    for way in range(2):
        least = n + 1
        for i in range(len(keys)):
            key = keys[len(keys) - 1 - i] if way else keys[i]
            x, y = key >> 32, key & 0xFFFFFFFF
            while n > least:
                p, q = hull[n - 2], hull[n - 1]
                if (q[0] - p[0]) * (y - p[1]) - (q[1] - p[1]) * (x - p[0]) > 0:
                    break
                n -= 1
            hull[n, 0], hull[n, 1] = x, y
            n += 1
        n -= 1  # the last one is the first one of the other half
    return hull[:n]


@compiled
def _is_empty(hull: NDArray[np.int64], desk: Desk) -> bool:
    """Whether a closed hull holds no corner in the window."""
    for row in range(hull[:, 1].min(), hull[:, 1].max() + 1):
        first, last = 1 << 40, -1
        for i in range(len(hull)):
            p, q = hull[i - 1], hull[i]
            if q[1] < p[1]:
                p, q = q, p
            if not p[1] <= row <= q[1]:
                continue
            if p[1] == q[1]:
                first, last = min(first, p[0], q[0]), max(last, p[0], q[0])
                continue
            x, height = p[0] * (q[1] - p[1]) + (row - p[1]) * (q[0] - p[0]), q[1] - p[1]
            first, last = min(first, -(-x // height)), max(last, x // height)
        if first <= last and not is_clear(row, first, last, desk):
            return False
    return True


@compiled
def _main_direction(hull: NDArray[np.int64], limits: Limits) -> Frame:
    """Along the smallest rectangle around a convex hull, one side of which lies along one of the hull's."""
    best, least = Frame(1.0, 0.0, limits.width, limits.height), np.inf
    for i in range(len(hull)):
        x, y = (hull[i, 0] - hull[i - 1, 0]) * limits.width, (hull[i, 1] - hull[i - 1, 1]) * limits.height
        length = np.hypot(x, y)
        frame = Frame(x / length, y / length, limits.width, limits.height)
        around = _turned(hull, frame, hull[0])
        area = (around[:, 0].max() - around[:, 0].min()) * (around[:, 1].max() - around[:, 1].min())
        if area < least - _NEAR:
            best, least = frame, area
    return best


@compiled
def _turned(points: NDArray[np.int64], frame: Frame, origin: NDArray[np.int64]) -> NDArray[np.float64]:
    """Points (col, row) as (u, v): along the main direction and across it, from an origin on."""
    turned = np.empty(points.shape, np.float64)
    for i in range(len(points)):
        turned[i, 0], turned[i, 1] = _turn(points[i], frame, origin)
    return turned


@compiled
def _turn(point: NDArray[np.int64], frame: Frame, origin: NDArray[np.int64]) -> tuple[float, float]:
    x, y = (point[0] - origin[0]) * frame.width, (point[1] - origin[1]) * frame.height
    return x * frame.cos + y * frame.sin, y * frame.cos - x * frame.sin


@compiled
def _gather_sides(n: int, frame: Frame, desk: Desk, sides: NDArray[np.float64]) -> int:
    """Sort the parts between frozen vertices into sides along u and along v, in turn; returns how many, 0 = too many.

    A side is the place for its offset, the sum of its edges' offsets times their lengths along it, the sum of these
    lengths, and how far it gets.
    """
    found, i = 0, 0
    while i < n - 1:
        j = i + 1
        while j < n - 1 and desk.keys[j] != FROZEN:
            j += 1
        u, v = _turn(desk.course[j], frame, desk.course[i])
        on_u = abs(u) >= abs(v)
        if not found or sides[found - 1, _ON_U] != on_u:
            if found == _MOST_SIDES:
                return 0
            sides[found, _ON_U], sides[found, _OFFSET:] = on_u, 0.0
            found += 1
        side = sides[found - 1]
        side[_EXTENT] += u if on_u else v
        for k in range(i, j):
            _add_edge(desk.course[k : k + 2], frame, desk.course[0], side)
        i = j
    if found > 1 and sides[0, _ON_U] == sides[found - 1, _ON_U]:
        found -= 1
        sides[0, _OFFSET:] += sides[found, _OFFSET:]
    return found


@compiled
def _add_edge(edge: NDArray[np.int64], frame: Frame, origin: NDArray[np.int64], side: NDArray[np.float64]) -> None:
    (u, v), (end_u, end_v) = _turn(edge[0], frame, origin), _turn(edge[1], frame, origin)
    along, offset = (end_u - u, (v + end_v) / 2) if side[_ON_U] else (end_v - v, (u + end_u) / 2)
    side[_OFFSET] += offset * abs(along)
    side[_WEIGHT] += abs(along)


@compiled
def _leave_out(i: int, n: int, sides: NDArray[np.float64]) -> int:
    """Take one of n sides out, and make one of those before and after it; returns how many are left."""
    before, after = (i + n - 1) % n, (i + 1) % n
    sides[before, _OFFSET:] += sides[after, _OFFSET:]
    left = 0
    for k in range(n):
        if k not in (i, after):
            sides[left] = sides[k]
            left += 1
    return left


@compiled
def _fit(sides: NDArray[np.float64], hull: NDArray[np.float64]) -> bool:
    """Set the sides' offsets: to the mean of their edges', then as little inwards as brings all corners into the hull.

    Corners that stick out are put back on the hull's edge, again and again, short sides sooner than long ones: the
    method of Kaczmarz (1937), with weights.
    """
    n = len(sides)
    for side in sides:
        side[_OFFSET] /= side[_WEIGHT]
    for _ in range(_ROUNDS):
        farthest = 0.0
        for i in range(n):
            u, v = (i, (i + 1) % n) if not sides[i, _ON_U] else ((i + 1) % n, i)
            farthest = max(farthest, _put_inside(sides[u], sides[v], hull))
        if farthest <= _NEAR:
            return True
    return False


@compiled
def _put_inside(side_u: NDArray[np.float64], side_v: NDArray[np.float64], hull: NDArray[np.float64]) -> float:
    """Move the corner of a side with constant u and one with constant v into the hull; returns how far out it was."""
    farthest = 0.0
    for i in range(len(hull)):
        p, q = hull[i - 1], hull[i]
        length = np.hypot(q[0] - p[0], q[1] - p[1])
        n_u, n_v = -(q[1] - p[1]) / length, (q[0] - p[0]) / length
        out = -(n_u * (side_u[_OFFSET] - p[0]) + n_v * (side_v[_OFFSET] - p[1]))
        if out > _NEAR:
            farthest = max(farthest, out)
            by_u, by_v = n_u / side_u[_WEIGHT], n_v / side_v[_WEIGHT]
            share = out / (n_u * by_u + n_v * by_v)
            side_u[_OFFSET] += share * by_u
            side_v[_OFFSET] += share * by_v
    return farthest


@compiled
def _draw(sides: NDArray[np.float64], frame: Frame, origin: NDArray[np.int64], drawn: NDArray[np.float64]) -> None:
    """Write the corners of the sides, and the first one again."""
    n = len(sides)
    for i in range(n):
        one, other = sides[i], sides[(i + 1) % n]
        u, v = (other[_OFFSET], one[_OFFSET]) if one[_ON_U] else (one[_OFFSET], other[_OFFSET])
        drawn[i, 0] = origin[0] + (u * frame.cos - v * frame.sin) / frame.width
        drawn[i, 1] = origin[1] + (u * frame.sin + v * frame.cos) / frame.height
    drawn[n] = drawn[0]
