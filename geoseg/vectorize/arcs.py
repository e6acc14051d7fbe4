"""Which vertices of polygon outlines may go, arc by arc, so that neighbours agree and nothing crosses: compiled.

An arc is the course of an outline from one junction to the next, or all of a ring without a junction. It occurs in the
outlines of both its neighbours, which may be finished far apart, so every occurrence is worked on by itself: in one
canonical direction, by rules that depend on nothing but the arc and the borders of the raster as they were.

Vertices go one at a time. The vertex b between a and c goes only if the closed triangle abc holds no other vertex that
is left of its own arc, and no corner on any other border of the raster. Then no arc ever crosses or touches another, in
whatever order they are treated: vertices are corners of the raster, so the triangle holds none of another arc, be it
simplified or not; an edge without an end in the triangle could enter it through ac only and would have to leave it
through ab or bc, a crossing that was there before.

Two arcs with the same ends must not both become the straight line between them. Neither can have swept over a corner of
the other, so what each has left lies on its own side of that line: an arc loses its last vertex only on one of the
sides. Where the ends are one pixel apart, the other arc may have been that line from the beginning: the vertex stays.

A corner is rounded only if the closed triangle of the vertex and the midpoints of its two edges holds no other vertex
that is left of its own arc, and no corner on any other border. By the same reasoning such triangles do not overlap, and
no other arc passes through one.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoseg.core.compiled import compiled
from geoseg.vectorize.sweep import JUNCTION, OUTLINE

GONE, SHARP, ROUND = 0, 1, 2
"""The fate of a vertex: it is left out, stays as it is, or becomes a curve."""

FROZEN = -2
"""Instead of the key of a vertex: it never goes."""

_STAYS = -1  # until a vertex beside it goes
_FEWEST_CLOSED = 5  # vertices of a closed arc, the first one twice: a pixel stays a square
_LARGEST = 2**31 - 1  # twice an area in px, in a key
_INDEX_BITS = 32
_ROW, _WORD, _WORDS, _HEAPED, _LEFT = 0, 1, 2, 3, 4

Point = tuple[int, int]


class Limits(NamedTuple):
    """What may go, and whether to look for corners that may be rounded.

    A vertex may go while twice the area of its triangle is at most `double_area`, in px, the smallest first. Vertices
    that Douglas and Peucker keep for `distance` never go; negative = they are not asked. A pixel is `width` x `height`
    of the unit of `distance`.
    """

    double_area: float
    distance: float
    width: float
    height: float
    rounds: bool


class Span(NamedTuple):
    """An arc in a ring of `size` vertices from `begin` on: from its vertex `start` to `end`, modulo `size`."""

    begin: int
    size: int
    start: int
    end: int


class Desk(NamedTuple):
    """The memory for one arc at a time.

    `course` are the vertices (col, row) in canonical direction; `before` and `after` link those that are left. `keys`
    are twice the areas of their triangles and, in the lower bits, their own indices; `heap` holds those to look at.
    `window` are the border bits of the raster around the arc, without the arc's own corners but with the vertices that
    are left. `state`: first row and word of the window, its words a row, keys in the heap, vertices left.
    """

    course: NDArray[np.int64]
    before: NDArray[np.int64]
    after: NDArray[np.int64]
    keys: NDArray[np.int64]
    heap: NDArray[np.int64]
    window: NDArray[np.uint64]
    state: NDArray[np.int64]


@compiled
def thin_rings(
    coords: NDArray[np.int32],
    ring_offsets: NDArray[np.int64],
    kinds: NDArray[np.uint8],
    borders: NDArray[np.uint64],
    limits: Limits,
    fates: NDArray[np.uint8],
) -> None:
    """Decide the fate of every vertex of some rings, all as in `Polygons`; a ring's closing vertex is left out."""
    desk = new_desk(coords, ring_offsets)
    for ring in range(len(ring_offsets) - 1):
        begin, size = ring_offsets[ring], ring_offsets[ring + 1] - ring_offsets[ring] - 1
        fates[begin : begin + size + 1] = GONE
        first = anchor(coords, kinds, begin, size)
        start = first
        while start < first + size:
            end = start + 1
            while end < first + size and not kinds[begin + end % size] & JUNCTION:
                end += 1
            span = Span(begin, size, start, end)
            if kinds[begin + start % size] & OUTLINE:
                for i in range(start, end):
                    fates[begin + i % size] = SHARP
            else:
                turned = lay_out(coords, span, desk)
                _thin(end - start + 1, borders, limits, desk)
                free = end - start == size and not kinds[begin + start % size] & JUNCTION
                _note_fates(span, turned, free, limits.rounds, desk, fates)
            start = end


@compiled
def new_desk(coords: NDArray[np.int32], ring_offsets: NDArray[np.int64]) -> Desk:
    """A desk with room for the longest ring and for the largest window of one."""
    longest, largest = 0, 0
    for ring in range(len(ring_offsets) - 1):
        begin, end = ring_offsets[ring], ring_offsets[ring + 1]
        left, right, top, bottom = bounds(coords[begin:end])
        longest = max(longest, end - begin)
        largest = max(largest, (bottom - top + 1) * ((right >> 6) - (left >> 6) + 1))
    course = np.empty((longest, 2), np.int64)
    before, after, keys = np.empty(longest, np.int64), np.empty(longest, np.int64), np.empty(longest, np.int64)
    heap, window = np.empty(3 * longest, np.int64), np.empty(largest, np.uint64)
    return Desk(course, before, after, keys, heap, window, np.zeros(5, np.int64))


@compiled
def bounds(points: NDArray[Any]) -> tuple[int, int, int, int]:
    """Of points (col, row): first and last column, first and last row."""
    left = right = int(points[0, 0])
    top = bottom = int(points[0, 1])
    for i in range(1, len(points)):
        left, right = min(left, int(points[i, 0])), max(right, int(points[i, 0]))
        top, bottom = min(top, int(points[i, 1])), max(bottom, int(points[i, 1]))
    return left, right, top, bottom


@compiled
def anchor(coords: NDArray[np.int32], kinds: NDArray[np.uint8], begin: int, size: int) -> int:
    """Where the first arc of a ring begins: at a junction, else at the first of its vertices by column, then row."""
    best = 0
    for i in range(size):
        if kinds[begin + i] & JUNCTION:
            return i
        if _is_less(coords[begin + i], coords[begin + best]):
            best = i
    return best


@compiled
def _is_less(one: NDArray[Any], other: NDArray[Any]) -> bool:
    return bool(one[0] < other[0] or (one[0] == other[0] and one[1] < other[1]))


@compiled
def lay_out(coords: NDArray[np.int32], span: Span, desk: Desk) -> bool:
    """Put an arc on the desk in canonical direction: from its lesser end, or to the lesser side of its only end.

    Returns whether that is against the ring's direction.
    """
    begin, size, start, end = span
    first, last = start, end
    if start % size == end % size:
        first, last = start + 1, end - 1
    turned = _is_less(coords[begin + last % size], coords[begin + first % size])
    for i in range(end - start + 1):
        where = end - i if turned else start + i
        desk.course[i, 0], desk.course[i, 1] = coords[begin + where % size, 0], coords[begin + where % size, 1]
    return turned


@compiled
def _note_fates(span: Span, turned: bool, free: bool, rounds: bool, desk: Desk, fates: NDArray[np.uint8]) -> None:
    """Write down what became of the arc on the desk; `free`: it is closed without a junction."""
    last = span.end - span.start
    i = 0
    while i <= last:
        where = span.end - i if turned else span.start + i
        if i < last or not free:
            fine = rounds and (free or 0 < i < last) and _may_round(i, last, desk)
            fates[span.begin + where % span.size] = ROUND if fine else SHARP
        i = desk.after[i]


@compiled
def _thin(n: int, borders: NDArray[np.uint64], limits: Limits, desk: Desk) -> None:
    """Take the vertices that may go out of the arc of n vertices on the desk."""
    _rank(n, limits, desk)
    if not (desk.state[_HEAPED] or limits.rounds):
        return
    look_around(n, borders, desk)
    while desk.state[_HEAPED]:
        key = _pop(desk)
        b = key & ((1 << _INDEX_BITS) - 1)
        if key == desk.keys[b]:  # else it has changed since, and is there again
            desk.keys[b] = _STAYS
            if _take_out(b, n, key >> _INDEX_BITS, desk):
                _enter(desk.before[b], limits, desk)
                _enter(desk.after[b], limits, desk)


@compiled
def _rank(n: int, limits: Limits, desk: Desk) -> None:
    """Link the vertices, freeze the ends and what Douglas and Peucker keep, and enter the others."""
    for i in range(n):
        desk.before[i], desk.after[i], desk.keys[i] = i - 1, i + 1, _STAYS
    desk.keys[0] = desk.keys[n - 1] = FROZEN
    if limits.distance >= 0:
        freeze_far(n, limits, desk)
    desk.state[_HEAPED], desk.state[_LEFT] = 0, n
    for i in range(1, n - 1):
        _enter(i, limits, desk)


@compiled
def freeze_far(n: int, limits: Limits, desk: Desk) -> None:
    """Freeze the vertices that Douglas and Peucker (1973) keep; the heap serves as stack of the parts to look at."""
    stack = desk.heap
    stack[0], stack[1] = 0, n - 1
    depth = 2
    while depth:
        depth -= 2
        first, last = stack[depth], stack[depth + 1]
        farthest, most = 0, limits.distance**2
        for i in range(first + 1, last):
            square = _square_distance(desk.course[i], desk.course[first], desk.course[last], limits)
            if square > most:
                farthest, most = i, square
        if farthest:
            desk.keys[farthest] = FROZEN
            stack[depth], stack[depth + 1], stack[depth + 2], stack[depth + 3] = first, farthest, farthest, last
            depth += 4


@compiled
def _square_distance(p: NDArray[np.int64], a: NDArray[np.int64], b: NDArray[np.int64], limits: Limits) -> float:
    """The squared distance of a point from the straight line between two others that ends at them."""
    x, y = (p[0] - a[0]) * limits.width, (p[1] - a[1]) * limits.height
    along_x, along_y = (b[0] - a[0]) * limits.width, (b[1] - a[1]) * limits.height
    length = along_x * along_x + along_y * along_y
    if length > 0:
        share = min(1.0, max(0.0, (x * along_x + y * along_y) / length))
        x, y = x - share * along_x, y - share * along_y
    return float(x * x + y * y)


@compiled
def _enter(i: int, limits: Limits, desk: Desk) -> None:
    """Give a vertex the key of its triangle and put it into the heap, if it may go."""
    if desk.keys[i] == FROZEN:
        return
    area = abs(_turn(desk.before[i], i, desk.after[i], desk))
    desk.keys[i] = _STAYS
    if area <= limits.double_area:
        desk.keys[i] = (min(area, _LARGEST) << _INDEX_BITS) | i
        _push(desk.keys[i], desk)


@compiled
def _turn(a: int, b: int, c: int, desk: Desk) -> int:
    """Twice the signed area of the triangle of three vertices, in px."""
    p, q, r = desk.course[a], desk.course[b], desk.course[c]
    return int((q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0]))


@compiled
def _push(key: int, desk: Desk) -> None:
    heap, i = desk.heap, desk.state[_HEAPED]
    desk.state[_HEAPED] += 1
    while i and heap[(i - 1) >> 1] > key:
        heap[i] = heap[(i - 1) >> 1]
        i = (i - 1) >> 1
    heap[i] = key


@compiled
def _pop(desk: Desk) -> int:
    heap = desk.heap
    desk.state[_HEAPED] -= 1
    n, least, i = desk.state[_HEAPED], heap[0], 0
    key = heap[n]
    while 2 * i + 1 < n:
        child = 2 * i + 1
        if child + 1 < n and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= key:
            break
        heap[i] = heap[child]
        i = child
    heap[i] = key
    return int(least)


@compiled
def look_around(n: int, borders: NDArray[np.uint64], desk: Desk) -> None:
    """Fill the window: the borders around the arc without those that it passes itself, and its vertices."""
    left, right, top, bottom = bounds(desk.course[:n])
    first, words = left >> 6, (right >> 6) - (left >> 6) + 1
    desk.state[_ROW], desk.state[_WORD], desk.state[_WORDS] = top, first, words
    for row in range(top, bottom + 1):
        for word in range(words):
            desk.window[(row - top) * words + word] = borders[row, first + word]
    for i in range(n - 1):
        col, row = desk.course[i]
        end_col, end_row = desk.course[i + 1]
        step_col, step_row = np.sign(end_col - col), np.sign(end_row - row)
        while col != end_col or row != end_row:
            col, row = col + step_col, row + step_row
            word, bit = _bit(col, row, desk)
            desk.window[word] &= ~bit
    for i in range(n):
        _show(i, desk)


@compiled
def _bit(col: int, row: int, desk: Desk) -> tuple[int, np.uint64]:
    """Where a corner stands in the window: the word, and the bit in it."""
    word = (row - desk.state[_ROW]) * desk.state[_WORDS] + (col >> 6) - desk.state[_WORD]
    return word, np.uint64(1) << np.uint64(col & 63)


@compiled
def _show(i: int, desk: Desk) -> None:
    word, bit = _bit(desk.course[i, 0], desk.course[i, 1], desk)
    desk.window[word] |= bit


@compiled
def hide(i: int, desk: Desk) -> None:
    """Take a vertex out of the window."""
    word, bit = _bit(desk.course[i, 0], desk.course[i, 1], desk)
    desk.window[word] &= ~bit


@compiled
def _take_out(b: int, n: int, area: int, desk: Desk) -> bool:
    """Take a vertex out if it may go; `area` is twice that of its triangle."""
    a, c = desk.before[b], desk.after[b]
    if not _is_spare(a, b, c, n, desk):
        return False
    for i in (a, b, c):
        hide(i, desk)
    goes = area < 2 or _is_free(_point(a, desk), _point(b, desk), _point(c, desk), 1, desk)  # see Pick's theorem
    _show(a, desk)
    _show(c, desk)
    if not goes:
        _show(b, desk)
        return False
    desk.after[a], desk.before[c] = c, a
    desk.state[_LEFT] -= 1
    return True


@compiled
def _is_spare(a: int, b: int, c: int, n: int, desk: Desk) -> bool:
    """Whether the arc has vertices enough without b, and stays apart from another one with the same ends."""
    begin, end = desk.course[0], desk.course[n - 1]
    length = abs(end[0] - begin[0]) + abs(end[1] - begin[1])
    if length == 0:
        return bool(desk.state[_LEFT] > _FEWEST_CLOSED)
    return bool(desk.state[_LEFT] > 3 or (length > 1 and _turn(a, b, c, desk) >= 0))


@compiled
def _point(i: int, desk: Desk) -> Point:
    return desk.course[i, 0], desk.course[i, 1]


@compiled
def _is_free(a: Point, b: Point, c: Point, scale: int, desk: Desk) -> bool:
    """Whether no corner in the window is taken in a closed triangle, whose coordinates are in px times `scale`."""
    top, bottom = min(a[1], b[1], c[1]), max(a[1], b[1], c[1])
    for row in range(-(-top // scale), bottom // scale + 1):
        first, last = _meet(a, b, row, scale)
        for p, q in ((b, c), (c, a)):
            low, high = _meet(p, q, row, scale)
            first, last = min(first, low), max(last, high)
        if first <= last and not is_clear(row, first, last, desk):
            return False
    return True


@compiled
def _meet(p: Point, q: Point, row: int, scale: int) -> Point:
    """Where the line from p to q meets a row: its column rounded up and down, or the columns between its ends."""
    y = row * scale
    if y < min(p[1], q[1]) or y > max(p[1], q[1]):
        return _LARGEST, -_LARGEST
    if p[1] == q[1]:
        return -(-min(p[0], q[0]) // scale), max(p[0], q[0]) // scale
    if p[1] > q[1]:
        p, q = q, p
    x = p[0] * (q[1] - p[1]) + (y - p[1]) * (q[0] - p[0])
    height = scale * (q[1] - p[1])
    return -(-x // height), x // height


@compiled
def is_clear(row: int, first: int, last: int, desk: Desk) -> bool:
    """Whether no corner of a row is taken from one column to another, both included."""
    base = (row - desk.state[_ROW]) * desk.state[_WORDS] - desk.state[_WORD]
    every = ~np.uint64(0)
    for word in range(first >> 6, (last >> 6) + 1):
        bits = desk.window[base + word]
        if word == first >> 6:
            bits &= every << np.uint64(first & 63)
        if word == last >> 6:
            bits &= every >> np.uint64(63 - (last & 63))
        if bits:
            return False
    return True


@compiled
def _may_round(i: int, last: int, desk: Desk) -> bool:
    """Whether the corner at vertex i may be rounded; i = 0 has the vertices before `last` and after 0 beside it."""
    a, c = desk.before[i or last], desk.after[i]
    if _turn(a, i, c, desk) == 0:
        return False
    (x, y), (x_a, y_a), (x_c, y_c) = _point(i, desk), _point(a, desk), _point(c, desk)
    hide(i, desk)
    free = _is_free((x + x_a, y + y_a), (2 * x, 2 * y), (x + x_c, y + y_c), 2, desk)
    _show(i, desk)
    return free
