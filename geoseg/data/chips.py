"""Chips: small windows of labelled scenes, drawn for training or in order for evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass as options_dataclass
from torch.utils.data import Dataset

from geoseg.core.grid import Window
from geoseg.core.legend import UNLABELLED
from geoseg.core.tiling import Tile, plan_tiles
from geoseg.data.content import CELL, ClassContent
from geoseg.data.options import STRICT
from geoseg.data.readers import LabelledScene, OpenScene, Readers
from geoseg.data.sampling import Draws, SampledGround
from geoseg.data.stack import Chip


@options_dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class ChipOptions:
    """What a chip is."""

    size: Annotated[int, Field(ge=32)] = 128
    """Side in pixels. Where a chip is larger than its scene, what is beyond is invalid and unlabelled."""
    context: Literal["keep", "blank"] = "keep"
    """Whether training chips show ground of other folds, without its labels, or have it blanked out as nodata."""


class TrainingChips(Dataset[Chip]):
    """The chips of an epoch: windows around labelled pixels of one fold, as `draws` say.

    Chip i depends on the seed, the epoch and its draw alone, so that any number of workers gives the same chips. Files
    are opened by each process when it first needs them.
    """

    def __init__(
        self, scenes: Sequence[LabelledScene], ground: SampledGround, fold: int, options: ChipOptions, seed: int
    ) -> None:
        self._readers = Readers(scenes)
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

    def _window(self, scene: OpenScene, cell: int, index: int, rng: np.random.Generator) -> Window:
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
        self._readers = Readers(scenes)
        self._fold = fold
        self._tiles: list[tuple[int, Tile]] = []
        for number, (scene, content) in enumerate(zip(scenes, contents, strict=True)):
            for tile in plan_tiles(*scene.labels.grid.shape, size=size, overlap=overlap, stride=size, step=1):
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
