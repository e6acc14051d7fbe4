"""Geographic splits: blocks of ground, the fold of each, and a buffer between folds.

A split is of the ground, not of a scene: scenes that overlap (two dates, two UTM zones) agree on the fold of every
place. Ground closer than the buffer to a block of another fold belongs to no fold. Roberts et al. (2017, Ecography 40,
913-929, doi:10.1111/ecog.02881) and Ploton et al. (2020, doi:10.1038/s41467-020-18321-y) show what a split without
geography hides.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from geoseg.core.grid import Grid
from geoseg.data.ground import ClassMap
from geoseg.data.splits.blocks import Block, polygons_of, strips
from geoseg.data.splits.plane import SEGMENT_M, Plane
from geoseg.data.splits.regions import Regions, prepare
from geoseg.errors import InputError

FOLDS = ("train", "val", "test")
TRAIN, VAL, TEST = range(3)
NO_FOLD = 255
PLAIN = (TRAIN, VAL, TEST)
"""Roles of the parts of a split without turns: parts are folds."""

_ARC_SEGMENTS = 16  # of a quarter circle
_MARGIN = 1.0005  # distances counted in the pixels of a UTM grid are up to 0.04 % shorter than on the ground


class FoldMap(Protocol):
    """Knows the fold of every place."""

    def folds_on(self, grid: Grid) -> NDArray[np.uint8]:
        """Fold of every pixel of a grid, shape (row, col), as an index of `FOLDS`; 255 where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpatialSplit:
    """Which fold each block of ground belongs to.

    `parts[i]` is the part that block i was dealt to, and `roles[parts[i]]` its fold, an index of `FOLDS`. In a plain
    split the parts are the folds; in a k-fold split there are k parts that take turns (see `run`). Ground closer than
    `buffer_m` to a block of another fold belongs to no fold, so pixels of different folds are at least as far apart
    (twice as far where their blocks touch). `method` tells in words how blocks were made.
    """

    plane: Plane
    blocks: tuple[Block, ...]
    parts: tuple[int, ...]
    roles: tuple[int, ...] = PLAIN
    buffer_m: float = 0.0
    seed: int = 0
    method: str = ""

    def __post_init__(self) -> None:
        names = {block.name for block in self.blocks}
        if not self.blocks or len(names) != len(self.blocks) or len(self.parts) != len(self.blocks):
            raise InputError(f"a split needs blocks with unique names and a part each; got {len(names)} names")
        if not all(0 <= part < len(self.roles) for part in self.parts):
            raise InputError(f"parts must be 0 to {len(self.roles) - 1}, got {min(self.parts)} to {max(self.parts)}")
        if not (self.buffer_m >= 0 and math.isfinite(self.buffer_m)):
            raise InputError(f"buffer_m must be at least 0, got {self.buffer_m}")

    @property
    def crs(self) -> CRS:
        """Of the blocks: equal-area, in m."""
        return self.plane.crs

    @property
    def folds(self) -> tuple[int, ...]:
        """Fold of every block, an index of `FOLDS`."""
        return tuple(self.roles[part] for part in self.parts)

    @property
    def fingerprint(self) -> str:
        """Hex digits that change when the fold of any place does."""
        digest = hashlib.sha256(repr((self.plane, self.folds, self.buffer_m)).encode())
        for block in self.blocks:
            digest.update(block.polygon.wkb)
        return digest.hexdigest()

    @property
    def k(self) -> int | None:
        """How many parts take turns, or None for a plain split."""
        return None if self.roles == PLAIN else len(self.roles)

    def run(self, number: int) -> SpatialSplit:
        """The same blocks with part `number` as test, the next one as val, and the rest as train.

        Raises:
            InputError: for a plain split, or a number that is not 0 to k - 1.
        """
        if self.k is None or not 0 <= number < self.k:
            has = "no parts that take turns" if self.k is None else f"the runs 0 to {self.k - 1}"
            raise InputError(f"run {number} was wanted, but this split has {has}; choose another fold")
        return replace(self, roles=turn(self.k, number))

    def remaining(self) -> NDArray[np.object_]:
        """What the buffer leaves of each block: (multi)polygons in the plane, empty where nothing, shape (block,)."""
        polygons = polygons_of(self.blocks)
        if self.buffer_m == 0:
            return polygons
        reach = self.buffer_m * _MARGIN * self.plane.stretch(_radius(polygons))
        return _apart(polygons, np.array(self.folds), reach)

    def map(self) -> SplitMap:
        """Make ready to ask for folds; takes about a second for ten thousand blocks with a buffer."""
        return SplitMap(regions=prepare(self.plane, self.remaining(), np.array(self.folds)))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SplitMap:
    """A split made ready; processes and threads may share it."""

    regions: Regions

    def folds_on(self, grid: Grid) -> NDArray[np.uint8]:
        """Fold of every pixel centre, shape (row, col); 255 outside of all blocks and inside the buffer.

        A window of a grid gets what the whole grid has there.
        """
        return self.regions.paint(grid, fill=NO_FOLD, dtype=np.uint8)


def turn(k: int, number: int) -> tuple[int, ...]:
    """Fold of each of k parts in a run: part `number` is test, the next one (mod k) val, the rest train."""
    return tuple(TEST if part == number else VAL if part == (number + 1) % k else TRAIN for part in range(k))


def count_folds(fold_map: FoldMap, maps: Sequence[ClassMap], classes: int) -> NDArray[np.int64]:
    """Labelled pixels of each class in every fold, shape (fold, class), read strip by strip."""
    counts = np.zeros((len(FOLDS), classes), dtype=np.int64)
    for grid, labels in strips(maps):
        folds = fold_map.folds_on(grid)
        known = (labels < classes) & (folds != NO_FOLD)
        keys = folds[known].astype(np.int64) * classes + labels[known]
        counts += np.bincount(keys, minlength=counts.size).reshape(counts.shape)
    return counts


def missing_classes(fold_pixels: NDArray[np.int64]) -> tuple[tuple[int, int], ...]:
    """(fold, class) for every class that some fold has and another one that is not empty lacks: for a warning.

    A class absent from train cannot be learned; one absent from val or test is not evaluated there.

    Args:
        fold_pixels: labelled pixels, shape (fold, class), of `count_folds`.
    """
    lacking = (fold_pixels == 0) & fold_pixels.any(axis=0) & fold_pixels.any(axis=1, keepdims=True)
    return tuple((int(fold), int(index)) for fold, index in np.argwhere(lacking))


def _radius(polygons: NDArray[np.object_]) -> float:
    return float(np.abs(shapely.total_bounds(polygons)).max() * math.sqrt(2))


def _apart(polygons: NDArray[np.object_], folds: NDArray[np.int64], reach: float) -> NDArray[np.object_]:
    """Each polygon without what is closer than `reach` to a polygon of another fold."""
    own, near = shapely.STRtree(polygons).query(polygons, predicate="dwithin", distance=reach)
    foreign = folds[own] != folds[near]
    own, near = own[foreign], near[foreign]
    order = np.lexsort((near, own))
    own, near = own[order], near[order]
    radius = reach / math.cos(math.pi / (4 * _ARC_SEGMENTS))  # the arcs' chords lie inside of the circle
    grown = np.empty_like(polygons)
    wanted = np.unique(near)
    grown[wanted] = shapely.buffer(polygons[wanted], radius, quad_segs=_ARC_SEGMENTS)
    # cut only after the edges got their vertices, so that neighbours of one fold keep the same ones on shared edges
    left = shapely.segmentize(polygons, SEGMENT_M)
    borders = [*np.flatnonzero(np.diff(own, prepend=-1)), len(own)]
    for first, last in pairwise(borders):
        left[own[first]] = left[own[first]].difference(shapely.union_all(grown[near[first:last]]))
    return left
