"""Counting: maps against their reference, window by window, in the smallest pieces that any grouping needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from geoseg.core.grid import Grid, Window
from geoseg.core.legend import UNLABELLED
from geoseg.data.ground import ClassReader
from geoseg.data.splits.split import FoldMap
from geoseg.evaluation.boundary import Ruler, Sight, count_boundaries
from geoseg.evaluation.cases import Reference
from geoseg.evaluation.confusion import count_confusion
from geoseg.evaluation.grouping import Group, Grouping
from geoseg.evaluation.maps import MapFile, MapReader
from geoseg.evaluation.partition import Partition
from geoseg.evaluation.reliability import count_reliability
from geoseg.evaluation.tally import Arrays, Tally
from geoseg.inference.engine import Progress

WINDOW = 512
"""Side in pixels of what is read at a time."""

Key: TypeAlias = tuple[int, ...]
"""The case, then the part of each partition, of a piece of ground."""
Tallies: TypeAlias = Mapping[Key, Tally]
"""What was counted in each piece; pieces without labelled pixels are left out."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CountPlan:
    """What is counted where: partitions of the ground, the fold, and the tolerance of borders in m.

    Without `folds` all ground is counted, without `tolerance_m` no borders. `window` is the side in pixels of what is
    read at a time: any gives the same.
    """

    partitions: tuple[Partition, ...] = ()
    folds: FoldMap | None = None
    fold: int = 0
    tolerance_m: float | None = None
    window: int = WINDOW


def count_map(case: int, reference: Reference, map_file: MapFile, plan: CountPlan, progress: Progress) -> Tallies:
    """Count the map of a case; the windows may be counted in any order."""
    total: dict[Key, Tally] = {}
    grid = reference.grid
    windows = list(grid.windows(plan.window, plan.window))
    ruler = None if plan.tolerance_m is None else Ruler.on(grid, plan.tolerance_m)
    with map_file.reader() as mapped, reference.reader() as truth:
        for done, window in enumerate(windows, start=1):
            add(total, _count(_Place(case=case, grid=grid, window=window, ruler=ruler), truth, mapped, plan))
            progress("count", done, len(windows))
    return total


def add(total: dict[Key, Tally], more: Tallies) -> None:
    """Add to a total, piece by piece."""
    for key, tally in more.items():
        total[key] = total[key] + tally if key in total else tally


def group_by(tallies: Tallies, position: int, by: str, names: Mapping[int, str]) -> Grouping:
    """The pieces summed by one part of their key, in the order of its numbers; numbers of one name are one group."""
    groups: dict[str, Tally] = {}
    for key in sorted(tallies, key=lambda key: key[position]):
        name = names[key[position]]
        groups[name] = groups[name] + tallies[key] if name in groups else tallies[key]
    return Grouping(by=by, groups=tuple(Group(name=name, tally=tally) for name, tally in groups.items()))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Place:
    case: int
    grid: Grid
    window: Window
    ruler: Ruler | None

    @property
    def outer(self) -> Window:
        return self.window if self.ruler is None else self.ruler.around(self.window)


def _count(place: _Place, truth_reader: ClassReader, map_reader: MapReader, plan: CountPlan) -> dict[Key, Tally]:
    """The pieces of one window."""
    inner = place.window.within(place.outer).slices
    around = truth_reader.read(place.outer)
    truth = around[inner]
    pieces, numbers = _pieces(place, truth != UNLABELLED, plan)
    if not pieces:
        return {}
    mapped_around = map_reader.classes(place.outer)
    mapped = mapped_around[inner]
    legend, counted = map_reader.map.legend, numbers >= 0
    groups, count = numbers[counted], len(pieces)
    boundaries = None
    if place.ruler is not None:
        sight = Sight(window=place.window, truth=around, mapped=mapped_around, groups=numbers, count=count)
        boundaries = count_boundaries(sight, place.ruler, len(legend))
    arrays = Arrays(
        confusion=count_confusion(groups, count, truth[counted], mapped[counted], len(legend)),
        boundaries=boundaries,
        reliability=_reliability(place.window, truth, mapped, numbers, map_reader, count),
    )
    unmapped = np.bincount(numbers[counted & (mapped == UNLABELLED)], minlength=count)
    return {
        key: Tally.of(Arrays(*(None if a is None else a[i] for a in arrays)), legend, int(unmapped[i]))  # type: ignore[arg-type]
        for i, key in enumerate(pieces)
    }


def _pieces(place: _Place, labelled: NDArray[np.bool_], plan: CountPlan) -> tuple[list[Key], NDArray[np.int64]]:
    """The keys of the pieces in a window, and the number of each pixel's piece, -1 where it is not counted."""
    grid = place.grid[place.window]
    numbers = np.full(place.window.shape, -1, dtype=np.int64)
    if not labelled.any():
        return [], numbers
    counted = labelled if plan.folds is None else labelled & (plan.folds.folds_on(grid) == plan.fold)
    if not counted.any():
        return [], numbers
    parts = [partition.paint(grid)[counted] for partition in plan.partitions]
    sizes = [len(partition.names) + 1 for partition in plan.partitions]
    mixed = np.zeros(int(counted.sum()), dtype=np.int64)
    for part, size in zip(parts, sizes, strict=True):
        mixed = mixed * size + part
    found, inverse = np.unique(mixed, return_inverse=True)
    numbers[counted] = inverse
    return [(place.case, *_unmixed(number, sizes)) for number in found.tolist()], numbers


def _unmixed(number: int, sizes: list[int]) -> list[int]:
    digits = []
    for size in reversed(sizes):
        number, digit = divmod(number, size)
        digits.append(digit)
    return digits[::-1]


def _reliability(
    window: Window,
    truth: NDArray[np.uint8],
    mapped: NDArray[np.uint8],
    numbers: NDArray[np.int64],
    reader: MapReader,
    count: int,
) -> NDArray[np.int64] | None:
    probability = reader.probability(window, mapped)
    if probability is None:
        return None
    counted = (numbers >= 0) & (mapped != UNLABELLED)
    return count_reliability(numbers[counted], count, probability[counted], (truth == mapped)[counted])
