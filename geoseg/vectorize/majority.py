"""The majority filter: every pixel takes the class that most pixels around it have, while streaming."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from geoseg.core.compiled import compiled
from geoseg.vectorize.sweep import Labels


def vote_majority(strips: Iterable[Labels], size: int) -> Iterator[tuple[Labels, int]]:
    """Filter strips of labels by a square window of `size` pixels, an odd number.

    Nodata has no vote and stays nodata; at the scene's edge the window is cut off. Where several classes have most
    votes a pixel keeps its own if that is one of them, else it takes the first of them in the window's row-major order.

    Yields:
        Filtered strips from top to bottom, in other heights, and how many pixels in them have changed.
    """
    halo = size // 2
    held: Labels = np.empty((0, 0), dtype=np.uint8)
    done = 0  # rows of those held that were given out
    for strip in strips:
        held = np.concatenate([held[max(0, done - halo) :], strip]) if held.size else np.ascontiguousarray(strip)
        done = min(done, halo)
        ready = max(done, len(held) - halo)
        yield _filtered(held, done, ready, halo)
        done = ready
    yield _filtered(held, done, len(held), halo)


def _filtered(held: Labels, begin: int, end: int, halo: int) -> tuple[Labels, int]:
    out = held[begin:end].copy()
    if out.size:
        _vote(held, begin, halo, int(np.iinfo(held.dtype).max), out)
    return out, int((out != held[begin:end]).sum())


@compiled
def _vote(rows: Labels, begin: int, halo: int, nodata: int, out: Labels) -> None:
    """Filter the rows from `begin` on into `out`; the window slides along the row, a column in and a column out."""
    height, width = rows.shape
    for i in range(len(out)):
        top, bottom = max(0, begin + i - halo), min(height, begin + i + halo + 1)
        votes = np.zeros(nodata + 1, np.int32)
        for row in range(top, bottom):
            for col in range(min(halo, width)):
                votes[rows[row, col]] += 1
        voters = (bottom - top) * min(halo, width) - votes[nodata]
        for col in range(width):
            for row in range(top, bottom):
                if col + halo < width:
                    votes[rows[row, col + halo]] += 1
                    voters += rows[row, col + halo] != nodata
                if col - halo > 0:
                    votes[rows[row, col - halo - 1]] -= 1
                    voters -= rows[row, col - halo - 1] != nodata
            own = rows[begin + i, col]
            if own != nodata and 2 * votes[own] < voters:
                out[i, col] = _winner(rows[top:bottom, max(0, col - halo) : col + halo + 1], votes, own, nodata)


@compiled
def _winner(window: Labels, votes: NDArray[np.int32], own: int, nodata: int) -> int:
    best = own
    for row in range(window.shape[0]):
        for col in range(window.shape[1]):
            label = window[row, col]
            if label != nodata and votes[label] > votes[best]:
                best = label
    return best
