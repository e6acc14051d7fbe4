"""From options to a split: make blocks, count their labels, deal them, and refuse what cannot be used."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray

from geoseg.data.ground import ClassMap
from geoseg.data.splits.blocks import Block, blocks_by_attribute, blocks_from_file, cells, count_blocks, polygons_of
from geoseg.data.splits.deal import deal
from geoseg.data.splits.files import load_split
from geoseg.data.splits.options import SplitOptions
from geoseg.data.splits.plane import Plane
from geoseg.data.splits.split import FOLDS, PLAIN, SpatialSplit, count_folds, turn
from geoseg.data.splits.variogram import Variogram, suggest_block_m, variogram
from geoseg.errors import InputError

_BUFFER_SHARE = 0.25  # of a block's side: then a block among blocks of other folds keeps a quarter of its area


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BuiltSplit:
    """A split and what it was made from.

    `block_pixels` are the labelled pixels of each class in every block, shape (block, class), `fold_pixels` those
    that the buffer leaves in every fold, shape (fold, class). `variogram` is there where a length was "auto". `notes`
    tell what was decided, a sentence each.
    """

    split: SpatialSplit
    block_pixels: NDArray[np.int64]
    fold_pixels: NDArray[np.int64]
    variogram: Variogram | None = None
    notes: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """The split in one line."""
        split = self.split
        counts = ", ".join(f"{split.folds.count(fold)} {name}" for fold, name in enumerate(FOLDS))
        buffer = f"a buffer of {split.buffer_m:g} m" if split.buffer_m else "no buffer"
        return f"{split.method}, {buffer}, seed {split.seed}; blocks: {counts}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Blocks:
    """Blocks before they are dealt, how they were made, and their side in m (of a square of the median area)."""

    plane: Plane
    blocks: tuple[Block, ...]
    method: str
    side_m: float
    notes: tuple[str, ...] = field(default=())


def build_split(
    maps: Sequence[ClassMap], classes: int, options: SplitOptions, attributes: Sequence[str] = ()
) -> BuiltSplit:
    """Divide the ground of class maps as the options say; the order of the maps makes no difference.

    Only blocks with labels take part: others belong to no fold and need no buffer.

    Args:
        maps: class maps of all scenes.
        classes: how many there are.
        options: the config's section.
        attributes: of each map, the value of the scene's attribute that `options.attribute` names.

    Raises:
        InputError: fewer blocks with labels than folds (as where one block holds the whole scene), a buffer that
            leaves nothing of a fold, a fold without labelled pixels, or blocks that cannot be made.
    """
    if options.file is not None:
        return _from_file(maps, classes, options.file, options.fold)
    wanted = _shares(options)
    found = variogram(maps, classes) if "auto" in (options.block_m, options.buffer_m) else None
    made = _make_blocks(maps, options, attributes, found)
    pixels = count_blocks(made.plane, made.blocks, maps, classes)
    labelled = np.flatnonzero(pixels.any(axis=1))
    blocks, pixels = tuple(made.blocks[i] for i in labelled), pixels[labelled]
    _require_blocks(blocks, len(wanted), made)
    buffer_m, buffer_notes = _buffer(options, made.side_m, found)
    parts = deal(pixels, list(wanted.values()), options.seed)
    split = SpatialSplit(
        plane=made.plane,
        blocks=blocks,
        parts=tuple(np.array(list(wanted))[parts].tolist()),
        roles=turn(options.folds, options.fold) if options.folds else PLAIN,
        buffer_m=buffer_m,
        seed=options.seed,
        method=made.method,
    )
    return BuiltSplit(
        split=split,
        block_pixels=pixels,
        fold_pixels=_count_folds(split, maps, pixels),
        variogram=found,
        notes=(*made.notes, *buffer_notes),
    )


def _from_file(maps: Sequence[ClassMap], classes: int, path: Path, number: int) -> BuiltSplit:
    """A saved split, which may hold blocks without labels of these maps: another run used others."""
    split = load_split(path)
    if split.k is not None:
        split = split.run(number)
    elif number:
        raise InputError(f"{path}: holds a single split, so fold {number} is not there; leave out fold")
    pixels = count_blocks(split.plane, split.blocks, maps, classes)
    if not pixels.any():
        raise InputError(f"{path}: no labelled pixel lies in its blocks; was it made for other scenes?")
    fold_pixels = _count_folds(split, maps, pixels)
    return BuiltSplit(split=split, block_pixels=pixels, fold_pixels=fold_pixels, notes=(f"split read from {path}",))


def _shares(options: SplitOptions) -> dict[int, float]:
    """Share of every part that gets blocks."""
    shares = [1 / options.folds] * options.folds if options.folds else options.shares
    return {part: share for part, share in enumerate(shares) if share > 0}


def _make_blocks(
    maps: Sequence[ClassMap], options: SplitOptions, attributes: Sequence[str], found: Variogram | None
) -> _Blocks:
    grids = [classes.grid for classes in maps]
    plane = Plane.around(grids)
    if options.polygons is not None:
        blocks = blocks_from_file(plane, options.polygons, options.polygons_name)
        return _Blocks(plane=plane, blocks=blocks, method=f"polygons of {options.polygons.name}", side_m=_side(blocks))
    if options.attribute is not None:
        blocks = blocks_by_attribute(plane, grids, attributes)
        return _Blocks(plane=plane, blocks=blocks, method=f"scenes by {options.attribute}", side_m=_side(blocks))
    side, notes = _cell_side(options, found)
    blocks = cells(plane, grids, side)
    return _Blocks(plane=plane, blocks=blocks, method=f"squares of {side:g} m", side_m=side, notes=notes)


def _cell_side(options: SplitOptions, found: Variogram | None) -> tuple[float, tuple[str, ...]]:
    if options.block_m != "auto":
        return options.block_m, ()
    if found is None:
        raise ValueError
    advice = suggest_block_m(found, list(_shares(options).values()))
    return advice.block_m, (*found.lines(), advice.reason)


def _side(blocks: Sequence[Block]) -> float:
    return math.sqrt(float(np.median(shapely.area(polygons_of(blocks)))))


def _buffer(options: SplitOptions, side_m: float, found: Variogram | None) -> tuple[float, tuple[str, ...]]:
    if options.buffer_m != "auto":
        return options.buffer_m, ()
    if found is None:
        raise ValueError
    longest = _BUFFER_SHARE * side_m
    reach = found.extent_m / 2 if found.at_least else found.range_m
    buffer_m = round(min(reach, longest))
    why = "the range" if reach <= longest else f"a quarter of a block's side, as the range of {reach:.0f} m is longer"
    return float(buffer_m), (f"buffer of {buffer_m} m: {why}",)


def _require_blocks(blocks: Sequence[Block], needed: int, made: _Blocks) -> None:
    if len(blocks) >= needed:
        return
    if not blocks:
        raise InputError(f"no labelled pixel lies in a block ({made.method}); check that labels and blocks overlap")
    smaller = "choose a smaller block_m" if made.method.startswith("squares") else "give more, smaller blocks"
    lie = "all labels lie in one block" if len(blocks) == 1 else f"the labels lie in {len(blocks)} blocks"
    raise InputError(f"{lie} ({made.method}), {needed} folds need at least {needed}; {smaller}")


def _count_folds(split: SpatialSplit, maps: Sequence[ClassMap], block_pixels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Labelled pixels of each class in every fold; a fold that has blocks with labels must keep some."""
    folds = np.array(split.folds)
    before = np.array([block_pixels[folds == fold].sum(axis=0) for fold in range(len(FOLDS))])
    after = before if split.buffer_m == 0 else count_folds(split.map(), maps, block_pixels.shape[1])
    for fold in np.unique(folds).tolist():
        if not before[fold].any():
            raise InputError(f"the {FOLDS[fold]} fold holds no labelled pixel; deal the blocks again, or change theirs")
        if not after[fold].any():
            raise InputError(
                f"a buffer of {split.buffer_m:g} m leaves no labelled pixel of the {FOLDS[fold]} fold "
                f"({split.method}); choose larger blocks or a smaller buffer"
            )
    return after
