"""How a scene is cut: overlapping tiles whose blending weights add up to one everywhere.

Along each axis the tiles start at about evenly spread multiples of a step; the last one may reach beyond the scene by
less than a step. A network that halves its resolution n times sees the same pixels wherever it starts, if the step is
2 to the n; else what it says of a pixel would depend on the tile. Between two neighbours the middle of their overlap is
the border of their `keep` parts. Class probabilities are faded linearly
across that border, over `blend` pixels; at the scene's own border nothing is faded. The fade never reaches a third
tile, so that a pixel has at most two contributors an axis, and their weights sum to one by construction.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from geoseg.core.grid import Window
from geoseg.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One step of inference: the window to read, and the part of it that this tile answers for."""

    read: Window
    keep: Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """One axis of a plan: tile `start`s, the borders between their keeps, and the fade's width in pixels."""

    length: int
    size: int
    starts: tuple[int, ...]
    borders: tuple[int, ...]
    blend: int

    def __len__(self) -> int:
        return len(self.starts)

    def keep(self, i: int) -> tuple[int, int]:
        """Half-open interval that tile i answers for; these partition [0, length)."""
        return self.borders[i], self.borders[i + 1]

    def use(self, i: int) -> tuple[int, int]:
        """Half-open interval to which tile i contributes with a weight above zero."""
        first, end = self.keep(i)
        before, after = self._fade(i)
        return first - before, end + after

    def done(self, i: int) -> int:
        """The position up to which everything is final once tiles 0..i have contributed."""
        return self.length if i + 1 == len(self) else self.use(i + 1)[0]

    def weights(self, i: int) -> NDArray[np.float32]:
        """Weight of each pixel in `use(i)`, float32; with its neighbour's it sums to one exactly."""
        first, end = self.use(i)
        weights = np.ones(end - first, dtype=np.float32)
        if self.blend and i > 0:
            weights[: self.blend] = self._ramp()
        if self.blend and i + 1 < len(self):
            weights[len(weights) - self.blend :] = np.float32(1) - self._ramp()
        return weights

    def _fade(self, i: int) -> tuple[int, int]:
        half = self.blend // 2
        return (half if i > 0 else 0), (self.blend - half if i + 1 < len(self) else 0)

    def _ramp(self) -> NDArray[np.float32]:
        return ((np.arange(self.blend) + 0.5) / self.blend).astype(np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class TilePlan:
    """All tiles of a grid in row-major order; one read size a scene."""

    rows: Cut
    cols: Cut

    def __len__(self) -> int:
        return len(self.rows) * len(self.cols)

    def __iter__(self) -> Iterator[Tile]:
        return (self.tile(i, j) for i in range(len(self.rows)) for j in range(len(self.cols)))

    def tile(self, i: int, j: int) -> Tile:
        """The tile in row i and column j of the plan."""
        return Tile(
            read=_box((self.rows.starts[i], self.rows.starts[i] + self.rows.size), self._col_span(j)),
            keep=_box(self.rows.keep(i), self.cols.keep(j)),
        )

    def _col_span(self, j: int) -> tuple[int, int]:
        return self.cols.starts[j], self.cols.starts[j] + self.cols.size

    @property
    def tile_pixels(self) -> int:
        """Pixels of one tile."""
        return self.rows.size * self.cols.size

    @property
    def redundancy(self) -> float:
        """Pixels read by all tiles divided by pixels of the grid."""
        read = len(self) * self.tile_pixels
        return read / (self.rows.length * self.cols.length)


def plan_tiles(
    height: int, width: int, *, size: int, overlap: int, stride: int = 1, step: int | None = None
) -> TilePlan:
    """Cut a grid of `height` x `width` pixels into tiles of `size` pixels that overlap by at least `overlap`.

    `size` is an upper bound: the tiles become as small as the same number of them allows, in multiples of the
    model's `stride`, so that as few pixels as possible are read twice. They start at multiples of `step` (None: of the
    stride). What the last tile reads beyond the scene, less than a stride, the reader pads with invalid pixels.

    Raises:
        InputError: if `size` is not a positive multiple of `stride`, or `overlap` does not leave a step of a tile.
    """
    step = stride if step is None else step
    if size < 1 or size % stride:
        msg = f"the tile size must be a positive multiple of the model's stride {stride}, got {size}"
        raise InputError(msg)
    if not 0 <= overlap <= size - step:
        msg = f"the overlap must be at least 0 and at most {size - step} for a tile size of {size}, got {overlap}"
        raise InputError(f"{msg}; choose a smaller overlap or larger tiles")
    rows = _cut(height, size=size, overlap=overlap, stride=stride, step=step)
    cols = _cut(width, size=size, overlap=overlap, stride=stride, step=step)
    return TilePlan(rows=rows, cols=cols)


def _cut(length: int, *, size: int, overlap: int, stride: int, step: int) -> Cut:
    farthest = (size - overlap) // step * step  # from one start to the next
    gaps = max(0, _parts(length - size, farthest))
    if gaps == 0:
        return Cut(length=length, size=round_up(length, stride), starts=(0,), borders=(0, length), blend=0)
    size = _smallest(length, gaps, size=size, overlap=overlap, stride=stride, step=step)
    steps = _parts(length - size, step)  # from the first start to the last
    starts = tuple(k * steps // gaps * step for k in range(gaps + 1))
    middles = tuple((after + before + size) // 2 for before, after in pairwise(starts))
    # the fade may not reach beyond either tile, nor meet the fade of the next border
    blend = min(overlap, *(before + size - after for before, after in pairwise(starts)))
    if len(middles) > 1:
        blend = min(blend, *(b - a for a, b in pairwise(middles)))
    borders = (0, *middles, length)
    return Cut(length=length, size=size, starts=starts, borders=borders, blend=blend)


def _smallest(length: int, gaps: int, *, size: int, overlap: int, stride: int, step: int) -> int:
    """The smallest tiles of which the same number will do; those of `size` do."""
    while size > stride:
        smaller = size - stride
        steps = _parts(length - smaller, step)
        widest = _parts(steps, gaps) * step
        if widest + overlap > smaller:
            break
        size = smaller
    return size


def _parts(length: int, part: int) -> int:
    """How many parts make up a length, the last one maybe not in full."""
    return -(-length // part)


def round_up(length: int, multiple: int) -> int:
    """The least multiple that is not below a length."""
    return _parts(length, multiple) * multiple


def _box(rows: tuple[int, int], cols: tuple[int, int]) -> Window:
    return Window(row=rows[0], col=cols[0], height=rows[1] - rows[0], width=cols[1] - cols[0])
