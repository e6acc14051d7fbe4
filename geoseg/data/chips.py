"""Chips: small windows of scenes with labels, and batches of them."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass as options_dataclass
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from geoseg.core.bands import BandSet
from geoseg.core.grid import Window
from geoseg.core.legend import UNLABELLED
from geoseg.core.tiling import Tile, plan_tiles
from geoseg.data.augment.batch import Batch
from geoseg.data.content import CELL, ClassContent
from geoseg.data.ground import ClassMap, ClassReader, LabelReader, Labels, PixelReader, Pixels
from geoseg.data.options import STRICT
from geoseg.data.sampling import Draws, SampledGround
from geoseg.data.splits.split import FoldMap

_OPEN_SCENES = 32
_TILE, _KEPT_TILES = 256, 512  # pixels a side, and tiles of each open scene whose labels are kept: 32 MiB
_UNKNOWN_SUN = (float("nan"), float("nan"))

Cells: TypeAlias = NDArray[np.int64]
"""For every chip of a batch the number of the cell that it was drawn for, shape (chip,); -1 for none."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelledScene:
    """A scene on the model's grid with the model's bands, its class indices and the fold of every place.

    `bands` are those of the pixels with mean and std of the training data. `soft` are labels as shares, where they
    are. `sun` is (azimuth clockwise from north, elevation) in degrees, NaN = unknown.
    """

    name: str
    pixels: Pixels
    bands: BandSet
    labels: ClassMap
    folds: FoldMap
    soft: Labels | None = None
    region: str = ""
    sun: tuple[float, float] = _UNKNOWN_SUN


@options_dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class ChipOptions:
    """What a chip is."""

    size: Annotated[int, Field(ge=32)] = 128
    """Side in pixels. Where a chip is larger than its scene, what is beyond is invalid and unlabelled."""
    context: Literal["keep", "blank"] = "keep"
    """Whether training chips show ground of other folds, without its labels, or have it blanked out as nodata."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chip:
    """A window of a scene as it is stored.

    `data` are numbers (band, row, col) of `bands`; `valid` (row, col) is True where all are valid; `labels` (row, col)
    are class indices, 255 = unlabelled; `shares` (class, row, col) are there where labels are soft; `sun` is in
    degrees; for `cell` see `Cells`.
    """

    data: NDArray[Any]
    bands: BandSet
    valid: NDArray[np.bool_]
    labels: NDArray[np.uint8]
    shares: NDArray[np.float32] | None = None
    sun: tuple[float, float] = _UNKNOWN_SUN
    cell: int = -1


class TrainingChips(Dataset[Chip]):
    """The chips of an epoch: windows around labelled pixels of one fold, as `draws` say.

    Chip i depends on the seed, the epoch and its draw alone, so that any number of workers gives the same chips. Files
    are opened by each process when it first needs them.
    """

    def __init__(
        self, scenes: Sequence[LabelledScene], ground: SampledGround, fold: int, options: ChipOptions, seed: int
    ) -> None:
        self._readers = _Readers(scenes)
        self._ground = ground
        self._fold = fold
        self._options = options
        self._seed = seed
        self._epoch = 0
        self._draws = Draws(cells=np.empty(0, dtype=np.int64), classes=np.empty(0, dtype=np.int64))

    def start_epoch(self, epoch: int, draws: Draws) -> None:
        """Show other chips from now on; to be called before the loader starts."""
        self._epoch, self._draws = epoch, draws

    def __len__(self) -> int:
        return len(self._draws)

    def __getitem__(self, i: int) -> Chip:
        if i >= len(self):
            raise IndexError(i)
        cell = int(self._draws.cells[i])
        rng = np.random.default_rng((self._seed, self._epoch, i))
        scene = self._readers[int(self._ground.scene[cell])]
        window = self._window(scene, cell, int(self._draws.classes[i]), rng)
        blank = scene.folds(window) != self._fold if self._options.context == "blank" else None
        return scene.chip(window, scene.labels(window, self._fold), blank=blank, cell=cell)

    def _window(self, scene: _OpenScene, cell: int, index: int, rng: np.random.Generator) -> Window:
        """A window of the scene with a pixel of a class near its middle."""
        row, col = self._ground.corners[cell].tolist()
        around = Window(row=row, col=col, height=CELL, width=CELL)
        places = np.argwhere(scene.labels(around, self._fold) == index)
        centre = places[rng.integers(len(places))] + (row, col)
        size = self._options.size
        first = centre - size // 2 + rng.integers(-(size // 4), size // 4 + 1, 2)
        last = np.maximum(0, np.array(scene.scene.labels.grid.shape) - size)
        top, left = np.clip(first, 0, last).tolist()
        return Window(row=top, col=left, height=size, width=size)


class EvaluationChips(Dataset[Chip]):
    """All of one fold, each labelled pixel exactly once: tiles with context whose labels are known in `keep` only."""

    def __init__(
        self,
        scenes: Sequence[LabelledScene],
        contents: Sequence[ClassContent],
        fold: int,
        *,
        size: int,
        overlap: int,
    ) -> None:
        self._readers = _Readers(scenes)
        self._fold = fold
        self._tiles: list[tuple[int, Tile]] = []
        for number, (scene, content) in enumerate(zip(scenes, contents, strict=True)):
            for tile in plan_tiles(*scene.labels.grid.shape, size=size, overlap=overlap, stride=size):
                if content.has(fold, tile.keep):
                    self._tiles.append((number, tile))

    def __len__(self) -> int:
        return len(self._tiles)

    def __getitem__(self, i: int) -> Chip:
        number, tile = self._tiles[i]
        scene = self._readers[number]
        labels = np.full(tile.read.shape, UNLABELLED, dtype=np.uint8)
        labels[tile.keep.within(tile.read).slices] = scene.labels(tile.keep, self._fold)
        return scene.chip(tile.read, labels)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stack:
    """Chips of one size side by side, as they are stored: what a loader's workers hand over.

    `data` are numbers, shape (chip, band, row, col); value = number * `scale` + `offset`, both of shape (chip, band).
    For the others see `Batch`, and for `cells`, `Cells`.
    """

    data: Tensor
    scale: Tensor
    offset: Tensor
    valid: Tensor
    labels: Tensor
    soft: Tensor | None
    sun: Tensor
    cells: Cells

    def to(self, device: torch.device | str) -> Stack:
        """The stack on another device."""
        return Stack(
            data=self.data.to(device),
            scale=self.scale.to(device),
            offset=self.offset.to(device),
            valid=self.valid.to(device),
            labels=self.labels.to(device),
            soft=None if self.soft is None else self.soft.to(device),
            sun=self.sun.to(device),
            cells=self.cells,
        )

    def batch(self, bands: BandSet, classes: int, gsd_m: float) -> Batch:
        """The chips in physical values, 0 where invalid.

        Args:
            bands: of the chips, with mean and std of the training data.
            classes: how many there are.
            gsd_m: side of a pixel in m.
        """
        values = self.data.to(torch.float32)
        values.mul_(self.scale[:, :, None, None]).add_(self.offset[:, :, None, None])
        if not self.valid.all():
            values.masked_fill_(~self.valid[:, None], 0)
        return Batch(
            values=values,
            valid=self.valid,
            labels=self.labels,
            soft=self.soft,
            sun=self.sun,
            bands=bands,
            classes=classes,
            gsd_m=gsd_m,
        )


def stack(chips: Sequence[Chip], classes: int) -> Stack:
    """Put chips of one size side by side; the labels of all are soft where those of one are."""
    soft = any(chip.shares is not None for chip in chips)
    return Stack(
        data=_join([chip.data for chip in chips]),
        scale=torch.tensor([[1.0 if band.scale is None else band.scale for band in chip.bands] for chip in chips]),
        offset=torch.tensor([[band.offset for band in chip.bands] for chip in chips]),
        valid=_join([chip.valid for chip in chips]),
        labels=_join([chip.labels for chip in chips]),
        soft=_join([_shares(chip, classes) for chip in chips]) if soft else None,
        sun=torch.tensor([chip.sun for chip in chips], dtype=torch.float32),
        cells=np.array([chip.cell for chip in chips], dtype=np.int64),
    )


def _join(parts: Sequence[NDArray[Any]]) -> Tensor:
    dtype = np.result_type(*parts)
    # torch writes into memory that is shared with the main process where this is a loader's worker
    joined: Tensor = default_collate([torch.from_numpy(part.astype(dtype, copy=False)) for part in parts])
    return joined


def _shares(chip: Chip, classes: int) -> NDArray[np.float32]:
    if chip.shares is not None:
        return chip.shares
    shares: NDArray[np.float32] = (chip.labels == np.arange(classes, dtype=np.uint8)[:, None, None]).astype(np.float32)
    return shares


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _OpenScene:
    """A scene whose files are open; `tiles` are the labels of folds that were last asked for."""

    scene: LabelledScene
    pixels: PixelReader
    classes: ClassReader
    soft: LabelReader | None
    files: ExitStack
    tiles: OrderedDict[tuple[int, int, int], NDArray[np.uint8]] = field(default_factory=OrderedDict)

    def folds(self, window: Window) -> NDArray[np.uint8]:
        """Fold of every pixel of a window."""
        return self.scene.folds.folds_on(self.scene.labels.grid[window])

    def labels(self, window: Window, fold: int) -> NDArray[np.uint8]:
        """Class indices of a window, 255 = unlabelled, in another fold or beyond the grid."""
        labels = np.full(window.shape, UNLABELLED, dtype=np.uint8)
        for row in range(window.row // _TILE, (window.row_end - 1) // _TILE + 1):
            for col in range(window.col // _TILE, (window.col_end - 1) // _TILE + 1):
                tile = Window(row=row * _TILE, col=col * _TILE, height=_TILE, width=_TILE)
                part = tile.intersect(window)
                if part is not None:
                    labels[part.within(window).slices] = self._tile(tile, fold)[part.within(tile).slices]
        return labels

    def _tile(self, tile: Window, fold: int) -> NDArray[np.uint8]:
        """Labels of a tile of a fold: it takes a millisecond to find them, and chips ask for the same ones."""
        key = (tile.row, tile.col, fold)
        if key not in self.tiles:
            if len(self.tiles) >= _KEPT_TILES:
                self.tiles.popitem(last=False)
            labels = self.classes.read(tile)
            if (labels != UNLABELLED).any():
                labels[self.folds(tile) != fold] = UNLABELLED
            self.tiles[key] = labels
        self.tiles.move_to_end(key)
        return self.tiles[key]

    def chip(
        self, window: Window, labels: NDArray[np.uint8], *, blank: NDArray[np.bool_] | None = None, cell: int = -1
    ) -> Chip:
        """The chip of a window with these labels, and nothing to see where it is to be blank."""
        raster = self.pixels.read(window)
        valid = raster.valid if blank is None else raster.valid & ~blank
        labels[~valid] = UNLABELLED
        shares = None
        if self.soft is not None:
            found = self.soft.read(window).shares
            shares = None if found is None else found * (labels != UNLABELLED)
        return Chip(
            data=raster.data,
            bands=self.scene.bands,
            valid=valid,
            labels=labels,
            shares=shares,
            sun=self.scene.sun,
            cell=cell,
        )


class _Readers:
    """Open scenes by number: every process opens its own when it first asks; the least recently used closes first."""

    def __init__(self, scenes: Sequence[LabelledScene]) -> None:
        self._scenes = tuple(scenes)
        self._owner = 0
        self._open: OrderedDict[int, _OpenScene] = OrderedDict()

    def __getitem__(self, number: int) -> _OpenScene:
        if self._owner != os.getpid():  # a forked process must not read from its parent's files
            self._owner, self._open = os.getpid(), OrderedDict()
        if number not in self._open:
            if len(self._open) >= _OPEN_SCENES:
                self._open.popitem(last=False)[1].files.close()
            self._open[number] = _open(self._scenes[number])
        self._open.move_to_end(number)
        return self._open[number]

    def __getstate__(self) -> tuple[LabelledScene, ...]:
        return self._scenes

    def __setstate__(self, scenes: tuple[LabelledScene, ...]) -> None:
        self.__init__(scenes)  # type: ignore[misc]


def _open(scene: LabelledScene) -> _OpenScene:
    files = ExitStack()
    try:
        return _OpenScene(
            scene=scene,
            pixels=files.enter_context(scene.pixels.reader()),
            classes=files.enter_context(scene.labels.reader()),
            soft=None if scene.soft is None else files.enter_context(scene.soft.reader()),
            files=files,
        )
    except BaseException:
        files.close()
        raise
