"""The minimum mapping unit: areas smaller than it become part of the class that they border on most, while streaming.

The smallest area goes first; of equal ones the one whose first pixel comes first in row-major order. It takes the
class with which it shares the longest border, all neighbours of that class together, since all of them become one area
with it; of equal borders the class whose bordering pixel comes first. This is repeated until no area is too small,
except for those that border on nodata and the scene's edge alone, which stay.

The order needs no view of the whole scene: an area can go as soon as it has ended and each of its neighbours is known
to be larger. What happens elsewhere does not change the classes of its neighbours before it is their turn, so the
result is the same for any strip height. Rows are given out once no area in them is waiting.
"""

from __future__ import annotations

import heapq

import numpy as np

from geoseg.core.compiled import compiled
from geoseg.vectorize.regions import NOBODY, Regions, find, label_of, let_stay, unite
from geoseg.vectorize.sweep import Labels


@compiled
def merge_small(rows: Labels, first_row: int, regions: Regions) -> None:
    """Merge every small area that can go; `rows` holds all pixels of small areas, from row `first_row` on."""
    nodes, state = regions.nodes, regions.state[0]
    queue = [
        (nodes[node].area, nodes[node].first, node)
        for node in range(state.nodes)
        if nodes[node].parent == node and nodes[node].small and nodes[node].last_row < state.row - 1
    ]
    heapq.heapify(queue)
    while queue:
        area, _, node = heapq.heappop(queue)
        entry = nodes[node]
        if entry.parent != node or not entry.small or entry.area != area or _waits(node, regions):
            continue
        label = _longest_border(node, regions)
        if label == NOBODY:
            let_stay(node, regions)
            state.kept += 1
            continue
        state.merged += 1
        node = join(node, label, rows, first_row, regions)
        if nodes[node].small and nodes[node].last_row < state.row - 1:
            heapq.heappush(queue, (nodes[node].area, nodes[node].first, node))


@compiled
def _waits(node: int, regions: Regions) -> bool:
    """True while a neighbour is, or may turn out to be, smaller."""
    nodes, mine = regions.nodes, regions.nodes[node]
    i = mine.edge
    while i != NOBODY:
        if regions.edges[i].target >= 0:
            other = nodes[find(nodes, regions.edges[i].target)]
            if other.small and (other.area < mine.area or (other.area == mine.area and other.first < mine.first)):
                return True
        i = regions.edges[i].next
    return False


@compiled
def _longest_border(node: int, regions: Regions) -> int:
    """The label with the longest border, NOBODY where there is none."""
    nodes, edges = regions.nodes, regions.edges
    found = [(0, np.int64(0), np.int64(0)) for _ in range(0)]
    i = nodes[node].edge
    while i != NOBODY:
        if edges[i].target < 0 or find(nodes, edges[i].target) != node:
            label = label_of(edges[i].target, nodes)
            slot = 0
            while slot < len(found) and found[slot][0] != label:
                slot += 1
            if slot == len(found):
                found.append((label, edges[i].border, edges[i].first))
            else:
                found[slot] = (label, found[slot][1] + edges[i].border, min(found[slot][2], edges[i].first))
        i = edges[i].next
    best = NOBODY
    most = earliest = np.int64(0)
    for label, border, first in found:
        if best == NOBODY or border > most or (border == most and first < earliest):
            best, most, earliest = label, border, first
    return best


@compiled
def join(node: int, label: int, rows: Labels, first_row: int, regions: Regions) -> int:
    """Give an area a label, and unite it with all its neighbours of that label; returns the joint node."""
    nodes, edges, runs = regions.nodes, regions.edges, regions.runs
    i = nodes[node].run
    while i != NOBODY:
        rows[runs[i].row - first_row, runs[i].begin : runs[i].end] = label
        i = runs[i].next
    nodes[node].label = label
    joins = [0 for _ in range(0)]
    stays = False
    i = nodes[node].edge
    while i != NOBODY:
        if label_of(edges[i].target, nodes) == label:
            stays = stays or edges[i].target < 0
            if edges[i].target >= 0:
                joins.append(edges[i].target)
        i = edges[i].next
    for target in joins:
        other = find(nodes, target)
        if other != find(nodes, node):
            unite(find(nodes, node), other, regions)
    node = find(nodes, node)
    if stays:
        let_stay(node, regions)
    return node
