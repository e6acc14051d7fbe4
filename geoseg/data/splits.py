"""Geographic splits: ground is cut into square blocks, and each block belongs to one fold.

Blocks are cells on the ground, not of a scene, so scenes that overlap (two dates, two sensors) agree on the fold of
every place. Ground closer than the buffer to a block of another fold belongs to no fold at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS, Transformer

from geoseg.core.grid import Grid
from geoseg.errors import InputError

FOLDS = ("train", "val", "test")
TRAIN, VAL, TEST = range(3)
NO_FOLD = 255
STRIP_ROWS = 256

Block = tuple[int, int]
"""Cell of the ground: (northward, eastward) number, counted in blocks from the split's origin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """The cells themselves: an equal-area CRS in m around `centre` (lon, lat in degrees), cut every `block_m` m."""

    centre: tuple[float, float]
    block_m: float

    @classmethod
    def around(cls, grid: Grid, block_m: float) -> Ground:
        """Cells around the middle of a grid."""
        to_lonlat = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True)
        lon, lat = to_lonlat.transform(*(grid.transform @ (grid.width / 2, grid.height / 2)))
        return cls(centre=(lon, lat), block_m=block_m)

    def coordinates(self, grid: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(y, x) in m of every pixel centre of a grid, each of shape (row, col)."""
        lon, lat = self.centre
        local = CRS.from_dict({"proj": "laea", "lon_0": lon, "lat_0": lat, "datum": "WGS84", "units": "m"})
        rows, cols = np.mgrid[: grid.height, : grid.width] + 0.5
        x, y = Transformer.from_crs(grid.crs, local, always_xy=True).transform(*(grid.transform @ (cols, rows)))
        return y, x


@dataclass(frozen=True, slots=True, kw_only=True)
class SpatialSplit:
    """Which fold each block belongs to: `folds[i]` indexes `FOLDS` for `blocks[i]`, so folds are disjoint."""

    ground: Ground
    blocks: tuple[Block, ...]
    folds: tuple[int, ...]
    buffer_m: float
    seed: int

    def folds_on(self, grid: Grid, *, rows: int = STRIP_ROWS) -> NDArray[np.uint8]:
        """Fold of every pixel of a grid, shape (row, col); 255 outside of all blocks and inside the buffer."""
        result = np.full(grid.shape, NO_FOLD, dtype=np.uint8)
        for strip in grid.windows(rows):
            result[strip.slices] = self._folds_of_strip(grid[strip])
        return result

    def _folds_of_strip(self, grid: Grid) -> NDArray[np.uint8]:
        y, x = self.ground.coordinates(grid)
        own = self._fold_at(y, x)
        reach = self.buffer_m
        if reach > 0:
            for dy, dx in ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)):
                near = self._fold_at(y + dy * reach, x + dx * reach)
                own[(near != own) & (near != NO_FOLD)] = NO_FOLD
        return own

    def _fold_at(self, y: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.uint8]:
        blocks = np.array(self.blocks, dtype=np.int64).reshape(-1, 2)
        origin, end = blocks.min(axis=0), blocks.max(axis=0) + 1
        table = np.full(end - origin + 2, NO_FOLD, dtype=np.uint8)  # one empty cell around for all that lies outside
        table[tuple((blocks - origin + 1).T)] = self.folds
        cells = [
            np.clip(np.floor(values / self.ground.block_m) - first + 1, 0, size - 1).astype(np.int64)
            for values, first, size in zip((y, x), origin, table.shape, strict=True)
        ]
        folds: NDArray[np.uint8] = table[tuple(cells)]
        return folds


def count_blocks(
    ground: Ground, labelled: Iterable[tuple[Grid, NDArray[np.uint8]]], classes: int
) -> dict[Block, NDArray[np.int64]]:
    """Labelled pixels of each class in every block; `labelled` are grids with class indices (255 = unlabelled)."""
    content: dict[Block, NDArray[np.int64]] = {}
    for grid, labels in labelled:
        for strip in grid.windows(STRIP_ROWS):
            _count_strip(ground, grid[strip], labels[strip.slices], classes, content)
    return content


def _count_strip(
    ground: Ground, grid: Grid, labels: NDArray[np.uint8], classes: int, content: dict[Block, NDArray[np.int64]]
) -> None:
    y, x = ground.coordinates(grid)
    known = labels < classes
    cells = np.floor(np.stack([y[known], x[known]]) / ground.block_m).astype(np.int64)
    found, which = np.unique(cells, axis=1, return_inverse=True)
    counts = np.bincount(which * classes + labels[known], minlength=found.shape[1] * classes).reshape(-1, classes)
    for (north, east), count in zip(found.T.tolist(), counts, strict=True):
        content[north, east] = content.get((north, east), 0) + count


def split_blocks(
    content: Mapping[Block, NDArray[np.int64]],
    ground: Ground,
    *,
    shares: tuple[float, float, float],
    buffer_m: float,
    seed: int,
) -> SpatialSplit:
    """Give every block to train, val or test so that each fold holds about its share of every class.

    Blocks that hold most of some class are dealt first, each to the fold that lacks most of what it holds (the
    stratification by greatest need of Sechidis et al. 2011, doi:10.1007/978-3-642-23808-6_10, on class areas).

    Raises:
        InputError: fewer blocks than folds, or a buffer that leaves nothing of a block.
    """
    wanted = [i for i, share in enumerate(shares) if share > 0]
    if len(content) < len(wanted):
        raise InputError(
            f"the labels lie in {len(content)} blocks of {ground.block_m:g} m, {len(wanted)} folds need at least "
            f"{len(wanted)}; choose a smaller block_m"
        )
    if 2 * buffer_m >= ground.block_m:
        raise InputError(
            f"a buffer of {buffer_m:g} m leaves nothing of blocks of {ground.block_m:g} m; choose larger blocks"
        )
    rng = np.random.default_rng(seed)
    blocks = sorted(content)
    counts = np.array([content[block] for block in blocks], dtype=np.float64)
    parts = counts / np.maximum(counts.sum(axis=0), 1)  # of each class, the part that a block holds
    order = np.lexsort((rng.random(len(blocks)), -parts.max(axis=1)))
    target = np.array([shares[i] for i in wanted])[:, None]
    have = np.zeros((len(wanted), counts.shape[1]))
    folds = np.zeros(len(blocks), dtype=np.int64)
    for i in order:
        need = ((target - have) / target) @ parts[i]
        chosen = int(np.argmax(need))
        have[chosen] += parts[i]
        folds[i] = wanted[chosen]
    return SpatialSplit(ground=ground, blocks=tuple(blocks), folds=tuple(folds.tolist()), buffer_m=buffer_m, seed=seed)
