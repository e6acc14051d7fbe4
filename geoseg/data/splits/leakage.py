"""Leakage: how much of what a fold is evaluated on the training has seen, or nearly seen."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.warp import reproject
from scipy.spatial import KDTree

from geoseg.core.grid import Grid
from geoseg.data.ground import ClassMap
from geoseg.data.splits.plane import Plane, places
from geoseg.data.splits.regions import Regions, prepare
from geoseg.data.splits.split import FOLDS, TRAIN, FoldMap, missing_classes
from geoseg.errors import InputError

MAX_CELLS = 2**21
"""Distances are measured between cells of so many pixels that all maps together have no more cells; see `leakage`."""

_STRIP_PIXELS = 2**20

Masks: TypeAlias = Callable[[Grid], NDArray[np.bool_]]
"""Which pixels of any grid each fold covers, shape (fold, row, col) in the order of `FOLDS`; folds may overlap."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FoldedMap:
    """A class map and the folds that are judged on it."""

    classes: ClassMap
    masks: Masks


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreGap:
    """The same model's score (0 to 1) under a split by chance and under the blocked one: what leaking was worth."""

    score: str
    random: float
    blocked: float

    @property
    def difference(self) -> float:
        """What the split by chance promises too much."""
        return self.random - self.blocked


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationLeak:
    """What leaks into one evaluation fold, as shares of its labelled pixels.

    `shared` lies on ground that another fold covers, too; `near` lies closer to a labelled training pixel than the
    range of the labels' variogram; `context` lies in reach of training chips, as context without labels. None where
    no range, no chip size, or no training pixel is there.
    """

    fold: str
    shared: float
    near: float | None = None
    context: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LeakageReport:
    """What a split gives each fold, and how far folds are from each other.

    `pixels` are labelled pixels by fold and class. `lost_to_buffer` of all `labelled` pixels lie in a block but in no
    fold, `outside` in no block; without an unbuffered split to compare, `lost_to_buffer` is None and `outside`
    counts both. `distances_m` are the least distances between centres of labelled pixels, by pairs of folds such as
    "train-val"; the true ones differ by at most `tolerance_m`. `missing` are classes absent from a fold.
    """

    class_names: tuple[str, ...]
    pixels: tuple[tuple[int, ...], ...]
    labelled: int
    lost_to_buffer: int | None
    outside: int
    missing: tuple[tuple[str, str], ...]
    distances_m: tuple[tuple[str, float], ...]
    tolerance_m: float
    evaluation: tuple[EvaluationLeak, ...]
    range_m: float | None = None
    chip_pixels: int | None = None
    gap: ScoreGap | None = None

    def with_gap(self, gap: ScoreGap) -> LeakageReport:
        """The same report with a comparison of scores."""
        return replace(self, gap=gap)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        counts = [dict(zip(self.class_names, row, strict=True)) for row in self.pixels]
        return {
            "pixels": dict(zip(FOLDS, counts, strict=True)),
            "labelled": self.labelled,
            "lost_to_buffer": self.lost_to_buffer,
            "outside": self.outside,
            "missing": [{"fold": fold, "class": name} for fold, name in self.missing],
            "distances_m": dict(self.distances_m),
            "tolerance_m": self.tolerance_m,
            "evaluation": {e.fold: {"shared": e.shared, "near": e.near, "context": e.context} for e in self.evaluation},
            "range_m": self.range_m,
            "chip_pixels": self.chip_pixels,
            "gap": None if self.gap is None else _gap_dict(self.gap),
        }

    def lines(self) -> tuple[str, ...]:
        """The report for a terminal."""
        return (*self._balance(), *self._losses(), *self._distances(), *self._leaks(), *self._gap())

    def _balance(self) -> Iterator[str]:
        width = max(8, *map(len, self.class_names))
        totals = [sum(row) for row in self.pixels]
        yield f"{'labelled pixels':<{width + 8}}" + "".join(f"{name:>19}" for name in FOLDS)
        for i, name in enumerate(self.class_names):
            cells = (f"{row[i]} ({_percent(row[i], total)})" for row, total in zip(self.pixels, totals, strict=True))
            yield f"{name:<{width + 8}}" + "".join(f"{cell:>19}" for cell in cells)
        yield f"{'all':<{width + 8}}" + "".join(f"{f'{n} ({_percent(n, self.labelled)})':>19}" for n in totals)
        for fold, name in self.missing:
            yield f"class {name} is missing from {fold}"

    def _losses(self) -> Iterator[str]:
        if self.lost_to_buffer is not None:
            yield f"lost to the buffer: {self.lost_to_buffer} ({_percent(self.lost_to_buffer, self.labelled)})"
        if self.outside or self.lost_to_buffer is None:
            where = "no fold" if self.lost_to_buffer is None else "no block"
            yield f"in {where}: {self.outside} ({_percent(self.outside, self.labelled)})"

    def _distances(self) -> Iterator[str]:
        within = f", to within {self.tolerance_m:.0f} m" if self.tolerance_m else ""
        for pair, distance in self.distances_m:
            yield f"{pair}: closest labelled pixels {distance:.0f} m apart{within}"

    def _leaks(self) -> Iterator[str]:
        for e in self.evaluation:
            yield f"{e.fold}: {e.shared:.1%} on ground of another fold"
            if e.near is not None:
                yield f"{e.fold}: {e.near:.1%} closer to training than the labels' range of {self.range_m:.0f} m"
            if e.context is not None:
                yield f"{e.fold}: {e.context:.1%} in reach of training chips of {self.chip_pixels} px, without labels"

    def _gap(self) -> Iterator[str]:
        if self.gap is not None:
            g = self.gap
            yield f"{g.score}: {g.random:.3f} by chance, {g.blocked:.3f} by blocks, {g.difference:+.3f} for leaking"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Counts:
    """Labelled pixels: by (fold, class), shared by fold, in all, in no fold, and of these in a block."""

    pixels: NDArray[np.int64]
    shared: NDArray[np.int64]
    labelled: int
    unfolded: int
    buffered: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Cells:
    """Places with labelled pixels of some fold, (cell, 2) in m, and how many pixels of each fold, (cell, fold).

    The places are those in the plane, turned so that the rows of the first map run along an axis, as chips do.
    """

    places: NDArray[np.float64]
    pixels: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Neighbour:
    """Another map on the same ground that has folds of its own, and its outline."""

    masks: Masks
    footprint: Regions

    def on(self, grid: Grid) -> NDArray[np.bool_]:
        """What its folds cover of a grid, shape (fold, row, col)."""
        covered: NDArray[np.bool_] = self.masks(grid) & (self.footprint.paint(grid, fill=0, dtype=np.uint8) == 1)
        return covered


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Survey:
    """How maps are counted: the plane and its turn, the number of classes, pixels a side of a cell."""

    plane: Plane
    turn: NDArray[np.float64]
    classes: int
    step: int
    unbuffered: Masks | None

    def count(self, folded: FoldedMap, neighbours: Sequence[_Neighbour]) -> tuple[_Counts, _Cells]:
        """Count a map strip by strip."""
        grid = folded.classes.grid
        counts: list[_Counts] = []
        cells: list[_Cells] = []
        with folded.classes.reader() as reader:
            for window in grid.windows(self.step * max(1, _STRIP_PIXELS // (grid.width * self.step))):
                labels, strip = reader.read(window), grid[window]
                known = labels < self.classes
                own = folded.masks(strip) & known
                counts.append(self._count_strip(strip, labels, own, neighbours))
                cells.append(self._cells(strip, own))
        return _total(counts), _joined(cells)

    def _count_strip(
        self, grid: Grid, labels: NDArray[np.uint8], own: NDArray[np.bool_], neighbours: Sequence[_Neighbour]
    ) -> _Counts:
        covered = own
        for neighbour in neighbours:
            covered = covered | neighbour.on(grid)
        number = covered.sum(axis=0)
        loose = (labels < self.classes) & ~own.any(axis=0)
        buffered = 0 if self.unbuffered is None else int((loose & self.unbuffered(grid).any(axis=0)).sum())
        return _Counts(
            pixels=np.array([np.bincount(labels[mask], minlength=self.classes) for mask in own]),
            shared=(own & (number > 1)).sum(axis=(1, 2)),
            labelled=int((labels < self.classes).sum()),
            unfolded=int(loose.sum()),
            buffered=buffered,
        )

    def _cells(self, grid: Grid, own: NDArray[np.bool_]) -> _Cells:
        step = self.step
        rows, cols = (-(-length // step) for length in grid.shape)
        padded = np.zeros((len(own), rows * step, cols * step), dtype=np.bool_)
        padded[:, : grid.height, : grid.width] = own
        pixels = padded.reshape(len(own), rows, step, cols, step).sum(axis=(2, 4))
        row, col = np.nonzero(pixels.any(axis=0))
        middles = places(grid, (row + 0.5) * step, (col + 0.5) * step)
        return _Cells(places=self.plane.project(grid.crs, middles) @ self.turn, pixels=pixels[:, row, col].T)


def masks_of(fold_map: FoldMap) -> Masks:
    """The masks of a split whose folds do not overlap."""

    def masks(grid: Grid) -> NDArray[np.bool_]:
        folds = fold_map.folds_on(grid)
        return np.stack([folds == fold for fold in range(len(FOLDS))])

    return masks


def masks_from_array(grid: Grid, covered: NDArray[np.bool_]) -> Masks:
    """The masks of a split that is known on one grid only, such as one of chips: nearest pixels on other grids.

    Args:
        grid: where it is known.
        covered: shape (fold, row, col); folds may overlap.
    """

    def masks(other: Grid) -> NDArray[np.bool_]:
        out = np.zeros((len(covered), *other.shape), dtype=np.uint8)
        reproject(
            covered.astype(np.uint8),
            out,
            src_transform=grid.transform,
            src_crs=grid.crs.to_wkt(),
            dst_transform=other.transform,
            dst_crs=other.crs.to_wkt(),
            resampling=Resampling.nearest,
        )
        return out.astype(np.bool_)

    return masks


def leakage(
    maps: Sequence[FoldedMap],
    class_names: Sequence[str],
    *,
    range_m: float | None = None,
    chip_pixels: int | None = None,
    unbuffered: Masks | None = None,
) -> LeakageReport:
    """Judge any split, whether of this program or not, from the labelled pixels of its folds.

    Maps are read strip by strip. Distances are between the centres of pixels, exactly, where all maps together have
    at most `MAX_CELLS` pixels; else between the centres of cells of so many pixels a side that there are no more
    cells, and `tolerance_m` is the diagonal of such a cell.

    Args:
        maps: class maps, each with its folds; give maps of one split the same `masks` object.
        class_names: in the order of the class indices.
        range_m: of the labels' variogram.
        chip_pixels: side of training chips; a chip holds at least one labelled training pixel.
        unbuffered: masks of the same split without its buffer, to tell what the buffer costs.

    Raises:
        InputError: no map, or no labelled pixel in any fold.
    """
    grids = [folded.classes.grid for folded in maps]
    if not grids:
        raise InputError("a leakage report needs at least one class map; give the scenes of the split")
    plane = Plane.around(grids)
    step = math.ceil(math.sqrt(sum(grid.height * grid.width for grid in grids) / MAX_CELLS))
    survey = _Survey(
        plane=plane, turn=_turn(plane, grids[0]), classes=len(class_names), step=step, unbuffered=unbuffered
    )
    results = [survey.count(folded, _neighbours(plane, maps, folded)) for folded in maps]
    counts, cells = _total([counts for counts, _ in results]), _joined([cells for _, cells in results])
    if not counts.pixels.any():
        raise InputError("no labelled pixel lies in a fold; do the split and the labels cover the same ground?")
    gsd = max(max(grid.gsd_m) for grid in grids)
    reach_m = None if chip_pixels is None else (chip_pixels - 0.5) * gsd  # half a pixel beyond the last one's centre
    return LeakageReport(
        class_names=tuple(class_names),
        pixels=tuple(tuple(row) for row in counts.pixels.tolist()),
        labelled=counts.labelled,
        lost_to_buffer=None if unbuffered is None else counts.buffered,
        outside=counts.unfolded - counts.buffered,
        missing=tuple((FOLDS[fold], class_names[k]) for fold, k in missing_classes(counts.pixels)),
        distances_m=tuple(_distances(cells)),
        tolerance_m=0.0 if step == 1 else math.hypot(*(step * max(g.gsd_m[i] for g in grids) for i in (0, 1))),
        evaluation=tuple(_leaks(cells, counts, range_m, reach_m)),
        range_m=range_m,
        chip_pixels=chip_pixels,
    )


def _turn(plane: Plane, grid: Grid) -> NDArray[np.float64]:
    """A rotation, to be multiplied from the right, that brings the rows of a grid onto the first axis, shape (2, 2)."""
    middle = np.array([0.0, 1.0]) + grid.width / 2
    start, end = plane.project(grid.crs, places(grid, np.full(2, grid.height / 2), middle))
    x, y = (end - start) / np.hypot(*(end - start))
    return np.array([[x, -y], [y, x]])


def _total(counts: Sequence[_Counts]) -> _Counts:
    return _Counts(
        pixels=np.sum([c.pixels for c in counts], axis=0),
        shared=np.sum([c.shared for c in counts], axis=0),
        labelled=sum(c.labelled for c in counts),
        unfolded=sum(c.unfolded for c in counts),
        buffered=sum(c.buffered for c in counts),
    )


def _joined(cells: Sequence[_Cells]) -> _Cells:
    return _Cells(places=np.concatenate([c.places for c in cells]), pixels=np.concatenate([c.pixels for c in cells]))


def _neighbours(plane: Plane, maps: Sequence[FoldedMap], folded: FoldedMap) -> tuple[_Neighbour, ...]:
    own = plane.footprint(folded.classes.grid)
    found = []
    for other in maps:
        footprint = plane.footprint(other.classes.grid)
        # one function of the ground agrees with itself
        if other.masks is not folded.masks and footprint.intersects(own):
            outline = prepare(plane, np.array([footprint], dtype=np.object_), np.array([1]))
            found.append(_Neighbour(masks=other.masks, footprint=outline))
    return tuple(found)


def _distances(cells: _Cells) -> Iterator[tuple[str, float]]:
    """The least distance between each two folds that have labels."""
    there = [fold for fold in range(len(FOLDS)) if cells.pixels[:, fold].any()]
    for first, second in combinations(there, 2):
        distance = _to_nearest(cells, first, second, p=2)
        yield f"{FOLDS[first]}-{FOLDS[second]}", float(distance.min())


def _leaks(cells: _Cells, counts: _Counts, range_m: float | None, reach_m: float | None) -> Iterator[EvaluationLeak]:
    trained = bool(cells.pixels[:, TRAIN].any())
    for fold in range(len(FOLDS)):
        weights = cells.pixels[:, fold][cells.pixels[:, fold] > 0]
        if fold == TRAIN or not len(weights):
            continue
        near = context = None
        if range_m is not None and trained:
            inside = _to_nearest(cells, TRAIN, fold, p=2, limit=range_m) < range_m
            near = float(weights[inside].sum() / weights.sum())
        if reach_m is not None and trained:  # a square around a training pixel: the larger of two distances
            inside = _to_nearest(cells, TRAIN, fold, p=np.inf, limit=reach_m) <= reach_m
            context = float(weights[inside].sum() / weights.sum())
        shared = float(counts.shared[fold] / counts.pixels[fold].sum())
        yield EvaluationLeak(fold=FOLDS[fold], shared=shared, near=near, context=context)


def _to_nearest(cells: _Cells, source: int, fold: int, *, p: float, limit: float = np.inf) -> NDArray[np.float64]:
    """Distance (Minkowski, p) in m from each cell of a fold to the nearest one of `source`; inf beyond `limit`."""
    tree = KDTree(cells.places[cells.pixels[:, source] > 0], balanced_tree=False, compact_nodes=False)
    own = cells.places[cells.pixels[:, fold] > 0]
    return np.asarray(tree.query(own, p=p, distance_upper_bound=limit)[0])


def _percent(number: int, total: int) -> str:
    return f"{number / total:.1%}" if total else "-"


def _gap_dict(gap: ScoreGap) -> dict[str, Any]:
    return {"score": gap.score, "random": gap.random, "blocked": gap.blocked, "difference": gap.difference}
