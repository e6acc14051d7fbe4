"""Areas thinned to lines one pixel wide, and these lines as paths between their ends and junctions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoseg.core.compiled import compiled


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Paths:
    """Lines through pixels: (row, col) of each, shape (pixel, 2), line i being `pixels[offsets[i] : offsets[i + 1]]`.

    A closed line ends where it begins. `free` tells whether its first and last pixel are ends of no other line, shape
    (line, 2).
    """

    pixels: NDArray[np.int64]
    offsets: NDArray[np.int64]
    free: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.free)


def thin(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Peel areas down to lines one pixel wide that are connected as they are, 8-connected.

    The parallel algorithm A1 of Guo and Hall 1989, "Parallel thinning with two-subiteration algorithms", Communications
    of the ACM 32(3), 359-373. Memory: the mask, and 16 bytes a pixel of the areas.

    Args:
        mask: True in the areas, shape (row, col).
    """
    padded = np.pad(mask, 1)
    _peel(padded.reshape(-1), np.flatnonzero(padded), padded.shape[1])
    return padded[1:-1, 1:-1]


def follow(skeleton: NDArray[np.bool_]) -> Paths:
    """The lines of a skeleton between pixels that have not two neighbours; a loop without such a pixel is a line, too.

    Pixels that touch at corners are neighbours where no third one touches both at sides. Lone pixels are no lines.
    """
    padded = np.pad(skeleton, 1)
    places = np.flatnonzero(padded)
    starts, neighbours = _links(padded.reshape(-1), places, padded.shape[1])
    order, offsets = _walk(starts, neighbours)
    degrees = np.diff(starts)
    ends = order[np.column_stack([offsets[:-1], offsets[1:] - 1])]
    row, col = np.divmod(places[order], padded.shape[1])
    return Paths(pixels=np.column_stack([row - 1, col - 1]), offsets=offsets, free=degrees[ends] == 1)


def _links(
    cells: NDArray[np.bool_], places: NDArray[np.int64], width: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The neighbours of every pixel: those of pixel i are `neighbours[starts[i] : starts[i + 1]]`."""
    pairs = []
    for step, beside in ((1, ()), (width, ()), (width + 1, (1, width)), (width - 1, (-1, width))):
        linked = cells[places + step]
        for third in beside:
            linked &= ~cells[places + third]
        first = np.flatnonzero(linked)
        pairs.append(np.column_stack([first, np.searchsorted(places, places[first] + step)]))
    one_way = np.concatenate(pairs)
    links = np.concatenate([one_way, one_way[:, ::-1]])
    links = links[np.lexsort((links[:, 1], links[:, 0]))]
    return np.searchsorted(links[:, 0], np.arange(len(places) + 1)), links[:, 1]


@compiled
def _peel(cells: NDArray[np.bool_], places: NDArray[np.int64], width: int) -> None:
    """Clear the pixels of a padded mask that thinning takes away."""
    around = np.array([-width, 1 - width, 1, 1 + width, width, width - 1, -1, -1 - width])  # from north, clockwise
    p = np.zeros(8, dtype=np.bool_)
    gone = np.empty(len(places), dtype=np.int64)
    idle = 0
    turn = 0
    while idle < 2:
        count = 0
        for place in places:
            for i in range(8):
                p[i] = cells[place + around[i]]
            if _goes(p, turn):
                gone[count] = place
                count += 1
        for place in gone[:count]:
            cells[place] = False
        idle = 0 if count else idle + 1
        places = places[cells[places]]
        turn = 1 - turn


@compiled
def _goes(p: NDArray[np.bool_], turn: int) -> bool:
    """Whether a pixel with these eight neighbours goes in the first or second half of a round."""
    parts, even, odd = 0, 0, 0
    for i in range(0, 8, 2):
        side, after, next_side, before = p[i], p[i + 1], p[(i + 2) % 8], p[i - 1]
        parts += (not side) and (after or next_side)
        even += side or after
        odd += side or before
    if parts != 1 or not 2 <= min(even, odd) <= 3:
        return False
    n, ne, e, se, s, sw, w, nw = p
    if turn == 0:
        return not ((n or ne or not se) and e)
    return not ((s or sw or not nw) and w)


@compiled
def _walk(starts: NDArray[np.int64], neighbours: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pixels of every line, one after the other, and where lines begin: from ends and junctions, then round loops."""
    pixels = len(starts) - 1
    used = np.zeros(len(neighbours), dtype=np.bool_)
    order = np.empty(2 * len(neighbours) + 1, dtype=np.int64)
    offsets = np.zeros(len(neighbours) + 1, dtype=np.int64)
    size, lines = 0, 0
    for loops in (False, True):
        for first in range(pixels):
            if not loops and starts[first + 1] - starts[first] == 2:
                continue
            for link in range(starts[first], starts[first + 1]):
                if used[link]:
                    continue
                order[size] = first
                size += 1
                here, via = first, link
                while True:
                    used[via] = True
                    there = neighbours[via]
                    back = starts[there]
                    while neighbours[back] != here:
                        back += 1
                    used[back] = True
                    order[size] = there
                    size += 1
                    if there == first or starts[there + 1] - starts[there] != 2:
                        break
                    here, via = there, 2 * starts[there] + 1 - back  # the other of two links
                lines += 1
                offsets[lines] = size
    return order[:size], offsets[: lines + 1]
