"""A sweep over the rows of a label raster that links the corners of its pixels to outlines: compiled, in pools.

Around every pixel corner the four pixels fall into sectors between the borders that meet there. A sector is one turn
of one component's outline, so that a sweep over the corners, row by row, creates every vertex once and links it to the
next one along the outline, with the component on the right-hand side as seen on screen. A component that has no pixel
in a new row is finished and listed as done; its outlines are closed, and wait to be walked.

Where two pixels of one component meet at a corner only, its outlines must touch there and not cross: background is
4-connected, so a hole stays a ring of its own. Whether two such pixels are one component may be known only rows later;
the two vertices remember each other as twins, and change their successors when the component is finished.

On demand the sweep also keeps what simplification needs: a vertex at every junction, and one bit for every pixel
corner that lies on a border.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from geoseg.core.compiled import compiled
from geoseg.errors import InputError

Labels: TypeAlias = NDArray[np.unsignedinteger[Any]]
"""uint8 or uint16; the largest number is nodata."""

JUNCTION, OUTLINE, CHOSEN = 1, 2, 4
"""Bits of a vertex' kind: borders of three or more components (or nodata) meet in it; the edge that leaves from it
along the outline borders on nodata or on the scene's edge; it has a chosen label on either side."""

KNOWN, SUM, SQUARES, LOWEST, HIGHEST = 0, 1, 2, 3, 4
"""Statistics of a layer over the pixels of a component where it is known: their number, their sum, ..."""

_STATISTICS = 5
_NOBODY = -1
_NORTH, _EAST, _SOUTH, _WEST = 0, 1, 2, 3
_OPEN, _WALKED = 1, 2
_MOST_VERTICES = np.iinfo(np.int32).max

_VERTEX = np.dtype([(name, np.int32) for name in ("col", "row", "next", "sibling", "twin", "kind")])
_COMPONENT = np.dtype(
    [(name, np.int32) for name in ("parent", "link", "head", "tail", "code", "done")]
    + [(name, np.int64) for name in ("first", "last_row", "vertices", "pixels")]
    + [("area", np.float64)]
)
# A column of pixels at the sweep's row, and the corner at its right: codes and components of the pixels above and
# below, the vertex from which an outline comes down to the corner, and the one to which an outline goes up.
_COLUMN = np.dtype([(name, np.int32) for name in ("code_above", "code_below", "above", "below", "down", "up")])
_STATE = np.dtype(
    [
        (name, np.int64)
        for name in (
            "row", "nodata", "keep_junctions", "vertices_used", "vertex_free", "vertices_spare", "components_used",
            "component_free", "components_spare", "merged", "done", "done_components", "done_vertices",
        )
    ]
)  # fmt: skip


class Sweep(NamedTuple):
    """All memory of a sweep: structured arrays, which the compiled functions change in place.

    `front` is the row above and the new row, one entry a column and one more at either side. `vertices` and
    `components` are pools whose free entries are linked. `state` is one entry; `done_components` and `done_vertices`
    of it say what waits to be given out. `borders` has a bit for every pixel corner swept so far, 1 = on a border:
    corner (row, col) is bit `col % 64` of word `[row, col // 64]`; it has no rows if borders are not kept. `stats` are
    the components' statistics of every layer of numbers, shape (component, layer, statistic). `chosen` says of every
    label whether it is one whose borders are marked, shape (label,).
    """

    front: NDArray[Any]
    vertices: NDArray[Any]
    components: NDArray[Any]
    state: NDArray[Any]
    borders: NDArray[np.uint64]
    stats: NDArray[np.float64]
    chosen: NDArray[np.bool_]


def start_sweep(
    shape: tuple[int, int],
    *,
    layers: int,
    nodata: int,
    keep_junctions: bool,
    keep_borders: bool,
    chosen: NDArray[np.bool_] | None = None,
) -> Sweep:
    """The sweep above the first row of a raster of a shape (row, col) with so many layers; the rest as in `trace`."""
    height, width = shape
    front = np.zeros(width + 2, dtype=_COLUMN)
    front["code_above"] = front["code_below"] = nodata
    front["above"] = front["below"] = _NOBODY
    state = np.zeros(1, dtype=_STATE)
    for name in ("vertex_free", "component_free", "merged", "done"):
        state[name] = _NOBODY
    state["nodata"] = nodata
    state["keep_junctions"] = keep_junctions
    vertices, components = np.zeros(8 * width, dtype=_VERTEX), np.zeros(2 * width, dtype=_COMPONENT)
    borders = np.zeros((height + 1 if keep_borders else 0, width // 64 + 1), dtype=np.uint64)
    stats = np.zeros((len(components), layers, _STATISTICS))
    marked = np.zeros(nodata + 1, dtype=np.bool_)
    if chosen is not None:
        marked[: len(chosen)] = chosen
    return Sweep(front, vertices, components, state, borders, stats, marked)


def enlarge(sweep: Sweep) -> Sweep:
    """The same sweep with twice the room for vertices and components, and at least enough for one row of pixels.

    Raises:
        InputError: for more vertices than int32 can count.
    """
    width = len(sweep.front)
    if 2 * len(sweep.vertices) + 4 * width > _MOST_VERTICES:
        msg = f"polygons of more than {_MOST_VERTICES // 2} vertices are open at once; smooth or tile the labels first"
        raise InputError(msg)
    more = [
        np.concatenate([pool, np.zeros((len(pool) + room, *pool.shape[1:]), dtype=pool.dtype)])
        for pool, room in ((sweep.vertices, 4 * width), (sweep.components, width), (sweep.stats, width))
    ]
    return Sweep(sweep.front, more[0], more[1], sweep.state, sweep.borders, more[2], sweep.chosen)


@compiled
def _find(components: NDArray[Any], label: int) -> int:
    """The component that this one was merged into; paths are halved on the way."""
    while components[label].parent != label:
        components[label].parent = components[components[label].parent].parent
        label = int(components[label].parent)
    return label


@compiled
def _new_component(code: int, first: int, sweep: Sweep) -> int:
    state = sweep.state[0]
    label = int(state.component_free)
    if label == _NOBODY:
        label = int(state.components_used)
        state.components_used += 1
    else:
        state.component_free = sweep.components[label].link
        state.components_spare -= 1
    entry = sweep.components[label]
    entry.parent, entry.code, entry.first, entry.done = label, code, first, 0
    entry.head, entry.tail, entry.vertices = _NOBODY, _NOBODY, 0
    entry.pixels, entry.area = 0, 0.0
    sweep.stats[label] = 0
    sweep.stats[label, :, LOWEST] = np.inf
    sweep.stats[label, :, HIGHEST] = -np.inf
    return label


@compiled
def _free_component(label: int, sweep: Sweep) -> None:
    sweep.components[label].link = sweep.state[0].component_free
    sweep.state[0].component_free = label
    sweep.state[0].components_spare += 1


@compiled
def _merge(a: int, b: int, sweep: Sweep) -> int:
    """Join two components; the one with the earlier first pixel stays, and its vertices come first."""
    if a < 0 or a == b:
        return b
    if sweep.components[b].first < sweep.components[a].first:
        a, b = b, a
    stays, goes = sweep.components[a], sweep.components[b]
    sweep.vertices[stays.tail].sibling = goes.head
    stays.tail = goes.tail
    stays.vertices += goes.vertices
    stays.pixels += goes.pixels
    stays.area += goes.area
    for layer in range(sweep.stats.shape[1]):
        ours, theirs = sweep.stats[a, layer], sweep.stats[b, layer]
        for i in (KNOWN, SUM, SQUARES):
            ours[i] += theirs[i]
        ours[LOWEST], ours[HIGHEST] = min(ours[LOWEST], theirs[LOWEST]), max(ours[HIGHEST], theirs[HIGHEST])
    stays.last_row = max(stays.last_row, goes.last_row)
    goes.parent = a
    goes.link = sweep.state[0].merged
    sweep.state[0].merged = b
    return a


@compiled
def _label_row(codes: Labels, layers: NDArray[np.float32], area: float, sweep: Sweep) -> None:
    """Give every run of one code in the new row its component, and add the run to the component's sums."""
    front, components, row, nodata = sweep.front, sweep.components, sweep.state[0].row, sweep.state[0].nodata
    width = len(codes)
    end = 0
    while end < width:
        begin, code, label = end, codes[end], _NOBODY
        while end < width and codes[end] == code:
            if code != nodata and front[end + 1].code_above == code:
                label = _merge(label, _find(components, front[end + 1].above), sweep)
            end += 1
        if code != nodata and label == _NOBODY:
            label = _new_component(code, row * width + begin, sweep)
        for col in range(begin, end):
            front[col + 1].code_below = code
            front[col + 1].below = label
        if label != _NOBODY:
            entry = components[label]
            entry.last_row = row
            entry.pixels += end - begin
            entry.area += (end - begin) * area
            for layer in range(len(layers)):
                _add_values(layers[layer, begin:end], sweep.stats[label, layer])


@compiled
def _add_values(values: NDArray[np.float32], stats: NDArray[np.float64]) -> None:
    for value in values:
        if not np.isnan(value):
            number = np.float64(value)
            stats[KNOWN] += 1
            stats[SUM] += number
            stats[SQUARES] += number * number
            stats[LOWEST], stats[HIGHEST] = min(stats[LOWEST], number), max(stats[HIGHEST], number)


@compiled
def _settle_merges(sweep: Sweep) -> None:
    """Let both rows name merged components by what they became, and free the names that are gone."""
    components, state = sweep.components, sweep.state[0]
    if state.merged == _NOBODY:
        return
    for i in range(len(sweep.front)):
        column = sweep.front[i]
        if column.above != _NOBODY:
            column.above = _find(components, column.above)
        if column.below != _NOBODY:
            column.below = _find(components, column.below)
    while state.merged != _NOBODY:
        label = state.merged
        state.merged = components[label].link
        _free_component(label, sweep)


@compiled
def _new_vertex(label: int, col: int, sweep: Sweep) -> int:
    state = sweep.state[0]
    i = int(state.vertex_free)
    if i == _NOBODY:
        i = int(state.vertices_used)
        state.vertices_used += 1
    else:
        state.vertex_free = sweep.vertices[i].sibling
        state.vertices_spare -= 1
    vertex, component = sweep.vertices[i], sweep.components[label]
    vertex.col, vertex.row = col, state.row
    vertex.next = vertex.sibling = vertex.twin = _NOBODY
    if component.head == _NOBODY:
        component.head = i
    else:
        sweep.vertices[component.tail].sibling = i
    component.tail = i
    component.vertices += 1
    return i


@compiled
def _trace_row(sweep: Sweep) -> None:
    """Turn the outlines at every corner between the row above and the new row.

    For each edge at a corner, `comes` is the vertex from which an outline comes along it, and `leads` the one to which
    an outline leads: vertices made before at the ends of the edges to the north and west, and, once a corner is done,
    those that later corners find at the ends of its edges to the south and east.
    """
    front, row, nodata = sweep.front, sweep.state[0].row, sweep.state[0].nodata
    keep_junctions, borders, keep_borders = sweep.state[0].keep_junctions, sweep.borders, len(sweep.borders) > 0
    made, comes, leads = np.empty(4, np.int32), np.empty(4, np.int32), np.empty(4, np.int32)
    for col in range(len(front) - 1):
        left, right = front[col], front[col + 1]
        # going round clockwise: edge i is followed by pixel i
        codes = (right.code_above, right.code_below, left.code_below, left.code_above)
        edges = (codes[3] != codes[0], codes[0] != codes[1], codes[1] != codes[2], codes[2] != codes[3])
        if keep_borders and (edges[0] or edges[1] or edges[2] or edges[3]):
            borders[row, col >> 6] |= np.uint64(1) << np.uint64(col & 63)
        if edges[0] == edges[2] and edges[1] == edges[3] and not (edges[0] and edges[1]):
            continue  # nothing turns here
        labels = (right.above, right.below, left.below, left.above)
        junction = JUNCTION if int(edges[0]) + edges[1] + edges[2] + edges[3] > 2 else 0
        comes[_NORTH], leads[_NORTH] = comes[_SOUTH], leads[_SOUTH] = left.down, left.up
        comes[_WEST], leads[_WEST] = comes[_EAST], leads[_EAST]
        for out in range(4):
            if edges[out] and codes[out] != nodata:
                into = _next_edge(edges, out)
                if keep_junctions or (into - out) % 4 != 2:
                    made[out] = _new_vertex(labels[out], col, sweep)
                    beyond = codes[(out + 3) % 4]
                    marked = CHOSEN if sweep.chosen[codes[out]] or sweep.chosen[beyond] else 0
                    sweep.vertices[made[out]].kind = junction | (OUTLINE if beyond == nodata else 0) | marked
                    _link(made[out], into, out, comes, leads, sweep.vertices)
        left.down, left.up = comes[_SOUTH], leads[_SOUTH]
        if edges[0] and edges[1] and edges[2] and edges[3]:
            _pair_twins(made, codes, nodata, sweep.vertices)


@compiled
def _next_edge(edges: tuple[bool, ...], edge: int) -> int:
    edge = (edge + 1) % 4
    while not edges[edge]:
        edge = (edge + 1) % 4
    return edge


@compiled
def _link(
    i: int, into: int, out: int, comes: NDArray[np.int32], leads: NDArray[np.int32], vertices: NDArray[Any]
) -> None:
    """Let an outline come into a corner along one edge, turn at vertex i and go out along another edge."""
    if into % _WEST == 0:  # north or west
        vertices[comes[into]].next = i
    else:
        leads[into] = i
    if out % _WEST == 0:
        vertices[i].next = leads[out]
    else:
        comes[out] = i


@compiled
def _pair_twins(made: NDArray[np.int32], codes: tuple[int, ...], nodata: int, vertices: NDArray[Any]) -> None:
    for i in range(2):
        if codes[i] == codes[i + 2] and codes[i] != nodata:
            vertices[made[i]].twin = made[i + 2]
            vertices[made[i + 2]].twin = made[i]


@compiled
def _finish_row(sweep: Sweep) -> None:
    """List the components that ended above the new row as done, and make the new row the one above."""
    front, components, state = sweep.front, sweep.components, sweep.state[0]
    for i in range(len(front)):
        label = front[i].above
        if label != _NOBODY and components[label].last_row < state.row and not components[label].done:
            components[label].done = 1
            components[label].link = state.done
            state.done = label
            state.done_components += 1
            state.done_vertices += components[label].vertices
        front[i].above, front[i].code_above = front[i].below, front[i].code_below
    state.row += 1


@compiled
def sweep_rows(
    codes: Labels, layers: NDArray[np.float32], areas: NDArray[np.float64], row: int, enough: int, sweep: Sweep
) -> int:
    """Take in rows from `row` on for as long as the pools have room and until `enough` vertices are done.

    `codes` as in `LabelStrip`, `layers` with shape (row, layer, col); `areas` is the area of a pixel of each row in m²,
    shape (row,). All are C-contiguous. Returns the first row not taken in.
    """
    state = sweep.state[0]
    while row < len(codes) and has_room(sweep):
        _label_row(codes[row], layers[row], areas[row], sweep)
        _settle_merges(sweep)
        _trace_row(sweep)
        _finish_row(sweep)
        row += 1
        if state.done_vertices >= enough:
            break
    return row


@compiled
def has_room(sweep: Sweep) -> bool:
    """Whether the pools have room for whatever the next row holds."""
    state, width = sweep.state[0], len(sweep.front)
    room = len(sweep.vertices) - state.vertices_used + state.vertices_spare
    names = len(sweep.components) - state.components_used + state.components_spare
    return bool(room >= 4 * width and names >= width)


@compiled
def take_done(n: int, sweep: Sweep) -> NDArray[np.int32]:
    """The labels of all `n` components that are done, in no useful order; afterwards they are free to be used again."""
    labels = np.empty(n, dtype=np.int32)
    state = sweep.state[0]
    for i in range(n):
        labels[i] = state.done
        state.done = sweep.components[labels[i]].link
        _free_component(labels[i], sweep)
    state.done_components = state.done_vertices = 0
    return labels


@compiled
def free_vertices(done: NDArray[Any], sweep: Sweep) -> None:
    """Let the vertices of components (copies, taken when they were done) be used again."""
    state = sweep.state[0]
    for i in range(len(done)):
        sweep.vertices[done[i].tail].sibling = state.vertex_free
        state.vertex_free = done[i].head
        state.vertices_spare += done[i].vertices


@compiled
def walk_rings(
    heads: NDArray[np.int32],
    vertices: NDArray[Any],
    marks: NDArray[np.uint8],
    coords: NDArray[np.int32],
    kinds: NDArray[np.uint8],
    offsets: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> None:
    """Write the rings of finished components as in `Polygons`, exterior first.

    Of the sweep's pool only vertices of these components are changed: the sweep may go on meanwhile, and other
    components be walked. `heads` are their first vertices: at the first pixel's corner, on the exterior. `marks` are
    zeros, one a vertex of the pool. The outputs have room for all vertices and a closing one a ring; entry 0 of the
    offsets, of rings and of polygons, is 0.
    """
    ring_offsets, polygon_offsets = offsets
    n = ring = 0
    for polygon in range(len(heads)):
        _untangle(heads[polygon], vertices, marks)
        start = heads[polygon]
        while start != _NOBODY:
            if marks[start] == _OPEN:
                i, first = start, n
                while marks[i] == _OPEN:
                    marks[i] = _WALKED
                    coords[n, 0], coords[n, 1] = vertices[i].col, vertices[i].row
                    kinds[n] = vertices[i].kind
                    n += 1
                    i = vertices[i].next
                coords[n], kinds[n] = coords[first], kinds[first]
                n += 1
                ring += 1
                ring_offsets[ring] = n
            start = vertices[start].sibling
        polygon_offsets[polygon + 1] = ring


@compiled
def _untangle(head: int, vertices: NDArray[Any], marks: NDArray[np.uint8]) -> None:
    """Open a component; where twins turned out to be of it both, exchange their successors: rings touch, not cross.

    A twin in another component may have been given out, and its place be taken by a vertex that knows no such twin.
    """
    twins = False
    i = head
    while i != _NOBODY:
        marks[i] = _OPEN
        twins = twins or vertices[i].twin != _NOBODY
        i = vertices[i].sibling
    i = head if twins else _NOBODY
    while i != _NOBODY:
        twin = vertices[i].twin
        if i < twin and marks[twin] == _OPEN and vertices[twin].twin == i:
            vertices[i].next, vertices[twin].next = vertices[twin].next, vertices[i].next
            vertices[i].kind, vertices[twin].kind = vertices[twin].kind, vertices[i].kind
        i = vertices[i].sibling
