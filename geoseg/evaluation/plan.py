"""The plan of an evaluation: everything that is decided before a map is drawn or a pixel is counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from geoseg.data.splits.blocks import cells
from geoseg.data.splits.files import load_split
from geoseg.data.splits.plane import Plane
from geoseg.data.splits.split import FOLDS, SpatialSplit
from geoseg.data.splits.variogram import suggest_block_m, variogram
from geoseg.errors import InputError
from geoseg.evaluation.bootstrap import ENOUGH_BLOCKS
from geoseg.evaluation.cases import Reference
from geoseg.evaluation.counting import CountPlan
from geoseg.evaluation.options import EvaluateOptions
from geoseg.evaluation.partition import Partition, of_blocks, of_layer

_TOLERANCE_PIXELS = 2
_VARIOGRAM_SIDE = 1024  # pixels: a block's side needs no finer lags, and memory is a quarter of that of the default
_FEWEST_AUTO = 5 / ENOUGH_BLOCKS  # as a share of a split: it gets five blocks, so there are enough in all


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EvaluationPlan:
    """What is counted; in words the `ground`, the `unit` that is resampled (empty = none), and what to know of both."""

    counts: CountPlan
    ground: str
    unit: str
    notes: tuple[str, ...] = ()


def plan_evaluation(references: Sequence[Reference], options: EvaluateOptions) -> EvaluationPlan:
    """Decide on fold, groups, blocks and tolerance.

    Raises:
        InputError: a split or a layer of regions that cannot be used.
    """
    grids = [reference.grid for reference in references]
    plane = Plane.around(grids)
    split = None if options.split is None else load_split(options.split)
    layers = [of_layer(options.regions, name, plane, grids) for name in options.region_names if options.regions]
    blocks, unit, why = _blocks(references, plane, split, options)
    tolerance, doubts = _tolerance(references, options)
    counts = CountPlan(
        partitions=(*([] if blocks is None else [blocks]), *layers),
        folds=None if split is None else split.map(),
        fold=FOLDS.index(options.fold),
        tolerance_m=tolerance,
    )
    ground = "all labelled ground" if split is None else f"the {options.fold} fold of {options.split}"
    return EvaluationPlan(counts=counts, ground=ground, unit=unit, notes=(*why, *doubts))


def _blocks(
    references: Sequence[Reference], plane: Plane, split: SpatialSplit | None, options: EvaluateOptions
) -> tuple[Partition | None, str, tuple[str, ...]]:
    """The blocks to resample, what they are, and why."""
    block_m = options.block_m
    if block_m is None:
        return None, "", ()
    if split is not None and block_m == "auto":
        return of_blocks(split.plane, split.blocks), f"blocks of the split ({split.method})", ()
    why: tuple[str, ...] = ()
    if block_m == "auto":
        try:
            found = variogram(references, len(references[0].labels.legend), max_side=_VARIOGRAM_SIDE)
        except InputError as error:
            return None, "", (f"no confidence intervals: {error}",)
        block_m = suggest_block_m(found, [_FEWEST_AUTO, 1 - _FEWEST_AUTO]).block_m
        reach = f"{'at least ' if found.at_least else ''}{min(found.range_m, found.extent_m / 2):.0f} m"
        if block_m < 0.95 * min(found.range_m, found.extent_m / 2):
            text = (
                f"the labels resemble each other over {reach}, but blocks so long would be fewer than {ENOUGH_BLOCKS}: "
                "neighbouring blocks are not independent, so the intervals are too narrow (unsure)"
            )
            why = (text,)
    grids = [reference.grid for reference in references]
    return of_blocks(plane, cells(plane, grids, block_m)), f"squares of {block_m:g} m", why


def _tolerance(references: Sequence[Reference], options: EvaluateOptions) -> tuple[float | None, tuple[str, ...]]:
    pixel = max(max(reference.grid.gsd_m) for reference in references)
    if options.tolerance_m is None:
        return float(f"{_TOLERANCE_PIXELS * pixel:.3g}"), ()
    if options.tolerance_m == 0:
        return None, ()
    if options.tolerance_m < pixel * (1 - 1e-3):
        text = f"a tolerance of {options.tolerance_m:g} m is less than a pixel ({pixel:.4g} m): borders must coincide"
        return options.tolerance_m, (text,)
    return options.tolerance_m, ()
