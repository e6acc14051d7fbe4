"""Holes: what an area encloses, all together smaller than a limit, becomes part of it, while streaming.

An area is open if it is at least as large as the limit, borders on nodata or the scene's edge, or borders on open
areas of two classes. The others come in groups of neighbours. A group that is smaller than the limit in all, and
borders on open areas of one class only, becomes that class. In the other groups, areas that can be reached from outside
through one area only lie in it: where they are smaller than the limit in all, they become its class; of several such
areas the outermost counts. In the graph of neighbours these are the parts behind its cut vertices, found by a walk in
depth (Hopcroft and Tarjan 1973, Algorithm 447).

No nodata and nothing that touches it is ever filled. A group can be decided when all of it has ended, so the result is
the same for any strip height.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geoseg.core.compiled import compiled
from geoseg.vectorize.regions import NOBODY, Regions, find, let_stay
from geoseg.vectorize.sieve import join
from geoseg.vectorize.sweep import Labels

_MANY = -2


@compiled
def fill_enclosed(rows: Labels, first_row: int, regions: Regions) -> None:
    """Fill the holes that can be told; `rows` holds all pixels of small areas, from row `first_row` on."""
    nodes, state = regions.nodes, regions.state[0]
    _open_up(regions)
    index = np.full(state.nodes, NOBODY, np.int32)  # position in its group
    for node in range(state.nodes):
        if nodes[node].parent == node and nodes[node].small and index[node] == NOBODY:
            group, ended = _group_of(node, index, regions)
            if ended:
                fills = _plan(group, index, regions)
                for i in range(len(group)):
                    if fills[i] != NOBODY:
                        state.merged += 1
                        join(group[i], fills[i], rows, first_row, regions)
                for member in group:
                    let_stay(find(nodes, member), regions)


@compiled
def _open_up(regions: Regions) -> None:
    """Let areas stay that are no part of any hole, until there are no more."""
    nodes = regions.nodes
    changed = True
    while changed:
        changed = False
        for node in range(regions.state[0].nodes):
            closed = nodes[node].parent == node and nodes[node].small
            if closed and (nodes[node].exposed or _open_class(node, regions) == _MANY):
                let_stay(node, regions)
                changed = True


@compiled
def _open_class(node: int, regions: Regions) -> int:
    """The class of the open areas that an area borders on; NOBODY for none, _MANY for several classes."""
    nodes, edges = regions.nodes, regions.edges
    found = NOBODY
    i = nodes[node].edge
    while i != NOBODY:
        target, label = edges[i].target, NOBODY
        if target < 0:
            label = ~target
        elif not nodes[find(nodes, target)].small:
            label = nodes[find(nodes, target)].label
        if label != NOBODY:
            if found not in (NOBODY, label):
                return _MANY
            found = label
        i = edges[i].next
    return found


@compiled
def _group_of(node: int, index: NDArray[np.int32], regions: Regions) -> tuple[NDArray[np.int32], bool]:
    """All areas that hang together with this one by borders, without open ones, and whether all of them have ended."""
    nodes, edges = regions.nodes, regions.edges
    group = [np.int32(node)]
    index[node] = 0
    ended = True
    done = 0
    while done < len(group):
        member = group[done]
        done += 1
        ended = ended and nodes[member].last_row < regions.state[0].row - 1
        i = nodes[member].edge
        while i != NOBODY:
            if edges[i].target >= 0:
                other = find(nodes, edges[i].target)
                if nodes[other].small and index[other] == NOBODY:
                    index[other] = len(group)
                    group.append(np.int32(other))
            i = edges[i].next
    return np.array(group), ended


@compiled
def _plan(group: NDArray[np.int32], index: NDArray[np.int32], regions: Regions) -> NDArray[np.int32]:
    """The label that each area of a group is filled with; NOBODY where it stays."""
    nodes, limit = regions.nodes, regions.state[0].limit
    total, around = np.int64(0), NOBODY
    for member in group:
        total += nodes[member].area
        label = _open_class(member, regions)
        if label != NOBODY:
            around = label if around in (NOBODY, label) else _MANY
    if total < limit and around >= 0:
        return np.full(len(group), around, np.int32)
    fills = np.full(len(group), NOBODY, np.int32)
    order, parent, found, low, areas = _walk(group, index, regions)
    for i in order:
        above = parent[i]
        if above != NOBODY:
            if fills[above] != NOBODY:
                fills[i] = fills[above]
            elif low[i] >= found[above] and areas[i] < limit:
                fills[i] = nodes[group[above]].label
    return fills


@compiled
def _walk(
    group: NDArray[np.int32], index: NDArray[np.int32], regions: Regions
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]]:
    """Walk through a group in depth, from outside.

    Returns:
        In the order of the walk the positions; by position the one before it in the walk, when it was found, the
        earliest found to which a way leads from it and those after it, and their area with its own.
    """
    nodes, edges = regions.nodes, regions.edges
    n = len(group)
    order, parent = np.empty(n, np.int32), np.full(n, NOBODY, np.int32)
    found, low, areas = np.zeros(n, np.int32), np.zeros(n, np.int32), np.zeros(n, np.int64)
    cursor = np.empty(n, np.int32)
    count = 0
    i = 0
    while _open_class(group[i], regions) == NOBODY:
        i += 1
    enter = True
    while i != NOBODY:
        if enter:
            order[count] = i
            count += 1
            found[i] = count  # what lies outside was found at 0
            low[i] = count if _open_class(group[i], regions) == NOBODY else 0
            areas[i] = nodes[group[i]].area
            cursor[i] = nodes[group[i]].edge
            enter = False
        edge = cursor[i]
        if edge == NOBODY:
            above = parent[i]
            if above != NOBODY:
                low[above] = min(low[above], low[i])
                areas[above] += areas[i]
            i = above
            continue
        cursor[i] = edges[edge].next
        if edges[edge].target >= 0 and nodes[find(nodes, edges[edge].target)].small:
            other = index[find(nodes, edges[edge].target)]
            if found[other] == 0:
                parent[other] = i
                i = other
                enter = True
            elif other != parent[i]:
                low[i] = min(low[i], found[other])
    return order, parent, found, low, areas
