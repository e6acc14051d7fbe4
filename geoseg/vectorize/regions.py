"""The connected areas of a label raster that are too small to stay, and what they border on: compiled, row by row.

An area is a node. While it is small it lists its runs of pixels and, for each of its neighbours, the length of their
common border; an area that has grown to the limit only keeps its label. Areas that end are not removed one by one:
`compact` copies what is still of use into new pools.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoseg.core.compiled import compiled
from geoseg.vectorize.sweep import Labels

NOBODY = -1

_NODE = np.dtype(
    [(name, np.int32) for name in ("parent", "label", "edge", "last_edge", "run", "last_run")]
    + [(name, np.int64) for name in ("area", "first", "last_row")]
    + [(name, np.int8) for name in ("small", "exposed")]
)
# A border with another area, by its node, or, where that stays as it is, by ~label; `first` is the other side's first
# pixel in row-major order.
_EDGE = np.dtype([(name, np.int32) for name in ("target", "next")] + [(name, np.int64) for name in ("border", "first")])
_RUN = np.dtype([(name, np.int32) for name in ("row", "begin", "end", "label", "next")])
_STATE = np.dtype(
    [
        (name, np.int64)
        for name in (
            "row", "nodata", "limit", "along", "down", "nodes", "edges", "runs", "oldest", "merged", "kept", "pixels",
        )
    ]
)  # fmt: skip
_RECENT = 3  # edges of a node that are looked through for the same neighbour before a new one is listed


class Regions(NamedTuple):
    """All memory of a sweep: structured arrays, which the compiled functions change in place.

    `above` is the row above, by node. `nodes`, `edges` and `runs` are filled from the front. `state` is one entry:
    `row` is the next row, `limit` the area from which on a node stays, `along` and `down` are the lengths of a pixel's
    sides; `oldest` is the first row that holds a pixel of a small area; `merged` areas, `kept` areas and `pixels` count
    what was done.
    """

    above: NDArray[np.int32]
    nodes: NDArray[Any]
    edges: NDArray[Any]
    runs: NDArray[Any]
    state: NDArray[Any]


def start_regions(width: int, *, nodata: int, limit: int, sides: tuple[int, int]) -> Regions:
    """The sweep above the first row of `width` columns; `sides` are the lengths of a pixel's, along a row and down."""
    state = np.zeros(1, dtype=_STATE)
    state["nodata"], state["limit"] = nodata, limit
    state["along"], state["down"] = sides
    above = np.full(width, NOBODY, dtype=np.int32)
    return Regions(above, np.zeros(0, dtype=_NODE), np.zeros(0, dtype=_EDGE), np.zeros(0, dtype=_RUN), state)


def make_room(regions: Regions) -> Regions:
    """The same sweep with pools twice as large, and at least enough for one row of pixels."""
    width = len(regions.above)
    pools = [
        np.concatenate([pool, np.zeros(len(pool) + room * width, dtype=pool.dtype)])
        for pool, room in ((regions.nodes, 1), (regions.edges, 4), (regions.runs, 1))
    ]
    return Regions(regions.above, pools[0], pools[1], pools[2], regions.state)


@compiled
def find(nodes: NDArray[Any], node: int) -> int:
    """The node that this one was merged into; paths are halved on the way."""
    while nodes[node].parent != node:
        nodes[node].parent = nodes[nodes[node].parent].parent
        node = int(nodes[node].parent)
    return node


@compiled
def take_rows(labels: Labels, weights: NDArray[np.int64], row: int, regions: Regions) -> int:
    """Take in rows from `row` on for as long as the pools have room; returns the first row not taken in.

    `weights` is the area of a pixel of each row, in the unit of the limit.
    """
    state, width = regions.state[0], len(regions.above)
    below = np.empty(width, dtype=np.int32)
    while row < len(labels):
        room = len(regions.edges) - state.edges, len(regions.nodes) - state.nodes, len(regions.runs) - state.runs
        if room[0] < 4 * width or room[1] < width or room[2] < width:
            return row
        _label_row(labels[row], weights[row], below, regions)
        _border_row(below, regions)
        regions.above[:] = below
        state.row += 1
        row += 1
    return row


@compiled
def _label_row(labels: Labels, weight: int, below: NDArray[np.int32], regions: Regions) -> None:
    """Give every run of one label in the new row its node."""
    nodes, above, state = regions.nodes, regions.above, regions.state[0]
    width = len(labels)
    end = 0
    while end < width:
        begin, label, node = end, labels[end], NOBODY
        while end < width and labels[end] == label:
            if label != state.nodata and above[end] != NOBODY:
                other = find(nodes, above[end])
                if nodes[other].label == label and other != node:
                    node = other if node == NOBODY else unite(node, other, regions)
            end += 1
        if label != state.nodata and node == NOBODY:
            node = int(state.nodes)
            state.nodes += 1
            fresh = nodes[node]
            fresh.parent, fresh.label, fresh.area, fresh.first = node, label, 0, state.row * width + begin
            fresh.edge = fresh.last_edge = fresh.run = fresh.last_run = NOBODY
            fresh.small, fresh.exposed = 1, 0
        below[begin:end] = node
        if node != NOBODY:
            nodes[node].last_row = state.row
            if nodes[node].small:
                _add_run(node, begin, end, regions)
                nodes[node].area += (end - begin) * weight
                if nodes[node].area >= state.limit:
                    let_stay(node, regions)


@compiled
def _add_run(node: int, begin: int, end: int, regions: Regions) -> None:
    owner, state = regions.nodes[node], regions.state[0]
    i = int(state.runs)
    state.runs += 1
    run = regions.runs[i]
    run.row, run.begin, run.end, run.label, run.next = state.row, begin, end, owner.label, owner.run
    if owner.run == NOBODY:
        owner.last_run = i
    owner.run = i


@compiled
def unite(a: int, b: int, regions: Regions) -> int:
    """Join two nodes of one label; if one of them stays, so does the other."""
    nodes, edges, runs = regions.nodes, regions.edges, regions.runs
    if nodes[a].small != nodes[b].small:
        let_stay(a, regions)
        let_stay(b, regions)
    if nodes[b].first < nodes[a].first:
        a, b = b, a
    stays, goes = nodes[a], nodes[b]
    goes.parent = a
    stays.last_row = max(stays.last_row, goes.last_row)
    stays.exposed = max(stays.exposed, goes.exposed)
    if stays.small:
        stays.area += goes.area
        if goes.edge != NOBODY:
            edges[goes.last_edge].next = stays.edge
            stays.last_edge = goes.last_edge if stays.edge == NOBODY else stays.last_edge
            stays.edge = goes.edge
        runs[goes.last_run].next = stays.run
        stays.run = goes.run
        if stays.area >= regions.state[0].limit:
            let_stay(a, regions)
    return a


@compiled
def let_stay(node: int, regions: Regions) -> None:
    """Settle that an area keeps its label; counts the pixels in it that had another one."""
    entry, runs, state = regions.nodes[node], regions.runs, regions.state[0]
    if not entry.small:
        return
    i = entry.run
    while i != NOBODY:
        if runs[i].label != entry.label:
            state.pixels += runs[i].end - runs[i].begin
        i = runs[i].next
    entry.small = 0
    entry.edge = entry.last_edge = entry.run = entry.last_run = NOBODY


@compiled
def _border_row(below: NDArray[np.int32], regions: Regions) -> None:
    """List the borders in the new row, and between it and the row above."""
    nodes, above, state = regions.nodes, regions.above, regions.state[0]
    width = len(below)
    here, there = state.row * width, (state.row - 1) * width
    for col in range(width):
        if above[col] != NOBODY:
            above[col] = find(nodes, above[col])
        if below[col] != NOBODY:
            below[col] = find(nodes, below[col])
    for col in range(1, width):
        if below[col] != below[col - 1]:
            _touch(below[col - 1], below[col], state.down, here + col, regions)
            _touch(below[col], below[col - 1], state.down, here + col - 1, regions)
    for col in (0, width - 1):
        _touch(below[col], NOBODY, 0, 0, regions)
    end = 0
    while end < width:
        begin, upper, lower = end, above[end], below[end]
        while end < width and above[end] == upper and below[end] == lower:
            end += 1
        if upper != lower:
            length = (end - begin) * state.along
            _touch(upper, lower, length, here + begin, regions)
            _touch(lower, upper, length, there + begin, regions)


@compiled
def _touch(node: int, other: int, border: int, first: int, regions: Regions) -> None:
    """Note that a node borders on another one, or on nothing."""
    if node == NOBODY or not regions.nodes[node].small:
        return
    if other == NOBODY:
        regions.nodes[node].exposed = 1
        return
    i = regions.nodes[node].edge
    for _ in range(_RECENT):
        if i == NOBODY:
            break
        if regions.edges[i].target == other:
            regions.edges[i].border += border
            regions.edges[i].first = min(regions.edges[i].first, first)
            return
        i = regions.edges[i].next
    add_edge(node, other, border, first, regions)


@compiled
def add_edge(node: int, target: int, border: int, first: int, regions: Regions) -> None:
    """List a border of a node that is not listed yet."""
    owner, state = regions.nodes[node], regions.state[0]
    i = int(state.edges)
    state.edges += 1
    edge = regions.edges[i]
    edge.target, edge.border, edge.first, edge.next = target, border, first, owner.edge
    if owner.edge == NOBODY:
        owner.last_edge = i
    owner.edge = i


@compiled
def expose_last_row(regions: Regions) -> None:
    """Note that the last row lies at the scene's edge, and that every area has ended."""
    for node in regions.above:
        _touch(NOBODY if node == NOBODY else find(regions.nodes, node), NOBODY, 0, 0, regions)
    regions.state[0].row += 1


@compiled
def label_of(target: int, nodes: NDArray[Any]) -> int:
    """The label on the other side of a border."""
    return ~target if target < 0 else int(nodes[find(nodes, target)].label)


@compiled
def compact(regions: Regions, room: int) -> Regions:
    """Copy what is still of use to new pools: areas in the row above, and small ones; `room` is left for each.

    `state.oldest` becomes the first row with a pixel of a small area, or the next row where there is none.
    """
    nodes, state = regions.nodes, regions.state[0]
    numbers, edges, runs = _number(regions)
    count = 0
    for number in numbers:
        count = max(count, number + 1)
    fresh = Regions(
        regions.above,
        np.zeros(count + room, nodes.dtype),
        np.zeros(edges + 4 * room, regions.edges.dtype),
        np.zeros(runs + room, regions.runs.dtype),
        regions.state,
    )
    state.oldest = state.row
    slots = np.full(count + state.nodata + 1, NOBODY, np.int32)
    old_nodes = state.nodes
    state.nodes, state.edges, state.runs = count, 0, 0
    for old in range(old_nodes):
        new = numbers[old]
        if new != NOBODY:
            fresh.nodes[new] = nodes[old]
            fresh.nodes[new].parent = new
            fresh.nodes[new].edge = fresh.nodes[new].last_edge = NOBODY
            fresh.nodes[new].run = fresh.nodes[new].last_run = NOBODY
            if nodes[old].small:
                _copy_edges(old, new, numbers, slots, regions, fresh)
                _copy_runs(old, new, regions, fresh)
    for col in range(len(fresh.above)):
        if fresh.above[col] != NOBODY:
            fresh.above[col] = numbers[find(nodes, fresh.above[col])]
    return fresh


@compiled
def _number(regions: Regions) -> tuple[NDArray[np.int32], int, int]:
    """New numbers of nodes of use, NOBODY for the others, and how many edges and runs they have at most."""
    nodes, state = regions.nodes, regions.state[0]
    numbers = np.full(state.nodes, NOBODY, np.int32)
    count = edges = runs = 0
    for node in range(state.nodes):
        entry = nodes[node]
        if entry.parent == node and (entry.small or entry.last_row == state.row - 1):
            numbers[node] = count
            count += 1
            i = entry.edge
            while i != NOBODY:
                edges += 1
                i = regions.edges[i].next
            i = entry.run
            while i != NOBODY:
                runs += 1
                i = regions.runs[i].next
    return numbers, edges, runs


@compiled
def _copy_edges(
    old: int, new: int, numbers: NDArray[np.int32], slots: NDArray[np.int32], regions: Regions, fresh: Regions
) -> None:
    """Copy the edges of a node, one a neighbour; `slots` finds that of a neighbour, NOBODY before and after."""
    nodes = regions.nodes
    i = nodes[old].edge
    while i != NOBODY:
        edge = regions.edges[i]
        i = edge.next
        target = edge.target
        if target >= 0:
            root = find(nodes, target)
            if root == old:
                continue
            target = numbers[root] if nodes[root].small else ~nodes[root].label
        slot = target if target >= 0 else len(slots) + target
        if slots[slot] == NOBODY:
            slots[slot] = fresh.state[0].edges
            add_edge(new, target, edge.border, edge.first, fresh)
        else:
            known = fresh.edges[slots[slot]]
            known.border += edge.border
            known.first = min(known.first, edge.first)
    i = fresh.nodes[new].edge
    while i != NOBODY:
        target = fresh.edges[i].target
        slots[target if target >= 0 else len(slots) + target] = NOBODY
        i = fresh.edges[i].next


@compiled
def _copy_runs(old: int, new: int, regions: Regions, fresh: Regions) -> None:
    state, entry = fresh.state[0], fresh.nodes[new]
    i = regions.nodes[old].run
    while i != NOBODY:
        j = int(state.runs)
        state.runs += 1
        fresh.runs[j] = regions.runs[i]
        fresh.runs[j].next = entry.run
        entry.last_run = j if entry.run == NOBODY else entry.last_run
        entry.run = j
        state.oldest = min(state.oldest, regions.runs[i].row)
        i = regions.runs[i].next
