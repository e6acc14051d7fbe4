"""Labelled scenes, and their open files."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from geoseg.core.bands import BandSet
from geoseg.core.grid import Window
from geoseg.core.legend import UNLABELLED
from geoseg.data.ground import ClassMap, ClassReader, LabelReader, Labels, PixelReader, Pixels
from geoseg.data.splits.split import FoldMap
from geoseg.data.stack import UNKNOWN_SUN, Chip

_OPEN_SCENES = 32
_TILE, _KEPT_TILES = 256, 512  # pixels a side, and tiles of each open scene whose labels are kept: 32 MiB


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
    sun: tuple[float, float] = UNKNOWN_SUN


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OpenScene:
    """A scene whose files are open, and its number; `tiles` are the labels of folds that were last asked for."""

    scene: LabelledScene
    number: int
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
            place=(self.number, window.row, window.col),
        )


class Readers:
    """Open scenes by number: every process opens its own when it first asks; the least recently used closes first."""

    def __init__(self, scenes: Sequence[LabelledScene]) -> None:
        self._scenes = tuple(scenes)
        self._owner = 0
        self._open: OrderedDict[int, OpenScene] = OrderedDict()

    def __getitem__(self, number: int) -> OpenScene:
        if self._owner != os.getpid():  # a forked process must not read from its parent's files
            self._owner, self._open = os.getpid(), OrderedDict()
        if number not in self._open:
            if len(self._open) >= _OPEN_SCENES:
                self._open.popitem(last=False)[1].files.close()
            self._open[number] = _open(self._scenes[number], number)
        self._open.move_to_end(number)
        return self._open[number]

    def __getstate__(self) -> tuple[LabelledScene, ...]:
        return self._scenes

    def __setstate__(self, scenes: tuple[LabelledScene, ...]) -> None:
        self.__init__(scenes)  # type: ignore[misc]


def _open(scene: LabelledScene, number: int) -> OpenScene:
    files = ExitStack()
    try:
        return OpenScene(
            scene=scene,
            number=number,
            pixels=files.enter_context(scene.pixels.reader()),
            classes=files.enter_context(scene.labels.reader()),
            soft=None if scene.soft is None else files.enter_context(scene.soft.reader()),
            files=files,
        )
    except BaseException:
        files.close()
        raise
